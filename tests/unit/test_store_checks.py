"""What the checks of keys, secrets, identities, images and archives say, and what they must never say."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine import tokens
from offline.checks.secrets import SECRET_BYTES
from offline.cloud import Cloud, Inputs, Proposal, Resource
from offline.constraints import dependents, problems
from tests.rule_cases import ACCOUNT, REGION, RULES, WORLD, inputs
from tests.rule_cases.stores import (
    BACK_UP,
    DESTINATION,
    IMAGE_LIFECYCLE,
    KEY_ALIAS,
    LOGGING,
    POLICY_ATTACHMENT,
    ROOT,
    SECRET,
    SECRET_VERSION,
    replicated,
)
from tests.rule_cases.world import ENCRYPTION, SECRET_ARN, VAULT_ARN, elsewhere, existing, policy

BY_KEY = existing(
    ENCRYPTION,
    "locked-bucket",
    bucket="locked-bucket",
    rules=[{"applyServerSideEncryptionByDefault": {"sseAlgorithm": "aws:kms"}}],
)
LOCK = elsewhere(tokens.VAULT_LOCK, "far", backupVaultName="far", minRetentionDays=7)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Cloud]:
    """The small cloud of the cases."""
    opened = Cloud(tmp_path / "cloud.sqlite")
    for resource in WORLD:
        opened.put(resource)
    yield opened
    opened.close()


def _sentences(kind: str, given: Inputs, cloud: Cloud) -> list[str]:
    proposal = Proposal(kind, f"urn:pulumi:cases::cases::{kind}::new", REGION, ACCOUNT, given)
    return list(problems(proposal, RULES[kind], cloud))


@pytest.mark.parametrize(
    ("kind", "changes", "also", "sentences"),
    [
        (
            tokens.KEY,
            {"policy": "[]"},
            [],
            ["policy: is not a policy document"],
        ),
        (
            tokens.KEY,
            {"policy": policy(ROOT, "kms:Decrypt", "*")},
            [],
            ["policy: lets nobody change the policy (kms:PutKeyPolicy), the key could never be managed again"],
        ),
        (
            SECRET,
            {"replicas": [{"region": "us-west-2", "kmsKeyId": "arn:aws:kms:us-east-1::key/1"}]},
            [],
            ["replicas[0].kmsKeyId: arn:aws:kms:us-east-1::key/1 is in us-east-1, the replica in us-west-2"],
        ),
        (
            tokens.BUCKET_REPLICATION,
            replicated(
                sourceSelectionCriteria={"sseKmsEncryptedObjects": {"status": "Enabled"}},
                destination={
                    **DESTINATION,
                    "encryptionConfiguration": {"replicaKmsKeyId": "arn:aws:kms:us-east-1::key/1"},
                },
            ),
            [BY_KEY],
            [
                "rules[0].destination.encryptionConfiguration.replicaKmsKeyId: arn:aws:kms:us-east-1::key/1 is in"
                " us-east-1, the bucket far-locked-bucket in us-west-2"
            ],
        ),
        (
            tokens.BUCKET_REPLICATION,
            {},
            [BY_KEY],
            [
                "rules[0].sourceSelectionCriteria.sseKmsEncryptedObjects: must be Enabled, the objects of the source"
                " are encrypted by KMS and would be left out"
            ],
        ),
        (
            tokens.BACKUP_PLAN,
            {
                "rules": [
                    {**BACK_UP, "copyActions": [{"destinationVaultArn": VAULT_ARN, "lifecycle": {"deleteAfter": 6}}]}
                ]
            },
            [LOCK],
            [
                "rules[0].copyActions[0].lifecycle.deleteAfter: is kept for 6 days, the lock of its vault allows"
                " 7 to 36500 days"
            ],
        ),
        (
            tokens.VAULT_LOCK,
            {"changeableForDays": 2},
            [],
            ["changeableForDays: 2 is not allowed, only 3 to 36500"],
        ),
        (
            LOGGING,
            {"bucket": "other-bucket", "targetBucket": "locked-bucket"},
            [BY_KEY],
            ["targetBucket: locked-bucket encrypts by KMS, S3 delivers access logs to buckets with AES256 only"],
        ),
        (
            POLICY_ATTACHMENT,
            {"policyArn": f"arn:aws:iam::{ACCOUNT}:policy/none"},
            [],
            [
                f"policyArn: arn:aws:iam::{ACCOUNT}:policy/none does not exist, and is no policy of AWS"
                " (arn:aws:iam::aws:policy/...)"
            ],
        ),
        (
            IMAGE_LIFECYCLE,
            {"policy": '{"rules": []}'},
            [],
            ["policy: has no list of rules"],
        ),
    ],
)
def test_sentences(kind: str, changes: Inputs, also: list[Resource], sentences: list[str], world: Cloud) -> None:
    """A refusal that does not say where, what was given and what is allowed."""
    for resource in also:
        world.put(resource)
    assert _sentences(kind, inputs(kind, changes), world) == sentences


@pytest.mark.parametrize(
    "given",
    [
        {"secretString": "hidden" * SECRET_BYTES},
        {"secretString": None, "secretBinary": "hidden!"},
        {"secretString": None, "secretBinary": base64.b64encode(b"hidden" * SECRET_BYTES).decode()},
        {"secretString": None, "secretStringWo": "hidden" * SECRET_BYTES},
        {"secretString": "hidden", "secretBinary": "hidden", "secretStringWo": "hidden"},
    ],
)
def test_no_sentence_repeats_a_secret(given: Inputs, world: Cloud) -> None:
    """A secret in the clear in the output of a run, for being refused."""
    sentences = _sentences(SECRET_VERSION, inputs(SECRET_VERSION, given), world)
    encoded = base64.b64encode(b"hidden").decode()
    assert sentences
    assert not [sentence for sentence in sentences if "hidden" in sentence or encoded in sentence]


def test_what_lies_in_another_region_keeps_its_source(world: Cloud) -> None:
    """A key, bucket or vault deleted while something in another region still needs it, or a namesake kept by it."""
    primary = elsewhere(tokens.KEY, "key-primary", arn="arn:primary", multiRegion=True)
    namesake = existing(tokens.KEY, "key-primary", arn="arn:namesake")
    replica = existing(tokens.REPLICA_KEY, "key-replica", primaryKeyArn="arn:primary")
    alias = existing(KEY_ALIAS, "alias/one", name="alias/one", targetKeyId="key-primary")
    plan = existing(
        tokens.BACKUP_PLAN, "plan-2", rules=[{**BACK_UP, "copyActions": [{"destinationVaultArn": VAULT_ARN}]}]
    )
    replication = existing(tokens.BUCKET_REPLICATION, "locked-bucket", **inputs(tokens.BUCKET_REPLICATION))
    version = existing(SECRET_VERSION, "version-1", secretId=SECRET_ARN)
    for resource in (primary, namesake, replica, alias, plan, replication, version):
        world.put(resource)
    found = {
        resource.id: [user.id for user in dependents(resource, world)]
        for resource in (primary, *WORLD)
        if resource.id in ("key-primary", "far", "far-locked-bucket", SECRET_ARN)
    }
    assert found == {
        "key-primary": ["key-replica"],
        "far": ["plan-2"],
        "far-locked-bucket": ["locked-bucket"],
        SECRET_ARN: ["version-1"],
    }
    assert [user.id for user in dependents(namesake, world)] == ["alias/one"]
