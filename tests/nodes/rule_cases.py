"""What each alert says of figures that were made up: when it fires, and when it must not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

WORKERS = 'node_class="ml-workers",node_status="ready",node_scheduling_eligibility="eligible"'
FORMER = 'node_class="ml-workers",node_status="initializing",node_scheduling_eligibility="eligible"'
DISK = 'instance="a",node="control-plane-1",mountpoint="/opt/data"'
REPLICA = 'instance="a",client_addr="10.10.0.9"'
TRAINING = 'job="digits",instance=""'
AUTOSCALER = 'nomad_autoscaler_scale_evaluate_ms_count{instance="a"}'

Labels = Mapping[str, str]


@dataclass(frozen=True)
class Case:
    """Figures, a value a minute in promtool's notation, and what the alert's labels are at some minutes.

    https://prometheus.io/docs/prometheus/latest/configuration/unit_testing_rules/
    """

    alert: str
    series: Mapping[str, str]
    silent: tuple[int, ...] = ()
    fires: Mapping[int, tuple[Labels, ...]] = field(default_factory=dict[int, tuple[Labels, ...]])


def leaders(*values: str) -> dict[str, str]:
    return {f'consul_server_isLeader{{instance="{number}"}}': value for number, value in enumerate(values)}


def critical(**labels: str) -> tuple[Labels]:
    return ({"severity": "critical", **labels},)


def warning(**labels: str) -> tuple[Labels]:
    return ({"severity": "warning", **labels},)


CASES = [
    # Minutes 0 to 9 with a leader, then none; Nomad has one all the time.
    Case(
        "NoLeader",
        {**leaders("1x9 0x20", "0x30", "0x30"), 'nomad_nomad_autopilot_healthy{instance="1"}': "1x30"},
        silent=(9, 11),
        fires={13: critical(service="consul")},
    ),
    # An election, in which the lead goes to another server, is no reason.
    Case("NoLeader", {**leaders("1x9 0x20", "0x10 1x20"), "nomad_nomad_autopilot_healthy": "1x30"}, silent=(10, 20)),
    # No server says anything at all.
    Case("NoLeader", {}, fires={3: (*critical(service="consul"), *critical(service="nomad"))}),
    # The tolerance of a server that leads no more stays 0, and says nothing.
    Case(
        "QuorumAtRisk",
        {
            **leaders("1x30", "0x30"),
            'consul_autopilot_failure_tolerance{instance="0"}': "1x30",
            'consul_autopilot_failure_tolerance{instance="1"}': "0x30",
            "nomad_nomad_autopilot_failure_tolerance": "1x9 0x20",
        },
        silent=(9, 19),
        fires={21: critical(service="nomad")},
    ),
    Case(
        "ServerUnhealthy",
        {
            **leaders("1x30"),
            'consul_autopilot_healthy{instance="0"}': "1x9 0x20",
            "nomad_nomad_autopilot_healthy": "1x30",
        },
        silent=(19,),
        fires={21: warning(service="consul")},
    ),
    # A snapshot at minute 0 of Consul by one server, at 0 and 30 of Nomad by another one.
    Case(
        "SnapshotTooOld",
        {
            'mlops_ha_snapshot_timestamp_seconds{service="consul",instance="a"}': "0x50",
            'mlops_ha_snapshot_timestamp_seconds{service="nomad",instance="a"}': "0x50",
            'mlops_ha_snapshot_timestamp_seconds{service="nomad",instance="b"}': "0x19 1200x9 1800x30",
        },
        silent=(30,),
        fires={32: warning(service="consul")},
    ),
    # None was ever taken.
    Case(
        "SnapshotTooOld",
        {'mlops_ha_snapshot_timestamp_seconds{service="nomad",instance="b"}': "0+60x50"},
        silent=(9,),
        fires={11: warning(service="consul")},
    ),
    Case(
        "NodeMissing",
        {
            'up{job="node-exporter",node="worker-1",instance="a"}': "1x9 0x20",
            'up{job="consul",node="control-plane-1",instance="b"}': "0x30",
        },
        silent=(9, 14),
        fires={16: warning(job="node-exporter", node="worker-1", instance="a")},
    ),
    Case(
        "TargetMissing",
        {
            'up{job="node-exporter",node="worker-1",instance="a"}': "0x30",
            'up{job="consul",node="control-plane-1",instance="b"}': "1x9 0x20",
        },
        silent=(14,),
        fires={16: warning(job="consul", node="control-plane-1", instance="b")},
    ),
    Case(
        "NodeUnhealthy",
        {
            'mlops_ha_node_healthy{node="worker-1"}': "1x9 0x20",
            'mlops_ha_node_healthy{node="worker-2"}': "1x4 0x9 1x20",
        },
        silent=(24,),
        fires={26: warning(node="worker-1")},
    ),
    Case(
        "AgentSilent",
        {'mlops_ha_report_timestamp_seconds{node="worker-1"}': "0+60x9 540x30"},
        silent=(19,),
        fires={21: warning(node="worker-1")},
    ),
    Case(
        "DiskFull",
        {f"node_filesystem_avail_bytes{{{DISK}}}": "5x9 4x20", f"node_filesystem_size_bytes{{{DISK}}}": "100x30"},
        silent=(9, 14),
        fires={16: critical(instance="a", node="control-plane-1", mountpoint="/opt/data")},
    ),
    # A percent in ten minutes, from 39 % on: full in six hours and a half.
    Case(
        "DiskFilling",
        {
            f"node_filesystem_avail_bytes{{{DISK}}}": "390-1x300",
            f"node_filesystem_size_bytes{{{DISK}}}": "1000x300",
        },
        silent=(59,),
        fires={70: warning(instance="a", node="control-plane-1", mountpoint="/opt/data")},
    ),
    # As fast, with more than is looked at; and low, but at rest.
    Case(
        "DiskFilling",
        {
            f"node_filesystem_avail_bytes{{{DISK}}}": "900-1x200",
            f"node_filesystem_size_bytes{{{DISK}}}": "1000x200",
            'node_filesystem_avail_bytes{instance="b",mountpoint="/"}': "100x200",
            'node_filesystem_size_bytes{instance="b",mountpoint="/"}': "1000x200",
        },
        silent=(70, 200),
    ),
    # 21 and 3 days, and one minute.
    Case(
        "CertificateExpiring",
        {'mlops_ha_certificate_expiry_timestamp_seconds{certificate="public",instance="a"}': "1814460x60"},
        silent=(1, 15),
        fires={18: warning(certificate="public")},
    ),
    Case(
        "CertificateEnds",
        {'mlops_ha_certificate_expiry_timestamp_seconds{certificate="public",instance="a"}': "259260x60"},
        silent=(1, 15),
        fires={18: critical(certificate="public")},
    ),
    # One server that reaches it is enough.
    Case(
        "DatabaseUnreachable",
        {'pg_up{instance="a"}': "0x60", 'pg_up{instance="b"}': "1x9 0x50"},
        silent=(9, 14),
        fires={16: critical()},
    ),
    # On a replica itself.
    Case(
        "ReplicaLagging",
        {'pg_replication_lag_seconds{instance="a"}': "600x9 601x20"},
        silent=(9, 24),
        fires={26: warning()},
    ),
    # From the primary, which writes a byte a second: 599 of them is what is written in less than ten minutes.
    Case(
        "ReplicaLagging",
        {
            f"pg_stat_replication_pg_current_wal_lsn_bytes{{{REPLICA}}}": "0+60x90",
            f"pg_stat_replication_pg_wal_lsn_diff{{{REPLICA}}}": "599x29 601x60",
            'pg_replication_lag_seconds{instance="a"}': "0x90",
        },
        silent=(29, 44),
        fires={46: warning(client_addr="10.10.0.9")},
    ),
    # An idle primary: nothing is written that could be missing.
    Case(
        "ReplicaLagging",
        {
            f"pg_stat_replication_pg_current_wal_lsn_bytes{{{REPLICA}}}": "5000x90",
            f"pg_stat_replication_pg_wal_lsn_diff{{{REPLICA}}}": "0x90",
        },
        silent=(60, 90),
    ),
    Case(
        "ReplicaDisconnected",
        {'pg_replication_slot_slot_is_active{slot_name="r",slot_type="physical",instance="a"}': "1x9 0x30"},
        silent=(9, 24),
        fires={26: warning(slot_name="r")},
    ),
    # It moves to another server, and later to none.
    Case(
        "AutoscalerIdle",
        {AUTOSCALER: "0+6x20 120x80", AUTOSCALER.replace('"a"', '"b"'): "_x20 0+6x30 180x60"},
        silent=(50, 60, 78),
        fires={82: warning()},
    ),
    Case("AutoscalerIdle", {}, silent=(14,), fires={16: warning()}),
    # 90 % of three workers, for ever.
    Case(
        "AutoscalerStuck",
        {
            **{f'nomad_client_uptime{{{WORKERS},node_id="{number}"}}': "1x60" for number in range(3)},
            **{f'nomad_client_allocated_cpu{{{WORKERS},node_id="{number}"}}': "90x60" for number in range(3)},
            **{f'nomad_client_unallocated_cpu{{{WORKERS},node_id="{number}"}}': "10x60" for number in range(3)},
            # As they were when they came, and as a Prometheus that was restarted may have them still.
            **{f'nomad_client_unallocated_cpu{{{FORMER},node_id="{number}"}}': "100x60" for number in range(3)},
        },
        silent=(39,),
        fires={41: warning()},
    ),
    # A worker came, which helped little: after half an hour it counts as stuck again.
    Case(
        "AutoscalerStuck",
        {
            f'nomad_client_uptime{{{WORKERS},node_id="1"}}': "1x80",
            f'nomad_client_uptime{{{WORKERS},node_id="2"}}': "_x29 1x50",
            f'nomad_client_allocated_cpu{{{WORKERS},node_id="1"}}': "_x15 90x80",
            f'nomad_client_unallocated_cpu{{{WORKERS},node_id="1"}}': "_x15 10x80",
        },
        silent=(45, 60),
        fires={75: warning()},
    ),
    # As many as there may be.
    Case(
        "AutoscalerStuck",
        {
            **{f'nomad_client_uptime{{{WORKERS},node_id="{number}"}}': "1x60" for number in range(20)},
            f'nomad_client_allocated_cpu{{{WORKERS},node_id="1"}}': "90x60",
            f'nomad_client_unallocated_cpu{{{WORKERS},node_id="1"}}': "10x60",
        },
        silent=(45, 60),
    ),
    # Prometheus is down to a backup, which serves; of Grafana there is none.
    Case(
        "NoBackend",
        {
            'haproxy_backend_active_servers{proxy="prometheus",node="n"}': "0x30",
            'haproxy_backend_backup_servers{proxy="prometheus",node="n"}': "1x30",
            'haproxy_backend_active_servers{proxy="grafana",node="n"}': "3x9 0x20",
            'haproxy_backend_backup_servers{proxy="grafana",node="n"}': "0x30",
            'haproxy_backend_active_servers{proxy="other",node="n"}': "0x30",
            'haproxy_backend_backup_servers{proxy="other",node="n"}': "0x30",
        },
        silent=(9, 11),
        fires={13: critical(proxy="grafana", node="n")},
    ),
    Case("Watchdog", {}, fires={0: ({"severity": "none"},)}),
    # A figure that there is without rules: what fires is not what is measured, but that nothing is.
    Case("Watchdog", {"up": "1x10"}, fires={10: ({"severity": "none"},)}),
    Case(
        "DiscoveryFailing",
        {
            'prometheus_sd_consul_rpc_failures_total{node="n"}': "0x9 1+1x40",
            'prometheus_sd_consul_rpc_failures_total{node="m"}': "0x9 1x40",
        },
        silent=(24,),
        fires={40: warning(node="n")},
    ),
    Case(
        "ConfigurationRefused",
        {
            'prometheus_config_last_reload_successful{job="prometheus",node="n"}': "1x30",
            'alertmanager_config_last_reload_successful{job="alertmanager",node="n"}': "1x9 0x20",
        },
        silent=(14,),
        fires={16: warning(job="alertmanager", node="n")},
    ),
    Case(
        "RulesFailing",
        {
            'prometheus_rule_evaluation_failures_total{node="n",rule_group="g"}': "0x9 1+1x40",
            'prometheus_rule_evaluation_failures_total{node="m",rule_group="g"}': "0x9 1x40",
        },
        silent=(24,),
        fires={40: warning(node="n", rule_group="g")},
    ),
    # One Alertmanager of two is away for the first, both for the second.
    Case(
        "PrometheusNotSending",
        {
            **{
                f'prometheus_notifications_{kind}_total{{node="{node}",alertmanager="{peer}"}}': "0+10x60"
                for kind, node, peer in (
                    ("sent", "n", "1"),
                    ("sent", "n", "2"),
                    ("errors", "n", "2"),
                    ("sent", "m", "1"),
                    ("sent", "m", "2"),
                    ("errors", "m", "1"),
                    ("errors", "m", "2"),
                )
            },
            'prometheus_notifications_errors_total{node="n",alertmanager="1"}': "0x60",
        },
        silent=(15,),
        fires={40: warning(node="m")},
    ),
    Case(
        "AlertmanagersApart",
        {
            'alertmanager_cluster_members{node="n"}': "3x9 2x40",
            'alertmanager_cluster_members{node="m"}': "3x9 2x9 3x40",
        },
        silent=(24,),
        fires={26: warning(node="n")},
    ),
    # One message that fails is sent again, and is none.
    Case(
        "NotificationsFailing",
        {
            'alertmanager_notifications_failed_total{integration="email",node="n"}': "0x9 1x60",
            'alertmanager_notifications_failed_total{integration="slack",node="n"}': "0x9 1+1x60",
        },
        silent=(23,),
        fires={40: critical(integration="slack")},
    ),
    Case(
        "RemoteWriteBehind",
        {
            'prometheus_remote_storage_queue_highest_timestamp_seconds{node="n"}': "0+60x60",
            'prometheus_remote_storage_queue_highest_sent_timestamp_seconds{node="n"}': "0+60x9 600x50",
        },
        silent=(29,),
        fires={31: warning(node="n")},
    ),
    # Checkpoints until minute 10, then none; another one is finished.
    Case(
        "TrainingStalled",
        {
            f"ml_training_progress_timestamp_seconds{{{TRAINING}}}": "0+60x9 600x60",
            f"ml_training_finished{{{TRAINING}}}": "0x70",
            'ml_training_progress_timestamp_seconds{job="letters"}': "0x70",
            'ml_training_finished{job="letters"}': "1x70",
        },
        silent=(39, 40),
        fires={41: warning(service="ml-training", job="digits")},
    ),
    Case(
        "TrainingNotWatched",
        {'up{job="ml-training",instance="a"}': "1x9 _x60"},
        silent=(9, 24),
        fires={35: warning(service="ml-training", job="ml-training")},
    ),
]
