"""WorkerPool: a group that the autoscaler sizes, and that a new template renews without losing a job."""

import base64

import pulumi
import pytest

from components.machine import Launch
from components.worker_pool import HOOK_SECONDS, JOIN_SECONDS, WorkerPool, WorkerPoolArgs
from configs.nomad_autoscaler.policy import DRAIN_SECONDS
from configs.settings.model import WorkerSettings
from configs.tables.names import Names
from tests.unit.mocks import REGIONS, Run, run_in_region


def pool(
    region: str = "us-west-2", protect: bool = True, bounds: tuple[int, int] = (3, 20), spot_share: float = 0.25
) -> Run:
    names = Names("mlops", "123456789012", region)

    def program(opts: pulumi.ResourceOptions) -> None:
        built = WorkerPool(
            "pool",
            WorkerPoolArgs(
                names=names,
                bounds=bounds,
                spot_share=spot_share,
                instance_types=("m6in.2xlarge", "r6in.2xlarge"),
                launch=Launch(
                    image_id="ami-1",
                    instance_profile="profile",
                    key_arn="arn:key",
                    user_data="#cloud-config\n",
                    bundles_bucket="bundles",
                ),
                bundle="{}\n",
                root_volume_gigabytes=500,
                subnet_ids=("subnet-1", "subnet-2", "subnet-3"),
                security_group_id="sg-1",
                tags={"Project": "mlops-ha"},
                protect=protect,
            ),
            opts,
        )
        pulumi.export("group", built.group_name)

    return run_in_region(program, region)


@pytest.mark.parametrize("protect", [True, False])
def test_every_resource_is_exactly_the_plan(protect: bool) -> None:
    """Guards against workers that never renew, lose their jobs, are all spot, share a zone or are not encrypted."""
    assert pool(protect=protect).inputs_by_type() == {
        "aws:s3/bucketObjectv2:BucketObjectv2": {
            "pool-bundle": {
                "bucket": "bundles",
                "key": "bundles/worker.json",
                "content": "{}\n",
                "contentType": "application/json",
                "serverSideEncryption": "aws:kms",
                "kmsKeyId": "arn:key",
                "tags": {"Name": "pool-bundle"},
            }
        },
        "aws:ec2/launchTemplate:LaunchTemplate": {
            "pool-template": {
                "name": "mlops-workers",
                "imageId": "ami-1",
                "iamInstanceProfile": {"name": "profile"},
                "userData": base64.b64encode(b"#cloud-config\n").decode(),
                "vpcSecurityGroupIds": ["sg-1"],
                "metadataOptions": {
                    "httpEndpoint": "enabled",
                    "httpTokens": "required",
                    "httpPutResponseHopLimit": 1,
                    "instanceMetadataTags": "enabled",
                },
                "blockDeviceMappings": [
                    {
                        "deviceName": "/dev/xvda",
                        "ebs": {
                            "volumeType": "gp3",
                            "volumeSize": 500,
                            "encrypted": "true",
                            "kmsKeyId": "arn:key",
                            "deleteOnTermination": "true",
                        },
                    }
                ],
                "tagSpecifications": [
                    {
                        "resourceType": "instance",
                        "tags": {"Project": "mlops-ha", "Name": "pool-worker", "Node": "worker"},
                    },
                    {"resourceType": "volume", "tags": {"Project": "mlops-ha", "Name": "pool-worker"}},
                ],
                "tags": {"Name": "pool-template"},
            }
        },
        "aws:autoscaling/group:Group": {
            "pool-group": {
                "name": "mlops-workers",
                "minSize": 3,
                "maxSize": 20,
                "vpcZoneIdentifiers": ["subnet-1", "subnet-2", "subnet-3"],
                "mixedInstancesPolicy": {
                    "instancesDistribution": {
                        "onDemandBaseCapacity": 3,
                        "onDemandPercentageAboveBaseCapacity": 75,
                        "onDemandAllocationStrategy": "prioritized",
                        "spotAllocationStrategy": "capacity-optimized-prioritized",
                    },
                    "launchTemplate": {
                        "launchTemplateSpecification": {
                            "launchTemplateId": "LaunchTemplate pool-template id",
                            "version": "LaunchTemplate pool-template latestVersion",
                        },
                        "overrides": [{"instanceType": "m6in.2xlarge"}, {"instanceType": "r6in.2xlarge"}],
                    },
                },
                "capacityRebalance": True,
                "instanceRefresh": {
                    "strategy": "Rolling",
                    "preferences": {
                        "minHealthyPercentage": 90,
                        "maxHealthyPercentage": 110,
                        "instanceWarmup": str(JOIN_SECONDS),
                        "skipMatching": True,
                        "autoRollback": True,
                    },
                },
                "enabledMetrics": [
                    "GroupDesiredCapacity",
                    "GroupInServiceInstances",
                    "GroupPendingInstances",
                    "GroupTerminatingInstances",
                ],
                "waitForCapacityTimeout": "0",
                "forceDelete": not protect,
                "tags": [
                    {"key": "Name", "value": "pool-group", "propagateAtLaunch": False},
                    {"key": "Project", "value": "mlops-ha", "propagateAtLaunch": False},
                ],
            }
        },
        "aws:autoscaling/lifecycleHook:LifecycleHook": {
            "pool-drain": {
                "name": "drain",
                "autoscalingGroupName": "mlops-workers",
                "lifecycleTransition": "autoscaling:EC2_INSTANCE_TERMINATING",
                "heartbeatTimeout": HOOK_SECONDS,
                "defaultResult": "CONTINUE",
            }
        },
    }


@pytest.mark.parametrize("region", REGIONS)
def test_all_of_it_is_in_its_region(region: str) -> None:
    """Guards against a resource in another region, or in a bundle bucket that is not the region's."""
    run = pool(region)
    assert {(one.parent, one.provider, one.protect) for one in run.resources} == {
        ("WorkerPool pool", f"aws {region}", False)
    }
    assert [one.parent for one in run.everything if one.type == "mlops:platform:WorkerPool"] == [f"Region {region}"]


def test_size_and_tags_are_the_autoscalers() -> None:
    """Guards against an `up` that undoes a scaling, and a first worker that boots before its bundle is there."""
    group = pool().of("Group")["pool-group"]
    assert group.ignores == ("desiredCapacity", "tags")
    assert group.depends_on == {"BucketObjectv2 pool-bundle"}


@pytest.mark.parametrize(("share", "percent"), [(0, 100), (0.5, 50), (1, 0)])
def test_the_fewest_are_on_demand(share: float, percent: int) -> None:
    """Guards against a spot shortage that stops the platform, and a share the wrong way round."""
    group = pool(bounds=(1, 1), spot_share=share).inputs("Group")["pool-group"]
    assert (group["minSize"], group["maxSize"]) == (1, 1)
    distribution = group["mixedInstancesPolicy"]["instancesDistribution"]
    assert distribution["onDemandBaseCapacity"] == 1
    assert distribution["onDemandPercentageAboveBaseCapacity"] == percent


def test_nobody_is_cut_off_while_jobs_are_saved() -> None:
    """Guards against a machine that is taken away before Nomad's own deadline, and a hook that AWS refuses."""
    assert DRAIN_SECONDS < HOOK_SECONDS <= 7200
    assert WorkerSettings().cooldown_seconds == JOIN_SECONDS


def test_hands_on_the_group() -> None:
    """Guards against alarms on a group that does not exist."""
    run = pool()
    assert run.outputs["Stack mlops-ha-prod"] == {"group": "mlops-workers"}
    assert run.outputs["WorkerPool pool"] == {"groupName": "mlops-workers"}
