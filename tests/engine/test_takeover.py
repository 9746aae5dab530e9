"""The whole of `dr` from standby to active, on the real engine, with us-east-1 gone from the cloud."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from configs.settings.model import StackRole
from engine.tokens import AUTOSCALING_GROUP, DATABASE
from tests.engine.conftest import lose_the_primary, stack_of, succeeded, write_role

OBJECT, ALARM = "aws:s3/bucketObjectv2:BucketObjectv2", "aws:cloudwatch/metricAlarm:MetricAlarm"


def test_the_standby_takes_over_while_the_primary_region_is_dark(home: Path, tmp_path: Path) -> None:
    """A take-over that needs the region that is lost, replaces the database, or touches Route 53 or IAM."""
    lose_the_primary(home)
    stack = stack_of("dr", home, write_role(tmp_path / "project", "dr", StackRole.ACTIVE))
    promised, done = succeeded(stack.preview()), succeeded(stack.up())
    changes = Counter((step.operation, step.type) for step in done.changed())
    assert changes == {
        ("update", DATABASE): 1,
        ("update", AUTOSCALING_GROUP): 1,
        ("update", OBJECT): 6,  # three servers, two load balancers, the workers
        # Those of a database that is replicated for those of a replica; fewer workers are too few; less storage is.
        ("update", ALARM): 2,
        ("create", ALARM): 2,
        ("delete", ALARM): 1,
    }
    assert Counter((step.operation, step.type) for step in promised.changed()) == changes
    [group] = [step for step in done.changed() if step.type == AUTOSCALING_GROUP]
    assert {change.path for change in group.changes} >= {"minSize", "maxSize"}
    # Neither service is spoken to but to compare what is there: nothing is read, made, changed or deleted.
    answered = [call for call in done.calls["aws"] if call.method not in ("Check", "Diff")]
    asked = {call.token.split(":")[1].partition("/")[0] for call in answered}
    assert "rds" in asked
    assert not asked & {"route53", "iam"}
    assert {call.region for call in done.calls["aws"]} == {"us-west-2"}
    # And never back, in the very preview.
    assert any("promotion is one-way" in error for error in stack_of("dr", home).preview().errors)
