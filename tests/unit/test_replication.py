"""Replication: backups to two regions, ML data and images to one, each under the key of where it goes."""

import json

import pulumi
import pulumi_aws as aws
import pytest

from components.archive import Archive, ArchiveArgs
from components.private_bucket import PrivateBucket, PrivateBucketArgs
from components.replica_targets import ReplicaTargets, ReplicaTargetsArgs
from components.replication import Replication, ReplicationArgs
from configs.settings.model import RetentionSettings
from configs.tables.names import Names
from tests.unit.mocks import REGIONS, Run, run_in_region

STANDBY_KEY, ARCHIVE_KEY = "ReplicaKey standby-key-key arn", "ReplicaKey archive-key-key arn"
SOURCE_ARN, STANDBY_ARN, ARCHIVE_ARN = (
    f"Bucket {name}-bucket arn" for name in ("source", "standby-backups", "archive-copies")
)


def names(region: str) -> Names:
    return Names("mlops", "123456789012", region)


def replication(region: str = "us-east-1") -> Run:
    def program(opts: pulumi.ResourceOptions) -> None:
        source = PrivateBucket("source", PrivateBucketArgs(names(region), "backups", "source-key", True), opts)
        targets = ReplicaTargets("standby", ReplicaTargetsArgs(names("us-west-2"), "primary-arn", True), opts)
        archive = Archive(
            "archive", ArchiveArgs(names("eu-west-1"), "primary-arn", RetentionSettings(), "database-arn", True), opts
        )
        Replication("copy", ReplicationArgs(names(region), source, targets, archive, "fs-1"), opts)

    return run_in_region(program, region)


def test_ml_data_comes_home_in_the_same_resource() -> None:
    """Guards against two replications of one file system, of which EFS refuses the second."""

    def program(opts: pulumi.ResourceOptions) -> None:
        west = aws.Provider("west", region="us-west-2")
        source = PrivateBucket("source", PrivateBucketArgs(names("us-east-1"), "backups", "source-key", True), opts)
        targets = ReplicaTargets("standby", ReplicaTargetsArgs(names("us-west-2"), "primary-arn", True), opts)
        archive = Archive(
            "archive", ArchiveArgs(names("eu-west-1"), "primary-arn", RetentionSettings(), None, True), opts
        )
        args = ReplicationArgs(names("us-east-1"), source, targets, archive, "fs-1", from_standby=west)
        Replication("copy", args, opts)

    replicated = run_in_region(program, "us-east-1").of("ReplicationConfiguration")["copy-ml-data"]
    assert replicated.provider == "aws west"
    assert replicated.inputs == {
        "sourceFileSystemId": "FileSystem standby-ml-data id",
        "destination": {"fileSystemId": "fs-1", "region": "us-east-1"},
    }


def test_every_resource_is_exactly_the_plan() -> None:
    """Guards against a copy that silently is none: the wrong key, KMS left out, a filter that matches nothing."""
    run = replication()
    own = {one.type: {one.name: dict(one.inputs)} for one in run.resources if one.parent == "Replication copy"}
    trust = own["aws:iam/role:Role"]["copy-objects"].pop("assumeRolePolicy")
    policy = own["aws:iam/rolePolicy:RolePolicy"]["copy-objects"].pop("policy")
    assert json.loads(trust)["Statement"][0]["Principal"] == {"Service": "s3.amazonaws.com"}
    assert json.loads(policy)["Statement"]
    everything = {
        "status": "Enabled",
        "filter": {"prefix": ""},
        "sourceSelectionCriteria": {"sseKmsEncryptedObjects": {"status": "Enabled"}},
    }
    assert own == {
        "aws:iam/role:Role": {
            "copy-objects": {"name": "mlops-us-east-1-replication", "tags": {"Name": "copy-objects"}}
        },
        "aws:iam/rolePolicy:RolePolicy": {
            "copy-objects": {"name": "replicate", "role": "mlops-us-east-1-replication"}
        },
        "aws:s3/bucketReplicationConfig:BucketReplicationConfig": {
            "copy-backups": {
                "bucket": "Bucket source-bucket id",
                "role": "Role copy-objects arn",
                "rules": [
                    {
                        "id": "standby",
                        "priority": 1,
                        **everything,
                        "deleteMarkerReplication": {"status": "Enabled"},
                        "destination": {
                            "bucket": STANDBY_ARN,
                            "encryptionConfiguration": {"replicaKmsKeyId": STANDBY_KEY},
                            "metrics": {"status": "Enabled", "eventThreshold": {"minutes": 15}},
                            "replicationTime": {"status": "Enabled", "time": {"minutes": 15}},
                        },
                    },
                    {
                        "id": "archive",
                        "priority": 2,
                        **everything,
                        "deleteMarkerReplication": {"status": "Disabled"},
                        "destination": {
                            "bucket": ARCHIVE_ARN,
                            "encryptionConfiguration": {"replicaKmsKeyId": ARCHIVE_KEY},
                            "metrics": {"status": "Enabled"},
                        },
                    },
                ],
            }
        },
        "aws:efs/replicationConfiguration:ReplicationConfiguration": {
            "copy-ml-data": {
                "sourceFileSystemId": "fs-1",
                "destination": {"fileSystemId": "FileSystem standby-ml-data id", "region": "us-west-2"},
            }
        },
        "aws:ecr/replicationConfiguration:ReplicationConfiguration": {
            "copy-images": {
                "replicationConfiguration": {
                    "rules": [
                        {
                            "destinations": [{"region": "us-west-2", "registryId": "123456789012"}],
                            "repositoryFilters": [{"filter": "mlops/", "filterType": "PREFIX_MATCH"}],
                        }
                    ]
                }
            }
        },
    }


