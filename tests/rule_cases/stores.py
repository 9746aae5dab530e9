"""Keys, secrets, identities, images and archives: one small legal resource a type, and what goes with it."""

from __future__ import annotations

import base64
import json
from typing import Any

from engine import tokens
from offline.cloud import Inputs
from tests.rule_cases.world import ACCOUNT, DESTINATION_ARN, SECRET_ARN, TRUST_OF_SERVICES_ARN, VAULT_ARN, policy

KEY_ALIAS = "aws:kms/alias:Alias"
SECRET = "aws:secretsmanager/secret:Secret"
SECRET_VERSION = "aws:secretsmanager/secretVersion:SecretVersion"
POLICY_ATTACHMENT = "aws:iam/rolePolicyAttachment:RolePolicyAttachment"
INSTANCE_PROFILE = "aws:iam/instanceProfile:InstanceProfile"
LOGGING = "aws:s3/bucketLogging:BucketLogging"
OBJECT = "aws:s3/bucketObjectv2:BucketObjectv2"
REPOSITORY = "aws:ecr/repository:Repository"
REPOSITORY_POLICY = "aws:ecr/repositoryPolicy:RepositoryPolicy"
IMAGE_LIFECYCLE = "aws:ecr/lifecyclePolicy:LifecyclePolicy"

ROOT: Inputs = {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}
DESTINATION: Inputs = {"bucket": DESTINATION_ARN}
REPLICATE: Inputs = {"id": "all", "status": "Enabled", "destination": DESTINATION}
EXPIRE: dict[str, Any] = {
    "rulePriority": 1,
    "selection": {"tagStatus": "untagged", "countType": "sinceImagePushed", "countUnit": "days", "countNumber": 14},
    "action": {"type": "expire"},
}
BACK_UP: Inputs = {"ruleName": "daily", "targetVaultName": "other", "schedule": "cron(0 5 * * ? *)"}

BASES: dict[str, Inputs] = {
    tokens.KEY: {"description": "the platform's", "multiRegion": True},
    tokens.REPLICA_KEY: {"primaryKeyArn": "arn:aws:kms:us-west-2::key/far"},
    KEY_ALIAS: {"name": "alias/platform", "targetKeyId": "key-1"},
    SECRET: {"name": "platform/gossip"},
    SECRET_VERSION: {"secretId": SECRET_ARN, "secretString": "one"},
    tokens.POLICY: {"name": "nodes", "policy": policy(None, "s3:GetObject", "arn:aws:s3:::other-bucket/*")},
    POLICY_ATTACHMENT: {"role": "other", "policyArn": "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore"},
    INSTANCE_PROFILE: {"name": "node", "role": "other"},
    tokens.BUCKET_REPLICATION: {
        "bucket": "locked-bucket",
        "role": TRUST_OF_SERVICES_ARN,
        "rules": [REPLICATE],
    },
    tokens.BUCKET_OBJECT_LOCK: {
        "bucket": "locked-bucket",
        "rule": {"defaultRetention": {"mode": "GOVERNANCE", "days": 30}},
    },
    LOGGING: {"bucket": "locked-bucket", "targetBucket": "other-bucket", "targetPrefix": "locked/"},
    OBJECT: {"bucket": "locked-bucket", "key": "bundle.json", "content": "{}"},
    REPOSITORY: {"name": "consul"},
    REPOSITORY_POLICY: {"repository": "other", "policy": policy(ROOT, "ecr:BatchGetImage")},
    IMAGE_LIFECYCLE: {"repository": "other", "policy": json.dumps({"rules": [EXPIRE]})},
    tokens.REGISTRY_REPLICATION: {
        "replicationConfiguration": {"rules": [{"destinations": [{"region": "us-west-2", "registryId": ACCOUNT}]}]}
    },
    tokens.VAULT: {"name": "archive"},
    tokens.VAULT_LOCK: {"backupVaultName": "other", "minRetentionDays": 1, "maxRetentionDays": 36500},
    tokens.BACKUP_PLAN: {"name": "platform", "rules": [BACK_UP]},
    tokens.BACKUP_SELECTION: {"name": "stateful", "planId": "plan-1", "iamRoleArn": TRUST_OF_SERVICES_ARN},
}
"""One small legal resource a type."""


def replicated(**changes: Any) -> Inputs:
    """Return the rule of a legal replication with something changed."""
    return {"rules": [{**REPLICATE, **changes}]}


