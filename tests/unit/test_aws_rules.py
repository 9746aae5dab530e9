"""AWS's documented semantics: Route 53 health checks and failover records, Network Load Balancer targets."""

import ast
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import aws_rules
from aws_rules.failover import (
    FailoverRecord,
    FailoverRole,
    SwitchOver,
    answer,
    switch_over,
)
from aws_rules.health_checks import (
    CalculatedHealthCheck,
    EndpointHealthCheck,
    HealthCheck,
    checker_status,
    detection_seconds,
    endpoint_status,
    is_healthy,
)
from aws_rules.network_load_balancer import dns_healthy, targets_receiving_traffic
from tests.parsing import parsed

PRIMARY, SECONDARY = FailoverRole.PRIMARY, FailoverRole.SECONDARY
THRESHOLD = 3  # The design's failure threshold.

# What one checker observed, oldest first.
History = tuple[bool, ...]


def endpoint(inverted: bool = False, disabled: bool = False) -> EndpointHealthCheck:
    return EndpointHealthCheck(interval_seconds=10, failure_threshold=THRESHOLD, inverted=inverted, disabled=disabled)


def reached_by(percent: int) -> tuple[History, ...]:
    """The histories of 100 checkers, of which so many reach the endpoint and the others do not."""
    return ((True,) * THRESHOLD,) * percent + ((False,) * THRESHOLD,) * (100 - percent)


ANSWERS = reached_by(100)
FAILS = reached_by(0)  # A 404, a refused connection and a timeout are the same to a checker.
NEW: tuple[History, ...] = ((),) * 100
FLAPS = ((False, False, True, False, False),) * 100
CAME_BACK = ((False,) * THRESHOLD + (True,) * THRESHOLD,) * 100


@dataclass(frozen=True, kw_only=True)
class Situation:
    """What is the case, and the record that must answer."""

    name: str
    region: tuple[History, ...] = ANSWERS
    switch: tuple[History, ...] = FAILS
    standby_up: bool = True
    operator_mode: bool = False
    switch_check_disabled: bool = False
    records: tuple[FailoverRole, ...] = (PRIMARY, SECONDARY)
    answers: FailoverRole

    def record_that_answers(self) -> FailoverRole:
        """Run the whole chain of the design, from what each checker observed to the answer."""
        checks: dict[str, HealthCheck] = {
            "region": endpoint(),
            "switch": endpoint(inverted=True, disabled=self.switch_check_disabled),
            "region and switch": CalculatedHealthCheck(children=("region", "switch"), threshold=2),
        }
        statuses = {
            name: endpoint_status([checker_status(history, THRESHOLD) for history in histories])
            for name, histories in (("region", self.region), ("switch", self.switch))
        }
        records = {
            PRIMARY: FailoverRecord(
                role=PRIMARY,
                target="us-east-1",
                health_check_id="switch" if self.operator_mode else "region and switch",
            ),
            SECONDARY: FailoverRecord(role=SECONDARY, target="us-west-2", target_healthy=self.standby_up),
        }
        return answer(
            [records[role] for role in self.records], lambda check_id: is_healthy(check_id, checks, statuses)
        ).role


