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
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from configs.settings.parse import SECRETS
from engine.stack_files import ROOT, stack_settings
from offline.cloud import Cloud, Resource
from offline.engine import bring, offline_environment, offline_providers
from offline.language_host import language_host
from tests.engine.conftest import stack_of


@dataclass(frozen=True)
class Terminal:
    """A terminal in a copy of the checkout, with Pulumi's CLI, an empty state and a cloud."""

    typed: Callable[[str, int], str]
    cloud: Cloud

    def __call__(self, command: str, expected: int = 0) -> str:
        """Type a line, which must end with the expected exit code; return its output."""
        return self.typed(command, expected)

    def deploy(self, resources: Iterable[Resource]) -> None:
        """Have resources exist that another run deployed."""
        for resource in resources:
            self.cloud.put(resource)


@pytest.fixture
def run(tmp_path: Path) -> Generator[Terminal, None, None]:
    """A terminal whose cloud is empty."""
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    for name in ("Pulumi.yaml", "Pulumi.prod.yaml", "Pulumi.dr.yaml", "__main__.py"):
        shutil.copy(ROOT / name, checkout)
    cloud = Cloud(tmp_path / "cloud.sqlite")
    bring(stack_settings(ROOT, "prod"), cloud)

    def typed(command: str, expected: int) -> str:
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
        yield Terminal(typed, cloud)
    cloud.close()


def test_pulumi_yaml_names_the_virtual_environment() -> None:
    """A project file that makes Pulumi run the program with some other Python."""
    project = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())
    assert project["name"] == "mlops-ha"
    assert project["runtime"] == {"name": "python", "options": {"toolchain": "pip", "virtualenv": ".venv"}}


def test_the_commands_of_the_readme(run: Terminal, home: Path) -> None:
    """A program that only our own driver can run."""
    run("pulumi stack init prod")
    missing = run("pulumi preview --stack prod", expected=1)
    for name in SECRETS:
        assert f"pulumi config set --secret {name} --stack prod" in missing
        run(f"pulumi config set --secret {name} value-of-{name} --stack prod")
    assert re.search(r"\+ [45]\d\d to create", run("pulumi preview --stack prod"))
    # One stack is typed to its end, the smaller one; its primary was deployed by our own driver.
    other = stack_of("prod", home).cloud()
    run.deploy(resource for resource in other.all() if resource.urn.startswith("urn:pulumi:prod::"))
    other.close()
    run("pulumi stack init dr")
    assert "created" in run("pulumi up --yes --stack dr")
    assert "unchanged" in run("pulumi preview --stack dr --expect-no-changes")
    outputs = json.loads(run("pulumi stack output --json --stack dr"))
    assert outputs["role"] == "standby"
    assert len(outputs["loadBalancerAddresses"]) == 3


def test_wrong_settings_are_shown_without_a_traceback(run: Terminal) -> None:
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


def test_a_text_in_place_of_the_settings_is_shown_as_such(run: Terminal) -> None:
    """`pulumi config set mlops-ha:platform ...` without --path, which makes the block a plain text."""
    run("pulumi stack init prod")
    run("pulumi config set mlops-ha:platform hello --stack prod")
    shown = run("pulumi preview --stack prod", expected=1)
    assert 'given:   "hello"' in shown
    assert "a block of settings" in shown
    assert "Traceback" not in shown