def _to(**changes: Any) -> Inputs:
    return replicated(destination={**DESTINATION, **changes})


_ENABLED = {"status": "Enabled"}
_FIFTEEN = {"minutes": 15}
_BY_KEY: Inputs = {"sourceSelectionCriteria": {"sseKmsEncryptedObjects": _ENABLED}}
_FAR_KEY = {"replicaKmsKeyId": "arn:aws:kms:us-west-2::key/far"}
_MARKERS = "rules[].deleteMarkerReplication.status"

COMPANIONS: dict[tuple[str, str], Inputs] = {
    (tokens.KEY, "rotationPeriodInDays"): {"enableKeyRotation": True},
    (tokens.KEY, "xksKeyId"): {"multiRegion": None},
    (OBJECT, "objectLockMode"): {"objectLockRetainUntilDate": "2035-01-01T00:00:00Z"},
    (SECRET, "replicas[].kmsKeyId"): {
        "replicas": [{"region": "us-west-2", "kmsKeyId": "arn:aws:kms:us-west-2::key/far"}]
    },
    (SECRET_VERSION, "secretStringWo"): {"secretString": None},
    (SECRET_VERSION, "secretStringWoVersion"): {"secretString": None},
    (tokens.BUCKET_REPLICATION, "rules[].destination.encryptionConfiguration.replicaKmsKeyId"): replicated(
        **_BY_KEY, destination={**DESTINATION, "encryptionConfiguration": _FAR_KEY}
    ),
    (tokens.BUCKET_REPLICATION, "rules[].sourceSelectionCriteria.sseKmsEncryptedObjects.status"): _to(
        encryptionConfiguration=_FAR_KEY
    ),
    (tokens.BUCKET_REPLICATION, "rules[].destination.metrics.eventThreshold.minutes"): _to(metrics=_ENABLED),
    (tokens.BUCKET_REPLICATION, "rules[].destination.replicationTime.status"): _to(
        metrics={**_ENABLED, "eventThreshold": _FIFTEEN}, replicationTime={"time": _FIFTEEN}
    ),
    (tokens.BUCKET_REPLICATION, "rules[].destination.replicationTime.time.minutes"): _to(
        metrics={**_ENABLED, "eventThreshold": _FIFTEEN}, replicationTime=_ENABLED
    ),
    (tokens.BUCKET_OBJECT_LOCK, "rule.defaultRetention.years"): {
        "rule": {"defaultRetention": {"mode": "GOVERNANCE"}}
    },
    (REPOSITORY, "imageTagMutabilityExclusionFilters[].filterType"): {
        "imageTagMutability": "IMMUTABLE_WITH_EXCLUSION",
        "imageTagMutabilityExclusionFilters": [{"filter": "latest*"}],
    },
    (REPOSITORY, "encryptionConfigurations[].kmsKey"): {"encryptionConfigurations": [{"encryptionType": "KMS"}]},
    (tokens.REGISTRY_REPLICATION, "replicationConfiguration.rules[].repositoryFilters[].filterType"): {
        "replicationConfiguration": {
            "rules": [
                {
                    "destinations": [{"region": "us-west-2", "registryId": ACCOUNT}],
                    "repositoryFilters": [{"filter": "mlops"}],
                }
            ]
        }
    },
    (tokens.BACKUP_PLAN, "rules[].copyActions[].destinationVaultArn"): {
        "rules": [{**BACK_UP, "copyActions": [{"destinationVaultArn": VAULT_ARN}]}]
    },
    (tokens.BACKUP_PLAN, "rules[].copyActions[].lifecycle.deleteAfter"): {
        "rules": [{**BACK_UP, "copyActions": [{"destinationVaultArn": VAULT_ARN}]}]
    },
    (tokens.BACKUP_SELECTION, "selectionTags[].type"): {"selectionTags": [{"key": "backup", "value": "yes"}]},
}
"""What else must change for a property to be legal at all, by type and path."""

SAMPLES: dict[str, Any] = {
    "enableKeyRotation": True,
    "objectLockMode": "GOVERNANCE",
    "objectLockRetainUntilDate": "2035-01-01T00:00:00Z",
    "rotationPeriodInDays": 90,
    "secretBinary": base64.b64encode(b"one").decode(),
    "secretStringWoVersion": 1,
}
"""Values of properties that are not references, where "one" and 1 would not do."""
