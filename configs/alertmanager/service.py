"""Alertmanager on every server: they form a cluster, so that each alert is told once."""

from __future__ import annotations

from configs.alertmanager.model import model
from configs.alertmanager.paths import CONFIGURATION, NAME, SLACK_URL, SMTP_PASSWORD, TEMPLATES
from configs.context import Context
from configs.manifest import Directory, File, Probe, SecretFile, ServiceKind
from configs.service import NodeService
from configs.tables.accounts import ALERTMANAGER as ACCOUNT
from configs.tables.flows import ALERTMANAGER, ALERTMANAGER_GOSSIP
from configs.tables.paths import data
from configs.tables.versions import Software
from configs.text import template, yaml_text

PEER_SECONDS = 15
"""How long each waits for every peer before it to have told an alert: the reference architecture's value."""


def service(context: Context) -> NodeService:
    """Return the service of a server."""
    files = {
        CONFIGURATION: File.of(yaml_text(model(context.settings.alerts))),
        TEMPLATES: File.of(template("configs", "alertmanager/mlops.tmpl.j2")),
    }
    secrets = (
        SecretFile(path=SMTP_PASSWORD, text="${smtpPassword}", owner=ACCOUNT.name),
        SecretFile(path=SLACK_URL, text="${slackWebhookUrl}", owner=ACCOUNT.name),
    )
    folder, port = data(NAME), ALERTMANAGER_GOSSIP.port
    return NodeService(
        name=NAME,
        software=Software.ALERTMANAGER,
        version=context.settings.version(Software.ALERTMANAGER),
        kind=ServiceKind.BINARY,
        account=ACCOUNT,
        program="/bin/alertmanager",
        arguments=(
            f"--config.file={CONFIGURATION}",
            f"--storage.path={folder}",
            f"--web.listen-address=0.0.0.0:{ALERTMANAGER.port}",
            # It has no public name: the link in a message serves those who are in the network.
            f"--web.external-url=http://{context.address}:{ALERTMANAGER.port}/",
            f"--cluster.listen-address=0.0.0.0:{port}",
            f"--cluster.advertise-address={context.address}:{port}",
            *(f"--cluster.peer={address}:{port}" for address in context.server_addresses),
            f"--cluster.peer-timeout={PEER_SECONDS}s",
            "--cluster.gossip-interval=200ms",
            "--cluster.pushpull-interval=60s",
            "--cluster.settle-timeout=60s",
            # A region never talks to another one's by mistake.
            f"--cluster.label={context.datacenter}",
        ),
        files=files,
        secrets=secrets,
        directories=(Directory(path=folder, owner=ACCOUNT.name),),
        probe=Probe(kind="http", port=ALERTMANAGER.port, path="/-/ready"),
        reload="SIGHUP",
        reloads=(*files, *(file.path for file in secrets)),
    )
