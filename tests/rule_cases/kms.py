"""Cases of the checks of keys and their replicas."""

from __future__ import annotations

from collections.abc import Iterator

from engine import tokens
from offline.checks.kms import KEY_POLICY_BYTES
from tests.rule_cases.common import Case, case
from tests.rule_cases.stores import ROOT
from tests.rule_cases.world import elsewhere, existing, policy


def cases() -> Iterator[Case]:
    """Yield the cases of this file."""
    whole = {"policy": policy(ROOT, "kms:*", "*")}
    for kind in (tokens.KEY, tokens.REPLICA_KEY):
        yield case("no JSON", kind, "key_policy", {"policy": "{"}, whole)
        yield case("no principal", kind, "key_policy", {"policy": policy(None, "kms:*", "*")}, whole)
        change = {"policy": policy(ROOT, ["kms:Describe*", "KMS:putKeyPolicy"], "*")}
        reader = {"policy": policy(ROOT, "kms:Get*", "*")}
        yield case("locked out", kind, "key_policy", reader, change)
        denied = {"policy": policy(ROOT, "kms:*", "*", Effect="Deny")}
        yield case("denied", kind, "key_policy", denied, whole)
        yield case(
            "unlocked",
            kind,
            "key_policy",
            {"bypassPolicyLockoutSafetyCheck": False},
            {**reader, "bypassPolicyLockoutSafetyCheck": True},
        )
        room = KEY_POLICY_BYTES - len(policy(ROOT, "kms:*", ""))
        longest, longer = ({"policy": policy(ROOT, "kms:*", "*" * length)} for length in (room, room + 1))
        yield case("too long", kind, "key_policy", longer, longest)
    in_store = {"multiRegion": None, "customKeyStoreId": "cks-1"}
    yield case("replicated", tokens.KEY, "key_store", {"multiRegion": True}, in_store)
    yield case("rotated", tokens.KEY, "key_store", {"enableKeyRotation": True}, in_store)
    kind = tokens.REPLICA_KEY
    single = elsewhere(tokens.KEY, "key-single", arn="arn:aws:kms:us-west-2::key/single", multiRegion=False)
    yield case("of one region", kind, "replica_key", {"primaryKeyArn": single.inputs["arn"]}, also=[single])
    here = existing(tokens.KEY, "key-here", arn="arn:aws:kms:us-east-1::key/here", multiRegion=True)
    yield case("same region", kind, "replica_key", {"primaryKeyArn": here.inputs["arn"]}, also=[here])
    second = elsewhere(tokens.KEY, "key-second", arn="arn:aws:kms:us-west-2::key/second", multiRegion=True)
    replica = existing(kind, "replica-1", primaryKeyArn=second.inputs["arn"])
    yield case("again", kind, "replica_key", {"primaryKeyArn": second.inputs["arn"]}, also=[second, replica])
