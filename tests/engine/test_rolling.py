"""Servers are changed one at a time, in the real engine, and not at all while the others are not whole."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import pulumi
import pulumi_aws as aws
import pytest

from components.control_plane import ControlPlane, ControlPlaneArgs
from components.machine import Launch
from configs.nodes import control_plane
from configs.policies import trust
from configs.tables.addresses import Tier, subnets
from configs.tables.names import BUNDLES_BUCKET, Names
from gates import quorum
from gates.quorum import quorum_gates
from offline import objects
from offline.cloud import GIVEN, Resource
from offline.engine import OfflineStack
from offline.result import OfflineResult
from tests.engine.conftest import succeeded
from tests.unit.mocks import stack_settings

LOCATION = stack_settings("prod").location
NAMES = Names("mlops", "123456789012", LOCATION.name)
NEW_IMAGE = "ami-0123456789abcdef0"


@dataclass(frozen=True)
class Wanted:
    """What of the servers changes from run to run."""

    servers: int = 3
    image: str = LOCATION.image_id
    instance_type: str = "m6in.2xlarge"
    bundle: str = "one"
    protect: bool = True


def program(wanted: Wanted) -> Callable[[], None]:
    """Return the program of a control plane, and of what it stands on."""
    nodes = control_plane(stack_settings("prod", controlPlane={"serverCount": wanted.servers}))
    most = control_plane(stack_settings("prod", controlPlane={"serverCount": 5}))

    def run() -> None:
        provider = aws.Provider("east", region=LOCATION.name)
        opts = pulumi.ResourceOptions(provider=provider)
        vpc = aws.ec2.Vpc("vpc", cidr_block=str(LOCATION.cidr), opts=opts)
        private = [
            aws.ec2.Subnet(
                f"private-{one.zone}",
                vpc_id=vpc.id,
                availability_zone=LOCATION.zones[one.zone],
                cidr_block=str(one.cidr),
                opts=opts,
            ).id
            for one in subnets(LOCATION.cidr)
            if one.tier is Tier.PRIVATE
        ]
        group = aws.ec2.SecurityGroup("servers", name="servers", description="servers", vpc_id=vpc.id, opts=opts)
        key = aws.kms.Key("key", description="key", opts=opts)
        bucket = aws.s3.Bucket("bundles", bucket=NAMES.bucket(BUNDLES_BUCKET), opts=opts)
        role = aws.iam.Role("server", name="server", assume_role_policy=trust("ec2.amazonaws.com"), opts=opts)
        profile = aws.iam.InstanceProfile("server", name="server", role=role.name, opts=opts)
        ControlPlane(
            "servers",
            ControlPlaneArgs(
                nodes=nodes,
                bundles={node.name: json.dumps({node.name: wanted.bundle}) for node in nodes},
                launch=Launch(wanted.image, profile.name, key.arn, "#!/bin/sh\n", bucket.id),
                instance_type=wanted.instance_type,
                data_volume_gigabytes=500,
                zones=LOCATION.zones,
                subnet_ids=private,
                security_group_id=group.id,
                gates=quorum_gates(
                    LOCATION.name,
                    NAMES.bucket(BUNDLES_BUCKET),
                    [node.name for node in nodes],
                    former=[node.name for node in most[len(nodes) :]],
                ),
                protect=wanted.protect,
            ),
            pulumi.ResourceOptions(providers=[provider]),
        )

    return run


def stack(home: Path, wanted: Wanted) -> OfflineStack:
    return OfflineStack("prod", home=home, run=program(wanted), checkpoints=False)


def up(home: Path, wanted: Wanted) -> list[str]:
    """Deploy, and return what was done to the servers, in order."""
    return steps(succeeded(stack(home, wanted).up()))


def steps(result: OfflineResult) -> list[str]:
    return [
        f"{operation} {urn.rpartition('::')[2]}"
        for operation, urn in result.finished
        # A replacement is reported as what is done for it, and once more as a whole.
        if "::servers-" in urn and "$aws:" in urn and operation not in ("same", "replace")
    ]


def no_pause(_: float) -> None:
    """Take no time: the gate's 180 looks are what is waited for."""


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three servers, made from nothing, in a cloud that has a newer image too: no test may change it."""
    home = tmp_path_factory.mktemp("three")
    up(home, Wanted())
    cloud = stack(home, Wanted()).cloud()
    cloud.put(Resource("aws:ec2/ami:Ami", NEW_IMAGE, GIVEN, LOCATION.name))
    cloud.close()
    return home


@pytest.fixture
def home(three: Path, tmp_path: Path) -> Path:
    """A copy of the three servers, to change."""
    return shutil.copytree(three, tmp_path / "home")


REPLACED = (
    # Detached before it is deleted: a volume cannot be on two machines, nor can an interface.
    "delete-replaced servers-{}-data",
    "delete-replaced servers-{}-instance",
    "create-replacement servers-{}-instance",
    "create-replacement servers-{}-data",
)


@pytest.mark.parametrize(
    ("wanted", "of_each", "refused"),
    [
        (Wanted(image=NEW_IMAGE), REPLACED, "servers-2-data"),
        (Wanted(instance_type="m6in.4xlarge"), ("update servers-{}-instance",), "servers-2-instance"),
        (Wanted(bundle="two"), ("update servers-{}-bundle",), "servers-2-bundle"),
    ],
    ids=["image", "type", "bundle"],
)
def test_one_server_at_a_time_and_none_after_one_that_stays_away(
    wanted: Wanted, of_each: tuple[str, ...], refused: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two servers of three that are out, a change that breaks all, and a run that cannot go on once mended."""
    monkeypatch.setattr(quorum, "time", SimpleNamespace(sleep=no_pause))
    monkeypatch.setattr(objects, "SILENT", frozenset({"control-plane-1"}))
    result = stack(home, wanted).up()
    [error] = result.errors
    assert error.startswith(f"{refused}: ")
    assert "control-plane-2 was not touched, nor was any machine after it" in error
    assert "control-plane-1: it has not reported since" in error
    assert steps(result) == [step.format(1) for step in of_each]
    monkeypatch.undo()
    assert up(home, wanted) == [step.format(number) for number in (2, 3) for step in of_each]


def test_protected_servers_are_never_fewer_and_unprotected_ones_go(home: Path) -> None:
    """Servers deleted before their volumes refuse to go, and a `pulumi destroy` that asks for unknown hooks."""
    five = Wanted(servers=5)
    assert [step for step in up(home, five) if "instance" in step] == [
        "create servers-4-instance",
        "create servers-5-instance",
    ]
    for result in (stack(home, Wanted()).preview(), stack(home, Wanted()).up()):
        [refusal] = {error for error in result.errors if "control-plane-5 is no longer in the settings" in error}
        assert "put it back, set mlops-ha:platform.protection to false, run `up`, take it out and run `up`" in refusal
    assert steps(result) == []
    # The documented way.
    up(home, replace(five, protect=False))
    gone = up(home, Wanted(protect=False))
    assert [step for step in gone if "instance" in step] == ["delete servers-5-instance", "delete servers-4-instance"]
    offline = stack(home, Wanted(protect=False))
    succeeded(offline.destroy())
    assert offline.state_resources() == []
