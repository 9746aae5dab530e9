"""The way home: planned, without loss, and with the fence up until the very end. Every step may be repeated.

A promoted database cannot be made a replica again. So each region gets a new one on the way: first the primary region
one that replicates the standby region's, and, once that serves, the standby region one that replicates it. The old
ones leave the stacks' states and stay on AWS, until whoever owns the data deletes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from configs.database import database_identifier
from configs.settings.model import StackRole
from engine.tokens import DATABASE
from ops.allowed import COME_HOME, LEAVE, RETURN, STAND_BY
from ops.change import Change, apply
from ops.failover import CALL_DEADLINE, FILES_DEADLINE, UP_DEADLINE, end_replication
from ops.file_system import ReplicationRole
from ops.problems import Stop
from ops.procedure import Say, Step, wait
from ops.sites import Site
from ops.verify import DEADLINE, verify
from ops.wording import moment

COPY_DEADLINE = timedelta(hours=12)
"""A new replica begins with a snapshot that is copied to the other region: hours for a large database."""

CATCH_UP_DEADLINE = timedelta(hours=2)
"""Once everyone has stopped writing: minutes for the database, which writes something every five minutes by itself,
and as long as the last changed files take."""

MOVED_DEADLINE = timedelta(minutes=10)
"""Health checks, propagation and the time to live are three minutes at worst; three times that."""

PRIMARY_GENERATION, STANDBY_GENERATION = "database.primaryGeneration", "database.standbyGeneration"
"""The settings that say how many databases each region has had."""


class Failback:
    """The procedure, for both sites."""

    def __init__(self, primary: Site, standby: Site) -> None:
        """Ask nothing yet."""
        self._primary, self._standby = primary, standby

    def steps(self) -> Sequence[Step]:
        """Return the steps in their order."""
        home, away = self._primary.region.name, self._standby.region.name
        prod, dr = self._primary.engine.stack, self._standby.engine.stack
        begin = timedelta(minutes=5)
        return (
            Step("sign in to AWS, read both states", lambda: None, self._sign_in, begin, self._sign_in),
            Step(f"see that the switch keeps {home} from serving", self._gone_home, self._fenced, CALL_DEADLINE),
            Step(
                f"end what {home} believes of its own replication",
                self._forgot,
                self._forget_replication,
                FILES_DEADLINE,
            ),
            Step(
                f"make {home} a replica of {away}: role returning in {prod}",
                self._returned,
                self._return,
                COPY_DEADLINE,
                lambda _: self._foreseen(),
            ),
            Step(f"wait until {home} has caught up", self._returned, self._catch_up, COPY_DEADLINE),
            Step(f"stop serving in {away}: role leaving in {dr}", self._stands_by, self._leave, UP_DEADLINE),
            Step(f"wait until {home} has everything", self._promoted, self._complete, CATCH_UP_DEADLINE),
            Step(f"end the replication of ML data to {home}", self._gone_home, self._unreplicate, FILES_DEADLINE),
            Step(f"promote {home}: role primary in {prod}", self._gone_home, self._come_home, UP_DEADLINE),
            Step(f"see that {home} could serve", self._gone_home, self._ready, DEADLINE),
            Step("delete the failover switch: traffic goes home", self._gone_home, self._delete, CALL_DEADLINE),
            Step(f"see that {home} serves, and that DNS says so", lambda: None, self._serves, MOVED_DEADLINE),
            Step(f"make {away} the standby again: role standby in {dr}", lambda: None, self._stand_by, COPY_DEADLINE),
            Step(f"see that {away} stands by", lambda: None, lambda say: verify(self._standby, say), DEADLINE),
            Step("report", lambda: None, self._report, CALL_DEADLINE),
        )

    # What was done already.

    @property
    def _roles(self) -> tuple[StackRole, StackRole]:
        return self._primary.settings.role, self._standby.settings.role

    def _returned(self) -> str | None:
        """Say whether the primary region is past being a replica: then the standby region has left."""
        home, away = self._roles
        past = home is StackRole.PRIMARY and away is not StackRole.ACTIVE
        return f"{self._primary.region.name} is the primary again" if past else None

    def _promoted(self) -> str | None:
        source = self._primary.database.state().source
        return None if source else f"{self._primary.region.name} has been promoted"

    def _gone_home(self) -> str | None:
        """Say whether the switch has been deleted by this procedure."""
        home, away = self._roles
        past = home is StackRole.PRIMARY and away is not StackRole.ACTIVE and not self._standby.switch.written()
        return "the switch is deleted" if past else None

    def _stands_by(self) -> str | None:
        return "it stands by" if self._roles[1] is StackRole.STANDBY else None

    # The steps.

    def _sign_in(self, say: Say) -> str:
        identity = self._primary.sign_in()
        self._standby.sign_in()
        home, away = self._roles
        if away is StackRole.STANDBY and self._standby.records.read() is None:
            raise Stop(f"{self._standby.region.name} stands by: there is nothing to come home from")
        if home not in (StackRole.PRIMARY, StackRole.RETURNING):
            raise Stop(f"the role of {self._primary.engine.stack} is {home}: it must be primary or returning")
        say("the states")
        there = [f"{site.engine.stack} {site.engine.check_access()}" for site in (self._primary, self._standby)]
        return f"{identity}; {', '.join(there)}"

    def _fenced(self, _: Say) -> str:
        if not self._standby.switch.written():
            raise Stop(
                "the failover switch is not written: users may reach the primary region, whose database is to be"
                " replaced. Write it first: `mlops-ha failover` does"
            )
        return "it is written, and stays until the primary region has everything"

    def _forgot(self) -> str | None:
        if past := self._returned():
            return past
        left = self._primary.file_system.replication()
        return None if left and left.role is ReplicationRole.SOURCE else "it copies ML data nowhere"

    def _forget_replication(self, say: Say) -> str:
        # The failover could end it at the other end alone, and EFS would refuse the way back.
        return end_replication(self._primary.file_system, say)

    def _returning(self) -> Change:
        """Return the change to ``returning``, with the next database; the same one when it was begun already."""
        generation, old = _next_database(self._primary)
        return Change({PRIMARY_GENERATION: str(generation), "role": StackRole.RETURNING.value}, RETURN, old)

    def _foreseen(self) -> str:
        # A preview would be refused: the protection is lifted before it, and a dry run changes nothing.
        change = self._returning()
        old = ", ".join(urn.rpartition("::")[2] for urn in change.forgotten)
        return f"database generation {change.settings[PRIMARY_GENERATION]}; forgotten, not deleted: {old}"

    def _return(self, say: Say) -> str:
        change = self._returning()
        said = apply(self._primary.engine, change, COPY_DEADLINE, say)
        # Both files say the same: the standby stack finds the primary's database by it.
        self._standby.engine.set(PRIMARY_GENERATION, change.settings[PRIMARY_GENERATION])
        return said

    def _catch_up(self, say: Say) -> str:
        return verify(self._primary, say, COPY_DEADLINE)

    def _leave(self, say: Say) -> str:
        said = apply(self._standby.engine, Change({"role": StackRole.LEAVING.value}, LEAVE), UP_DEADLINE, say)
        records = self._standby.records
        record = records.read()
        if record is None:
            raise Stop("there is no record of the failover that this goes home from: `mlops-ha failover` writes one")
        if record.left is None:
            records.write(record.model_copy(update={"left": datetime.now(UTC)}))
        return said

    def _complete(self, say: Say) -> str:
        record = self._standby.records.read()
        if record is None or record.left is None:
            raise Stop("it is not written down when the standby region stopped serving: run it again")
        left = record.left
        files = self._standby.file_system

        def lacking() -> str | None:
            replayed = self._primary.database.replayed(datetime.now(UTC))
            if replayed < left:
                return f"the database has everything until {moment(replayed)}, {moment(left)} is needed"
            replication = files.replication()
            if replication is None:
                return "ML data is not replicated"
            copied = replication.last_replicated
            if copied is None or copied < left:
                until = moment(copied) if copied else "never"
                return f"ML data is copied until {until}, {moment(left)} is needed"
            return None

        wait(lacking, CATCH_UP_DEADLINE, say)
        return f"database and ML data are those of {moment(left)}, when the last user was sent away"

    def _unreplicate(self, say: Say) -> str:
        """End it before `up` does: EFS refuses to change what may be overwritten while there is a replication."""
        if self._primary.settings.role is StackRole.PRIMARY:
            # An `up` that was interrupted may have turned it round already.
            return "it was ended"
        return end_replication(self._primary.file_system, say, everywhere=True)

    def _come_home(self, say: Say) -> str:
        return apply(self._primary.engine, Change({"role": StackRole.PRIMARY.value}, COME_HOME), UP_DEADLINE, say)

    def _ready(self, say: Say) -> str:
        return verify(self._primary, say, fenced=True)

    def _delete(self, _: Say) -> str:
        self._standby.switch.delete()
        return f"Route 53 answers with {self._primary.region.name} once its checkers have seen it"

    def _serves(self, say: Say) -> str:
        verify(self._primary, say, MOVED_DEADLINE)
        names, resolvers = self._primary.public_names, self._primary.reach.resolvers

        def lacking() -> str | None:
            answer = resolvers.addresses(names.origin)
            ours = resolvers.addresses(names.regional_origin(self._primary.region.name))
            return None if answer and answer <= ours else f"{names.origin} answers with {', '.join(sorted(answer))}"

        wait(lacking, MOVED_DEADLINE, say)
        return f"{names.origin} answers with {self._primary.region.name}"

    def _stand_by(self, say: Say) -> str:
        generation, old = _next_database(self._standby)
        change = Change({STANDBY_GENERATION: str(generation), "role": StackRole.STANDBY.value}, STAND_BY, old)
        said = apply(self._standby.engine, change, COPY_DEADLINE, say)
        self._primary.engine.set(STANDBY_GENERATION, str(generation))
        return said

    def _report(self, _: Say) -> str:
        record = self._standby.records.read()
        self._standby.records.close()
        away = f" Users were sent away at {moment(record.left)}." if record and record.left else ""
        return (
            f"{self._primary.region.name} serves, {self._standby.region.name} stands by.{away} Commit both stack"
            " files. The old databases are on AWS still, and cost: see the runbook before you delete them."
        )


def _next_database(site: Site) -> tuple[int, tuple[str, ...]]:
    """Return the generation of the database to make, and the urns of those of other generations, replicas and all.

    The generation is the one set, if that replicates or was never deployed; otherwise the next.

    Raises:
        Stop: an old database would be deleted, not forgotten.
    """
    deployed = {one["urn"]: one for one in site.engine.resources() if one["type"] == DATABASE}
    identifiers = {urn: str(one.get("inputs", {}).get("identifier", "")) for urn, one in deployed.items()}
    settings = site.settings
    generation = settings.database_generation
    has_served = database_identifier(site.names, generation) in identifiers.values()
    if has_served and settings.role not in (StackRole.RETURNING, StackRole.STANDBY):
        generation += 1
    kept = database_identifier(site.names, generation)
    old = tuple(urn for urn, one in identifiers.items() if one != kept and not one.startswith(f"{kept}-"))
    if unsafe := [urn for urn in old if not deployed[urn].get("retainOnDelete")]:
        raise Stop(
            f"{site.engine.stack}: the state does not say yet that old databases stay on AWS"
            f" ({', '.join(urn.rpartition('::')[2] for urn in unsafe)}): `pulumi up --stack {site.engine.stack}` with"
            " this version, and `protection: true`, comes first"
        )
    return generation, old
