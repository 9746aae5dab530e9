"""The way home after a failover, on the real engine: five changes of role, and nothing lost on any of them."""

from __future__ import annotations

import os
import subprocess
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pulumi
import pulumi_aws as aws

from configs.settings.model import StackRole
from engine.tokens import (
    ALARM,
    AUTOSCALING_GROUP,
    BACKUP_SELECTION,
    BACKUPS_REPLICATION,
    DATABASE,
    FILE_SYSTEM,
    FILE_SYSTEM_REPLICATION,
    LOG_GROUP,
    OBJECT,
)
from offline.engine import OFFLINE_PASSPHRASE, OfflineStack
from offline.result import OfflineResult
from tests.engine.conftest import stack_of, succeeded, write_project
from tests.stateful import destroyed
from toolchain.tools import find

BUNDLES = 6
"""Three servers, two load balancers, the workers."""


def at(folder: Path, prod: StackRole, dr: StackRole, primary: int, standby: int) -> Path:
    """Write the project with a role for each stack and the generations of both databases, and return its folder."""

    def change(block: dict[str, Any]) -> None:
        block["role"] = prod.value if block["role"] == StackRole.PRIMARY else dr.value
        block["database"] = {"primaryGeneration": primary, "standbyGeneration": standby}

    return write_project(folder, change)


def unprotect(stack: OfflineStack, names: Iterable[str]) -> None:
    """Lift the engine's protection of resources, as the failback command does."""
    urns = {resource["urn"].rpartition("::")[2]: resource["urn"] for resource in stack.state_resources()}
    environment = {
        **os.environ,
        "PULUMI_BACKEND_URL": (stack.home / "state").as_uri(),
        "PULUMI_CONFIG_PASSPHRASE": OFFLINE_PASSPHRASE,
        "PULUMI_HOME": str(stack.home / "pulumi"),
        "PULUMI_SKIP_UPDATE_CHECK": "true",
    }
    subprocess.run(
        [find("pulumi"), "state", "unprotect", "--yes", "--stack", stack.stack, *(urns[name] for name in names)],
        cwd=stack.home / "work" / stack.stack,
        env=environment,
        check=True,
        capture_output=True,
    )


def stop_replicating(stack: OfflineStack) -> None:
    """Delete the replication of ML data beside the engine, as the failover and the failback do."""
    cloud = stack.cloud()
    [replication] = cloud.all(FILE_SYSTEM_REPLICATION)
    cloud.remove(replication)
    cloud.close()


def changes(result: OfflineResult) -> Counter[tuple[str, str]]:
    """Return what a run did, which must have gone well and have destroyed nothing."""
    assert destroyed(succeeded(result)) == []
    return Counter(
        ("forget" if step.forgotten else step.operation, step.type)
        for step in result.changed()
        if step.operation not in ("create-replacement", "delete-replaced")
    )


def services(result: OfflineResult) -> set[str]:
    """Return the services of AWS that were asked for more than a comparison."""
    asked = [call for call in result.calls["aws"] if call.method not in ("Check", "Diff")]
    return {call.token.split(":")[1].partition("/")[0] for call in asked}


def replications(stack: OfflineStack) -> list[tuple[str, str]]:
    """Return from which region to which ML data is copied."""
    cloud = stack.cloud()
    found = [(one.region, one.inputs["destination"]["region"]) for one in cloud.all(FILE_SYSTEM_REPLICATION)]
    cloud.close()
    return found


def settled(stack: OfflineStack) -> None:
    """Say that a second preview finds nothing to do."""
    assert set(succeeded(stack.preview()).count()) == {"same"}


def forgotten(result: OfflineResult) -> set[str]:
    """Return the names of what left the state and stayed in the cloud."""
    return {step.name for step in result.changed() if step.forgotten}


def databases(stack: OfflineStack) -> set[tuple[str, str, str | None]]:
    """Return every database of the cloud: its region, its identifier and its source."""
    cloud = stack.cloud()
    found = {
        (one.region, one.inputs["identifier"], one.inputs.get("replicateSourceDb")) for one in cloud.all(DATABASE)
    }
    cloud.close()
    return found


STALE = ("mlops-postgres-database", "mlops-postgres-replica-1", "mlops-postgres-replica-2")
"""The databases of `prod` that its region was lost with."""

HOME_1 = {
    ("us-east-1", "mlops-postgres", None),
    ("us-east-1", "mlops-postgres-replica-1", "mlops-postgres"),
    ("us-east-1", "mlops-postgres-replica-2", "mlops-postgres"),
    ("us-west-2", "mlops-postgres", None),
}
"""The databases after the failover."""


