"""The record tree of the design, simulated. ``python -m tests.unit.test_record_tree`` rewrites the document."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aws_rules.failover import FailoverRole, switch_over
from aws_rules.health_checks import (
    CalculatedHealthCheck,
    EndpointHealthCheck,
    HealthCheck,
    detection_seconds,
)
from aws_rules.record_tree import (
    CHECKERS,
    REFUSING,
    SHORT_OUTAGE,
    SHORT_PAUSE,
    SILENT,
    SITUATIONS,
    SWITCH,
    UP,
    WRITTEN,
    AliasRecord,
    Answer,
    RecordTree,
    Situation,
    View,
    World,
    heard,
    simulate,
    worst_case,
)
from configs.settings.model import FailoverMode, FailoverSettings
from configs.tables.names import SWITCH_FAILURE_THRESHOLD
from engine.stack_files import ROOT

PRIMARY, SECONDARY = FailoverRole.PRIMARY, FailoverRole.SECONDARY
EAST, WEST = REGIONS = "us-east-1", "us-west-2"
DOCUMENT = ROOT / "docs" / "failover-situations.md"
MARKS = ("<!-- computed: begin -->", "<!-- computed: end -->")
REWRITE = f"{DOCUMENT.relative_to(ROOT)} is out of step: .venv/bin/python -m {__name__}"

ORIGIN = "origin.example.com"
SERVICE = "grafana.example.com"
DEFAULTS = FailoverSettings()


def tree(mode: FailoverMode = FailoverMode.AUTOMATIC) -> RecordTree:
    """Return the design's tree with the default settings; the engine's tests hold the declared one against it."""
    deciding = ("switch",) if mode is FailoverMode.OPERATOR else ("endpoint", "switch")
    checks: dict[str, HealthCheck] = {
        "endpoint": EndpointHealthCheck(
            interval_seconds=DEFAULTS.check_interval_seconds, failure_threshold=DEFAULTS.failure_threshold
        ),
        "switch": EndpointHealthCheck(
            interval_seconds=DEFAULTS.check_interval_seconds,
            failure_threshold=SWITCH_FAILURE_THRESHOLD,
            inverted=True,
        ),
        "region": CalculatedHealthCheck(children=deciding, threshold=len(deciding)),
    }
    balancers = {f"balancer.{region}": region for region in REGIONS}
    return RecordTree(
        records=(
            *(
                AliasRecord(name=f"origin.{region}.example.com", target=f"balancer.{region}")
                for region in (EAST, WEST)
            ),
            AliasRecord(name=ORIGIN, target=f"balancer.{EAST}", role=PRIMARY, health_check_id="region"),
            AliasRecord(name=ORIGIN, target=f"balancer.{WEST}", role=SECONDARY),
            AliasRecord(name=SERVICE, target=ORIGIN),
        ),
        checks=checks,
        asks={"endpoint": f"origin.{EAST}.example.com", "switch": SWITCH},
        load_balancers=balancers,
    )


AUTOMATIC, OPERATOR = tree(), tree(FailoverMode.OPERATOR)


def tree_for(situation: Situation) -> RecordTree:
    return OPERATOR if situation.operator else AUTOMATIC


def row(situation: Situation, declared: RecordTree, name: str) -> str:
    """Return the situation's line of the document, computed from a tree."""
    answers = situation.answers(declared, name)
    parts = worst_case(declared, answers)
    regions = ", then ".join(answer.region for answer in answers)
    seconds = f"{parts.total} s" if parts else "no change"
    return f"| {situation.name} | {regions} | {seconds} | {situation.why} |"


def computed() -> str:
    head = "| What happens | Who answers | At worst after | Why |\n|---|---|---|---|"
    return "\n".join([head, *(row(situation, tree_for(situation), ORIGIN) for situation in SITUATIONS)])


def between_marks(path: Path) -> str:
    """Return what a document holds between the two marks."""
    return path.read_text().split(MARKS[0])[1].split(MARKS[1])[0].strip()


