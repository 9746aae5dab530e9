"""What Prometheus derives from what it scrapes, and what it tells people: few alerts, each with a runbook.

``critical`` wakes somebody: people are without the service, or one more loss makes them so. ``warning`` is for
working hours. Metrics are called as the programs of the pinned versions call them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from configs.alarms import FIVE_MINUTES, LAG_SECONDS, QUARTER_HOUR, Severity
from configs.context import Context
from configs.manifest import File
from configs.nodes import SNAPSHOT_MINUTES
from configs.nomad_autoscaler.policy import DRAIN_SECONDS, NODE_CLASS, allocated_percent
from configs.prometheus import scrape
from configs.tables.certificates import ALARM_DAYS
from configs.tables.metrics import (
    CERTIFICATE_EXPIRY,
    NODE_HEALTHY,
    REPORTED,
    SNAPSHOT_TAKEN,
    TRAINING_FINISHED,
    TRAINING_GROUP,
    TRAINING_PROGRESS,
)
from configs.tables.names import Service
from configs.tables.paths import DATA_PATH, configuration
from configs.tables.schedulers import SCHEDULERS
from configs.text import yaml_text

PATTERN = configuration("prometheus", "rules/*.yaml")
"""Where the rules lie."""

WATCHDOG = "Watchdog"
"""Alert that always fires: who sees it knows that alerts arrive."""

LEADER = "mlops:leader:present"
"""1 while a scheduler (label ``service``) has a leader, 0 otherwise."""

TOLERANCE = "mlops:failure_tolerance:servers"
"""Servers that a scheduler (label ``service``) may lose and still have a quorum; absent without a leader."""

WHOLE = "mlops:servers:whole"
"""1 while every server of a scheduler (label ``service``) is healthy, 0 otherwise; absent without a leader."""

ALLOCATED = "mlops:workers_allocated_cpu:percent"
"""What the autoscaler looks at."""

WORKERS = "mlops:workers:count"
"""Workers that Nomad has figures of."""

STARTED_MINUTES = 2
"""How long something may be without what it needs, for starting together: an election takes seconds."""

RESTART_MINUTES = 5
"""How long a process or a machine may be away: a restart, a reboot and EC2's recovery are shorter."""

WAKE_MINUTES = 10
"""How long a server may be missing before somebody is woken: EC2's recovery, once again as long for the server to
catch up."""

LONG_MINUTES = 15
"""How long something may last that nobody feels: an incident, not a burst."""

FULL_SHARE = 0.05
"""Free part of a disk below which it is about to be full: Raft stops when it cannot write."""

FILLING_HOURS = 24
"""How far ahead a disk is looked at: a day, so that it is mended by day."""

FILLING_SHARE = 0.4
"""Free part of a disk above which nobody is told that it fills: Prometheus's own blocks come and go within that."""

CERTIFICATE_CRITICAL_DAYS = 3
"""Days before a certificate's end from which somebody is woken: over a weekend."""

SNAPSHOT_AGE_SECONDS = 2 * SNAPSHOT_MINUTES * 60
"""Age of a snapshot: one that failed is made good by the next."""

SILENT_SECONDS = 300
"""Age of the boot agent's figures, which it writes every ten seconds: a restart of it is shorter."""

ABOVE_TARGET = 1.1
"""How far above its target the autoscaler leaves the workers before it counts as stuck: within a tenth of it a
target-value strategy rounds to the number of workers that there are."""

STUCK_MINUTES = 20
"""How long that may last: a worker takes some minutes from the decision to its first figures, after the cooldown."""

EVALUATION_MINUTES = 15
"""How long nobody may have evaluated the policy: the lock moves on within a minute, and a cooldown takes two."""

STALLED_SECONDS = 2 * DRAIN_SECONDS
"""How long a training may go without a checkpoint: twice as long as the largest takes to write."""

_DISKS = f"/|{DATA_PATH}"


@dataclass(frozen=True)
class Recording:
    """A recording rule."""

    record: str
    expression: str
    labels: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def model(self) -> dict[str, object]:
        """As Prometheus reads it."""
        return {"record": self.record, "expr": self.expression, **_labels(self.labels)}


