"""The runbook of a lost region, followed word for word in an offline rehearsal."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import pytest

from configs.settings.model import StackRole
from engine.stack_files import ROOT, stack_settings
from lab.rehearsal import Rehearsal, rehearsal
from tests.engine.test_takeover import lose_the_primary
from toolchain import environment

RUNBOOK = ROOT / "docs" / "runbooks" / "region-lost.md"


@pytest.fixture
def dark(home: Path, tmp_path: Path) -> Generator[Rehearsal]:
    """A checkout as a user has it after `make setup`, both regions deployed, and us-east-1 gone."""
    with rehearsal(home, tmp_path / "checkout") as stage:
        _set_up(stage.checkout)
        stage.lose_the_primary()
        stage.account.refused_services |= {"route53", "iam"}
        lose_the_primary(stage.home)
        yield stage


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


def test_word_for_word(dark: Rehearsal) -> None:
    """A runbook that somebody finds out to be wrong at three in the morning."""
    printed: dict[str, str] = {}
    for command in commands():
        done = subprocess.run(
            ["sh", "-c", command],
            cwd=dark.checkout,
            env={**os.environ, "PYTHON": sys.executable, "COLUMNS": "200"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        printed[command] = done.stdout
    assert list(printed) == [
        "make status",
        "make failover options=--dry-run",
        "make failover",
        ".venv/bin/mlops-ha verify --stack dr",
    ]
    # What the runbook says that one sees.
    assert "would stop" not in printed["make failover options=--dry-run"]
    assert re.search(r"^ ?9/9 report: done: RTO .* RPO: ", printed["make failover"], re.MULTILINE)
    assert (
        "dr: quorum, targets, workers, database, ML data, TLS, services: as they should be"
        in printed[".venv/bin/mlops-ha verify --stack dr"]
    )
    status = printed["make status"]
    for expected in (r"failover switch +│ written", "us-west-2, active", r"the public names lead to +│ us-west-2"):
        assert re.search(expected, status), status
    assert re.search(r"available, its own", status), status
    assert stack_settings(dark.checkout, "dr").role is StackRole.ACTIVE
    assert stack_settings(ROOT, "dr").role is StackRole.STANDBY
    assert dark.account.refusals == []
