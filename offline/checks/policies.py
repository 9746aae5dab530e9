"""Checks of IAM policy documents, and how other checks read them.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import cast

from offline.checks.common import Check, siblings
from offline.cloud import Cloud, Inputs, Proposal

ROLE_POLICY_CHARACTERS = 10_240
"""The quota of all inline policies of a role, white space not counted.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
"""


def listed(value: object) -> Iterable[str]:
    """Return the items of what a policy gives as a list, alone, or not at all."""
    return cast("list[str]", value) if isinstance(value, list) else [] if value is None else [str(value)]


def statements_of(path: str, document: object, *parts: str) -> tuple[list[Inputs], list[str]]:
    """Return the statements of a policy document, and what is wrong with it: as such, or as it lacks the parts.

    NotAction stands for Action, and so on.
    """
    if isinstance(document, str):
        try:
            document = json.loads(document)
        except json.JSONDecodeError as error:
            return [], [f"{path}: is not JSON: {error}"]
    if not isinstance(document, Mapping):
        return [], [f"{path}: is not a policy document"]
    found = cast("Inputs", document).get("Statement")
    items = cast("list[object]", found if isinstance(found, list) else [found])
    if not items or not all(isinstance(item, Mapping) for item in items):
        return [], [f"{path}: has no list of statements"]
    statements = cast("list[Inputs]", items)
    return statements, list(_missing_parts(path, statements, parts))


def _missing_parts(path: str, statements: list[Inputs], parts: tuple[str, ...]) -> Iterator[str]:
    for index, statement in enumerate(statements):
        for part in parts:
            if part not in statement and f"Not{part}" not in statement:
                yield f"{path}: statement {index} has no {part}"
        if statement.get("Effect") not in ("Allow", "Deny"):
            yield f"{path}: statement {index} has neither the effect Allow nor Deny"


def assume_role_policy(proposal: Proposal, _: Cloud) -> Iterator[str]:
    """A trust policy is JSON whose statements say who may assume the role, by which action.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_create_for-custom.html
    """
    path = "assumeRolePolicy"
    if path not in proposal.inputs:
        return
    statements, problems = statements_of(path, proposal.inputs[path], "Principal", "Action")
    yield from problems
    for index, statement in enumerate(statements):
        if "Resource" in statement:
            yield f"{path}: statement {index} has a Resource, which a trust policy has not"


def grants(document: object) -> Iterator[str]:
    """Yield what is wrong with a ``policy`` of who bears it: it says which action on which resource, never who."""
    statements, problems = statements_of("policy", document, "Action", "Resource")
    yield from problems
    for index, statement in enumerate(statements):
        if "Principal" in statement:
            yield f"policy: statement {index} has a Principal, which only the policy of a resource has"


def characters(document: object) -> int:
    """Return the size of a policy document as IAM's quotas count it: without white space."""
    return len(re.sub(r"\s", "", document if isinstance(document, str) else json.dumps(document)))


def role_policy(proposal: Proposal, cloud: Cloud) -> Iterator[str]:
    """An inline policy is JSON that says which action on which resource; all of a role fit into the quota."""
    document = proposal.inputs.get("policy")
    if document is None:
        return
    yield from grants(document)
    others = siblings(proposal, cloud, "role", everywhere=True)
    size = characters(document) + sum(characters(other.attribute("policy")) for other in others)
    if size > ROLE_POLICY_CHARACTERS:
        yield (
            f"policy: the inline policies of the role have {size} characters without white space,"
            f" IAM allows {ROLE_POLICY_CHARACTERS}"
        )


CHECKS: tuple[Check, ...] = (assume_role_policy, role_policy)
