"""Which alarms there are: what CloudWatch sees and Prometheus does not, with every threshold and its reason.

One table. What is measured is named by ``Subject``; the component that makes the alarms says which ones there are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from configs.database import slot_log_gibibytes
from configs.settings.model import DatabaseSettings
from configs.tables.certificates import ALARM_DAYS
from configs.tables.metrics import CERTIFICATE_DAYS, NAMESPACE, PUBLISH_SECONDS


class Subject(StrEnum):
    """What an alarm is about."""

    MACHINE = "machine"
    TARGET_GROUP = "target group"
    SOURCE = "database"
    """A database that is nobody's replica."""
    REPLICA = "replica"
    WORKERS = "workers"
    FILE_SYSTEM = "file system"
    """A file system that is replicated to another region."""
    CERTIFICATE = "certificate"
    """A certificate that lies on nodes."""
    ACM_CERTIFICATE = "ACM certificate"


class Severity(StrEnum):
    """Who is told."""

    CRITICAL = "critical"
    """Who is woken: people are without the service, or will be before the morning."""
    WARNING = "warning"
    """Who looks at it in working hours: redundancy is gone, the service is not."""


class Comparison(StrEnum):
    """How a value is compared to the threshold, as CloudWatch names it."""

    ABOVE = "GreaterThanThreshold"
    BELOW = "LessThanThreshold"
    AT_MOST = "LessThanOrEqualToThreshold"


class Silence(StrEnum):
    """What it means that nothing is measured, as CloudWatch names it."""

    ALARM = "breaching"
    """Something that is always there: whoever says nothing of it has lost it."""
    TOLD = "missing"
    """Something that is replaced at times: it is told when it falls silent, not before it has first spoken."""
    NOTHING = "notBreaching"
    """Something that is measured only at times."""


@dataclass(frozen=True)
class Alarm:
    """One row: a metric, how it is compared, and what it means.

    ``purpose`` ends the alarm's name. ``periods`` in a row, of ``period_seconds`` each, must be bad. ``meaning`` says
    what has happened and what to do; ``{subject}`` in it is the name of what it is about.
    """

    purpose: str
    severity: Severity
    namespace: str
    metric: str
    statistic: str
    comparison: Comparison
    threshold: float
    period_seconds: int
    periods: int
    silence: Silence
    meaning: str


MINUTE, FIVE_MINUTES, DAY = 60, 300, 86_400
GIBIBYTE = 1024**3

RECOVERY_MINUTES = 5
"""Minutes that a machine may be impaired: EC2 recovers one by itself in about that time, and a reboot takes less."""

UNREACHABLE_MINUTES = 2
"""Minutes without a node that answers: one for Nginx to take over from HAProxy, one to be sure."""

FREE_STORAGE_SHARE = 0.05
"""Part of the storage at the start that is to be free. RDS grows storage when a tenth of it is free, but at most
every six hours and never above its limit: half of that tenth shows that it does not grow any more
(https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_PIOPS.Autoscaling.html)."""

LOG_SHARE = 0.25
"""Part of the storage at the start that the log may take: the fifth that is kept for replicas, and what PostgreSQL
recycles. More than that means that it is not archived."""

LAG_SECONDS = 600
"""How far a replica may be behind, which is what a failover loses. An idle database shows up to 300 s, because only a
new segment of log, every five minutes, tells the replica that nothing has happened."""

SYNC_SECONDS = 1_800
"""Age of the copy of the file system: twice the 15 minutes that EFS aims at
(https://docs.aws.amazon.com/efs/latest/ug/efs-replication.html)."""

QUARTER_HOUR = 3
"""Periods of five minutes: an incident, not a burst."""

LOST_PUBLICATIONS = 3
"""Hours of silence about a certificate: one node that restarts, or one lost message, is none."""


