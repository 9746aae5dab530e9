"""Where Alertmanager's files lie."""

from __future__ import annotations

from configs.tables.paths import configuration, secret

NAME = "alertmanager"
CONFIGURATION = configuration(NAME, "alertmanager.yml")
TEMPLATES = configuration(NAME, "templates/mlops.tmpl")
SMTP_PASSWORD = secret(NAME, "smtp-password")
SLACK_URL = secret(NAME, "slack-url")
