"""What is left of a killed run can be finished, and two runs at once are refused."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from offline.cloud import GIVEN, Cloud
from offline.engine import OfflineError, OfflineStack
from tests.engine.conftest import succeeded
from tests.engine.ground import ground

# Forked from what ``tests.engine.isolated`` has it import: a fresh Python imports for two seconds.
FORKING = multiprocessing.get_context("forkserver")


def deploy(home: Path) -> None:
    """Deploy in a process that will be killed. What it says then, nobody reads."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    OfflineStack("prod", home=home, run=ground).up()


def until(condition: Callable[[], bool], what: str, seconds: float = 60) -> None:
    """Wait for a condition, with a deadline."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.05)


def started(home: Path) -> BaseProcess:
    """Start a deployment in a process of its own, and wait until it has made some of its resources."""
    process = FORKING.Process(target=deploy, args=(home,))
    process.start()
    database = home / "cloud.sqlite"

    def made() -> bool:
        if not database.is_file():
            return False
        cloud = Cloud(database)
        try:
            return sum(resource.urn != GIVEN for resource in cloud.all()) >= 10
        finally:
            cloud.close()

    until(made, "the deployment makes resources")
    return process


def ended(process: BaseProcess) -> None:
    """Wait until a process has ended, with a deadline."""
    process.join(timeout=60)
    assert process.exitcode is not None, "not within 60 s: the driver ends"


def engine_of(process: BaseProcess) -> int:
    """Return the process id of the Pulumi engine that a driver has started."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    threads = list(Path(f"/proc/{process.pid}/task").glob("*/children")) or [children]
    ids = [int(child) for thread in threads for child in thread.read_text().split()]
    engines = [child for child in ids if b"pulumi" in Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")[0]]
    return engines[0]


def engine_runs(pid: int) -> bool:
    """Say whether a process is still an engine at work, not a zombie or gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("killed", ["driver", "engine", "both"])
def test_a_killed_up_is_finished_by_the_next(killed: str, tmp_path: Path) -> None:
    """A state that stays locked, a name that is taken by what nobody noted, or a resource that is lost."""
    process = started(tmp_path)
    engine = engine_of(process)
    if killed in ("engine", "both"):
        os.kill(engine, signal.SIGKILL)
    if killed in ("driver", "both"):
        process.kill()
    ended(process)
    stack = OfflineStack("prod", home=tmp_path, run=ground)
    result = succeeded(stack.up())
    assert result.orphans == []
    assert set(succeeded(stack.preview()).count()) == {"same"}


def test_what_was_made_but_not_noted_is_adopted(tmp_path: Path) -> None:
    """A resource that an interrupted run made, made a second time: its name is taken, so that `up` fails for ever."""
    process = started(tmp_path)
    engine = engine_of(process)
    process.kill()
    ended(process)
    stack = OfflineStack("prod", home=tmp_path, run=ground)
    until(lambda: not engine_runs(engine), "the engine ends")
    noted = {resource["urn"] for resource in stack.state_resources()}
    cloud = stack.cloud()
    made = {resource.urn for resource in cloud.all() if resource.urn != GIVEN}
    cloud.close()
    assert set(succeeded(stack.up()).adopted) == made - noted


def test_two_runs_at_once_are_refused(tmp_path: Path) -> None:
    """Two engines that write one state."""
    process = started(tmp_path)
    try:
        with pytest.raises(OfflineError, match=rf"prod: process {process.pid} is working on this stack"):
            OfflineStack("prod", home=tmp_path, run=ground).preview()
    finally:
        process.kill()
        ended(process)


def test_what_no_state_knows_is_counted(tmp_path: Path) -> None:
    """Leftovers that cost money and that nothing shows."""
    stack = OfflineStack("prod", home=tmp_path, run=ground, checkpoints=False)
    succeeded(stack.up())
    cloud = stack.cloud()
    address = next(cloud.all("aws:ec2/eip:Eip"))
    cloud.put(replace(address, id="eipalloc-left"))
    cloud.close()
    assert succeeded(stack.preview()).orphans == [address.urn]
