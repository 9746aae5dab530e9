"""What is encrypted and by which key, and who may do what: read off what both stacks deployed."""

from __future__ import annotations

import json
import re
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from configs.tables.names import SWITCH_BUCKET
from offline.checks.common import values_at
from offline.checks.policies import listed
from offline.cloud import GIVEN, Cloud, Resource
from offline.result import OfflineResult
from offline.sdk_types import input_types
from tests.engine.conftest import stack_of

Deployed = tuple[Path, dict[str, OfflineResult]]
KEYS = ("aws:kms/key:Key", "aws:kms/replicaKey:ReplicaKey")
DATABASE, BUCKET = "aws:rds/instance:Instance", "aws:s3/bucket:Bucket"
BUCKET_ENCRYPTION = "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"

ENCRYPTED_BY = {
    "aws:backup/vault:Vault": ["kmsKeyArn"],
    "aws:cloudwatch/logGroup:LogGroup": ["kmsKeyId"],
    "aws:ebs/volume:Volume": ["kmsKeyId"],
    "aws:ec2/instance:Instance": ["rootBlockDevice.kmsKeyId"],
    "aws:ec2/launchTemplate:LaunchTemplate": ["blockDeviceMappings[].ebs.kmsKeyId"],
    "aws:ecr/repository:Repository": ["encryptionConfigurations[].kmsKey"],
    "aws:efs/fileSystem:FileSystem": ["kmsKeyId"],
    "aws:rds/instance:Instance": ["kmsKeyId", "performanceInsightsKmsKeyId"],
    "aws:rds/instanceAutomatedBackupsReplication:InstanceAutomatedBackupsReplication": ["kmsKeyId"],
    "aws:s3/bucketObjectv2:BucketObjectv2": ["kmsKeyId"],
    BUCKET_ENCRYPTION: ["rules[].applyServerSideEncryptionByDefault.kmsMasterKeyId"],
    "aws:secretsmanager/secret:Secret": ["kmsKeyId", "replicas[].kmsKeyId"],
    "aws:sns/topic:Topic": ["kmsMasterKeyId"],
}
"""Where each type of resource names its key."""

NOT_ENCRYPTED = {
    "aws:ec2/launchTemplate:LaunchTemplate",
    "aws:efs/replicationConfiguration:ReplicationConfiguration",
    "aws:s3/bucketReplicationConfig:BucketReplicationConfig",
    "aws:kms/key:Key",
    "aws:kms/replicaKey:ReplicaKey",
    "aws:kms/alias:Alias",
}
"""Types that name keys of others, or are keys."""


@pytest.fixture(scope="module")
def cloud(deployed: Deployed) -> Generator[Cloud, None, None]:
    """The cloud with both stacks in it."""
    opened = stack_of("prod", deployed[0]).cloud()
    yield opened
    opened.close()


def named(resource: Resource) -> str:
    return resource.urn.rpartition("::")[2]


def test_every_type_that_can_be_encrypted_is_looked_at(cloud: Cloud) -> None:
    """A new type that could be encrypted and that no test below knows."""
    ours = (resource.type for resource in cloud.all() if resource.urn != GIVEN)
    deployed = {kind for kind in ours if kind.startswith("aws:")}
    can = {kind for kind in deployed if any(re.search("kms", name, re.IGNORECASE) for name in input_types(kind))}
    assert can <= ENCRYPTED_BY.keys() | NOT_ENCRYPTED, can - ENCRYPTED_BY.keys() - NOT_ENCRYPTED
    assert len(deployed & ENCRYPTED_BY.keys()) == len(ENCRYPTED_BY)


@pytest.mark.parametrize("kind", ENCRYPTED_BY)
def test_everything_is_encrypted_by_a_key_of_the_platform(kind: str, cloud: Cloud) -> None:
    """Data under a key of AWS's that nobody can withdraw, or under none."""
    ours = {key.attribute("arn") for key in cloud.all(*KEYS)}
    for resource in cloud.all(kind):
        for path in ENCRYPTED_BY[kind]:
            keys = [key for _, key in values_at(resource.inputs, path)]
            if kind == BUCKET_ENCRYPTION and SWITCH_BUCKET in resource.id:
                # The checkers are anonymous, and could not decrypt.
                assert keys == []
            elif kind == DATABASE and path == "kmsKeyId" and in_its_sources_region(resource):
                # RDS encrypts such a replica with its source's key, and takes no other.
                assert keys == []
            else:
                assert keys, f"{named(resource)}: {path}"
                assert set(keys) <= ours, f"{named(resource)}: {path}"


def in_its_sources_region(database: Resource) -> bool:
    source = database.inputs.get("replicateSourceDb")
    return source is not None and not str(source).startswith("arn:")


def test_every_bucket_has_its_encryption_and_its_lock(cloud: Cloud) -> None:
    """A bucket that somebody forgot to close."""
    buckets = {bucket.id for bucket in cloud.all(BUCKET)}
    assert len(buckets) == 6  # bundles twice, backups twice, archive, switch
    for kind in (
        BUCKET_ENCRYPTION,
        "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
        "aws:s3/bucketOwnershipControls:BucketOwnershipControls",
        "aws:s3/bucketPolicy:BucketPolicy",
    ):
        assert {found.inputs["bucket"] for found in cloud.all(kind)} == buckets, kind
    for block in cloud.all("aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"):
        closed = SWITCH_BUCKET not in block.id
        assert block.inputs["restrictPublicBuckets"] is closed, block.id