@dataclass(frozen=True)
class Alert:
    """An alert. ``runbook`` is the name of a page in docs/runbooks; ``minutes`` is how long it must hold."""

    name: str
    severity: Severity | None
    expression: str
    minutes: int
    summary: str
    description: str
    runbook: str
    labels: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def model(self) -> dict[str, object]:
        """As Prometheus reads it."""
        severity = {"severity": "none" if self.severity is None else self.severity.value}
        return {
            "alert": self.name,
            "expr": self.expression,
            **({"for": f"{self.minutes}m"} if self.minutes else {}),
            **_labels({**severity, **self.labels}),
            "annotations": {
                "summary": self.summary,
                "description": self.description,
                "runbook": f"docs/runbooks/{self.runbook}.md",
            },
        }


Rule = Recording | Alert


def _labels(labels: Mapping[str, str]) -> dict[str, object]:
    return {"labels": dict(labels)} if labels else {}


def files(context: Context) -> dict[str, File]:
    """Return the files of rules by path: one for each group."""
    return {
        PATTERN.replace("*", name): File.of(
            yaml_text({"groups": [{"name": name, "rules": [rule.model for rule in rules]}]})
        )
        for name, rules in groups(context).items()
    }


def groups(context: Context) -> dict[str, tuple[Rule, ...]]:
    """Return the rules of a region by group. A group is evaluated in its order: recordings come first."""
    return {
        "quorum": tuple(_quorum()),
        "nodes": tuple(_nodes()),
        "database": tuple(_database()),
        "workers": tuple(_workers(context)),
        "load-balancer": tuple(_load_balancer(context)),
        "monitoring": tuple(_monitoring(context)),
        "training": tuple(_training(context)),
    }


def alerts(context: Context) -> tuple[Alert, ...]:
    """Return the alerts of a region."""
    return tuple(rule for rules in groups(context).values() for rule in rules if isinstance(rule, Alert))


def _quorum() -> Iterator[Rule]:
    # Consul's figures of its autopilot stay on a server that leads no more: only the leader's count.
    leads = "and on (instance) consul_server_isLeader == 1"
    consul, nomad = {"service": Service.CONSUL.value}, {"service": Service.NOMAD.value}
    yield Recording(LEADER, "max(consul_server_isLeader) or vector(0)", consul)
    # Nomad's leader alone has figures of its autopilot; those of an old one go within a minute.
    yield Recording(LEADER, "(count(nomad_nomad_autopilot_healthy) > bool 0) or vector(0)", nomad)
    yield Recording(TOLERANCE, f"max(consul_autopilot_failure_tolerance {leads})", consul)
    yield Recording(TOLERANCE, "max(nomad_nomad_autopilot_failure_tolerance)", nomad)
    yield Recording(WHOLE, f"max(consul_autopilot_healthy {leads})", consul)
    yield Recording(WHOLE, "max(nomad_nomad_autopilot_healthy)", nomad)
    yield Alert(
        "NoLeader",
        Severity.CRITICAL,
        f"{LEADER} == 0",
        STARTED_MINUTES,
        "{{ $labels.service }} has no leader",
        "No server of {{ $labels.service }} leads: nothing new is scheduled or registered. What runs goes on.",
        "quorum-lost",
    )
    yield Alert(
        "QuorumAtRisk",
        Severity.CRITICAL,
        f"{TOLERANCE} < 1",
        WAKE_MINUTES,
        "{{ $labels.service }} survives the loss of no further server",
        "The failure tolerance of {{ $labels.service }} is 0: the next server that is lost takes the quorum with it.",
        "server-lost",
    )
    yield Alert(
        "ServerUnhealthy",
        Severity.WARNING,
        f"{WHOLE} == 0",
        WAKE_MINUTES,
        "A server of {{ $labels.service }} is not healthy",
        "Autopilot of {{ $labels.service }} counts a server as unhealthy. The quorum stands.",
        "server-lost",
    )
    names = list(SCHEDULERS)
    absent = " or ".join(f'absent({SNAPSHOT_TAKEN}{{service="{name}"}})' for name in names)
    yield Alert(
        "SnapshotTooOld",
        Severity.WARNING,
        f"(time() - max by (service) ({SNAPSHOT_TAKEN}) > {SNAPSHOT_AGE_SECONDS}) or {absent}",
        WAKE_MINUTES,
        "The snapshot of {{ $labels.service }} is too old",
        "No server has kept a snapshot of {{ $labels.service }} for half an hour: a restore loses that much.",
        "restore",
    )


