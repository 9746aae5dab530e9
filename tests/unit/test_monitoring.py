"""Monitoring: two topics, and an alarm for every row of the table on everything there is."""

import json
from collections.abc import Mapping
from typing import Any

import pulumi
import pytest

from components.monitoring import Monitoring, MonitoringArgs
from configs.alarms import Alarm, Comparison, Severity, Silence, Subject, alarms
from configs.settings.model import DatabaseSettings
from configs.tables.certificates import ALARM_DAYS
from configs.tables.names import Names
from tests.unit.mocks import REGIONS, Run, run_in_region, stack_settings

ROWS = alarms(DatabaseSettings(), 3)
GIBIBYTE = 1024**3
CRITICAL, WARNING = (f"Topic watch-{severity} arn" for severity in Severity)


def monitoring(region: str = "us-west-2", **changes: Any) -> Run:
    given: dict[str, Any] = {
        "names": Names("mlops", "123456789012", region),
        "alerts": stack_settings("prod").alerts,
        "key_arn": "key-arn",
        "database_settings": DatabaseSettings(),
        "worker_minimum": 3,
        "instances": {"control-plane-1": "i-1", "load-balancer-nginx": "i-2"},
        "databases": {"postgres": "db", "postgres-replica-1": "db-1"},
        "replicas": {"postgres-replica-1": "db-1"},
        "load_balancer_suffix": "net/mlops/1",
        "target_groups": {"https": "targetgroup/https/1"},
        "worker_group": "mlops-workers",
        "file_system_id": "fs-1",
        "file_system_copy_id": "fs-2",
        "certificate_arn": None,
        "certificates": ["control-plane", "public"],
        **changes,
    }

    def program(opts: pulumi.ResourceOptions) -> None:
        built = Monitoring("watch", MonitoringArgs(**given), opts)
        pulumi.export("topics", {severity.value: arn for severity, arn in built.topic_arns.items()})

    return run_in_region(program, region)


def dimensions(run: Run) -> dict[str, Mapping[str, Any]]:
    return {name: one["dimensions"] for name, one in run.inputs("MetricAlarm").items()}


def test_the_topics_are_exactly_the_plan() -> None:
    """Guards against alarms that the topic keeps out or shows in the clear, and those that wake the wrong people."""
    registered = monitoring().inputs_by_type()
    del registered["aws:cloudwatch/metricAlarm:MetricAlarm"]
    policies = {name: json.loads(one["policy"]) for name, one in registered["aws:sns/topic:Topic"].items()}
    email = stack_settings("prod").alerts.email
    assert registered == {
        "aws:sns/topic:Topic": {
            f"watch-{severity}": {
                "name": f"mlops-alarms-{severity}",
                "kmsMasterKeyId": "key-arn",
                "policy": registered["aws:sns/topic:Topic"][f"watch-{severity}"]["policy"],
                "tags": {"Name": f"watch-{severity}"},
            }
            for severity in Severity
        },
        "aws:sns/topicSubscription:TopicSubscription": {
            "watch-critical": {"topic": CRITICAL, "protocol": "email", "endpoint": email.critical_recipient},
            "watch-warning": {"topic": WARNING, "protocol": "email", "endpoint": email.default_recipient},
        },
    }
    assert email.critical_recipient != email.default_recipient
    assert {name: policy["Statement"] for name, policy in policies.items()} == {
        f"watch-{severity}": [
            {
                "Sid": "AlarmsOfThisAccount",
                "Effect": "Allow",
                "Principal": {"Service": "cloudwatch.amazonaws.com"},
                "Action": ["sns:Publish"],
                "Resource": [f"arn:aws:sns:us-west-2:123456789012:mlops-alarms-{severity}"],
                "Condition": {"StringEquals": {"aws:SourceAccount": "123456789012"}},
            }
        ]
        for severity in Severity
    }


def test_everything_is_watched_by_what_cloudwatch_calls_it() -> None:
    """Guards against an alarm on nothing: CloudWatch takes any dimension, and never has data for a wrong one."""
    machines = {"control-plane-1": "i-1", "load-balancer-nginx": "i-2"}
    assert dimensions(monitoring()) == {
        **{
            f"watch-{node}-{purpose}": {"InstanceId": instance}
            for node, instance in machines.items()
            for purpose in ("status", "volumes")
        },
        "watch-https-no-healthy-target": {"TargetGroup": "targetgroup/https/1", "LoadBalancer": "net/mlops/1"},
        "watch-postgres-free-storage": {"DBInstanceIdentifier": "db"},
        "watch-postgres-slot-lag": {"DBInstanceIdentifier": "db"},
        "watch-postgres-log-usage": {"DBInstanceIdentifier": "db"},
        "watch-postgres-replica-1-free-storage": {"DBInstanceIdentifier": "db-1"},
        "watch-postgres-replica-1-lag": {"DBInstanceIdentifier": "db-1"},
        "watch-workers-too-few": {"AutoScalingGroupName": "mlops-workers"},
        "watch-ml-data-copy-age": {"FileSystemId": "fs-1", "DestinationFileSystemId": "fs-2"},
        "watch-control-plane-certificate-expiry": {"Certificate": "control-plane"},
        "watch-public-certificate-expiry": {"Certificate": "public"},
    }


