"""Which operations each `up` of a procedure may do: whatever else a preview shows stops it, before anything happens.

A stack file that somebody edited, or a newer program, would otherwise be deployed in the middle of a disaster.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine.steps import FORGET, REPLACEMENTS, Change, Result, Step
from engine.tokens import (
    ALARM,
    AUTOSCALING_GROUP,
    BACKUP_SELECTION,
    BACKUPS_REPLICATION,
    DATABASE,
    FILE_SYSTEM,
    FILE_SYSTEM_REPLICATION,
    LOG_GROUP,
    OBJECT,
)


@dataclass(frozen=True)
class Allowed:
    """Operations on a type of resource; of an update also the properties that it may change, and what is in them."""

    operations: frozenset[str]
    type: str
    properties: tuple[str, ...] | None = None

    def covers(self, step: Step) -> bool:
        """Say whether a step is one of these."""
        return step.type == self.type and step.effect in self.operations and self._covers(step.changes)

    def _covers(self, changes: Sequence[Change]) -> bool:
        if self.properties is None:
            return True
        inside = tuple(f"{one}{mark}" for one in self.properties for mark in ".[")
        return bool(changes) and all(
            change.path in self.properties or change.path.startswith(inside) for change in changes
        )


def _update(type_: str, *properties: str) -> Allowed:
    return Allowed(frozenset({"update"}), type_, properties)


_PROMOTION = _update(DATABASE, "replicateSourceDb", "skipFinalSnapshot", "finalSnapshotIdentifier")
_SCALE = _update(
    AUTOSCALING_GROUP, "minSize", "maxSize", "mixedInstancesPolicy.instancesDistribution.onDemandBaseCapacity"
)
_BUNDLES = _update(OBJECT, "content")
# What is watched changes with the role: a replica lags, a database with replicas keeps their log.
_ALARMS = Allowed(frozenset({"create", "update", "delete"}), ALARM)

ACTIVATION = (_PROMOTION, _SCALE, _BUNDLES, _ALARMS)
"""Standby to active: nothing in Route 53, nothing in IAM, nothing made or deleted but alarms."""


LEAVE = (_SCALE, _BUNDLES, _ALARMS)
"""Active to leaving: users are sent away, the database stays as it is."""

_NEXT_DATABASE = Allowed(frozenset({"create", FORGET}), DATABASE)
_ITS_LOG = Allowed(frozenset({"create", FORGET}), LOG_GROUP)
_FILES_TURN_ROUND = (
    Allowed(frozenset(REPLACEMENTS), FILE_SYSTEM_REPLICATION),
    # Which of the two may be overwritten.
    _update(FILE_SYSTEM, "protection"),
)
_BACKUPS = (
    Allowed(frozenset({"create", "delete"}), BACKUPS_REPLICATION),
    Allowed(frozenset(REPLACEMENTS), BACKUP_SELECTION),
)

RETURN = (_NEXT_DATABASE, _ITS_LOG, *_FILES_TURN_ROUND, *_BACKUPS, _SCALE, _BUNDLES, _ALARMS)
"""Primary to returning: a new database, a replica, and the old ones forgotten, not deleted."""

COME_HOME = (_PROMOTION, *RETURN)
"""Returning to primary."""

STAND_BY = (_NEXT_DATABASE, _ITS_LOG, _BUNDLES, _ALARMS)
"""Leaving to standby: a new database, a replica, and the old one forgotten."""


def refused(preview: Result, allowed: Sequence[Allowed]) -> list[str]:
    """Return what a preview shows beyond what is allowed, a line each."""
    return [
        f"{step.effect} {step.type} {step.name}"
        + (f" ({', '.join(change.path for change in step.changes)})" if step.changes else "")
        for step in preview.changed()
        if not any(one.covers(step) for one in allowed)
    ]
