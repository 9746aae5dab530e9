"""Checks of the blocks of VPCs, subnets and reservations, and of the private addresses in them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Network
from typing import Any

from engine.tokens import (
    INSTANCE,
    LOAD_BALANCER,
    MOUNT_TARGET,
    NAT_GATEWAY,
    NETWORK_INTERFACE,
    SUBNET,
    VPC,
    VPC_ENDPOINT,
)
from offline.checks.common import Check, is_missing, known_text, others, parent, siblings, values_at
from offline.cloud import Cloud, Inputs, Proposal

LARGEST_PREFIX, SMALLEST_PREFIX = 16, 28
"""The sizes that AWS allows for the IPv4 block of a VPC and of a subnet.

https://docs.aws.amazon.com/vpc/latest/userguide/vpc-cidr-blocks.html and subnet-sizing.html
"""

RESERVED_AT_START = 4
"""AWS keeps the first four addresses of a subnet (network, router, DNS, future use) and the last (broadcast).

https://docs.aws.amazon.com/vpc/latest/userguide/subnet-sizing.html
"""

FAMILIES: dict[str, type[IPv4Network] | type[IPv6Network]] = {"IPv4": IPv4Network, "IPv6": IPv6Network}
"""The families of addresses, by the names that AWS uses."""


def family_problems(path: str, text: str, family: str) -> Iterator[str]:
    """Yield what is wrong with the text as a block of the family."""
    try:
        FAMILIES[family](text)
    except ValueError:
        yield f"{path}: {text} is not an {family} block whose host bits are zero"


def _ipv4(text: object) -> IPv4Network | None:
    """Return the block, None when the text is not an aligned one."""
    try:
        return IPv4Network(str(text))
    except ValueError:
        return None


def _size_problems(text: str) -> Iterator[str]:
    block = _ipv4(text)
    if block is not None and not LARGEST_PREFIX <= block.prefixlen <= SMALLEST_PREFIX:
        yield f"cidrBlock: {text} has the size /{block.prefixlen}, AWS allows /{LARGEST_PREFIX} to /{SMALLEST_PREFIX}"


def vpc_cidr(proposal: Proposal, _: Cloud) -> Iterator[str]:
    """A VPC has an aligned IPv4 block of /16 to /28.

    https://docs.aws.amazon.com/vpc/latest/userguide/vpc-cidr-blocks.html
    """
    text = known_text(proposal, "cidrBlock")
    if text is not None:
        yield from family_problems("cidrBlock", text, "IPv4")
        yield from _size_problems(text)
    elif is_missing(proposal, "cidrBlock", "ipv4IpamPoolId"):
        yield "cidrBlock: a VPC needs a cidrBlock or an ipv4IpamPoolId"


def _place_problems(text: str, proposal: Proposal, cloud: Cloud, name: str, kind: str) -> Iterator[str]:
    """Yield what is wrong with the place of a block inside that of its parent, among its siblings.

    The property ``name`` gives the parent, which is of type ``kind``.
    """
    block = _ipv4(text)
    if block is None:
        return
    holder = parent(proposal, cloud, name, kind)
    whole = _ipv4(holder.attribute("cidrBlock")) if holder else None
    if whole is not None and not block.subnet_of(whole):
        yield f"cidrBlock: {block} is not inside {whole}, the block of {proposal.inputs[name]}"
    for sibling in siblings(proposal, cloud, name):
        taken = _ipv4(sibling.attribute("cidrBlock"))
        if taken is not None and block.overlaps(taken):
            yield f"cidrBlock: {block} overlaps {taken} of {sibling.id}"


def subnet_cidr(proposal: Proposal, cloud: Cloud) -> Iterator[str]:
    """A subnet's block is aligned, /16 to /28, inside its VPC's and overlaps no other subnet of the VPC.

    https://docs.aws.amazon.com/vpc/latest/userguide/subnet-sizing.html
    """
    text = known_text(proposal, "cidrBlock")
    if text is None:
        return
    yield from family_problems("cidrBlock", text, "IPv4")
    yield from _size_problems(text)
    yield from _place_problems(text, proposal, cloud, "vpcId", VPC)


def subnet_zone(proposal: Proposal, _: Cloud) -> Iterator[str]:
    """The availability zone (or local zone) is one of the provider's region.

    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/using-regions-availability-zones.html
    """
    zone = known_text(proposal, "availabilityZone")
    if zone is not None and not re.fullmatch(rf"{re.escape(proposal.region)}(-[a-z]+-\d+)?[a-z]", zone):
        yield f"availabilityZone: {zone} is not an availability zone of {proposal.region}"


def cidr_reservation(proposal: Proposal, cloud: Cloud) -> Iterator[str]:
    """A reservation is inside its subnet and overlaps no other reservation of the subnet (IPv4 only).

    https://docs.aws.amazon.com/vpc/latest/userguide/subnet-cidr-reservation.html
    """
    text = known_text(proposal, "cidrBlock")
    if text is None or ":" in text:
        return
    yield from family_problems("cidrBlock", text, "IPv4")
    yield from _place_problems(text, proposal, cloud, "subnetId", SUBNET)


_ADDRESS_PATHS: dict[str, tuple[tuple[str, str], ...]] = {
    NETWORK_INTERFACE: (("subnetId", "privateIps[]"), ("subnetId", "privateIpLists[]"), ("subnetId", "privateIp")),
    INSTANCE: (("subnetId", "privateIp"), ("subnetId", "secondaryPrivateIps[]")),
    NAT_GATEWAY: (("subnetId", "privateIp"), ("subnetId", "secondaryPrivateIpAddresses[]")),
    LOAD_BALANCER: (("subnetMappings[].subnetId", "subnetMappings[].privateIpv4Address"),),
    VPC_ENDPOINT: (("subnetConfigurations[].subnetId", "subnetConfigurations[].ipv4"),),
    MOUNT_TARGET: (("subnetId", "ipAddress"),),
}
"""Where each type names fixed private addresses, and where the subnet of each stands."""


def _fixed_addresses(kind: str, inputs: Inputs) -> dict[tuple[Any, Any], str]:
    """Return the fixed addresses by subnet and address, with the path at which each stands."""
    found: dict[tuple[Any, Any], str] = {}
    for subnet_path, address_path in _ADDRESS_PATHS[kind]:
        subnets = dict(values_at(inputs, subnet_path))
        for where, address in values_at(inputs, address_path):
            # The subnet of an address in a list of mappings stands in the same mapping.
            mapping = where.rpartition(".")[0]
            subnet = subnets.get(f"{mapping}.subnetId" if mapping else subnet_path)
            found.setdefault((subnet, address), where)
    return found


def private_address(proposal: Proposal, cloud: Cloud) -> Iterator[str]:
    """A fixed private address is inside its subnet, not one that AWS keeps, and not in use.

    https://docs.aws.amazon.com/vpc/latest/userguide/subnet-sizing.html
    """
    addresses = _fixed_addresses(proposal.type, proposal.inputs)
    if not addresses:
        return
    blocks = {subnet.id: _ipv4(subnet.attribute("cidrBlock")) for subnet in cloud.all(SUBNET, region=proposal.region)}
    users = {
        key: resource.id
        for resource in others(proposal, cloud, *_ADDRESS_PATHS)
        for key in _fixed_addresses(resource.type, resource.inputs)
    }
    for (subnet, text), where in addresses.items():
        try:
            address = IPv4Address(text)
        except ValueError:
            yield f"{where}: {text} is not an IPv4 address"
            continue
        block = blocks.get(subnet)
        if block is None:
            continue
        if address not in block:
            yield f"{where}: {text} is not inside {block}, the block of {subnet}"
        elif address < block[RESERVED_AT_START] or address == block[-1]:
            yield f"{where}: {text} is one of the five that AWS keeps of {block}, the first four and the last"
        elif (subnet, text) in users:
            yield f"{where}: {text} is used by {users[subnet, text]} already"


CHECKS: tuple[Check, ...] = (vpc_cidr, subnet_cidr, subnet_zone, cidr_reservation, private_address)
