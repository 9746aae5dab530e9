"""The evaluator of the rule files: what is wrong with a proposal, and who depends on a resource."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from offline.checks import AT_THE_CHANGE, CHECKS, is_given, is_missing, others, values_at
from offline.cloud import Cloud, Proposal, Resource
from offline.rules.model import Name, Range, Reference, TypeRules, package_rules


def problems(proposal: Proposal, rules: TypeRules, cloud: Cloud, *, meant: bool = True) -> Iterator[str]:
    """Yield every rule that the proposal breaks, as ``path: sentence``. What is not known yet breaks none.

    Not ``meant``, in a preview, ``AT_THE_CHANGE`` does not count.

    Raises KeyError when the rules name a check that does not exist.
    """
    if rules.name is not None:
        yield from _name_problems(rules.name, proposal, cloud)
    for path, reference in rules.references.items():
        yield from _reference_problems(path, reference, proposal, cloud)
    for path, allowed in rules.values.items():
        for where, value in values_at(proposal.inputs, path):
            if not _is_allowed(value, allowed):
                yield f"{where}: {value} is not allowed, only {_describe(allowed)}"
    yield from _group_problems(rules, proposal)
    for name in rules.checks:
        if meant or name not in AT_THE_CHANGE:
            yield from CHECKS[name](proposal, cloud)


def dependents(resource: Resource, cloud: Cloud) -> list[Resource]:
    """Return who refers to the resource: what must be deleted before it, by the references of its package."""
    found: dict[tuple[str, str, str], Resource] = {}
    for kind, rules in package_rules(resource.type.partition(":")[0]).items():
        for path, reference in rules.references.items():
            if resource.type not in reference.types:
                continue
            identity = resource.attribute(reference.attribute)
            for other in cloud.all(kind, region=resource.region if reference.regional else None):
                if any(value == identity for _, value in values_at(other.inputs, path)):
                    found[other.type, other.id, other.region] = other
    found.pop((resource.type, resource.id, resource.region), None)
    return list(found.values())


def _name_problems(name: Name, proposal: Proposal, cloud: Cloud) -> Iterator[str]:
    given = proposal.inputs.get(name.property)
    if not isinstance(given, str):
        return
    if not name.minimum <= len(given) <= name.maximum:
        yield (
            f"{name.property}: {given} has {len(given)} characters,"
            f" {name.minimum} to {name.maximum} are allowed ({name.source})"
        )
    if not re.fullmatch(name.pattern, given):
        yield f"{name.property}: {given} is not a legal name, it must match {name.pattern} ({name.source})"
    if name.unique == "no":
        return
    key = [given, *(proposal.inputs.get(part) for part in name.per)]
    for other in others(proposal, cloud, proposal.type, everywhere=name.unique != "region"):
        if [other.attribute(name.property), *(other.attribute(part) for part in name.per)] == key:
            scope = {"region": f" in {proposal.region}", "account": " in this account", "world": ""}[name.unique]
            yield f"{name.property}: {given} is used by {other.id} already and must be unique{scope}"


def _reference_problems(path: str, reference: Reference, proposal: Proposal, cloud: Cloud) -> Iterator[str]:
    named = list(values_at(proposal.inputs, path))
    if not named:
        return
    region = proposal.region if reference.regional else None
    # One query a path, however many resources a list names.
    existing = {
        str(resource.attribute(reference.attribute)) for resource in cloud.all(*reference.types, region=region)
    }
    for where, value in named:
        if str(value) not in existing:
            yield f"{where}: {value} does not exist{f' in {region}' if region else ''}"


def _is_allowed(value: Any, allowed: Range | tuple[str | int | bool, ...]) -> bool:
    if isinstance(allowed, Range):
        return allowed.minimum <= value <= allowed.maximum
    return value in allowed


def _describe(allowed: Range | tuple[str | int | bool, ...]) -> str:
    if isinstance(allowed, Range):
        return f"{allowed.minimum:g} to {allowed.maximum:g}"
    return ", ".join(str(value) for value in allowed)


def _group_problems(rules: TypeRules, proposal: Proposal) -> Iterator[str]:
    for group in rules.exactly_one:
        count = sum(is_given(proposal, name) for name in group)
        if count > 1 or is_missing(proposal, *group):
            yield f"{' | '.join(group)}: exactly one of them is allowed, {count} are given"
    for group in rules.at_most_one:
        count = sum(is_given(proposal, name) for name in group)
        if count > 1:
            yield f"{' | '.join(group)}: at most one of them is allowed, {count} are given"
    for name, needed in rules.needs.items():
        if not is_given(proposal, name):
            continue
        for other in needed:
            if is_missing(proposal, other):
                yield f"{name}: needs {other} as well"
