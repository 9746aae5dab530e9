"""Targets, workers and certificates, on moto's Elastic Load Balancing, Auto Scaling and CloudWatch."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import botocore.session
import pytest
from moto import mock_aws

from configs.settings.model import Settings
from configs.tables.certificates import Certificate
from configs.tables.names import Names
from ops.aws import Region
from ops.certificates import days_left, published
from ops.problems import Unknown
from ops.targets import Targets, targets
from ops.workers import Workers, workers
from tests.unit.mocks import stack_settings

NAMES = Names("mlops", "123456789012", "us-west-2")
NOW = datetime.now(UTC)
MANAGED = "arn:aws:acm:us-west-2:123456789012:certificate/standby"
IN_MANAGER = {
    "mode": "acm",
    "primaryCertificateArn": "arn:aws:acm:us-east-1:123456789012:certificate/primary",
    "standbyCertificateArn": MANAGED,
}


@pytest.fixture
def region() -> Iterator[Region]:
    with mock_aws():
        yield Region("us-west-2")


@pytest.fixture
def subnet(region: Region) -> tuple[str, str]:
    """A network and a subnet in it: what groups and load balancers are made in."""
    network: Any = botocore.session.Session().create_client("ec2", region_name=region.name)
    vpc = network.create_vpc(CidrBlock="10.20.0.0/16")["Vpc"]["VpcId"]
    return vpc, network.create_subnet(VpcId=vpc, CidrBlock="10.20.0.0/24")["Subnet"]["SubnetId"]


def group(region: Region, vpc: str, name: str, port: int) -> str:
    made = region.elbv2.create_target_group(Name=name, Protocol="TCP", Port=port, VpcId=vpc)
    return made["TargetGroups"][0].get("TargetGroupArn", "")


def test_healthy_targets_are_counted(
    region: Region, subnet: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A passive node counted as one that serves, or the groups told under each other's names."""
    for name, port in (("mlops-https", 443), ("mlops-http", 80), ("mlops-health", 8443), ("another-https", 443)):
        group(region, subnet[0], name, port)
    answers = {
        "mlops-https": ["healthy", "unhealthy"],
        "mlops-http": ["initial", "draining"],
        "mlops-health": ["healthy", "healthy"],
    }

    # moto calls every target healthy, or none.
    def health(TargetGroupArn: str) -> object:  # noqa: N803 - as AWS names it
        name = TargetGroupArn.split("/")[1]
        return {"TargetHealthDescriptions": [{"TargetHealth": {"State": state}} for state in answers[name]]}

    monkeypatch.setattr(region.elbv2, "describe_target_health", health)
    assert targets(region, NAMES) == {"https": Targets(1, 2), "http": Targets(0, 2), "health": Targets(2, 2)}


def test_targets_are_asked_of_the_api(region: Region, subnet: tuple[str, str]) -> None:
    """A question that Elastic Load Balancing does not know, or an empty group taken for a healthy one."""
    for name, port in (("mlops-https", 443), ("mlops-http", 80), ("mlops-health", 8443)):
        group(region, subnet[0], name, port)
    assert targets(region, NAMES) == dict.fromkeys(("https", "http", "health"), Targets(0, 0))


def test_a_missing_target_group_is_unknown(region: Region) -> None:
    """A load balancer that was never made, told as one without targets."""
    with pytest.raises(Unknown, match=r"^the target groups of the load balancer in us-west-2: .*TargetGroupNotFound"):
        targets(region, NAMES)


def test_workers_are_counted(region: Region, subnet: tuple[str, str]) -> None:
    """Workers that leave or are ill, counted as those that work; bounds and wishes in each other's places."""
    region.autoscaling.create_launch_configuration(
        LaunchConfigurationName="workers", ImageId="ami-12c6146b", InstanceType="m6i.2xlarge"
    )
    for name, desired in (("another-workers", 1), ("mlops-workers", 4)):
        region.autoscaling.create_auto_scaling_group(
            AutoScalingGroupName=name,
            LaunchConfigurationName="workers",
            MinSize=1,
            MaxSize=7,
            DesiredCapacity=desired,
            VPCZoneIdentifier=subnet[1],
        )
    assert workers(region, NAMES) == Workers(minimum=1, maximum=7, desired=4, in_service=4)
    found = region.autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=["mlops-workers"])
    ill, gone = [one["InstanceId"] for one in found["AutoScalingGroups"][0].get("Instances", [])][:2]
    region.autoscaling.set_instance_health(InstanceId=ill, HealthStatus="Unhealthy")
    region.autoscaling.enter_standby(
        AutoScalingGroupName="mlops-workers", InstanceIds=[gone], ShouldDecrementDesiredCapacity=True
    )
    assert workers(region, NAMES) == Workers(minimum=1, maximum=7, desired=3, in_service=2)


def test_a_missing_group_is_unknown(region: Region) -> None:
    """A region that was never deployed, told as one without workers."""
    with pytest.raises(Unknown) as unknown:
        workers(region, NAMES)
    assert str(unknown.value) == "There is no Auto Scaling group mlops-workers in us-west-2."


def publish(region: Region, certificate: str, days: float, before: timedelta) -> None:
    region.cloudwatch.put_metric_data(
        Namespace="MlopsHa",
        MetricData=[
            {
                "MetricName": "CertificateDaysToExpiry",
                "Dimensions": [{"Name": "Certificate", "Value": certificate}],
                "Timestamp": NOW - before,
                "Value": days,
            }
        ],
    )


def left(region: Region, settings: Settings, certificate: Certificate) -> float:
    (one,) = (found for found in published(settings) if found.certificate is certificate)
    return days_left(region, one, NOW)


def test_the_newest_publication_counts(region: Region) -> None:
    """A certificate that was renewed and still looks old, or the days of another one."""
    publish(region, "control-plane", 3, timedelta(minutes=150))
    publish(region, "control-plane", 365, timedelta(minutes=5))
    publish(region, "public", 17, timedelta(minutes=5))
    settings = stack_settings("dr")
    assert left(region, settings, Certificate.CONTROL_PLANE) == 365
    assert left(region, settings, Certificate.PUBLIC) == 17


def test_the_oldest_node_counts(region: Region) -> None:
    """A node that missed the renewal, hidden by the others."""
    publish(region, "worker", 364, timedelta(minutes=5))
    publish(region, "worker", 12, timedelta(minutes=5))
    assert left(region, stack_settings("dr"), Certificate.WORKER) == 12


def test_silence_is_unknown(region: Region) -> None:
    """Days that were published before everybody who holds the certificate fell silent."""
    publish(region, "worker", 100, timedelta(hours=5))
    with pytest.raises(Unknown) as unknown:
        left(region, stack_settings("dr"), Certificate.WORKER)
    assert str(unknown.value) == (
        "the days that the certificate worker in us-west-2 has left: nothing was published in the last 3 hours"
    )


def test_managed_certificates_are_asked_of_their_manager(region: Region) -> None:
    """A public certificate in ACM that is unknown for ever, because no node publishes it."""
    region.cloudwatch.put_metric_data(
        Namespace="AWS/CertificateManager",
        MetricData=[
            {
                "MetricName": "DaysToExpiry",
                "Dimensions": [{"Name": "CertificateArn", "Value": MANAGED}],
                "Timestamp": NOW - timedelta(hours=11),
                "Value": 40,
            }
        ],
    )
    settings = stack_settings("dr", certificates=IN_MANAGER)
    assert left(region, settings, Certificate.PUBLIC) == 40
    with pytest.raises(Unknown, match=r"nothing was published in the last 3 hours$"):
        left(region, settings, Certificate.WORKER)
