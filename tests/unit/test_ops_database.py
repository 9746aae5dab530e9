"""A database, on moto's RDS and CloudWatch."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from moto import mock_aws

from ops.aws import Region
from ops.database import Database, DatabaseState
from ops.problems import Unknown

NOW = datetime.now(UTC).replace(second=30, microsecond=0)
MINUTE = NOW.replace(second=0)


@pytest.fixture
def region() -> Iterator[Region]:
    with mock_aws():
        yield Region("us-west-2")


def make(region: Region, identifier: str) -> str:
    made = region.rds.create_db_instance(
        DBInstanceIdentifier=identifier,
        DBInstanceClass="db.m6i.large",
        Engine="postgres",
        AllocatedStorage=100,
        MasterUsername="grafana",
        MasterUserPassword="a password",
    )
    return made["DBInstance"].get("DBInstanceArn", "")


def measure(region: Region, lag: float, at: datetime, identifier: str = "mlops-postgres") -> None:
    region.cloudwatch.put_metric_data(
        Namespace="AWS/RDS",
        MetricData=[
            {
                "MetricName": "ReplicaLag",
                "Dimensions": [{"Name": "DBInstanceIdentifier", "Value": identifier}],
                "Timestamp": at,
                "Value": lag,
            }
        ],
    )


def test_a_replica_is_told_from_a_database_of_its_own(region: Region) -> None:
    """A promotion that is done again, or not at all, because a replica looks like a primary."""
    source = make(Region("us-east-1"), "mlops-postgres")
    region.rds.create_db_instance_read_replica(
        DBInstanceIdentifier="mlops-postgres", SourceDBInstanceIdentifier=source
    )
    make(region, "mlops-postgres-2")
    assert Database(region, "mlops-postgres").state() == DatabaseState("available", source)
    assert Database(region, "mlops-postgres-2").state() == DatabaseState("available", None)


def test_a_missing_database_is_unknown(region: Region) -> None:
    """A wrong name, or a deployment that never ended, taken for a database that is nobody's replica."""
    with pytest.raises(Unknown) as unknown:
        Database(region, "mlops-postgres").state()
    assert str(unknown.value) == "There is no database mlops-postgres in us-west-2."


def test_the_last_transaction_is_the_newest_measurements(region: Region) -> None:
    """A loss that is told too small: by an older lag, by a lag of another database, or by an average."""
    # Out of order, as CloudWatch returns them.
    measure(region, 3, MINUTE - timedelta(minutes=1))
    measure(region, 70, MINUTE - timedelta(minutes=1))
    measure(region, 5, MINUTE - timedelta(minutes=4))
    measure(region, 0, MINUTE - timedelta(minutes=1), identifier="mlops-postgres-2")
    replayed = Database(region, "mlops-postgres").replayed(NOW)
    assert replayed == MINUTE - timedelta(minutes=1, seconds=70)


def test_a_source_that_is_gone_leaves_what_was_measured_before(region: Region) -> None:
    """A failover stopped because the lost region no longer sends, when that is why it is needed."""
    measure(region, 2, MINUTE - timedelta(minutes=3))
    measure(region, -1, MINUTE - timedelta(minutes=2))
    assert Database(region, "mlops-postgres").replayed(NOW) == MINUTE - timedelta(minutes=3, seconds=2)


def test_without_replication_nothing_is_known(region: Region) -> None:
    """-1, by which RDS says that nothing is replicated, taken for a lag below zero: a transaction in the future."""
    measure(region, -1, MINUTE - timedelta(minutes=2))
    with pytest.raises(Unknown) as unknown:
        Database(region, "mlops-postgres").replayed(NOW)
    assert str(unknown.value) == (
        "how far the database mlops-postgres in us-west-2 is behind its source: since"
        f" {MINUTE - timedelta(minutes=2):%H:%M} UTC ReplicaLag says that nothing is replicated"
    )


def test_an_old_measurement_is_none(region: Region) -> None:
    """A lag of yesterday told as the loss of now."""
    measure(region, 2, MINUTE - timedelta(hours=7))
    with pytest.raises(Unknown, match=r"CloudWatch has no ReplicaLag of the last 6 hours$"):
        Database(region, "mlops-postgres").replayed(NOW)
