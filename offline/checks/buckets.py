"""Checks of bucket policies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import cast

from engine.tokens import BUCKET, PUBLIC_ACCESS_BLOCK
from offline.checks.common import Check, known_text
from offline.checks.policies import listed, statements_of
from offline.cloud import Cloud, Inputs, Proposal


def bucket_policy(proposal: Proposal, _: Cloud) -> Iterator[str]:
    """A bucket policy is JSON that says who may do what, on this bucket.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/example-bucket-policies.html
    """
    bucket, document = known_text(proposal, "bucket"), proposal.inputs.get("policy")
    if document is None:
        return
    statements, problems = statements_of("policy", document, "Principal", "Action", "Resource")
    yield from problems
    arn = f"arn:aws:s3:::{bucket}"
    for index, statement in enumerate(statements if bucket is not None else ()):
        for resource in listed(statement.get("Resource")):
            if resource != arn and not resource.startswith(arn + "/"):
                yield f"policy: statement {index} names {resource}, which is not in this bucket ({arn})"


def bucket_policy_public(proposal: Proposal, cloud: Cloud) -> Iterator[str]:
    """A policy that lets everyone in needs an access block that allows it: S3 blocks new buckets by default.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-block-public-access.html
    """
    bucket = known_text(proposal, "bucket")
    statements, _ = statements_of("policy", proposal.inputs.get("policy"))
    if bucket is None or not cloud.find(BUCKET, value=bucket):
        return
    block = cloud.find(PUBLIC_ACCESS_BLOCK, attribute="bucket", value=bucket)
    # An access block that is there leaves off what it does not say.
    if block is not None and not block.attribute("blockPublicPolicy"):
        return
    for index, statement in enumerate(statements):
        principal = statement.get("Principal")
        everyone = principal == "*" or (
            isinstance(principal, Mapping) and "*" in listed(cast("Inputs", principal).get("AWS"))
        )
        if everyone and statement.get("Effect") == "Allow" and not statement.get("Condition"):
            yield (
                f"policy: statement {index} lets everyone in, which S3 blocks"
                f" unless a BucketPublicAccessBlock of {bucket} has blockPublicPolicy off"
            )


CHECKS: tuple[Check, ...] = (bucket_policy, bucket_policy_public)