def test_the_way_home_loses_nothing(home: Path, tmp_path: Path) -> None:
    """A way home that deletes, replaces or overwrites what holds data, or that the engine or AWS stops half way."""
    # A. The standby region serves.
    stop_replicating(stack_of("dr", home))
    roles = at(tmp_path / "a", StackRole.PRIMARY, StackRole.ACTIVE, 1, 1)
    assert changes(stack_of("dr", home, roles).up())["update", DATABASE] == 1

    # B. The primary region gets a replica of what serves, and its stale databases leave the program.
    prod = stack_of("prod", home, at(tmp_path / "b", StackRole.RETURNING, StackRole.ACTIVE, 2, 1))
    refused = prod.preview()
    assert refused.errors
    assert all("cannot be deleted\nbecause it is protected" in error for error in refused.errors), refused.errors
    unprotect(prod, STALE)
    done = prod.up()
    assert changes(done) == {
        ("create", DATABASE): 1,
        ("create", LOG_GROUP): 1,
        ("forget", DATABASE): 3,
        ("forget", LOG_GROUP): 3,
        ("delete", BACKUPS_REPLICATION): 1,
        ("replace", BACKUP_SELECTION): 1,
        ("replace", FILE_SYSTEM_REPLICATION): 1,
        # Which of the two may be overwritten.
        ("update", FILE_SYSTEM): 2,
        ("update", AUTOSCALING_GROUP): 1,
        ("update", OBJECT): BUNDLES,
        # Fewer workers are too few. The new database has its own, the old ones and the file system's copy none.
        ("update", ALARM): 1,
        ("create", ALARM): 2,
        ("delete", ALARM): 8,
    }
    assert forgotten(done) == {*STALE, *(f"{name}-log" for name in STALE)}
    assert {urn.rpartition("::")[2] for urn in done.kept} == forgotten(done)
    assert done.orphans == []
    assert "rds" in services(done)
    assert not services(done) & {"route53", "iam"}
    replica = ("us-east-1", "mlops-postgres-2", "arn:aws:rds:us-west-2:123456789012:db:mlops-postgres")
    assert databases(prod) == HOME_1 | {replica}
    assert replications(prod) == [("us-west-2", "us-east-1")]
    settled(prod)

    # C. The standby region no longer serves.
    dr = stack_of("dr", home, at(tmp_path / "c", StackRole.RETURNING, StackRole.LEAVING, 2, 1))
    assert changes(dr.up()) == {("update", AUTOSCALING_GROUP): 1, ("update", OBJECT): BUNDLES, ("update", ALARM): 1}
    assert databases(dr) == HOME_1 | {replica}
    settled(dr)

    # D. The primary region serves again. ML data first stops coming home: EFS refuses what follows while it does.
    prod = stack_of("prod", home, at(tmp_path / "d", StackRole.PRIMARY, StackRole.LEAVING, 2, 1))
    stop_replicating(prod)
    done = prod.up()
    assert changes(done) == {
        ("update", DATABASE): 1,
        ("create", DATABASE): 2,
        ("create", LOG_GROUP): 2,
        ("create", BACKUPS_REPLICATION): 1,
        ("replace", FILE_SYSTEM_REPLICATION): 1,
        ("update", FILE_SYSTEM): 2,
        ("update", AUTOSCALING_GROUP): 1,
        ("update", OBJECT): BUNDLES,
        ("update", ALARM): 2,
        ("create", ALARM): 7,
        ("delete", ALARM): 1,
    }
    home_2 = {
        ("us-east-1", "mlops-postgres-2", None),
        ("us-east-1", "mlops-postgres-2-replica-1", "mlops-postgres-2"),
        ("us-east-1", "mlops-postgres-2-replica-2", "mlops-postgres-2"),
    }
    assert databases(prod) == HOME_1 | home_2
    assert replications(prod) == [("us-east-1", "us-west-2")]
    settled(prod)

    # E. The standby region stands by again.
    dr = stack_of("dr", home, at(tmp_path / "e", StackRole.PRIMARY, StackRole.STANDBY, 2, 2))
    unprotect(dr, ["mlops-postgres-database"])
    done = dr.up()
    assert changes(done) == {
        ("create", DATABASE): 1,
        ("create", LOG_GROUP): 1,
        ("forget", DATABASE): 1,
        ("forget", LOG_GROUP): 1,
        ("create", ALARM): 2,
        ("delete", ALARM): 3,
    }
    assert forgotten(done) == {"mlops-postgres-database", "mlops-postgres-database-log"}
    standby = ("us-west-2", "mlops-postgres-2", "arn:aws:rds:us-east-1:123456789012:db:mlops-postgres-2")
    assert databases(dr) == HOME_1 | home_2 | {standby}
    settled(dr)
    # And prod, which has the same settings, has nothing to do with any of it.
    settled(stack_of("prod", home, tmp_path / "e"))

    # The next way home needs the next generation: this one has served.
    again = stack_of("prod", home, at(tmp_path / "f", StackRole.RETURNING, StackRole.ACTIVE, 2, 2)).preview()
    assert any("the way home is `mlops-ha failback`" in error for error in again.errors), again.errors


def test_what_was_forgotten_is_neither_an_orphan_nor_adopted(tmp_path: Path) -> None:
    """A stale database that is taken for the leftover of a killed run, and taken back by whatever has its name."""

    def topics(*labels: str) -> OfflineStack:
        def build() -> None:
            region = aws.Provider("east", region="us-east-1")
            for label in labels:
                options = pulumi.ResourceOptions(provider=region, retain_on_delete=True)
                aws.sns.Topic(label, name="kept", opts=options)

        return OfflineStack("prod", home=tmp_path, run=build, checkpoints=False)

    succeeded(topics("first").up())
    done = succeeded(topics().up())
    assert [(step.operation, step.name, step.forgotten) for step in done.changed()] == [("delete", "first", True)]
    assert ([urn.rpartition("::")[2] for urn in done.kept], done.orphans) == (["first"], [])
    for label in ("first", "second"):
        again = topics(label).up()
        assert any("kept is used by arn:aws:sns:us-east-1:" in error for error in again.errors), again.errors
        assert again.adopted == []
