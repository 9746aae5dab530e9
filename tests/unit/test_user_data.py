"""The bootstrap: constant, small, without a secret, and what cloud-init and systemd read as it is meant."""

import inspect
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from configs.nodes import AGENT_KEY
from configs.tables.names import Names
from configs.user_data import ENVIRONMENT_FILE, SERVICE, UNIT, user_data
from offline.checks.machines import USER_DATA_BYTES
from tests.unit.mocks import REGIONS

NAMES = Names("mlops", "123456789012", "us-west-2")


@pytest.mark.parametrize("region", REGIONS)
def test_is_small(region: str) -> None:
    """Guards against a bootstrap that grows, a line at a time, until EC2 refuses it."""
    longest = Names("abcdefghijkl", "123456789012", region)
    assert len(user_data(longest).encode()) < 2048 < USER_DATA_BYTES


def test_depends_on_nothing_but_the_region() -> None:
    """Guards against a change of a setting that stops every server: user data takes names, and no setting or node."""
    assert list(inspect.signature(user_data).parameters) == ["names"]
    assert user_data(NAMES) == user_data(Names("mlops", "123456789012", "us-west-2"))


def test_is_exactly_what_cloud_init_is_to_do() -> None:
    """Guards against a machine that boots and does nothing, or does it only once."""
    text = user_data(NAMES)
    assert text.startswith("#cloud-config\n")
    assert yaml.safe_load(text) == {
        "write_files": [
            {
                "path": ENVIRONMENT_FILE,
                "content": "AWS_DEFAULT_REGION=us-west-2\nBUNDLES_BUCKET=mlops-123456789012-us-west-2-bundles\n",
            },
            {"path": f"/etc/systemd/system/{SERVICE}", "content": UNIT},
        ],
        "runcmd": [["systemctl", "daemon-reload"], ["systemctl", "enable", "--now", "--no-block", SERVICE]],
    }


def settings_of(unit: str) -> dict[str, str]:
    """What a unit sets; none of ours sets anything twice."""
    lines = [line.partition("=") for line in unit.splitlines() if line[:1] not in ("", "[", "#")]
    known = {name: value for name, _, value in lines}
    assert len(known) == len(lines)
    return known


def test_never_gives_up() -> None:
    """Guards against a machine that is lost because S3 did not answer when it booted."""
    unit = settings_of(UNIT)
    assert (unit["Restart"], unit["StartLimitIntervalSec"], unit["RestartSec"]) == ("always", "0", "10")
    assert unit["ExecStartPre"].startswith("-")
    assert unit["WantedBy"] == "multi-user.target"


def test_runs_what_it_fetched() -> None:
    """Guards against an agent that is put in one place and looked for in another."""
    unit = settings_of(UNIT)
    *_, source, target = unit["ExecStartPre"].split()
    assert source == f"s3://${{BUNDLES_BUCKET}}/{AGENT_KEY}"
    assert target == "/var/lib/mlops-ha/agent.py"
    assert unit["ExecStart"].split() == ["/usr/bin/python3", target]
    assert (unit["StateDirectory"], unit["EnvironmentFile"]) == ("mlops-ha", ENVIRONMENT_FILE)


def verified(unit: str, folder: Path) -> str:
    """What systemd says of a unit; its programs are replaced by one that every machine has."""
    path = folder / SERVICE
    path.write_text(unit.replace("/usr/bin/aws", "/bin/true").replace("/usr/bin/python3", "/bin/true"))
    command = ["systemd-analyze", "verify", "--man=no", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stderr if SERVICE in done.stderr or done.returncode else ""


def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    """Guards against a setting that systemd ignores because it is misspelt or in the wrong section."""
    if shutil.which("systemd-analyze") is None:
        pytest.fail("systemd-analyze is not on the PATH: install the package systemd, it checks the unit")
    assert verified(UNIT, tmp_path) == ""
    assert "StartLimitIntervalSecs" in verified(UNIT.replace("IntervalSec=", "IntervalSecs="), tmp_path)
