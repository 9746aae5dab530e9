"""What Auto Scaling answers beyond moto, asked by the SDK."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lab import autoscaling
from lab.account import Account
from lab.autoscaling import TERMINATING, extension
from offline.cloud import Cloud
from tests.lab.cloud import AWAY, WORKERS, client, code

GROUP = {"AutoScalingGroupName": "mlops-workers"}


@pytest.fixture
def scaling(served: Account, cloud: Cloud) -> Any:
    """The API, with a group of two to four and a hook for terminations."""
    cloud.put(replace(WORKERS, inputs={**WORKERS.inputs, "minSize": 2, "maxSize": 4}))
    asking = client(served, "autoscaling")
    hook = {"LifecycleHookName": "drain", "LifecycleTransition": TERMINATING, "DefaultResult": "CONTINUE"}
    asking.put_lifecycle_hook(**GROUP, **hook, HeartbeatTimeout=60)
    asking.set_desired_capacity(**GROUP, DesiredCapacity=3)
    return asking


def states(scaling: Any) -> dict[str, str]:
    [group] = scaling.describe_auto_scaling_groups()["AutoScalingGroups"]
    return {machine["InstanceId"]: machine["LifecycleState"] for machine in group["Instances"]}


def test_a_machine_waits_for_its_hook(scaling: Any) -> None:
    """A worker that is gone before it has drained, or an autoscaler that never sees the end of its own doing."""
    first = next(iter(states(scaling)))
    answer = scaling.terminate_instance_in_auto_scaling_group(InstanceId=first, ShouldDecrementDesiredCapacity=True)
    activity = answer["Activity"]["ActivityId"]
    assert sorted(states(scaling).values()) == ["InService", "InService", "Terminating:Wait"]
    [found] = scaling.describe_scaling_activities(**GROUP, ActivityIds=[activity])["Activities"]
    assert (found["StatusCode"], found["Progress"], "EndTime" in found) == ("InProgress", 50, False)
    # The newest is the first, which is what the autoscaler waits for.
    assert scaling.describe_scaling_activities(**GROUP)["Activities"][0]["ActivityId"] == activity
    hook = {**GROUP, "LifecycleHookName": "drain", "InstanceId": first}
    scaling.record_lifecycle_action_heartbeat(**hook)
    scaling.complete_lifecycle_action(**hook, LifecycleActionResult="CONTINUE")
    assert list(states(scaling).values()) == ["InService", "InService"]
    [found] = scaling.describe_scaling_activities(**GROUP, ActivityIds=[activity])["Activities"]
    assert (found["StatusCode"], found["Progress"], "EndTime" in found) == ("Successful", 100, True)
    with pytest.raises(ClientError) as refused:
        scaling.complete_lifecycle_action(**hook, LifecycleActionResult="CONTINUE")
    assert code(refused) == "ValidationError"


def test_the_fewest_stay(scaling: Any) -> None:
    """An autoscaler that may take the last workers, which AWS does not let it."""
    first, second, _ = states(scaling)
    scaling.terminate_instance_in_auto_scaling_group(InstanceId=first, ShouldDecrementDesiredCapacity=True)
    with pytest.raises(ClientError) as refused:
        scaling.terminate_instance_in_auto_scaling_group(InstanceId=second, ShouldDecrementDesiredCapacity=True)
    assert "violate group's min size constraint" in str(refused.value)
    # Without fewer being wanted, another comes in its place.
    scaling.terminate_instance_in_auto_scaling_group(InstanceId=second, ShouldDecrementDesiredCapacity=False)
    assert sorted(states(scaling).values()) == ["InService"] * 2 + ["Terminating:Wait"] * 2
    newest = scaling.describe_scaling_activities(**GROUP)["Activities"][0]
    assert newest["Description"].startswith("Launching a new EC2 instance: i-")


def test_a_lower_capacity_waits_for_the_hook_too(scaling: Any) -> None:
    """A scaling by capacity that skips the drain."""
    scaling.set_desired_capacity(**GROUP, DesiredCapacity=2)
    assert sorted(states(scaling).values()) == ["InService", "InService", "Terminating:Wait"]


def test_a_hook_that_nobody_completes_ends(scaling: Any) -> None:
    """A dead worker that waits for ever."""
    first = next(iter(states(scaling)))
    scaling.terminate_instance_in_auto_scaling_group(InstanceId=first, ShouldDecrementDesiredCapacity=True)
    deadlines = extension(group()).deadlines
    deadlines[first] -= 59
    assert len(states(scaling)) == 3
    deadlines[first] -= 2
    assert list(states(scaling).values()) == ["InService", "InService"]


def group() -> Any:
    [backends] = autoscaling.autoscaling_backends.values()
    return backends[AWAY].autoscaling_groups["mlops-workers"]


def test_refreshes_are_those_that_a_test_sets(scaling: Any) -> None:
    """An autoscaler that cannot ask whether the group is being renewed."""
    assert scaling.describe_instance_refreshes(**GROUP)["InstanceRefreshes"] == []
    extension(group()).refreshes.append({"InstanceRefreshId": "r-1", "Status": "InProgress"})
    [refresh] = scaling.describe_instance_refreshes(**GROUP, MaxRecords=1)["InstanceRefreshes"]
    assert refresh["Status"] == "InProgress"