SITUATIONS = [
    Situation(name="all fine", answers=PRIMARY),
    Situation(name="primary down", region=FAILS, answers=SECONDARY),
    Situation(name="standby down", standby_up=False, answers=PRIMARY),
    # SECONDARY has no check: it counts as healthy, so this is not the case where PRIMARY answers.
    Situation(name="both down", region=FAILS, standby_up=False, answers=SECONDARY),
    Situation(name="switch written, primary down", region=FAILS, switch=ANSWERS, answers=SECONDARY),
    Situation(name="switch written, primary up", switch=ANSWERS, answers=SECONDARY),
    Situation(name="switch written, primary came back", region=CAME_BACK, switch=ANSWERS, answers=SECONDARY),
    Situation(name="primary came back", region=CAME_BACK, answers=PRIMARY),
    Situation(name="us-west-2 unreachable", switch=FAILS, standby_up=False, answers=PRIMARY),
    Situation(name="first deployment, both checks new", region=NEW, switch=NEW, answers=SECONDARY),
    Situation(name="first deployment, switch check settled", region=NEW, answers=PRIMARY),
    Situation(name="18 % of the checkers reach the primary", region=reached_by(18), answers=SECONDARY),
    Situation(name="19 % of the checkers reach the primary", region=reached_by(19), answers=PRIMARY),
    Situation(name="18 % of the checkers see the switch", switch=reached_by(18), answers=PRIMARY),
    Situation(name="19 % of the checkers see the switch", switch=reached_by(19), answers=SECONDARY),
    Situation(name="primary flaps below the threshold", region=FLAPS, answers=PRIMARY),
    Situation(name="only PRIMARY exists", records=(PRIMARY,), answers=PRIMARY),
    Situation(name="only PRIMARY exists, down", region=FAILS, records=(PRIMARY,), answers=PRIMARY),
    Situation(name="only SECONDARY exists", records=(SECONDARY,), answers=SECONDARY),
    Situation(name="operator mode, primary down", region=FAILS, operator_mode=True, answers=PRIMARY),
    Situation(name="operator mode, switch written", switch=ANSWERS, operator_mode=True, answers=SECONDARY),
    # Disabled counts as healthy, inverted makes it unhealthy: disabling the check is not a way to ignore it.
    Situation(name="switch check disabled", switch_check_disabled=True, answers=SECONDARY),
]


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda situation: situation.name)
def test_the_design_answers_as_intended(situation: Situation) -> None:
    """Guards against a failover tree that sends traffic to the wrong region in a situation we know of."""
    assert situation.record_that_answers() == situation.answers


@given(st.lists(st.booleans()), st.integers(1, 10), st.booleans())
def test_checker_reports_the_last_long_enough_run(observations: list[bool], threshold: int, initial: bool) -> None:
    """Guards against counting failures that are not consecutive, or flipping one observation early or late."""
    runs = [(value, len(list(run))) for value, run in groupby(observations)]
    long_enough = [value for value, length in runs if length >= threshold]
    assert checker_status(observations, threshold, initial) == ([initial, *long_enough][-1])


@given(st.lists(st.booleans(), min_size=1))
def test_endpoint_needs_more_than_18_percent(reports: list[bool]) -> None:
    """Guards against rounding at the boundary and against taking 18 % itself as enough."""
    assert endpoint_status(reports) == (Fraction(sum(reports), len(reports)) > Fraction(18, 100))


def test_endpoint_that_nobody_reported_on_is_new() -> None:
    """Guards against a check that starts unhealthy, which would fail over on every deployment."""
    assert endpoint_status([]) is True


@pytest.mark.parametrize(
    ("check", "status", "expected"),
    [
        (endpoint(), True, True),
        (endpoint(), False, False),
        (endpoint(), None, True),
        (endpoint(inverted=True), True, False),
        (endpoint(inverted=True), False, True),
        (endpoint(inverted=True), None, False),
        (endpoint(disabled=True), False, True),
        (endpoint(disabled=True, inverted=True), False, False),
    ],
)
def test_endpoint_check_is_disabled_first_and_inverted_last(
    check: EndpointHealthCheck, status: bool | None, expected: bool
) -> None:
    """Guards against the wrong order of new, disabled and inverted. None is a check without any report."""
    statuses = {} if status is None else {"check": status}
    assert is_healthy("check", {"check": check}, statuses) is expected


@given(st.lists(st.booleans(), max_size=6), st.integers(0, 8), st.booleans(), st.booleans())
def test_calculated_check_counts_its_children(
    statuses: list[bool], threshold: int, inverted: bool, disabled: bool
) -> None:
    """Guards against a threshold that is off by one, also where it is 0 or above the number of children."""
    children = {f"child-{number}": status for number, status in enumerate(statuses)}
    parent = CalculatedHealthCheck(
        children=tuple(children), threshold=threshold, inverted=inverted, disabled=disabled
    )
    checks: dict[str, HealthCheck] = {"parent": parent, **dict.fromkeys(children, endpoint())}
    expected = (disabled or sum(statuses) >= threshold) is not inverted
    assert is_healthy("parent", checks, children) is expected


@given(st.booleans(), st.booleans())
def test_failover_by_two_checks(primary_passes: bool, secondary_passes: bool) -> None:
    """Guards against an answer other than PRIMARY when both are unhealthy, in either order of the records."""
    records = [
        FailoverRecord(role=PRIMARY, target="one", health_check_id="first"),
        FailoverRecord(role=SECONDARY, target="two", health_check_id="second"),
    ]
    health = {"first": primary_passes, "second": secondary_passes}.__getitem__
    expected = records[1] if not primary_passes and secondary_passes else records[0]
    assert answer(records, health) is expected
    assert answer(records[::-1], health) is expected


