"""Stack files of a real deployment: copied without what only their owner can decrypt, and never written to."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from configs.settings.model import Settings
from configs.settings.parse import SECRETS, parse_settings
from configs.settings.problem import BLOCK
from engine.stack_files import ROOT, disagreements, lacks_secrets, stack_config, stack_settings, write_copy

GIVEN: dict[str, Any] = stack_config(ROOT, "prod")[BLOCK]
SALT, REAL, OFFLINE = "v1:cmVhbA==:v1:cmVhbA==", {"secure": "AAABAC1yZWFs"}, {"secure": "AAABAC1vZmZsaW5l"}
KEYS: dict[str, dict[str, str]] = {
    "passphrase": {"encryptionsalt": SALT},
    "kms": {"secretsprovider": "awskms://alias/mlops?region=us-west-2", "encryptedkey": "AQICAHhyZWFs"},
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with the project file."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "Pulumi.yaml").write_bytes((ROOT / "Pulumi.yaml").read_bytes())
    return folder


def write(folder: Path, config: Mapping[str, Any], **top: str) -> Path:
    """Write a stack file, and return its path."""
    path = folder / "Pulumi.prod.yaml"
    path.write_text(yaml.safe_dump({**top, "config": dict(config)}))
    return path


def read(path: Path) -> dict[str, Any]:
    """Return a file's content."""
    return yaml.safe_load(path.read_text())


@pytest.mark.parametrize("key", KEYS)
def test_the_copy_is_without_the_owners_secrets(key: str, project: Path, tmp_path: Path) -> None:
    """An offline run that wants the real passphrase or KMS key, or that writes to the tracked file."""
    secrets = {f"mlops-ha:{name}": REAL for name in SECRETS}
    config = {"pulumi:disable-default-providers": ["*"], BLOCK: GIVEN}
    path = write(project, {**config, **secrets}, **KEYS[key])
    before = path.read_bytes()
    work = tmp_path / "deep" / "work"
    write_copy(project, "prod", work)
    assert read(work / "Pulumi.prod.yaml") == {"config": config}
    assert (work / "Pulumi.yaml").read_bytes() == (project / "Pulumi.yaml").read_bytes()
    assert path.read_bytes() == before
    assert sorted(file.name for file in project.iterdir()) == ["Pulumi.prod.yaml", "Pulumi.yaml"]


def test_the_copy_keeps_what_the_engine_wrote_into_it(project: Path, tmp_path: Path) -> None:
    """Secrets encrypted anew with every run, or real ones in place of the offline ones."""
    mine, theirs = {f"mlops-ha:{name}": REAL for name in SECRETS}, {f"mlops-ha:{name}": OFFLINE for name in SECRETS}
    write(project, {BLOCK: {**GIVEN, "domain": "new.example.com"}, **mine}, encryptionsalt=SALT)
    work = tmp_path / "work"
    work.mkdir()
    write(work, {BLOCK: GIVEN, "mlops-ha:forgotten": "x", **theirs}, encryptionsalt="v1:b2ZmbGluZQ==")
    write_copy(project, "prod", work)
    assert read(work / "Pulumi.prod.yaml") == {
        "encryptionsalt": "v1:b2ZmbGluZQ==",
        "config": {BLOCK: {**GIVEN, "domain": "new.example.com"}, **theirs},
    }


@pytest.mark.parametrize(
    ("given", "lacks"), [([], True), (["slackWebhookUrl"], True), (["smtpPassword"], True), ([*SECRETS], False)]
)
def test_every_secret_is_needed(given: list[str], lacks: bool, tmp_path: Path) -> None:
    """One secret there and the other missing: the program refuses to start."""
    write(tmp_path, {f"mlops-ha:{name}": OFFLINE for name in given})
    assert lacks_secrets("prod", tmp_path) is lacks


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """A stack without a file, run with nothing in it."""
    with pytest.raises(FileNotFoundError, match=r"Pulumi\.prod\.yaml: no such stack file"):
        stack_settings(tmp_path, "prod")


