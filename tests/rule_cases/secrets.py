"""Cases of the checks of secrets."""

from __future__ import annotations

import base64
from collections.abc import Iterator

from offline.checks.secrets import SECRET_BYTES
from offline.cloud import Inputs
from tests.rule_cases.common import Case, case
from tests.rule_cases.stores import ROOT, SECRET, SECRET_VERSION
from tests.rule_cases.world import elsewhere, policy


def _replicas(*regions: str, **key: str) -> Inputs:
    return {"replicas": [{"region": region, **key} for region in regions]}


def cases() -> Iterator[Case]:
    """Yield the cases of this file."""
    kind = SECRET
    yield case("at home", kind, "secret_replicas", _replicas("us-east-1"), _replicas("us-west-2"))
    yield case(
        "twice", kind, "secret_replicas", _replicas("us-west-2", "us-west-2"), _replicas("us-west-2", "eu-west-1")
    )
    far, near = "arn:aws:kms:us-west-2::key/far", "arn:aws:kms:us-east-1::key/1"
    there = _replicas("us-west-2", kmsKeyId=far)
    yield case("near key", kind, "secret_replicas", _replicas("us-west-2", kmsKeyId=near), there)
    theirs = elsewhere(kind, "secret-far", name="platform/gossip")
    replicas = _replicas("us-west-2")
    forced: Inputs = {**replicas, "forceOverwriteReplicaSecret": True}
    yield case("taken there", kind, "secret_name", {"forceOverwriteReplicaSecret": None}, forced, [theirs])
    replicated = elsewhere(kind, "secret-far", name="platform/gossip", **_replicas("us-east-1", "eu-west-1"))
    other_name = {"name": "platform/tokens", **_replicas("eu-west-1")}
    yield case(
        "name of a replica",
        kind,
        "secret_name",
        {"name": "platform/gossip", "replicas": None},
        other_name,
        [replicated],
    )
    towards = elsewhere(kind, "secret-far", name="platform/gossip", **_replicas("eu-west-1"))
    yield case("same target", kind, "secret_name", _replicas("eu-west-1"), _replicas("ap-southeast-1"), [towards])
    allowed = {"policy": policy(ROOT, "secretsmanager:GetSecretValue", "*")}
    yield case("no JSON", kind, "secret_policy", {"policy": "{"}, {"policy": "{}"})
    nobody = {"policy": policy(None, "secretsmanager:GetSecretValue", "*")}
    yield case("no principal", kind, "secret_policy", nobody, allowed)
    kind, path = SECRET_VERSION, "secretString"
    yield case("too long", kind, "secret_value", {path: "x" * (SECRET_BYTES + 1)}, {path: "x" * SECRET_BYTES})
    yield case(
        "too many bytes",
        kind,
        "secret_value",
        {path: "é" * (SECRET_BYTES // 2 + 1)},
        {path: "é" * (SECRET_BYTES // 2)},
    )
    yield case("empty", kind, "secret_value", {path: ""})
    write_only: Inputs = {path: None, "secretStringWo": "one", "secretStringWoVersion": 1}
    yield case("empty write-only", kind, "secret_value", {"secretStringWo": ""}, write_only)
    most, more = (base64.b64encode(b"x" * size).decode() for size in (SECRET_BYTES, SECRET_BYTES + 1))
    yield case("too long binary", kind, "secret_value", {"secretBinary": more}, {path: None, "secretBinary": most})
    yield case("no Base64", kind, "secret_value", {"secretBinary": "one!"}, {path: None, "secretBinary": most})
