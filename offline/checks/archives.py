"""Checks of what keeps copies of a bucket's objects, and of what keeps them from being changed or deleted."""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections import Counter
from collections.abc import Iterator
from typing import Any

from engine.tokens import (
    BUCKET,
    BUCKET_ENCRYPTION,
    BUCKET_OBJECT_LOCK,
    BUCKET_REPLICATION,
    BUCKET_VERSIONING,
    KEY,
    REPLICA_KEY,
)
from offline.checks.common import Check, is_given, known_text, others, parent, values_at
from offline.cloud import Cloud, Inputs, Proposal, Resource

METADATA_BYTES = 2_048
"""The most that an object carries of metadata of its owner's.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html
"""


def _settings(bucket: Resource, cloud: Cloud, kind: str) -> Resource | None:
    """Return the settings of a bucket that stand in a resource of their own."""
    return cloud.find(kind, attribute="bucket", value=bucket.id)


def _is_versioned(bucket: Resource, cloud: Cloud) -> bool:
    versioning = _settings(bucket, cloud, BUCKET_VERSIONING)
    if versioning is not None:
        return any(
            status == "Enabled" for _, status in values_at(versioning.inputs, "versioningConfiguration.status")
        )
    # Object Lock turns versioning on when it makes the bucket.
    inline = any(value for _, value in values_at(bucket.inputs, "versioning.enabled"))
    return inline or bool(bucket.attribute("objectLockEnabled"))


def _algorithm(bucket: Resource, cloud: Cloud) -> str:
    """Return what the bucket encrypts with when nobody says anything else."""
    encryption = _settings(bucket, cloud, BUCKET_ENCRYPTION)
    path = "rules[].applyServerSideEncryptionByDefault.sseAlgorithm"
    found = [value for _, value in values_at(encryption.inputs if encryption else {}, path)]
    return found[0] if found else "AES256"


def _rules(inputs: Inputs) -> list[tuple[str, dict[str, Any]]]:
    return list(values_at(inputs, "rules[]"))


def _destinations(proposal: Proposal, cloud: Cloud) -> Iterator[tuple[str, dict[str, Any], Resource]]:
    """Yield every rule's path, the rule, and the bucket that it replicates to, of those that exist."""
    buckets = {bucket.attribute("arn"): bucket for bucket in cloud.all(BUCKET)}
    for where, rule in _rules(proposal.inputs):
        bucket = buckets.get(rule["destination"]["bucket"])
        if bucket is not None:
            yield where, rule, bucket


# Replication. https://docs.aws.amazon.com/AmazonS3/latest/userguide/replication-requirements.html


def replication_buckets(proposal: Proposal, cloud: Cloud) -> Iterator[str]:
    """Both buckets are versioned, and are not the same one; a source with Object Lock has such destinations.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/replication-requirements.html
    """
    source = parent(proposal, cloud, "bucket", BUCKET)
    if source is not None and not _is_versioned(source, cloud):
        yield f"bucket: {source.id} has no versioning, which replication needs"
    for where, _, bucket in _destinations(proposal, cloud):
        path = f"{where}.destination.bucket"
        if source is not None and bucket.id == source.id:
            yield f"{path}: {bucket.id} is the source itself"
        elif not _is_versioned(bucket, cloud):
            yield f"{path}: {bucket.id} has no versioning, which replication needs"
        if source is not None and source.attribute("objectLockEnabled") and not bucket.attribute("objectLockEnabled"):
            yield f"{path}: {bucket.id} has no Object Lock, and the source {source.id} has it"


def replication_rules(proposal: Proposal, _: Cloud) -> Iterator[str]:
    """A rule with a filter says what becomes of delete markers; time control comes with metrics.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_ReplicationRule.html
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/replication-time-control.html
    """
    for where, rule in _rules(proposal.inputs):
        if rule.get("filter") is not None and rule.get("deleteMarkerReplication") is None:
            yield f"{where}.deleteMarkerReplication: must be given in a rule with a filter"
        if rule.get("filter") is not None and rule.get("prefix") is not None:
            yield f"{where}.prefix: belongs into the filter, where there is one"
        destination = rule["destination"]
        if destination.get("replicationTime") is not None and destination.get("metrics") is None:
            yield f"{where}.destination.metrics: must be given with replicationTime"
        tagged = [*values_at(rule, "filter.tag"), *values_at(rule, "filter.and.tags")]
        if tagged and rule.get("deleteMarkerReplication", {}).get("status") == "Enabled":
            yield f"{where}.deleteMarkerReplication: a rule by tag does not replicate them, they have none"


