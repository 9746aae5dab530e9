"""The gate before the deciding health check, in the real engine: it holds, and it holds again the next time."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import botocore.waiter
import pytest

from offline import endpoint
from offline.engine import OfflineStack
from tests.engine.conftest import succeeded, write_project
from tests.engine.ways_in import failover_names, small_stack

RECORD = "mlops-dns-origin.mlops.example.com-primary"
CHECK = "mlops-dns-region"


def no_pause(_: float) -> None:
    """Take no time: the waiter's 60 looks are what is waited for."""


NO_PAUSES = SimpleNamespace(sleep=no_pause)


def names(stack: OfflineStack) -> set[str]:
    """Return the names of the resources in the state."""
    return {resource["urn"].rpartition("::")[2] for resource in stack.state_resources()}


def test_a_check_without_a_verdict_is_never_attached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new inverted check, unhealthy until somebody looks, that sends everyone to the standby."""
    stack = small_stack("prod", tmp_path, failover_names)
    monkeypatch.setattr(endpoint, "CHECKERS", {})
    monkeypatch.setattr(botocore.waiter, "time", NO_PAUSES)
    for _ in range(2):
        result = stack.up()
        assert any("has no verdict of all checkers after 300 s" in error for error in result.errors), result.errors
        assert {"mlops-dns-switch", "mlops-dns-endpoint"} <= names(stack)
        assert not {RECORD, CHECK} & names(stack)
    monkeypatch.undo()
    succeeded(stack.up())
    assert {RECORD, CHECK} <= names(stack)


def test_a_replaced_check_settles_before_it_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another interval replaces the checks: the old ones decide until the new ones have a verdict."""
    succeeded(small_stack("prod", tmp_path / "home", failover_names).up())
    project = write_project(tmp_path / "project", lambda block: block.update(failover={"checkIntervalSeconds": 30}))
    stack = small_stack("prod", tmp_path / "home", failover_names, project)

    def children() -> list[str]:
        return next(r for r in stack.state_resources() if r["urn"].endswith(CHECK))["inputs"]["childHealthchecks"]

    before = children()
    monkeypatch.setattr(endpoint, "CHECKERS", {})
    monkeypatch.setattr(botocore.waiter, "time", NO_PAUSES)
    assert any("has no verdict" in error for error in stack.up().errors)
    assert children() == before
    monkeypatch.undo()
    succeeded(stack.up())
    assert not set(children()) & set(before)
    assert stack.cloud().find(endpoint.HEALTH_CHECK, value=before[0]) is None
