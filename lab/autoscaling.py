"""What moto's Auto Scaling lacks and the platform uses: activities, refreshes, and the hook of a termination.

An instance that is to go waits (``Terminating:Wait``) until its hook is completed or the hook's time is over; until
then its activity is in progress
(https://docs.aws.amazon.com/autoscaling/ec2/userguide/lifecycle-hooks-overview.html).
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from moto.autoscaling.exceptions import ValidationError
from moto.autoscaling.models import FakeAutoScalingGroup, autoscaling_backends
from moto.autoscaling.responses import AutoScalingResponse
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.core.responses import ActionResult, EmptyResult

TERMINATING = "autoscaling:EC2_INSTANCE_TERMINATING"
"""The transition that a hook of a termination is for."""

WAITING = "Terminating:Wait"
"""State of an instance that its hook keeps."""

IMAGE, TYPE = "ami-03cf127a", "m6in.2xlarge"
"""Of every machine: an image that moto knows, and the type that workers prefer."""


@dataclass
class Activity:
    """One activity of a group."""

    description: str
    instance: str
    identity: str = field(default_factory=lambda: str(uuid.uuid4()))
    begun: datetime = field(default_factory=lambda: datetime.now(UTC))
    ended: datetime | None = None

    def answer(self, group: str) -> dict[str, Any]:
        """Return it as the API does; without an end as long as there is none."""
        known: dict[str, Any] = {
            "ActivityId": self.identity,
            "AutoScalingGroupName": group,
            "Description": self.description,
            "Cause": f"{self.description} in response to a request",
            "StartTime": self.begun,
            "StatusCode": "Successful" if self.ended else "InProgress",
            "Progress": 100 if self.ended else 50,
        }
        return {**known, "EndTime": self.ended} if self.ended else known


@dataclass
class Extension:
    """What a group has besides. ``deadlines`` are those of hooks, by instance; ``refreshes`` are a test's to set."""

    activities: list[Activity] = field(default_factory=list[Activity])
    deadlines: dict[str, float] = field(default_factory=dict[str, float])
    refreshes: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])


def extension(group: Any) -> Extension:
    """Return what a group of moto has besides."""
    if not hasattr(group, "lab_extension"):
        group.lab_extension = Extension()
    return group.lab_extension


def make_group(backend: Any, name: str, least: int, most: int) -> Any:
    """Make a group in moto whose machines all look alike: what they run is no part of what is asked."""
    backend.create_launch_configuration(
        name=name,
        image_id=IMAGE,
        key_name=None,
        kernel_id="",
        ramdisk_id="",
        security_groups=[],
        user_data=None,
        instance_type=TYPE,
        instance_monitoring=False,
        instance_profile_name=None,
        spot_price=None,
        ebs_optimized=False,
        associate_public_ip_address=False,
        block_device_mappings=[],
    )
    return backend.create_auto_scaling_group(
        name=name,
        availability_zones=[f"{backend.region_name}{zone}" for zone in "abc"],
        desired_capacity=least,
        max_size=most,
        min_size=least,
        launch_config_name=name,
        launch_template={},
        vpc_zone_identifier=None,
        default_cooldown=None,
        health_check_period=None,
        health_check_type="EC2",
        load_balancers=[],
        target_group_arns=[],
        placement_group=None,
        termination_policies=[],
        tags=[],
    )


def _hook(group: Any) -> Any:
    """Return the hook of the group's terminations; None when there is none."""
    hooks = group.autoscaling_backend.describe_lifecycle_hooks(group.name)
    return next((hook for hook in hooks if hook.lifecycle_transition == TERMINATING), None)


def begin_termination(group: Any, state: Any) -> Activity:
    """Take an instance out of service: it waits for its hook, or is gone when there is none."""
    activity = Activity(f"Terminating EC2 instance: {state.instance.id}", state.instance.id)
    extension(group).activities.append(activity)
    hook = _hook(group)
    if hook is None:
        _end_termination(group, state)
    else:
        state.lifecycle_state = WAITING
        extension(group).deadlines[state.instance.id] = time.monotonic() + hook.heartbeat_timeout
    return activity


def _end_termination(group: Any, state: Any) -> None:
    identity = state.instance.id
    group.instance_states = [one for one in group.instance_states if one.instance.id != identity]
    extension(group).deadlines.pop(identity, None)
    group.autoscaling_backend.ec2_backend.terminate_instances([identity])
    for activity in extension(group).activities:
        if activity.instance == identity and activity.ended is None:
            activity.ended = datetime.now(UTC)


def expire(region: str) -> None:
    """End the waiting of hooks of a region whose time is over."""
    for group in autoscaling_backends[DEFAULT_ACCOUNT_ID][region].autoscaling_groups.values():
        for identity, deadline in list(extension(group).deadlines.items()):
            if time.monotonic() > deadline:
                _end_termination(group, _state(group, identity))