@given(st.booleans(), st.sampled_from([None, True, False]), st.sampled_from([None, True, False]))
def test_record_needs_its_check_and_its_evaluated_target(
    evaluate: bool, check_passes: bool | None, target_healthy: bool | None
) -> None:
    """Guards against ignoring one of the two, and against judging a target that nobody evaluates."""
    primary = FailoverRecord(
        role=PRIMARY,
        target="one",
        health_check_id=None if check_passes is None else "check",
        evaluate_target_health=evaluate and target_healthy is not None,
        target_healthy=target_healthy,
    )
    secondary = FailoverRecord(role=SECONDARY, target="two")
    unhealthy = check_passes is False or (evaluate and target_healthy is False)
    assert answer([primary, secondary], lambda _: check_passes is True).role == (SECONDARY if unhealthy else PRIMARY)


def test_switch_over_of_the_design() -> None:
    """Guards against a changed constant: the documents quote these numbers."""
    assert switch_over(10, 3) == SwitchOver(detection=48, time_to_live=60, propagation=60)
    assert switch_over(10, 3).total == 168


@given(st.sampled_from([10, 30]), st.integers(1, 10), st.integers(0, 2_147_483_647), st.integers(min_value=0))
def test_switch_over_is_the_sum_of_its_parts(
    interval: int, threshold: int, time_to_live: int, propagation: int
) -> None:
    """Guards against a part that is swapped, left out or counted twice."""
    parts = switch_over(interval, threshold, time_to_live, propagation)
    assert parts == SwitchOver(
        detection=(interval + 6) * threshold, time_to_live=time_to_live, propagation=propagation
    )
    assert parts.total == (interval + 6) * threshold + time_to_live + propagation


def calculated(*children: str, threshold: int = 1) -> CalculatedHealthCheck:
    return CalculatedHealthCheck(children=children, threshold=threshold)


def always_healthy(check_id: str) -> bool:
    return bool(check_id)


ONLY_PRIMARY = FailoverRecord(role=PRIMARY, target="one")
REFUSALS: list[tuple[Callable[[], object], str]] = [
    (lambda: detection_seconds(20, 3), "request interval 20 s: it must be 10 or 30"),
    (lambda: detection_seconds(10, 11), "failure threshold 11: it must be 1 to 10"),
    (lambda: checker_status([], 0), "failure threshold 0: it must be 1 to 10"),
    (
        lambda: EndpointHealthCheck(interval_seconds=15, failure_threshold=3),
        "request interval 15 s: it must be 10 or 30",
    ),
    (
        lambda: EndpointHealthCheck(interval_seconds=10, failure_threshold=0),
        "failure threshold 0: it must be 1 to 10",
    ),
    (lambda: calculated(*["child"] * 256), "256 children: the maximum is 255"),
    (lambda: calculated(threshold=-1), "health threshold -1: it must be 0 to 256"),
    (lambda: calculated(threshold=257), "health threshold 257: it must be 0 to 256"),
    (lambda: is_healthy("lost", {}, {}), "there is no health check lost"),
    (lambda: is_healthy("parent", {"parent": calculated("lost")}, {}), "there is no health check lost"),
    (
        lambda: is_healthy("parent", {"parent": calculated("nested"), "nested": calculated()}, {}),
        "parent monitors nested: a calculated check cannot monitor another",
    ),
    (
        lambda: FailoverRecord(role=PRIMARY, target="one", evaluate_target_health=True),
        "PRIMARY evaluates the health of one, which is not given",
    ),
    (
        lambda: answer([], always_healthy),
        "failover records none: there must be one PRIMARY, one SECONDARY or both",
    ),
    (
        lambda: answer([ONLY_PRIMARY, ONLY_PRIMARY], always_healthy),
        "failover records PRIMARY, PRIMARY: there must be one PRIMARY, one SECONDARY or both",
    ),
    (lambda: switch_over(10, 3, -1), "time to live -1 s: it must be 0 to 2147483647"),
    (lambda: switch_over(10, 3, 2**31), "time to live 2147483648 s: it must be 0 to 2147483647"),
    (lambda: switch_over(10, 3, 60, -1), "propagation -1 s: it cannot be negative"),
    (lambda: dns_healthy([]), "a load balancer without target groups has no documented health"),
]


