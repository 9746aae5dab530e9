"""`mlops-ha failback`: the planned way home, by the command, with the real engine and program."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console

import ops.failback
import ops.procedure
from configs.settings.model import StackRole
from engine.stack_files import disagreements, stack_settings
from engine.steps import Result, Step
from engine.tokens import (
    ALARM,
    AUTOSCALING_GROUP,
    BACKUP_SELECTION,
    BACKUPS_REPLICATION,
    DATABASE,
    FILE_SYSTEM,
    FILE_SYSTEM_REPLICATION,
    LOG_GROUP,
    OBJECT,
)
from lab.rehearsal import Rehearsal
from ops.engine import Engine
from ops.failback import Failback
from ops.failover import Decision, Failover
from ops.problems import Stop
from ops.procedure import run
from tests.engine.test_failover import HERE, LOST, failover, in_the_state, record, site
from tests.stateful import destroyed

STEPS = 15

ORDER = ("stop serving", "us-east-1 has everything", "promote us-east-1", "delete the failover switch")

BUNDLES = 6
"""Three servers, two load balancers, the workers."""

RETURN = {
    ("create", DATABASE): 1,
    ("create", LOG_GROUP): 1,
    ("forget", DATABASE): 3,
    ("forget", LOG_GROUP): 3,
    ("delete", BACKUPS_REPLICATION): 1,
    ("replace", BACKUP_SELECTION): 1,
    ("replace", FILE_SYSTEM_REPLICATION): 1,
    # Which of the two may be overwritten.
    ("update", FILE_SYSTEM): 2,
    ("update", AUTOSCALING_GROUP): 1,
    ("update", OBJECT): BUNDLES,
    # Fewer workers are too few. The new database has its own, the old ones and the file system's copy none.
    ("update", ALARM): 1,
    ("create", ALARM): 2,
    ("delete", ALARM): 8,
}
LEAVE = {("update", AUTOSCALING_GROUP): 1, ("update", OBJECT): BUNDLES, ("update", ALARM): 1}
COME_HOME = {
    ("update", DATABASE): 1,
    ("create", DATABASE): 2,
    ("create", LOG_GROUP): 2,
    ("create", BACKUPS_REPLICATION): 1,
    ("replace", FILE_SYSTEM_REPLICATION): 1,
    ("update", FILE_SYSTEM): 2,
    ("update", AUTOSCALING_GROUP): 1,
    ("update", OBJECT): BUNDLES,
    ("update", ALARM): 2,
    ("create", ALARM): 7,
    ("delete", ALARM): 1,
}
STAND_BY = {
    ("create", DATABASE): 1,
    ("create", LOG_GROUP): 1,
    ("forget", DATABASE): 1,
    ("forget", LOG_GROUP): 1,
    ("create", ALARM): 2,
    ("delete", ALARM): 3,
    # The servers are told of the new database.
    ("update", OBJECT): 3,
}
AT_THE_END = {
    # The first generation, which is the program's no more and holds what was never replicated.
    (LOST, "mlops-postgres", None),
    (LOST, "mlops-postgres-replica-1", "mlops-postgres"),
    (LOST, "mlops-postgres-replica-2", "mlops-postgres"),
    (HERE, "mlops-postgres", None),
    # The second.
    (LOST, "mlops-postgres-2", None),
    (LOST, "mlops-postgres-2-replica-1", "mlops-postgres-2"),
    (LOST, "mlops-postgres-2-replica-2", "mlops-postgres-2"),
    (HERE, "mlops-postgres-2", "arn:aws:rds:us-east-1:123456789012:db:mlops-postgres-2"),
}
"""Every database: its region, its identifier and its source."""


def failback(stage: Rehearsal, *, dry: bool = False, killed_after: int = STEPS) -> str:
    """Run the procedure from its beginning, as a new process would, and return what it printed."""
    printed = io.StringIO()
    console = Console(file=printed, width=10_000, color_system=None)
    run(Failback(site(stage, "prod"), site(stage, "dr")).steps()[:killed_after], console, dry=dry)
    return printed.getvalue()


def roles(stage: Rehearsal) -> tuple[StackRole, StackRole]:
    prod, dr = (stack_settings(stage.checkout, stack).role for stack in ("prod", "dr"))
    return prod, dr


@pytest.fixture
def ups(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Result]]:
    """Every `up` of the commands: stack and result."""
    done: list[tuple[str, Result]] = []
    original = Engine.up

    def up(engine: Engine, deadline: timedelta, on_step: Callable[[Step], None] | None = None) -> Result:
        done.append((engine.stack, original(engine, deadline, on_step)))
        return done[-1][1]

    monkeypatch.setattr(Engine, "up", up)
    return done


def changes(result: Result) -> Counter[tuple[str, str]]:
    """Return what an `up` did, which must have destroyed nothing."""
    assert destroyed(result) == []
    return Counter(
        (step.effect, step.type)
        for step in result.changed()
        if step.operation not in ("create-replacement", "delete-replaced")
    )


def databases(stage: Rehearsal) -> set[tuple[str, str, str | None]]:
    with closing(stage.cloud()) as cloud:
        return {
            (one.region, one.inputs["identifier"], one.inputs.get("replicateSourceDb")) for one in cloud.all(DATABASE)
        }


def replications(stage: Rehearsal) -> list[tuple[str, str]]:
    """Return from which region to which ML data is copied."""
    with closing(stage.cloud()) as cloud:
        return [(one.region, one.inputs["destination"]["region"]) for one in cloud.all(FILE_SYSTEM_REPLICATION)]


def test_there_and_back(stage: Rehearsal, ups: list[tuple[str, Result]], monkeypatch: pytest.MonkeyPatch) -> None:
    """A way home that loses data, serves from two regions, replaces what holds data, or cannot go on."""
    monkeypatch.setattr(ops.procedure, "POLL_SECONDS", 0.2)
    for deadline in ("COPY_DEADLINE", "CATCH_UP_DEADLINE", "MOVED_DEADLINE", "DEADLINE"):
        monkeypatch.setattr(ops.failback, deadline, timedelta(seconds=60))
    stage.lose_the_primary()
    failover(stage)
    # The primary returns by itself: DNS stays, and its load balancer sends away whoever still comes.
    stage.give_the_primary_back()
    assert stage.addresses("grafana.mlops.example.com") == (stage.doors[HERE].address,)
    # EFS copies on: what is written before this has arrived.
    stage.account.replicated(datetime.now(UTC) + timedelta(hours=1))

    planned = failback(stage, dry=True)
    assert "would stop" not in planned
    assert roles(stage) == (StackRole.PRIMARY, StackRole.ACTIVE)

    # Killed after what cannot be repeated: users sent away, a database promoted.
    runs = [failback(stage, killed_after=7)]
    assert replications(stage) == [(HERE, LOST)]
    runs.append(failback(stage, killed_after=10))
    assert replications(stage) == [(LOST, HERE)]
    assert stage.switch_written
    runs.append(failback(stage))
    done = [line.partition(" (")[0] for one in runs for line in one.splitlines() if ": done: " in line]
    assert len({line[:2] for line in done}) == STEPS
    # The order that keeps users from two databases: sent away, everything copied, promoted, and only then let in.
    order = [next(i for i, line in enumerate(done) if word in line) for word in ORDER]
    assert order == sorted(order)
    assert roles(stage) == (StackRole.PRIMARY, StackRole.STANDBY)
    assert disagreements({stack: stack_settings(stage.checkout, stack) for stack in ("prod", "dr")}) == []
    assert stage.addresses("grafana.mlops.example.com") == (stage.doors[LOST].address,)
    assert (stage.switch_written, record(stage)) == (False, None)

    # What each `up` did, and that none was done twice.
    assert [stack for stack, _ in ups] == ["dr", "prod", "dr", "prod", "dr"]
    assert [changes(result) for _, result in ups[1:]] == [RETURN, LEAVE, COME_HOME, STAND_BY]
    assert databases(stage) == AT_THE_END

    before = in_the_state(stage)
    with pytest.raises(Stop, match="there is nothing to come home from"):
        failback(stage)
    assert in_the_state(stage) == before
    # And the same disaster again: the next failover finds everything in place.
    stage.lose_the_primary()
    run(Failover(site(stage), Decision()).steps()[:5], Console(file=io.StringIO()))
