"""SecurityGroups: who may reach what, and nobody else."""

from collections import Counter
from collections.abc import Mapping
from functools import cache
from ipaddress import IPv4Network
from typing import Any

import pytest

from components.security_groups import SecurityGroups, SecurityGroupsArgs
from configs.tables.names import Names
from tests.unit.mocks import REGIONS, Run, run_in_region

INGRESS, EGRESS = "SecurityGroupIngressRule", "SecurityGroupEgressRule"
GROUPS = {
    "network-load-balancer",
    "load-balancer",
    "control-plane",
    "worker",
    "database",
    "file-system",
    "endpoints",
}
NODES = ("load-balancer", "control-plane", "worker")
EVERYWHERE = "0.0.0.0/0"
CHECKERS = "pl-checkers"
ADMINS = "ManagedPrefixList sg-admins id"
PUBLIC = "ManagedPrefixList sg-public id"

# One opening: the group, its protocol and port, and whom it is about.
Opening = tuple[str, str, int, str]


@cache
def groups(edge: bool) -> Run:
    """The groups of a region in us-west-2, with the edge the ones in us-east-1."""
    region = REGIONS[0] if edge else REGIONS[1]
    args = SecurityGroupsArgs(
        vpc_id="vpc-1",
        names=Names("mlops", "123456789012", region),
        # One range twice, and not in order: a stack file may well be like that.
        admin_ranges=[IPv4Network(cidr) for cidr in ("203.0.113.0/24", "198.51.100.7/32", "203.0.113.0/24")],
        edge_ranges=[IPv4Network(cidr) for cidr in ("198.51.100.0/24", "192.0.2.0/24")] if edge else (),
        health_checkers_prefix_list_id=CHECKERS,
    )
    return run_in_region(lambda opts: SecurityGroups("sg", args, opts), region)


def group(identity: str) -> str:
    """The role of a group by its id; what is no group's id stays as it is."""
    return identity.removeprefix("SecurityGroup sg-").removesuffix(" id") if "SecurityGroup" in identity else identity


def openings(run: Run, kind: str) -> list[Opening]:
    return [opening(inputs) for inputs in run.inputs(kind).values()]


def opening(inputs: Mapping[str, Any]) -> Opening:
    (peer,) = (inputs[name] for name in ("cidrIpv4", "prefixListId", "referencedSecurityGroupId") if name in inputs)
    return (group(inputs["securityGroupId"]), inputs["ipProtocol"], inputs["fromPort"], group(peer))


def test_every_role_has_a_group_without_a_rule_of_its_own() -> None:
    """Guards against inline rules, which fight with separate ones, and against a description that may change."""
    assert groups(edge=False).inputs("SecurityGroup") == {
        f"sg-{role}": {
            "name": f"mlops-{role}",
            "description": role,
            "vpcId": "vpc-1",
            "tags": {"Name": f"sg-{role}"},
        }
        for role in GROUPS
    }


def test_typical_rules_are_exactly_as_planned() -> None:
    """Guards against a rule with a wrong side, port, protocol or name, and against more than one peer."""
    ingress, egress = groups(edge=False).inputs(INGRESS), groups(edge=False).inputs(EGRESS)

    def rule(group: str, port: int, flow: str, label: str, protocol: str = "tcp", **peer: str) -> Mapping[str, Any]:
        return {
            "securityGroupId": f"SecurityGroup sg-{group} id",
            "ipProtocol": protocol,
            "fromPort": port,
            "toPort": port,
            "description": flow,
            "tags": {"Name": label},
            **peer,
        }

    label = "sg-network-load-balancer-https-tcp-from-public"
    assert ingress[label] == rule("network-load-balancer", 443, "https", label, cidrIpv4=EVERYWHERE)
    label = "sg-network-load-balancer-health-tcp-from-health-checkers"
    assert ingress[label] == rule("network-load-balancer", 8443, "health", label, prefixListId=CHECKERS)
    label = "sg-worker-ssh-tcp-from-admins"
    assert ingress[label] == rule("worker", 22, "ssh", label, prefixListId=ADMINS)
    label = "sg-control-plane-consul-serf-lan-udp-from-worker"
    worker = "SecurityGroup sg-worker id"
    assert ingress[label] == rule(
        "control-plane", 8301, "consul-serf-lan", label, protocol="udp", referencedSecurityGroupId=worker
    )
    label = "sg-control-plane-postgresql-tcp-to-database"
    database = "SecurityGroup sg-database id"
    assert egress[label] == rule("control-plane", 5432, "postgresql", label, referencedSecurityGroupId=database)
    label = "sg-worker-https-out-tcp-to-internet"
    assert egress[label] == rule("worker", 443, "https-out", label, cidrIpv4=EVERYWHERE)


def test_every_group_has_as_many_rules_as_counted_by_hand() -> None:
    """Guards against a flow that disappears, or that opens more than was counted from the plan."""
    assert Counter(group for group, *_ in openings(groups(edge=False), INGRESS)) == {
        "network-load-balancer": 3,
        "load-balancer": 13,
        "control-plane": 42,
        "worker": 11,
        "database": 1,
        "file-system": 1,
        "endpoints": 3,
    }
    assert Counter(group for group, *_ in openings(groups(edge=False), EGRESS)) == {
        "network-load-balancer": 3,
        "load-balancer": 17,
        "control-plane": 36,
        "worker": 16,
    }