@pytest.mark.parametrize(("call", "message"), REFUSALS, ids=[message for _, message in REFUSALS])
def test_out_of_range_is_refused_in_clear_words(call: Callable[[], object], message: str) -> None:
    """Guards against a value that AWS refuses passing here, and against an error that does not say why."""
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        call()


def test_largest_values_are_accepted() -> None:
    """Guards against a limit that is off by one."""
    assert len(calculated(*["child"] * 255, threshold=256).children) == 255
    assert detection_seconds(30, 10) == 360


# Two targets in zone-a, one in zone-b, none in zone-c.
EVERY_NODE = ("zone-a", "zone-b", "zone-c")


@pytest.mark.parametrize(
    ("healthy", "cross_zone", "expected"),
    [
        ({"a1", "a2", "b1"}, True, ({"a1", "a2", "b1"}, {"a1", "a2", "b1"}, {"a1", "a2", "b1"})),
        ({"a1"}, True, ({"a1"}, {"a1"}, {"a1"})),
        (set[str](), True, ({"a1", "a2", "b1"}, {"a1", "a2", "b1"}, {"a1", "a2", "b1"})),
        ({"a1", "a2", "b1"}, False, ({"a1", "a2"}, {"b1"}, set[str]())),
        ({"a1"}, False, ({"a1"}, {"b1"}, set[str]())),
        (set[str](), False, ({"a1", "a2"}, {"b1"}, set[str]())),
    ],
)
def test_nodes_fail_open(healthy: set[str], cross_zone: bool, expected: tuple[set[str], set[str], set[str]]) -> None:
    """Guards against a node that drops traffic when nothing is healthy, or leaves its zone with cross-zone off."""
    group = {
        "zone-a": {"a1": "a1" in healthy, "a2": "a2" in healthy},
        "zone-b": {"b1": "b1" in healthy},
        "zone-c": {},
    }
    assert targets_receiving_traffic(group, cross_zone) == dict(zip(EVERY_NODE, expected, strict=True))


# Zone -> the health of its targets. Target ids are made unique below, as registration does.
ZONES = st.dictionaries(st.sampled_from(EVERY_NODE), st.lists(st.booleans(), max_size=3), min_size=1)


@given(ZONES, st.booleans())
def test_unhealthy_target_gets_traffic_only_where_none_is_healthy(
    zones: dict[str, list[bool]], cross_zone: bool
) -> None:
    """Guards against failing open while a healthy target is in reach, and against leaving a healthy one out."""
    group = {
        zone: {f"{zone}-{number}": healthy for number, healthy in enumerate(targets)}
        for zone, targets in zones.items()
    }
    registered = {target: healthy for own in group.values() for target, healthy in own.items()}
    receiving = targets_receiving_traffic(group, cross_zone)
    assert set(receiving) == set(group)
    for zone, targets in receiving.items():
        in_reach = registered if cross_zone else group[zone]
        healthy = {target for target in in_reach if registered[target]}
        assert targets == (healthy or set(in_reach))


NO_TARGET: dict[str, bool] = {}


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        ([{"zone-a": {"a": True}}], True),
        ([{"zone-a": {"a": False}, "zone-b": {"b": True}}], True),
        ([{"zone-a": {"a": False}, "zone-b": {"b": False}}], False),
        ([{"zone-a": NO_TARGET, "zone-b": NO_TARGET}], False),
        ([{"zone-a": {"a": True}}, {"zone-a": {"a": True}}], True),
        ([{"zone-a": {"a": True}}, {"zone-a": {"a": False}}], False),
        ([{"zone-a": {"a": True}}, {"zone-a": NO_TARGET}], False),
    ],
)
def test_dns_health_does_not_fail_open(groups: list[dict[str, dict[str, bool]]], expected: bool) -> None:
    """Guards against taking a load balancer for healthy that only fails open, or has an empty target group."""
    assert dns_healthy(groups) is expected


def test_package_imports_only_the_standard_library() -> None:
    """Guards against a dependency that would tie the rules to this project or to an installation."""
    folder = Path(aws_rules.__file__).parent
    for file in folder.glob("*.py"):
        for node in ast.walk(parsed(file)):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
            assert {name.partition(".")[0] for name in names} <= {*sys.stdlib_module_names, "aws_rules"}
