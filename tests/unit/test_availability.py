"""What the service levels add up to. ``python -m tests.unit.test_availability`` rewrites the document."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aws_rules.availability import (
    ASSUMED_RECOVERY,
    ASSUMED_ZONE,
    CLAIM,
    EC2_INSTANCE,
    EC2_REGION,
    NETWORK_LOAD_BALANCER,
    RDS_SINGLE,
    REGION,
    S3,
    SECONDS_PER_MONTH,
    SECONDS_PER_YEAR,
    SERVICE_LEVELS,
    Recovery,
    at_least,
    down_seconds,
    holds,
    in_series,
    majority,
    quorum,
    quorum_in_zones,
    with_failover,
)
from aws_rules.failover import switch_over
from configs.settings.model import FailoverSettings
from engine.stack_files import ROOT
from tests.unit.test_record_tree import between_marks, rewrite

DOCUMENT = ROOT / "docs" / "availability.md"
REWRITE = f"{DOCUMENT.relative_to(ROOT)} is out of step: .venv/bin/python -m {__name__}"

NODE = EC2_INSTANCE.availability
ONE_REGION = in_series(REGION)
SWITCH = switch_over(FailoverSettings().check_interval_seconds, FailoverSettings().failure_threshold)
RECOVERY = ASSUMED_RECOVERY.seconds(SWITCH)
MOST_OUTAGES = 8
"""The first number of outages a year, of those in the table, at which a failover no longer helps by much."""


def percent(availability: Fraction) -> str:
    """Return a percentage of four decimals, cut, not rounded: nothing may look better than it is."""
    cut = int(availability * 1_000_000)
    return f"{cut // 10_000}.{cut % 10_000:04d} %"


def span(seconds: Fraction) -> str:
    """Return a duration as hours, minutes and seconds, rounded up."""
    return str(timedelta(seconds=-(-seconds.numerator // seconds.denominator)))


def row(what: str, availability: Fraction) -> str:
    down = [span(down_seconds(availability, seconds)) for seconds in (SECONDS_PER_MONTH, SECONDS_PER_YEAR)]
    return (
        f"| {what} | {percent(availability)} | {' | '.join(down)} | {'yes' if holds(availability, CLAIM) else 'no'} |"
    )


def computed() -> str:
    head = "| What | Availability | Down in 30 days | Down in a year | 99.9 % and more |\n|---|---|---|---|---|"
    lost_month = 1 - Fraction(RECOVERY, SECONDS_PER_MONTH)
    published = "\n".join(
        [
            "| Published | Uptime | Page | Version of the page |\n|---|---|---|---|",
            *(
                f"| {level.service} | {level.percent} % | {level.page} | {level.version} |"
                for level in SERVICE_LEVELS
            ),
        ]
    )
    single = "\n".join(
        [
            head,
            row("One machine", NODE),
            row("Quorum of 3, failing independently", quorum(3, NODE)),
            row("Quorum of 5, failing independently", quorum(5, NODE)),
            row("Quorum of 3, one in each of 3 zones", quorum_in_zones([1, 1, 1], NODE, ASSUMED_ZONE)),
            row("Quorum of 3, two of them in one zone", quorum_in_zones([2, 1], NODE, ASSUMED_ZONE)),
            row("Quorum of 5, over 3 zones", quorum_in_zones([2, 2, 1], NODE, ASSUMED_ZONE)),
            row("One region: EC2 x RDS Multi-AZ x load balancer", ONE_REGION),
            row("One region and its quorum of 3", ONE_REGION * quorum(3, NODE)),
            row("One region, RDS with one instance", in_series((EC2_REGION, RDS_SINGLE, NETWORK_LOAD_BALANCER))),
            row("One region, if serving needed S3 as well", in_series((*REGION, S3))),
        ]
    )
    failover = "\n".join(
        [
            head,
            *(
                row(
                    f"Two regions, {outages} outage{'s' if outages > 1 else ''} a year, until {what}",
                    with_failover(ONE_REGION, outages, seconds),
                )
                for what, seconds in (
                    (f"the standby's page answers ({SWITCH.total} s)", SWITCH.total),
                    (f"the standby serves ({RECOVERY} s)", RECOVERY),
                )
                for outages in (1, 4, MOST_OUTAGES)
            ),
            f"| The one month with such an outage, until the standby serves | {percent(lost_month)}"
            f" | {span(Fraction(RECOVERY))} | - | {'yes' if holds(lost_month, CLAIM) else 'no'} |",
        ]
    )
    return f"{published}\n\n{single}\n\n{failover}"


def test_document_is_in_step() -> None:
    """A promise in the document that nothing computes any more."""
    assert between_marks(DOCUMENT) == computed(), REWRITE


@pytest.mark.parametrize(
    ("availability", "expected"),
    [
        (quorum(3, NODE), "99.9925 %"),
        (quorum(5, NODE), "99.9998 %"),
        (quorum_in_zones([1, 1, 1], NODE, ASSUMED_ZONE), "99.9909 %"),
        (quorum_in_zones([2, 1], NODE, ASSUMED_ZONE), "99.9420 %"),
        # All that lie in one zone are lost with it.
        (quorum_in_zones([3], NODE, ASSUMED_ZONE), "99.9425 %"),
        (ONE_REGION, "99.9300 %"),
        (with_failover(ONE_REGION, 1, 2748), "99.9912 %"),
        (with_failover(ONE_REGION, 1, 168), "99.9994 %"),
    ],
)
def test_figures(availability: Fraction, expected: str) -> None:
    """A formula that is changed together with the document that it fills."""
    assert percent(availability) == expected


def test_recovery_is_the_sum_that_the_document_names() -> None:
    """A time to recover that counts the time to live twice, or leaves the operator out."""
    assert SWITCH.total == 168
    assert RECOVERY == 48 + 15 * 60 + 30 * 60 == 2748
    # Nobody is faster than DNS.
    assert Recovery(decision=0, failover=10).seconds(SWITCH) == 168


def test_when_the_claim_holds() -> None:
    """A document that says "99.9 % and more" where the figures do not."""
    assert holds(ONE_REGION, CLAIM)
    assert holds(CLAIM, CLAIM)
    assert not holds(CLAIM - Fraction(1, 10**9), CLAIM)
    assert not holds(in_series((EC2_REGION, RDS_SINGLE, NETWORK_LOAD_BALANCER)), CLAIM)
    # The document's full minutes: for one's own errors in a month, for a failover in it, and that without detection.
    assert int((ONE_REGION - CLAIM) * SECONDS_PER_MONTH / 60) == 12
    assert down_seconds(CLAIM, SECONDS_PER_MONTH) == 2592 < RECOVERY
    assert (2592 // 60, -(-RECOVERY // 60), (2592 - SWITCH.detection) // 60) == (43, 46, 42)


def test_failover_helps_only_against_long_outages() -> None:
    """A figure that credits the failover with outages that are over before it is."""
    longest = down_seconds(ONE_REGION, SECONDS_PER_YEAR) / RECOVERY
    assert int(longest) == MOST_OUTAGES
    assert with_failover(ONE_REGION, MOST_OUTAGES, RECOVERY) > ONE_REGION
    assert with_failover(ONE_REGION, MOST_OUTAGES + 1, RECOVERY) == ONE_REGION


SHARES = st.fractions(0, 1, max_denominator=1000)
NODES = st.integers(1, 9)


@given(st.integers(0, 5), st.integers(0, 4), SHARES)
def test_more_nodes_never_lower_availability(spare: int, more: int, availability: Fraction) -> None:
    """A tail that is summed from the wrong end: more nodes for the same need are never worse."""
    needed = 3
    nodes = needed + spare
    assert at_least(needed, nodes + more, availability) >= at_least(needed, nodes, availability)


@given(NODES, SHARES)
def test_tail_of_all_is_certain(nodes: int, availability: Fraction) -> None:
    """A term that is left out or counted twice."""
    assert at_least(0, nodes, availability) == 1
    assert at_least(nodes, nodes, availability) == availability**nodes
    tails = [at_least(needed, nodes, availability) for needed in range(nodes + 2)]
    assert all(former >= latter for former, latter in pairwise(tails))


@given(NODES, SHARES.filter(lambda share: share > Fraction(1, 2)))
def test_two_more_nodes_help_good_nodes(nodes: int, availability: Fraction) -> None:
    """A majority that is off by one: with good nodes, a quorum of two more is never worse."""
    assert quorum(nodes + 2, availability) >= quorum(nodes, availability)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=4).filter(any), SHARES, SHARES)
def test_zones(zones: list[int], node: Fraction, zone: Fraction) -> None:
    """Zones that add availability, or change it where none ever fails or each is one node's own."""
    nodes = sum(zones)
    assert quorum_in_zones(zones, node, zone) <= quorum(nodes, node)
    assert quorum_in_zones(zones, node, Fraction(1)) == quorum(nodes, node)
    assert quorum_in_zones([1] * nodes, node, zone) == quorum(nodes, node * zone)
    assert quorum_in_zones([nodes], node, zone) == zone * quorum(nodes, node)


