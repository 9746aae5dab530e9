"""Where a Network Load Balancer sends traffic, and what DNS thinks of its health.

Both with the default target group health settings: one healthy target is enough.
"""

from collections.abc import Mapping, Sequence

# One target group: enabled zone -> registered target -> healthy. A target in its first checks is not healthy.
TargetsHealthByZone = Mapping[str, Mapping[str, bool]]


def targets_receiving_traffic(
    targets_health_by_zone: TargetsHealthByZone, cross_zone: bool
) -> dict[str, frozenset[str]]:
    """Return, for the load balancer node of each zone, the targets that it sends new connections to.

    A node uses the targets of all zones with cross-zone load balancing, else those of its own zone. It sends
    to the healthy ones; if there is none it fails open and sends to all of them.
    With cross-zone off, DNS drops a zone without a healthy target while another zone has one: that zone's
    node then serves only clients that still know its address.
    Sources: https://docs.aws.amazon.com/elasticloadbalancing/latest/network/target-group-health.html
    https://docs.aws.amazon.com/elasticloadbalancing/latest/network/target-group-health-checks.html
    """
    all_zones = {target: healthy for own in targets_health_by_zone.values() for target, healthy in own.items()}
    return {zone: _healthy_or_all(all_zones if cross_zone else own) for zone, own in targets_health_by_zone.items()}


def dns_healthy(target_groups: Sequence[TargetsHealthByZone]) -> bool:
    """Return what evaluate-target-health sees: whether every target group has a healthy target.

    A target group without targets is unhealthy. Nothing fails open here, unlike in routing.
    Raises ValueError if there is no target group: AWS documents nothing for that.
    Source: https://docs.aws.amazon.com/Route53/latest/APIReference/API_AliasTarget.html
    """
    if not target_groups:
        raise ValueError("a load balancer without target groups has no documented health")
    return all(any(healthy for own in group.values() for healthy in own.values()) for group in target_groups)


def _healthy_or_all(targets: Mapping[str, bool]) -> frozenset[str]:
    return frozenset(target for target, healthy in targets.items() if healthy) or frozenset(targets)
