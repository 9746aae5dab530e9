"""What a node's configuration is made from: the settings, which node it is, and what only AWS knows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from configs.nodes import Node, NodeRole, control_plane, load_balancers
from configs.settings.model import Settings
from configs.tables.names import Names, PublicNames


@dataclass(frozen=True)
class BundleFacts:
    """What only AWS knows: the address of the region's database, and the id of the shared file system."""

    database_address: str
    file_system_id: str


@dataclass(frozen=True)
class Context:
    """One node of one stack."""

    settings: Settings
    node: Node
    facts: BundleFacts

    @property
    def role(self) -> NodeRole:
        """What the node is."""
        return self.node.role

    @cached_property
    def names(self) -> Names:
        """Names in the node's region."""
        return Names(self.settings.name, self.settings.account_id, self.settings.location.name)

    @property
    def region(self) -> str:
        """AWS's region, which is Nomad's too."""
        return self.names.region

    @property
    def datacenter(self) -> str:
        """Consul's and Nomad's datacenter."""
        return self.names.datacenter

    @cached_property
    def public_names(self) -> PublicNames:
        """Names that people use."""
        return PublicNames(self.settings.domain)

    @cached_property
    def servers(self) -> tuple[Node, ...]:
        """The control plane, ``control-plane-1`` first."""
        return control_plane(self.settings)

    @cached_property
    def server_addresses(self) -> tuple[str, ...]:
        """Fixed addresses of the control plane, in its order."""
        return tuple(str(server.address) for server in self.servers)

    @cached_property
    def load_balancers(self) -> tuple[Node, Node]:
        """The active HAProxy and the passive Nginx."""
        return load_balancers(self.settings)

    @property
    def address(self) -> str:
        """The node's fixed address.

        Raises:
            ValueError: it has none, as workers.
        """
        if self.node.address is None:
            raise ValueError(f"{self.node.name} has no fixed address")
        return str(self.node.address)