@given(SHARES, st.integers(1, 20), st.integers(0, SECONDS_PER_YEAR))
def test_failover_never_makes_it_worse(one_region: Fraction, outages: int, seconds: int) -> None:
    """A second region that lowers the figure, or an outage that costs nothing."""
    availability = with_failover(one_region, outages, seconds)
    assert one_region <= availability <= 1
    assert with_failover(one_region, outages + 1, seconds) <= availability


def test_majority() -> None:
    """A quorum of half the nodes, which two halves have at once."""
    assert [majority(nodes) for nodes in range(1, 8)] == [1, 2, 2, 3, 3, 4, 4]


REFUSALS: list[tuple[Callable[[], object], str]] = [
    (lambda: majority(0), "0 nodes: a quorum needs one at least"),
    (lambda: quorum_in_zones([], NODE, ASSUMED_ZONE), "0 nodes: a quorum needs one at least"),
    (lambda: quorum(3, Fraction("99.5")), "availability 99.5: it must be 0 to 1"),
    (lambda: quorum_in_zones([1], NODE, Fraction(-1)), "availability -1: it must be 0 to 1"),
    (lambda: down_seconds(Fraction(2), 1), "availability 2: it must be 0 to 1"),
    (lambda: holds(Fraction(2), CLAIM), "availability 2: it must be 0 to 1"),
    (lambda: with_failover(Fraction(2), 1, 1), "availability 2: it must be 0 to 1"),
    (lambda: with_failover(NODE, 0, 1), "0 outages of 1 s: at least one, of no negative length"),
    (lambda: with_failover(NODE, 1, -1), "1 outages of -1 s: at least one, of no negative length"),
    (
        lambda: Recovery(decision=-1, failover=0),
        "decision -1 s, failover 0 s: neither can be negative",
    ),
]


@pytest.mark.parametrize(("call", "message"), REFUSALS, ids=[str(number) for number in range(len(REFUSALS))])
def test_out_of_range_is_refused(call: Callable[[], object], message: str) -> None:
    """A percentage taken for a share, which makes every figure wrong in silence."""
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        call()


if __name__ == "__main__":
    rewrite(DOCUMENT, computed())
