"""The worker pool on the real engine: what the autoscaler does stays, and what the program changes rolls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pulumi
import pulumi_aws as aws
import pytest

from components.machine import Launch
from components.worker_pool import WorkerPool, WorkerPoolArgs
from configs.policies import trust
from configs.tables.names import Names
from engine.stack_files import ROOT, stack_settings
from offline.engine import OfflineStack
from tests.engine.conftest import succeeded

GROUP = "aws:autoscaling/group:Group"
TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"


def pool_with(root_volume_gigabytes: int = 500, bundle: str = "{}\n") -> Callable[[], None]:
    """Return a program that makes a pool, and the little that it needs."""
    settings = stack_settings(ROOT, "prod")
    names = Names(settings.name, settings.account_id, settings.location.name)

    def program() -> None:
        opts = pulumi.ResourceOptions(provider=aws.Provider("region", region=names.region))
        network = aws.ec2.Vpc("network", cidr_block="10.0.0.0/16", opts=opts)
        subnets = [
            aws.ec2.Subnet(
                zone, vpc_id=network.id, availability_zone=zone, cidr_block=f"10.0.{number}.0/24", opts=opts
            )
            for number, zone in enumerate(settings.location.zones)
        ]
        role = aws.iam.Role("worker", name="worker", assume_role_policy=trust("ec2.amazonaws.com"), opts=opts)
        WorkerPool(
            "pool",
            WorkerPoolArgs(
                names=names,
                bounds=settings.worker_bounds,
                spot_share=settings.workers.spot_share,
                instance_types=("m6in.2xlarge", "r6in.2xlarge"),
                launch=Launch(
                    image_id=settings.location.image_id,
                    instance_profile=aws.iam.InstanceProfile("worker", name="worker", role=role.name, opts=opts).name,
                    key_arn=aws.kms.Key("key", opts=opts).arn,
                    user_data="#cloud-config\n",
                    bundles_bucket=aws.s3.Bucket("bundles", bucket="mlops-bundles", opts=opts).id,
                ),
                bundle=bundle,
                root_volume_gigabytes=root_volume_gigabytes,
                subnet_ids=[subnet.id for subnet in subnets],
                security_group_id=aws.ec2.SecurityGroup("workers", name="workers", vpc_id=network.id, opts=opts).id,
                tags={"Project": "mlops-ha"},
                protect=True,
            ),
            pulumi.ResourceOptions(providers=[opts.provider] if opts.provider else []),
        )

    return program


def stack(home: Path, program: Callable[[], None]) -> OfflineStack:
    """Return a stack that runs the program, in a home that is thrown away."""
    return OfflineStack("prod", home=home, run=program, checkpoints=False)


def scale(offline: OfflineStack, capacity: int) -> None:
    """Do to the group what the autoscaler does: another capacity, and a note in the tags."""
    cloud = offline.cloud()
    group = next(cloud.all(GROUP))
    note = {"key": "nomad_autoscaler", "value": "scaled", "propagateAtLaunch": False}
    changed = {"desiredCapacity": capacity, "tags": [*group.inputs["tags"], note]}
    cloud.put(replace(group, inputs={**group.inputs, **changed}, outputs={**group.outputs, **changed}))
    cloud.close()


@pytest.mark.parametrize("refreshed", [True, False])
def test_what_the_autoscaler_did_stays(refreshed: bool, tmp_path: Path) -> None:
    """Guards against an `up` that sends four of seven busy workers away, and erases the autoscaler's notes."""
    offline = stack(tmp_path, pool_with())
    succeeded(offline.up())
    scale(offline, 7)
    if refreshed:
        seen = succeeded(offline.refresh())
        group = next(one for one in offline.state_resources() if one["type"] == GROUP)
        assert (group["outputs"]["desiredCapacity"], len(group["outputs"]["tags"])) == (7, 3), seen
    assert succeeded(offline.up()).changed() == []
    cloud = offline.cloud()
    group = next(cloud.all(GROUP))
    cloud.close()
    assert group.attribute("desiredCapacity") == 7
    assert [tag["key"] for tag in group.attribute("tags")] == ["Name", "Project", "nomad_autoscaler"]


def test_another_template_renews_the_workers(tmp_path: Path) -> None:
    """Guards against a change that never reaches a worker, or undoes a scaling; the number of workers stays."""
    offline = stack(tmp_path, pool_with())
    succeeded(offline.up())
    scale(offline, 7)
    result = succeeded(stack(tmp_path, pool_with(root_volume_gigabytes=600)).up())
    assert {(step.operation, step.type) for step in result.changed()} == {("update", TEMPLATE), ("update", GROUP)}
    [path] = {change.path for step in result.changed() if step.type == GROUP for change in step.changes}
    assert path == "mixedInstancesPolicy.launchTemplate.launchTemplateSpecification.version"
    cloud = offline.cloud()
    group = next(cloud.all(GROUP))
    cloud.close()
    assert group.attribute("desiredCapacity") == 7


def test_another_bundle_renews_nobody(tmp_path: Path) -> None:
    """Guards against all workers being replaced for a change that they apply themselves."""
    succeeded(stack(tmp_path, pool_with()).up())
    result = succeeded(stack(tmp_path, pool_with(bundle='{"other": 1}\n')).up())
    assert {(step.operation, step.name) for step in result.changed()} == {("update", "pool-bundle")}
