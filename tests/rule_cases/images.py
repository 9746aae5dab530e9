"""Cases of the checks of image repositories and their registry."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from engine import tokens
from offline.checks.images import REPLICATION_DESTINATIONS, REPLICATION_FILTERS, REPLICATION_RULES
from offline.cloud import Inputs
from tests.rule_cases.common import Case, case
from tests.rule_cases.stores import EXPIRE, IMAGE_LIFECYCLE, REPOSITORY, REPOSITORY_POLICY, ROOT
from tests.rule_cases.world import ACCOUNT, policy


def _expiring(*rules: Any) -> Inputs:
    return {"policy": json.dumps({"rules": [*rules]})}


def _selecting(priority: object = 1, **selection: Any) -> dict[str, Any]:
    """Return a rule with some of its selection changed; None takes a part of it away."""
    merged = {**EXPIRE["selection"], **selection}
    return {
        **EXPIRE,
        "rulePriority": priority,
        "selection": {key: part for key, part in merged.items() if part is not None},
    }


def _replicating(*rules: Any) -> Inputs:
    return {"replicationConfiguration": {"rules": [*rules]}}


def _towards(*regions: str, registry: str = ACCOUNT, filters: int = 0) -> dict[str, Any]:
    destinations = [{"region": region, "registryId": registry} for region in regions]
    return {"destinations": destinations} | (
        {
            "repositoryFilters": [
                {"filter": f"mlops{number}", "filterType": "PREFIX_MATCH"} for number in range(filters)
            ]
        }
        if filters
        else {}
    )


def _repository_cases() -> Iterator[Case]:
    kind = REPOSITORY
    key = "arn:aws:kms:us-east-1::key/1"
    by_key = {"encryptionType": "KMS", "kmsKey": key}
    one = {"encryptionConfigurations": [by_key]}
    yield case("two", kind, "repository_encryption", {"encryptionConfigurations": [by_key, by_key]}, one)
    yield case("by default", kind, "repository_encryption", {"encryptionConfigurations": [{"kmsKey": key}]}, one)
    without_kms = {"encryptionConfigurations": [{**by_key, "encryptionType": "AES256"}]}
    yield case("without KMS", kind, "repository_encryption", without_kms, one)
    filters = {"imageTagMutabilityExclusionFilters": [{"filter": "latest*", "filterType": "WILDCARD"}]}
    excluding = {"imageTagMutability": "IMMUTABLE_WITH_EXCLUSION", **filters}
    yield case("none", kind, "repository_exclusions", {"imageTagMutabilityExclusionFilters": []}, excluding)
    yield case("needless", kind, "repository_exclusions", {"imageTagMutability": "IMMUTABLE"}, excluding)
    yield case("by default", kind, "repository_exclusions", {"imageTagMutability": None}, excluding)
    kind = REPOSITORY_POLICY
    yield case("no JSON", kind, "repository_policy", {"policy": "{"})
    yield case("no principal", kind, "repository_policy", {"policy": policy(None, "ecr:BatchGetImage")})
    yield case("resource", kind, "repository_policy", {"policy": policy(ROOT, "ecr:BatchGetImage", "*")})


def _lifecycle_cases() -> Iterator[Case]:
    kind, check = IMAGE_LIFECYCLE, "lifecycle_policy"
    yield case("no JSON", kind, check, {"policy": "{"})
    yield case("no document", kind, check, {"policy": "[]"})
    yield case("no rules", kind, check, {"policy": '{"rules": [1]}'})
    yield case("priority 0", kind, check, _expiring(_selecting(0)))
    yield case("textual priority", kind, check, _expiring(EXPIRE, _selecting("2", tagStatus="any")))
    yield case("no selection", kind, check, _expiring({**EXPIRE, "selection": None}))
    tagged = _selecting(2, tagStatus="tagged", tagPatternList=["dev-*"])
    yield case(
        "same priority", kind, check, _expiring(EXPIRE, {**tagged, "rulePriority": 1}), _expiring(EXPIRE, tagged)
    )
    yield case("no action", kind, check, _expiring({**EXPIRE, "action": {}}))
    yield case("no status", kind, check, _expiring(_selecting(tagStatus=None)))
    yield case("no tags", kind, check, _expiring(_selecting(tagStatus="tagged")))
    both = _selecting(tagStatus="tagged", tagPatternList=["a"], tagPrefixList=["a"])
    prefixed = _selecting(tagStatus="tagged", tagPrefixList=["a"])
    yield case("two lists", kind, check, _expiring(both), _expiring(prefixed))
    yield case("untagged tags", kind, check, _expiring(_selecting(tagPrefixList=["a"])))
    last, first = (_selecting(number, tagStatus="any") for number in (3, 1))
    yield case("any first", kind, check, _expiring(first, tagged), _expiring(tagged, last))
    counted = _selecting(countType="imageCountMoreThan", countUnit=None)
    yield case(
        "unit of a count", kind, check, _expiring(_selecting(countType="imageCountMoreThan")), _expiring(counted)
    )
    yield case("no unit", kind, check, _expiring(_selecting(countUnit=None)))
    yield case("no type", kind, check, _expiring(_selecting(countType=None, countUnit=None)))
    yield case("no number", kind, check, _expiring(_selecting(countNumber=None)))


def _replication_cases() -> Iterator[Case]:
    kind, check = tokens.REGISTRY_REPLICATION, "registry_replication"
    yield case("itself", kind, check, _replicating(_towards("us-east-1")))
    yield case("twice", kind, check, _replicating(_towards("us-west-2", "us-west-2")))
    other_account = _replicating(_towards("us-east-1", registry="210987654321"))
    yield case("no account", kind, check, _replicating(_towards("us-west-2", registry="platform")), other_account)
    rule = _towards("us-west-2", filters=1)
    most, more = (_replicating(*[rule] * count) for count in (REPLICATION_RULES, REPLICATION_RULES + 1))
    yield case("too many rules", kind, check, more, most)
    most, more = (
        _replicating(_towards("us-west-2", filters=count)) for count in (REPLICATION_FILTERS, REPLICATION_FILTERS + 1)
    )
    yield case("too many filters", kind, check, more, most)
    most, more = (
        _replicating(*[_towards(*[f"region-{number}" for number in range(count)])] * 2)
        for count in (REPLICATION_DESTINATIONS, REPLICATION_DESTINATIONS + 1)
    )
    yield case("too many destinations", kind, check, more, most)


def cases() -> Iterator[Case]:
    """Yield the cases of this file."""
    yield from _repository_cases()
    yield from _lifecycle_cases()
    yield from _replication_cases()
