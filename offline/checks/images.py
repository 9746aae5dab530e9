"""Checks of image repositories and of how their registry replicates."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import cast

from offline.checks.common import Check, is_given, is_missing, is_unknown, values_at
from offline.checks.policies import statements_of
from offline.cloud import Cloud, Inputs, Proposal

REPLICATION_RULES, REPLICATION_DESTINATIONS, REPLICATION_FILTERS = 10, 25, 100
"""The quotas of a registry: rules, different destinations in all of them, filters of one.

https://docs.aws.amazon.com/AmazonECR/latest/userguide/replication.html
"""


def repository_encryption(proposal: Proposal, _: Cloud) -> Iterator[str]:
    """A repository is encrypted in one way, and a key is for KMS.

    https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_EncryptionConfiguration.html
    """
    settings = list(values_at(proposal.inputs, "encryptionConfigurations[]"))
    if len(settings) > 1:
        yield f"encryptionConfigurations: {len(settings)} are given, one is allowed"
    for where, setting in settings:
        if setting.get("kmsKey") is not None and setting.get("encryptionType", "AES256") == "AES256":
            yield f"{where}.kmsKey: encryption by AES256 has no key"


def repository_exclusions(proposal: Proposal, _: Cloud) -> Iterator[str]:
    """A repository excludes tags from its mutability when it says so, and only then.

    https://docs.aws.amazon.com/AmazonECR/latest/userguide/image-tag-mutability.html
    """
    if is_unknown(proposal, "imageTagMutability"):
        return
    mutability = str(proposal.inputs.get("imageTagMutability", "MUTABLE"))
    path = "imageTagMutabilityExclusionFilters"
    if mutability.endswith("_WITH_EXCLUSION"):
        if is_missing(proposal, path):
            yield f"{path}: must be given with {mutability}"
    elif is_given(proposal, path):
        yield f"{path}: is not for {mutability}"


def repository_policy(proposal: Proposal, _: Cloud) -> Iterator[str]:
    """A repository policy is JSON that says who may do what; the resource is the repository, and is not named.

    https://docs.aws.amazon.com/AmazonECR/latest/userguide/repository-policies.html
    """
    document = proposal.inputs.get("policy")
    if document is None:
        return
    statements, problems = statements_of("policy", document, "Principal", "Action")
    yield from problems
    for index, statement in enumerate(statements):
        if "Resource" in statement:
            yield f"policy: statement {index} has a Resource, which a repository policy has not"


def lifecycle_policy(proposal: Proposal, _: Cloud) -> Iterator[str]:
    """A lifecycle policy is JSON with rules that select images and expire them, in an order without doubt.

    https://docs.aws.amazon.com/AmazonECR/latest/userguide/lifecycle_policy_parameters.html
    """
    document = proposal.inputs.get("policy")
    if document is None:
        return
    if isinstance(document, str):
        try:
            document = json.loads(document)
        except json.JSONDecodeError as error:
            yield f"policy: is not JSON: {error}"
            return
    found = cast("Inputs", document).get("rules") if isinstance(document, Mapping) else None
    items = cast("list[object]", found) if isinstance(found, list) else []
    if not items or not all(isinstance(item, Mapping) for item in items):
        yield "policy: has no list of rules"
        return
    rules = cast("list[Inputs]", items)
    priorities: list[object] = [rule.get("rulePriority") for rule in rules]
    for index, rule in enumerate(rules):
        yield from (f"policy: rule {index}: {problem}" for problem in _image_rule_problems(rule, priorities))


def _image_rule_problems(rule: Inputs, priorities: list[object]) -> Iterator[str]:
    priority = rule.get("rulePriority")
    if not isinstance(priority, int) or priority < 1:
        yield f"rulePriority: {priority} is not a whole number from 1"
    if priorities.count(priority) > 1:
        yield f"rulePriority: {priority} is the priority of more than one rule"
    if not any(values_at(rule, "action.type")):
        yield "action.type: must be given"
    selection: Inputs = rule.get("selection") or {}
    status, lists = selection.get("tagStatus"), ("tagPrefixList", "tagPatternList")
    if status not in ("tagged", "untagged", "any"):
        yield f"selection.tagStatus: {status} is not allowed, only tagged, untagged, any"
    given = [name for name in lists if selection.get(name)]
    if status == "tagged" and len(given) != 1:
        yield f"selection: tagged images are selected by one of {' and '.join(lists)}"
    if status in ("untagged", "any") and given:
        yield f"selection.{given[0]}: is for tagged images only"
    known = [number for number in priorities if isinstance(number, int)]
    if status == "any" and isinstance(priority, int) and priority < max(known):
        yield f"rulePriority: {priority}, but a rule for any image comes last and has the highest number"
    by_age = str(selection.get("countType", "")).startswith("since")
    if selection.get("countType") is None or selection.get("countNumber") is None:
        yield "selection: must have countType and countNumber"
    elif by_age != (selection.get("countUnit") is not None):
        yield "selection.countUnit: is given with a countType since..., and only then"


def registry_replication(proposal: Proposal, _: Cloud) -> Iterator[str]:
    """A registry replicates elsewhere, to registries of known accounts, and within its quotas.

    https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_ReplicationDestination.html
    """
    path = "replicationConfiguration.rules"
    rules = list(values_at(proposal.inputs, f"{path}[]"))
    if len(rules) > REPLICATION_RULES:
        yield f"{path}: {len(rules)} are given, ECR allows {REPLICATION_RULES}"
    places: Counter[tuple[str, str]] = Counter()
    for where, rule in rules:
        filters = len(rule.get("repositoryFilters") or [])
        if filters > REPLICATION_FILTERS:
            yield f"{where}.repositoryFilters: {filters} are given, ECR allows {REPLICATION_FILTERS}"
        own = Counter((item["registryId"], item["region"]) for _, item in values_at(rule, "destinations[]"))
        places |= own
        for (registry, region), count in own.items():
            if count > 1:
                yield f"{where}.destinations: {region} of {registry} is given {count} times"
            if not re.fullmatch(r"\d{12}", registry):
                yield f"{where}.destinations: {registry} is not the id of an account, twelve digits"
            if (registry, region) == (proposal.account, proposal.region):
                yield f"{where}.destinations: {region} of {registry} is this registry itself"
    if len(places) > REPLICATION_DESTINATIONS:
        yield f"{path}: {len(places)} different destinations are given, ECR allows {REPLICATION_DESTINATIONS}"


CHECKS: tuple[Check, ...] = (
    lifecycle_policy,
    registry_replication,
    repository_encryption,
    repository_exclusions,
    repository_policy,
)
