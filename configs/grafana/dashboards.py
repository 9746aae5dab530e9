"""Dashboards as models: what they ask, how it is shown, and which metrics that takes.

The JSON: https://grafana.com/docs/grafana/v12.4/dashboards/build-dashboards/view-dashboard-json-model/ . A dashboard
is rows of panels; where a panel lies follows from its place in its row.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import count

from configs.grafana.sources import PROMETHEUS
from configs.nomad_autoscaler.policy import READY, allocated_percent
from configs.prometheus.scrape import CONSUL, LOAD_BALANCERS, NOMAD_SERVERS
from configs.tables import metrics

SCHEMA_VERSION = 41
"""Version of the model. Grafana brings older ones up to its own when it reads them."""

_COLUMNS = 24
"""Width of a dashboard, in Grafana's units."""

_HEIGHTS = {"stat": 4, "timeseries": 8}
"""Heights of panels, in Grafana's units of 30 pixels: a number needs half of what a curve needs."""

_WINDOW = "$__rate_interval"
"""Grafana's own: at least four scrapes, and more when the curve has fewer points than that
(https://grafana.com/docs/grafana/v12.4/datasources/prometheus/template-variables/#use-__rate_interval)."""


class Unit(StrEnum):
    """Grafana's name of a unit."""

    NONE = "short"
    PERCENT = "percent"
    SHARE = "percentunit"
    BYTES = "bytes"
    SECONDS = "s"
    MILLISECONDS = "ms"
    PER_SECOND = "ops"
    MEGAHERTZ = "rotmhz"


@dataclass(frozen=True)
class Query:
    """A question to Prometheus: ``expression`` in PromQL, ``legend`` with ``{{label}}`` for a label of an answer."""

    expression: str
    legend: str = ""


@dataclass(frozen=True)
class Panel:
    """A number or a curve.

    ``kind`` is Grafana's panel; ``least`` is where a number turns from red to green, None: it is neither.
    """

    title: str
    queries: tuple[Query, ...]
    unit: Unit = Unit.NONE
    kind: str = "timeseries"
    least: float | None = None
    description: str = ""


@dataclass(frozen=True)
class Dashboard:
    """A dashboard: ``uid`` is part of its address, so it stays."""

    uid: str
    title: str
    rows: tuple[tuple[Panel, ...], ...]

    def panels(self) -> Iterator[Panel]:
        """Yield its panels."""
        for row in self.rows:
            yield from row

    def model(self) -> dict[str, object]:
        """Return it as Grafana reads it."""
        return {
            "uid": self.uid,
            "title": self.title,
            "tags": ["mlops-ha"],
            "schemaVersion": SCHEMA_VERSION,
            "editable": False,
            "timezone": "utc",
            "time": {"from": "now-6h", "to": "now"},
            "refresh": "30s",
            # One cross hair for all curves: what happened at the same time.
            "graphTooltip": 1,
            "panels": list(self._placed()),
        }

    def _placed(self) -> Iterator[dict[str, object]]:
        numbers, top = count(1), 0
        for row in self.rows:
            height, width = max(_HEIGHTS[panel.kind] for panel in row), _COLUMNS // len(row)
            for column, panel in enumerate(row):
                place = {"h": height, "w": width, "x": column * width, "y": top}
                yield {"id": next(numbers), "gridPos": place, **_panel(panel)}
            top += height


