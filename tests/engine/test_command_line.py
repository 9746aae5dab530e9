"""`mlops-ha` as it is typed, in a copy of the checkout: what it prints, its exit codes, its messages."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from configs.settings.problem import BLOCK
from engine.stack_files import ROOT


class Checkout:
    """A copy of the files that git tracks or would, and the command line in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        listed = subprocess.run(listing, cwd=ROOT, capture_output=True, check=True, text=True)
        for name in listed.stdout.split("\0"):
            if name.endswith((".j2", ".py", ".yaml")) and not name.startswith("tests/") and (ROOT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, folder / name)
        for name in ("go.mod", "go.sum"):
            shutil.copy(ROOT / "toolchain" / "pulumi" / name, folder / "toolchain" / "pulumi" / name)

    def run(self, *arguments: str, expected: int = 0, variables: Mapping[str, str] | None = None) -> tuple[str, str]:
        """Run the command line with more variables in its environment; return what it printed on both channels."""
        done = subprocess.run(
            [sys.executable, "-m", "cli", *arguments],
            cwd=self.folder,
            env={**os.environ, "COLUMNS": "80", "NO_COLOR": "1", **(variables or {})},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == expected, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout, done.stderr

    def change(self, stack: str, **settings: Any) -> None:
        """Change settings of one stack."""
        path = self.folder / f"Pulumi.{stack}.yaml"
        content = yaml.safe_load(path.read_text())
        content["config"][BLOCK].update(settings)
        path.write_text(yaml.safe_dump(content))


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    """A copy of the checkout with no state."""
    (tmp_path / "toolchain" / "pulumi").mkdir(parents=True)
    return Checkout(tmp_path)


@pytest.fixture
def used(checkout: Checkout, deployed: tuple[Path, object]) -> Checkout:
    """A copy of the checkout with both stacks deployed from it."""
    shutil.copytree(deployed[0], checkout.folder / ".offline")
    return checkout


def test_help_says_that_nothing_leaves_the_machine(checkout: Checkout) -> None:
    """An engineer who takes `mlops-ha up` for a deployment to AWS, or the other way round."""
    shown, _ = checkout.run("--help")
    assert "no AWS account is needed" in shown
    assert "pulumi up --stack prod" in shown
    for command in ("preview", "up", "refresh", "destroy", "export", "schema"):
        assert f" {command} " in shown


def test_a_first_look(checkout: Checkout) -> None:
    """A summary that misses what a reviewer looks for."""
    shown, _ = checkout.run("preview")
    for text in (
        "prod · primary",
        "dr · standby",
        "FailoverDns",
        "mlops-balancer-network",
        "consul.mlops.example.com",
        "168 s after the primary is lost",
        "Billed by the hour",
        "m6in.2xlarge instance",
    ):
        assert text in " ".join(shown.split())
    assert json.loads(checkout.run("export", "--stack", "prod")[0]).get("resources", []) == []


def test_a_deployed_stack(used: Checkout) -> None:
    """A summary that programs cannot read, a change that it hides, a destroy that begins."""
    done = json.loads(used.run("up", "--stack", "dr", "--json")[0])
    assert (done["ok"], done["role"], done["region"]) == (True, "standby", "us-west-2")
    assert done["worstCaseFailoverSeconds"] == 168
    assert sum(row["count"] for row in done["resources"]) == done["changes"]["same"]
    assert {row["region"] for row in done["resources"]} == {"us-west-2"}
    assert "mlops-switch-bucket" in done["protected"]
    billed = {(row["component"], row["what"]): row["count"] for row in done["hourly"]}
    assert billed["ControlPlane", "m6in.2xlarge instance"] == 3
    assert len(json.loads(used.run("export", "--stack", "dr")[0])["resources"]) > done["changes"]["same"]
    used.change("dr", adminCidrs=["198.51.100.0/24"])
    shown, _ = used.run("preview", "--stack", "dr")
    assert "mlops-groups-admins" in shown
    assert "entries[0].cidr" in shown
    _, refusal = used.run("destroy", "--stack", "dr", expected=1)
    assert "nothing was deleted" in refusal
    assert "mlops-switch-bucket" in refusal


def test_a_standby_alone_is_refused_in_one_line(checkout: Checkout) -> None:
    """A traceback in place of what to do first."""
    _, message = checkout.run("up", "--stack", "dr", expected=1)
    assert message.splitlines()[0].endswith("in us-west-2: deploy the primary stack first")


def test_wrong_settings_are_one_message(checkout: Checkout) -> None:
    """A traceback, half of the errors, or an engine that was started for nothing."""
    checkout.change("prod", controlPlane={"serverCount": 4}, workers={"minimum": 30})
    _, message = checkout.run("preview", "--stack", "prod", expected=1)
    assert message.startswith("Pulumi.prod.yaml: 2 settings are wrong\n")
    assert "mlops-ha:platform.controlPlane.serverCount" in message
    assert "mlops-ha:platform.workers.minimum" in message
    assert not (checkout.folder / ".offline").exists()
    _, both = checkout.run("preview", expected=1)
    assert both == message


def test_stacks_that_disagree_are_refused(checkout: Checkout) -> None:
    """A standby that stands by for another platform."""
    checkout.change("dr", domain="other.example.com")
    _, message = checkout.run("preview", expected=1)
    assert message == (
        "Pulumi.prod.yaml and Pulumi.dr.yaml differ in domain: both stacks must say the same, one cannot read the"
        " other\n"
    )


def test_two_standbys_are_refused(checkout: Checkout) -> None:
    """Two stacks that build the same region under the same names, and nobody who answers first."""
    checkout.change("prod", role="standby")
    _, message = checkout.run("preview", "--stack", "prod", expected=1)
    assert message == "role must be primary or returning in exactly one of the stack files, not in none\n"


def test_errors_of_both_files_are_shown_at_once(checkout: Checkout) -> None:
    """A second round of corrections."""
    checkout.change("prod", role="primray")
    checkout.change("dr", role="stanby")
    _, message = checkout.run("preview", expected=1)
    assert "Pulumi.prod.yaml: 1 setting is wrong" in message
    assert "Pulumi.dr.yaml: 1 setting is wrong" in message


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"config: null\n", "mlops-ha:platform\n    given:   nothing"),
        (b"config: hello\n", 'config\n    given:   "hello"'),
        (b"- config\n", "allowed: a block with the key config"),
        (b"config: [\n", "allowed: YAML"),
        (b"config: \xff\n", "allowed: YAML"),
        (b"", "mlops-ha:platform\n    given:   nothing"),
        (b"config:\n  mlops-ha:slackWebhookUrl: https://example.com\n", "pulumi config set --secret slackWebhookUrl"),
    ],
    ids=["null", "text", "list", "no-yaml", "no-text", "empty", "secret-in-the-clear"],
)
def test_a_malformed_stack_file_is_one_message(content: bytes, expected: str, checkout: Checkout) -> None:
    """A traceback out of the YAML parser."""
    (checkout.folder / "Pulumi.prod.yaml").write_bytes(content)
    for arguments in (("preview", "--stack", "prod"), ("preview", "--json")):
        _, message = checkout.run(*arguments, expected=1)
        assert message.startswith(
            ("Pulumi.prod.yaml: 1 setting is wrong\n", "Pulumi.prod.yaml: 2 settings are wrong\n")
        )
        assert expected in message
        assert "example.com" not in message


