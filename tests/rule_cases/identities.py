"""Cases of the checks of managed policies and of the roles of services."""

from __future__ import annotations

import re
from collections.abc import Iterator

from engine import tokens
from offline.checks.identities import MANAGED_POLICIES_PER_ROLE, MANAGED_POLICY_CHARACTERS
from tests.rule_cases.common import Case, case
from tests.rule_cases.stores import POLICY_ATTACHMENT
from tests.rule_cases.world import ACCOUNT, ROLE, TRUST, existing, policy


def cases() -> Iterator[Case]:
    """Yield the cases of this file."""
    kind = tokens.POLICY
    yield case("no JSON", kind, "managed_policy", {"policy": "{"})
    yield case("no action", kind, "managed_policy", {"policy": policy(None, None, "*")})
    yield case("no resource", kind, "managed_policy", {"policy": policy(None, "s3:GetObject")})
    yield case("principal", kind, "managed_policy", {"policy": policy("*", "s3:GetObject", "*")})
    room = MANAGED_POLICY_CHARACTERS - len(re.sub(r"\s", "", policy(None, "", "*")))
    fitting, longer = ({"policy": policy(None, "s" * length, "*")} for length in (room, room + 1))
    yield case("too long", kind, "managed_policy", longer, fitting)

    kind = POLICY_ATTACHMENT
    arn = f"arn:aws:iam::{ACCOUNT}:policy/nodes"
    own = existing(tokens.POLICY, arn, name="nodes")
    yield case("missing", kind, "attached_policy", {"policyArn": f"{arn}2"}, {"policyArn": arn}, [own])
    attached = [
        existing(kind, f"{role}-{number}", role=role, policyArn=f"arn:aws:iam::aws:policy/{number}")
        for role, count in (("other", MANAGED_POLICIES_PER_ROLE), ("services", MANAGED_POLICIES_PER_ROLE - 1))
        for number in range(count)
    ]
    yield case("one more", kind, "attached_policy", {"role": "other"}, {"role": "services"}, attached)

    machine_arn = f"arn:aws:iam::{ACCOUNT}:role/machine"
    machine = existing(ROLE, "machine", name="machine", arn=machine_arn, assumeRolePolicy=TRUST)
    yield case("of machines", tokens.BUCKET_REPLICATION, "service_role", {"role": machine_arn}, also=[machine])
    yield case("of machines", tokens.BACKUP_SELECTION, "service_role", {"iamRoleArn": machine_arn}, also=[machine])
