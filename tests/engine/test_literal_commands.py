"""The commands as an engineer types them: `pulumi preview --stack prod`, with the plain CLI and no driver of ours.

The engine, its CLI and the program are the real ones. Two things stand in: the offline providers, and a language
host attached by its port in place of the official one, which ships with the official CLI only. What stays unproven
is that host's own start-up.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Generator
from pathlib import Path

import pytest
import yaml

from configs.settings.parse import SECRETS
from offline.cloud import Cloud
from offline.engine import bring, offline_environment, offline_providers
from offline.language_host import language_host
from offline.stack_files import ROOT, STACKS, stack_settings

Run = Callable[..., str]


@pytest.fixture
def run(tmp_path: Path) -> Generator[Run, None, None]:
    """A terminal in a copy of the checkout, with Pulumi's CLI and an empty state: runs a line, returns its output."""
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    for name in ("Pulumi.yaml", "Pulumi.prod.yaml", "Pulumi.dr.yaml", "__main__.py"):
        shutil.copy(ROOT / name, checkout)
    cloud = Cloud(tmp_path / "cloud.sqlite")
    bring(stack_settings(ROOT, "prod"), cloud)

    def typed(command: str, expected: int = 0) -> str:
        variables = {
            "HOME": str(tmp_path),
            "PULUMI_DEBUG_LANGUAGES": f"python:{port}",
            # The state is not written after every step: nobody kills these runs, and it takes most of their time.
            "PULUMI_EXPERIMENTAL": "true",
            "PULUMI_SKIP_CHECKPOINTS": "true",
        }
        with offline_environment(cloud, offline_providers(cloud, {}, []), tmp_path / "state", variables):
            done = subprocess.run(command.split(), cwd=checkout, capture_output=True, text=True, check=False)
        assert done.returncode == expected, done.stdout + done.stderr
        return done.stdout + done.stderr

    with language_host() as port:
        yield typed
    cloud.close()


def test_pulumi_yaml_names_the_virtual_environment() -> None:
    """A project file that makes Pulumi run the program with some other Python."""
    project = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())
    assert project["name"] == "mlops-ha"
    assert project["runtime"] == {"name": "python", "options": {"toolchain": "pip", "virtualenv": ".venv"}}


def test_the_commands_of_the_readme(run: Run) -> None:
    """A program that only our own driver can run."""
    for stack in STACKS:
        run(f"pulumi stack init {stack}")
        if stack == "prod":
            missing = run(f"pulumi preview --stack {stack}", expected=1)
            for name in SECRETS:
                assert f"pulumi config set --secret {name} --stack {stack}" in missing
                run(f"pulumi config set --secret {name} value-of-{name} --stack {stack}")
        assert re.search(r"\+ [34]\d\d to create", run(f"pulumi preview --stack {stack}"))
        assert "created" in run(f"pulumi up --yes --stack {stack}")
        assert "unchanged" in run(f"pulumi preview --stack {stack} --expect-no-changes")
        outputs = json.loads(run(f"pulumi stack output --json --stack {stack}"))
        assert outputs["role"] == {"prod": "primary", "dr": "standby"}[stack]
        assert len(outputs["loadBalancerAddresses"]) == 3


def test_wrong_settings_are_shown_without_a_traceback(run: Run) -> None:
    """An engineer who reads a Python traceback instead of what to correct."""
    run("pulumi stack init prod")
    for name in SECRETS:
        run(f"pulumi config set --secret {name} x --stack prod")
    run("pulumi config set --path mlops-ha:platform.controlPlane.serverCount 4 --stack prod")
    shown = run("pulumi preview --stack prod", expected=1)
    assert "mlops-ha:platform.controlPlane.serverCount" in shown
    assert "3 or 5" in shown
    assert "Traceback" not in shown
    assert "aws:ec2" not in shown


def test_a_text_in_place_of_the_settings_is_shown_as_such(run: Run) -> None:
    """`pulumi config set mlops-ha:platform ...` without --path, which makes the block a plain text."""
    run("pulumi stack init prod")
    run("pulumi config set mlops-ha:platform hello --stack prod")
    shown = run("pulumi preview --stack prod", expected=1)
    assert 'given:   "hello"' in shown
    assert "a block of settings" in shown
    assert "Traceback" not in shown
