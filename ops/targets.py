"""Which nodes a region's network load balancer sends clients to."""

from __future__ import annotations

from dataclasses import dataclass

from configs.tables.flows import HEALTH, HTTP, HTTPS
from configs.tables.names import Names
from ops.aws import Region, asked


@dataclass(frozen=True)
class Targets:
    """How many targets of a group are healthy, and how many there are.

    One of two is what is wanted: the passive node says that it is unhealthy while its peer is healthy.
    """

    healthy: int
    registered: int


def targets(region: Region, names: Names) -> dict[str, Targets]:
    """Return the targets of each target group of the region's load balancer, by name of the flow.

    Raises:
        Unknown: Elastic Load Balancing did not answer, or refused, or a target group is missing.
    """
    flows = {names.regional(flow.name): flow.name for flow in (HTTPS, HTTP, HEALTH)}
    with asked(f"the target groups of the load balancer in {region.name}"):
        groups = region.elbv2.describe_target_groups(Names=list(flows))["TargetGroups"]
        arns = {flows[group.get("TargetGroupName", "")]: group.get("TargetGroupArn", "") for group in groups}
        return {flow: _targets(region, arn) for flow, arn in arns.items()}


def _targets(region: Region, arn: str) -> Targets:
    found = region.elbv2.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]
    states = [target.get("TargetHealth", {}).get("State") for target in found]
    return Targets(healthy=states.count("healthy"), registered=len(states))
