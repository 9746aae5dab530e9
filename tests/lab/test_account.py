"""The account's APIs, asked by the SDK that the day-2 commands use."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError

from configs.nodes import report_key
from configs.tables.certificates import Certificate
from configs.tables.metrics import CERTIFICATE_DAYS, CERTIFICATE_DIMENSION, NAMESPACE
from engine.tokens import INSTANCE
from lab.account import Account, account
from lab.calls import ApiCall
from lab.mirror import SECRET_VERSION
from offline.cloud import Cloud
from offline.endpoint import CHECKERS
from tests.lab.cloud import (
    AWAY,
    BALANCER_ARN,
    BUNDLES,
    DATABASE_NAME,
    GROUP_ARN,
    HOME,
    MACHINE,
    PRIMARY_SECRET,
    REPLICA,
    SECRET_ARN,
    SWITCH,
    SWITCH_KEY,
    WORKERS,
    client,
    code,
)

REPORT = report_key("load-balancer-haproxy")


def database(served: Account, region: str = AWAY) -> dict[str, Any]:
    [one] = client(served, "rds", region).describe_db_instances(DBInstanceIdentifier=DATABASE_NAME)["DBInstances"]
    return one


def lag(served: Account, now: datetime) -> list[dict[str, Any]]:
    """Return the datapoints of the replica's lag, the newest last, as the day-2 commands ask for them."""
    answer = client(served, "cloudwatch").get_metric_statistics(
        Namespace="AWS/RDS",
        MetricName="ReplicaLag",
        Dimensions=[{"Name": "DBInstanceIdentifier", "Value": DATABASE_NAME}],
        StartTime=now - timedelta(minutes=15),
        EndTime=now,
        Period=60,
        Statistics=["Maximum"],
    )
    return sorted(answer["Datapoints"], key=lambda point: point["Timestamp"])


def test_a_promotion_in_the_cloud_shows_at_once(served: Account, cloud: Cloud) -> None:
    """A failover that waits for ever for a promotion that the engine did, in another process."""
    assert database(served)["ReadReplicaSourceDBInstanceIdentifier"] == REPLICA.inputs["replicateSourceDb"]
    assert "ReadReplicaSourceDBInstanceIdentifier" not in database(served, HOME)
    cloud.put(replace(REPLICA, inputs={"identifier": DATABASE_NAME}))
    assert "ReadReplicaSourceDBInstanceIdentifier" not in database(served)


def test_the_status_of_a_database_is_what_the_test_says(served: Account) -> None:
    """A promotion while the replica is backed up, which AWS refuses, that no test can bring about."""
    assert database(served)["DBInstanceStatus"] == "available"
    served.database_status[DATABASE_NAME] = "backing-up"
    assert database(served)["DBInstanceStatus"] == "backing-up"


def test_a_database_that_the_cloud_has_not_is_the_sdks_own_error(served: Account, cloud: Cloud) -> None:
    """A database that stays in the account when it was deleted."""
    assert database(served)["DBInstanceIdentifier"] == DATABASE_NAME
    cloud.remove(REPLICA)
    with pytest.raises(ClientError) as refused:
        database(served)
    assert code(refused) == "DBInstanceNotFound"


def test_a_replica_has_a_lag_and_a_primary_has_none(served: Account, cloud: Cloud) -> None:
    """A time of the last transaction that is wrong by the lag, or that a promoted database has for ever."""
    now = datetime.now(UTC)
    points = lag(served, now)
    assert {point["Maximum"] for point in points} == {2.0}
    # A busy machine may take more than the ten seconds until it asks: the one before is the last then.
    assert now - timedelta(seconds=71) < points[-1]["Timestamp"] < now
    assert points[-1]["Timestamp"] - points[-2]["Timestamp"] == timedelta(minutes=1)
    served.lag(DATABASE_NAME, 90)
    assert {point["Maximum"] for point in lag(served, now)} == {90.0}
    cloud.put(replace(REPLICA, inputs={"identifier": DATABASE_NAME}))
    assert lag(served, now) == []