def test_role_may_copy_and_nothing_else() -> None:
    """Guards against replication that fails object by object for want of a right, and against a right too many."""

    def key(sid: str, actions: list[str], arn: str, region: str, bucket: str) -> dict[str, object]:
        context = {"kms:ViaService": f"s3.{region}.amazonaws.com", "kms:EncryptionContext:aws:s3:arn": bucket}
        condition = {"StringEquals": context}
        return {"Sid": sid, "Effect": "Allow", "Action": actions, "Resource": [arn], "Condition": condition}

    def allow(sid: str, actions: list[str], *resources: str) -> dict[str, object]:
        return {"Sid": sid, "Effect": "Allow", "Action": actions, "Resource": [*resources]}

    encrypt = ["kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey"]
    read = ["s3:GetObjectVersionAcl", "s3:GetObjectVersionForReplication", "s3:GetObjectVersionTagging"]
    write = ["s3:ReplicateObject", "s3:ReplicateTags"]
    run = replication()
    assert json.loads(run.inputs("RolePolicy")["copy-objects"]["policy"])["Statement"] == [
        allow("ReadSource", ["s3:GetReplicationConfiguration", "s3:ListBucket"], SOURCE_ARN),
        allow("ReadObjects", read, f"{SOURCE_ARN}/*"),
        allow("WriteCopies", write, f"{ARCHIVE_ARN}/*", f"{STANDBY_ARN}/*"),
        allow("DeleteFromStandby", ["s3:ReplicateDelete"], f"{STANDBY_ARN}/*"),
        key("DecryptSource", ["kms:Decrypt"], "source-key", "us-east-1", SOURCE_ARN),
        key("EncryptForStandby", encrypt, STANDBY_KEY, "us-west-2", STANDBY_ARN),
        key("EncryptForArchive", encrypt, ARCHIVE_KEY, "eu-west-1", ARCHIVE_ARN),
    ]


def test_nothing_is_replicated_before_both_ends_are_ready() -> None:
    """Guards against a first deployment that S3 refuses, and against repositories that ECR makes by itself."""
    run = replication()
    repositories = {f"Repository {name}" for name in run.of("Repository")}
    waits = {one.name: one.depends_on for one in run.resources if one.parent == "Replication copy" and one.depends_on}
    assert waits == {
        "copy-backups": {
            "RolePolicy copy-objects",
            "BucketVersioning source-versions",
            "BucketVersioning standby-backups-versions",
            "BucketVersioning archive-copies-versions",
        },
        "copy-images": repositories,
    }
    assert repositories


@pytest.mark.parametrize("region", REGIONS)
def test_all_of_it_is_in_its_region(region: str) -> None:
    """Guards against a replication that is configured where its source is not."""
    run = replication(region)
    own = [one for one in run.resources if one.parent == "Replication copy"]
    assert {(one.provider, one.protect) for one in own} == {(f"aws {region}", False)}
    assert [one.name for one in own if one.delete_before_replace] == ["copy-ml-data"]
    component = [one for one in run.everything if one.type == "mlops:platform:Replication"]
    assert [one.parent for one in component] == [f"Region {region}"]
