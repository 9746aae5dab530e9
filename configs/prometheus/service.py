"""Prometheus on every server: each scrapes everything and tells every Alertmanager, so that any one is enough."""

from __future__ import annotations

from configs.context import Context
from configs.manifest import Directory, File, Probe, SecretFile, ServiceKind
from configs.prometheus import rules, scrape
from configs.service import NodeService, tls_files
from configs.tables.accounts import PROMETHEUS as ACCOUNT
from configs.tables.flows import ALERTMANAGER, PROMETHEUS
from configs.tables.names import Service
from configs.tables.paths import configuration, data
from configs.tables.secrets import (
    GRAFANA_METRICS_PASSWORD,
    LOAD_BALANCER_STATISTICS_PASSWORD,
    PROMETHEUS_CONSUL_TOKEN,
)
from configs.tables.versions import Software
from configs.text import yaml_text

NAME = "prometheus"

CONFIGURATION = configuration(NAME, "prometheus.yml")

SCRAPE_SECONDS = 15
"""How often everything is asked and every rule is evaluated: twice within the half minute in which somebody who looks
at a dashboard expects to see a change."""

STOP_SECONDS = 120
"""Time to write what is in memory: a kill costs nothing but the time to read the log again at the next start."""


def service(context: Context) -> NodeService:
    """Return the service of a server."""
    monitoring = context.settings.monitoring
    files = {CONFIGURATION: File.of(yaml_text(_model(context))), **rules.files(context)}
    secrets = (
        *tls_files(NAME, ACCOUNT),
        *(
            SecretFile(path=path, text=f"${{{value.name}}}", owner=ACCOUNT.name)
            for path, value in (
                (scrape.CONSUL_TOKEN, PROMETHEUS_CONSUL_TOKEN),
                (scrape.GRAFANA_PASSWORD, GRAFANA_METRICS_PASSWORD),
                (scrape.LOAD_BALANCER_PASSWORD, LOAD_BALANCER_STATISTICS_PASSWORD),
            )
        ),
    )
    folder = data(NAME)
    return NodeService(
        name=NAME,
        software=Software.PROMETHEUS,
        version=context.settings.version(Software.PROMETHEUS),
        kind=ServiceKind.BINARY,
        account=ACCOUNT,
        program="/bin/prometheus",
        arguments=(
            f"--config.file={CONFIGURATION}",
            f"--web.listen-address=0.0.0.0:{PROMETHEUS.port}",
            # Links in alerts lead to this region, whatever the failover says.
            f"--web.external-url=https://{context.public_names.regional(Service.PROMETHEUS, context.region)}/",
            f"--storage.tsdb.path={folder}",
            # As flags: in the file, versions before 3.11 take the time for another unit.
            f"--storage.tsdb.retention.time={monitoring.retention_days}d",
            f"--storage.tsdb.retention.size={monitoring.retention_gigabytes}GB",
        ),
        files=files,
        secrets=secrets,
        directories=(Directory(path=folder, owner=ACCOUNT.name),),
        probe=Probe(kind="http", port=PROMETHEUS.port, path="/-/ready"),
        reload="SIGHUP",
        reloads=(*files, *(file.path for file in secrets)),
        stop_seconds=STOP_SECONDS,
    )


def _model(context: Context) -> dict[str, object]:
    remote_write = _remote_write(context)
    return {
        "global": {
            "scrape_interval": f"{SCRAPE_SECONDS}s",
            "evaluation_interval": f"{SCRAPE_SECONDS}s",
            "external_labels": {"cluster": context.datacenter, "replica": context.node.name},
        },
        "rule_files": [rules.PATTERN],
        "alerting": {
            # Otherwise each alert is another one from each Prometheus, and is told three times.
            "alert_relabel_configs": [{"action": "labeldrop", "regex": "replica"}],
            "alertmanagers": [
                {
                    "static_configs": [
                        {"targets": [f"{address}:{ALERTMANAGER.port}" for address in context.server_addresses]}
                    ],
                    "timeout": "10s",
                    "api_version": "v2",
                }
            ],
        },
        "scrape_configs": scrape.configs(context),
        **({"remote_write": [remote_write]} if remote_write else {}),
    }


def _remote_write(context: Context) -> dict[str, object] | None:
    url = context.settings.monitoring.remote_write_url
    if url is None:
        return None
    return {
        "url": str(url),
        "remote_timeout": "30s",
        # Long-term stores keep one of three copies by these two labels, `cluster` and `__replica__`:
        # https://docs.aws.amazon.com/prometheus/latest/userguide/AMP-ingest-dedupe.html
        "write_relabel_configs": [
            {"source_labels": ["replica"], "target_label": "__replica__"},
            {"action": "labeldrop", "regex": "replica"},
        ],
        "queue_config": {
            "capacity": 10000,
            "max_samples_per_send": 2000,
            "batch_send_deadline": "5s",
            "min_shards": 1,
            "max_shards": 200,
        },
    }
