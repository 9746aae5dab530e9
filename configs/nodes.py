"""The machines of a region: their names, roles and fixed addresses, and where each finds and leaves its things."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address

from configs.settings.model import Settings
from configs.tables.addresses import FixedAddress, fixed_address
from configs.tables.flows import Role


class NodeRole(StrEnum):
    """What a machine is: the same role, the same bundle but for name and address."""

    CONTROL_PLANE = "control-plane"
    HAPROXY = "load-balancer-haproxy"
    NGINX = "load-balancer-nginx"
    WORKER = "worker"

    @property
    def group(self) -> Role:
        """The security group, secret and IAM role of such a machine."""
        return _GROUPS[self]


_GROUPS = {
    NodeRole.CONTROL_PLANE: Role.CONTROL_PLANE,
    NodeRole.HAPROXY: Role.LOAD_BALANCER,
    NodeRole.NGINX: Role.LOAD_BALANCER,
    NodeRole.WORKER: Role.WORKER,
}


@dataclass(frozen=True)
class Node:
    """One machine with a fixed address, or all workers, which have none (``zone`` and ``address`` are None).

    ``zone`` counts from 0. ``name`` is unique in the region.
    """

    name: str
    role: NodeRole
    zone: int | None = None
    address: IPv4Address | None = None


WORKER = Node("worker", NodeRole.WORKER)
"""Every worker: they share one bundle."""

NODE_TAG = "Node"
"""Instance tag by which a machine learns its name, from its metadata service: user data is the same for all."""

AGENT_KEY = "boot-agent/agent.py"
"""Key of the boot agent in the bundles bucket."""


def bundle_key(node: str) -> str:
    """Return the key of a node's bundle in the bundles bucket."""
    return f"bundles/{node}.json"


def report_key(node: str) -> str:
    """Return the key under which a node says how it is, in the bundles bucket."""
    return f"reports/{node}.json"


SNAPSHOTS = "snapshots"
"""Folder of the snapshots in the backups bucket."""

SNAPSHOT_MINUTES = 10
"""Oldest that a region's last snapshot is while its servers run: what a restore loses, and the replication's time."""


def snapshot_key(region: str, service: str) -> str:
    """Return the key of the last snapshot of a region's ``consul`` or ``nomad``, in the backups bucket."""
    return f"{SNAPSHOTS}/{region}/{service}.snap"


def control_plane(settings: Settings) -> tuple[Node, ...]:
    """Return the servers, ``control-plane-1`` first: any three in a row lie in three zones."""
    return tuple(
        Node(
            f"{NodeRole.CONTROL_PLANE}-{index + 1}",
            NodeRole.CONTROL_PLANE,
            *fixed_address(settings.location.cidr, FixedAddress.CONTROL_PLANE, index),
        )
        for index in range(settings.control_plane.server_count)
    )


def load_balancers(settings: Settings) -> tuple[Node, Node]:
    """Return the active HAProxy and the passive Nginx, in two zones."""
    haproxy, nginx = (
        Node(role, role, *fixed_address(settings.location.cidr, FixedAddress.LOAD_BALANCER, index))
        for index, role in enumerate((NodeRole.HAPROXY, NodeRole.NGINX))
    )
    return haproxy, nginx


def nodes(settings: Settings) -> tuple[Node, ...]:
    """Return every node of the region."""
    return (*control_plane(settings), *load_balancers(settings), WORKER)
