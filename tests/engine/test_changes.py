"""One setting changed at a time: exactly the expected resources change, and nothing that holds state is lost."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from offline.engine import OfflineStack
from tests.engine.conftest import stack_of, succeeded, write_project
from tests.stateful import destroyed
from tests.unit.mocks import stack_block

BLOCK = stack_block("prod")
EDGE = {
    "zoneId": "0123456789abcdef0123456789abcdef",
    "domain": "ml.example.org",
    "addressRanges": ["173.245.48.0/20", "103.21.244.0/22"],
}
EMAIL = {**BLOCK["alerts"]["email"], "criticalRecipient": "sre@example.com"}
IMAGE = {**BLOCK["regions"], "primary": {**BLOCK["regions"]["primary"], "imageId": "ami-00000000000000009"}}
SECRETS = {
    "mode": "secret",
    "primarySecretArn": "arn:aws:secretsmanager:us-east-1:123456789012:secret:public-AbCdEf",
    "standbySecretArn": "arn:aws:secretsmanager:us-west-2:123456789012:secret:public-AbCdEf",
}
ACM = {
    "mode": "acm",
    "primaryCertificateArn": "arn:aws:acm:us-east-1:123456789012:certificate/one",
    "standbyCertificateArn": "arn:aws:acm:us-west-2:123456789012:certificate/two",
}
NEW_VERSION_OF_AN_IMAGE = {
    # A new image beside the old one, which stays in the registry.
    **{("create", kind): 1 for kind in ("RemoteImage", "Tag", "RegistryImage")},
    **{("delete", kind): 1 for kind in ("RemoteImage", "Tag", "RegistryImage")},
}
ANOTHER_PUBLIC_CERTIFICATE = {
    # A new version of the load balancers' secret, made before the old one goes. The secret stays.
    **{("replace", kind): 1 for kind in ("CertRequest", "LocallySignedCert", "SecretVersion")},
}
NO_PUBLIC_CERTIFICATE_OF_OURS = {
    **{("delete", kind): 1 for kind in ("PrivateKey", "CertRequest", "LocallySignedCert")},
    ("replace", "SecretVersion"): 1,
    ("update", "RolePolicy"): 1,  # the load balancers may read yours
    ("update", "BucketObjectv2"): 2,
}

CHANGES: dict[str, tuple[dict[str, Any], dict[tuple[str, str], int]]] = {
    "admins": (
        {"adminCidrs": ["203.0.113.0/24", "198.51.100.0/24"]},
        {("update", "ManagedPrefixList"): 1},
    ),
    # Interval is immutable: both checks that have one, and the calculated one follows.
    "interval": (
        {"failover": {"checkIntervalSeconds": 30}},
        {("replace", "HealthCheck"): 2, ("update", "HealthCheck"): 1},
    ),
    "flow logs": ({"network": {"flowLogDays": 90}}, {("update", "LogGroup"): 1}),
    "unprotected": (
        {"protection": False},
        {
            ("update", "Bucket"): 4,
            ("update", "Group"): 1,
            ("update", "Instance"): 3,  # databases
            ("update", "LoadBalancer"): 1,
            ("update", "Repository"): 22,
            ("update", "Secret"): 3,
            ("update", "Vault"): 2,
            ("update", "Volume"): 3,
        },
    ),
    "edge": (
        {"edge": EDGE},
        {
            ("create", "ManagedPrefixList"): 1,
            ("update", "SecurityGroupIngressRule"): 2,
            ("create", "DnsRecord"): 4,
            ("create", "Ruleset"): 1,
            ("create", "ZoneSetting"): 3,
            **ANOTHER_PUBLIC_CERTIFICATE,
        },
    ),
    "workers": (
        {"workers": {"minimum": 4, "maximum": 30}},
        # The autoscaling policy lies in the servers' bundles.
        {("update", "Group"): 1, ("update", "MetricAlarm"): 1, ("update", "BucketObjectv2"): 3},
    ),
    "spot share": ({"workers": {"spotShare": 0.25}}, {("update", "Group"): 1}),
    "receivers": ({"alerts": {**BLOCK["alerts"], "email": EMAIL}}, {("replace", "TopicSubscription"): 1}),
    "database days": (
        {"retention": {"databaseDays": 21}},
        {("update", "Instance"): 1, ("replace", "InstanceAutomatedBackupsReplication"): 1},
    ),
    "archive days": (
        {"retention": {"archiveDays": 300}},
        {
            ("update", "Plan"): 1,
            ("update", "BucketLifecycleConfiguration"): 1,
            ("update", "BucketObjectLockConfiguration"): 1,
        },
    ),
    "version of an image": (
        {"versions": {"consul": "1.22.4"}},
        {**NEW_VERSION_OF_AN_IMAGE, ("update", "BucketObjectv2"): 1},
    ),
    "version of a service": (
        {"versions": {"nodeExporter": "1.9.2"}},
        # The list of images, and the bundles of three servers, two load balancers and the workers.
        {**NEW_VERSION_OF_AN_IMAGE, ("update", "BucketObjectv2"): 7},
    ),
    "storage of the database": (
        {"database": {"storageGigabytes": 200}},
        {("update", "Instance"): 1, ("update", "ParameterGroup"): 1, ("update", "MetricAlarm"): 5},
    ),
    "replicas of the database": (
        {"database": {"replicaCount": 3}},
        {("create", "Instance"): 1, ("create", "LogGroup"): 1, ("create", "MetricAlarm"): 2},
    ),
    "type of the servers": ({"capacity": {"controlPlaneType": "m6in.4xlarge"}}, {("update", "Instance"): 3}),
    "profile": (
        {"capacity": {"profile": "recommended"}},
        {("update", "Instance"): 5, ("update", "Volume"): 3, ("update", "LaunchTemplate"): 1, ("update", "Group"): 1},
    ),
    "image of the machines": (
        {"regions": IMAGE},
        # The machines alone: interfaces, volumes and addresses stay. Alarms follow, workers are refreshed.
        {
            ("replace", "Instance"): 5,
            ("replace", "VolumeAttachment"): 3,
            ("replace", "TargetGroupAttachment"): 6,
            ("update", "MetricAlarm"): 10,
            ("update", "LaunchTemplate"): 1,
            ("update", "Group"): 1,
        },
    ),
    "five servers": (
        {"controlPlane": {"serverCount": 5}},
        {
            **{
                ("create", kind): 2
                for kind in ("NetworkInterface", "Volume", "Instance", "VolumeAttachment", "BucketObjectv2")
            },
            ("create", "MetricAlarm"): 4,
            # Everyone is told of the new ones.
            ("update", "BucketObjectv2"): 6,
        },
    ),
    "domain": (
        {"domain": "ml.example.com"},
        {
            ("create", "Record"): 10,
            ("delete", "Record"): 10,
            ("update", "HealthCheck"): 1,
            **ANOTHER_PUBLIC_CERTIFICATE,
        },
    ),
    "certificate of yours": ({"certificates": SECRETS}, NO_PUBLIC_CERTIFICATE_OF_OURS),
    "certificate in ACM": (
        {"certificates": ACM},
        {**NO_PUBLIC_CERTIFICATE_OF_OURS, ("create", "MetricAlarm"): 1, ("delete", "MetricAlarm"): 1},
    ),
}
"""By name: what is set, and how many resources of each type that creates, updates, replaces or deletes."""


@pytest.mark.parametrize("change", CHANGES)
def test_one_change(change: str, deployed: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    """A change that touches more than it should, or takes with it what cannot be had again."""
    settings, expected = CHANGES[change]
    project = write_project(tmp_path / "project", lambda block: block.update(settings))
    result = succeeded(stack_of("prod", deployed[0], project).preview())
    # The engine reports a replacement as three steps; one of them is called so.
    shown = [step for step in result.changed() if step.operation in ("create", "update", "replace", "delete")]
    assert Counter((step.operation, step.type.rpartition(":")[2]) for step in shown) == expected
    assert destroyed(result) == []


def test_no_way_out_is_lost_when_zones_share_one_nat_gateway(home: Path, tmp_path: Path) -> None:
    """Saving NAT gateways: refused while their addresses are protected, then the routes move before they go."""
    shared = {"network": {"natGatewayPerZone": False}}
    protected = stack_of("dr", home, write_project(tmp_path / "protected", lambda block: block.update(shared)))
    assert any("mlops-network-nat-us-west-2c" in error and "protect" in error for error in protected.up().errors)
    unprotected = write_project(tmp_path / "unprotected", lambda block: block.update(protection=False))
    succeeded(stack_of("dr", home, unprotected).up())
    project = write_project(tmp_path / "project", lambda block: block.update(shared, protection=False))
    offline = stack_of("dr", home, project)
    succeeded(offline.up())
    kinds = Counter(resource["type"] for resource in offline.state_resources())
    assert kinds["aws:ec2/natGateway:NatGateway"] == 1
    assert kinds["aws:ec2/eip:Eip"] == 4  # three of the load balancer


def test_the_edge_can_be_put_up_and_taken_down(home: Path, tmp_path: Path) -> None:
    """An edge that AWS or Cloudflare refuses to make, or that leaves something behind; a quota that is exceeded."""
    before = {resource["urn"] for resource in stack_of("prod", home).state_resources()}
    with_edge = write_project(tmp_path / "edge", lambda block: block.update(edge=EDGE))
    put_up = succeeded(stack_of("prod", home, with_edge).up())
    # Whoever may ask the health listener is not the edge's to decide.
    assert not [step.name for step in put_up.changed() if "health" in step.name]
    assert destroyed(put_up) == []
    taken_down = succeeded(stack_of("prod", home).up())
    assert destroyed(taken_down) == []
    after = {
        resource["urn"]
        for resource in stack_of("prod", home).state_resources()
        if not resource["type"].startswith("pulumi:providers:cloudflare")
    }
    assert after == before


def test_from_five_servers_to_three_is_refused_while_protected(home: Path, tmp_path: Path) -> None:
    """Two servers and their data gone by a slip in the stack file."""

    def servers(offline: OfflineStack) -> tuple[int, int]:
        kinds = Counter(resource["type"] for resource in offline.state_resources())
        return kinds["aws:ec2/instance:Instance"], kinds["aws:ebs/volume:Volume"]

    five: dict[str, Any] = {"controlPlane": {"serverCount": 5}}
    succeeded(stack_of("dr", home, write_project(tmp_path / "five", lambda block: block.update(five))).up())
    three = stack_of("dr", home)
    said = " ".join(three.up().errors)
    assert "control-plane-5" in said
    assert "mlops-ha:platform.protection" in said
    assert servers(three) == (7, 5)
    # The documented way.
    off = write_project(tmp_path / "off", lambda block: block.update(five, protection=False))
    succeeded(stack_of("dr", home, off).up())
    fewer = write_project(tmp_path / "fewer", lambda block: block.update(protection=False))
    succeeded(stack_of("dr", home, fewer).up())
    assert servers(three) == (5, 3)
    assert set(succeeded(three.preview()).count()) <= {"same", "update"}
