"""The servers: a quorum over three zones that is changed one server at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi

from components.machine import DataVolume, Launch, Machine, MachineArgs, zone_of
from configs.nodes import Node


@dataclass(frozen=True)
class ControlPlaneArgs:
    """What the servers are made from.

    ``bundles`` and ``gates`` are by name of the node, ``zones`` and ``subnet_ids`` by ``Node.zone``; ``gates`` says
    before which step of a server the others must be whole.
    """

    nodes: Sequence[Node]
    bundles: Mapping[str, pulumi.Input[str]]
    launch: Launch
    instance_type: str
    data_volume_gigabytes: int
    zones: Sequence[str]
    subnet_ids: Sequence[pulumi.Input[str]]
    security_group_id: pulumi.Input[str]
    gates: Mapping[str, pulumi.ResourceHook]
    protect: bool


class ControlPlane(pulumi.ComponentResource):
    """A chain of machines with data volumes: no server is touched before the step on the one before it is over."""

    instance_ids: dict[str, pulumi.Output[str]]
    """By name of the node."""

    def __init__(self, name: str, args: ControlPlaneArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Create the servers."""
        super().__init__("mlops:platform:ControlPlane", name, None, opts)
        self.instance_ids = {}
        before: Sequence[pulumi.Resource] = ()
        for number, node in enumerate(args.nodes, start=1):
            zone = zone_of(node)
            server = Machine(
                f"{name}-{number}",
                MachineArgs(
                    node=node,
                    launch=args.launch,
                    instance_type=args.instance_type,
                    subnet_id=args.subnet_ids[zone],
                    security_group_id=args.security_group_id,
                    bundle=args.bundles[node.name],
                    data_volume=DataVolume(args.zones[zone], args.data_volume_gigabytes),
                    target_groups={},
                    after=before,
                    gate=args.gates[node.name],
                    protect=args.protect,
                ),
                pulumi.ResourceOptions(parent=self),
            )
            self.instance_ids[node.name] = server.instance_id
            before = server.last
        self.register_outputs({"instanceIds": self.instance_ids})
