"""`mlops-ha failback`: the planned way home, by the command, with the real engine and program."""

from __future__ import annotations

import io
from collections.abc import Generator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from rich.console import Console

import ops.failback
import ops.procedure
from configs.settings.model import StackRole
from engine.stack_files import disagreements, stack_settings
from lab.rehearsal import Rehearsal, rehearsal
from ops.failback import Failback
from ops.failover import Decision, Failover
from ops.problems import Stop
from ops.procedure import run
from tests.engine.test_failover import HERE, LOST, in_the_cloud, record, site

STEPS = 15


@pytest.fixture
def stage(home: Path, tmp_path: Path) -> Generator[Rehearsal]:
    """Both regions, deployed, and a checkout to type in."""
    with rehearsal(home, tmp_path / "checkout") as stage:
        yield stage


def failback(stage: Rehearsal, *, dry: bool = False, killed_after: int = STEPS) -> str:
    """Run the procedure from its beginning, as a new process would, and return what it printed."""
    printed = io.StringIO()
    console = Console(file=printed, width=10_000, color_system=None)
    run(Failback(site(stage, "prod"), site(stage, "dr")).steps()[:killed_after], console, dry=dry)
    return printed.getvalue()


def roles(stage: Rehearsal) -> tuple[StackRole, StackRole]:
    prod, dr = (stack_settings(stage.checkout, stack).role for stack in ("prod", "dr"))
    return prod, dr


def test_there_and_back(stage: Rehearsal, monkeypatch: pytest.MonkeyPatch) -> None:
    """A way home that loses data, serves from two regions or from none for longer than it must, or cannot go on."""
    monkeypatch.setattr(ops.procedure, "POLL_SECONDS", 0.2)
    for deadline in ("COPY_DEADLINE", "CATCH_UP_DEADLINE", "MOVED_DEADLINE", "FILES_DEADLINE", "DEADLINE"):
        monkeypatch.setattr(ops.failback, deadline, timedelta(seconds=60))
    stage.lose_the_primary()
    run(Failover(site(stage), Decision()).steps(), Console(file=io.StringIO()))
    # The primary returns by itself: DNS stays, and its load balancer sends away whoever still comes.
    stage.give_the_primary_back()
    assert stage.addresses("grafana.mlops.example.com") == (stage.doors[HERE].address,)
    assert stage.doors[LOST].fenced or stage.switch_written

    # EFS copies on: what is written before this has arrived.
    stage.account.replicated(datetime.now(UTC) + timedelta(hours=1))

    planned = failback(stage, dry=True)
    assert "would stop" not in planned
    assert roles(stage) == (StackRole.PRIMARY, StackRole.ACTIVE)

    # Killed after what cannot be repeated: a replica made, users sent away, a database promoted, the switch deleted.
    runs = [failback(stage, killed_after=number) for number in (5, 7, 10, 12)]
    assert stage.addresses("grafana.mlops.example.com") == (stage.doors[LOST].address,)
    assert not stage.switch_written
    runs.append(failback(stage))
    done = [line.partition(" (")[0] for run in runs for line in run.splitlines() if ": done: " in line]
    assert len({line[:2] for line in done}) == STEPS
    # The order that keeps users from two databases: sent away, everything copied, promoted, and only then let in.
    order = [next(i for i, line in enumerate(done) if word in line) for word in ORDER]
    assert order == sorted(order)
    assert roles(stage) == (StackRole.PRIMARY, StackRole.STANDBY)
    assert disagreements({stack: stack_settings(stage.checkout, stack) for stack in ("prod", "dr")}) == []
    assert record(stage) is None

    before = in_the_cloud(stage)
    with pytest.raises(Stop, match="there is nothing to come home from"):
        failback(stage)
    assert in_the_cloud(stage) == before
    # And the same disaster again: the next failover finds everything in place.
    stage.lose_the_primary()
    run(Failover(site(stage), Decision()).steps()[:5], Console(file=io.StringIO()))


ORDER = ("stop serving", "us-east-1 has everything", "promote us-east-1", "delete the failover switch")
