"""Checks of Auto Scaling groups."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import cast

from engine.tokens import LAUNCH_TEMPLATE, TARGET_GROUP
from offline.checks.common import Check, values_at
from offline.cloud import Cloud, Inputs, Proposal


def group_size(proposal: Proposal, _: Cloud) -> Iterator[str]:
    """The desired capacity lies between the smallest and the largest size.

    https://docs.aws.amazon.com/autoscaling/ec2/userguide/asg-capacity-limits.html
    """
    names = ("minSize", "desiredCapacity", "maxSize")
    known = [(name, proposal.inputs[name]) for name in names if proposal.inputs.get(name) is not None]
    for (lower, low), (upper, high) in pairwise(known):
        if low > high:
            yield f"{lower}: {low:g} is above {upper}, {high:g}"


_MIXED = "mixedInstancesPolicy.launchTemplate"
_TEMPLATES = {
    "launchTemplate": ("id", "name"),
    f"{_MIXED}.launchTemplateSpecification": ("launchTemplateId", "launchTemplateName"),
    f"{_MIXED}.overrides[].launchTemplateSpecification": ("launchTemplateId", "launchTemplateName"),
}
"""Where a group names a launch template, and by which properties."""


def group_template(proposal: Proposal, cloud: Cloud) -> Iterator[str]:
    """A group names a launch template by id or name, and one version of it that exists.

    AWS also takes $Latest and $Default (which is what no version means). With these a new version changes no
    property of the group, so that no instance refresh begins: the workers would never be renewed. They are refused.
    https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_LaunchTemplateSpecification.html
    """
    for path, (by_id, by_name) in _TEMPLATES.items():
        for where, given in values_at(proposal.inputs, path):
            specification = cast("Inputs", given)
            identity, name = specification.get(by_id), specification.get(by_name)
            if (identity is None) == (name is None):
                yield f"{where}: exactly one of {by_id} and {by_name} is allowed"
                continue
            version = specification.get("version")
            if version is None or not str(version).isdigit():
                yield (
                    f"{where}.version: {version} never rolls out a change of the launch template:"
                    " give its latestVersion"
                )
                continue
            attribute, value = ("id", identity) if identity is not None else ("name", name)
            template = cloud.find(LAUNCH_TEMPLATE, attribute=attribute, value=value, region=proposal.region)
            latest = template.attribute("latestVersion") if template else None
            if isinstance(latest, int | float) and int(version) > latest:
                yield f"{where}.version: {value} has no version {version}, the latest is {latest:g}"


PERCENT_BETWEEN = 100
"""How far the two bounds of health may lie apart."""


def group_refresh(proposal: Proposal, _: Cloud) -> Iterator[str]:
    """During an instance refresh the bounds of health lie at most 100 % apart, and something may be replaced.

    https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_RefreshPreferences.html
    """
    for path in ("instanceRefresh.preferences", "instanceMaintenancePolicy"):
        for where, given in values_at(proposal.inputs, path):
            bounds = cast("Inputs", given)
            least, most = bounds.get("minHealthyPercentage"), bounds.get("maxHealthyPercentage")
            if least is None or most is None:
                continue
            if most - least > PERCENT_BETWEEN:
                yield f"{where}.maxHealthyPercentage: {most:g} is more than {PERCENT_BETWEEN} above {least:g}"
            if least == most:
                yield f"{where}.maxHealthyPercentage: {most:g} like minHealthyPercentage: nothing could be replaced"
    points = [point for _, point in values_at(proposal.inputs, "instanceRefresh.preferences.checkpointPercentages[]")]
    if points != sorted(set(points)):
        yield "instanceRefresh.preferences.checkpointPercentages: they must rise"


def group_targets(proposal: Proposal, cloud: Cloud) -> Iterator[str]:
    """A group registers its instances with target groups of instances only.

    https://docs.aws.amazon.com/autoscaling/ec2/userguide/attach-load-balancer-asg.html
    """
    for where, arn in values_at(proposal.inputs, "targetGroupArns[]"):
        group = cloud.find(TARGET_GROUP, attribute="arn", value=arn, region=proposal.region)
        kind = group.attribute("targetType") if group else None
        if kind not in (None, "instance"):
            yield f"{where}: {arn} has targets of type {kind}, a group registers instances"


def group_types(proposal: Proposal, _: Cloud) -> Iterator[str]:
    """The overrides of a mixed group name each instance type once, and either all have a weight or none has.

    https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_LaunchTemplateOverrides.html
    """
    path = f"{_MIXED}.overrides"
    seen = set[object]()
    for where, kind in values_at(proposal.inputs, f"{path}[].instanceType"):
        if kind in seen:
            yield f"{where}: {kind} is given twice"
        seen.add(kind)
    weights = len(list(values_at(proposal.inputs, f"{path}[].weightedCapacity")))
    if weights not in (0, len(list(values_at(proposal.inputs, f"{path}[]")))):
        yield f"{path}: {weights} have a weightedCapacity, all must have one or none"


SHORTEST_LIFE, LONGEST_LIFE = 86_400, 31_536_000
"""Seconds after which a group may replace its instances for their age: a day to a year."""


def group_lifetime(proposal: Proposal, _: Cloud) -> Iterator[str]:
    """Instances live at least a day and at most a year, or 0 for ever.

    https://docs.aws.amazon.com/autoscaling/ec2/userguide/asg-max-instance-lifetime.html
    """
    life = proposal.inputs.get("maxInstanceLifetime")
    if life and not SHORTEST_LIFE <= life <= LONGEST_LIFE:
        yield f"maxInstanceLifetime: {life:g} s, 0 or {SHORTEST_LIFE} to {LONGEST_LIFE} are allowed"


CHECKS: tuple[Check, ...] = (
    group_size,
    group_template,
    group_refresh,
    group_targets,
    group_types,
    group_lifetime,
)
