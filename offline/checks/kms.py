"""Checks of keys, of their replicas in other regions, and of who may use them."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase

from engine.tokens import KEY
from offline.checks.common import Check, is_missing, is_unknown, known_text, siblings
from offline.checks.policies import listed, statements_of
from offline.cloud import Cloud, Proposal

KEY_POLICY_BYTES = 32_768
"""The quota of a key policy. https://docs.aws.amazon.com/kms/latest/developerguide/resource-limits.html"""

CHANGE_POLICY = "kms:putkeypolicy"
"""The action without which nobody can give the key another policy; actions do not mind small and large letters."""


def key_policy(proposal: Proposal, _: Cloud) -> Iterator[str]:
    """A key policy is JSON that says who may do what, fits into the quota, and lets somebody change it.

    KMS refuses a policy that locks everybody out, unless ``bypassPolicyLockoutSafetyCheck`` is on.
    https://docs.aws.amazon.com/kms/latest/APIReference/API_PutKeyPolicy.html
    """
    document = known_text(proposal, "policy")
    if document is None:
        return
    statements, problems = statements_of("policy", document, "Principal", "Action", "Resource")
    yield from problems
    size = len(document.encode())
    if size > KEY_POLICY_BYTES:
        yield f"policy: has {size} bytes, KMS allows {KEY_POLICY_BYTES}"
    bypass = "bypassPolicyLockoutSafetyCheck"
    if problems or is_unknown(proposal, bypass) or proposal.inputs.get(bypass):
        return
    allowed = (
        action
        for statement in statements
        if statement.get("Effect") == "Allow"
        for action in listed(statement.get("Action"))
    )
    if not any(fnmatchcase(CHANGE_POLICY, action.lower()) for action in allowed):
        yield "policy: lets nobody change the policy (kms:PutKeyPolicy), the key could never be managed again"


def key_store(proposal: Proposal, _: Cloud) -> Iterator[str]:
    """A key in a key store of one's own is of one region, and is not rotated by KMS.

    https://docs.aws.amazon.com/kms/latest/developerguide/key-store-overview.html
    """
    if is_missing(proposal, "customKeyStoreId"):
        return
    for name in ("multiRegion", "enableKeyRotation"):
        if proposal.inputs.get(name):
            yield f"{name}: is not for a key in a custom key store"


def replica_key(proposal: Proposal, cloud: Cloud) -> Iterator[str]:
    """A replica has a multi-Region primary in another region, and is its only one in this region.

    https://docs.aws.amazon.com/kms/latest/developerguide/multi-region-keys-replicate.html
    """
    arn = known_text(proposal, "primaryKeyArn")
    primary = cloud.find(KEY, attribute="arn", value=arn) if arn is not None else None
    if primary is None:
        return
    if not primary.attribute("multiRegion"):
        yield f"primaryKeyArn: {arn} has no multiRegion, which is given when a key is made"
    if primary.region == proposal.region:
        yield f"primaryKeyArn: {arn} is in {proposal.region} itself, a replica is in another region"
    for other in siblings(proposal, cloud, "primaryKeyArn"):
        yield f"primaryKeyArn: {arn} has the replica {other.id} in {proposal.region} already"


CHECKS: tuple[Check, ...] = (key_policy, key_store, replica_key)
