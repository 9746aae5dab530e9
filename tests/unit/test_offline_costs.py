"""What is billed by the hour, from made-up steps: everything once, and nothing that is free."""

from __future__ import annotations

from typing import Any

import pytest

from engine import tokens
from engine.steps import REPLACEMENTS, Step
from offline.costs import hourly


def step(kind: str, inputs: dict[str, Any], operation: str = "create", component: str = "Part", **more: Any) -> Step:
    """Return a step on a resource of a component."""
    urn = f"urn:pulumi:prod::mlops-ha::mlops:index:Platform$mlops:index:{component}${kind}::it"
    told: dict[str, Any] = {"region": "us-east-1", "provider": "", "protect": False, **more}
    return Step(operation, urn, kind, inputs=inputs, **told)


def billed(kind: str, inputs: dict[str, Any]) -> dict[str, int]:
    """Return what one resource is billed for."""
    return {row["what"]: row["count"] for row in hourly([step(kind, inputs)])}


def overrides(*types: str) -> dict[str, Any]:
    """Return the policy of a group of workers that may be of several types."""
    return {"launchTemplate": {"overrides": [{"instanceType": name} for name in types]}}


@pytest.mark.parametrize(
    ("kind", "inputs", "expected"),
    [
        (tokens.NAT_GATEWAY, {"allocationId": "eip-1"}, {"NAT gateway": 1}),
        (tokens.EIP, {"domain": "vpc"}, {"public IPv4 address": 1}),
        (tokens.LOAD_BALANCER, {"loadBalancerType": "network"}, {"network load balancer": 1}),
        (tokens.LOAD_BALANCER, {}, {"application load balancer": 1}),
        (
            tokens.VPC_ENDPOINT,
            {"vpcEndpointType": "Interface", "subnetIds": ["subnet-1", "subnet-2", "subnet-3"]},
            {"interface endpoint in a zone": 3},
        ),
        (tokens.VPC_ENDPOINT, {"vpcEndpointType": "Gateway", "routeTableIds": ["rtb-1"]}, {}),
        (tokens.VPC_ENDPOINT, {"routeTableIds": ["rtb-1"]}, {}),
        (tokens.INSTANCE, {"instanceType": "m6in.2xlarge"}, {"m6in.2xlarge instance": 1}),
        (
            tokens.INSTANCE,
            {
                "instanceType": "m6i.large",
                "rootBlockDevice": {"volumeType": "gp3", "volumeSize": 30},
                "ebsBlockDevices": [{"volumeSize": 8}, {"volumeType": "gp3", "volumeSize": 12}],
            },
            {"m6i.large instance": 1, "GB of gp3 storage": 42, "GB of default storage": 8},
        ),
        (
            tokens.INSTANCE,
            {"instanceType": "m6i.large", "rootBlockDevice": {"encrypted": True}},
            {"m6i.large instance": 1},
        ),
        (
            tokens.AUTOSCALING_GROUP,
            {"minSize": 3, "maxSize": 20, "mixedInstancesPolicy": overrides("m6in.2xlarge", "m5n.2xlarge")},
            {"instance at least, first choice m6in.2xlarge": 3},
        ),
        (
            tokens.AUTOSCALING_GROUP,
            {"minSize": 2, "maxSize": 4, "desiredCapacity": 4},
            {"instance at least, first choice its launch template's type": 2},
        ),
        (tokens.VOLUME, {"type": "gp3", "size": 500}, {"GB of gp3 storage": 500}),
        (
            tokens.DATABASE,
            {"instanceClass": "db.m6i.large", "multiAz": True, "storageType": "gp3", "allocatedStorage": 100},
            {"db.m6i.large instance, Multi-AZ": 1, "GB of gp3 storage of a database, Multi-AZ": 100},
        ),
        (
            tokens.DATABASE,
            {"instanceClass": "db.m6i.large", "multiAz": False, "allocatedStorage": 20},
            {"db.m6i.large instance": 1, "GB of default storage of a database": 20},
        ),
        (
            tokens.DATABASE,
            {"instanceClass": "db.m6i.large", "replicateSourceDb": "main"},
            {"db.m6i.large instance": 1, "replica's storage, as large as its source's": 1},
        ),
        (
            tokens.DATABASE,
            {"instanceClass": "db.m6i.large", "replicateSourceDb": "main", "multiAz": True, "allocatedStorage": 50},
            {"db.m6i.large instance, Multi-AZ": 1, "GB of default storage of a database, Multi-AZ": 50},
        ),
        # Made from a snapshot, whose size nobody says.
        (tokens.DATABASE, {"instanceClass": "db.m6i.large", "snapshotIdentifier": "s"}, {"db.m6i.large instance": 1}),
        (tokens.KEY, {"description": "by the month"}, {}),
        (tokens.LAUNCH_TEMPLATE, {"instanceType": "m6i.large"}, {}),
    ],
)
def test_each_type_says_what_it_is_billed_for(kind: str, inputs: dict[str, Any], expected: dict[str, int]) -> None:
    """Something that costs money and is not seen, or is seen twice, or costs nothing."""
    assert billed(kind, inputs) == expected


def test_what_is_alike_is_summed_for_each_component_and_region() -> None:
    """A list as long as the platform, or the costs of one region in the other's."""
    volume = {"type": "gp3", "size": 500}
    far: dict[str, Any] = {"region": "us-west-2"}
    assert hourly(
        [
            step(tokens.VOLUME, volume, component="Servers"),
            step(tokens.EIP, {}, component="Network"),
            step(tokens.VOLUME, volume, component="Servers"),
            step(tokens.VOLUME, volume, component="Servers", **far),
        ]
    ) == [
        {"component": "Network", "region": "us-east-1", "what": "public IPv4 address", "count": 1},
        {"component": "Servers", "region": "us-east-1", "what": "GB of gp3 storage", "count": 1000},
        {"component": "Servers", "region": "us-west-2", "what": "GB of gp3 storage", "count": 500},
    ]


@pytest.mark.parametrize(
    ("operations", "count"),
    [(["same"], 1), (["update"], 1), (["refresh"], 1), (["delete"], 0), (REPLACEMENTS, 1)],
)
def test_what_is_there_afterwards_counts_once(operations: list[str], count: int) -> None:
    """Costs before the change instead of after it, or a replacement that seems to cost three times as much."""
    rows = hourly([step(tokens.NAT_GATEWAY, {}, operation) for operation in operations])
    assert sum(row["count"] for row in rows) == count