def alarms(database: DatabaseSettings, worker_minimum: int) -> Mapping[Subject, tuple[Alarm, ...]]:
    """Return the alarms on each subject, for databases and workers of the given size."""
    return {
        Subject.MACHINE: _MACHINE,
        Subject.TARGET_GROUP: _TARGET_GROUP,
        Subject.SOURCE: (_free_storage(database, Severity.CRITICAL), *_source(database)),
        Subject.REPLICA: (_free_storage(database, Severity.WARNING), _LAG),
        Subject.WORKERS: (_too_few_workers(worker_minimum),),
        Subject.FILE_SYSTEM: _FILE_SYSTEM,
        Subject.CERTIFICATE: _CERTIFICATE,
        Subject.ACM_CERTIFICATE: _ACM_CERTIFICATE,
    }


# https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/viewing_metrics_with_cloudwatch.html#status-check-metrics
_MACHINE = (
    Alarm(
        purpose="status",
        severity=Severity.WARNING,
        namespace="AWS/EC2",
        metric="StatusCheckFailed",
        statistic="Maximum",
        comparison=Comparison.ABOVE,
        threshold=0,
        period_seconds=MINUTE,
        periods=RECOVERY_MINUTES,
        silence=Silence.TOLD,
        meaning=(
            "{subject} fails EC2's own checks, or is stopped (no data), and did not recover by itself: start"
            " it in EC2, or replace it."
        ),
    ),
    Alarm(
        purpose="volumes",
        severity=Severity.WARNING,
        namespace="AWS/EC2",
        metric="StatusCheckFailed_AttachedEBS",
        statistic="Maximum",
        comparison=Comparison.ABOVE,
        threshold=0,
        period_seconds=MINUTE,
        periods=RECOVERY_MINUTES,
        # A machine that says nothing is told of above.
        silence=Silence.NOTHING,
        meaning=(
            "{subject} cannot reach a volume of its own: look at AWS Health for EBS in its zone; if nothing"
            " is reported there, stop and start the machine."
        ),
    ),
)

# One unhealthy target is no alarm: the passive node says it is unhealthy as long as its peer is healthy.
# https://docs.aws.amazon.com/elasticloadbalancing/latest/network/load-balancer-cloudwatch-metrics.html
_TARGET_GROUP = (
    Alarm(
        purpose="no-healthy-target",
        severity=Severity.CRITICAL,
        namespace="AWS/NetworkELB",
        metric="HealthyHostCount",
        # Every zone's part of the load balancer counts for itself: no one of them sees a healthy node.
        statistic="Maximum",
        comparison=Comparison.BELOW,
        threshold=1,
        period_seconds=MINUTE,
        periods=UNREACHABLE_MINUTES,
        silence=Silence.ALARM,
        meaning=(
            "Neither load-balancer node answers on {subject}, the region is about to fail over: look at"
            " HAProxy and Nginx on both nodes."
        ),
    ),
)


# https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-metrics.html
def _free_storage(database: DatabaseSettings, severity: Severity) -> Alarm:
    return Alarm(
        purpose="free-storage",
        severity=severity,
        namespace="AWS/RDS",
        metric="FreeStorageSpace",
        statistic="Minimum",
        comparison=Comparison.BELOW,
        threshold=database.storage_gigabytes * GIBIBYTE * FREE_STORAGE_SHARE,
        period_seconds=FIVE_MINUTES,
        periods=QUARTER_HOUR,
        silence=Silence.ALARM,
        meaning=(
            "The storage of {subject} is almost full and does not grow any more, or the database is gone (no"
            " data): raise database.maximumStorageGigabytes, or look at its events in RDS."
        ),
    )


def _source(database: DatabaseSettings) -> tuple[Alarm, ...]:
    kept = slot_log_gibibytes(database.storage_gigabytes) * GIBIBYTE
    return (
        Alarm(
            purpose="slot-lag",
            severity=Severity.WARNING,
            namespace="AWS/RDS",
            metric="OldestReplicationSlotLag",
            statistic="Maximum",
            comparison=Comparison.ABOVE,
            # Half of what is kept: as long again as it took to get here is left.
            threshold=kept / 2,
            period_seconds=FIVE_MINUTES,
            periods=QUARTER_HOUR,
            # Nobody replicates a database that has just been promoted.
            silence=Silence.NOTHING,
            meaning=(
                "A replica of {subject} is so far behind that half of the log kept for it is used up: find"
                " out which one (ReplicaLag) and why it is cut off, before it has to be made again."
            ),
        ),
        Alarm(
            purpose="log-usage",
            severity=Severity.WARNING,
            namespace="AWS/RDS",
            metric="TransactionLogsDiskUsage",
            statistic="Maximum",
            comparison=Comparison.ABOVE,
            threshold=database.storage_gigabytes * GIBIBYTE * LOG_SHARE,
            period_seconds=FIVE_MINUTES,
            periods=QUARTER_HOUR,
            silence=Silence.NOTHING,
            meaning=(
                "The log of {subject} takes more storage than is kept for replicas: look in its log for"
                " archiving that fails, and for replication slots that are nobody's."
            ),
        ),
    )


