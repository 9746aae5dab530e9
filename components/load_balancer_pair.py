"""The way in: a network load balancer with one static address a zone, and the two nodes behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.machine import Launch, Machine, MachineArgs, zone_of
from configs.nodes import Node
from configs.tables.flows import HEALTH, HTTP, HTTPS, Flow
from configs.tables.names import HEALTH_PATH, Names

DEREGISTRATION_SECONDS = 90
"""How long a machine that goes keeps its connections: what systemd gives a service to stop; later none is left
(DefaultTimeoutStopSec, https://www.freedesktop.org/software/systemd/man/latest/systemd-system.conf.html)."""

HEALTH_CHECK = aws.lb.TargetGroupHealthCheckArgs(
    # One listener answers for the node, whichever group asks: a node is in all groups or in none.
    protocol="HTTPS",
    port=str(HEALTH.port),
    path=HEALTH_PATH,
    # A redirect is not health.
    matcher="200",
    # Two failures, the fewest that AWS takes: a dead node is out after 20 s, before Route 53's three fast checks
    # (30 s) give the region up.
    interval=10,
    healthy_threshold=2,
    unhealthy_threshold=2,
    # A node that needs more than half of the interval for a page of one line serves nobody.
    timeout=5,
)


@dataclass(frozen=True)
class LoadBalancerEndpoint:
    """What a DNS alias needs to point at a load balancer."""

    dns_name: pulumi.Output[str]
    zone_id: pulumi.Output[str]


@dataclass(frozen=True)
class LoadBalancerPairArgs:
    """What the load balancer is made from; subnets in the order of ``zones``.

    ``nodes`` are the active and the passive one; ``bundles`` and ``gates`` are by name of the node.
    """

    names: Names
    zones: Sequence[str]
    public_subnet_ids: Sequence[pulumi.Input[str]]
    security_group_id: pulumi.Input[str]
    internet_gateway: pulumi.Resource
    vpc_id: pulumi.Input[str]
    nodes: tuple[Node, Node]
    bundles: Mapping[str, pulumi.Input[str]]
    launch: Launch
    instance_type: str
    node_subnet_ids: Sequence[pulumi.Input[str]]
    node_security_group_id: pulumi.Input[str]
    gates: Mapping[str, pulumi.ResourceHook]
    protect: bool


class LoadBalancerPair(pulumi.ComponentResource):
    """Network load balancer over three zones. It has its security group from birth: none can be added later.

    Both nodes are targets of every group. The passive one says that it is unhealthy while its peer is healthy, so
    that the network load balancer moves traffic by itself, and sends to both if they are cut apart.
    """

    endpoint: LoadBalancerEndpoint
    addresses: list[pulumi.Output[str]]
    instance_ids: dict[str, pulumi.Output[str]]
    """By name of the node."""
    load_balancer_suffix: pulumi.Output[str]
    """What CloudWatch calls the load balancer."""
    target_group_suffixes: dict[str, pulumi.Output[str]]
    """What CloudWatch calls the target groups, by name of the flow."""

    def __init__(self, name: str, args: LoadBalancerPairArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Create the load balancer and its nodes."""
        super().__init__("mlops:platform:LoadBalancerPair", name, None, opts)
        self._name, self._args = name, args
        self._child = pulumi.ResourceOptions(parent=self)
        balancer = self._balancer()
        groups = {flow.name: self._listener(balancer, flow) for flow in (HTTPS, HTTP, HEALTH)}
        self.endpoint = LoadBalancerEndpoint(dns_name=balancer.dns_name, zone_id=balancer.zone_id)
        self.load_balancer_suffix = balancer.arn_suffix
        self.target_group_suffixes = {flow: group.arn_suffix for flow, group in groups.items()}
        active, passive = args.nodes
        # The passive one first: what a change breaks is seen there, while nobody is served by it.
        first = self._machine(passive, groups, after=[])
        second = self._machine(active, groups, after=first.last)
        self.instance_ids = {passive.name: first.instance_id, active.name: second.instance_id}
        self.register_outputs({"dnsName": balancer.dns_name, "addresses": self.addresses})

    def _balancer(self) -> aws.lb.LoadBalancer:
        name, args = self._name, self._args
        protected = pulumi.ResourceOptions(parent=self, protect=args.protect)
        static = [
            aws.ec2.Eip(f"{name}-{zone}", domain="vpc", tags={"Name": f"{name}-{zone}"}, opts=protected)
            for zone in args.zones
        ]
        self.addresses = [address.public_ip for address in static]
        return aws.lb.LoadBalancer(
            f"{name}-network",
            name=args.names.regional("network"),
            load_balancer_type="network",
            internal=False,
            security_groups=[args.security_group_id],
            # Otherwise a zone without a healthy node answers its share of clients with nothing.
            enable_cross_zone_load_balancing=True,
            enable_deletion_protection=args.protect,
            subnet_mappings=[
                aws.lb.LoadBalancerSubnetMappingArgs(subnet_id=subnet, allocation_id=address.id)
                for subnet, address in zip(args.public_subnet_ids, static, strict=True)
            ],
            tags={"Name": f"{name}-network"},
            # AWS refuses a public load balancer in a VPC that has no internet gateway yet.
            opts=pulumi.ResourceOptions(parent=self, protect=args.protect, depends_on=[args.internet_gateway]),
        )

    def _listener(self, balancer: aws.lb.LoadBalancer, flow: Flow) -> aws.lb.TargetGroup:
        label = f"{self._name}-{flow.name}"
        group = aws.lb.TargetGroup(
            label,
            name=self._args.names.regional(flow.name),
            vpc_id=self._args.vpc_id,
            target_type="instance",
            protocol="TCP",
            port=flow.port,
            health_check=HEALTH_CHECK,
            deregistration_delay=DEREGISTRATION_SECONDS,
            # Failing back makes the passive node unhealthy: those whom it serves are not to notice.
            target_health_states=[
                aws.lb.TargetGroupTargetHealthStateArgs(enable_unhealthy_connection_termination=False)
            ],
            tags={"Name": label},
            opts=self._child,
        )
        aws.lb.Listener(
            label,
            load_balancer_arn=balancer.arn,
            protocol="TCP",
            port=flow.port,
            default_actions=[aws.lb.ListenerDefaultActionArgs(type="forward", target_group_arn=group.arn)],
            tags={"Name": label},
            opts=self._child,
        )
        return group

    def _machine(
        self, node: Node, groups: Mapping[str, aws.lb.TargetGroup], after: Sequence[pulumi.Resource]
    ) -> Machine:
        args = self._args
        return Machine(
            f"{self._name}-{node.role}",
            MachineArgs(
                node=node,
                launch=args.launch,
                instance_type=args.instance_type,
                subnet_id=args.node_subnet_ids[zone_of(node)],
                security_group_id=args.node_security_group_id,
                bundle=args.bundles[node.name],
                data_volume=None,
                target_groups={flow: group.arn for flow, group in groups.items()},
                after=after,
                gate=args.gates[node.name],
                protect=args.protect,
            ),
            self._child,
        )
