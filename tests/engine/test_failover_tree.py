"""The failover tree as both stacks declare it, answered by AWS's documented rules."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aws_rules.failover import FailoverRecord, FailoverRole, answer
from aws_rules.health_checks import CalculatedHealthCheck, EndpointHealthCheck, HealthCheck, is_healthy
from offline.cloud import Cloud
from offline.endpoint import HEALTH_CHECK
from offline.result import Result
from tests.engine.conftest import stack_of, succeeded, write_project

RECORD = "aws:route53/record:Record"


class Tree:
    """The records of the failover name and the health checks behind them, read off the cloud."""

    def __init__(self, cloud: Cloud) -> None:
        self.records = [
            FailoverRecord(
                role=FailoverRole(record.inputs["failoverRoutingPolicies"][0]["type"]),
                target=record.region,
                health_check_id=record.inputs.get("healthCheckId"),
                evaluate_target_health=record.inputs["aliases"][0]["evaluateTargetHealth"],
            )
            for record in cloud.all(RECORD)
            if record.inputs.get("failoverRoutingPolicies")
        ]
        self.checks = {check.id: self._check(check.inputs) for check in cloud.all(HEALTH_CHECK)}
        self._fqdn = {check.id: check.inputs.get("fqdn", "") for check in cloud.all(HEALTH_CHECK)}

    @staticmethod
    def _check(inputs: Any) -> HealthCheck:
        if inputs["type"] == "CALCULATED":
            return CalculatedHealthCheck(
                children=tuple(inputs["childHealthchecks"]), threshold=inputs["childHealthThreshold"]
            )
        return EndpointHealthCheck(
            interval_seconds=inputs["requestInterval"],
            failure_threshold=inputs["failureThreshold"],
            inverted=inputs.get("invertHealthcheck", False),
        )

    def answers(self, primary_up: bool, switch_written: bool) -> str:
        """Return the region that answers, by what the checkers see of the primary and of the switch's object."""
        seen = {
            identity: switch_written if "failover-switch" in fqdn else primary_up
            for identity, fqdn in self._fqdn.items()
            if fqdn
        }
        return answer(self.records, lambda identity: is_healthy(identity, self.checks, seen)).target


@pytest.mark.parametrize(
    ("primary_up", "switch_written", "expected"),
    [
        (True, False, "us-east-1"),
        (False, False, "us-west-2"),
        (True, True, "us-west-2"),
        (False, True, "us-west-2"),
    ],
    ids=["all-fine", "primary-lost", "forced", "primary-lost-and-forced"],
)
def test_automatic(
    primary_up: bool, switch_written: bool, expected: str, deployed: tuple[Path, dict[str, Result]]
) -> None:
    """Health checks and records that are each right, and together send people to the wrong region."""
    cloud = stack_of("prod", deployed[0]).cloud()
    tree = Tree(cloud)
    cloud.close()
    assert tree.answers(primary_up, switch_written) == expected


def test_operator(home: Path, tmp_path: Path) -> None:
    """A failover that nobody asked for, where the operator alone decides."""
    project = write_project(tmp_path / "project", lambda block: block.update(failover={"mode": "operator"}))
    stack = stack_of("prod", home, project)
    succeeded(stack.up())
    cloud = stack.cloud()
    tree = Tree(cloud)
    cloud.close()
    assert tree.answers(primary_up=False, switch_written=False) == "us-east-1"
    assert tree.answers(primary_up=True, switch_written=True) == "us-west-2"
