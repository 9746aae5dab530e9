"""Cases of the checks of policies of roles and buckets."""

from __future__ import annotations

import re
from collections.abc import Iterator

from engine import tokens
from offline.checks.policies import ROLE_POLICY_CHARACTERS
from offline.cloud import Inputs
from tests.rule_cases.common import Case, case
from tests.rule_cases.world import ACCOUNT, BUCKET_POLICY, ROLE, existing, policy


def cases() -> Iterator[Case]:
    """Yield the cases of this file."""
    kind, path = ROLE, "assumeRolePolicy"
    yield case("no JSON", kind, "assume_role_policy", {path: "{"})
    yield case("no document", kind, "assume_role_policy", {path: "[]"})
    yield case("no statement", kind, "assume_role_policy", {path: '{"Version": "2012-10-17"}'})
    yield case("nothing", kind, "assume_role_policy", {path: '{"Statement": []}'})
    yield case("no principal", kind, "assume_role_policy", {path: policy(None, "sts:AssumeRole")})
    yield case("no action", kind, "assume_role_policy", {path: policy({"Service": "ec2.amazonaws.com"}, None)})
    yield case("no effect", kind, "assume_role_policy", {path: policy("*", "sts:AssumeRole", Effect="allow")})
    yield case("resource", kind, "assume_role_policy", {path: policy("*", "sts:AssumeRole", "*")})
    kind = tokens.ROLE_POLICY
    yield case("no JSON", kind, "role_policy", {"policy": "{"})
    all_but = policy(None, None, NotAction="iam:*", NotResource="arn:aws:s3:::other-bucket/*")
    yield case("no action", kind, "role_policy", {"policy": policy(None, None, "*")}, {"policy": all_but})
    yield case("no resource", kind, "role_policy", {"policy": policy(None, "s3:GetObject")})
    yield case("principal", kind, "role_policy", {"policy": policy("*", "s3:GetObject", "*")})
    room = ROLE_POLICY_CHARACTERS - len(re.sub(r"\s", "", policy(None, "", "*")))
    fitting, longer = (policy(None, "s" * length, "*") for length in (room, room + 1))
    yield case("too long", kind, "role_policy", {"policy": longer}, {"policy": fitting})
    other = existing(kind, "other:second", role="other", name="second", policy=policy(None, "s" * (room // 2), "*"))
    half = {"policy": policy(None, "s" * (room // 4), "*")}
    yield case("too long together", kind, "role_policy", {"policy": fitting}, half, [other])
    kind, owner = BUCKET_POLICY, {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}
    inside = "arn:aws:s3:::other-bucket/*"
    yield case("no JSON", kind, "bucket_policy", {"policy": "{"})
    whole = {"policy": policy(owner, "s3:ListBucket", "arn:aws:s3:::other-bucket")}
    another = {"policy": policy(owner, resource="arn:aws:s3:::other-bucket2/*")}
    yield case("other bucket", kind, "bucket_policy", another, whole)
    yield case("no principal", kind, "bucket_policy", {"policy": policy(None, resource=inside)})
    public: Inputs = {"policy": policy("*", resource=inside)}
    limited = {"policy": policy("*", resource=inside, Condition={"Bool": {"aws:SecureTransport": "true"}})}
    yield case("by default", kind, "bucket_policy_public", public, limited)
    denied = {"policy": policy("*", resource=inside, Effect="Deny")}
    on, off = (
        existing(tokens.PUBLIC_ACCESS_BLOCK, "other-bucket", bucket="other-bucket", blockPublicPolicy=blocked)
        for blocked in (True, False)
    )
    everyone = {"policy": policy({"AWS": "*"}, resource=inside)}
    yield case("blocked", kind, "bucket_policy_public", everyone, denied, [on])
    second = existing(tokens.BUCKET, "second-bucket", bucket="second-bucket", arn="arn:aws:s3:::second-bucket")
    unopened = {"bucket": "second-bucket", "policy": policy("*", resource="arn:aws:s3:::second-bucket/*")}
    yield case("another opened", kind, "bucket_policy_public", unopened, public, [off, second])
