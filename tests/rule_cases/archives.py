"""Cases of the checks of replication, Object Lock, objects and access logs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from engine import tokens
from offline.checks.archives import METADATA_BYTES
from offline.cloud import Inputs, Resource
from tests.rule_cases.bases import inputs
from tests.rule_cases.common import Case, case
from tests.rule_cases.stores import DESTINATION, LOGGING, OBJECT, REPLICATE, replicated
from tests.rule_cases.world import ENCRYPTION, VERSIONING, elsewhere, existing

_ON, _OFF = {"status": "Enabled"}, {"status": "Disabled"}
_EVERYTHING: Inputs = {"filter": {}, "deleteMarkerReplication": _ON}


def _bucket(name: str, far: bool = False, **attributes: Any) -> Resource:
    where = elsewhere if far else existing
    return where(tokens.BUCKET, name, arn=f"arn:aws:s3:::{name}", **attributes)


def _versioning(name: str, status: str) -> Resource:
    return existing(VERSIONING, name, bucket=name, versioningConfiguration={"status": status})


def _encrypted(name: str, algorithm: str) -> Resource:
    rules = [{"applyServerSideEncryptionByDefault": {"sseAlgorithm": algorithm}}]
    return existing(ENCRYPTION, name, bucket=name, rules=rules)


def _to(name: str, **more: Any) -> Inputs:
    return replicated(destination={"bucket": f"arn:aws:s3:::{name}"}, **more)


def _bucket_cases() -> Iterator[Case]:
    kind, check = tokens.BUCKET_REPLICATION, "replication_buckets"
    on, off = _bucket("on"), _bucket("off")
    versioned = [on, _versioning("on", "Enabled"), off, _versioning("off", "Suspended")]
    yield case("source off", kind, check, {"bucket": "off"}, {"bucket": "on"}, versioned)
    yield case(
        "target off",
        kind,
        check,
        _to("off"),
        {"bucket": "on", **_to("inline")},
        [*versioned, _bucket("inline", versioning={"enabled": True})],
    )
    yield case("unversioned", kind, check, {"bucket": "other-bucket"})
    yield case("itself", kind, check, _to("locked-bucket"))
    yield case("unlocked", kind, check, _to("on"), {}, versioned)
    kind, check = VERSIONING, "versioning_in_use"
    suspended = {"versioningConfiguration": {"status": "Suspended"}}
    yield case("locked", kind, check, {"bucket": "locked-bucket"}, suspended)
    source = existing(tokens.BUCKET_REPLICATION, "on", **inputs(tokens.BUCKET_REPLICATION, {"bucket": "on"}))
    yield case("replicating", kind, check, suspended, {"bucket": "on"}, [on, source])


def _rule_cases() -> Iterator[Case]:
    kind, check = tokens.BUCKET_REPLICATION, "replication_rules"
    everything = replicated(**_EVERYTHING)
    yield case("no markers", kind, check, replicated(filter={}), everything)
    yield case("two prefixes", kind, check, replicated(**_EVERYTHING, prefix="a"), replicated(prefix="a"))
    timed = {**DESTINATION, "replicationTime": {**_ON, "time": {"minutes": 15}}}
    metrics = {"metrics": {**_ON, "eventThreshold": {"minutes": 15}}}
    yield case("no metrics", kind, check, replicated(destination=timed), replicated(destination={**timed, **metrics}))
    for name, chosen in (("tag", {"tag": {"key": "a", "value": "b"}}), ("tags", {"and": {"tags": {"a": "b"}}})):
        by_tag = {"filter": chosen, "deleteMarkerReplication": _OFF}
        markers = replicated(**{**by_tag, "deleteMarkerReplication": _ON})
        yield case(f"markers by {name}", kind, check, markers, replicated(**by_tag))
    check = "replication_priorities"
    one = {**REPLICATE, **_EVERYTHING, "priority": 1}
    two = {**one, "id": "two", "priority": 2}
    both: Inputs = {"rules": [one, two]}
    yield case("same name", kind, check, {"rules": [one, {**two, "id": "all"}]}, both)
    yield case("same priority", kind, check, {"rules": [one, {**two, "priority": 1}]}, both)
    unfiltered = {key: value for key, value in two.items() if key not in ("filter", "priority")}
    yield case("no filter", kind, check, {"rules": [one, unfiltered]}, both)
    yield case("needless", kind, check, replicated(priority=1))


def _encryption_cases() -> Iterator[Case]:
    kind, check = tokens.BUCKET_REPLICATION, "replication_encryption"
    near = existing(tokens.REPLICA_KEY, "replica-near", arn="arn:aws:kms:us-east-1::key/far")
    demanded = {"sourceSelectionCriteria": {"sseKmsEncryptedObjects": _ON}}

    def with_key(key: str, **more: Any) -> Inputs:
        return replicated(destination={**DESTINATION, "encryptionConfiguration": {"replicaKmsKeyId": key}}, **more)

    far_key = "arn:aws:kms:us-west-2::key/far"
    right = with_key(far_key, **demanded)
    by_key = [near, _encrypted("locked-bucket", "aws:kms")]
    yield case("key of the source", kind, check, with_key(near.inputs["arn"], **demanded), right, by_key)
    yield case("left out", kind, check, replicated(), right, by_key)
    switched_off = with_key(far_key, sourceSelectionCriteria={"sseKmsEncryptedObjects": _OFF})
    yield case("switched off", kind, check, switched_off, right, by_key)
    yield case("no demand", kind, check, with_key(far_key), right)
    yield case("no key", kind, check, replicated(**demanded), right)
    by_bucket = [_encrypted("locked-bucket", "AES256")]
    yield case("of another bucket", kind, check, with_key(far_key), replicated(), by_bucket)


def _chain_cases() -> Iterator[Case]:
    kind, check = tokens.BUCKET_REPLICATION, "replication_chain"
    first, third = (_bucket(name, objectLockEnabled=True) for name in ("first", "third"))

    def replicating(source: str, *targets: str) -> Resource:
        rules = [{**REPLICATE, "destination": {"bucket": f"arn:aws:s3:::{name}"}} for name in targets]
        return existing(kind, source, bucket=source, rules=rules)

    received = [first, third, replicating("first", "locked-bucket")]
    yield case("onwards", kind, check, _to("third"), _to("first"), received)
    resent = [first, third, replicating("first", "third")]
    yield case("resent", kind, check, _to("first"), _to("third"), resent)


def _lock_cases() -> Iterator[Case]:
    kind, check = tokens.BUCKET_OBJECT_LOCK, "object_lock"
    off = _bucket("off", objectLockEnabled=True)
    yield case("unlocked", kind, check, {"bucket": "other-bucket"})
    yield case("unversioned", kind, check, {"bucket": "off"}, also=[off, _versioning("off", "Suspended")])

    def kept(**retention: Any) -> Inputs:
        return {"rule": {"defaultRetention": retention}}

    yield case("no mode", kind, check, kept(days=1), kept(mode="COMPLIANCE", years=1))
    yield case("no time", kind, check, kept(mode="GOVERNANCE"))
    yield case("two times", kind, check, kept(mode="GOVERNANCE", days=1, years=1), {"rule": None})
    kind, check = OBJECT, "object_retention"
    retained = {"objectLockMode": "GOVERNANCE", "objectLockRetainUntilDate": "2035-01-01T00:00:00Z"}
    yield case("unlocked", kind, check, retained, {"bucket": "other-bucket"})
    yield case("unheld", kind, check, {"bucket": "other-bucket"}, {"objectLockLegalHoldStatus": "ON"})


def _object_cases() -> Iterator[Case]:
    kind, check = OBJECT, "object_content"
    yield case("no Base64", kind, check, {"contentBase64": "{}"}, {"content": None, "contentBase64": "e30="})
    yield case("capitals", kind, check, {"metadata": {"Role": "worker"}}, {"metadata": {"role": "worker"}})
    most, more = ({"metadata": {"role": "x" * (METADATA_BYTES - 4 + extra)}} for extra in (0, 1))
    yield case("too much", kind, check, more, most)
    by_key = {"kmsKeyId": "arn:aws:kms:us-east-1::key/1", "serverSideEncryption": "aws:kms"}
    yield case("key without KMS", kind, check, {"serverSideEncryption": "AES256"}, by_key)
    kind, check = LOGGING, "logging_target"
    plain, by_kms = _encrypted("other-bucket", "AES256"), _encrypted("other-bucket", "aws:kms")
    second, to_second = _bucket("second"), {"targetBucket": "second"}
    yield case("by KMS", kind, check, {"targetBucket": "other-bucket"}, to_second, [second, by_kms])
    locked = existing(tokens.BUCKET_OBJECT_LOCK, "locked-bucket", **inputs(tokens.BUCKET_OBJECT_LOCK))
    unretained = existing(tokens.BUCKET_OBJECT_LOCK, "second", bucket="second")
    locks = [second, locked, unretained, plain]
    yield case("retained", kind, check, {"targetBucket": "locked-bucket"}, to_second, locks)


def cases() -> Iterator[Case]:
    """Yield the cases of this file."""
    yield from _bucket_cases()
    yield from _rule_cases()
    yield from _encryption_cases()
    yield from _chain_cases()
    yield from _lock_cases()
    yield from _object_cases()
