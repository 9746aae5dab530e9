"""A database, as RDS has it: what it does now, whose replica it is, and how much it has of its source."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from botocore.exceptions import ClientError

from ops.aws import Region, asked
from ops.problems import Unknown

LAG_PERIOD_SECONDS = 60
"""RDS publishes the lag once a minute (https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-metrics.html)."""

LAG_WINDOW = timedelta(hours=6)
"""How far back a measurement is looked for: once the source is gone the last good one only ages, and it takes a while
until somebody is awake."""


@dataclass(frozen=True)
class DatabaseState:
    """What RDS says of a database.

    ``status`` is RDS's own word, "available" when all is well. ``source`` is the identifier, or the ARN in another
    region, of the database that this one is a replica of; None when it is none.
    """

    status: str
    source: str | None


class Database:
    """One database of a region."""

    def __init__(self, region: Region, identifier: str) -> None:
        """Ask nothing yet; ``identifier`` is its name in RDS."""
        self._region = region
        self._identifier = identifier

    def state(self) -> DatabaseState:
        """Return what the database is and does now.

        Raises:
            Unknown: RDS did not answer, or refused, or there is no such database.
        """
        with asked(f"the state of the database {self._identifier} in {self._region.name}"):
            try:
                found = self._region.rds.describe_db_instances(DBInstanceIdentifier=self._identifier)["DBInstances"]
            except ClientError as error:
                # What RDS names its exception DBInstanceNotFoundFault is this on the wire.
                if error.response.get("Error", {}).get("Code") != "DBInstanceNotFound":
                    raise
                found = []
        if not found:
            raise Unknown(f"There is no database {self._identifier} in {self._region.name}.")
        return DatabaseState(
            found[0].get("DBInstanceStatus", ""), found[0].get("ReadReplicaSourceDBInstanceIdentifier") or None
        )

    def replayed(self, now: datetime) -> datetime:
        """Return the time of the last transaction that the replica has, or an earlier one: later ones are lost.

        RDS measures the lag as the time since the last transaction that was replayed: when nobody writes to the
        source it grows, to five minutes at most while the source lives
        (https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_PostgreSQL.Replication.ReadReplicas.Monitor.html).
        A datapoint stands for the minute that begins at its time, and so does the largest lag in that minute: what is
        returned is too early by a minute at most, never too late.

        Args:
            now: the end of the ``LAG_WINDOW`` that is looked at.

        Raises:
            Unknown: CloudWatch did not answer, or refused, or has no measurement, or the newest says that nothing
                is replicated.
        """
        what = f"how far the database {self._identifier} in {self._region.name} is behind its source"
        with asked(what):
            points = self._region.cloudwatch.get_metric_statistics(
                Namespace="AWS/RDS",
                MetricName="ReplicaLag",
                Dimensions=[{"Name": "DBInstanceIdentifier", "Value": self._identifier}],
                StartTime=now - LAG_WINDOW,
                EndTime=now,
                Period=LAG_PERIOD_SECONDS,
                Statistics=["Maximum"],
            )["Datapoints"]
        # CloudWatch returns them in no order.
        measured = {
            point["Timestamp"]: point["Maximum"] for point in points if "Timestamp" in point and "Maximum" in point
        }
        if not measured:
            hours = LAG_WINDOW // timedelta(hours=1)
            raise Unknown(f"{what}: CloudWatch has no ReplicaLag of the last {hours} hours")
        # -1 says that nothing is replicated, as when the source is gone: what was measured before that still holds
        # (https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_ReadRepl.Monitoring.html).
        replicating = {at: lag for at, lag in measured.items() if lag >= 0}
        if not replicating:
            raise Unknown(f"{what}: since {min(measured):%H:%M} UTC ReplicaLag says that nothing is replicated")
        newest = max(replicating)
        return newest - timedelta(seconds=replicating[newest])
