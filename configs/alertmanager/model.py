"""Alertmanager's file: routes, receivers, and which alert makes another one superfluous."""

from __future__ import annotations

from configs.alertmanager.paths import SLACK_URL, SMTP_PASSWORD, TEMPLATES
from configs.prometheus.rules import WATCHDOG
from configs.settings.model import AlertSettings
from configs.tables.flows import SMTP_OUT
from configs.tables.metrics import TRAINING_GROUP

Part = dict[str, object]

GROUP_SECONDS = 120
"""Between two messages of a group. The last of five peers waits 60 s for those before it: with less between two
messages it would tell what was true before the message that the first peer has sent since."""


def model(alerts: AlertSettings) -> Part:
    """Return Alertmanager's configuration."""
    return {
        "global": {
            "smtp_smarthost": f"{alerts.email.smarthost}:{SMTP_OUT.port}",
            "smtp_from": str(alerts.email.sender),
            "smtp_auth_username": str(alerts.email.user),
            "smtp_auth_password_file": SMTP_PASSWORD,
            "smtp_require_tls": True,
        },
        "templates": [TEMPLATES],
        "route": {
            "receiver": "default",
            "group_by": ["alertname"],
            "group_wait": "10s",
            "group_interval": f"{GROUP_SECONDS}s",
            "repeat_interval": "12h",
            "routes": [
                # It fires always, and nobody wants to read it every twelve hours.
                {"matchers": [f'alertname="{WATCHDOG}"'], "receiver": "nobody"},
                # Who trains is told too when training is what is critical.
                {"matchers": ['severity="critical"'], "receiver": "critical-alerts", "continue": True},
                {"matchers": [f'service="{TRAINING_GROUP}"'], "receiver": "ml-team"},
            ],
        },
        "inhibit_rules": [
            _inhibits(["NoLeader"], ["QuorumAtRisk", "ServerUnhealthy", "SnapshotTooOld"], ["service"]),
            _inhibits(["QuorumAtRisk"], ["ServerUnhealthy"], ["service"]),
            _inhibits(["NodeMissing"], ["TargetMissing", "NodeUnhealthy", "AgentSilent"], ["node"]),
            _inhibits(["DiskFull"], ["DiskFilling"], ["node", "mountpoint"]),
            _inhibits(["CertificateEnds"], ["CertificateExpiring"], ["certificate"]),
        ],
        "receivers": [
            {"name": "nobody"},
            {"name": "default", "email_configs": [_email(alerts.email.default_recipient)]},
            {
                "name": "critical-alerts",
                "email_configs": [_email(alerts.email.critical_recipient)],
                "slack_configs": [_slack(alerts.slack.critical_channel)],
            },
            {"name": "ml-team", "slack_configs": [_slack(alerts.slack.training_channel)]},
        ],
    }


def _inhibits(sources: list[str], targets: list[str], equal: list[str]) -> Part:
    return {
        "source_matchers": [f'alertname=~"{"|".join(sources)}"'],
        "target_matchers": [f'alertname=~"{"|".join(targets)}"'],
        "equal": equal,
    }


def _email(recipient: object) -> Part:
    return {
        "to": str(recipient),
        "send_resolved": True,
        "headers": {"subject": '{{ template "mlops.subject" . }}'},
        "text": '{{ template "mlops.text" . }}',
        "html": '{{ template "mlops.html" . }}',
    }


def _slack(channel: object) -> Part:
    return {
        "api_url_file": SLACK_URL,
        "channel": str(channel),
        "send_resolved": True,
        "title": '{{ template "mlops.subject" . }}',
        "text": '{{ template "mlops.text" . }}',
    }
