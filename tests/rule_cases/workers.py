"""Cases of the checks of Auto Scaling groups."""

from __future__ import annotations

from collections.abc import Iterator

from engine import tokens
from offline.cloud import Inputs
from tests.rule_cases.common import Case, case
from tests.rule_cases.workloads import mixed
from tests.rule_cases.world import TARGETS_ARN, existing


def _refresh(**preferences: object) -> Inputs:
    return {"instanceRefresh": {"strategy": "Rolling", "preferences": preferences}}


def _version(version: str | None) -> Inputs:
    return {"launchTemplate": {"id": "lt-1"} | ({"version": version} if version else {})}


def cases() -> Iterator[Case]:
    """Yield the cases of this file."""
    kind = tokens.AUTOSCALING_GROUP
    yield case("nothing between", kind, "group_size", {"minSize": 21})
    yield case("wants less", kind, "group_size", {"desiredCapacity": 2}, {"desiredCapacity": 3})
    yield case("wants more", kind, "group_size", {"desiredCapacity": 21}, {"desiredCapacity": 20})
    yield case("latest", kind, "group_template", _version("$Latest"))
    yield case("default", kind, "group_template", _version("$Default"))
    yield case("no version", kind, "group_template", _version(None))
    yield case("latest mixed", kind, "group_template", mixed(launchTemplateId="lt-1", version="$Latest"), mixed())
    by_id: Inputs = {"launchTemplateSpecification": {"launchTemplateId": "lt-1", "version": "1"}}
    of_override: Inputs = {"launchTemplateSpecification": {"launchTemplateId": "lt-1", "version": "$Latest"}}
    yield case("latest override", kind, "group_template", mixed(of_override), mixed(by_id))
    both = {"id": "lt-1", "name": "other", "version": "1"}
    yield case("id and name", kind, "group_template", {"launchTemplate": both})
    template = existing(tokens.LAUNCH_TEMPLATE, "lt-3", name="third", latestVersion=3)
    third: Inputs = {"launchTemplate": {"name": "third", "version": "3"}}
    fourth: Inputs = {"launchTemplate": {"name": "third", "version": "4"}}
    yield case("no such version", kind, "group_template", fourth, third, [template])
    widest = _refresh(minHealthyPercentage=90, maxHealthyPercentage=190)
    yield case(
        "too far apart", kind, "group_refresh", _refresh(minHealthyPercentage=90, maxHealthyPercentage=191), widest
    )
    yield case("nothing moves", kind, "group_refresh", _refresh(minHealthyPercentage=100, maxHealthyPercentage=100))
    yield case(
        "points fall",
        kind,
        "group_refresh",
        _refresh(checkpointPercentages=[50, 20]),
        _refresh(checkpointPercentages=[20, 50]),
    )
    addresses = existing(tokens.TARGET_GROUP, "targets-ip", arn="arn:ip", targetType="ip")
    yield case(
        "addresses",
        kind,
        "group_targets",
        {"targetGroupArns": ["arn:ip"]},
        {"targetGroupArns": [TARGETS_ARN]},
        [addresses],
    )
    large, larger = {"instanceType": "m6i.2xlarge"}, {"instanceType": "m6i.4xlarge"}
    yield case("twice", kind, "group_types", mixed(large, large), mixed(large, larger))
    yield case("one weight", kind, "group_types", mixed(large, {**larger, "weightedCapacity": "2"}))
    yield case("short life", kind, "group_lifetime", {"maxInstanceLifetime": 86_399}, {"maxInstanceLifetime": 86_400})
    yield case("ages", kind, "group_lifetime", {"maxInstanceLifetime": 31_536_001}, {"maxInstanceLifetime": 0})
