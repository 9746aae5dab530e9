"""The shape of a rule file: one YAML file a service, one entry a resource type.

A rule file says what the vendor's SDK does not tell: which changed property replaces a resource, which names
are legal and unique, what refers to what, and which outputs appear once the resource exists. Types, missing
and unknown properties are not in here: they are read from the SDK itself (``offline.sdk_types``).
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field

RULES = Path(__file__).parent


class RuleModel(BaseModel):
    """A strict, immutable piece of a rule file: a misspelt key is an error, never ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Name(RuleModel):
    """What the vendor allows as a name.

    ``unique`` says among which other resources of the same type a second use collides; ``per`` names further
    properties that together with the name make the key (a security group's name is unique within its VPC).
    """

    property: str
    pattern: str
    maximum: int
    minimum: int = 1
    unique: Literal["no", "region", "account", "world"] = "no"
    per: tuple[str, ...] = ()
    source: str


class Reference(RuleModel):
    """A property that must name something that exists: the ``attribute`` of a resource of type ``to``.

    A referenced resource cannot be deleted before the one that refers to it. ``regional`` references must lie
    in the same region (a VPC's subnet), the others may cross regions (a replica's source).
    """

    to: str | tuple[str, ...]
    attribute: str = "id"
    regional: bool = True

    @property
    def types(self) -> tuple[str, ...]:
        """The type tokens that may be referred to."""
        return (self.to,) if isinstance(self.to, str) else self.to


class Range(RuleModel):
    """An inclusive range of numbers."""

    minimum: float
    maximum: float


class TypeRules(RuleModel):
    """Everything the offline cloud knows of one resource type.

    * ``source``: where ``update`` and ``replace`` were read (provider source file or documentation page).
    * ``id``: template of the id: ``{hex17}`` is a stable pseudo-random suffix, ``{uuid}`` a UUID, any other
      name in braces is an input or output property, ``{region}`` and ``{account}`` the provider's.
    * ``update`` / ``replace``: properties whose change updates in place / replaces. A changed property that
      stands in neither list is an error: "replacement not modelled".
    * ``outputs``: computed properties, templates like ``id``, or nested data with templates in its strings. A
      value that is a plain number, boolean or list is given as it is. Used when the input does not give it.
    * ``by_region``: outputs that are fixed per region (property -> region -> value).
    * ``counts``: outputs that are numbers and go up by one with every change, but for a change of the listed inputs
      alone (a launch template's latest version).
    * ``deletion_protection``: the input with which it refuses to be deleted, whatever Pulumi's own protection says.
    * ``deleted_elsewhere``: somebody else may have deleted it (a day-2 command); the provider takes that for done.
    * ``delete_before_replace``: its name is the program's own, so that old and new would collide.
    * ``values``: allowed values (a list) or range, by property path. ``exactly_one`` / ``at_most_one``:
      groups of properties of which that many must be given. ``needs``: property -> properties that must be
      given with it.
    * ``checks``: names of functions in ``offline.checks`` for what data cannot say.
    """

    source: Annotated[tuple[str, ...], Field(min_length=1)]
    id: str
    update: tuple[str, ...] = ()
    replace: tuple[str, ...] = ()
    deletion_protection: str | None = None
    deleted_elsewhere: bool = False
    delete_before_replace: bool = False
    name: Name | None = None
    references: dict[str, Reference] = {}
    outputs: dict[str, object] = {}
    by_region: dict[str, dict[str, str]] = {}
    counts: dict[str, tuple[str, ...]] = {}
    values: dict[str, Range | tuple[str | int | bool, ...]] = {}
    exactly_one: tuple[tuple[str, ...], ...] = ()
    at_most_one: tuple[tuple[str, ...], ...] = ()
    needs: dict[str, tuple[str, ...]] = {}
    checks: tuple[str, ...] = ()


class RuleFile(RuleModel):
    """One file: the rules of one service, by type token."""

    types: dict[str, TypeRules]


@cache
def package_rules(package: str) -> dict[str, TypeRules]:
    """Return the rules of all types of one package ("aws", "random", ...), by type token."""
    rules: dict[str, TypeRules] = {}
    for path in sorted((RULES / package).glob("*.yaml")):
        rules |= RuleFile.model_validate(yaml.safe_load(path.read_text())).types
    return rules