def _nodes() -> Iterator[Rule]:
    yield Alert(
        "NodeMissing",
        Severity.WARNING,
        f'up{{job="{scrape.NODES}"}} == 0',
        RESTART_MINUTES,
        "{{ $labels.node }} does not answer",
        "Nothing is heard of the machine {{ $labels.node }} ({{ $labels.instance }}).",
        "server-lost",
    )
    yield Alert(
        "NodeUnhealthy",
        Severity.WARNING,
        f"{NODE_HEALTHY} == 0",
        LONG_MINUTES,
        "{{ $labels.node }} reports that it is not healthy",
        "A service of {{ $labels.node }} fails its probe, or its bundle is not applied: its report says which.",
        "server-lost",
    )
    yield Alert(
        "AgentSilent",
        Severity.WARNING,
        f"time() - {REPORTED} > {SILENT_SECONDS}",
        RESTART_MINUTES,
        "The boot agent of {{ $labels.node }} is silent",
        "The boot agent of {{ $labels.node }} has written no figures for {{ $value | humanizeDuration }}: changes and"
        " new certificates do not reach that node.",
        "server-lost",
    )
    free = (
        f'node_filesystem_avail_bytes{{mountpoint=~"{_DISKS}"}}'
        f' / node_filesystem_size_bytes{{mountpoint=~"{_DISKS}"}}'
    )
    yield Alert(
        "DiskFull",
        Severity.CRITICAL,
        f"{free} < {FULL_SHARE}",
        RESTART_MINUTES,
        "{{ $labels.mountpoint }} of {{ $labels.node }} is nearly full",
        "{{ $value | humanizePercentage }} of {{ $labels.mountpoint }} on {{ $labels.node }} is free.",
        "disk-full",
    )
    yield Alert(
        "DiskFilling",
        Severity.WARNING,
        f'predict_linear(node_filesystem_avail_bytes{{mountpoint=~"{_DISKS}"}}[6h], {FILLING_HOURS * 3600}) < 0'
        f" and {free} < {FILLING_SHARE}",
        60,
        "{{ $labels.mountpoint }} of {{ $labels.node }} is full within a day",
        "At the pace of the last six hours, {{ $labels.mountpoint }} on {{ $labels.node }} is full within a day.",
        "disk-full",
    )
    for severity, days in ((Severity.WARNING, ALARM_DAYS), (Severity.CRITICAL, CERTIFICATE_CRITICAL_DAYS)):
        yield Alert(
            "CertificateExpiring" if severity is Severity.WARNING else "CertificateEnds",
            severity,
            f"min by (certificate) ({CERTIFICATE_EXPIRY}) - time() < {days} * 86400",
            LONG_MINUTES,
            "The certificate {{ $labels.certificate }} ends in {{ $value | humanizeDuration }}",
            f"A node holds a certificate {{{{ $labels.certificate }}}} with less than {days} days left.",
            "certificate-renewal",
        )