def test_a_lag_can_be_unknown_missing_or_old(served: Account) -> None:
    """A command that takes the last datapoint before the darkness for one of now."""
    now = datetime.now(UTC).replace(microsecond=0)
    served.lag(DATABASE_NAME, -1)
    assert {point["Maximum"] for point in lag(served, now)} == {-1.0}
    served.lag(DATABASE_NAME, None)
    assert lag(served, now) == []
    served.lag(DATABASE_NAME, 3, at=now - timedelta(minutes=9))
    assert lag(served, now) == [{"Timestamp": now - timedelta(minutes=9), "Maximum": 3.0}]


def test_every_certificate_has_its_days(served: Account) -> None:
    """A status that shows a certificate as unknown, because nothing was published."""
    cloudwatch = client(served, "cloudwatch")
    for certificate in Certificate:
        now = datetime.now(UTC)
        answer = cloudwatch.get_metric_statistics(
            Namespace=NAMESPACE,
            MetricName=CERTIFICATE_DAYS,
            Dimensions=[{"Name": CERTIFICATE_DIMENSION, "Value": certificate.value}],
            StartTime=now - timedelta(hours=2),
            EndTime=now,
            Period=3600,
            Statistics=["Minimum"],
        )
        assert [point["Minimum"] for point in answer["Datapoints"]] == [300.0], certificate


def test_a_metric_that_a_client_put_stays(served: Account) -> None:
    """A node's own metric that is gone with the next request."""
    cloudwatch = client(served, "cloudwatch")
    cloudwatch.put_metric_data(Namespace="Other", MetricData=[{"MetricName": "Kept", "Value": 1}])
    for _ in range(2):
        assert [one["MetricName"] for one in cloudwatch.list_metrics(Namespace="Other")["Metrics"]] == ["Kept"]
    assert len(cloudwatch.list_metrics(Namespace=NAMESPACE)["Metrics"]) == len(Certificate)


