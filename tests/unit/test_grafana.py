"""Grafana: where it runs, by which names it is called, how it reaches the others, and what its dashboards ask."""

import configparser
from typing import Any

import pytest

from configs.bundle import services
from configs.context import Context
from configs.grafana.dashboards import metric_names, queried_metrics
from configs.nodes import control_plane
from configs.service import NodeService
from configs.settings.model import Settings
from configs.tables import metrics
from tests.nodes.world import FACTS
from tests.unit.mocks import stack_settings

EDGE = {
    "zoneId": "0123456789abcdef0123456789abcdef",
    "domain": "example.net",
    "addressRanges": ["173.245.48.0/20"],
}


def found(settings: Settings, server: int = 0) -> NodeService | None:
    context = Context(settings, control_plane(settings)[server], FACTS)
    return next((one for one in services(context) if one.name == "grafana"), None)


def grafana(stack: str = "prod", server: int = 0, **changes: Any) -> NodeService:
    service = found(stack_settings(stack, **changes), server)
    assert service is not None
    return service


def section(service: NodeService, name: str) -> dict[str, str]:
    parser = configparser.RawConfigParser()
    parser.read_string(service.files["/etc/mlops-ha/grafana/grafana.ini"].text)
    return dict(parser[name])


@pytest.mark.parametrize(
    ("stack", "role", "runs"),
    [
        ("prod", "primary", True),
        ("dr", "standby", False),
        ("dr", "active", True),
        ("dr", "leaving", False),
    ],
)
def test_runs_where_users_are_served(stack: str, role: str, runs: bool) -> None:
    """Guards against a Grafana that writes to a replica, and ends again and again: its node reports a failure."""
    assert (found(stack_settings(stack, role=role)) is not None) is runs


def test_does_not_run_on_the_way_home() -> None:
    """Guards against a Grafana on the primary region's new database while that still follows the standby region's."""
    assert found(stack_settings("prod", role="returning", database={"primaryGeneration": 2})) is None


def test_servers_share_what_is_said() -> None:
    """Guards against a Grafana that is alone and notifies of its own, or that takes Alertmanager's port."""
    assert section(grafana(server=1), "unified_alerting") == {
        "enabled": "true",
        "execute_alerts": "true",
        "ha_listen_address": "10.10.64.16:9095",
        "ha_advertise_address": "10.10.64.16:9095",
        "ha_peers": "10.10.0.16:9095,10.10.64.16:9095,10.10.128.16:9095",
        "ha_peer_timeout": "15s",
        "ha_gossip_interval": "200ms",
        "ha_push_pull_interval": "60s",
    }


def test_called_by_every_name() -> None:
    """Guards against live dashboards that stay still when they are called by another name than the first."""
    plain = grafana()
    assert section(plain, "live") == {
        "allowed_origins": "https://grafana.mlops.example.com,https://grafana.us-east-1.mlops.example.com"
    }
    behind = grafana("dr", role="active", edge=EDGE)
    assert section(behind, "live") == {
        "allowed_origins": "https://grafana.example.net,https://grafana.mlops.example.com,"
        "https://grafana.us-west-2.mlops.example.com"
    }
    server = section(behind, "server")
    assert (server["domain"], server["root_url"]) == ("grafana.example.net", "https://grafana.example.net/")


def test_nobody_gets_in_unasked() -> None:
    """Guards against a visitor without a password, a cookie that another site can use, and a call to the outside."""
    service = grafana()
    security = section(service, "security")
    assert (security["cookie_secure"], security["cookie_samesite"]) == ("true", "strict")
    assert section(service, "auth.anonymous") == {"enabled": "false"}
    assert section(service, "auth.basic") == {"enabled": "true"}
    users = section(service, "users")
    assert (users["allow_sign_up"], users["allow_org_create"], users["auto_assign_org_role"]) == (
        "false",
        "false",
        "Viewer",
    )
    assert set(section(service, "analytics").values()) == {"false"}
    assert section(service, "metrics") == {
        "enabled": "true",
        "basic_auth_username": "prometheus",
        "basic_auth_password": "$__file{/run/mlops-ha/grafana/metrics-password}",
    }


@pytest.mark.parametrize(
    ("instance_class", "servers", "most", "idle"),
    [("db.m6i.large", 3, 50, 25), ("db.m6i.large", 5, 30, 25), ("db.t4g.small", 3, 21, 21), ("db.t3.micro", 5, 1, 1)],
)
def test_connections_fit_the_pooler(instance_class: str, servers: int, most: int, idle: int) -> None:
    """Guards against a Grafana whose two pools want more than PgBouncer may give, and 0, which means no bound."""
    changes: dict[str, Any] = {
        "database": {"instanceClass": instance_class},
        "controlPlane": {"serverCount": servers},
    }
    database = section(grafana(**changes), "database")
    assert (database["max_open_conn"], database["max_idle_conn"]) == (str(most), str(idle))
    assert (database["host"], database["ssl_mode"]) == ("127.0.0.1:6432", "disable")


def test_the_environment_says_where_things_lie() -> None:
    """Guards against the image's own places, which win over the file and are read-only or gone with the container."""
    service = grafana()
    assert dict(service.environment) == {
        "GF_PATHS_CONFIG": "/etc/mlops-ha/grafana/grafana.ini",
        "GF_PATHS_DATA": "/opt/data/grafana",
        "GF_PATHS_LOGS": "/opt/data/grafana/log",
        "GF_PATHS_PLUGINS": "/opt/data/grafana/plugins",
        "GF_PATHS_PROVISIONING": "/etc/mlops-ha/grafana/provisioning",
    }
    assert [(one.path, one.owner) for one in service.directories] == [("/opt/data/grafana", "grafana")]
    assert service.probe.model_dump() == {"kind": "https", "port": 3000, "path": "/api/health"}


@pytest.mark.parametrize(
    ("expression", "names"),
    [
        ("up", {"up"}),
        ('sum(up{job="consul"})', {"up"}),
        ('max by (state) (sum by (node, state) (a_b{c="d or e"})) / on (node) group_left (x) f', {"a_b", "f"}),
        ("(time() - a) and (b == 0) or vector(0)", {"a", "b"}),
        ("rate(a_total[$__rate_interval]) * 1e3 > bool 5", {"a_total"}),
        ("histogram_quantile(0.9, sum without (x) (rate(a:b_bucket[5m] offset 1h)))", {"a:b_bucket"}),
    ],
)
def test_metrics_of_an_expression(expression: str, names: set[str]) -> None:
    """Guards against a metric that nothing exposes and nobody notices, because it was not read out of a query."""
    assert metric_names(expression) == names


def test_dashboards_ask_for_what_we_publish_ourselves() -> None:
    """Guards against a figure of our own that is published and shown nowhere."""
    own = {
        metrics.CERTIFICATE_EXPIRY,
        metrics.NODE_HEALTHY,
        metrics.SERVICE_HEALTHY,
        metrics.TRAINING_FINISHED,
        metrics.TRAINING_LOSS,
        metrics.TRAINING_PROGRESS,
        metrics.TRAINING_STEP,
    }
    asked = queried_metrics()
    assert own < asked
    prefixes = {name.partition("_")[0] for name in asked}
    assert prefixes == {"consul", "haproxy", "ml", "mlops", "nginx", "node", "nomad", "pg", "up"}
