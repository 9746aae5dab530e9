"""Database and file system over the life of both stacks, on the real engine: prepared, promoted, and never back."""

from __future__ import annotations

from pathlib import Path

import pulumi
import pulumi_aws as aws

from components.ml_data import MlData, MlDataArgs
from components.postgres import Postgres, PostgresArgs
from configs.settings.model import DatabaseSettings, StackRole
from configs.tables.names import ML_DATA, Names
from engine.steps import Change
from engine.tokens import DATABASE, FILE_SYSTEM
from gates.role_switch import role_switch_guard
from offline.engine import OfflineStack
from offline.result import OfflineResult
from tests.engine.conftest import succeeded

ACCOUNT, PRIMARY, STANDBY = "123456789012", "us-east-1", "us-west-2"
MAIN = "data-database"


def names(region: str) -> Names:
    return Names("mlops", ACCOUNT, region)


def provider(region: str) -> pulumi.ResourceOptions:
    return pulumi.ResourceOptions(
        providers=[aws.Provider(region, region=region, allowed_account_ids=[ACCOUNT])], protect=False
    )


def build(role: StackRole) -> None:
    """Build what holds data in one region, and in the primary stack what the file system is replicated into."""
    primary = role is StackRole.PRIMARY
    region, network = (PRIMARY, "10.0") if primary else (STANDBY, "10.1")
    parent = pulumi.ComponentResource("test:index:Region", region, None, provider(region))
    child = pulumi.ResourceOptions(parent=parent)
    zones = [f"{region}{letter}" for letter in "abc"]
    vpc = aws.ec2.Vpc("vpc", cidr_block=f"{network}.0.0/16", opts=child)
    subnets = [
        aws.ec2.Subnet(
            zone, vpc_id=vpc.id, cidr_block=f"{network}.{number}.0/24", availability_zone=zone, opts=child
        ).id
        for number, zone in enumerate(zones)
    ]
    group = aws.ec2.SecurityGroup("group", name="group", description="of both", vpc_id=vpc.id, opts=child).id
    key = aws.kms.Key("key", opts=child).arn
    Postgres(
        "data",
        PostgresArgs(
            names=names(region),
            settings=DatabaseSettings(),
            role=role,
            generation=1,
            version="15",
            retention_days=14,
            zones=zones,
            subnet_ids=subnets,
            security_group_id=group,
            key_arn=key,
            password=pulumi.Output.secret("a password of the test's own") if primary else None,
            source_arn=names(PRIMARY).arn("rds", "db:mlops-postgres"),
            protect=True,
            role_switch=role_switch_guard(),
        ),
        child,
    )
    MlData("files", MlDataArgs(names(region), key if primary else None, subnets, group, protect=True), child)
    if primary:
        aws.efs.FileSystem(
            "copy",
            creation_token=names(STANDBY).regional(ML_DATA),
            encrypted=True,
            opts=pulumi.ResourceOptions(
                parent=pulumi.ComponentResource("test:index:Region", STANDBY, None, provider(STANDBY))
            ),
        )


def stack(home: Path, role: StackRole) -> OfflineStack:
    name = "prod" if role is StackRole.PRIMARY else "dr"
    return OfflineStack(name, home=home, run=lambda: build(role), checkpoints=False)


def changes(result: OfflineResult) -> list[tuple[str, str, tuple[Change, ...]]]:
    return [(step.name, step.operation, step.changes) for step in succeeded(result).changed()]


def test_a_standby_is_previewed_but_not_deployed_before_its_primary(tmp_path: Path) -> None:
    """A first look that needs a deployed primary, or a standby deployed onto a file system that is not there."""
    assert succeeded(stack(tmp_path, StackRole.STANDBY).preview()).count()["create"] > 0
    result = stack(tmp_path, StackRole.STANDBY).up()
    assert any("us-west-2: deploy the primary stack first" in error for error in result.errors), result.errors
    assert not list(stack(tmp_path, StackRole.STANDBY).cloud().all(FILE_SYSTEM))


def test_a_promotion_is_one_update_and_one_way(tmp_path: Path) -> None:
    """A failover that replaces the database, and a way back that AWS stops half way."""
    succeeded(stack(tmp_path, StackRole.PRIMARY).up())
    standby, active = stack(tmp_path, StackRole.STANDBY), stack(tmp_path, StackRole.ACTIVE)
    succeeded(standby.up())
    # A replica starts from a snapshot of its source: three hours, in seconds.
    [main] = [one for one in standby.state_resources() if one["urn"].endswith(f"::{MAIN}")]
    assert main["customTimeouts"] == {"create": 3 * 3600}

    promotion = [(MAIN, "update", (Change("replicateSourceDb", "delete"), Change("skipFinalSnapshot", "update")))]
    assert changes(active.preview()) == promotion
    assert changes(active.up()) == promotion

    def database() -> object:
        return standby.cloud().find(DATABASE, attribute="identifier", value="mlops-postgres", region=STANDBY)

    before = database()
    for result in (standby.preview(), standby.up()):
        [reason] = [error for error in result.errors if "role-switch" in error]
        assert "promotion is one-way" in reason
        assert "the way home is `mlops-ha failback`" in reason
    assert database() == before
    assert changes(active.up()) == []
