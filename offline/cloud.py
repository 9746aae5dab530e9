"""The offline cloud: what exists in it, in one SQLite file that survives runs and is shared by all stacks.

Every change is one transaction, so that a run killed at any moment leaves a cloud that a later run can read.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

GIVEN = "given"
"""The urn of what the account owner brings: the hosted zone, images, prefix lists kept by AWS."""

Inputs = Mapping[str, Any]


@dataclass(frozen=True)
class Resource:
    """One thing that exists. ``inputs`` and ``outputs`` are wire names (camelCase) to plain JSON values."""

    type: str
    id: str
    urn: str
    region: str
    inputs: Inputs = field(default_factory=dict[str, Any])
    outputs: Inputs = field(default_factory=dict[str, Any])

    def attribute(self, name: str) -> Any:
        """Return the id, an input or an output; None when there is no such attribute."""
        if name == "id":
            return self.id
        return self.inputs.get(name, self.outputs.get(name))


@dataclass(frozen=True)
class Proposal:
    """What a program asks for: a resource that is to be created, or (``id`` given) changed.

    Properties whose value the engine does not know yet are absent from ``inputs`` and named in ``unknown``.
    """

    type: str
    urn: str
    region: str
    account: str
    inputs: Inputs
    id: str | None = None
    unknown: frozenset[str] = frozenset()


@lru_cache(maxsize=4096)
def _parsed(text: str) -> Inputs:
    """Return what a text holds. Each resource is looked at some hundred times in a run, and read-only."""
    return json.loads(text)


class Cloud:
    """The resources that exist, by type, id and urn: all random passwords have the same id."""

    def __init__(self, path: Path) -> None:
        """Open the cloud in the file ``path``, made when missing."""
        path.parent.mkdir(parents=True, exist_ok=True)
        # The providers answer on several threads; SQLite itself serialises them (threadsafety 3).
        self._database = sqlite3.connect(path, timeout=30, check_same_thread=False, isolation_level=None)
        # A killed process loses nothing by this; a power cut may, and a cloud that is gone is deployed again.
        self._database.execute("PRAGMA synchronous=OFF")
        self._database.execute(
            "CREATE TABLE IF NOT EXISTS resource (type TEXT, id TEXT, urn TEXT, region TEXT, inputs TEXT,"
            " outputs TEXT, PRIMARY KEY (type, id, region, urn))"
        )
        self._database.execute("CREATE TABLE IF NOT EXISTS retained (urn TEXT, id TEXT, PRIMARY KEY (urn, id))")
        self._database.execute(
            "CREATE TABLE IF NOT EXISTS made (type TEXT, urn TEXT, count INTEGER, PRIMARY KEY (type, urn))"
        )

    def copied(self) -> Cloud:
        """Return a copy in memory: a preview happens there."""
        copy = Cloud(Path(":memory:"))
        self._database.backup(copy._database)
        return copy

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def put(self, resource: Resource) -> None:
        """Create the resource, or replace what is known of it."""
        self._database.execute(
            "INSERT OR REPLACE INTO resource VALUES (?, ?, ?, ?, ?, ?)",
            (
                resource.type,
                resource.id,
                resource.urn,
                resource.region,
                json.dumps(resource.inputs),
                json.dumps(resource.outputs),
            ),
        )

    def count_making(self, kind: str, urn: str) -> int:
        """Return how often this resource was made before, and count once more: what replaces gets a new id."""
        [(count,)] = self._database.execute(
            "INSERT INTO made VALUES (?, ?, 0) ON CONFLICT DO UPDATE SET count = count + 1 RETURNING count",
            (kind, urn),
        ).fetchall()
        return count

    def note_retained(self, resources: Iterable[tuple[str, str]]) -> None:
        """Note resources (urn and id) that are to outlive their deletion from the state that has them now."""
        self._database.executemany("INSERT OR IGNORE INTO retained VALUES (?, ?)", resources)

    def retained(self) -> set[tuple[str, str]]:
        """Return what was ever noted as retained, urn and id."""
        return {(urn, identity) for urn, identity in self._database.execute("SELECT urn, id FROM retained")}

    def remove(self, resource: Resource) -> None:
        """Delete the resource; nothing happens when it is gone already."""
        self._database.execute(
            "DELETE FROM resource WHERE type = ? AND id = ? AND region = ? AND urn = ?",
            (resource.type, resource.id, resource.region, resource.urn),
        )

    def all(
        self, *types: str, region: str | None = None, identity: str | None = None, urn: str | None = None
    ) -> Iterator[Resource]:
        """Yield every resource, or those of the given types, region, id or urn."""
        conditions, values = list[str](), list[str]()
        if types:
            conditions.append(f"type IN ({', '.join('?' * len(types))})")
            values += types
        for column, value in (("region", region), ("id", identity), ("urn", urn)):
            if value is not None:
                conditions.append(f"{column} = ?")
                values.append(value)
        where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        rows = self._database.execute(
            # Only column names of this file are put together; every value is bound.
            f"SELECT type, id, urn, region, inputs, outputs FROM resource{where} ORDER BY rowid",  # noqa: S608  (values are bound)
            values,
        )
        for kind, name, owner, place, inputs, outputs in rows.fetchall():
            yield Resource(kind, name, owner, place, _parsed(inputs), _parsed(outputs))

    def find(self, *types: str, attribute: str = "id", value: object, region: str | None = None) -> Resource | None:
        """Return the first resource of the types whose attribute has the value, or None."""
        if attribute == "id":
            return next(self.all(*types, region=region, identity=str(value)), None)
        for resource in self.all(*types, region=region):
            if resource.attribute(attribute) == value:
                return resource
        return None
