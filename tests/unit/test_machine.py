"""Machine: what is made of a node, what of it stays, and what the gate stands before."""

from collections.abc import Mapping
from ipaddress import IPv4Address
from typing import Any

import pulumi
import pulumi_aws as aws
import pytest

from components.machine import DataVolume, Launch, Machine, MachineArgs, zone_of
from configs.nodes import WORKER, Node, NodeRole
from tests.unit.mocks import REGIONS, Run, run_in_region

NODE = Node("control-plane-1", NodeRole.CONTROL_PLANE, 0, IPv4Address("10.0.0.16"))
LAUNCH = Launch(
    image_id="ami-1",
    instance_profile="profile",
    key_arn="key-arn",
    user_data="#!/bin/sh",
    bundles_bucket="bundles",
)
VOLUME = DataVolume("us-west-2a", 500)


def no_gate(_: pulumi.ResourceHookArgs) -> None:
    """Let everything pass."""


def machine(
    region: str = "us-west-2",
    protect: bool = True,
    data_volume: DataVolume | None = VOLUME,
    target_groups: Mapping[str, pulumi.Input[str]] | None = None,
) -> Run:
    """A machine, and before it another one that it waits for; both stand in the run, ``before`` to be left out."""

    def program(opts: pulumi.ResourceOptions) -> None:
        before = aws.ec2.InternetGateway("before", opts=opts)
        args = MachineArgs(
            node=NODE,
            launch=LAUNCH,
            instance_type="m6in.2xlarge",
            subnet_id="subnet-1",
            security_group_id="sg-1",
            bundle=pulumi.Output.from_input("{}"),
            data_volume=data_volume,
            target_groups=target_groups or {},
            after=[before],
            gate=pulumi.ResourceHook("gate", no_gate),
            protect=protect,
        )
        built = Machine("server-1", args, opts)
        pulumi.export("instanceId", built.instance_id)
        pulumi.export("last", [one.urn for one in built.last])

    return run_in_region(program, region)


def last(run: Run) -> set[str]:
    """The resources that the next machine waits for, by kind and name."""
    urns: list[str] = list(run.outputs["Stack mlops-ha-prod"]["last"])
    return {" ".join(urn.split("::")[2:]).rpartition(":")[2] for urn in urns}


INSTANCE: dict[str, Any] = {
    "ami": "ami-1",
    "instanceType": "m6in.2xlarge",
    "iamInstanceProfile": "profile",
    "primaryNetworkInterface": {"networkInterfaceId": "NetworkInterface server-1-interface id"},
    "userData": "#!/bin/sh",
    "userDataReplaceOnChange": False,
    "rootBlockDevice": {
        "encrypted": True,
        "kmsKeyId": "key-arn",
        "volumeType": "gp3",
        "volumeSize": 30,
        "tags": {"Name": "server-1-root"},
    },
    "metadataOptions": {
        "httpEndpoint": "enabled",
        "httpTokens": "required",
        "httpPutResponseHopLimit": 1,
        "instanceMetadataTags": "enabled",
    },
    "maintenanceOptions": {"autoRecovery": "default"},
    "tags": {"Name": "server-1-instance", "Node": "control-plane-1"},
}


@pytest.mark.parametrize("protect", [True, False])
def test_every_resource_is_exactly_the_plan(protect: bool) -> None:
    """Guards against a machine with another address, an open metadata service, plain disks, and data that goes."""
    planned = machine(protect=protect).inputs_by_type()
    del planned["aws:ec2/internetGateway:InternetGateway"]
    assert planned == {
        "aws:ec2/networkInterface:NetworkInterface": {
            "server-1-interface": {
                "subnetId": "subnet-1",
                "privateIps": ["10.0.0.16"],
                "securityGroups": ["sg-1"],
                "tags": {"Name": "server-1-interface"},
            }
        },
        "aws:s3/bucketObjectv2:BucketObjectv2": {
            "server-1-bundle": {
                "bucket": "bundles",
                "key": "bundles/control-plane-1.json",
                "content": "{}",
                "contentType": "application/json",
                "serverSideEncryption": "aws:kms",
                "kmsKeyId": "key-arn",
                "tags": {"Name": "server-1-bundle"},
            }
        },
        "aws:ec2/instance:Instance": {"server-1-instance": INSTANCE},
        "aws:ebs/volume:Volume": {
            "server-1-data": {
                "availabilityZone": "us-west-2a",
                "size": 500,
                "type": "gp3",
                "encrypted": True,
                "kmsKeyId": "key-arn",
                "finalSnapshot": protect,
                "tags": {"Name": "server-1-data"},
            }
        },
        "aws:ec2/volumeAttachment:VolumeAttachment": {
            "server-1-data": {
                "deviceName": "/dev/sdf",
                "volumeId": "Volume server-1-data id",
                "instanceId": "Instance server-1-instance id",
                "stopInstanceBeforeDetaching": True,
            }
        },
    }


