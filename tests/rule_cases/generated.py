"""Cases of pure data (names, references, values, groups): they follow from the rule files."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from typing import Any

from engine import tokens
from offline.checks import values_at
from offline.rules.model import Range, TypeRules, package_rules
from tests.rule_cases.bases import inputs
from tests.rule_cases.common import Case
from tests.rule_cases.companions import COMPANIONS, SAMPLES
from tests.rule_cases.world import BUCKET_POLICY, WORLD, existing

RULES = package_rules("aws")


def constraints_of(rules: TypeRules) -> Iterator[str]:
    """Yield the names of all constraints that the rules of a type put on it."""
    if rules.name is not None:
        yield "name.length"
        if _illegal_name(rules) is not None:
            yield "name.pattern"
        if rules.name.unique != "no":
            yield "name.unique"
    yield from (f"references.{path}" for path in rules.references)
    yield from (f"values.{path}" for path in rules.values)
    yield from (f"exactly_one.{'|'.join(group)}" for group in rules.exactly_one)
    yield from (f"at_most_one.{'|'.join(group)}" for group in rules.at_most_one)
    yield from (f"needs.{name}" for name in rules.needs)
    yield from (f"checks.{name}" for name in rules.checks)


def without(rules: TypeRules, rule: str) -> TypeRules:
    """Return the rules of a type without one of their constraints."""
    kind, _, rest = rule.partition(".")
    group = tuple(rest.split("|"))
    changes: dict[str, object] = {
        "name": None,
        "references": {path: item for path, item in rules.references.items() if path != rest},
        "values": {path: item for path, item in rules.values.items() if path != rest},
        "exactly_one": tuple(item for item in rules.exactly_one if item != group),
        "at_most_one": tuple(item for item in rules.at_most_one if item != group),
        "needs": {name: item for name, item in rules.needs.items() if name != rest},
        "checks": tuple(name for name in rules.checks if name != rest),
    }
    return rules.model_copy(update={kind: changes[kind]})


def _illegal_name(rules: TypeRules) -> str | None:
    """Return a name of legal length that the pattern refuses, None when it refuses nothing."""
    assert rules.name is not None
    candidates = ("a b!", "-one-", "sg-one", "com.amazonaws.one")
    return next((name for name in candidates if not re.fullmatch(rules.name.pattern, name)), None)


def _name_cases(kind: str, rules: TypeRules) -> Iterator[Case]:
    if rules.name is None:
        return
    name, good = rules.name.property, inputs(kind)
    # What settles a bucket is named by its bucket, so that another name needs another bucket.
    settings = name == "bucket" and kind != tokens.BUCKET

    def called(length: int) -> dict[str, Any]:
        # Changed in the middle: beginnings and endings have rules of their own, as have the labels of a domain.
        filling = "a." * length if "." in good[name] else "a" * length
        start = good[name][: good[name].find("/") + 1] or good[name][0]
        middle = filling[len(filling) - length + len(start) + 1 :]
        return inputs(kind, {name: f"{start}{middle}{good[name][-1]}"[:length]})

    longest = good if settings else called(rules.name.maximum)
    yield Case("too long", kind, "name.length", longest, called(rules.name.maximum + 1), WORLD)
    if rules.name.minimum > 1:
        yield Case(
            "too short", kind, "name.length", called(rules.name.minimum), called(rules.name.minimum - 1), WORLD
        )
    illegal = _illegal_name(rules)
    if illegal is not None:
        yield Case(illegal, kind, "name.pattern", good, inputs(kind, {name: illegal}), WORLD)
    if rules.name.unique != "no":
        taken = existing(kind, "taken", **good)
        other = copy.deepcopy(good) | {name: good[name] + "2"}
        world = [*WORLD, existing(tokens.BUCKET, other[name], objectLockEnabled=True)] if settings else WORLD
        if kind == BUCKET_POLICY:
            other["policy"] = other["policy"].replace(good[name], other[name])
        yield Case("taken", kind, "name.unique", other, good, [*world, taken])


def _at(changed: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """Set what stands at a path; of a list, its first item. What is missing on the way is made."""
    head, _, rest = path.partition(".")
    name = head.removesuffix("[]")
    if head == name:
        changed[name] = _at(changed.get(name, {}), rest, value) if rest else value
    else:
        items: list[Any] = changed.get(name) or [{}]
        changed[name] = [_at(items[0], rest, value) if rest else value, *items[1:]]
    return changed


def _with(kind: str, path: str, value: Any) -> dict[str, Any]:
    return _at(inputs(kind, COMPANIONS.get((kind, path), {})), path, value)


def _referable(kind: str, path: str) -> Any:
    """Return what a reference may name: what the companions name already, or the first such thing in the world."""
    given = next(values_at(inputs(kind, COMPANIONS.get((kind, path), {})), path), None)
    if given is not None:
        return given[1]
    reference = RULES[kind].references[path]
    return next(found.attribute(reference.attribute) for found in WORLD if found.type in reference.types)


def _sample(kind: str, name: str) -> Any:
    if name in SAMPLES:
        return copy.deepcopy(SAMPLES[name])
    return _referable(kind, name) if name in RULES[kind].references else "one"


def _value_cases(kind: str, rules: TypeRules) -> Iterator[Case]:
    for path in rules.references:
        good, bad = _with(kind, path, _referable(kind, path)), _with(kind, path, "missing")
        yield Case("missing", kind, f"references.{path}", good, bad, WORLD)
    for path, allowed in rules.values.items():
        if isinstance(allowed, Range):
            right, wrong = int(allowed.minimum), int(allowed.maximum) + 1
        else:
            numbers = [value for value in allowed if isinstance(value, int)]
            right, wrong = allowed[0], max(numbers) + 1 if numbers else "wrong"
        yield Case("wrong", kind, f"values.{path}", _with(kind, path, right), _with(kind, path, wrong), WORLD)


def _group_cases(kind: str, rules: TypeRules) -> Iterator[Case]:
    for constraint, groups in (("exactly_one", rules.exactly_one), ("at_most_one", rules.at_most_one)):
        for group in groups:
            rule = f"{constraint}.{'|'.join(group)}"
            if constraint == "exactly_one":
                nothing = inputs(kind, dict.fromkeys(group))
                yield Case("none", kind, rule, inputs(kind), nothing, WORLD)
            if len(group) > 1:
                both = inputs(kind, {name: _sample(kind, name) for name in group[:2]})
                yield Case("two", kind, rule, inputs(kind), both, WORLD)
    for name, needed in rules.needs.items():
        companions = {other: _sample(kind, other) for other in needed} | dict(COMPANIONS.get((kind, name), {}))
        good = inputs(kind, companions, {name: _sample(kind, name)})
        bad = {key: value for key, value in good.items() if key not in needed}
        yield Case("alone", kind, f"needs.{name}", good, bad, WORLD)


def cases() -> Iterator[Case]:
    """Yield the cases of this file."""
    for kind, rules in RULES.items():
        yield from _name_cases(kind, rules)
        yield from _value_cases(kind, rules)
        yield from _group_cases(kind, rules)