_LAG = Alarm(
    purpose="lag",
    severity=Severity.WARNING,
    namespace="AWS/RDS",
    metric="ReplicaLag",
    statistic="Average",
    comparison=Comparison.ABOVE,
    threshold=LAG_SECONDS,
    period_seconds=FIVE_MINUTES,
    periods=QUARTER_HOUR,
    silence=Silence.TOLD,
    meaning=(
        "{subject} is behind its source, or does not replicate (no data), and a failover would lose that"
        " much: look at its replication state and its log in RDS."
    ),
)


def _too_few_workers(minimum: int) -> Alarm:
    # https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-metrics.html
    return Alarm(
        purpose="too-few",
        severity=Severity.WARNING,
        namespace="AWS/AutoScaling",
        metric="GroupInServiceInstances",
        # The best of five minutes: a refresh takes workers out one by one, and each comes back.
        statistic="Maximum",
        comparison=Comparison.BELOW,
        threshold=minimum,
        period_seconds=FIVE_MINUTES,
        periods=QUARTER_HOUR,
        silence=Silence.ALARM,
        meaning=(
            "Fewer {subject} are in service than the minimum, and none follows: look at the activities of the"
            " Auto Scaling group, mostly it is capacity that EC2 does not have."
        ),
    )


# https://docs.aws.amazon.com/efs/latest/ug/efs-metrics.html
_FILE_SYSTEM = (
    Alarm(
        purpose="copy-age",
        severity=Severity.WARNING,
        namespace="AWS/EFS",
        metric="TimeSinceLastSync",
        statistic="Maximum",
        comparison=Comparison.ABOVE,
        threshold=SYNC_SECONDS,
        period_seconds=FIVE_MINUTES,
        periods=QUARTER_HOUR,
        # The first copy of everything takes its time, and nothing is measured before it is done.
        silence=Silence.TOLD,
        meaning=(
            "The copy of {subject} in the standby region is old, or its replication has ended (no data), and"
            " a failover would lose what is newer: look at the replication in EFS."
        ),
    ),
)

_CERTIFICATE = (
    Alarm(
        purpose="certificate-expiry",
        severity=Severity.WARNING,
        namespace=NAMESPACE,
        metric=CERTIFICATE_DAYS,
        statistic="Minimum",
        comparison=Comparison.AT_MOST,
        threshold=ALARM_DAYS,
        period_seconds=PUBLISH_SECONDS,
        periods=LOST_PUBLICATIONS,
        silence=Silence.ALARM,
        meaning=(
            "The certificate {subject} ends within weeks and was not renewed, or no node says when it ends"
            " (no data): run `up`, or renew the one that you bring; if it is new already, look at the boot"
            " agent's log."
        ),
    ),
)

# https://docs.aws.amazon.com/acm/latest/userguide/cloudwatch-metrics.html: published twice a day.
_ACM_CERTIFICATE = (
    Alarm(
        purpose="acm-expiry",
        severity=Severity.WARNING,
        namespace="AWS/CertificateManager",
        metric="DaysToExpiry",
        statistic="Minimum",
        comparison=Comparison.AT_MOST,
        threshold=ALARM_DAYS,
        period_seconds=DAY,
        periods=1,
        # ACM says nothing any more of a certificate that has ended.
        silence=Silence.ALARM,
        meaning=(
            "The certificate {subject} in ACM ends within weeks or has ended (no data), so that its renewal"
            " does not work: look at its validation in ACM."
        ),
    ),
)