def rewrite(path: Path, text: str) -> None:
    """Put a text between the two marks of a document."""
    head, _, rest = path.read_text().partition(MARKS[0])
    path.write_text(f"{head}{MARKS[0]}\n{text}\n{MARKS[1]}{rest.partition(MARKS[1])[2]}")


def test_document_is_in_step() -> None:
    """A document that promises what the declared tree does not do."""
    assert between_marks(DOCUMENT) == computed(), REWRITE


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda situation: situation.name)
def test_situation(situation: Situation) -> None:
    """A tree that sends people to the wrong region in a situation we know of."""
    declared = tree_for(situation)
    regions = {PRIMARY: EAST, SECONDARY: WEST}
    answers = situation.answers(declared, ORIGIN)
    assert [answer.region for answer in answers] == [regions[role] for role in situation.expected]
    assert situation.answers(declared, SERVICE) == answers


def named(name: str) -> Situation:
    return next(situation for situation in SITUATIONS if situation.name == name)


@pytest.mark.parametrize(
    ("name", "second", "by", "seconds"),
    [
        ("The primary region is lost", 48, {"endpoint"}, 168),
        # The last silent request ends at 16 s at the latest after the return; then two more, 10 s apart.
        ("The primary region returns, the switch was never written", 36, {"endpoint"}, 168),
        ("The switch is written, the primary is up", 10, {"switch"}, 136),
        ("First deployment, the new checks attached at once", 10, {"switch"}, 136),
        ("18 % of the checkers reach the primary", 48, {"endpoint"}, 168),
        ("Mode `operator`: the switch is written after the primary was lost", 10, {"switch"}, 136),
        ("Only the health port of the primary's load balancer is broken", 30, {"endpoint"}, 168),
    ],
)
def test_last_answer_comes_by_the_check_that_decides(name: str, second: int, by: set[str], seconds: int) -> None:
    """Seconds that are those of the other check, or a change counted from the wrong request."""
    situation = named(name)
    answers = situation.answers(tree_for(situation), ORIGIN)
    assert (answers[-1].second, answers[-1].by) == (second, by)
    parts = worst_case(tree_for(situation), answers)
    assert parts is not None
    assert parts.total == seconds


PHASES = st.lists(st.integers(1, 10), min_size=CHECKERS, max_size=CHECKERS)


@settings(max_examples=20)
@given(PHASES, st.sampled_from([situation for situation in SITUATIONS if set(situation.changes) == {0}]))
def test_no_schedule_is_later_than_the_formula(phases: list[int], situation: Situation) -> None:
    """A promised worst case that checkers which ask at other moments exceed, or another answer from them."""
    declared = tree_for(situation)
    answers = situation.answers(declared, ORIGIN, phases)
    usual = situation.answers(declared, ORIGIN)
    assert [answer.region for answer in answers] == [answer.region for answer in usual]
    parts = worst_case(declared, answers)
    if parts is not None:
        assert answers[-1].second <= parts.detection
        assert heard(answers, parts.total) == {answers[-1].region}


@settings(max_examples=20)
@given(st.sampled_from([10, 30]), st.integers(1, 10))
def test_silence_takes_exactly_the_formula(interval: int, threshold: int) -> None:
    """A second formula: the simulation and ``detection_seconds`` that drift apart."""
    endpoint = EndpointHealthCheck(interval_seconds=interval, failure_threshold=threshold)
    declared = replace(AUTOMATIC, checks={**AUTOMATIC.checks, "endpoint": endpoint})
    answers = simulate(declared, ORIGIN, World(), {0: World(primary=SILENT)})
    assert answers[-1] == Answer(
        second=detection_seconds(interval, threshold), region=WEST, by=frozenset({"endpoint"})
    )
    assert worst_case(declared, answers) == switch_over(interval, threshold)


