"""How many workers a region has, and may have."""

from __future__ import annotations

from dataclasses import dataclass

from configs.tables.names import WORKERS, Names
from ops.aws import Region, asked
from ops.problems import Unknown


@dataclass(frozen=True)
class Workers:
    """The workers' group: its bounds, how many it wants now, and how many of those are in service and healthy."""

    minimum: int
    maximum: int
    desired: int
    in_service: int


def workers(region: Region, names: Names) -> Workers:
    """Return how the region's workers stand.

    Raises:
        Unknown: Auto Scaling did not answer, or refused, or there is no such group.
    """
    name = names.regional(WORKERS)
    with asked(f"the workers in {region.name}"):
        found = region.autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=[name])["AutoScalingGroups"]
    if not found:
        raise Unknown(f"There is no Auto Scaling group {name} in {region.name}.")
    group = found[0]
    serving = [
        instance
        for instance in group.get("Instances", [])
        if instance["LifecycleState"] == "InService" and instance["HealthStatus"].casefold() == "healthy"
    ]
    return Workers(group["MinSize"], group["MaxSize"], group["DesiredCapacity"], len(serving))
