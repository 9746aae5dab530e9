"""`mlops-ha failover` when it is killed, and when it must stop; that it works is shown by its runbook."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console

import ops.failover
import ops.procedure
from configs.settings.model import StackRole
from configs.tables.names import SWITCH_BUCKET, Names
from engine.stack_files import stack_settings
from engine.tokens import BUCKET
from lab.rehearsal import Rehearsal
from ops.aws import Region
from ops.dns import NameServer, Resolvers
from ops.engine import Engine
from ops.failover import Decision, Failover
from ops.problems import Stop, Unknown
from ops.procedure import run
from ops.record import FailoverRecord
from ops.sites import Reach, Site

STEPS = 9
HERE, LOST = "us-west-2", "us-east-1"


def site(stage: Rehearsal, stack: str = "dr") -> Site:
    address, _, port = os.environ["MLOPS_HA_RESOLVER"].partition(":")
    engine = Engine(stack, stage.checkout)
    reach = Reach(Resolvers([NameServer(address, int(port))]), int(os.environ["MLOPS_HA_HTTPS_PORT"]))
    return Site(engine, Region(engine.settings.location.name), reach)


def failover(stage: Rehearsal, decision: Decision | None = None, *, dry: bool = False) -> str:
    """Run the procedure in this process, and return what it printed."""
    printed = io.StringIO()
    console = Console(file=printed, width=10_000, color_system=None)
    run(Failover(site(stage), decision or Decision()).steps(), console, dry=dry)
    return printed.getvalue()


def record(stage: Rehearsal) -> FailoverRecord | None:
    return site(stage).records.read()


def in_the_state(stage: Rehearsal) -> dict[str, object]:
    """Return what the state of `dr` knows, to compare."""
    resources = Engine("dr", stage.checkout).resources()
    return {resource["urn"]: (resource.get("id"), resource.get("inputs")) for resource in resources}


def role(stage: Rehearsal) -> StackRole:
    return stack_settings(stage.checkout, "dr").role


def test_killed_after_each_step(dark: Rehearsal) -> None:
    """A run that was killed, and whose successor repeats what cannot be repeated, or gives up."""
    command = [sys.executable, "-m", "cli", "failover"]
    lines: list[str] = []
    for number in range(1, STEPS + 1):
        with subprocess.Popen(
            command, cwd=dark.checkout, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, bufsize=1
        ) as process:
            assert process.stdout is not None
            lines.clear()
            for line in process.stdout:
                lines.append(line)
                if line.startswith(f"{number:2}/{STEPS} ") and (": done: " in line or ": already: " in line):
                    process.send_signal(signal.SIGKILL)
            # It may have begun the next step before it was killed.
            assert lines[-1].startswith((f"{number:2}/{STEPS} ", f"{number + 1:2}/{STEPS} ")), "".join(lines)
    assert "RTO " in lines[-1]
    assert role(dark) is StackRole.ACTIVE
    assert set(dark.doors[HERE].jobs) == {"pushgateway"}


def test_a_primary_that_answers_is_left_alone(stage: Rehearsal) -> None:
    """Two regions that serve at once, because somebody's own network was broken."""
    with pytest.raises(Stop, match=r"the primary region answers: .*--force --reason"):
        failover(stage)
    assert (record(stage), stage.switch_written, role(stage)) == (None, False, StackRole.STANDBY)


def test_what_was_seen_in_an_earlier_disaster_counts_for_nothing(stage: Rehearsal) -> None:
    """A failover that was given up weeks ago, whose record passes for a look at the primary of today."""
    site(stage).records.write(
        FailoverRecord(
            started=datetime.now(UTC) - timedelta(days=21),
            reason=None,
            forced=False,
            findings=(),
            lost_after=None,
            finished=None,
        )
    )
    with pytest.raises(Stop, match="the primary region answers"):
        failover(stage)
    assert stage.switch_written is False


def test_forced(stage: Rehearsal) -> None:
    """A forced failover that nobody can say the reason of afterwards."""
    steps = Failover(site(stage), Decision(force=True, reason="rehearsal")).steps()
    run(steps[:3], Console(file=io.StringIO()))
    written = record(stage)
    assert written is not None
    assert (written.forced, written.reason) == (True, "rehearsal")
    assert stage.switch_written
    assert stage.addresses("origin.mlops.example.com") == (stage.doors[HERE].address,)


