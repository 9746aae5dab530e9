"""What Prometheus scrapes, and how it finds it: fixed addresses by name, everything else through Consul."""

from __future__ import annotations

from collections.abc import Sequence

from configs.context import Context
from configs.nodes import Node
from configs.routing import STATISTICS_USER
from configs.tables.flows import (
    ALERTMANAGER,
    CONSUL_HTTP,
    CONSUL_HTTPS,
    GRAFANA,
    LOAD_BALANCER_STATISTICS,
    NODE_EXPORTER,
    NOMAD_AUTOSCALER,
    NOMAD_HTTP,
    POSTGRES_EXPORTER,
    PROMETHEUS,
    Flow,
)
from configs.tables.paths import secret
from configs.tables.schedulers import NODE_EXPORTER_SERVICE, NOMAD_CLIENT_SERVICE

CONSUL_TOKEN = secret("prometheus", "consul-token")
GRAFANA_PASSWORD = secret("prometheus", "grafana-password")
LOAD_BALANCER_PASSWORD = secret("prometheus", "load-balancer-password")

GRAFANA_USER = "prometheus"
"""User of Grafana's metrics."""

CONSUL = "consul"
NOMAD_SERVERS = "nomad-servers"
NOMAD_CLIENTS = "nomad-jobs"
NODES = "node-exporter"
LOAD_BALANCERS = "load-balancers"
TRAINING = "ml-training"
SERVICES = "consul-services"
"""Labels ``job`` of what is scraped; the others are called as their service is."""

METRICS_TAG = "metrics"
"""Tag of services in Consul that have their metrics at /metrics."""


def configs(context: Context) -> list[dict[str, object]]:
    """Return the scrape configurations of a region: every Prometheus has the same."""
    servers, balancers = context.servers, context.load_balancers
    server_name, client_name = f"server.{context.datacenter}.consul", f"client.{context.datacenter}.consul"
    found: list[dict[str, object]] = [
        {
            "job_name": CONSUL,
            "metrics_path": "/v1/agent/metrics",
            "params": {"format": ["prometheus"]},
            "scheme": "https",
            "authorization": {"credentials_file": CONSUL_TOKEN},
            "tls_config": {
                **_verified(server_name),
                "cert_file": secret("prometheus", "certificate.pem"),
                "key_file": secret("prometheus", "private-key.pem"),
            },
            "static_configs": _targets(servers, CONSUL_HTTPS),
        },
        {
            "job_name": NOMAD_SERVERS,
            **_nomad(),
            "tls_config": _verified(f"server.{context.region}.nomad"),
            "static_configs": _targets(servers, NOMAD_HTTP),
        },
        {
            "job_name": NOMAD_CLIENTS,
            **_nomad(),
            "tls_config": _verified(f"client.{context.region}.nomad"),
            # Nomad registers its HTTP API under this name by itself, with its kind of port as tag.
            "consul_sd_configs": [_consul([NOMAD_CLIENT_SERVICE], tags=["http"])],
            "relabel_configs": [_node()],
        },
        {
            "job_name": NODES,
            "static_configs": _targets([*servers, *balancers], NODE_EXPORTER),
            "consul_sd_configs": [_consul([NODE_EXPORTER_SERVICE])],
            "relabel_configs": [_node()],
        },
        *(
            {"job_name": name, "static_configs": _targets(servers, flow)}
            for name, flow in (
                ("prometheus", PROMETHEUS),
                ("alertmanager", ALERTMANAGER),
                ("postgres-exporter", POSTGRES_EXPORTER),
            )
        ),
        {
            "job_name": "nomad-autoscaler",
            "metrics_path": "/v1/metrics",
            "params": {"format": ["prometheus"]},
            "static_configs": _targets(servers, NOMAD_AUTOSCALER),
        },
        {
            "job_name": LOAD_BALANCERS,
            "scheme": "https",
            "basic_auth": {"username": STATISTICS_USER, "password_file": LOAD_BALANCER_PASSWORD},
            "tls_config": _verified(client_name),
            "static_configs": _targets(balancers, LOAD_BALANCER_STATISTICS),
        },
        {
            "job_name": TRAINING,
            # What was pushed says itself whose it is.
            "honor_labels": True,
            "consul_sd_configs": [_consul(["pushgateway"])],
        },
        {
            "job_name": SERVICES,
            "consul_sd_configs": [_consul([], tags=[METRICS_TAG])],
            "relabel_configs": [
                {"source_labels": ["__meta_consul_service"], "target_label": "job"},
                # Not as `instance`: two allocations of a job on one worker would be one series.
                _node(),
            ],
        },
    ]
    if context.settings.serves:
        found.append(
            {
                "job_name": "grafana",
                "scheme": "https",
                "basic_auth": {"username": GRAFANA_USER, "password_file": GRAFANA_PASSWORD},
                "tls_config": _verified(server_name),
                "static_configs": _targets(servers, GRAFANA),
            }
        )
    return found


def _node() -> dict[str, object]:
    # Targets with fixed addresses have no name from Consul, and keep their own.
    return {"source_labels": ["__meta_consul_node"], "regex": "(.+)", "target_label": "node"}


def _nomad() -> dict[str, object]:
    return {"metrics_path": "/v1/metrics", "params": {"format": ["prometheus"]}, "scheme": "https"}


def _targets(nodes: Sequence[Node], flow: Flow) -> list[dict[str, object]]:
    return [{"targets": [f"{node.address}:{flow.port}"], "labels": {"node": str(node.name)}} for node in nodes]


def _consul(services: list[str], tags: Sequence[str] = ()) -> dict[str, object]:
    """Ask the node's own Consul server."""
    return {
        "server": f"127.0.0.1:{CONSUL_HTTP.port}",
        "authorization": {"credentials_file": CONSUL_TOKEN},
        "services": services,
        **({"tags": list(tags)} if tags else {}),
    }


def _verified(name: str) -> dict[str, object]:
    """Whoever answers must have the certificate of its role: addresses are in none."""
    return {"ca_file": secret("prometheus", "ca.pem"), "server_name": name}
