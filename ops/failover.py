"""The failover: the standby region takes over although nothing of the primary answers. Every step may be repeated.

Look, move the traffic, let go of the primary's copies, then promote. Nothing here asks Route 53 or IAM anything,
whose control planes are in the region that is lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from configs.settings.model import StackRole
from configs.tables.flows import Role
from configs.tables.schedulers import SCHEDULERS
from configs.tables.secrets import NOMAD_MANAGEMENT_TOKEN
from ops.allowed import ACTIVATION
from ops.change import Change, apply, foresee
from ops.entrance import secret_document, secret_value
from ops.file_system import FileSystem
from ops.jobs import job_files, register
from ops.nodes import reports
from ops.problems import Stop, Unknown
from ops.procedure import Say, Step, wait
from ops.record import FailoverRecord
from ops.sites import Site
from ops.snapshots import latest
from ops.vantage import findings, judge
from ops.verify import DEADLINE, verify
from ops.wording import moment, span

MAXIMUM_LOSS = timedelta(minutes=15)
"""How much of the database's last transactions may be missing before somebody must take it upon them: as far as the
objects of the standby region may be behind (S3 replication's own promise)."""

LOOK_DEADLINE = timedelta(minutes=2)
"""All places that look at the primary together: six addresses at 15 s each, and DNS."""

CALL_DEADLINE = timedelta(minutes=1)
"""A few calls of an API that each end by themselves within 45 s."""

FILES_DEADLINE = timedelta(minutes=20)
"""EFS ends a replication in minutes; it states no figure."""

BACKUP_DEADLINE = timedelta(minutes=30)
"""A daily backup is incremental and takes minutes; AWS promotes nothing while one runs."""

UP_DEADLINE = timedelta(minutes=60)
"""The gate waits fifteen minutes at most for the servers. The rest is the promotion's, which waits for a running
backup and takes minutes itself: both grow with the database."""

ACTIVATE = Change({"role": StackRole.ACTIVE.value}, ACTIVATION)


@dataclass(frozen=True)
class Decision:
    """What whoever started the failover took upon them."""

    force: bool = False
    reason: str | None = None
    maximum_loss: timedelta = MAXIMUM_LOSS


class Failover:
    """The procedure, for the site of the standby stack."""

    def __init__(self, site: Site, decision: Decision) -> None:
        """Ask nothing yet."""
        self._site, self._decision = site, decision
        self._primary = site.settings.regions.primary.name

    def steps(self) -> Sequence[Step]:
        """Return the steps in their order."""
        site, here = self._site, self._site.region.name
        return (
            Step(
                "sign in to AWS, read the state and its secrets",
                lambda: None,
                self._sign_in,
                timedelta(minutes=5),
                self._sign_in,
            ),
            Step(
                f"see from several places that {self._primary} is lost",
                self._seen,
                self._begin,
                LOOK_DEADLINE,
                lambda say: _seen_and_lost(self._look(say)),
            ),
            Step("write the failover switch: it moves the traffic", self._written, self._write, CALL_DEADLINE),
            Step("see that the database can be promoted", self._promoted, self._promotable, BACKUP_DEADLINE),
            Step("make ML data writable: end its replication", self._unreplicated, self._unreplicate, FILES_DEADLINE),
            Step(
                f"set role active in Pulumi.{site.engine.stack}.yaml, preview, and `up`",
                lambda: None,
                self._activate,
                UP_DEADLINE,
                lambda say: foresee(site.engine, ACTIVATE, say),
            ),
            Step(f"see that {here} serves", lambda: None, self._verify, DEADLINE),
            Step("register the platform's jobs", lambda: None, self._register, CALL_DEADLINE),
            Step("report", lambda: None, self._report, CALL_DEADLINE),
        )

    def _sign_in(self, say: Say) -> str:
        identity = self._site.sign_in()
        say("the state")
        role = self._site.settings.role
        if role not in (StackRole.STANDBY, StackRole.ACTIVE):
            raise Stop(f"the role of {self._site.engine.stack} is {role}: a failback is under way, end it first")
        return f"{identity}; {self._site.engine.check_access()}"

    def _seen(self) -> str | None:
        """Say when it was seen: what was seen counts once it was acted on, not for the next disaster."""
        record = self._site.records.read()
        if record is None or not self._site.switch.written():
            return None
        return f"recorded on {moment(record.started)}" + (f", forced: {record.reason}" if record.forced else "")

    def _look(self, say: Say) -> FailoverRecord:
        """Look, and decide."""
        began = datetime.now(UTC)
        site, decision, reach = self._site, self._decision, self._site.reach
        say("asking")
        nodes = reports(site.region, site.names, site.settings, began)
        found = findings(site.settings, reach.resolvers, site.switch.written(), nodes, reach.https_port)
        if not decision.force:
            judge(found)
        return FailoverRecord(
            started=began,
            reason=decision.reason,
            forced=decision.force,
            findings=found,
            lost_after=self._lost_after(began),
            finished=None,
        )

    def _begin(self, say: Say) -> str:
        """Look, decide, and write down what was seen: from here on the failover has begun."""
        record = self._look(say)
        self._site.records.write(record)
        return _seen_and_lost(record)

    def _lost_after(self, now: datetime) -> datetime | None:
        """Return the time of the last transaction that is here, if it is recent enough or was decided about."""
        try:
            lost_after = self._site.database.replayed(now)
        except Unknown:
            if self._decision.force:
                return None
            raise
        loss = now - lost_after
        if loss > self._decision.maximum_loss and not self._decision.force:
            raise Stop(
                f"the last transaction that the replica has is of {moment(lost_after)}, {span(loss)} ago:"
                " later ones would be lost. Nothing was changed. To take that upon you:"
                f" --maximum-loss {loss // timedelta(minutes=1) + 1} (minutes)"
            )
        return lost_after

    def _written(self) -> str | None:
        return "it is written" if self._site.switch.written() else None

    def _write(self, _: Say) -> str:
        if self._site.records.read() is None:
            raise Stop("there is no record of this failover: run it again")
        self._site.switch.write()
        return f"Route 53 answers with {self._site.region.name} from now on"

    def _promoted(self) -> str | None:
        state = self._site.database.state()
        return "it is promoted" if state.source is None and state.status == "available" else None

    def _promotable(self, say: Say) -> str:
        database = self._site.database

        def lacking() -> str | None:
            status = database.state().status
            return None if status == "available" else f"the database is {status}, it must be available"

        wait(lacking, BACKUP_DEADLINE, say)
        return "it is available"

    def _unreplicated(self) -> str | None:
        return "it is in no replication" if self._site.file_system.replication() is None else None

    def _unreplicate(self, say: Say) -> str:
        return end_replication(self._site.file_system, say)

    def _activate(self, say: Say) -> str:
        said = apply(self._site.engine, ACTIVATE, UP_DEADLINE, say)
        record = self._record()
        if not record.promoted:
            self._site.records.write(record.model_copy(update={"promoted": True}))
        return said

    def _verify(self, say: Say) -> str:
        return verify(self._site, say)

    def _register(self, _: Say) -> str:
        site = self._site
        token = secret_value(
            secret_document(site.region, site.names, Role.CONTROL_PLANE), NOMAD_MANAGEMENT_TOKEN.name
        )
        done = register(site.entrance(), token, job_files(site.settings, site.names))
        return ", ".join(f"{one.name} {one.outcome}" for one in done) or "there are none"

    def _report(self, _: Say) -> str:
        record = self._record()
        if record.finished is None:
            record = record.model_copy(update={"finished": datetime.now(UTC)})
            self._site.records.write(record)
        assert record.finished is not None
        recovery = record.finished - record.started
        lost = f"the database has everything until {moment(record.lost_after)}" if record.lost_after else "unknown"
        return (
            f"RTO {span(recovery)}, from {moment(record.started)} to {moment(record.finished)}. RPO: {lost}"
            + (f" ({span(record.started - record.lost_after)} before the failover)" if record.lost_after else "")
            + f". {self._offer()} Commit Pulumi.{self._site.engine.stack}.yaml. Home again: `mlops-ha failback`."
        )

    def _offer(self) -> str:
        found = [latest(self._site.region, self._site.names, self._primary, service) for service in SCHEDULERS]
        snapshots = ", ".join(f"{one.service} of {moment(one.taken)}" for one in found if one)
        if not snapshots:
            return f"There is no snapshot of {self._primary}'s schedulers."
        return f"Last snapshots of {self._primary}: {snapshots}; `mlops-ha restore SERVICE` puts one back."

    def _record(self) -> FailoverRecord:
        record = self._site.records.read()
        if record is None:
            raise Stop("there is no record of this failover: run it again")
        return record


def end_replication(files: FileSystem, say: Say, *, everywhere: bool = False) -> str:
    """End a file system's replication, and return once it is gone; see ``FileSystem.stop_replicating``.

    Raises:
        Stop: it is still there at the deadline.
        Unknown: EFS does not answer, or refuses.
    """
    files.stop_replicating(everywhere=everywhere)

    def lacking() -> str | None:
        left = files.replication()
        return f"the replication is {left.status}" if left else None

    wait(lacking, FILES_DEADLINE, say)
    return f"{files.identity()} can be written to"


def _seen_and_lost(record: FailoverRecord) -> str:
    seen = "; ".join(f"{finding.place}: {finding.verdict}, {finding.detail}" for finding in record.findings)
    lost = (
        f"transactions after {moment(record.lost_after)} are lost" if record.lost_after else "what is lost is unknown"
    )
    return f"{seen}. {lost}"