def replication_priorities(proposal: Proposal, _: Cloud) -> Iterator[str]:
    """Rules have different names; more than one rule have filters, and different priorities.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/replication-add-config.html
    """
    rules = _rules(proposal.inputs)
    names = Counter(rule["id"] for _, rule in rules if rule.get("id") is not None)
    priorities = Counter(rule.get("priority", 0) for _, rule in rules)
    for where, rule in rules:
        if names[rule.get("id")] > 1:
            yield f"{where}.id: {rule['id']} is the name of {names[rule['id']]} rules"
        if rule.get("filter") is None and rule.get("priority") is not None:
            yield f"{where}.priority: is only for a rule with a filter"
        if len(rules) > 1 and rule.get("filter") is None:
            yield f"{where}.filter: must be given where there is more than one rule (an empty one takes everything)"
        if priorities[rule.get("priority", 0)] > 1:
            yield f"{where}.priority: {rule.get('priority', 0):g} is the priority of more than one rule"


def replication_encryption(proposal: Proposal, cloud: Cloud) -> Iterator[str]:
    """Objects encrypted by KMS are replicated on demand only, with a key of the destination's region.

    S3 accepts a key of another region, and a rule that leaves such objects out, and then replicates nothing of
    them: the only sign is the status of each object.
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/replication-config-for-kms-objects.html
    """
    source = parent(proposal, cloud, "bucket", BUCKET)
    by_key = source is not None and _algorithm(source, cloud) != "AES256"
    key_regions = {key.attribute("arn"): key.region for key in cloud.all(KEY, REPLICA_KEY)}
    for where, rule, bucket in _destinations(proposal, cloud):
        demand = f"{where}.sourceSelectionCriteria.sseKmsEncryptedObjects"
        key_path = f"{where}.destination.encryptionConfiguration.replicaKmsKeyId"
        statuses = [status for _, status in values_at(rule, "sourceSelectionCriteria.sseKmsEncryptedObjects.status")]
        keys = [key for _, key in values_at(rule, "destination.encryptionConfiguration.replicaKmsKeyId")]
        if by_key and "Enabled" not in statuses:
            yield f"{demand}: must be Enabled, the objects of the source are encrypted by KMS and would be left out"
        if keys and not statuses:
            yield f"{demand}: must be given with a replicaKmsKeyId"
        if "Enabled" in statuses and not keys:
            yield f"{key_path}: must be given where objects encrypted by KMS are replicated"
        for key in keys:
            if key_regions.get(key, bucket.region) != bucket.region:
                yield f"{key_path}: {key} is in {key_regions[key]}, the bucket {bucket.id} in {bucket.region}"


def replication_chain(proposal: Proposal, cloud: Cloud) -> Iterator[str]:
    """Replicas are not replicated again: what a bucket receives goes no further, except back.

    S3 accepts a chain, whose last bucket then lacks the replicas: let the first replicate to all.
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/replication-what-is-isnot-replicated.html
    """
    mine = known_text(proposal, "bucket")
    targets = {bucket.id for _, _, bucket in _destinations(proposal, cloud)}
    if mine is None:
        return
    arns = {bucket.attribute("arn"): bucket.id for bucket in cloud.all(BUCKET)}
    for other in others(proposal, cloud, BUCKET_REPLICATION, everywhere=True):
        source = other.attribute("bucket")
        theirs = {arns.get(arn) for _, arn in values_at(other.inputs, "rules[].destination.bucket")} - {None}
        if mine in theirs and targets - {source}:
            yield f"bucket: {mine} receives replicas of {source}, which are not replicated again to other buckets"
        if source in targets and theirs - {mine}:
            yield f"rules: {source} does not replicate to other buckets what it receives of {mine}"


