"""A setting changed: exactly the expected resources change, and nothing that holds state is lost."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from offline.engine import OfflineStack
from tests.engine.conftest import stack_of, succeeded, write_project
from tests.engine.ways_in import edge, network, small_stack
from tests.stateful import destroyed
from tests.unit.mocks import stack_block

BLOCK = stack_block("prod")
DNS_RECORD, PREFIX_LIST = "cloudflare:index/dnsRecord:DnsRecord", "aws:ec2/managedPrefixList:ManagedPrefixList"
EDGE = {
    "zoneId": "0123456789abcdef0123456789abcdef",
    "domain": "ml.example.org",
    "addressRanges": ["173.245.48.0/20", "103.21.244.0/22"],
}
EMAIL = {**BLOCK["alerts"]["email"], "criticalRecipient": "sre@example.com"}
IMAGE = {**BLOCK["regions"], "standby": {**BLOCK["regions"]["standby"], "imageId": "ami-00000000000000009"}}
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

PRIMARY: dict[str, tuple[dict[str, Any], dict[tuple[str, str], int]]] = {
    "interval, days that are kept, replicas of the database": (
        {
            "failover": {"checkIntervalSeconds": 30},
            "retention": {"databaseDays": 21, "archiveDays": 300},
            "database": {"replicaCount": 3},
        },
        {
            # Interval is immutable: both checks that have one, and the calculated one follows.
            ("replace", "HealthCheck"): 2,
            ("update", "HealthCheck"): 1,
            # Days of the database.
            ("update", "Instance"): 1,
            ("replace", "InstanceAutomatedBackupsReplication"): 1,
            # Days of the archive.
            ("update", "Plan"): 1,
            ("update", "BucketLifecycleConfiguration"): 1,
            ("update", "BucketObjectLockConfiguration"): 1,
            # Replicas.
            ("create", "Instance"): 1,
            ("create", "LogGroup"): 1,
            ("create", "MetricAlarm"): 2,
        },
    ),
    "unprotected": (
        {"protection": False},
        {
            ("update", "Bucket"): 4,
            ("update", "Group"): 1,
            ("update", "Instance"): 3,  # databases
            ("update", "LoadBalancer"): 1,
            ("update", "Repository"): 24,
            ("update", "Secret"): 3,
            ("update", "Vault"): 2,
            ("update", "Volume"): 3,
        },
    ),
    "edge": (
        {"edge": EDGE},
        {
            ("create", "ManagedPrefixList"): 1,
            # HTTPS: the edge's ranges in place of everybody, the administrators' beside them. HTTP: nobody.
            **{(operation, "SecurityGroupIngressRule"): 1 for operation in ("update", "create", "delete")},
            ("create", "DnsRecord"): 4,
            ("create", "Ruleset"): 1,
            ("create", "ZoneSetting"): 3,
            # Its names: at the load balancers, and in Grafana.
            ("update", "BucketObjectv2"): 5,
            **ANOTHER_PUBLIC_CERTIFICATE,
        },
    ),
    "version of an image, storage of the database": (
        {"versions": {"consul": "1.22.4"}, "database": {"storageGigabytes": 200}},
        {
            **NEW_VERSION_OF_AN_IMAGE,
            # The list of images, and every node's bundle.
            ("update", "BucketObjectv2"): 7,
            # Storage.
            ("update", "Instance"): 1,
            ("update", "ParameterGroup"): 1,
            ("update", "MetricAlarm"): 5,
        },
    ),
    "domain": (
        {"domain": "ml.example.com"},
        {
            ("create", "Record"): 10,
            ("delete", "Record"): 10,
            ("update", "HealthCheck"): 1,
            # Names, at the load balancers and in Grafana.
            ("update", "BucketObjectv2"): 5,
            **ANOTHER_PUBLIC_CERTIFICATE,
        },
    ),
    "certificate of yours": ({"certificates": SECRETS}, NO_PUBLIC_CERTIFICATE_OF_OURS),
}
"""What is set in the stack that has all there is, and how many resources of each type that creates, updates, replaces
or deletes. What shares a preview (a run of the engine) touches nothing in common: whatever is touched besides shows.
"""

STANDBY: dict[str, tuple[dict[str, Any], dict[tuple[str, str], int]]] = {
    "admins, flow logs, share of spot workers, receivers": (
        {
            "adminCidrs": ["203.0.113.0/24", "198.51.100.0/24"],
            "network": {"flowLogDays": 90},
            "workers": {"spotShare": 0.25},
            "alerts": {**BLOCK["alerts"], "email": EMAIL},
        },
        {
            ("update", "ManagedPrefixList"): 1,
            ("update", "LogGroup"): 1,
            ("update", "Group"): 1,
            ("replace", "TopicSubscription"): 1,
            # Alertmanager's receivers, on the servers.
            ("update", "BucketObjectv2"): 3,
        },
    ),
    "workers, type of the servers": (
        {"workers": {"standbyMinimum": 3, "maximum": 30}, "capacity": {"controlPlaneType": "m6in.4xlarge"}},
        {
            # The autoscaling policy lies in the servers' bundles.
            ("update", "Group"): 1,
            ("update", "MetricAlarm"): 1,
            ("update", "BucketObjectv2"): 3,
            # Type.
            ("update", "Instance"): 3,
        },
    ),
    "version of a service": (
        {"versions": {"nodeExporter": "1.9.2"}},
        # The bundles of three servers, two load balancers and the workers; the image is the primary stack's.
        {("update", "BucketObjectv2"): 6},
    ),
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
    "certificate in ACM": (
        {"certificates": ACM},
        {
            ("update", "RolePolicy"): 1,  # the load balancers need none of ours
            ("update", "BucketObjectv2"): 2,
            ("create", "MetricAlarm"): 1,
            ("delete", "MetricAlarm"): 1,
        },
    ),
}
"""As above, of what is the same in both stacks: a preview of the standby takes two thirds of the time."""


@pytest.mark.parametrize(
    ("stack", "settings", "expected"),
    [
        pytest.param(stack, *change, id=name)
        for stack, changes in (("prod", PRIMARY), ("dr", STANDBY))
        for name, change in changes.items()
    ],
)
def test_one_change(
    stack: str,
    settings: dict[str, Any],
    expected: dict[tuple[str, str], int],
    deployed: tuple[Path, dict[str, Any]],
    tmp_path: Path,
) -> None:
    """A change that touches more than it should, or takes with it what cannot be had again."""
    project = write_project(tmp_path / "project", lambda block: block.update(settings))
    result = succeeded(stack_of(stack, deployed[0], project).preview())
    # The engine reports a replacement as three steps; one of them is called so.
    shown = [step for step in result.changed() if step.operation in ("create", "update", "replace", "delete")]
    assert Counter((step.operation, step.type.rpartition(":")[2]) for step in shown) == expected
    assert destroyed(result) == []


def test_no_way_out_is_lost_when_zones_share_one_nat_gateway(tmp_path: Path) -> None:
    """Saving NAT gateways: refused while their addresses are protected, then the routes move before they go."""

    def stack(**changes: Any) -> OfflineStack:
        project = write_project(tmp_path / "project", lambda block: block.update(changes))
        return small_stack("dr", tmp_path / "home", network, project)

    shared = {"natGatewayPerZone": False}
    succeeded(stack().up())
    errors = stack(network=shared).up().errors
    assert any("network-nat-us-west-2c" in error and "protect" in error for error in errors), errors
    succeeded(stack(protection=False).up())
    gone = succeeded(stack(network=shared, protection=False).up())
    done = [f"{operation} {urn.rpartition('::')[2]}" for operation, urn in gone.finished]
    moved = max(done.index(f"update network-private-us-west-2{zone}-default") for zone in "bc")
    assert moved < min(done.index(f"delete network-nat-us-west-2{zone}") for zone in "bc")
    kinds = Counter(resource["type"] for resource in stack().state_resources())
    assert kinds["aws:ec2/natGateway:NatGateway"] == 1
    assert kinds["aws:ec2/eip:Eip"] == 1


def test_the_edge_can_be_put_up_and_taken_down(tmp_path: Path) -> None:
    """An edge that AWS or Cloudflare refuses to make, or that leaves something behind; a quota that is exceeded."""

    def urns() -> set[str]:
        return {
            resource["urn"]
            for resource in without.state_resources()
            if not resource["type"].startswith("pulumi:providers:cloudflare")
        }

    home = tmp_path / "home"
    without = small_stack("prod", home, edge)
    succeeded(without.up())
    before = urns()
    project = write_project(tmp_path / "edge", lambda block: block.update(edge=EDGE))
    put_up = succeeded(small_stack("prod", home, edge, project).up())
    # Whoever may ask the health listener is not the edge's to decide.
    assert not [step.name for step in put_up.changed() if "health" in step.name]
    assert destroyed(put_up) == []
    assert {step.type for step in put_up.changed()} > {DNS_RECORD, PREFIX_LIST}
    taken_down = succeeded(without.up())
    assert destroyed(taken_down) == []
    assert urns() == before
