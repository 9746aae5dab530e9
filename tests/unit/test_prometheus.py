"""Prometheus: what differs between servers and stacks, and what a change costs."""

from dataclasses import replace
from typing import Any, cast

import yaml

from configs.context import BundleFacts, Context
from configs.nodes import control_plane
from configs.postgres_exporter import service as exporter
from configs.prometheus.rules import PATTERN, alerts
from configs.prometheus.service import CONFIGURATION, service
from tests.unit.mocks import stack_settings

FACTS = BundleFacts("database.example.com", "fs-0")


def context(stack: str = "prod", server: int = 0, **changes: Any) -> Context:
    settings = stack_settings(stack, **changes)
    return Context(settings, control_plane(settings)[server], FACTS)


def model(where: Context) -> dict[str, Any]:
    return yaml.safe_load(service(where).files[CONFIGURATION].text)


def test_servers_differ_by_their_replica_alone() -> None:
    """A Prometheus that sees something else than its peers, or whose series are taken for theirs."""
    first, second = model(context(server=0)), model(context(server=1))
    assert first["global"].pop("external_labels") == {"cluster": "mlops-us-east-1", "replica": "control-plane-1"}
    assert second["global"].pop("external_labels") == {"cluster": "mlops-us-east-1", "replica": "control-plane-2"}
    assert first == second
    # Their alerts are the same ones.
    assert first["alerting"]["alert_relabel_configs"] == [{"action": "labeldrop", "regex": "replica"}]
    assert first["alerting"]["alertmanagers"] == [
        {
            "static_configs": [{"targets": ["10.10.0.16:9093", "10.10.64.16:9093", "10.10.128.16:9093"]}],
            "timeout": "10s",
            "api_version": "v2",
        }
    ]


def test_long_term_storage() -> None:
    """Metrics sent to nobody, or three times."""
    assert "remote_write" not in model(context())
    url = "https://metrics.example.com/api/v1/write"
    assert model(context(monitoring={"remoteWriteUrl": url}))["remote_write"] == [
        {
            "url": url,
            "remote_timeout": "30s",
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
    ]


def test_retention() -> None:
    """A disk that is filled, or a month that is gone after two weeks."""
    arguments = service(context(monitoring={"retentionDays": 30, "retentionGigabytes": 7})).arguments
    assert [one for one in arguments if "retention" in one] == [
        "--storage.tsdb.retention.time=30d",
        "--storage.tsdb.retention.size=7GB",
    ]


def test_a_change_restarts_nothing() -> None:
    """A new rule that costs a restart, in which Prometheus reads its log again and scrapes nothing."""
    found = service(context())
    assert set(found.reloads) == {*found.files, *(secret.path for secret in found.secrets)}
    assert found.manifest.restarts == ()
    assert {path for path in found.files if path != CONFIGURATION} == {
        PATTERN.replace("*", name)
        for name in ("database", "load-balancer", "monitoring", "nodes", "quorum", "training", "workers")
    }


def test_what_a_standby_does_not_watch() -> None:
    """Alerts all day about Grafana and jobs that a standby does not run."""
    jobs = {stack: {job["job_name"] for job in model(context(stack))["scrape_configs"]} for stack in ("prod", "dr")}
    assert jobs["prod"] - jobs["dr"] == {"grafana"}
    names = {stack: {alert.name for alert in alerts(context(stack))} for stack in ("prod", "dr")}
    assert names["prod"] - names["dr"] == {"AutoscalerStuck", "TrainingNotWatched"}
    assert names["dr"] < names["prod"]
    [backend] = [alert for alert in alerts(context("dr")) if alert.name == "NoBackend"]
    assert "grafana" not in backend.expression


def test_five_servers_are_all_watched() -> None:
    """A larger control plane of which three servers are watched."""
    where = context(controlPlane={"serverCount": 5})
    jobs = {job["job_name"]: job for job in cast(list[dict[str, Any]], model(where)["scrape_configs"])}
    assert [one["labels"]["node"] for one in jobs["consul"]["static_configs"]] == [
        f"control-plane-{number}" for number in range(1, 6)
    ]
    [apart] = [alert for alert in alerts(where) if alert.name == "AlertmanagersApart"]
    assert apart.expression == "alertmanager_cluster_members < 5"


def test_exporter_asks_the_database_of_its_region() -> None:
    """A password among the arguments, or a database that is asked without TLS."""
    found = exporter.service(replace(context(), facts=BundleFacts("mlops.rds.example.com", "fs-0")))
    assert found.environment == {
        "DATA_SOURCE_URI": "mlops.rds.example.com:5432/grafana?sslmode=require",
        "DATA_SOURCE_USER": "grafana",
        "DATA_SOURCE_PASS_FILE": "/run/mlops-ha/postgres-exporter/password",
    }
    assert [(secret.path, secret.text, secret.owner, secret.mode) for secret in found.secrets] == [
        ("/run/mlops-ha/postgres-exporter/password", "${databasePassword}", "postgres-exporter", "0400")
    ]
