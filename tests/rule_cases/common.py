"""What a case is, and how cases of checks are written."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from engine import tokens
from offline.cloud import Inputs, Resource
from tests.rule_cases.bases import RULE, inputs
from tests.rule_cases.world import WORLD, existing


@dataclass(frozen=True)
class Case:
    """``good`` is accepted, ``bad`` is refused by ``rule`` of the type, in a cloud that holds ``existing``.

    ``rule`` is what ``constraints_of`` yields. With an ``id`` the inputs are those of an update of that resource.
    """

    name: str
    type: str
    rule: str
    good: Inputs
    bad: Inputs
    existing: list[Resource] = field(default_factory=list[Resource])
    id: str | None = None

    def __str__(self) -> str:
        return f"{self.type.rpartition(':')[2]}-{self.rule}-{self.name}".replace(" ", "_")


def case(
    name: str, kind: str, check: str, bad: Inputs, good: Inputs | None = None, also: list[Resource] | None = None
) -> Case:
    """Return the case of a check, by what is changed in the type's legal inputs."""
    changed = inputs(kind, good or {})
    return Case(name, kind, f"checks.{check}", changed, inputs(kind, good or {}, bad), [*WORLD, *(also or [])])


def many_rules(kind: str, count: int) -> list[Resource]:
    """Return rules of sg-1 that are all different."""
    return [existing(kind, f"sgr-{port}", **{**RULE, "fromPort": port, "toPort": port}) for port in range(count)]


def record(identity: str, **changes: Any) -> Resource:
    """Return an existing record."""
    return existing(tokens.RECORD, identity, **inputs(tokens.RECORD, changes))
