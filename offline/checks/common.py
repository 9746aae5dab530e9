"""What checks and constraints read a proposal and the cloud with."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

from offline.cloud import Cloud, Inputs, Proposal, Resource

Check = Callable[[Proposal, Cloud], Iterator[str]]
"""Yields one sentence per problem of the proposal in the cloud, ``path: what was given, what is allowed``."""


def values_at(inputs: Inputs, path: str) -> Iterator[tuple[str, Any]]:
    """Yield every value that stands at a path, with its exact path.

    Dots enter mappings and ``[]`` goes through the items of a list: ``subnetMappings[].subnetId`` yields
    ``("subnetMappings[0].subnetId", "subnet-1")`` and so on. What is absent or null is left out.
    """
    head, _, rest = path.partition(".")
    name = head.partition("[]")[0]
    found = [(name, inputs.get(name))]
    for _ in range(head.count("[]")):
        found = [
            (f"{where}[{index}]", item)
            for where, value in found
            if isinstance(value, list)
            for index, item in enumerate(cast("list[Any]", value))
        ]
    for where, value in found:
        if value is None:
            continue
        if not rest:
            yield where, value
        elif isinstance(value, Mapping):
            for inner, deep in values_at(cast("Inputs", value), rest):
                yield f"{where}.{inner}", deep


def is_unknown(proposal: Proposal, name: str) -> bool:
    """Return whether the property, or something inside it, is not known yet."""
    return any(re.split(r"[.\[]", unknown)[0] == name for unknown in proposal.unknown)


def is_given(proposal: Proposal, name: str) -> bool:
    """Return whether the program gives the property a known value; an empty list or mapping is none."""
    value = proposal.inputs.get(name)
    return value not in (None, [], {})


def is_missing(proposal: Proposal, *names: str) -> bool:
    """Return whether the program gives none of the properties, not even a value that is unknown yet."""
    return not any(is_given(proposal, name) or is_unknown(proposal, name) for name in names)


def known_text(proposal: Proposal, name: str) -> str | None:
    """Return the property when it is a known text, else None."""
    value = proposal.inputs.get(name)
    return value if isinstance(value, str) else None


def others(proposal: Proposal, cloud: Cloud, *types: str, everywhere: bool = False) -> Iterator[Resource]:
    """Yield what exists of the types in the proposal's region (or everywhere), without the resource itself."""
    for resource in cloud.all(*types, region=None if everywhere else proposal.region):
        if (resource.type, resource.id) != (proposal.type, proposal.id):
            yield resource


def siblings(proposal: Proposal, cloud: Cloud, *names: str, everywhere: bool = False) -> Iterator[Resource]:
    """Yield the others of the proposal's type with its values of the properties; none while one is unknown."""
    mine = [proposal.inputs.get(name) for name in names]
    if None in mine:
        return
    for other in others(proposal, cloud, proposal.type, everywhere=everywhere):
        if [other.attribute(name) for name in names] == mine:
            yield other


def parent(proposal: Proposal, cloud: Cloud, name: str, *types: str, everywhere: bool = False) -> Resource | None:
    """Return what the property names by its id, None when that is not known or does not exist."""
    identity = known_text(proposal, name)
    if identity is None:
        return None
    return cloud.find(*types, value=identity, region=None if everywhere else proposal.region)
