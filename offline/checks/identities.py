"""Checks of managed policies, and of the roles that services are given."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import cast

from engine.tokens import BACKUP_SELECTION, BUCKET_REPLICATION, POLICY, ROLE
from offline.checks.common import Check, known_text, siblings
from offline.checks.policies import characters, grants, listed, statements_of
from offline.cloud import Cloud, Inputs, Proposal

MANAGED_POLICY_CHARACTERS = 6_144
"""The quota of a managed policy, white space not counted.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
"""

MANAGED_POLICIES_PER_ROLE = 10
"""The quota of managed policies of a role, as accounts have it at first (the same page)."""

AWS_MANAGED = "arn:aws:iam::aws:policy/"
"""How the ARNs of the policies begin that AWS keeps in every account."""


def managed_policy(proposal: Proposal, _: Cloud) -> Iterator[str]:
    """A managed policy is JSON that says which action on which resource, and fits into the quota.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_managed-vs-inline.html
    """
    document = proposal.inputs.get("policy")
    if document is None:
        return
    yield from grants(document)
    size = characters(document)
    if size > MANAGED_POLICY_CHARACTERS:
        yield f"policy: has {size} characters without white space, IAM allows {MANAGED_POLICY_CHARACTERS}"


def attached_policy(proposal: Proposal, cloud: Cloud) -> Iterator[str]:
    """What is attached to a role is a policy of AWS, or one that exists; a role has few of them.

    https://docs.aws.amazon.com/IAM/latest/APIReference/API_AttachRolePolicy.html
    """
    arn = known_text(proposal, "policyArn")
    if arn is not None and not arn.startswith(AWS_MANAGED) and cloud.find(POLICY, value=arn) is None:
        yield f"policyArn: {arn} does not exist, and is no policy of AWS ({AWS_MANAGED}...)"
    count = sum(1 for _ in siblings(proposal, cloud, "role", everywhere=True)) + 1
    if count > MANAGED_POLICIES_PER_ROLE:
        yield f"role: would have {count} managed policies, IAM allows {MANAGED_POLICIES_PER_ROLE}"


_SERVICE_ROLES = {
    BACKUP_SELECTION: ("iamRoleArn", "backup.amazonaws.com"),
    BUCKET_REPLICATION: ("role", "s3.amazonaws.com"),
}
"""Where a type names the role that a service assumes, and the service."""


def service_role(proposal: Proposal, cloud: Cloud) -> Iterator[str]:
    """The role that a service is given lets this service assume it.

    AWS Backup refuses another role; S3 takes it, and then replicates nothing.
    https://docs.aws.amazon.com/aws-backup/latest/devguide/iam-service-roles.html
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/setting-repl-config-perm-overview.html
    """
    path, service = _SERVICE_ROLES[proposal.type]
    arn = known_text(proposal, path)
    role = cloud.find(ROLE, attribute="arn", value=arn) if arn is not None else None
    trust = role.attribute("assumeRolePolicy") if role is not None else None
    if trust is None:
        return
    principals = [statement.get("Principal") for statement in statements_of(path, trust)[0]]
    services = [
        name
        for principal in principals
        if isinstance(principal, Mapping)
        for name in listed(cast("Inputs", principal).get("Service"))
    ]
    if service not in services:
        yield f"{path}: {arn} does not let {service} assume it"


CHECKS: tuple[Check, ...] = (attached_policy, managed_policy, service_role)