def _state(group: Any, identity: str) -> Any:
    found = next((state for state in group.instance_states if state.instance.id == identity), None)
    if found is None:
        raise ValidationError(f"Instance Id not found - No managed instance found for instance ID {identity}")
    return found


def _group(response: Any) -> Any:
    name = response._get_param("AutoScalingGroupName")
    group = response.autoscaling_backend.autoscaling_groups.get(name)
    if group is None:
        raise ValidationError(f"AutoScalingGroup name not found - AutoScalingGroup {name} not found")
    return group


def _describe_scaling_activities(response: Any) -> ActionResult:
    wanted = response._get_param("ActivityIds", [])
    name = response._get_param("AutoScalingGroupName")
    groups = [_group(response)] if name else [*response.autoscaling_backend.autoscaling_groups.values()]
    found = [(activity, group.name) for group in groups for activity in extension(group).activities]
    # The newest first, as AWS does: the autoscaler reads the first one.
    found.sort(key=lambda one: one[0].begun, reverse=True)
    chosen = [activity.answer(group) for activity, group in found if not wanted or activity.identity in wanted]
    return ActionResult({"Activities": chosen})


def _describe_instance_refreshes(response: Any) -> ActionResult:
    return ActionResult({"InstanceRefreshes": extension(_group(response)).refreshes})


def _terminate_instance(response: Any) -> ActionResult:
    identity = response._get_param("InstanceId")
    fewer = response._get_bool_param("ShouldDecrementDesiredCapacity", False)
    for group in response.autoscaling_backend.autoscaling_groups.values():
        if any(state.instance.id == identity for state in group.instance_states):
            break
    else:
        raise ValidationError(f"Instance Id not found - No managed instance found for instance ID {identity}")
    if fewer and group.desired_capacity <= group.min_size:
        raise ValidationError(
            f"Currently, desiredSize equals minSize ({group.min_size}). Terminating instance without replacement "
            "will violate group's min size constraint. Either set shouldDecrementDesiredCapacity flag to false or "
            "lower group's min size."
        )
    activity = begin_termination(group, _state(group, identity))
    # Another takes its place unless there are to be fewer.
    group.set_desired_capacity(group.desired_capacity - int(fewer))
    return ActionResult({"Activity": activity.answer(group.name)})


def _complete_lifecycle_action(response: Any) -> ActionResult:
    group, state = _waiting(response)
    if response._get_param("LifecycleActionResult") not in ("CONTINUE", "ABANDON"):
        raise ValidationError("LifecycleActionResult is CONTINUE or ABANDON")
    # Either ends the instance: a termination cannot be abandoned.
    _end_termination(group, state)
    return EmptyResult()


def _record_heartbeat(response: Any) -> ActionResult:
    group, state = _waiting(response)
    extension(group).deadlines[state.instance.id] = time.monotonic() + _hook(group).heartbeat_timeout
    return EmptyResult()


def _waiting(response: Any) -> tuple[Any, Any]:
    """Return the group and the instance whose hook a request is about."""
    group = _group(response)
    name = response._get_param("LifecycleHookName")
    identity = response._get_param("InstanceId")
    hook = _hook(group)
    if hook is None or hook.name != name:
        raise ValidationError(f"No such hook: {name}")
    state = next((one for one in group.instance_states if one.instance.id == identity), None)
    if state is None or state.lifecycle_state != WAITING:
        raise ValidationError(f"No active Lifecycle Action found with instance ID {identity}")
    return group, state


_MOTOS_SET_DESIRED_CAPACITY: Callable[[Any, int | None], None] = FakeAutoScalingGroup.set_desired_capacity


def _set_desired_capacity(group: Any, wanted: int | None) -> None:
    """Fewer instances end as their hook has it; more are launched by moto."""
    target = group.min_size if wanted is None else wanted
    active = group.active_instances()
    if _hook(group) is not None and len(active) > target:
        group.desired_capacity = target
        for state in [one for one in active if not one.protected_from_scale_in][: len(active) - target]:
            begin_termination(group, state)
        return
    before = {state.instance.id for state in group.instance_states}
    _MOTOS_SET_DESIRED_CAPACITY(group, wanted)
    for state in group.instance_states:
        identity = state.instance.id
        if identity not in before:
            activity = Activity(f"Launching a new EC2 instance: {identity}", identity, ended=datetime.now(UTC))
            extension(group).activities.append(activity)


def extend() -> None:
    """Teach moto, in this process, what it lacks. To do it again changes nothing."""
    response: Any = AutoScalingResponse
    response.describe_scaling_activities = _describe_scaling_activities
    response.describe_instance_refreshes = _describe_instance_refreshes
    response.terminate_instance_in_auto_scaling_group = _terminate_instance
    response.complete_lifecycle_action = _complete_lifecycle_action
    response.record_lifecycle_action_heartbeat = _record_heartbeat
    group: Any = FakeAutoScalingGroup
    group.set_desired_capacity = _set_desired_capacity
