"""MlData: one file system, made or found, with a way to it in every zone."""

import json

import pulumi
import pytest

from components.ml_data import MlData, MlDataArgs
from configs.tables.names import Names
from tests.unit.mocks import REGIONS, Run, run_in_region

FOUND = "fs of mlops-ml-data"
MADE = "FileSystem files-files id"


def ml_data(
    key_arn: str | None, region: str = "us-west-2", protect: bool = True, overwrite: str | None = None
) -> Run:
    def program(opts: pulumi.ResourceOptions) -> None:
        built = MlData(
            "files",
            MlDataArgs(
                names=Names("mlops", "123456789012", region),
                key_arn=key_arn,
                subnet_ids=("subnet-1", "subnet-2", "subnet-3"),
                security_group_id="sg-1",
                protect=protect,
                replication_overwrite=overwrite,
            ),
            opts,
        )
        pulumi.export("file system", {"id": built.file_system_id, "arn": built.file_system_arn})

    return run_in_region(program, region)


def mount_targets(file_system: str) -> dict[str, dict[str, object]]:
    return {
        f"files-mount-{number}": {
            "fileSystemId": file_system,
            "subnetId": f"subnet-{number}",
            "securityGroups": ["sg-1"],
        }
        for number in (1, 2, 3)
    }


def test_what_the_primary_makes_is_exactly_the_plan() -> None:
    """Guards against a file system in the clear, without a key of ours, or out of a zone's reach."""
    run = ml_data("key-arn")
    registered = run.inputs_by_type()
    policy = registered.pop("aws:efs/fileSystemPolicy:FileSystemPolicy")
    assert policy["files-policy"]["fileSystemId"] == MADE
    assert registered == {
        "aws:efs/fileSystem:FileSystem": {
            "files-files": {
                "creationToken": "mlops-ml-data",
                "encrypted": True,
                "kmsKeyId": "key-arn",
                "throughputMode": "elastic",
                "lifecyclePolicies": [
                    {"transitionToIa": "AFTER_30_DAYS"},
                    {"transitionToPrimaryStorageClass": "AFTER_1_ACCESS"},
                ],
                "tags": {"Name": "files-files"},
            }
        },
        "aws:efs/mountTarget:MountTarget": mount_targets(MADE),
    }
    assert run.lookups == []


@pytest.mark.parametrize("overwrite", ["ENABLED", "DISABLED"])
def test_whether_it_may_be_overwritten_is_said(overwrite: str) -> None:
    """Guards against ML data that cannot come home, or that a replication overwrites once it is home."""
    [file_system] = ml_data("key-arn", overwrite=overwrite).inputs("FileSystem").values()
    assert file_system["protection"] == {"replicationOverwrite": overwrite}


def test_what_a_standby_finds_is_exactly_the_plan() -> None:
    """Guards against a second file system beside the replica, and a look-up in another region or by anything else."""
    run = ml_data(None)
    assert run.inputs_by_type() == {"aws:efs/mountTarget:MountTarget": mount_targets(FOUND)}
    assert run.lookups == [("aws us-west-2", {"creationToken": "mlops-ml-data"})]


@pytest.mark.parametrize(
    ("key_arn", "given"),
    [
        ("key-arn", {"id": MADE, "arn": "FileSystem files-files arn"}),
        (None, {"id": FOUND, "arn": f"{FOUND} arn"}),
    ],
)
def test_hands_on_which_file_system_it_is(key_arn: str | None, given: dict[str, str]) -> None:
    """Guards against nodes that mount, and policies that name, another file system."""
    assert [one["file system"] for one in ml_data(key_arn).outputs.values() if "file system" in one] == [given]


def test_only_mounts_with_tls_are_let_in() -> None:
    """Guards against data on the wire in the clear, and against anybody who does not come through a mount target."""
    ((_, inputs),) = ml_data("key-arn").inputs("FileSystemPolicy").items()
    actions = [
        "elasticfilesystem:ClientMount",
        "elasticfilesystem:ClientRootAccess",
        "elasticfilesystem:ClientWrite",
    ]
    arn = "FileSystem files-files arn"
    assert json.loads(inputs["policy"])["Statement"] == [
        {
            "Sid": "ThroughMountTargets",
            "Effect": "Allow",
            "Principal": {"AWS": "*"},
            "Action": actions,
            "Resource": [arn],
            "Condition": {"Bool": {"elasticfilesystem:AccessedViaMountTarget": "true"}},
        },
        {
            "Sid": "OnlyWithTls",
            "Effect": "Deny",
            "Principal": {"AWS": "*"},
            "Action": actions,
            "Resource": [arn],
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        },
    ]


@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize("protect", [True, False])
def test_exactly_the_file_system_is_protected_and_all_is_in_its_region(region: str, protect: bool) -> None:
    """Guards against training data that a mistake deletes, and a file system in the region that may be lost."""
    run = ml_data("key-arn", region, protect)
    assert {one.name for one in run.resources if one.protect} == ({"files-files"} if protect else set())
    assert {(one.parent, one.provider) for one in run.resources} == {("MlData files", f"aws {region}")}
    component = [one for one in run.everything if one.type == "mlops:platform:MlData"]
    assert [one.parent for one in component] == [f"Region {region}"]