def _database() -> Iterator[Rule]:
    minutes = QUARTER_HOUR * FIVE_MINUTES // 60
    yield Alert(
        "DatabaseUnreachable",
        Severity.CRITICAL,
        "max(pg_up) == 0",
        RESTART_MINUTES,
        "No server reaches the database",
        "Every postgres exporter fails to log in to the database: Grafana does not work.",
        "database-failover",
    )
    replayed = "pg_stat_replication_pg_current_wal_lsn_bytes - pg_stat_replication_pg_wal_lsn_diff"
    then = f"max by (instance) (pg_stat_replication_pg_current_wal_lsn_bytes offset {LAG_SECONDS}s)"
    yield Alert(
        "ReplicaLagging",
        Severity.WARNING,
        # On a replica itself, or, seen from the primary, a replica that has not replayed what was written then.
        f"max(pg_replication_lag_seconds) > {LAG_SECONDS}"
        f" or max by (client_addr) (({replayed}) < on (instance) group_left () {then})",
        minutes,
        "A replica of the database is more than ten minutes behind",
        f"A replica{{{{ with $labels.client_addr }}}} ({{{{ . }}}}){{{{ end }}}} has not replayed what was written"
        f" {LAG_SECONDS} s ago: a failover now would lose it.",
        "database-failover",
    )
    yield Alert(
        "ReplicaDisconnected",
        Severity.WARNING,
        "max by (slot_name) (pg_replication_slot_slot_is_active) == 0",
        minutes,
        "A replica of the database is not connected",
        "Nobody reads the replication slot {{ $labels.slot_name }}: the primary keeps its log until that fills up.",
        "database-failover",
    )


def _workers(context: Context) -> Iterator[Rule]:
    settings = context.settings.workers
    maximum = context.settings.worker_bounds[1]
    yield Recording(ALLOCATED, allocated_percent("cpu"))
    # A worker has two series while it changes its state.
    yield Recording(WORKERS, f'count(count by (node_id) (nomad_client_uptime{{node_class="{NODE_CLASS}"}}))')
    evaluated = "nomad_autoscaler_scale_evaluate_ms_count"
    yield Alert(
        "AutoscalerIdle",
        Severity.WARNING,
        f"sum(increase({evaluated}[{EVALUATION_MINUTES}m])) == 0 or absent({evaluated})",
        EVALUATION_MINUTES,
        "No autoscaler evaluates the workers' policy",
        "None holds the lock, or the one that does gets no figures from Prometheus or AWS: nothing is scaled.",
        "autoscaler-stuck",
    )
    if not context.settings.serves:
        # Without users the workers are a fixed few.
        return
    yield Alert(
        "AutoscalerStuck",
        Severity.WARNING,
        f"{ALLOCATED} > {settings.target_percent * ABOVE_TARGET:.0f} and {WORKERS} < {maximum}"
        f" and {WORKERS} <= {WORKERS} offset {STUCK_MINUTES}m",
        STUCK_MINUTES,
        "Workers are above their target, and none is added",
        f"{{{{ $value | humanize }}}} % of the workers' CPU is allocated, the target is {settings.target_percent} %,"
        f" and no worker was added for {STUCK_MINUTES} minutes although there are fewer than {maximum}. Jobs wait.",
        "autoscaler-stuck",
    )


def _load_balancer(context: Context) -> Iterator[Rule]:
    serving = [service for service in Service if service is not Service.GRAFANA or context.settings.serves]
    selected = f'{{proxy=~"{"|".join(serving)}"}}'
    yield Alert(
        "NoBackend",
        Severity.CRITICAL,
        # HAProxy counts its backups apart.
        f"haproxy_backend_active_servers{selected} + haproxy_backend_backup_servers{selected} == 0",
        STARTED_MINUTES,
        "{{ $labels.node }} finds no live server of {{ $labels.proxy }}",
        "All servers of {{ $labels.proxy }} fail the checks of {{ $labels.node }}: users get the maintenance page.",
        "no-backend",
    )


