"""How a region's address range is divided, and which addresses are fixed. Pure CIDR arithmetic."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network
from itertools import islice

ZONES = 3
"""Zones a region is spread over: the fewest in which a quorum of three survives the loss of one."""

LARGEST_PREFIX, SMALLEST_PREFIX = 16, 20
"""A VPC is /16 at most (AWS's limit). /20 leaves a zone 1,019 addresses for machines, ten times the workers that may
be set, and 59 for each of the other tiers: a subnet cannot grow later."""


class Tier(StrEnum):
    """What a subnet is for."""

    PUBLIC = "public"
    """Routed to the internet gateway: the network load balancer and the NAT gateways."""
    PRIVATE = "private"
    """Routed to the internet through NAT: every machine."""
    DATA = "data"
    """Not routed out of the VPC at all: the database and the file system."""


@dataclass(frozen=True)
class Subnet:
    """One subnet of the plan; ``zone`` counts from 0. ``reserved`` (private only) holds fixed addresses."""

    tier: Tier
    zone: int
    cidr: IPv4Network
    reserved: IPv4Network | None


RESERVED_PREFIX = 28
"""16 fixed addresses a zone: two servers (five over three zones), a load balancer, and as many again to replace
them side by side."""

RESERVED_BLOCK = 1
"""The second block of 16: AWS keeps the first four addresses of a subnet for itself."""


class FixedAddress(StrEnum):
    """Kinds of machine with an address that outlives the machine."""

    CONTROL_PLANE = "control-plane"
    LOAD_BALANCER = "load-balancer"


_FIRST_SLOT = {FixedAddress.CONTROL_PLANE: 0, FixedAddress.LOAD_BALANCER: 8}
"""Where each kind starts among the 16 addresses of a zone: eight each."""


def subnets(cidr: IPv4Network) -> tuple[Subnet, ...]:
    """Divide a region's range: nine subnets, three tiers in each of three zones.

    Machines get a quarter of the range in each zone. The last quarter is cut into 16: three pieces for the
    public subnets, three for the data subnets; ten stay free for tiers to come, so that growing never moves
    anything.

    Raises:
        ValueError: the range is larger than /16 or smaller than /20.
    """
    if not LARGEST_PREFIX <= cidr.prefixlen <= SMALLEST_PREFIX:
        raise ValueError(f"{cidr} must be between /{LARGEST_PREFIX} and /{SMALLEST_PREFIX}")
    *private, rest = cidr.subnets(prefixlen_diff=2)
    pieces = list(rest.subnets(prefixlen_diff=4))
    blocks = {Tier.PUBLIC: pieces[0:ZONES], Tier.PRIVATE: private, Tier.DATA: pieces[4 : 4 + ZONES]}
    return tuple(
        Subnet(tier, zone, block, _reserved(block) if tier is Tier.PRIVATE else None)
        for tier, tier_blocks in blocks.items()
        for zone, block in enumerate(tier_blocks)
    )


def _reserved(private: IPv4Network) -> IPv4Network:
    return next(islice(private.subnets(new_prefix=RESERVED_PREFIX), RESERVED_BLOCK, None))


def fixed_address(cidr: IPv4Network, kind: FixedAddress, index: int) -> tuple[int, IPv4Address]:
    """Return the zone and the address of the ``index``-th machine (from 0) of a kind.

    Machines go round the zones, so that any three in a row lie in three zones.

    Raises:
        ValueError: the zone's reservation holds no more of that kind.
    """
    zone, slot = index % ZONES, index // ZONES
    if slot >= 8:
        raise ValueError(f"no fixed address is left for {kind} {index}")
    reserved = next(s.reserved for s in subnets(cidr) if s.reserved is not None and s.zone == zone)
    return zone, reserved[_FIRST_SLOT[kind] + slot]