def test_the_group_follows_its_bounds(served: Account, cloud: Cloud) -> None:
    """A failover that counts workers before they are there, or never sees the new bounds."""

    def group() -> tuple[int, int, int, int]:
        [one] = client(served, "autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]
        in_service = [machine for machine in one["Instances"] if machine["LifecycleState"] == "InService"]
        return one["MinSize"], one["MaxSize"], one["DesiredCapacity"], len(in_service)

    assert group() == (1, 1, 1, 1)
    cloud.put(replace(WORKERS, inputs={**WORKERS.inputs, "minSize": 3, "maxSize": 20}))
    assert group() == (3, 20, 3, 3)
    client(served, "autoscaling").set_desired_capacity(AutoScalingGroupName="mlops-workers", DesiredCapacity=5)
    # What was scaled stays scaled: the next request must not take it back.
    assert group() == (3, 20, 5, 5)
    cloud.put(WORKERS)
    assert group() == (1, 1, 1, 1)


def test_targets_are_healthy(served: Account, cloud: Cloud) -> None:
    """A load balancer whose groups cannot be found from it, or whose deleted machine is healthy for ever."""
    balancing = client(served, "elbv2")
    [balancer] = balancing.describe_load_balancers(Names=["mlops-network"])["LoadBalancers"]
    assert (balancer["LoadBalancerArn"], balancer["Type"]) == (BALANCER_ARN, "network")
    [group] = balancing.describe_target_groups(LoadBalancerArn=BALANCER_ARN)["TargetGroups"]
    assert (group["TargetGroupArn"], group["TargetGroupName"], group["Port"]) == (GROUP_ARN, "mlops-https", 443)

    def targets() -> list[tuple[str, str]]:
        answer = balancing.describe_target_health(TargetGroupArn=GROUP_ARN)
        return [(one["Target"]["Id"], one["TargetHealth"]["State"]) for one in answer["TargetHealthDescriptions"]]

    assert targets() == [(MACHINE, "healthy")]
    [machine] = cloud.all(INSTANCE)
    cloud.remove(machine)
    assert targets() == []


def test_a_secret_is_in_its_region_and_where_it_is_replicated(served: Account, cloud: Cloud) -> None:
    """A command that reads an old token, or finds none in the standby region."""

    def secret(region: str) -> tuple[str, str]:
        answer = client(served, "secretsmanager", region).get_secret_value(SecretId="mlops/worker")
        return answer["ARN"], answer["SecretString"]

    replica = SECRET_ARN.replace(HOME, AWAY)
    assert secret(HOME) == (SECRET_ARN, '{"token": "one"}')
    assert secret(AWAY) == (replica, '{"token": "one"}')
    [version] = cloud.all(SECRET_VERSION)
    changed = replace(version, inputs={**version.inputs, "secretString": '{"token": "two"}'})
    cloud.put(changed)
    assert secret(AWAY) == (replica, '{"token": "two"}')


def test_a_replica_of_a_secret_outlives_its_region(served: Account, cloud: Cloud) -> None:
    """A failover that finds no token, because the region that is gone took the replica with it."""
    [version] = cloud.all(SECRET_VERSION)
    cloud.remove(PRIMARY_SECRET)
    cloud.remove(version)
    answer = client(served, "secretsmanager").get_secret_value(SecretId="mlops/worker")
    assert answer["SecretString"] == '{"token": "one"}'
    with pytest.raises(ClientError) as refused:
        client(served, "secretsmanager", HOME).get_secret_value(SecretId="mlops/worker")
    assert code(refused) == "ResourceNotFoundException"


def test_a_report_is_the_nodes_until_a_client_writes_one(served: Account, cloud: Cloud) -> None:
    """A report that stays when its machine is gone, or that replaces what a test wrote."""
    s3 = client(served, "s3")
    before = datetime.now(UTC).replace(microsecond=0)
    answer = s3.get_object(Bucket=BUNDLES, Key=REPORT)
    assert json.loads(answer["Body"].read())["instance"] == MACHINE
    assert answer["LastModified"] >= before
    s3.put_object(Bucket=BUNDLES, Key=REPORT, Body=b"mine")
    assert s3.get_object(Bucket=BUNDLES, Key=REPORT)["Body"].read() == b"mine"
    s3.delete_object(Bucket=BUNDLES, Key=REPORT)
    assert json.loads(s3.get_object(Bucket=BUNDLES, Key=REPORT)["Body"].read())["instance"] == MACHINE
    [machine] = cloud.all(INSTANCE)
    cloud.remove(machine)
    with pytest.raises(ClientError) as refused:
        s3.get_object(Bucket=BUNDLES, Key=REPORT)
    assert code(refused) == "NoSuchKey"


def test_the_switch_is_written_once_and_everyone_reads_it(served: Account) -> None:
    """A second failover that overwrites the first one's switch, or a switch that Route 53 cannot read."""
    s3, anyone = client(served, "s3"), client(served, "s3", signed=False)
    given = {"Bucket": SWITCH, "Key": SWITCH_KEY}
    s3.put_object(**given, Body=b"now", IfNoneMatch="*", ServerSideEncryption="AES256", CacheControl="no-store")
    with pytest.raises(ClientError) as refused:
        s3.put_object(**given, Body=b"later", IfNoneMatch="*")
    assert code(refused) == "PreconditionFailed"
    answer = anyone.get_object(**given)
    assert (answer["Body"].read(), answer["CacheControl"], answer["ServerSideEncryption"]) == (
        b"now",
        "no-store",
        "AES256",
    )
    s3.delete_object(**given)
    with pytest.raises(ClientError) as refused:
        s3.get_object(**given)
    assert code(refused) == "NoSuchKey"


def test_nobody_reads_the_other_buckets_without_signing(served: Account) -> None:
    """A record that a test finds public, or private, because a policy's conditions were not read."""
    client(served, "s3").put_object(Bucket=BUNDLES, Key="failover/record.json", Body=b"{}")
    with pytest.raises(ClientError) as refused:
        client(served, "s3", signed=False).get_object(Bucket=BUNDLES, Key="failover/record.json")
    assert code(refused) == "403"


def test_the_gates_see_what_each_checker_saw(served: Account) -> None:
    """A program that cannot be deployed over the account, because moto knows no checkers."""
    seen = client(served, "route53").get_health_check_status(HealthCheckId="3f0f2f0e-check")
    assert [one["Region"] for one in seen["HealthCheckObservations"]] == list(CHECKERS)


def test_a_dark_region_drops_every_connection(served: Account) -> None:
    """A command that hangs, or that is told why: a dark region says nothing. Its buckets are dark for everyone."""
    served.dark_regions.add(AWAY)
    with pytest.raises(ConnectionClosedError):
        database(served)
    for asking in (client(served, "s3", signed=False), client(served, "s3", HOME)):
        with pytest.raises(ConnectionClosedError):
            asking.get_object(Bucket=SWITCH, Key=SWITCH_KEY)
    assert database(served, HOME)["DBInstanceStatus"] == "available"
    served.dark_regions.clear()
    assert database(served)["DBInstanceStatus"] == "available"


@pytest.mark.parametrize(
    ("service", "operation"),
    [
        ("route53", "list_hosted_zones"),
        ("iam", "list_roles"),
        ("rds", "describe_db_instances"),
        ("s3", "list_buckets"),
        ("efs", "describe_file_systems"),
        ("cloudwatch", "list_metrics"),
        ("secretsmanager", "list_secrets"),
    ],
)
def test_a_refused_service_says_so_in_its_own_words(served: Account, service: str, operation: str) -> None:
    """A refusal that the SDK cannot read, and that looks like a broken network."""
    served.refused_services.add(service)
    # Refused in the dark as well: the control planes of Route 53 and IAM are asked in us-east-1.
    served.dark_regions.add(AWAY)
    with pytest.raises(ClientError) as refused:
        getattr(client(served, service), operation)()
    assert code(refused) == "AccessDenied"
    [call] = served.refusals
    assert call.operation.lower() == operation.replace("_", "")
    assert served.calls == [call]


def test_a_service_can_be_refused_by_the_name_that_requests_are_signed_with(served: Account) -> None:
    """A refusal of "elasticfilesystem" that refuses nothing."""
    served.refused_services.add("elasticfilesystem")
    with pytest.raises(ClientError):
        client(served, "efs").describe_file_systems()
    region = client(served, "efs").meta.region_name
    assert served.refusals == [ApiCall("efs", region, "DescribeFileSystems")]


def test_calls_are_told_apart_and_kept_in_their_order(served: Account) -> None:
    """A proof that the failover calls no control plane, over calls that have the wrong names."""
    s3 = client(served, "s3")
    s3.put_object(Bucket=BUNDLES, Key="a/b", Body=b"")
    s3.copy_object(Bucket=BUNDLES, Key="c", CopySource={"Bucket": BUNDLES, "Key": "a/b"})
    s3.list_objects_v2(Bucket=BUNDLES)
    s3.delete_object(Bucket=BUNDLES, Key="c")
    client(served, "s3", signed=False).head_bucket(Bucket=BUNDLES)
    client(served, "efs", HOME).describe_replication_configurations()
    client(served, "elbv2", HOME).describe_target_groups()
    client(served, "cloudwatch").list_metrics()
    client(served, "sts").get_caller_identity()
    assert served.calls == [
        ApiCall("s3", AWAY, "PutObject"),
        ApiCall("s3", AWAY, "CopyObject"),
        ApiCall("s3", AWAY, "ListObjectsV2"),
        ApiCall("s3", AWAY, "DeleteObject"),
        ApiCall("s3", AWAY, "HeadBucket"),
        ApiCall("efs", HOME, "DescribeReplicationConfigurations"),
        ApiCall("elbv2", HOME, "DescribeTargetGroups"),
        ApiCall("cloudwatch", AWAY, "ListMetrics"),
        ApiCall("sts", AWAY, "GetCallerIdentity"),
    ]


def test_a_process_serves_one_account_and_the_next_starts_empty(cloud: Cloud) -> None:
    """Two accounts that share moto's things, or one that finds those of the test before."""
    with account(cloud) as first:
        client(first, "s3").put_object(Bucket=SWITCH, Key=SWITCH_KEY, Body=b"now")
        with pytest.raises(RuntimeError, match="serves an account already"), account(cloud):
            pass
    with account(cloud) as second:
        assert client(second, "s3").list_objects_v2(Bucket=SWITCH)["KeyCount"] == 0