def _monitoring(context: Context) -> Iterator[Rule]:
    servers = len(context.servers)
    yield Alert(
        WATCHDOG,
        None,
        "vector(1)",
        0,
        "Alerts arrive",
        "This one always fires. Where it is missing, Prometheus or Alertmanager does not do its work.",
        "monitoring",
    )
    yield Alert(
        "TargetMissing",
        Severity.WARNING,
        f'up{{job!="{scrape.NODES}"}} == 0',
        RESTART_MINUTES,
        "{{ $labels.job }} of {{ $labels.node }} does not answer",
        "Prometheus does not get the metrics of {{ $labels.job }} at {{ $labels.instance }}.",
        "monitoring",
    )
    yield Alert(
        "DiscoveryFailing",
        Severity.WARNING,
        "max by (node) (rate(prometheus_sd_consul_rpc_failures_total[5m])) > 0",
        LONG_MINUTES,
        "Prometheus on {{ $labels.node }} does not get its targets from Consul",
        "Consul does not answer Prometheus on {{ $labels.node }}: it does not see new workers and jobs.",
        "monitoring",
    )
    yield Alert(
        "ConfigurationRefused",
        Severity.WARNING,
        "prometheus_config_last_reload_successful == 0 or alertmanager_config_last_reload_successful == 0",
        RESTART_MINUTES,
        "{{ $labels.job }} of {{ $labels.node }} refused its configuration",
        "{{ $labels.job }} of {{ $labels.node }} goes on with the configuration before, until it is restarted.",
        "monitoring",
    )
    yield Alert(
        "RulesFailing",
        Severity.WARNING,
        "sum by (node, rule_group) (increase(prometheus_rule_evaluation_failures_total[5m])) > 0",
        LONG_MINUTES,
        "Rules fail on {{ $labels.node }}",
        "Rules of {{ $labels.rule_group }} fail on {{ $labels.node }}: their alerts do not fire.",
        "monitoring",
    )
    yield Alert(
        "PrometheusNotSending",
        Severity.WARNING,
        # Each is sent to every Alertmanager: what one of them gets is enough.
        "min by (node) (rate(prometheus_notifications_errors_total[5m])"
        " / (rate(prometheus_notifications_sent_total[5m]) > 0)) > 0.5"
        " or rate(prometheus_notifications_dropped_total[5m]) > 0",
        LONG_MINUTES,
        "Prometheus on {{ $labels.node }} reaches no Alertmanager",
        "Alerts of Prometheus on {{ $labels.node }} do not arrive. Those of the others do.",
        "monitoring",
    )
    yield Alert(
        "AlertmanagersApart",
        Severity.WARNING,
        f"alertmanager_cluster_members < {servers}",
        LONG_MINUTES,
        "Alertmanager on {{ $labels.node }} does not see all others",
        f"It sees {{{{ $value }}}} of {servers}: messages come more than once.",
        "monitoring",
    )
    yield Alert(
        "NotificationsFailing",
        Severity.CRITICAL,
        "sum by (integration) (rate(alertmanager_notifications_failed_total[15m])) > 0",
        LONG_MINUTES,
        "Messages by {{ $labels.integration }} are not delivered",
        "Alertmanager fails to send by {{ $labels.integration }}. Critical alerts go two ways: see the other one.",
        "monitoring",
    )
    if context.settings.monitoring.remote_write_url is not None:
        yield Alert(
            "RemoteWriteBehind",
            Severity.WARNING,
            "prometheus_remote_storage_queue_highest_timestamp_seconds"
            " - prometheus_remote_storage_queue_highest_sent_timestamp_seconds > 300",
            LONG_MINUTES,
            "Long-term storage of {{ $labels.node }} is behind",
            "Prometheus on {{ $labels.node }} has not sent the last {{ $value | humanizeDuration }}. After two hours"
            " it is lost there.",
            "monitoring",
        )


def _training(context: Context) -> Iterator[Rule]:
    service = {"service": TRAINING_GROUP}
    yield Alert(
        "TrainingStalled",
        Severity.WARNING,
        # No wait on top: the time is in the figure itself.
        f"time() - {TRAINING_PROGRESS} > {STALLED_SECONDS} unless {TRAINING_FINISHED} == 1",
        0,
        "The training {{ $labels.job }} makes no progress",
        "It has saved no checkpoint for {{ $value | humanizeDuration }}, and is not finished.",
        "training-stalled",
        service,
    )
    if context.settings.serves:
        yield Alert(
            "TrainingNotWatched",
            Severity.WARNING,
            f'absent(up{{job="{scrape.TRAINING}"}})',
            LONG_MINUTES,
            "There is no pushgateway",
            "Consul has no pushgateway: what training jobs push is lost, and nobody is told when they stall.",
            "training-stalled",
            service,
        )
