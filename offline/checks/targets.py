"""Checks of what is attached to target groups."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address

from engine.tokens import INSTANCE, LOAD_BALANCER, TARGET_GROUP
from offline.checks.common import Check, is_unknown, known_text, siblings
from offline.cloud import Cloud, Proposal

_TARGETS = {"instance": (INSTANCE, "id"), "alb": (LOAD_BALANCER, "arn")}
"""What the targets of a type are, and by which attribute they are named."""


def attached_target(proposal: Proposal, cloud: Cloud) -> Iterator[str]:
    """A target is of the type of its group, exists, and is attached once.

    https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_RegisterTargets.html
    """
    arn, target = known_text(proposal, "targetGroupArn"), known_text(proposal, "targetId")
    group = cloud.find(TARGET_GROUP, attribute="arn", value=arn, region=proposal.region) if arn else None
    if group is None or target is None:
        return
    kind = group.attribute("targetType") or "instance"
    if kind in _TARGETS:
        token, attribute = _TARGETS[kind]
        if cloud.find(token, attribute=attribute, value=target, region=proposal.region) is None:
            yield f"targetId: {target} does not exist in {proposal.region}; the targets of {arn} are of type {kind}"
    elif kind == "ip" and not _is_address(target):
        yield f"targetId: {target} is not an IPv4 address, which the targets of {arn} are"
    if kind != "ip" and known_text(proposal, "availabilityZone") is not None:
        yield f"availabilityZone: a target of type {kind} has none, only an address has"
    if is_unknown(proposal, "port"):
        return
    for other in siblings(proposal, cloud, "targetGroupArn", "targetId"):
        if other.attribute("port") == proposal.inputs.get("port"):
            yield f"targetId: {target} is attached to {arn} already, {other.id}"


def _is_address(text: str) -> bool:
    try:
        IPv4Address(text)
    except ValueError:
        return False
    return True


CHECKS: tuple[Check, ...] = (attached_target,)
