"""The rules reach the engineer: the real engine refuses the bad case of every rule, and plans the good one.

Every case of every rule runs against the evaluator itself in ``tests/unit/test_aws_checks.py``. Here one case of each
kind of rule goes through the engine, a check and each kind of data: the way of a verdict is the same for all checks.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pulumi
import pulumi_aws as aws
import pytest

from offline.cloud import Proposal
from offline.constraints import problems
from offline.engine import OfflineStack
from offline.rules.model import package_rules
from tests.rule_cases import ACCOUNT, CASES, REGION, Case


def one_of_each() -> Iterator[Case]:
    """Yield one case of each kind of rule."""
    seen: set[str] = set()
    for case in CASES:
        family = case.rule.partition(".")[0]
        kind = case.rule if family == "name" else family
        # A case with an id changes what exists already: that takes a state, which these programs do not have.
        if kind not in seen and case.id is None:
            seen.add(kind)
            yield case


def planned(case: Case, inputs: Any, folder: Path) -> tuple[list[str], list[str]]:
    """Preview a program of one resource; return the errors and the names of what would be created."""

    def program() -> None:
        provider = aws.Provider("east", region=REGION, allowed_account_ids=[ACCOUNT])
        options = pulumi.ResourceOptions(provider=provider)
        pulumi.CustomResource(case.type, "case", dict(inputs), options)

    stack = OfflineStack("prod", home=folder, run=program, checkpoints=False)
    cloud = stack.cloud()
    for resource in case.existing:
        cloud.put(resource)
    cloud.close()
    result = stack.preview()
    return result.errors, [step.name for step in result.steps if step.operation == "create" and step.custom]


@pytest.mark.parametrize("case", list(one_of_each()), ids=str)
def test_the_engine_refuses_the_bad_case_and_plans_the_good_one(case: Case, tmp_path: Path) -> None:
    """A rule that is evaluated, and whose verdict never reaches the preview."""
    assert planned(case, case.good, tmp_path) == ([], ["case"])
    stack = OfflineStack("prod", home=tmp_path)
    cloud = stack.cloud()
    expected = list(
        problems(
            Proposal(case.type, "urn:of::the::case", REGION, ACCOUNT, case.bad),
            package_rules("aws")[case.type],
            cloud,
        )
    )
    cloud.close()
    errors, created = planned(case, case.bad, tmp_path)
    assert created == []
    assert expected
    for sentence in expected:
        assert any(sentence in error for error in errors), errors