@settings(max_examples=20)
@given(PHASES, st.integers(1, SHORT_OUTAGE), st.integers(SHORT_PAUSE, 40), st.sampled_from([SILENT, REFUSING]))
def test_short_outages_never_move_traffic(phases: list[int], outage: int, pause: int, down: View) -> None:
    """Failures that are counted on across a success: traffic that a flapping region throws to and fro."""
    changes = {
        second: world
        for start in range(0, 300, outage + pause)
        for second, world in ((start, World(primary=down)), (start + outage, World()))
    }
    answers = simulate(AUTOMATIC, ORIGIN, World(), changes, phases=phases)
    assert answers == (Answer(second=0, region=EAST),)


def test_shortest_outage_that_can_move_traffic() -> None:
    """A margin for flapping that is a second too wide: three requests fit into the next longer outage."""
    assert (DEFAULTS.failure_threshold - 1) * DEFAULTS.check_interval_seconds == SHORT_OUTAGE + 1
    outage = {10: World(primary=REFUSING), SHORT_OUTAGE + 12: World()}
    assert simulate(AUTOMATIC, ORIGIN, World(), outage)[1] == Answer(
        second=30, region=WEST, by=frozenset({"endpoint"})
    )
    within = {10: World(primary=REFUSING), SHORT_OUTAGE + 11: World()}
    assert simulate(AUTOMATIC, ORIGIN, World(), within) == (Answer(second=0, region=EAST),)


VIEWS = st.builds(View, percent=st.integers(0, 100), silent=st.booleans())
WORLDS = st.builds(World, primary=VIEWS, standby=VIEWS, switch=VIEWS)


@settings(max_examples=50)
@given(
    WORLDS,
    st.dictionaries(st.integers(0, 200), WORLDS, max_size=4),
    st.booleans(),
    st.sampled_from([None, *FailoverRole]),
)
def test_answers_are_regions_with_a_record(
    before: World, changes: dict[int, World], new_checks: bool, standby_deployed: bool
) -> None:
    """An answer that no record gives: a region that is not deployed, whatever the checks say."""
    declared = AUTOMATIC if standby_deployed else AUTOMATIC.without(SECONDARY)
    regions = {EAST, WEST} if standby_deployed else {EAST}
    answers = simulate(declared, ORIGIN, before, changes, new_checks=new_checks)
    assert {answer.region for answer in answers} <= regions
    assert [answer.second for answer in answers] == sorted({answer.second for answer in answers})
    for former, latter in pairwise(answers):
        assert former.region != latter.region
        assert latter.by


def test_what_clients_hear_meanwhile() -> None:
    """A client that is promised the new region while its resolver may still keep the old one, up to 120 s."""
    answers = named("The primary region is lost").answers(AUTOMATIC, ORIGIN)
    assert [set(heard(answers, second)) for second in (0, 47, 48, 167, 168)] == [
        {EAST},
        {EAST},
        {EAST, WEST},
        {EAST, WEST},
        {WEST},
    ]


def evaluating(target: str = ORIGIN, last_resort: str = WEST) -> RecordTree:
    """Return a tree whose name of two records evaluates the health of what it points to."""
    outer = (
        AliasRecord(name="outer", target=target, role=PRIMARY, evaluate_target_health=True),
        AliasRecord(name="outer", target=f"balancer.{last_resort}", role=SECONDARY),
    )
    return replace(
        AUTOMATIC,
        records=(
            *(record for record in AUTOMATIC.records if record.role is not SECONDARY),
            *outer,
        ),
    )


@pytest.mark.parametrize(
    ("target", "endpoint", "balancer", "expected"),
    [
        (ORIGIN, True, False, EAST),
        (ORIGIN, False, True, WEST),
        (f"balancer.{EAST}", False, True, EAST),
        (f"balancer.{EAST}", True, False, WEST),
    ],
)
def test_target_health_is_that_of_the_target(target: str, endpoint: bool, balancer: bool, expected: str) -> None:
    """A record that evaluates its target by something else: the records behind it, or the load balancer itself."""
    health = {f"balancer.{EAST}": balancer}
    statuses = {"endpoint": endpoint, "switch": False}
    assert evaluating(target).answer("outer", statuses, health) == expected


