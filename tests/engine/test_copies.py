"""What a run leaves behind and what it reports, besides what it deploys: small programs on the real engine."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pulumi
import pulumi_aws as aws
import pytest

from configs.tables.names import PROJECT
from offline import engine
from offline.engine import OfflineError, OfflineStack
from tests.engine.conftest import succeeded

TOPIC = "aws:sns/topic:Topic"


def topic() -> None:
    """Make one topic."""
    provider = aws.Provider("east", region="us-east-1")
    aws.sns.Topic("topic", name="alerts", opts=pulumi.ResourceOptions(provider=provider))


def stack(home: Path, run: Callable[[], None] = topic, name: str = "prod") -> OfflineStack:
    """Return a stack that runs a program of the test's own."""
    return OfflineStack(name, home=home, run=run, checkpoints=False)


def test_a_secret_output_is_not_reported(tmp_path: Path) -> None:
    """A password in the output of `up --json`, and so in the log of every pipeline."""

    def program() -> None:
        pulumi.export("password", pulumi.Output.secret("hunter2"))
        pulumi.export("name", "mlops")

    assert succeeded(stack(tmp_path, program).up()).outputs == {"name": "mlops"}


@pytest.mark.parametrize("fails", [False, True])
def test_the_environment_is_as_it_was(fails: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An AWS call made after a run, with credentials or an address that are nobody's."""

    def program() -> None:
        if fails:
            raise ValueError("the program is wrong")

    monkeypatch.setenv("AWS_PROFILE", "mine")
    before = dict(os.environ)
    assert stack(tmp_path, program).preview().ok is not fails
    assert dict(os.environ) == before


def test_another_stacks_resources_are_no_orphans(tmp_path: Path) -> None:
    """Two stacks in one cloud, each of which takes the other's resources for leftovers."""
    succeeded(stack(tmp_path, name="dr").up())
    assert succeeded(stack(tmp_path, lambda: None).preview()).orphans == []


def test_orphans_show_also_when_a_run_fails(tmp_path: Path) -> None:
    """Leftovers that cost money, hidden by the failure that made them."""

    def program() -> None:
        raise ValueError("the program is wrong")

    succeeded(stack(tmp_path).up())
    cloud = stack(tmp_path).cloud()
    made = next(cloud.all(TOPIC))
    cloud.put(replace(made, id="left"))
    cloud.close()
    result = stack(tmp_path, program).up()
    assert not result.ok
    assert result.orphans == [made.urn]


def test_an_engine_that_dies_is_a_failure(tmp_path: Path) -> None:
    """A run that ended in the middle and counts as good, because nobody was left to report an error."""

    def program() -> None:
        [lock] = (tmp_path / "state" / ".pulumi" / "locks").glob(f"*/{PROJECT}/prod/*.json")
        os.kill(json.loads(lock.read_text())["pid"], signal.SIGKILL)

    result = stack(tmp_path, program).up()
    assert not result.ok
    assert "code: -9" in result.errors[0]


def test_half_written_attributes_are_removed_from_this_stack_only(tmp_path: Path) -> None:
    """A killed engine's half of a file that stops every later run, or a file that another engine writes just now."""
    succeeded(stack(tmp_path).up())
    stacks = tmp_path / "state" / ".pulumi" / "stacks" / PROJECT
    mine, theirs, whole = (stacks / f"{name}.json.attrs" for name in ("prod", "dr", "prod.whole"))
    for path in (mine, theirs):
        path.write_text('{"user.cache_control":"",')
    whole.write_text("{}")
    assert succeeded(stack(tmp_path).preview()).count() == {"same": 1}
    assert (mine.exists(), theirs.exists(), whole.exists()) == (False, True, True)


def test_an_engine_that_does_not_end_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second engine on a state that the first one still writes, or a run that waits for ever."""
    monkeypatch.setattr(engine, "SECONDS_TO_END", 0.2)
    lock = tmp_path / "state" / ".pulumi" / "locks" / "organization" / PROJECT / "prod" / "some.json"
    lock.parent.mkdir(parents=True)
    lock.write_text(json.dumps({"pid": os.getpid()}))
    with pytest.raises(OfflineError, match=rf"prod: a Pulumi engine \(process {os.getpid()}\) still works on it"):
        stack(tmp_path).preview()
    assert lock.exists()
