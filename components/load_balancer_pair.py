"""The way in: a network load balancer with one static address a zone.

Its listeners, and the HAProxy and Nginx nodes behind it, are not built yet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from configs.tables.names import Names


@dataclass(frozen=True)
class LoadBalancerEndpoint:
    """What a DNS alias needs to point at a load balancer."""

    dns_name: pulumi.Output[str]
    zone_id: pulumi.Output[str]


@dataclass(frozen=True)
class LoadBalancerPairArgs:
    """What the load balancer is made from; subnets in the order of ``zones``."""

    names: Names
    zones: Sequence[str]
    public_subnet_ids: Sequence[pulumi.Input[str]]
    security_group_id: pulumi.Input[str]
    internet_gateway: pulumi.Resource
    protect: bool


class LoadBalancerPair(pulumi.ComponentResource):
    """Network load balancer over three zones. It has its security group from birth: none can be added later."""

    endpoint: LoadBalancerEndpoint
    addresses: list[pulumi.Output[str]]

    def __init__(self, name: str, args: LoadBalancerPairArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Create the load balancer."""
        super().__init__("mlops:platform:LoadBalancerPair", name, None, opts)
        protected = pulumi.ResourceOptions(parent=self, protect=args.protect)
        static = [
            aws.ec2.Eip(f"{name}-{zone}", domain="vpc", tags={"Name": f"{name}-{zone}"}, opts=protected)
            for zone in args.zones
        ]
        balancer = aws.lb.LoadBalancer(
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
        self.endpoint = LoadBalancerEndpoint(dns_name=balancer.dns_name, zone_id=balancer.zone_id)
        self.addresses = [address.public_ip for address in static]
        self.register_outputs({"dnsName": balancer.dns_name, "addresses": self.addresses})
