"""Checks of what ties a network together: VPCs, zones, gateways and Elastic IP addresses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from engine.tokens import (
    EGRESS_RULE,
    EIP,
    INGRESS_RULE,
    INSTANCE,
    LOAD_BALANCER,
    MOUNT_TARGET,
    NAT_GATEWAY,
    NETWORK_INTERFACE,
    ROUTE,
    ROUTE_TABLE_ASSOCIATION,
    SUBNET,
    VPC,
    VPC_ENDPOINT,
)
from offline.checks.common import Check, is_given, is_missing, is_unknown, others, siblings, values_at
from offline.cloud import Cloud, Inputs, Proposal
from offline.rules.model import package_rules

_VPC_PATHS: dict[str, tuple[str, ...]] = {
    ROUTE: ("routeTableId", "gatewayId", "natGatewayId", "networkInterfaceId"),
    ROUTE_TABLE_ASSOCIATION: ("routeTableId", "subnetId", "gatewayId"),
    VPC_ENDPOINT: ("vpcId", "subnetIds[]", "securityGroupIds[]", "routeTableIds[]"),
    NETWORK_INTERFACE: ("subnetId", "securityGroups[]"),
    INSTANCE: ("subnetId", "vpcSecurityGroupIds[]"),
    LOAD_BALANCER: ("subnets[]", "subnetMappings[].subnetId", "securityGroups[]"),
    INGRESS_RULE: ("securityGroupId", "referencedSecurityGroupId"),
    EGRESS_RULE: ("securityGroupId", "referencedSecurityGroupId"),
    MOUNT_TARGET: ("subnetId", "securityGroups[]"),
}
"""The properties of each type whose values must all belong to one VPC."""


def same_vpc(proposal: Proposal, cloud: Cloud) -> Iterator[str]:
    """What a resource ties together belongs to one VPC (no peering is modelled).

    https://docs.aws.amazon.com/vpc/latest/userguide/how-it-works.html
    """
    references = package_rules("aws")[proposal.type].references
    named = [
        (where, value, references[path].types)
        for path in _VPC_PATHS[proposal.type]
        for where, value in values_at(proposal.inputs, path)
    ]
    kinds = {kind for _, _, types in named for kind in types}
    existing = {resource.id: resource for resource in cloud.all(*kinds, SUBNET, region=proposal.region)}
    home: tuple[str, Any] | None = None
    for where, value, _ in named:
        resource = existing.get(value)
        if resource is None:
            continue
        if resource.type in (NAT_GATEWAY, NETWORK_INTERFACE):
            resource = existing.get(str(resource.attribute("subnetId")), resource)
        vpc = resource.id if resource.type == VPC else resource.attribute("vpcId")
        if home is None:
            home = where, vpc
        elif vpc != home[1]:
            yield f"{where}: {value} is in {vpc}, but {home[0]} is in {home[1]}"


_SUBNET_PATHS = {
    LOAD_BALANCER: ("subnets[]", "subnetMappings[].subnetId"),
    VPC_ENDPOINT: ("subnetIds[]",),
}


def one_subnet_per_zone(proposal: Proposal, cloud: Cloud) -> Iterator[str]:
    """The subnets of a load balancer or of an endpoint lie in different availability zones.

    https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_CreateLoadBalancer.html
    https://docs.aws.amazon.com/vpc/latest/privatelink/create-interface-endpoint.html
    """
    subnets = {subnet.id: subnet for subnet in cloud.all(SUBNET, region=proposal.region)}
    seen: dict[str, str] = {}
    for path in _SUBNET_PATHS[proposal.type]:
        for where, identity in values_at(proposal.inputs, path):
            zone = subnets[identity].attribute("availabilityZone") if identity in subnets else None
            if zone in seen:
                yield f"{where}: {identity} is in {zone} like {seen[zone]}, one subnet per zone is allowed"
            elif isinstance(zone, str):
                seen[zone] = identity


def one_internet_gateway(proposal: Proposal, cloud: Cloud) -> Iterator[str]:
    """A VPC has one internet gateway.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_AttachInternetGateway.html
    """
    for other in siblings(proposal, cloud, "vpcId"):
        yield f"vpcId: {other.attribute('vpcId')} has the internet gateway {other.id} already, a VPC has one"


def nat_gateway_address(proposal: Proposal, _: Cloud) -> Iterator[str]:
    """A public NAT gateway in a subnet has an allocation; a private and a regional one have none of their own.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateNatGateway.html
    """
    if is_unknown(proposal, "connectivityType") or is_unknown(proposal, "availabilityMode"):
        return
    private = proposal.inputs.get("connectivityType", "public") == "private"
    if private or proposal.inputs.get("availabilityMode", "zonal") == "regional":
        kind = "private" if private else "regional"
        for name in ("allocationId", "secondaryAllocationIds"):
            if is_given(proposal, name):
                yield f"{name}: a {kind} NAT gateway has none"
    elif is_missing(proposal, "allocationId"):
        yield "allocationId: a public NAT gateway in a subnet needs the allocation of an Elastic IP address"
    if not private and is_given(proposal, "secondaryPrivateIpAddressCount"):
        yield "secondaryPrivateIpAddressCount: only a private NAT gateway has it"


_ALLOCATION_PATHS = {
    NAT_GATEWAY: ("allocationId", "secondaryAllocationIds[]", "availabilityZoneAddresses[].allocationIds[]"),
    LOAD_BALANCER: ("subnetMappings[].allocationId",),
    EIP: (),
}


def _allocations(kind: str, identity: str | None, inputs: Inputs) -> Iterator[tuple[str, str]]:
    for path in _ALLOCATION_PATHS[kind]:
        yield from values_at(inputs, path)
    if identity is not None:
        # An address that is attached to something uses itself.
        yield from (
            (where, identity) for name in ("instance", "networkInterface") for where, _ in values_at(inputs, name)
        )


def allocation_once(proposal: Proposal, cloud: Cloud) -> Iterator[str]:
    """An Elastic IP address is used once.

    https://docs.aws.amazon.com/vpc/latest/userguide/vpc-eips.html
    """
    mine = list(_allocations(proposal.type, proposal.id, proposal.inputs))
    if not mine:
        return
    users = {
        allocation: resource.id
        for resource in others(proposal, cloud, *_ALLOCATION_PATHS)
        for _, allocation in _allocations(resource.type, resource.id, resource.inputs)
    }
    seen = set[str]()
    for where, allocation in mine:
        if allocation in users:
            yield f"{where}: {allocation} is used by {users[allocation]} already, an address is used once"
        elif allocation in seen:
            yield f"{where}: {allocation} is given twice, an address is used once"
        seen.add(allocation)


CHECKS: tuple[Check, ...] = (
    same_vpc,
    one_subnet_per_zone,
    one_internet_gateway,
    nat_gateway_address,
    allocation_once,
)