def test_a_standby_watches_what_it_has() -> None:
    """Guards against a standby's database without an alarm on its lag, or with those of a source."""
    run = monitoring(
        databases={"postgres": "db"},
        replicas={"postgres": "db"},
        file_system_copy_id=None,
        certificates=[],
        certificate_arn="acm-arn",
    )
    found = {name: one for name, one in dimensions(run).items() if "InstanceId" not in one}
    del found["watch-https-no-healthy-target"], found["watch-workers-too-few"]
    assert found == {
        "watch-postgres-free-storage": {"DBInstanceIdentifier": "db"},
        "watch-postgres-lag": {"DBInstanceIdentifier": "db"},
        "watch-public-acm-expiry": {"CertificateArn": "acm-arn"},
    }


@pytest.mark.parametrize(
    ("label", "row", "topic", "silent"),
    [
        ("control-plane-1-status", ROWS[Subject.MACHINE][0], WARNING, [WARNING]),
        ("https-no-healthy-target", ROWS[Subject.TARGET_GROUP][0], CRITICAL, []),
        ("control-plane-1-volumes", ROWS[Subject.MACHINE][1], WARNING, []),
    ],
)
def test_an_alarm_is_its_row(label: str, row: Alarm, topic: str, silent: list[str]) -> None:
    """Guards against an alarm that is another than the table says, and one that tells nobody."""
    assert monitoring().inputs("MetricAlarm")[f"watch-{label}"] == {
        "name": f"mlops-{label}",
        "alarmDescription": row.meaning.format(subject=label.removesuffix(f"-{row.purpose}")),
        "namespace": row.namespace,
        "metricName": row.metric,
        "dimensions": dimensions(monitoring())[f"watch-{label}"],
        "statistic": row.statistic,
        "comparisonOperator": row.comparison.value,
        "threshold": row.threshold,
        "period": row.period_seconds,
        "evaluationPeriods": row.periods,
        "treatMissingData": row.silence.value,
        "alarmActions": [topic],
        "okActions": [topic],
        "insufficientDataActions": silent,
        "tags": {"Name": f"watch-{label}"},
    }


def test_the_table_is_what_was_decided() -> None:
    """Guards against a threshold, a severity or a meaning of silence that a slip has changed."""
    critical, warning = Severity.CRITICAL, Severity.WARNING
    above, below, at_most = Comparison.ABOVE, Comparison.BELOW, Comparison.AT_MOST
    alarm, told, nothing = Silence.ALARM, Silence.TOLD, Silence.NOTHING
    table = {
        subject: [
            (
                *(row.namespace, row.metric, row.severity, row.statistic, row.comparison, row.threshold),
                *(row.period_seconds * row.periods, row.silence),
            )
            for row in rows
        ]
        for subject, rows in ROWS.items()
    }
    rds = "AWS/RDS"
    assert table == {
        Subject.MACHINE: [
            ("AWS/EC2", "StatusCheckFailed", warning, "Maximum", above, 0, 300, told),
            ("AWS/EC2", "StatusCheckFailed_AttachedEBS", warning, "Maximum", above, 0, 300, nothing),
        ],
        Subject.TARGET_GROUP: [("AWS/NetworkELB", "HealthyHostCount", critical, "Maximum", below, 1, 120, alarm)],
        Subject.SOURCE: [
            (rds, "FreeStorageSpace", critical, "Minimum", below, 5 * GIBIBYTE, 900, alarm),
            (rds, "OldestReplicationSlotLag", warning, "Maximum", above, 10 * GIBIBYTE, 900, nothing),
            (rds, "TransactionLogsDiskUsage", warning, "Maximum", above, 25 * GIBIBYTE, 900, nothing),
        ],
        Subject.REPLICA: [
            (rds, "FreeStorageSpace", warning, "Minimum", below, 5 * GIBIBYTE, 900, alarm),
            (rds, "ReplicaLag", warning, "Average", above, 600, 900, told),
        ],
        Subject.WORKERS: [
            ("AWS/AutoScaling", "GroupInServiceInstances", warning, "Maximum", below, 3, 900, alarm),
        ],
        Subject.FILE_SYSTEM: [("AWS/EFS", "TimeSinceLastSync", warning, "Maximum", above, 1_800, 900, told)],
        Subject.CERTIFICATE: [
            ("MlopsHa", "CertificateDaysToExpiry", warning, "Minimum", at_most, ALARM_DAYS, 10_800, alarm),
        ],
        Subject.ACM_CERTIFICATE: [
            ("AWS/CertificateManager", "DaysToExpiry", warning, "Minimum", at_most, ALARM_DAYS, 86_400, alarm),
        ],
    }


def test_every_alarm_says_what_it_is_about_and_what_to_do() -> None:
    """Guards against a mail at night that names a metric and nothing else."""
    for row in (row for rows in ROWS.values() for row in rows):
        what, _, todo = row.meaning.partition(": ")
        assert "{subject}" in what
        assert todo.endswith(".")


@pytest.mark.parametrize("region", REGIONS)
def test_all_of_it_is_in_its_region(region: str) -> None:
    """Guards against alarms in a region that has none of what they watch."""
    run = monitoring(region)
    assert {(one.parent, one.provider, one.protect) for one in run.resources} == {
        ("Monitoring watch", f"aws {region}", False)
    }
    component = [one for one in run.everything if one.type == "mlops:platform:Monitoring"]
    assert [one.parent for one in component] == [f"Region {region}"]


def test_hands_on_the_topics() -> None:
    """Guards against others who tell nobody."""
    [topics] = [one["topics"] for one in monitoring().outputs.values() if "topics" in one]
    assert topics == {"critical": CRITICAL, "warning": WARNING}
