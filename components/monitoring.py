"""The alarms: what Prometheus cannot see, told by mail."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from configs.alarms import Alarm, Severity, Silence, Subject, alarms
from configs.policies import Statement, document
from configs.settings.model import AlertSettings, DatabaseSettings
from configs.tables.metrics import CERTIFICATE_DIMENSION
from configs.tables.names import ML_DATA, WORKERS, Names

ACM_CERTIFICATE = "public"
"""What the certificate in ACM is called in its alarm: it is that of the public names."""


@dataclass(frozen=True)
class MonitoringArgs:
    """What is watched, each by the name that its alarm is to say.

    ``databases`` and ``replicas`` are identifiers, of all databases and of those among them that have a source.
    ``target_groups`` and ``load_balancer_suffix`` are the ends of ARNs by which CloudWatch knows them.
    ``file_system_copy_id`` is what the file system is replicated into, None where nothing is. ``certificates`` are
    those whose days nodes publish, ``certificate_arn`` is one in ACM.
    """

    names: Names
    alerts: AlertSettings
    key_arn: pulumi.Input[str]
    database_settings: DatabaseSettings
    worker_minimum: int
    instances: Mapping[str, pulumi.Input[str]]
    databases: Mapping[str, pulumi.Input[str]]
    replicas: Mapping[str, pulumi.Input[str]]
    load_balancer_suffix: pulumi.Input[str]
    target_groups: Mapping[str, pulumi.Input[str]]
    worker_group: pulumi.Input[str]
    file_system_id: pulumi.Input[str]
    file_system_copy_id: pulumi.Input[str] | None
    certificate_arn: str | None
    certificates: Sequence[str]


class Monitoring(pulumi.ComponentResource):
    """Two topics, for those who are woken and those who are not, and an alarm for every row of the table."""

    topic_arns: dict[Severity, pulumi.Output[str]]

    def __init__(self, name: str, args: MonitoringArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Create the topics and the alarms."""
        super().__init__("mlops:platform:Monitoring", name, None, opts)
        self._name, self._args = name, args
        self._child = pulumi.ResourceOptions(parent=self)
        email = args.alerts.email
        self.topic_arns = {
            Severity.CRITICAL: self._topic(Severity.CRITICAL, email.critical_recipient),
            Severity.WARNING: self._topic(Severity.WARNING, email.default_recipient),
        }
        table = alarms(args.database_settings, args.worker_minimum)
        for subject, label, dimensions in self._watched():
            for row in table[subject]:
                self._alarm(row, label, dimensions)
        self.register_outputs({f"{severity}Topic": arn for severity, arn in self.topic_arns.items()})

    def _watched(self) -> Iterator[tuple[Subject, str, Mapping[str, pulumi.Input[str]]]]:
        """Yield everything that has alarms, with the dimensions by which CloudWatch knows it."""
        args = self._args
        for node, instance in args.instances.items():
            yield Subject.MACHINE, node, {"InstanceId": instance}
        for label, group in args.target_groups.items():
            yield Subject.TARGET_GROUP, label, {"TargetGroup": group, "LoadBalancer": args.load_balancer_suffix}
        for label, identifier in args.databases.items():
            subject = Subject.REPLICA if label in args.replicas else Subject.SOURCE
            yield subject, label, {"DBInstanceIdentifier": identifier}
        yield Subject.WORKERS, WORKERS, {"AutoScalingGroupName": args.worker_group}
        if args.file_system_copy_id is not None:
            ends = {"FileSystemId": args.file_system_id, "DestinationFileSystemId": args.file_system_copy_id}
            yield Subject.FILE_SYSTEM, ML_DATA, ends
        for label in args.certificates:
            yield Subject.CERTIFICATE, label, {CERTIFICATE_DIMENSION: label}
        if args.certificate_arn is not None:
            yield Subject.ACM_CERTIFICATE, ACM_CERTIFICATE, {"CertificateArn": args.certificate_arn}

    def _topic(self, severity: Severity, recipient: str) -> pulumi.Output[str]:
        label, name = f"{self._name}-{severity}", self._args.names.regional(f"alarms-{severity}")
        publish = Statement(
            "AlarmsOfThisAccount",
            ["sns:Publish"],
            [self._args.names.arn("sns", name)],
            {"StringEquals": {"aws:SourceAccount": self._args.names.account}},
            principal={"Service": "cloudwatch.amazonaws.com"},
        )
        topic = aws.sns.Topic(
            label,
            name=name,
            kms_master_key_id=self._args.key_arn,
            policy=document(publish),
            tags={"Name": label},
            opts=self._child,
        )
        # Nothing is sent before the recipient has confirmed it, by the link in a mail that AWS sends.
        aws.sns.TopicSubscription(label, topic=topic.arn, protocol="email", endpoint=recipient, opts=self._child)
        return topic.arn

    def _alarm(self, row: Alarm, subject: str, dimensions: Mapping[str, pulumi.Input[str]]) -> None:
        label, topic = f"{self._name}-{subject}-{row.purpose}", self.topic_arns[row.severity]
        aws.cloudwatch.MetricAlarm(
            label,
            name=self._args.names.regional(f"{subject}-{row.purpose}"),
            alarm_description=row.meaning.format(subject=subject),
            namespace=row.namespace,
            metric_name=row.metric,
            dimensions=dimensions,
            statistic=row.statistic,
            comparison_operator=row.comparison,
            threshold=row.threshold,
            period=row.period_seconds,
            evaluation_periods=row.periods,
            treat_missing_data=row.silence,
            alarm_actions=[topic],
            # That it is over is worth a mail too: nobody should look for what has mended itself.
            ok_actions=[topic],
            insufficient_data_actions=[topic] if row.silence is Silence.TOLD else [],
            tags={"Name": label},
            opts=self._child,
        )
