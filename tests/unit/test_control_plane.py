"""ControlPlane: a chain of servers over three zones."""

import pulumi
import pytest

from components.control_plane import ControlPlane, ControlPlaneArgs
from components.machine import Launch
from configs.nodes import control_plane
from tests.unit.mocks import REGIONS, Run, run_in_region, stack_settings

LAUNCH = Launch("ami-1", "profile", "key-arn", "#!/bin/sh", "bundles")


def no_gate(_: pulumi.ResourceHookArgs) -> None:
    """Let everything pass."""


def servers(count: int = 3, region: str = "us-east-1", protect: bool = True) -> Run:
    nodes = control_plane(stack_settings("prod", controlPlane={"serverCount": count}))

    def program(opts: pulumi.ResourceOptions) -> None:
        built = ControlPlane(
            "servers",
            ControlPlaneArgs(
                nodes=nodes,
                bundles={node.name: f"bundle of {node.name}" for node in nodes},
                launch=LAUNCH,
                instance_type="m6in.2xlarge",
                data_volume_gigabytes=500,
                zones=("z1", "z2", "z3"),
                subnet_ids=("subnet-1", "subnet-2", "subnet-3"),
                security_group_id="sg-1",
                gates={node.name: pulumi.ResourceHook(f"gate of {node.name}", no_gate) for node in nodes},
                protect=protect,
            ),
            opts,
        )
        pulumi.export("instanceIds", built.instance_ids)

    return run_in_region(program, region)


@pytest.mark.parametrize("count", [3, 5])
def test_servers_are_spread_over_the_zones(count: int) -> None:
    """Guards against two of three servers, or a volume and its server, in zones that they should not be in."""
    run = servers(count)
    zones = [1, 2, 3, 1, 2][:count]
    assert {name: one["subnetId"] for name, one in run.inputs("NetworkInterface").items()} == {
        f"servers-{number}-interface": f"subnet-{zone}" for number, zone in enumerate(zones, start=1)
    }
    assert {name: (one["availabilityZone"], one["size"]) for name, one in run.inputs("Volume").items()} == {
        f"servers-{number}-data": (f"z{zone}", 500) for number, zone in enumerate(zones, start=1)
    }


def test_each_server_is_made_from_what_is_its_own() -> None:
    """Guards against a server with another's bundle or address, and against one that all share nothing with."""
    run = servers()
    assert {one["key"]: one["content"] for one in run.inputs("BucketObjectv2").values()} == {
        f"bundles/control-plane-{number}.json": f"bundle of control-plane-{number}" for number in (1, 2, 3)
    }
    nodes = control_plane(stack_settings("prod"))
    assert [one["privateIps"] for one in run.inputs("NetworkInterface").values()] == [
        [str(node.address)] for node in nodes
    ]
    assert {one["securityGroups"][0] for one in run.inputs("NetworkInterface").values()} == {"sg-1"}
    assert [one["tags"]["Node"] for one in run.inputs("Instance").values()] == [node.name for node in nodes]
    shared = {(one["ami"], one["instanceType"], one["iamInstanceProfile"]) for one in run.inputs("Instance").values()}
    assert shared == {("ami-1", "m6in.2xlarge", "profile")}


def test_a_server_waits_until_the_one_before_it_is_done() -> None:
    """Guards against a change that has two servers in flight."""
    bundles = {name: one.depends_on for name, one in servers(5).of("BucketObjectv2").items()}
    assert bundles == {"servers-1-bundle": frozenset()} | {
        f"servers-{number}-bundle": {
            f"Instance servers-{number - 1}-instance",
            f"VolumeAttachment servers-{number - 1}-data",
        }
        for number in (2, 3, 4, 5)
    }


def test_each_server_has_its_own_gate() -> None:
    """Guards against a gate that looks at the server which is about to change instead of at the others."""
    run = servers()
    for number in (1, 2, 3):
        gates = {
            gate
            for one in run.resources
            if one.parent == f"Machine servers-{number}"
            for names in one.hooks.values()
            for gate in names
        }
        assert gates == {f"gate of control-plane-{number}"}


@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize("protect", [True, False])
def test_servers_are_protected_and_in_their_region(region: str, protect: bool) -> None:
    """Guards against a server that is not protected, and against one in another region."""
    run = servers(region=region, protect=protect)
    machines = [one for one in run.everything if one.type == "mlops:platform:Machine"]
    assert [(one.name, one.parent) for one in machines] == [
        (f"servers-{number}", "ControlPlane servers") for number in (1, 2, 3)
    ]
    assert {one.provider for one in run.resources} == {f"aws {region}"}
    assert {one.kind for one in run.resources if one.protect} == (
        {"NetworkInterface", "Volume"} if protect else set()
    )
    component = [one for one in run.everything if one.type == "mlops:platform:ControlPlane"]
    assert [one.parent for one in component] == [f"Region {region}"]


def test_hands_on_what_alarms_need() -> None:
    """Guards against an alarm on another machine than the one that it names."""
    run = servers()
    expected = {f"control-plane-{number}": f"Instance servers-{number}-instance id" for number in (1, 2, 3)}
    assert run.outputs["Stack mlops-ha-prod"] == {"instanceIds": expected}
    assert run.outputs["ControlPlane servers"] == {"instanceIds": expected}