def _panel(panel: Panel) -> dict[str, object]:
    source = {"type": "prometheus", "uid": PROMETHEUS}
    stat = panel.kind == "stat"
    steps: list[dict[str, object]] = [{"color": "text" if panel.least is None else "red", "value": None}]
    if panel.least is not None:
        steps.append({"color": "green", "value": panel.least})
    targets = [
        {
            "refId": letter,
            "datasource": source,
            "expr": query.expression,
            "legendFormat": query.legend or "__auto",
            "instant": stat,
            "range": not stat,
        }
        for letter, query in zip("ABCDEFGH", panel.queries, strict=False)
    ]
    options: dict[str, object] = (
        {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "value", "textMode": "auto"}
        if stat
        else {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi", "sort": "desc"}}
    )
    return {
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": source,
        "targets": targets,
        "options": options,
        "fieldConfig": {
            "defaults": {"unit": panel.unit, "thresholds": {"mode": "absolute", "steps": steps}},
            "overrides": [],
        },
    }


def _stat(
    title: str, expression: str, unit: Unit = Unit.NONE, *, least: float | None = None, about: str = ""
) -> Panel:
    return Panel(title, (Query(expression),), unit, "stat", least, about)


def _curve(title: str, *queries: tuple[str, str], unit: Unit = Unit.NONE, about: str = "") -> Panel:
    return Panel(title, tuple(Query(*query) for query in queries), unit, description=about)


def _rate(metric: str) -> str:
    return f"rate({metric}[{_WINDOW}])"


def _quorum() -> Dashboard:
    def scheduler(name: str, job: str, prefix: str) -> tuple[tuple[Panel, ...], ...]:
        # Autopilot speaks on the leader; the others answer 0 or nothing.
        tolerance = f'max({prefix}_autopilot_failure_tolerance{{job="{job}"}})'
        return (
            (
                _stat(f"{name}: servers that answer", f'sum(up{{job="{job}"}})', least=2),
                _stat(
                    f"{name}: servers it can lose",
                    tolerance,
                    least=1,
                    about="What autopilot on the leader says: at 0 the next loss stops the group.",
                ),
                _stat(f"{name}: autopilot is content", f'max({prefix}_autopilot_healthy{{job="{job}"}})', least=1),
            ),
        )

    commit = "Time until a majority has a change on disk: above some 50 ms the disks or the network are slow."
    return Dashboard(
        "mlops-quorum",
        "Quorum",
        (
            *scheduler("Consul", CONSUL, "consul"),
            *scheduler("Nomad", NOMAD_SERVERS, "nomad_nomad"),
            (
                _curve(
                    "Consul: commit time, 90th percentile",
                    ('consul_raft_commitTime{quantile="0.9"}', "{{node}}"),
                    unit=Unit.MILLISECONDS,
                    about=commit,
                ),
                _curve(
                    "Nomad: commit time, 90th percentile",
                    ('nomad_raft_commitTime{quantile="0.9"}', "{{node}}"),
                    unit=Unit.MILLISECONDS,
                    about=commit,
                ),
            ),
            (
                _curve("Consul: who leads", ("consul_server_isLeader", "{{node}}")),
                _curve("Consul: changes", (_rate("consul_raft_apply"), "{{node}}"), unit=Unit.PER_SECOND),
                _curve("Nomad: changes", (_rate("nomad_raft_apply"), "{{node}}"), unit=Unit.PER_SECOND),
            ),
            (
                _curve(
                    "Nodes that report that they are healthy", (f"min by (node) ({metrics.NODE_HEALTHY})", "{{node}}")
                ),
                _curve(
                    "Services that answer their probe",
                    (f"min by (node, service) ({metrics.SERVICE_HEALTHY})", "{{node}} {{service}}"),
                ),
            ),
            (
                _curve(
                    "Certificates end",
                    (f"min by (certificate) ({metrics.CERTIFICATE_EXPIRY}) - time()", "{{certificate}}"),
                    unit=Unit.SECONDS,
                ),
                _curve(
                    "Free disk",
                    (
                        'min by (node, mountpoint) (node_filesystem_avail_bytes{fstype!~"tmpfs|overlay|squashfs"}'
                        ' / node_filesystem_size_bytes{fstype!~"tmpfs|overlay|squashfs"})',
                        "{{node}} {{mountpoint}}",
                    ),
                    unit=Unit.SHARE,
                ),
            ),
        ),
    )


def _workers(target: int, least: int, most: int) -> Dashboard:
    return Dashboard(
        "mlops-workers",
        "Workers and autoscaling",
        (
            (
                _stat(
                    "Workers",
                    f"count(nomad_client_uptime{READY})",
                    least=least,
                    about=f"The autoscaler keeps between {least} and {most}.",
                ),
                _stat("Jobs that run", "max(nomad_nomad_job_status_running)"),
                _stat("Jobs that wait for room", "max(nomad_nomad_blocked_evals_total_blocked)"),
                _stat("Policies that the autoscaler follows", "max(nomad_autoscaler_policy_total_num)", least=1),
            ),
            (
                _curve(
                    "Allocated CPU",
                    (allocated_percent("cpu"), "allocated"),
                    (f"vector({target})", "target"),
                    unit=Unit.PERCENT,
                    about="What the autoscaler steers by.",
                ),
                _curve("Workers", (f"count(nomad_client_uptime{READY})", "workers")),
            ),
            (
                _curve(
                    "Allocated CPU by worker",
                    (f"sum by (node) (nomad_client_allocated_cpu{READY})", "{{node}}"),
                    unit=Unit.MEGAHERTZ,
                ),
                _curve(
                    "Memory in use by worker",
                    ("sum by (node) (nomad_client_host_memory_used)", "{{node}}"),
                    unit=Unit.BYTES,
                ),
            ),
            (
                _curve(
                    "Tasks",
                    ("sum(nomad_client_allocations_running)", "running"),
                    ("sum(nomad_client_allocations_pending)", "pending"),
                    ("sum(nomad_client_allocations_blocked)", "blocked"),
                ),
                _curve(
                    "Scalings",
                    ("sum(nomad_autoscaler_scale_invoke_success_count)", "done since the start"),
                ),
            ),
        ),
    )


def _load_balancers() -> Dashboard:
    return Dashboard(
        "mlops-load-balancers",
        "Load balancers",
        (
            (
                _stat("Load balancers that answer", f'sum(up{{job="{LOAD_BALANCERS}"}})', least=2),
                _stat("Services without a server", 'count(haproxy_backend_status{state="DOWN"} == 1) or vector(0)'),
                _stat("Connections of HAProxy", "sum(haproxy_process_current_connections)"),
                _stat("Connections of Nginx", "sum(nginx_connections_active)"),
            ),
            (
                _curve(
                    "Requests by service",
                    (f"sum by (proxy) ({_rate('haproxy_backend_http_requests_total')})", "{{proxy}}"),
                    unit=Unit.PER_SECOND,
                ),
                _curve(
                    "Failed answers by service",
                    (
                        f'sum by (proxy) (rate(haproxy_backend_http_responses_total{{code="5xx"}}[{_WINDOW}]))',
                        "{{proxy}}",
                    ),
                    unit=Unit.PER_SECOND,
                ),
            ),
            (
                _curve("Servers by service", ("haproxy_backend_active_servers", "{{proxy}}")),
                _curve(
                    "Answer time by service",
                    ("haproxy_backend_response_time_average_seconds", "{{proxy}}"),
                    unit=Unit.SECONDS,
                    about="Average of the last 1,024 requests.",
                ),
            ),
            (
                _curve(
                    "Retries and other servers tried",
                    (f"sum by (proxy) ({_rate('haproxy_backend_retry_warnings_total')})", "{{proxy}} again"),
                    (f"sum by (proxy) ({_rate('haproxy_backend_redispatch_warnings_total')})", "{{proxy}} elsewhere"),
                    unit=Unit.PER_SECOND,
                ),
                _curve(
                    "Nginx",
                    ("nginx_connections_reading", "reading"),
                    ("nginx_connections_writing", "writing"),
                    ("nginx_connections_waiting", "waiting"),
                ),
            ),
        ),
    )


def _database() -> Dashboard:
    return Dashboard(
        "mlops-database",
        "Database",
        (
            (
                _stat("It answers", "min(pg_up)", least=1),
                _stat(
                    "Lag of this region's database",
                    "max(pg_replication_lag_seconds)",
                    Unit.SECONDS,
                    about="0 on a primary. Where users are not served it is what a failover now would lose.",
                ),
                _stat("Connections", "max(sum by (node) (pg_stat_database_numbackends))"),
                _stat("Connections that it takes", "max(pg_settings_max_connections)"),
            ),
            (
                _curve(
                    "Connections by state",
                    (
                        'max by (state) (sum by (node, state) (pg_stat_activity_count{datname="grafana"}))',
                        "{{state}}",
                    ),
                ),
                _curve(
                    "Transactions",
                    (f"max(sum by (node) ({_rate('pg_stat_database_xact_commit')}))", "done"),
                    (f"max(sum by (node) ({_rate('pg_stat_database_xact_rollback')}))", "rolled back"),
                    unit=Unit.PER_SECOND,
                ),
            ),
            (
                _curve(
                    "Replicas behind",
                    ("max by (client_addr) (pg_stat_replication_pg_wal_lsn_diff)", "{{client_addr}}"),
                    unit=Unit.BYTES,
                ),
                _curve("Size", ("max by (datname) (pg_database_size_bytes)", "{{datname}}"), unit=Unit.BYTES),
            ),
            (
                _curve(
                    "Longest transaction", ("max(pg_stat_activity_max_tx_duration)", "seconds"), unit=Unit.SECONDS
                ),
                _curve("Deadlocks", (f"max(sum by (node) ({_rate('pg_stat_database_deadlocks')}))", "deadlocks")),
            ),
        ),
    )


def _training() -> Dashboard:
    unfinished = f"(time() - {metrics.TRAINING_PROGRESS}) and ({metrics.TRAINING_FINISHED} == 0)"
    return Dashboard(
        "mlops-training",
        "ML training",
        (
            (
                _stat("Jobs that train", f"count({metrics.TRAINING_FINISHED} == 0) or vector(0)"),
                _stat("Jobs that are done", f"count({metrics.TRAINING_FINISHED} == 1) or vector(0)"),
                _stat(
                    "Longest without a checkpoint",
                    f"max({unfinished}) or vector(0)",
                    Unit.SECONDS,
                    about="What a lost worker costs of the job that it hits.",
                ),
            ),
            (
                _curve("Loss", (metrics.TRAINING_LOSS, "{{job}} {{instance}}")),
                _curve("Step", (metrics.TRAINING_STEP, "{{job}} {{instance}}")),
            ),
            (
                _curve(
                    "Since the last checkpoint",
                    (f"time() - {metrics.TRAINING_PROGRESS}", "{{job}} {{instance}}"),
                    unit=Unit.SECONDS,
                ),
            ),
        ),
    )


def dashboards(*, target: int, least: int, most: int) -> tuple[Dashboard, ...]:
    """Return the dashboards.

    Args:
        target: allocated CPU that the autoscaler aims at, in per cent.
        least: fewest workers.
        most: most workers.
    """
    return (_quorum(), _workers(target, least, most), _load_balancers(), _database(), _training())


_STRING = re.compile(r'"[^"]*"')
_BRACES = re.compile(r"\{[^}]*\}|\[[^\]]*\]")
_LABELS = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)")
_CALL = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*(?=\s*\()")
_NAME = re.compile(r"(?<![\w:.])[a-zA-Z_:][a-zA-Z0-9_:]*")
_WORDS = frozenset({"and", "or", "unless", "bool", "offset"})


def metric_names(expression: str) -> frozenset[str]:
    """Return the metrics that a PromQL expression asks for: names that are no function, word or label.

    >>> sorted(metric_names('sum by (node) (rate(a_total{b="c"}[5m])) / d or vector(0)'))
    ['a_total', 'd']
    """
    for pattern in (_STRING, _BRACES, _LABELS, _CALL):
        expression = pattern.sub(" ", expression)
    return frozenset(_NAME.findall(expression)) - _WORDS


def queried_metrics() -> frozenset[str]:
    """Return the metrics that the dashboards ask for, all together."""
    found = dashboards(target=0, least=0, most=0)
    expressions = (query.expression for one in found for panel in one.panels() for query in panel.queries)
    return frozenset[str]().union(*map(metric_names, expressions))
