"""Cases of the checks of what is attached to target groups."""

from __future__ import annotations

from collections.abc import Iterator

from engine import tokens
from offline.cloud import Inputs
from tests.rule_cases.common import Case, case
from tests.rule_cases.world import BALANCER_ARN, TARGETS_ARN, existing


def cases() -> Iterator[Case]:
    """Yield the cases of this file."""
    kind, check = tokens.TARGET_GROUP_ATTACHMENT, "attached_target"
    groups = [
        existing(tokens.TARGET_GROUP, f"targets-{name}", arn=f"arn:{name}", targetType=name) for name in ("ip", "alb")
    ]
    yield case("no machine", kind, check, {"targetId": "i-missing"})
    address: Inputs = {"targetGroupArn": "arn:ip", "targetId": "10.0.1.10", "availabilityZone": "us-east-1a"}
    yield case("no address", kind, check, {"targetId": "i-1"}, address, groups)
    balancer: Inputs = {"targetGroupArn": "arn:alb", "targetId": BALANCER_ARN}
    yield case("no balancer", kind, check, {"targetId": "i-1"}, balancer, groups)
    yield case("zone", kind, check, {"availabilityZone": "us-east-1a"})
    there = existing(kind, "attachment-1", targetGroupArn=TARGETS_ARN, targetId="i-1", port=443)
    yield case("twice", kind, check, {"port": 443}, {"port": 80}, [there])
