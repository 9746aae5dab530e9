"""One setting changed at a time: exactly the expected resources change, and nothing with state is replaced."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.engine.conftest import stack_of, succeeded, write_project

RECORD, CHECK = "aws:route53/record:Record", "aws:route53/healthCheck:HealthCheck"
PREFIX_LIST = "aws:ec2/managedPrefixList:ManagedPrefixList"
INGRESS = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
EDGE = {
    "zoneId": "0123456789abcdef0123456789abcdef",
    "domain": "ml.example.org",
    "addressRanges": ["173.245.48.0/20", "103.21.244.0/22"],
}


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"adminCidrs": ["203.0.113.0/24", "198.51.100.0/24"]}, {("update", PREFIX_LIST): 1}),
        ({"failover": {"failureThreshold": 5}}, {("update", CHECK): 1}),
        ({"failover": {"mode": "operator"}}, {("update", CHECK): 1}),
        # Interval is immutable: both checks that have one, and the calculated one and the record that follow.
        ({"failover": {"checkIntervalSeconds": 30}}, {("replace", CHECK): 2, ("update", CHECK): 1}),
        ({"network": {"flowLogDays": 90}}, {("update", "aws:cloudwatch/logGroup:LogGroup"): 1}),
        ({"protection": False}, {("update", "aws:lb/loadBalancer:LoadBalancer"): 1}),
        ({"edge": EDGE}, {("create", PREFIX_LIST): 1, ("update", INGRESS): 2}),
        # Settings that nothing built so far depends on.
        ({"workers": {"maximum": 30}, "alerts": None, "retention": {"databaseDays": 21}}, {}),
    ],
    ids=["admins", "threshold", "operator", "interval", "flow-logs", "unprotected", "edge", "nothing-built-yet"],
)
def test_one_change(
    changed: dict[str, Any], expected: dict[tuple[str, str], int], home: Path, tmp_path: Path
) -> None:
    """A change that touches more than it should."""
    wanted = {key: value for key, value in changed.items() if value is not None}
    project = write_project(tmp_path / "project", lambda block: block.update(wanted))
    result = succeeded(stack_of("prod", home, project).preview())
    # The engine reports a replacement as three steps; one of them is called so.
    shown = [step for step in result.changed() if step.operation in ("create", "update", "replace", "delete")]
    assert Counter((step.operation, step.type) for step in shown) == expected


def test_no_way_out_is_lost_when_zones_share_one_nat_gateway(home: Path, tmp_path: Path) -> None:
    """Saving NAT gateways: refused while their addresses are protected, then the routes move before they go."""
    shared = {"network": {"natGatewayPerZone": False}}
    protected = stack_of("prod", home, write_project(tmp_path / "protected", lambda block: block.update(shared)))
    assert any("mlops-network-nat-us-east-1c" in error and "protect" in error for error in protected.up().errors)
    unprotected = write_project(tmp_path / "unprotected", lambda block: block.update(protection=False))
    succeeded(stack_of("prod", home, unprotected).up())
    project = write_project(tmp_path / "project", lambda block: block.update(shared, protection=False))
    offline = stack_of("prod", home, project)
    succeeded(offline.up())
    kinds = Counter(resource["type"] for resource in offline.state_resources())
    assert kinds["aws:ec2/natGateway:NatGateway"] == 1
    assert kinds["aws:ec2/eip:Eip"] == 4  # three of the load balancer


def test_another_domain_moves_every_name_and_nothing_else(home: Path, tmp_path: Path) -> None:
    """A change of names that replaces what carries them."""
    project = write_project(tmp_path / "project", lambda block: block.update(domain="ml.example.com"))
    result = succeeded(stack_of("prod", home, project).preview())
    assert {step.type for step in result.changed()} == {RECORD, CHECK}