def test_what_is_unknown_stops(dark: Rehearsal) -> None:
    """A region given up because nobody could look."""
    servers = {f"control-plane-{number}" for number in (1, 2, 3)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("offline.objects.SILENT", frozenset(servers))
        patch.setenv("MLOPS_HA_RESOLVER", "127.0.0.1:9")
        with pytest.raises(Stop, match="it is unknown whether the primary region answers"):
            failover(dark)
    assert record(dark) is None


@pytest.mark.parametrize(
    ("seconds", "problem"),
    [(3600.0, "--maximum-loss 61"), (None, "CloudWatch has no ReplicaLag"), (-1.0, "nothing is replicated")],
    ids=["above-the-limit", "unknown", "not-replicating"],
)
def test_a_lag_stops_before_anything_is_changed(dark: Rehearsal, seconds: float | None, problem: str) -> None:
    """An hour of data lost without anybody having decided so."""
    dark.account.lag("mlops-postgres", seconds)
    with pytest.raises((Stop, Unknown), match=problem):
        failover(dark)
    assert (record(dark), dark.switch_written) == (None, False)


def test_a_loss_that_somebody_took_upon_them(dark: Rehearsal) -> None:
    """A limit that cannot be moved by whoever decides."""
    dark.account.lag("mlops-postgres", 3600.0)
    steps = Failover(site(dark), Decision(maximum_loss=timedelta(minutes=61))).steps()
    run(steps[:2], Console(file=io.StringIO()))
    written = record(dark)
    assert written is not None
    assert written.lost_after is not None
    assert timedelta(minutes=58) < datetime.now(UTC) - written.lost_after < timedelta(minutes=62)


def test_a_switch_that_cannot_be_written(dark: Rehearsal) -> None:
    """A failover that goes on although traffic still goes to the lost region."""
    settings = stack_settings(dark.checkout, "dr")
    bucket = Names(settings.name, settings.account_id, HERE).bucket(SWITCH_BUCKET)
    with closing(dark.cloud()) as cloud:
        found = cloud.find(BUCKET, value=bucket)
        assert found is not None
        cloud.remove(found)
    with pytest.raises(Unknown, match="failover switch"):
        failover(dark)
    assert role(dark) is StackRole.STANDBY


def test_a_database_that_is_backing_up(dark: Rehearsal, monkeypatch: pytest.MonkeyPatch) -> None:
    """A promotion that AWS refuses in the middle of an `up`."""
    dark.account.database_status["mlops-postgres"] = "backing-up"
    monkeypatch.setattr(ops.failover, "BACKUP_DEADLINE", timedelta(seconds=1))
    monkeypatch.setattr(ops.procedure, "POLL_SECONDS", 0.2)
    with pytest.raises(Stop, match="the database is backing-up"):
        failover(dark)
    assert (dark.switch_written, role(dark)) == (True, StackRole.STANDBY)


def test_file_systems_that_do_not_answer(dark: Rehearsal) -> None:
    """Workers started on a file system that they cannot write to."""
    dark.account.refused_services.add("efs")
    with pytest.raises(Unknown, match="the file system mlops-ml-data in us-west-2"):
        failover(dark)
    assert role(dark) is StackRole.STANDBY


def test_nothing_else_is_deployed(dark: Rehearsal) -> None:
    """A change that lay in the stack file, deployed in the middle of a disaster."""
    file = dark.checkout / "Pulumi.dr.yaml"
    Engine("dr", dark.checkout).set("network.flowLogDays", "90")
    before = file.read_bytes()
    with pytest.raises(Stop, match=r"more than belongs to this step(.|\n)*LogGroup"):
        failover(dark)
    assert file.read_bytes() == before
    assert site(dark).database.state().source is not None


def test_a_state_that_cannot_be_read(dark: Rehearsal, monkeypatch: pytest.MonkeyPatch) -> None:
    """A switch written by somebody who then cannot deploy."""
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "wrong")
    with pytest.raises(Stop, match="secrets key"):
        failover(dark)
    assert dark.switch_written is False


def test_another_account(dark: Rehearsal) -> None:
    """Somebody signed in to the account of another team."""
    Engine("dr", dark.checkout).set("accountId", "999999999999")
    with pytest.raises(Stop, match="signed in to account 123456789012"):
        failover(dark)