def test_group_is_healthy_while_one_of_it_is() -> None:
    """A target of two records that counts as unhealthy while its standby answers."""
    outer = evaluating(last_resort=EAST).records[-2:]
    primary_lost = {"endpoint": False, "switch": False}
    both = replace(AUTOMATIC, records=(*AUTOMATIC.records, *outer))
    assert both.answer("outer", primary_lost) == WEST
    only_primary = replace(AUTOMATIC, records=(*AUTOMATIC.without(SECONDARY).records, outer[0]))
    assert only_primary.answer("outer", primary_lost) == EAST


def test_slowest_deciding_check_counts() -> None:
    """A worst case of the faster of two checks that changed in the same second."""
    answers = (Answer(second=0, region=EAST), Answer(second=48, region=WEST, by=frozenset(AUTOMATIC.checks)))
    assert worst_case(AUTOMATIC, answers) == switch_over(10, 3)


def circle(*names: str) -> RecordTree:
    records = [
        AliasRecord(name=name, target=target) for name, target in zip(names, [*names[1:], names[0]], strict=True)
    ]
    return RecordTree(records=tuple(records), checks={}, asks={}, load_balancers={})


TWO_SIMPLE = replace(AUTOMATIC, records=(*AUTOMATIC.records, AliasRecord(name=ORIGIN, target="other")))
WATCHES_ITSELF = replace(AUTOMATIC, asks={**AUTOMATIC.asks, "endpoint": ORIGIN})
SHORT: Sequence[int] = [1]
REFUSALS: list[tuple[Callable[[], object], str]] = [
    (lambda: AUTOMATIC.answer("lost", {}), "lost has no record"),
    (lambda: AUTOMATIC.region("lost"), "lost has no record"),
    (lambda: circle("one", "two").answer("one", {}), "one is an alias of itself"),
    (lambda: circle("one", "two").region("one"), "one is an alias of itself"),
    (lambda: TWO_SIMPLE.answer(ORIGIN, {}), f"{ORIGIN} has several records, one of them without a failover role"),
    (lambda: AUTOMATIC.region(SERVICE), f"{SERVICE} moves with the failover of {ORIGIN}"),
    (lambda: AUTOMATIC.without(SECONDARY).region_of(ORIGIN, SECONDARY), f"{ORIGIN} has no SECONDARY record"),
    (
        lambda: evaluating(f"balancer.{EAST}").answer("outer", {}),
        f"PRIMARY evaluates the health of balancer.{EAST}, which is not given",
    ),
    # A check that follows the failover would call the lost region healthy as soon as the other one answers.
    (lambda: simulate(WATCHES_ITSELF, ORIGIN, World(), {}), f"{ORIGIN} moves with the failover of {ORIGIN}"),
    (
        lambda: simulate(AUTOMATIC, ORIGIN, World(), {}, phases=SHORT),
        "1 phases: there must be 100, each of 1 to 10 s",
    ),
    (
        lambda: simulate(AUTOMATIC, ORIGIN, World(), {}, phases=[11] * CHECKERS),
        "100 phases: there must be 100, each of 1 to 10 s",
    ),
    (lambda: View(percent=101), "101 % of the checkers: it must be 0 to 100"),
]


@pytest.mark.parametrize(("call", "message"), REFUSALS, ids=[str(number) for number in range(len(REFUSALS))])
def test_what_makes_no_sense_is_refused(call: Callable[[], object], message: str) -> None:
    """A tree that AWS would refuse or never resolve, simulated as if it were one."""
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        call()


def test_constants_say_what_they_are_used_for() -> None:
    """A view of the switch that is one of a region: written is what answers, absent is what fails at once."""
    assert WRITTEN == UP == View(percent=100)
    assert View(percent=0) == REFUSING == World().switch
    assert View(percent=0, silent=True) == SILENT


if __name__ == "__main__":
    rewrite(DOCUMENT, computed())