def test_metadata_is_behind_a_token_and_one_hop_away(cloud: Cloud) -> None:
    """A machine whose role any process that can send a request may take; no container needs a second hop."""
    machines = [*cloud.all("aws:ec2/instance:Instance"), *cloud.all("aws:ec2/launchTemplate:LaunchTemplate")]
    assert len(machines) == 12  # (3 servers, 2 load balancers, 1 template) in two regions
    for machine in machines:
        options = machine.inputs["metadataOptions"]
        assert options["httpTokens"] == "required", named(machine)
        assert options["httpPutResponseHopLimit"] == 1, named(machine)
        assert options["httpEndpoint"] == "enabled", named(machine)


DOCUMENTS = {
    "aws:iam/role:Role": "assumeRolePolicy",
    "aws:iam/rolePolicy:RolePolicy": "policy",
    "aws:s3/bucketPolicy:BucketPolicy": "policy",
    "aws:kms/key:Key": "policy",
    "aws:kms/replicaKey:ReplicaKey": "policy",
    "aws:sns/topicPolicy:TopicPolicy": "policy",
    "aws:efs/fileSystemPolicy:FileSystemPolicy": "policy",
}


def statements(cloud: Cloud, *kinds: str) -> list[tuple[Resource, dict[str, Any]]]:
    found: list[tuple[Resource, dict[str, Any]]] = []
    for kind in kinds:
        for resource in cloud.all(kind):
            given = resource.inputs[DOCUMENTS[kind]]
            document: Any = json.loads(given) if isinstance(given, str) else given
            found += [(resource, statement) for statement in document["Statement"]]
    return found


def test_every_document_names_its_actions(cloud: Cloud) -> None:
    """A statement that allows everything of a service, or of all."""
    read = statements(cloud, *DOCUMENTS)
    assert len(read) > 80
    for resource, statement in read:
        owner = statement["Sid"] == "Owner" and resource.type in KEYS
        for action in listed(statement["Action"]):
            assert re.fullmatch(r"[a-z0-9-]+:[A-Za-z]+\*?", action) or owner or statement["Effect"] == "Deny", (
                named(resource),
                action,
            )


UNAVOIDABLE = {
    "ecr:GetAuthorizationToken",
    "cloudwatch:PutMetricData",
    "logs:DescribeLogGroups",
    "ssm:UpdateInstanceInformation",
    "autoscaling:DescribeAutoScalingGroups",
    "autoscaling:DescribeInstanceRefreshes",
    "autoscaling:DescribeScalingActivities",
}
"""Actions without a resource at AWS; the reasons stand beside the statements (``configs.policies.Statement.why``)."""


def test_everything_as_a_resource_is_for_what_has_none(cloud: Cloud) -> None:
    """A role that may do something to all of an account's things because narrowing it was forgotten."""
    wide = {
        action
        for _, statement in statements(cloud, "aws:iam/rolePolicy:RolePolicy")
        if "*" in listed(statement["Resource"])
        for action in listed(statement["Action"])
    }
    channels = {action for action in wide if action.partition(":")[0] in ("ssmmessages", "ec2messages")}
    assert wide - channels == UNAVOIDABLE


@pytest.mark.parametrize("role", ["control-plane", "load-balancer", "worker"])
@pytest.mark.parametrize("region", ["us-east-1", "us-west-2"])
def test_a_node_reads_its_own_secret_and_bundle_alone(role: str, region: str, cloud: Cloud) -> None:
    """A worker, which runs what users submit, that can read the management tokens."""
    allowed: dict[str, set[str]] = {}
    for resource, statement in statements(cloud, "aws:iam/rolePolicy:RolePolicy"):
        if resource.inputs["role"] == f"mlops-{region}-{role}":
            for action in listed(statement["Action"]):
                allowed.setdefault(action, set()).update(listed(statement["Resource"]))
    account = "123456789012"
    assert allowed["secretsmanager:GetSecretValue"] == {
        f"arn:aws:secretsmanager:{region}:{account}:secret:mlops/{role}-??????"
    }
    bundles = f"arn:aws:s3:::mlops-{account}-{region}-bundles"
    readable = {arn for arn in allowed["s3:GetObject"] if arn.startswith(f"{bundles}/bundles/")}
    assert readable == {f"{bundles}/bundles/{role}*.json"}
    assert not any(action.startswith(("iam:", "sts:", "ec2:Run", "ec2:Terminate", "route53:")) for action in allowed)


def test_roles_are_assumed_by_services_alone(cloud: Cloud) -> None:
    """A role that a person, another account or anybody may assume."""
    principals = [statement["Principal"] for _, statement in statements(cloud, "aws:iam/role:Role")]
    assert len(principals) >= 9
    for principal in principals:
        assert principal.keys() == {"Service"}
