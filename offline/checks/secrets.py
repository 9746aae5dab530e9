"""Checks of secrets, their replicas and their values. No sentence of theirs repeats a value."""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Iterator

from engine.tokens import KEY, REPLICA_KEY
from offline.checks.common import Check, is_unknown, known_text, others, values_at
from offline.checks.policies import statements_of
from offline.cloud import Cloud, Inputs, Proposal

SECRET_BYTES = 65_536
"""The quota of a value. https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_limits.html"""


def _replica_regions(inputs: Inputs) -> set[str]:
    return {region for _, region in values_at(inputs, "replicas[].region")}


def secret_replicas(proposal: Proposal, cloud: Cloud) -> Iterator[str]:
    """Replicas are in different regions, not in the secret's own, and their keys are in theirs.

    https://docs.aws.amazon.com/secretsmanager/latest/userguide/replicate-secrets.html
    """
    key_regions = {key.attribute("arn"): key.region for key in cloud.all(KEY, REPLICA_KEY)}
    keys = dict(values_at(proposal.inputs, "replicas[].kmsKeyId"))
    taken = {proposal.region}
    for where, region in values_at(proposal.inputs, "replicas[].region"):
        if region in taken:
            yield f"{where}: {region} has the secret already, a replica is in a region of its own"
        taken.add(region)
        key_path = where.removesuffix("region") + "kmsKeyId"
        key = keys.get(key_path)
        if key_regions.get(key, region) != region:
            yield f"{key_path}: {key} is in {key_regions[key]}, the replica in {region}"


def secret_name(proposal: Proposal, cloud: Cloud) -> Iterator[str]:
    """A secret and its replicas have one name, and in each of their regions it is free.

    Only ``forceOverwriteReplicaSecret`` lets a replica take the place of another secret.
    https://docs.aws.amazon.com/secretsmanager/latest/userguide/replicate-secrets.html
    """
    name, mine = known_text(proposal, "name"), _replica_regions(proposal.inputs)
    overwrite = "forceOverwriteReplicaSecret"
    overwrites = is_unknown(proposal, overwrite) or proposal.inputs.get(overwrite)
    for other in others(proposal, cloud, proposal.type, everywhere=True):
        if other.attribute("name") != name:
            continue
        theirs = _replica_regions(other.inputs)
        if proposal.region in theirs:
            yield f"name: {name} is the name of a replica in {proposal.region}, of {other.id}"
        for region in sorted(mine & (theirs | {other.region})) if not overwrites else ():
            yield f"replicas: {region} has a secret {name} already, {other.id} or its replica"


def secret_policy(proposal: Proposal, _: Cloud) -> Iterator[str]:
    """A resource policy is JSON that says who may do what with the secret.

    https://docs.aws.amazon.com/secretsmanager/latest/userguide/auth-and-access_resource-policies.html
    """
    document = proposal.inputs.get("policy")
    # The provider takes an empty document as "no policy".
    if document not in (None, "", "{}"):
        yield from statements_of("policy", document, "Principal", "Action", "Resource")[1]


def secret_value(proposal: Proposal, _: Cloud) -> Iterator[str]:
    """A value is not empty and fits into the quota; a binary one is given in Base64.

    https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_PutSecretValue.html
    """
    for name in ("secretBinary", "secretString", "secretStringWo"):
        value = known_text(proposal, name)
        if value is None:
            continue
        content = value.encode()
        if name == "secretBinary":
            try:
                content = b64decode(content, validate=True)
            except binascii.Error:
                yield f"{name}: is not Base64"
                continue
        if not 1 <= len(content) <= SECRET_BYTES:
            yield f"{name}: has {len(content)} bytes, Secrets Manager allows 1 to {SECRET_BYTES}"


CHECKS: tuple[Check, ...] = (secret_name, secret_policy, secret_replicas, secret_value)
