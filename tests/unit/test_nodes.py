"""The machines of a region: names, roles, zones and addresses."""

import pytest

from configs.nodes import NodeRole, bundle_key, control_plane, load_balancers, nodes, report_key, snapshot_key
from configs.tables.flows import Role
from tests.unit.mocks import stack_settings


@pytest.mark.parametrize("count", [3, 5])
@pytest.mark.parametrize("stack", ["prod", "dr"])
def test_servers_are_spread_and_keep_their_addresses(stack: str, count: int) -> None:
    """Guards against two servers of three in one zone, and against an address that changes with the count."""
    servers = control_plane(stack_settings(stack, controlPlane={"serverCount": count}))
    assert [server.name for server in servers] == [f"control-plane-{number}" for number in range(1, count + 1)]
    assert [server.zone for server in servers] == [0, 1, 2, 0, 1][:count]
    network = {"prod": "10.10", "dr": "10.20"}[stack]
    addresses = [f"{network}.0.16", f"{network}.64.16", f"{network}.128.16", f"{network}.0.17", f"{network}.64.17"]
    assert [str(server.address) for server in servers] == addresses[:count]


def test_load_balancers_are_in_two_zones() -> None:
    """Guards against a pair that one zone takes with it."""
    haproxy, nginx = load_balancers(stack_settings("prod"))
    assert (haproxy.role, nginx.role) == (NodeRole.HAPROXY, NodeRole.NGINX)
    assert (haproxy.zone, str(haproxy.address)) == (0, "10.10.0.24")
    assert (nginx.zone, str(nginx.address)) == (1, "10.10.64.24")


def test_nothing_is_shared_by_two_nodes() -> None:
    """Guards against two machines that read one bundle, write one report, or claim one address."""
    every = nodes(stack_settings("prod", controlPlane={"serverCount": 5}))
    assert len(every) == 8
    assert len({bundle_key(node.name) for node in every} | {report_key(node.name) for node in every}) == 2 * 8
    addresses = [node.address for node in every if node.address is not None]
    assert len(set(addresses)) == len(addresses) == 7


def test_a_snapshot_has_a_key_of_its_own() -> None:
    """Guards against Nomad's state under Consul's key, and a region that replaces what the other left."""
    assert [
        snapshot_key(region, service) for region in ("us-east-1", "us-west-2") for service in ("consul", "nomad")
    ] == [
        "snapshots/us-east-1/consul.snap",
        "snapshots/us-east-1/nomad.snap",
        "snapshots/us-west-2/consul.snap",
        "snapshots/us-west-2/nomad.snap",
    ]


def test_roles_share_groups() -> None:
    """Guards against a machine without a security group, or with another role's secret."""
    assert {role: role.group for role in NodeRole} == {
        NodeRole.CONTROL_PLANE: Role.CONTROL_PLANE,
        NodeRole.HAPROXY: Role.LOAD_BALANCER,
        NodeRole.NGINX: Role.LOAD_BALANCER,
        NodeRole.WORKER: Role.WORKER,
    }