def from_outside(run: Run) -> set[Opening]:
    return {one for one in openings(run, INGRESS) if one[3] not in GROUPS}


SSH = {(node, "tcp", 22, ADMINS) for node in NODES}
HEALTH = {("network-load-balancer", "tcp", 8443, CHECKERS)}


def test_the_world_reaches_the_load_balancer_on_two_ports_and_nothing_else() -> None:
    """Guards against anything else that is open to the internet, and against SSH from anywhere."""
    assert from_outside(groups(edge=False)) == SSH | HEALTH | {
        ("network-load-balancer", "tcp", 443, EVERYWHERE),
        ("network-load-balancer", "tcp", 80, EVERYWHERE),
    }


def test_with_an_edge_only_the_edge_and_administrators_reach_the_load_balancer() -> None:
    """Guards against a way around the edge's firewall, and against operators' commands that nothing answers."""
    run = groups(edge=True)
    assert from_outside(run) == SSH | HEALTH | {
        ("network-load-balancer", "tcp", 443, PUBLIC),
        ("network-load-balancer", "tcp", 443, ADMINS),
    }
    assert set(openings(run, EGRESS)) == set(openings(groups(edge=False), EGRESS))


def test_what_leaves_the_platform() -> None:
    """Guards against a node that may talk to anything, and against mail or AWS APIs that are out of reach."""
    assert {one for one in openings(groups(edge=False), EGRESS) if one[3] not in GROUPS} == {
        ("load-balancer", "tcp", 443, EVERYWHERE),
        ("control-plane", "tcp", 443, EVERYWHERE),
        ("worker", "tcp", 443, EVERYWHERE),
        ("control-plane", "tcp", 587, EVERYWHERE),
    }


def test_both_sides_of_every_flow_are_open() -> None:
    """Guards against a flow that one side lets through and the other drops."""
    called = {
        (to, protocol, port, by) for to, protocol, port, by in openings(groups(edge=False), INGRESS) if by in GROUPS
    }
    calling = {
        (to, protocol, port, by) for by, protocol, port, to in openings(groups(edge=False), EGRESS) if to in GROUPS
    }
    assert called == calling


@pytest.mark.parametrize("edge", [False, True])
def test_no_rule_twice_and_no_range_of_ports(edge: bool) -> None:
    """Guards against a duplicate, which EC2 refuses, and against a rule that opens more than its one port."""
    run = groups(edge=edge)
    for kind in (INGRESS, EGRESS):
        assert max(Counter(openings(run, kind)).values()) == 1
        assert all(inputs["fromPort"] == inputs["toPort"] for inputs in run.inputs(kind).values())


def prefix_list(party: str, most: int, *cidrs: str) -> dict[str, Mapping[str, Any]]:
    return {
        f"sg-{party}": {
            "name": f"mlops-{party}",
            "addressFamily": "IPv4",
            "maxEntries": most,
            "entries": [{"cidr": cidr, "description": party} for cidr in cidrs],
            "tags": {"Name": f"sg-{party}"},
        }
    }


def test_prefix_lists_hold_the_ranges_once_and_in_order() -> None:
    """Guards against duplicate entries, which EC2 refuses, and against a size that changes with the entries."""
    admins = prefix_list("admins", 10, "198.51.100.7/32", "203.0.113.0/24")
    assert groups(edge=False).inputs("ManagedPrefixList") == admins
    assert groups(edge=True).inputs("ManagedPrefixList") == {
        **admins,
        **prefix_list("public", 17, "192.0.2.0/24", "198.51.100.0/24"),
    }


@pytest.mark.parametrize("edge", [False, True])
def test_every_group_stays_within_ec2s_quota(edge: bool) -> None:
    """Guards against a group that AWS refuses: 60 rules a direction, where a list counts as all it may hold."""
    run = groups(edge=edge)
    weights = {CHECKERS: 25, ADMINS: 10, PUBLIC: 17}
    for kind in (INGRESS, EGRESS):
        used: Counter[str] = Counter()
        for name, _, _, peer in openings(run, kind):
            used[name] += weights.get(peer, 1)
        assert max(used.values()) <= 60


@pytest.mark.parametrize(("edge", "region"), [(True, "us-east-1"), (False, "us-west-2")])
def test_everything_is_the_components_in_its_parents_region(edge: bool, region: str) -> None:
    """Guards against a rule that lands in another region, or outside of its component."""
    run = groups(edge=edge)
    assert {(one.parent, one.provider, one.protect) for one in run.resources} == {
        ("SecurityGroups sg", f"aws {region}", False)
    }
    assert {one.type for one in run.resources} == {
        "aws:ec2/securityGroup:SecurityGroup",
        "aws:ec2/managedPrefixList:ManagedPrefixList",
        "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule",
        "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule",
    }
    component = [one for one in run.everything if one.type == "mlops:platform:SecurityGroups"]
    assert [one.parent for one in component] == [f"Region {region}"]
    assert run.outputs["SecurityGroups sg"] == {role: f"SecurityGroup sg-{role} id" for role in GROUPS}
