"""How long a region's certificates last, going by what nodes and AWS Certificate Manager publish."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from configs.alarms import Alarm, Subject, alarms
from configs.node_policies import certificate_arn
from configs.settings.model import AcmCertificates, Settings
from configs.tables.certificates import Certificate
from configs.tables.metrics import CERTIFICATE_DIMENSION
from ops.aws import Region, asked
from ops.problems import Unknown


@dataclass(frozen=True)
class Published:
    """Where the days of one certificate are published: the metric of its alarm, by one dimension.

    What is too old for the alarm is too old to be told.
    """

    certificate: Certificate
    alarm: Alarm
    dimension: tuple[str, str]


def published(settings: Settings) -> tuple[Published, ...]:
    """Return where the days of each certificate of the stack's region are published."""
    fewest, _ = settings.worker_bounds
    rows = alarms(settings.database, fewest)
    (by_nodes,), (by_manager,) = rows[Subject.CERTIFICATE], rows[Subject.ACM_CERTIFICATE]
    in_manager = isinstance(settings.certificates, AcmCertificates)
    return tuple(
        Published(one, by_manager, ("CertificateArn", str(certificate_arn(settings))))
        if in_manager and one is Certificate.PUBLIC
        else Published(one, by_nodes, (CERTIFICATE_DIMENSION, one.value))
        for one in Certificate
    )


def days_left(region: Region, certificate: Published, now: datetime) -> float:
    """Return the days until a certificate ends: of the nodes that hold it, the one that has the oldest counts.

    Raises:
        Unknown: CloudWatch did not answer, or refused, or nobody has published it lately.
    """
    alarm, (name, value) = certificate.alarm, certificate.dimension
    seconds = alarm.period_seconds * alarm.periods
    what = f"the days that the certificate {certificate.certificate} in {region.name} has left"
    with asked(what):
        points = region.cloudwatch.get_metric_statistics(
            Namespace=alarm.namespace,
            MetricName=alarm.metric,
            Dimensions=[{"Name": name, "Value": value}],
            StartTime=now - timedelta(seconds=seconds),
            EndTime=now,
            Period=alarm.period_seconds,
            Statistics=["Minimum"],
        )["Datapoints"]
    measured = {
        point["Timestamp"]: point["Minimum"] for point in points if "Timestamp" in point and "Minimum" in point
    }
    if not measured:
        raise Unknown(f"{what}: nothing was published in the last {seconds // 3600} hours")
    # CloudWatch returns them in no order.
    return measured[max(measured)]
