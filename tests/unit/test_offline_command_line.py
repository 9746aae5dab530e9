"""The commands on both stacks, with made-up engines: their order, when they stop, and their exit code."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from typer.testing import CliRunner

import cli.cloud
import cli.main
from engine.stack_files import ROOT, STACKS, stack_settings
from offline.engine import OfflineError
from offline.result import OfflineResult
from offline.summary import as_data


class Children:
    """Stands for the processes that run a stack each; those in ``fail`` fail, those in ``crash`` do not start."""

    def __init__(self) -> None:
        self.started: list[tuple[str, ...]] = []
        self.fail: set[str] = set()
        self.crash: set[str] = set()

    def run(self, command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        """Note a command and answer as the child would."""
        assert command[:3] == [sys.executable, "-m", "cli"]
        self.started.append(tuple(command[3:]))
        operation, stack = command[3], command[5]
        if stack in self.crash:
            return subprocess.CompletedProcess(command, 1, "", f"{stack}: no engine\n")
        errors = [f"{stack} [broke]"] if stack in self.fail else []
        report = as_data(OfflineResult(stack, operation, errors=errors), stack_settings(ROOT, stack))
        return subprocess.CompletedProcess(command, 1 if errors else 0, json.dumps(report), "")


@pytest.fixture
def children(monkeypatch: pytest.MonkeyPatch) -> Children:
    """The processes that are started from now on."""
    made = Children()
    monkeypatch.setattr(cli.cloud.subprocess, "run", made.run)
    return made


def ran(*arguments: str) -> tuple[int, str, str]:
    """Run a command; return its exit code and what it printed on both channels."""
    result = CliRunner().invoke(cli.main.app, list(arguments))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


@pytest.mark.parametrize(
    ("operation", "order"),
    [("up", ["prod", "dr"]), ("refresh", ["prod", "dr"]), ("destroy", ["dr", "prod"])],
)
def test_stacks_run_in_their_order_and_stop_at_the_first_failure(
    operation: str, order: list[str], children: Children
) -> None:
    """The primary deleted before its standby, or a standby deployed for a primary that failed."""
    assert ran(operation)[0] == 0
    assert children.started == [(operation, "--stack", stack, "--json") for stack in order]
    children.started.clear()
    children.fail = {order[0]}
    assert ran(operation)[0] == 1
    assert [command[2] for command in children.started] == order[:1]


def test_a_preview_shows_both_also_when_one_fails(children: Children) -> None:
    """A failure of one stack that hides those of the other."""
    children.fail = {*STACKS}
    code, shown, _ = ran("preview", "--json")
    assert code == 1
    assert [(report["stack"], report["ok"], report["errors"]) for report in json.loads(shown)] == [
        ("prod", False, ["prod [broke]"]),
        ("dr", False, ["dr [broke]"]),
    ]
    assert sorted(command[2] for command in children.started) == ["dr", "prod"]


def test_a_failure_is_shown_and_is_no_success(
    children: Children, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pipeline that goes on after a failed deployment, or a table that looks like a good one."""
    children.fail = {"dr"}
    monkeypatch.setattr(sys, "argv", ["mlops-ha", "up"])
    with pytest.raises(SystemExit) as left:
        cli.main.main()
    shown = capsys.readouterr()
    assert left.value.code == 1
    assert "dr: dr [broke]" in shown.err
    assert "Resources" not in shown.out


def test_a_child_that_does_not_start_is_one_message(children: Children) -> None:
    """A stack that was never looked at and is taken for good."""
    children.crash = {"dr"}
    with pytest.raises(OfflineError, match=r"^dr: no engine$"):
        ran("preview")


@pytest.mark.parametrize(
    "failure", [FileNotFoundError("no such stack file"), OfflineError("somebody else [works] on it")]
)
def test_what_can_be_mended_is_one_message(
    failure: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A traceback where one sentence says it all, a sentence without what stood in brackets, or exit code 0."""

    def fail() -> None:
        raise failure

    monkeypatch.setattr(cli.main, "app", fail)
    with pytest.raises(SystemExit) as left:
        cli.main.main()
    assert left.value.code == 1
    assert capsys.readouterr().err == f"{failure}\n"
