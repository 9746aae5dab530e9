"""Alertmanager: who is told, which alert is left out beside which, and what its cluster is made of."""

import re
from typing import Any

import yaml

from configs.alertmanager.model import GROUP_SECONDS, model
from configs.alertmanager.paths import CONFIGURATION
from configs.alertmanager.service import PEER_SECONDS, service
from configs.context import BundleFacts, Context
from configs.nodes import control_plane
from configs.prometheus.rules import alerts
from tests.unit.mocks import stack_settings

FACTS = BundleFacts("database.example.com", "fs-0")


def context(**changes: Any) -> Context:
    settings = stack_settings("prod", **changes)
    return Context(settings, control_plane(settings)[1], FACTS)


def test_cluster_is_all_servers() -> None:
    """A peer that nobody knows: it tells everything once more."""
    arguments = service(context(controlPlane={"serverCount": 5})).arguments
    assert [one for one in arguments if one.startswith("--cluster.")] == [
        "--cluster.listen-address=0.0.0.0:9094",
        "--cluster.advertise-address=10.10.64.16:9094",
        "--cluster.peer=10.10.0.16:9094",
        "--cluster.peer=10.10.64.16:9094",
        "--cluster.peer=10.10.128.16:9094",
        "--cluster.peer=10.10.0.17:9094",
        "--cluster.peer=10.10.64.17:9094",
        "--cluster.peer-timeout=15s",
        "--cluster.gossip-interval=200ms",
        "--cluster.pushpull-interval=60s",
        "--cluster.settle-timeout=60s",
        "--cluster.label=mlops-us-east-1",
    ]


def test_the_last_peer_has_its_turn_within_a_group() -> None:
    """A last of five peers that tells what was true before what the first one has told since."""
    assert GROUP_SECONDS > 4 * PEER_SECONDS


def test_what_is_inhibited_exists() -> None:
    """An alert that was renamed: it is told beside the one that explains it."""
    named = {
        name
        for rule in yaml.safe_load(service(context()).files[CONFIGURATION].text)["inhibit_rules"]
        for matcher in (*rule["source_matchers"], *rule["target_matchers"])
        for name in re.findall(r'alertname=~"(.*)"', matcher)[0].split("|")
    }
    assert named - {alert.name for alert in alerts(context())} == set()
    assert len(named) == 12


def test_people_and_secrets() -> None:
    """A message to somebody else, or a secret that lies in a file that everybody reads."""
    email = {"smarthost": "smtp.example.com", "user": "u", "sender": "a@example.com"}
    people = {"defaultRecipient": "ops@example.com", "criticalRecipient": "night@example.com"}
    slack = {"criticalChannel": "#wake", "trainingChannel": "#train"}
    found: Any = model(context(alerts={"email": {**email, **people}, "slack": slack}).settings.alerts)
    assert found["global"] == {
        "smtp_smarthost": "smtp.example.com:587",
        "smtp_from": "a@example.com",
        "smtp_auth_username": "u",
        "smtp_auth_password_file": "/run/mlops-ha/alertmanager/smtp-password",
        "smtp_require_tls": True,
    }
    told = {
        receiver["name"]: (
            [one["to"] for one in receiver.get("email_configs", [])],
            [(one["channel"], one["api_url_file"]) for one in receiver.get("slack_configs", [])],
        )
        for receiver in found["receivers"]
    }
    url = "/run/mlops-ha/alertmanager/slack-url"
    assert told == {
        "nobody": ([], []),
        "default": (["ops@example.com"], []),
        "critical-alerts": (["night@example.com"], [("#wake", url)]),
        "ml-team": ([], [("#train", url)]),
    }
    sends = [one for receiver in found["receivers"] for kind in receiver if kind != "name" for one in receiver[kind]]
    assert [one["send_resolved"] for one in sends] == [True] * 4