def test_an_engineers_own_environment_has_no_part_in_it(used: Checkout) -> None:
    """An offline run that reads somebody's AWS profile, follows a proxy, or asks another endpoint."""
    hostile = {
        "AWS_PROFILE": "nosuch",
        "AWS_ENDPOINT_URL_ROUTE_53": "http://127.0.0.1:9",
        "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true",
        "HTTP_PROXY": "http://127.0.0.1:9",
        "HTTPS_PROXY": "http://127.0.0.1:9",
        "http_proxy": "http://127.0.0.1:9",
        "https_proxy": "http://127.0.0.1:9",
    }
    # The gate before the calculated check asks Route 53, the one before a bundle asks S3.
    for stack in ("prod", "dr"):
        used.change(stack, failover={"mode": "operator"}, versions={"nodeExporter": "1.9.2"})
    done = json.loads(used.run("up", "--stack", "prod", "--json", variables=hostile)[0])
    assert done["ok"]
    assert done["changes"]["update"] > 6


def test_what_a_real_user_encrypted_and_another_region(checkout: Checkout) -> None:
    """An offline run that fails for want of the key of somebody's secrets, however deep they lie; or in a region
    that the settings accept and the offline cloud stumbles over; and wrong seconds."""
    for stack in ("prod", "dr"):
        path = checkout.folder / f"Pulumi.{stack}.yaml"
        path.write_text(path.read_text().replace("us-east-1", "eu-central-1"))
        checkout.change(stack, failover={"mode": "operator"})
    path = checkout.folder / "Pulumi.prod.yaml"
    content = yaml.safe_load(path.read_text())
    content["encryptionsalt"] = "v1:AAAA:v1:BBBB"
    content["secretsprovider"] = "awskms://alias/somebody"
    content["encryptedkey"] = "CCCC"
    content["config"]["mlops-ha:slackWebhookUrl"] = {"secure": "v1:DDDD"}
    content["config"]["mlops-ha:nested"] = {"deeper": [{"secure": "v1:EEEE"}]}
    path.write_text(yaml.safe_dump(content))
    before = path.read_bytes()
    shown, _ = checkout.run("preview", "--stack", "prod")
    assert "eu-central-1" in shown
    assert "136 s after the switch is written" in " ".join(shown.split())
    assert path.read_bytes() == before


def test_a_file_in_place_of_the_state_is_one_message(checkout: Checkout) -> None:
    """A traceback because of what lies in the way."""
    (checkout.folder / ".offline").write_text("")
    _, message = checkout.run("preview", "--stack", "prod", expected=1)
    assert ".offline" in message


def test_a_busy_stack_is_refused(checkout: Checkout) -> None:
    """Two engines that write one state."""
    home = checkout.folder / ".offline"
    home.mkdir()
    with (home / "prod.lock").open("w") as lock:
        lock.write("4711")
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)
        _, message = checkout.run("preview", "--stack", "prod", expected=1)
    assert message == "prod: process 4711 is working on this stack. Wait for it, or end it.\n"


def test_unknown_stack_is_a_wrong_call(checkout: Checkout) -> None:
    """A misspelt stack that becomes a new one."""
    _, message = checkout.run("preview", "--stack", "production", expected=2)
    assert "'production' is not one of 'prod', 'dr'" in " ".join(message.replace("│", "").split())
