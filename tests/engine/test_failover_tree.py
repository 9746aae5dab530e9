"""The failover tree as both stacks declare it, in every situation, answered by AWS's documented rules."""

from __future__ import annotations

from pathlib import Path

import pytest

from aws_rules.failover import FailoverRole
from aws_rules.record_tree import SITUATIONS, SWITCH, RecordTree, Situation
from configs.settings.model import FailoverMode
from configs.tables.names import Service
from engine.stack_files import STACKS
from offline.cloud import Cloud
from offline.declared import declared_tree
from offline.result import OfflineResult
from tests.engine.conftest import stack_of, succeeded, write_project
from tests.engine.ways_in import failover_names, small_stack
from tests.unit.test_record_tree import DOCUMENT, between_marks, row

REGIONS = {FailoverRole.PRIMARY: "us-east-1", FailoverRole.SECONDARY: "us-west-2"}


def tree_of(cloud: Cloud) -> RecordTree:
    tree = declared_tree(cloud)
    cloud.close()
    return tree


def holds(tree: RecordTree, situation: Situation) -> None:
    """Assert that the declared tree answers as it must, and as the document says, to the second."""
    (origin,) = tree.failover_names
    answers = situation.answers(tree, origin)
    assert [answer.region for answer in answers] == [REGIONS[role] for role in situation.expected]
    assert row(situation, tree, origin) in between_marks(DOCUMENT).splitlines()


@pytest.fixture(scope="module")
def automatic(deployed: tuple[Path, dict[str, OfflineResult]]) -> RecordTree:
    """The tree of both deployed stacks."""
    return tree_of(stack_of("prod", deployed[0]).cloud())


@pytest.mark.parametrize(
    "situation",
    [situation for situation in SITUATIONS if not situation.operator],
    ids=lambda situation: situation.name,
)
def test_automatic(situation: Situation, automatic: RecordTree) -> None:
    """Health checks and records that are each right, and together send people to the wrong region."""
    holds(automatic, situation)


def test_names_follow(automatic: RecordTree) -> None:
    """A service that does not follow the failover, or a region's own name that does."""
    (origin,) = automatic.failover_names
    domain = origin.partition(".")[2]
    lost = {identity: False for identity, asked in automatic.asks.items() if asked != SWITCH}
    absent = {identity: False for identity, asked in automatic.asks.items() if asked == SWITCH}
    for service in Service:
        assert automatic.answer(f"{service}.{domain}", absent) == "us-east-1"
        assert automatic.answer(f"{service}.{domain}", absent | lost) == "us-west-2"
        for region in REGIONS.values():
            assert automatic.region(f"{service}.{region}.{domain}") == region


def test_what_is_asked(automatic: RecordTree) -> None:
    """A check that asks the standby about the primary, or no check that asks for the switch."""
    (origin,) = automatic.failover_names
    assert sorted(automatic.asks.values()) == sorted([SWITCH, f"origin.us-east-1.{origin.partition('.')[2]}"])


def test_operator(tmp_path: Path) -> None:
    """A failover that nobody asked for, where the operator alone decides."""
    home, project = tmp_path / "home", tmp_path / "project"
    write_project(project, lambda block: block.update(failover={"mode": FailoverMode.OPERATOR.value}))
    for name in STACKS:
        succeeded(small_stack(name, home, failover_names, project).up())
    tree = tree_of(small_stack("prod", home, failover_names, project).cloud())
    situations = [situation for situation in SITUATIONS if situation.operator]
    assert len(situations) == 2
    for situation in situations:
        holds(tree, situation)