def versioning_in_use(proposal: Proposal, cloud: Cloud) -> Iterator[str]:
    """Versioning stays on while the bucket has Object Lock or replicates.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock-managing.html
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/replication-requirements.html
    """
    bucket = parent(proposal, cloud, "bucket", BUCKET)
    statuses = [status for _, status in values_at(proposal.inputs, "versioningConfiguration.status")]
    if bucket is None or not statuses or statuses == ["Enabled"]:
        return
    path = "versioningConfiguration.status"
    if bucket.attribute("objectLockEnabled"):
        yield f"{path}: {bucket.id} has Object Lock, its versioning cannot be {statuses[0]}"
    if _settings(bucket, cloud, BUCKET_REPLICATION) is not None:
        yield f"{path}: {bucket.id} replicates, its versioning cannot be {statuses[0]}"


# Object Lock.


def object_lock(proposal: Proposal, cloud: Cloud) -> Iterator[str]:
    """Object Lock is on since the bucket was made; its default retention has a mode, and days or years.

    S3 has come to add it to a versioned bucket as well, but what lies in there already is not locked by it.
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock-configure.html
    https://docs.aws.amazon.com/AmazonS3/latest/API/API_DefaultRetention.html
    """
    bucket = parent(proposal, cloud, "bucket", BUCKET)
    if bucket is not None and not bucket.attribute("objectLockEnabled"):
        yield f"bucket: {bucket.id} was made without objectLockEnabled"
    elif bucket is not None and not _is_versioned(bucket, cloud):
        yield f"bucket: {bucket.id} has no versioning, which Object Lock needs"
    for where, retention in values_at(proposal.inputs, "rule.defaultRetention"):
        if retention.get("mode") is None:
            yield f"{where}.mode: must be given"
        if (retention.get("days") is None) == (retention.get("years") is None):
            yield f"{where}: has either days or years"


def object_retention(proposal: Proposal, cloud: Cloud) -> Iterator[str]:
    """Only an object in a bucket with Object Lock has a retention or a legal hold.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock.html
    """
    bucket = parent(proposal, cloud, "bucket", BUCKET)
    for name in ("objectLockMode", "objectLockLegalHoldStatus"):
        if bucket is not None and not bucket.attribute("objectLockEnabled") and is_given(proposal, name):
            yield f"{name}: {bucket.id} was made without objectLockEnabled"


# Objects and access logs.


def object_content(proposal: Proposal, _: Cloud) -> Iterator[str]:
    """Content is Base64 where it says so; metadata has small letters and fits; a key of KMS is for KMS.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html
    """
    encoded = known_text(proposal, "contentBase64")
    if encoded is not None:
        try:
            b64decode(encoded, validate=True)
        except binascii.Error:
            yield "contentBase64: is not Base64"
    metadata: dict[str, str] = proposal.inputs.get("metadata") or {}
    for name in metadata:
        if name != name.lower():
            yield f"metadata.{name}: has capitals, which S3 does not keep"
    size = sum(len(name.encode()) + len(value.encode()) for name, value in metadata.items())
    if size > METADATA_BYTES:
        yield f"metadata: has {size} bytes, S3 allows {METADATA_BYTES}"
    if is_given(proposal, "kmsKeyId") and proposal.inputs.get("serverSideEncryption") == "AES256":
        yield "serverSideEncryption: AES256 has no kmsKeyId"


def logging_target(proposal: Proposal, cloud: Cloud) -> Iterator[str]:
    """Access logs go to a bucket that encrypts without KMS and retains nothing by default.

    S3 accepts another one and then delivers nothing.
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/enable-server-access-logging.html
    """
    target = parent(proposal, cloud, "targetBucket", BUCKET)
    if target is None:
        return
    if _algorithm(target, cloud) != "AES256":
        yield f"targetBucket: {target.id} encrypts by KMS, S3 delivers access logs to buckets with AES256 only"
    lock = _settings(target, cloud, BUCKET_OBJECT_LOCK)
    if lock is not None and any(values_at(lock.inputs, "rule.defaultRetention")):
        yield f"targetBucket: {target.id} has a default retention, S3 delivers no access logs there"


CHECKS: tuple[Check, ...] = (
    logging_target,
    object_content,
    object_lock,
    object_retention,
    replication_buckets,
    replication_chain,
    replication_encryption,
    replication_priorities,
    replication_rules,
    versioning_in_use,
)