def test_a_machine_without_data_may_be_a_target() -> None:
    """Guards against a load balancer that pays for a volume, and one that gets no traffic."""
    run = machine(data_volume=None, target_groups={"https": "group-1", "http": "group-2"})
    assert {one.kind for one in run.resources} == {
        "InternetGateway",
        "NetworkInterface",
        "BucketObjectv2",
        "Instance",
        "TargetGroupAttachment",
    }
    assert run.inputs("TargetGroupAttachment") == {
        f"server-1-{name}": {"targetGroupArn": group, "targetId": "Instance server-1-instance id"}
        for name, group in (("https", "group-1"), ("http", "group-2"))
    }
    assert last(run) == {
        "Instance server-1-instance",
        "TargetGroupAttachment server-1-https",
        "TargetGroupAttachment server-1-http",
    }


def test_waits_for_the_machine_before_it_and_boots_with_its_bundle() -> None:
    """Guards against two servers in flight, and against a machine that boots before it can know what it is."""
    before = "InternetGateway before"
    run = machine()
    assert {one.name: one.depends_on for one in run.resources if one.depends_on} == {
        "server-1-bundle": {before},
        "server-1-instance": {before, "BucketObjectv2 server-1-bundle"},
    }
    assert last(run) == {"Instance server-1-instance", "VolumeAttachment server-1-data"}
    assert run.outputs["Machine server-1"] == {"instanceId": "Instance server-1-instance id"}
    assert run.outputs["Stack mlops-ha-prod"]["instanceId"] == "Instance server-1-instance id"


@pytest.mark.parametrize("protect", [True, False])
def test_the_gate_stands_before_the_first_step_that_disturbs(protect: bool) -> None:
    """Guards against a volume or target taken from a running server unasked, and against a stack that cannot go."""
    run = machine(protect=protect, target_groups={"https": "group-1"})
    delete = {"before_delete": ["gate"]} if protect else {}
    assert {(one.kind, one.name): one.hooks for one in run.resources if one.hooks} == {
        ("BucketObjectv2", "server-1-bundle"): {"before_update": ["gate"]},
        ("Instance", "server-1-instance"): {"before_create": ["gate"], "before_update": ["gate"]},
    } | {
        (kind, name): delete
        for kind, name in (("VolumeAttachment", "server-1-data"), ("TargetGroupAttachment", "server-1-https"))
        if protect
    }


@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize("protect", [True, False])
def test_address_and_data_are_protected_and_all_is_in_its_region(region: str, protect: bool) -> None:
    """Guards against losing a quorum's log, or the address that every configuration names."""
    run = machine(region, protect)
    made = [one for one in run.resources if one.name != "before"]
    assert {(one.kind, one.name) for one in made if one.protect} == (
        {("NetworkInterface", "server-1-interface"), ("Volume", "server-1-data")} if protect else set()
    )
    assert {(one.parent, one.provider) for one in made} == {("Machine server-1", f"aws {region}")}
    assert {one.parent for one in run.everything if one.type == "mlops:platform:Machine"} == {f"Region {region}"}


def test_the_instance_goes_before_its_successor_comes() -> None:
    """Guards against a replacement that AWS refuses: an interface cannot be on two machines."""
    replaced_on_the_spot = {one.name for one in machine().resources if one.delete_before_replace}
    assert replaced_on_the_spot == {"server-1-instance"}


def test_a_worker_is_no_machine_of_its_own() -> None:
    """Guards against workers with fixed addresses, who could not be more or fewer."""
    assert zone_of(NODE) == 0
    with pytest.raises(ValueError, match="worker has no fixed address"):
        zone_of(WORKER)
