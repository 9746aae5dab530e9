"""The dark test: the runbook of a lost region, word for word, with nothing of us-east-1 left that answers."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from configs.settings.model import StackRole
from engine.stack_files import ROOT, stack_settings
from lab.rehearsal import Rehearsal
from tests.engine.test_failover import HERE, STEPS, in_the_state
from toolchain import environment

STATUS, DRY_RUN, FAILOVER = "make status", "make failover options=--dry-run", "make failover"
VERIFY = ".venv/bin/mlops-ha verify --stack dr"

RUNBOOK = ROOT / "docs" / "runbooks" / "region-lost.md"


def _set_up(checkout: Path) -> None:
    """Leave what `make setup` leaves. Never a link to our own environment: a setup would make it anew."""
    programs = checkout / ".venv" / "bin"
    programs.mkdir(parents=True)
    (programs / "python").symlink_to(sys.executable)
    command = programs / "mlops-ha"
    command.write_text(f'#!/bin/sh\nPYTHONPATH="{checkout}" exec "{sys.executable}" -m cli "$@"\n')
    command.chmod(0o755)
    (checkout / ".venv" / "setup.json").write_text(json.dumps(environment.wanted(checkout, dev=False)))
    assert environment.is_ready(checkout, dev=False)


def commands() -> list[str]:
    """Return the lines of the shell blocks under "Command"."""
    section = re.split(r"^## ", RUNBOOK.read_text(), flags=re.MULTILINE)
    [text] = [part for part in section if part.startswith("Command\n")]
    return [
        line
        for block in re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
        for line in block.split("\n")
        if line
    ]


def typed(stage: Rehearsal, command: str) -> str:
    """Type a command in the checkout, and return what it printed."""
    done = subprocess.run(
        ["sh", "-c", command],
        cwd=stage.checkout,
        env={**os.environ, "PYTHON": sys.executable, "COLUMNS": "200"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


def test_word_for_word_in_the_dark(dark: Rehearsal) -> None:
    """A runbook found wrong at three in the morning; a failover that needs the lost region, or works twice."""
    _set_up(dark.checkout)
    printed = {command: typed(dark, command) for command in commands()}
    assert list(printed) == [STATUS, DRY_RUN, FAILOVER, VERIFY]
    # What the runbook says that one sees.
    assert "would stop" not in printed[DRY_RUN]
    assert re.search(r"6/9 .*: to do: within 60 min: 2 create, 1 delete, 10 update$", printed[DRY_RUN], re.MULTILINE)
    assert printed[FAILOVER].count(": done: ") == STEPS
    assert re.search(r"^ ?9/9 report: done: RTO .* RPO: ", printed[FAILOVER], re.MULTILINE)
    assert "dr: quorum, targets, workers, database, ML data, TLS, services: as they should be" in printed[VERIFY]
    for expected in (
        r"failover switch +│ written",
        "us-west-2, active",
        r"the public names lead to +│ us-west-2",
        "available, its own",
    ):
        assert re.search(expected, printed[STATUS]), printed[STATUS]
    assert stack_settings(dark.checkout, "dr").role is StackRole.ACTIVE
    assert stack_settings(ROOT, "dr").role is StackRole.STANDBY
    # What people get: the name leads here, the database is its own, the platform's job runs.
    assert dark.addresses("grafana.mlops.example.com") == (dark.doors[HERE].address,)
    assert set(dark.doors[HERE].jobs) == {"pushgateway"}
    # Nothing was asked of the lost region but by `status`, nor of the two services that live there.
    assert dark.account.refusals == []
    assert {call.region for call in dark.calls["aws"]} == {HERE}
    changing = [call for call in dark.calls["aws"] if call.method not in ("Check", "Diff")]
    assert not {call.token.split(":")[1].partition("/")[0] for call in changing} & {"route53", "iam"}

    before, asked, seen = in_the_state(dark), len(dark.account.calls), len(dark.calls["aws"])
    again = typed(dark, FAILOVER)
    assert again.count(": already: ") == 4
    assert "nothing to change" in again
    assert in_the_state(dark) == before
    assert {call.region for call in dark.account.calls[asked:]} == {HERE}
    assert {call.method for call in dark.calls["aws"][seen:]} <= {"Check", "Diff", "Invoke"}
    # The time that counts is the first run's.
    first, second = (re.search(r"RTO .*? UTC\.", text) for text in (printed[FAILOVER], again))
    assert first is not None
    assert second is not None
    assert first[0] == second[0]