SHARED: dict[str, dict[str, Any]] = {
    "accountId": {"accountId": "210987654321"},
    "name": {"name": "other"},
    "domain": {"domain": "other.example.com"},
    "hostedZoneId": {"hostedZoneId": "Z9876543210ABCDEFGHIJ"},
    "regions": {"regions": {**GIVEN["regions"], "archive": {"name": "eu-central-1"}}},
    "failover": {"failover": {"mode": "operator"}},
    "certificates": {
        "certificates": {
            "mode": "acm",
            "primaryCertificateArn": "arn:aws:acm:us-east-1:123456789012:certificate/one",
            "standbyCertificateArn": "arn:aws:acm:us-west-2:123456789012:certificate/two",
        }
    },
    "edge": {"edge": {"zoneId": "0" * 32, "domain": "example.net", "addressRanges": ["198.51.100.0/24"]}},
    "versions": {"versions": {"consul": "1.22.4"}},
    "database.primaryGeneration": {"database": {"primaryGeneration": 2}},
    "database.standbyGeneration": {"database": {"standbyGeneration": 2}},
}
"""Another value of each setting that both stacks must have in common."""

STANDBY = {"role": "standby"}

OWN: list[dict[str, Any]] = [
    {"role": "active"},
    {"role": "leaving"},
    {"database": {"instanceClass": "db.m6i.xlarge"}},
    {"adminCidrs": ["198.51.100.0/24"]},
    {"controlPlane": {"serverCount": 5}},
    {"workers": {"maximum": 30}},
    {"protection": False},
    {"network": {"natGatewayPerZone": False}},
]
"""What a stack may have for itself."""


def settings_of(changed: Mapping[str, Any]) -> Settings:
    """Return the settings of the tracked file with some of them changed."""
    return parse_settings({**GIVEN, **changed}, SECRETS, "Pulumi.dr.yaml")


@pytest.mark.parametrize("setting", SHARED)
def test_a_shared_setting_that_differs_is_named(setting: str) -> None:
    """A standby that looks for the primary's things under names or addresses that the primary does not use."""
    assert disagreements({"prod": settings_of({}), "dr": settings_of({**STANDBY, **SHARED[setting]})}) == [
        f"Pulumi.prod.yaml and Pulumi.dr.yaml differ in {setting}:"
        " both stacks must say the same, one cannot read the other"
    ]


@pytest.mark.parametrize(
    ("prod", "dr", "where"),
    [
        ("primary", "returning", "Pulumi.prod.yaml and Pulumi.dr.yaml"),
        ("active", "leaving", "none"),
        ("standby", "standby", "none"),
    ],
)
def test_exactly_one_stack_builds_the_primary_region(prod: str, dr: str, where: str) -> None:
    """Two stacks that build one region under the same names, on the way home too."""
    generations = {"database": {"primaryGeneration": 2}}
    found = disagreements(
        {"prod": settings_of({"role": prod, **generations}), "dr": settings_of({"role": dr, **generations})}
    )
    assert found == [f"role must be primary or returning in exactly one of the stack files, not in {where}"]


@pytest.mark.parametrize(
    ("prod", "dr"), [("returning", "active"), ("returning", "leaving"), ("primary", "leaving"), ("primary", "active")]
)
def test_the_roles_of_the_way_home_agree(prod: str, dr: str) -> None:
    """A way home that the commands refuse to begin or to finish."""
    generations = {"database": {"primaryGeneration": 2}}
    assert (
        disagreements(
            {"prod": settings_of({"role": prod, **generations}), "dr": settings_of({"role": dr, **generations})}
        )
        == []
    )


def test_what_a_stack_has_for_itself_may_differ() -> None:
    """A standby that must be as large as the primary."""
    for changed in OWN:
        assert disagreements({"prod": settings_of({}), "dr": settings_of({**STANDBY, **changed})}) == [], changed
