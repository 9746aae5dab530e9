"""What availability AWS's service level agreements add up to, with and without a failover.

An agreement promises money back, not uptime: these figures are arithmetic, never measurements. Everything is a
``Fraction``, so that no figure is rounded before it is shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import comb, prod
from typing import Final

from aws_rules.failover import SwitchOver

SECONDS_PER_YEAR: Final = 365 * 24 * 3600
SECONDS_PER_MONTH: Final = 30 * 24 * 3600
"""The agreements count in billing months; 30 days stand for one."""


@dataclass(frozen=True, kw_only=True)
class ServiceLevel:
    """A monthly uptime that AWS's agreement for a service names, in percent as it is printed there.

    ``version`` is the date that the page bears, or what is known of it.
    """

    service: str
    percent: str
    page: str
    version: str

    @property
    def availability(self) -> Fraction:
        """The uptime as a share of 1."""
        return Fraction(self.percent) / 100


_COMPUTE: Final = "https://aws.amazon.com/compute/sla/"
_COMPUTE_VERSION: Final = "the version of 2022-05-05 has it; the one that replaced it was not read"
_RDS: Final = "https://aws.amazon.com/rds/sla/"
_RDS_VERSION: Final = "2024-01-22"
EC2_REGION: Final = ServiceLevel(
    service="EC2 in two or more zones", percent="99.99", page=_COMPUTE, version=_COMPUTE_VERSION
)
EC2_INSTANCE: Final = ServiceLevel(
    service="one EC2 instance", percent="99.5", page=_COMPUTE, version="the page was not read, only accounts of it"
)
RDS_MULTI_AZ: Final = ServiceLevel(service="RDS Multi-AZ", percent="99.95", page=_RDS, version=_RDS_VERSION)
RDS_SINGLE: Final = ServiceLevel(service="RDS, one instance", percent="99.5", page=_RDS, version=_RDS_VERSION)
NETWORK_LOAD_BALANCER: Final = ServiceLevel(
    service="load balancer in two or more zones",
    percent="99.99",
    page="https://aws.amazon.com/elasticloadbalancing/sla/",
    version="2022-07-25",
)
ROUTE_53: Final = ServiceLevel(
    service="Route 53",
    percent="100",
    page="https://aws.amazon.com/route53/sla/",
    version="the page was not read, only accounts of it",
)
S3: Final = ServiceLevel(
    service="S3 Standard",
    percent="99.9",
    page="https://aws.amazon.com/s3/sla/",
    version="the version of 2019-07-31 has it; the one that replaced it was not read",
)
SERVICE_LEVELS: Final = (
    EC2_REGION,
    EC2_INSTANCE,
    RDS_MULTI_AZ,
    RDS_SINGLE,
    NETWORK_LOAD_BALANCER,
    ROUTE_53,
    S3,
)

REGION: Final = (EC2_REGION, RDS_MULTI_AZ, NETWORK_LOAD_BALANCER)
"""What a request needs in a region. S3 is needed to boot and to fail over, not to serve."""

ASSUMED_ZONE: Final = Fraction("0.9995")
"""An assumption, 4.4 hours a year: AWS publishes no figure for one availability zone."""


@dataclass(frozen=True, kw_only=True)
class Recovery:
    """How long people take to make the standby serve, in seconds. Raises ValueError if one is negative."""

    decision: int
    failover: int

    def __post_init__(self) -> None:
        """Refuse what ends before it begins."""
        if self.decision < 0 or self.failover < 0:
            raise ValueError(f"decision {self.decision} s, failover {self.failover} s: neither can be negative")

    def seconds(self, switch: SwitchOver) -> int:
        """Return the seconds from the loss of the primary until the standby serves.

        DNS moves while people decide, so that its time to live and propagation count only if they last longer.
        """
        return max(switch.total, switch.detection + self.decision + self.failover)


ASSUMED_RECOVERY: Final = Recovery(decision=15 * 60, failover=30 * 60)
"""Assumptions, never measured on AWS: an operator begins within 15 minutes of the alarm, `make failover` (of which
RDS's promotion is the longest part) takes 30."""


def majority(nodes: int) -> int:
    """Return how many of the nodes a quorum needs. Raises ValueError without a node.

    Source: https://developer.hashicorp.com/consul/docs/architecture/consensus
    """
    if nodes < 1:
        raise ValueError(f"{nodes} nodes: a quorum needs one at least")
    return nodes // 2 + 1


def quorum(nodes: int, availability: Fraction) -> Fraction:
    """Return the availability of a quorum of nodes that fail independently of each other.

    Raises ValueError without a node, or if the availability is not 0 to 1.
    """
    return at_least(majority(nodes), nodes, availability)


def at_least(needed: int, nodes: int, availability: Fraction) -> Fraction:
    """Return the availability of at least so many of the nodes: the binomial distribution's tail.

    Raises ValueError if the availability is not 0 to 1.
    """
    _validate(availability)
    return sum(
        (
            comb(nodes, up) * availability**up * (1 - availability) ** (nodes - up)
            for up in range(max(needed, 0), nodes + 1)
        ),
        Fraction(0),
    )


def quorum_in_zones(zones: Sequence[int], node: Fraction, zone: Fraction) -> Fraction:
    """Return the availability of a quorum whose nodes lie in zones, which fail as a whole and independently.

    ``zones`` holds the number of nodes in each zone. Raises ValueError without a node, or if an availability is
    not 0 to 1.
    """
    _validate(zone)
    needed = majority(sum(zones))
    # Nodes whose zone is up, and how likely it is that there are so many: fewer states than zones up and down.
    likely: dict[int, Fraction] = {0: Fraction(1)}
    for nodes in zones:
        following = dict[int, Fraction]()
        for up, chance in likely.items():
            following[up] = following.get(up, Fraction(0)) + chance * (1 - zone)
            following[up + nodes] = following.get(up + nodes, Fraction(0)) + chance * zone
        likely = following
    return sum((chance * at_least(needed, reachable, node) for reachable, chance in likely.items()), Fraction(0))


def in_series(levels: Sequence[ServiceLevel]) -> Fraction:
    """Return the availability of what needs all of the services, failing independently of each other."""
    return prod((level.availability for level in levels), start=Fraction(1))


def with_failover(one_region: Fraction, outages: int, recovery_seconds: int) -> Fraction:
    """Return a year's availability if all that one region is down is so many outages, each cut short by a failover.

    Never less than without: an outage that is shorter than the failover is sat out. Assumed: the standby is up
    when it is needed, and people fail over every time. Raises ValueError without an outage, if the availability is
    not 0 to 1, or the recovery is negative.
    """
    _validate(one_region)
    if outages < 1 or recovery_seconds < 0:
        raise ValueError(f"{outages} outages of {recovery_seconds} s: at least one, of no negative length")
    return 1 - min(1 - one_region, Fraction(outages * recovery_seconds, SECONDS_PER_YEAR))


def down_seconds(availability: Fraction, seconds: int) -> Fraction:
    """Return how many of the seconds are down at an availability."""
    _validate(availability)
    return (1 - availability) * seconds


def holds(availability: Fraction, claim: Fraction) -> bool:
    """Return whether an availability is what a claim says, or more."""
    _validate(availability)
    return availability >= claim


CLAIM: Final = Fraction("0.999")
"""What the architecture document that the platform was made from claims: 99.9 % and more, "through redundancy"."""


def _validate(availability: Fraction) -> None:
    if not 0 <= availability <= 1:
        raise ValueError(f"availability {float(availability):g}: it must be 0 to 1")
