"""The ML workers: a group over three zones that Nomad's autoscaler makes larger and smaller."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.machine import Launch, put_bundle
from configs.nodes import NODE_TAG, WORKER
from configs.nomad_autoscaler.policy import DRAIN_SECONDS
from configs.tables.names import DRAIN_HOOK, WORKERS, Names

ROOT_DEVICE = "/dev/xvda"
"""How Amazon Linux names its root volume
(https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/device_naming.html)."""

HOOK_SECONDS = DRAIN_SECONDS + 60
"""How long a worker that is to go is kept: until its jobs are saved, and a minute for what then stops."""

JOIN_SECONDS = 120
"""How long a new worker takes to boot and to join, before the next old one may go: the pause that the autoscaler
makes by default, for the same reason."""

LEAST_HEALTHY_PERCENT, MOST_HEALTHY_PERCENT = 90, 110
"""Bounds while workers are renewed: nine tenths stay, and a tenth may be added before others go
(https://docs.aws.amazon.com/autoscaling/ec2/userguide/instance-refresh-overview.html). Where a tenth is less than
one, workers are renewed one by one."""

METRICS = [
    aws.autoscaling.Metric.GROUP_DESIRED_CAPACITY,
    aws.autoscaling.Metric.GROUP_IN_SERVICE_INSTANCES,
    aws.autoscaling.Metric.GROUP_PENDING_INSTANCES,
    aws.autoscaling.Metric.GROUP_TERMINATING_INSTANCES,
]
"""What shows how far a scaling or a renewal is; Auto Scaling publishes none of its metrics unasked, and all free."""


@dataclass(frozen=True)
class WorkerPoolArgs:
    """What the pool is made from; private subnets, one a zone.

    ``bounds`` are the fewest and the most workers, ``instance_types`` are in order of preference, ``spot_share`` is
    the share of spot above the fewest. ``tags`` are those that everything carries: a group's machines do not get
    them from the provider.
    """

    names: Names
    bounds: tuple[int, int]
    spot_share: float
    instance_types: Sequence[str]
    launch: Launch
    bundle: pulumi.Input[str]
    root_volume_gigabytes: int
    subnet_ids: Sequence[pulumi.Input[str]]
    security_group_id: pulumi.Input[str]
    tags: Mapping[str, str]
    protect: bool


class WorkerPool(pulumi.ComponentResource):
    """Launch template, Auto Scaling group, and the hook that lets a worker save its jobs.

    How many workers there are is the autoscaler's to say, and it notes what it did in the group's tags: both are
    never Pulumi's to change. A new bundle is applied by the workers themselves, a new template renews them.
    """

    group_name: pulumi.Output[str]

    def __init__(self, name: str, args: WorkerPoolArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Create the pool."""
        super().__init__("mlops:platform:WorkerPool", name, None, opts)
        self._name, self._args = name, args
        self._child = pulumi.ResourceOptions(parent=self)
        bundle = put_bundle(f"{name}-bundle", args.launch, WORKER.name, args.bundle, self._child)
        group = self._group(self._template(), bundle)
        self.group_name = group.name
        aws.autoscaling.LifecycleHook(
            f"{name}-drain",
            name=DRAIN_HOOK,
            autoscaling_group_name=group.name,
            lifecycle_transition="autoscaling:EC2_INSTANCE_TERMINATING",
            heartbeat_timeout=HOOK_SECONDS,
            # When nobody answers in time the machine goes: a dead worker has nothing to save.
            default_result="CONTINUE",
            opts=self._child,
        )
        self.register_outputs({"groupName": group.name})

    def _template(self) -> aws.ec2.LaunchTemplate:
        label, launch = f"{self._name}-template", self._args.launch
        machine = {**self._args.tags, "Name": f"{self._name}-worker"}
        user_data = pulumi.Output.from_input(launch.user_data)
        return aws.ec2.LaunchTemplate(
            label,
            name=self._args.names.regional(WORKERS),
            image_id=launch.image_id,
            iam_instance_profile=aws.ec2.LaunchTemplateIamInstanceProfileArgs(name=launch.instance_profile),
            user_data=user_data.apply(lambda text: base64.b64encode(text.encode()).decode()),
            vpc_security_group_ids=[self._args.security_group_id],
            metadata_options=aws.ec2.LaunchTemplateMetadataOptionsArgs(
                http_endpoint="enabled",
                http_tokens="required",
                # A job in a network of its own is a hop away, and has no business with the machine's credentials.
                http_put_response_hop_limit=1,
                instance_metadata_tags="enabled",
            ),
            block_device_mappings=[
                aws.ec2.LaunchTemplateBlockDeviceMappingArgs(
                    device_name=ROOT_DEVICE,
                    ebs=aws.ec2.LaunchTemplateBlockDeviceMappingEbsArgs(
                        volume_type="gp3",
                        volume_size=self._args.root_volume_gigabytes,
                        encrypted="true",
                        kms_key_id=launch.key_arn,
                        delete_on_termination="true",
                    ),
                )
            ],
            tag_specifications=[
                aws.ec2.LaunchTemplateTagSpecificationArgs(
                    resource_type="instance", tags={**machine, NODE_TAG: WORKER.name}
                ),
                aws.ec2.LaunchTemplateTagSpecificationArgs(resource_type="volume", tags=machine),
            ],
            tags={"Name": label},
            opts=self._child,
        )

    def _group(self, template: aws.ec2.LaunchTemplate, bundle: aws.s3.BucketObjectv2) -> aws.autoscaling.Group:
        label = f"{self._name}-group"
        minimum, maximum = self._args.bounds
        return aws.autoscaling.Group(
            label,
            name=self._args.names.regional(WORKERS),
            min_size=minimum,
            max_size=maximum,
            vpc_zone_identifiers=self._args.subnet_ids,
            mixed_instances_policy=self._mix(template, minimum),
            # A spot machine that is likely to be taken back is replaced before it is.
            capacity_rebalance=True,
            instance_refresh=aws.autoscaling.GroupInstanceRefreshArgs(
                strategy="Rolling",
                preferences=aws.autoscaling.GroupInstanceRefreshPreferencesArgs(
                    min_healthy_percentage=LEAST_HEALTHY_PERCENT,
                    max_healthy_percentage=MOST_HEALTHY_PERCENT,
                    instance_warmup=str(JOIN_SECONDS),
                    # Who has the new template already is left in peace: a refresh that is repeated disturbs nobody.
                    skip_matching=True,
                    # Otherwise a template whose machines do not come up leaves a mixed group behind.
                    auto_rollback=True,
                ),
            ),
            enabled_metrics=METRICS,
            # Not waited for: a zone that is short of machines must not fail a deployment, or a failover.
            wait_for_capacity_timeout="0",
            # Deletes the group without waiting until its machines are gone, which the hook keeps for long.
            force_delete=not self._args.protect,
            tags=[
                # The machines' own are in the template, where a change renews them.
                aws.autoscaling.GroupTagArgs(key=key, value=value, propagate_at_launch=False)
                for key, value in sorted({**self._args.tags, "Name": label}.items())
            ],
            # The bundle is in place when the first worker boots.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[bundle], ignore_changes=["desiredCapacity", "tags"]),
        )

    def _mix(self, template: aws.ec2.LaunchTemplate, on_demand: int) -> aws.autoscaling.GroupMixedInstancesPolicyArgs:
        return aws.autoscaling.GroupMixedInstancesPolicyArgs(
            instances_distribution=aws.autoscaling.GroupMixedInstancesPolicyInstancesDistributionArgs(
                on_demand_base_capacity=on_demand,
                on_demand_percentage_above_base_capacity=round(100 * (1 - self._args.spot_share)),
                # The types are in order of preference, and so they are taken.
                on_demand_allocation_strategy="prioritized",
                # First of all not to be taken back, because a job lost costs more than a dearer hour; among equals
                # the preferred type.
                spot_allocation_strategy="capacity-optimized-prioritized",
            ),
            launch_template=aws.autoscaling.GroupMixedInstancesPolicyLaunchTemplateArgs(
                launch_template_specification=aws.autoscaling.GroupMixedInstancesPolicyLaunchTemplateLaunchTemplateSpecificationArgs(
                    launch_template_id=template.id,
                    # A number, never $Latest: with that a new template would be no change of the group.
                    version=template.latest_version.apply(str),
                ),
                overrides=[
                    aws.autoscaling.GroupMixedInstancesPolicyLaunchTemplateOverrideArgs(instance_type=instance_type)
                    for instance_type in self._args.instance_types
                ],
            ),
        )
