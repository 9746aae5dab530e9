"""Policy documents of IAM, keys, buckets and topics: statements in, the same JSON every time out."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

EVERYTHING = "*"

Condition = Mapping[str, Mapping[str, str | Sequence[str]]]


@dataclass(frozen=True)
class Statement:
    """Who may (or must not) do what, on what.

    ``actions`` are named in full or end in a wildcard for one family ("s3:GetObject*"), never "*" alone, but for a
    key's owner. ``why`` is the reason for what cannot be narrowed: it must be given with the resource "*" of a role's
    policy, and is not part of the document. ``principal`` is for the policies of resources and for trust.
    """

    sid: str
    actions: Sequence[str]
    resources: Sequence[str] = ()
    condition: Condition = field(default_factory=dict[str, Mapping[str, str | Sequence[str]]])
    principal: str | Mapping[str, str | Sequence[str]] | None = None
    deny: bool = False
    why: str = ""

    def __post_init__(self) -> None:
        """Refuse a wildcard without a reason, and a reason without a wildcard.

        Raises:
            ValueError: the resource is "*" in a role's policy and no reason is given, or the other way round.
        """
        wide = EVERYTHING in self.resources and self.principal is None
        if wide != bool(self.why):
            raise ValueError(f"{self.sid}: a resource * of a role needs a reason, and nothing else has one")

    def as_json(self) -> dict[str, Any]:
        """Return the statement as IAM writes it; lists are sorted, so that their order never shows as a change."""
        parts: dict[str, Any] = {"Sid": self.sid, "Effect": "Deny" if self.deny else "Allow"}
        if self.principal is not None:
            parts["Principal"] = self.principal
        parts["Action"] = sorted(self.actions)
        if self.resources:
            parts["Resource"] = sorted(self.resources)
        if self.condition:
            parts["Condition"] = self.condition
        return parts


def document(*statements: Statement) -> str:
    """Return a policy document."""
    return json.dumps({"Version": "2012-10-17", "Statement": [statement.as_json() for statement in statements]})


def trust(service: str, account: str | None = None) -> str:
    """Return the document that lets an AWS service assume a role.

    With ``account`` only on behalf of this account: for services that act for every customer
    (https://docs.aws.amazon.com/IAM/latest/UserGuide/confused-deputy.html). EC2 is not asked that way.
    """
    condition = {"StringEquals": {"aws:SourceAccount": account}} if account else {}
    return document(Statement("Assume", ["sts:AssumeRole"], principal={"Service": service}, condition=condition))
