"""Rules that span several settings. Each runs as soon as the blocks it reads are valid by themselves."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

from configs.settings.model import (
    CapacitySettings,
    DatabaseSettings,
    EdgeSettings,
    Regions,
    RetentionSettings,
    StackRole,
    WorkerSettings,
)
from configs.settings.problem import Problem
from configs.tables.capacity import CAPACITY, INSTANCE_TYPES, smaller_than

Rule = Callable[..., Iterator[Problem]]


def _regions_differ(regions: Regions) -> Iterator[Problem]:
    seen: dict[str, str] = {}
    for key, name in (
        ("primary", regions.primary.name),
        ("standby", regions.standby.name),
        ("archive", regions.archive.name),
    ):
        if name in seen:
            yield Problem(
                ("regions", key, "name"),
                name,
                f"another region than regions.{seen[name]}: one loss must not take both",
            )
        seen.setdefault(name, key)


def _ranges_apart(regions: Regions) -> Iterator[Problem]:
    if regions.standby.cidr.overlaps(regions.primary.cidr):
        yield Problem(
            ("regions", "standby", "cidr"),
            str(regions.standby.cidr),
            f"a range that does not overlap regions.primary.cidr ({regions.primary.cidr}): the regions may be peered",
        )


def _zones_of_their_region(regions: Regions) -> Iterator[Problem]:
    for key, location in (("primary", regions.primary), ("standby", regions.standby)):
        for index, zone in enumerate(location.zones):
            path = ("regions", key, "zones", index)
            if zone[:-1] != location.name:
                yield Problem(path, zone, f"a zone of {location.name}")
            elif zone in location.zones[:index]:
                yield Problem(path, zone, "a zone that is not listed yet: three different ones")


def _worker_counts(workers: WorkerSettings) -> Iterator[Problem]:
    if workers.minimum > workers.maximum:
        yield Problem(("workers", "minimum"), workers.minimum, f"at most workers.maximum ({workers.maximum})")
    if workers.standby_minimum > workers.minimum:
        yield Problem(
            ("workers", "standbyMinimum"),
            workers.standby_minimum,
            f"at most workers.minimum ({workers.minimum}): a standby is smaller than what it stands by for",
        )


def _large_enough_machines(capacity: CapacitySettings) -> Iterator[Problem]:
    profile = CAPACITY[capacity.profile]
    if capacity.control_plane_type is not None:
        path = ("capacity", "controlPlaneType")
        chosen, least = INSTANCE_TYPES[capacity.control_plane_type], INSTANCE_TYPES[profile.control_plane]
        if not chosen.recovers:
            yield Problem(
                path,
                chosen.name,
                "a type without instance store: EC2 does not recover a machine that has one",
            )
        elif smaller_than(chosen, least):
            yield Problem(path, chosen.name, f"at least {least.name}, the profile {capacity.profile}'s")
    for index, name in enumerate(capacity.worker_types or ()):
        chosen, least = INSTANCE_TYPES[name], INSTANCE_TYPES[profile.workers[0]]
        if smaller_than(chosen, least):
            path = ("capacity", "workerTypes", index)
            yield Problem(path, name, f"at least {least.name}, the profile {capacity.profile}'s")


def _database_grows(database: DatabaseSettings) -> Iterator[Problem]:
    if database.maximum_storage_gigabytes < database.storage_gigabytes:
        yield Problem(
            ("database", "maximumStorageGigabytes"),
            database.maximum_storage_gigabytes,
            f"at least database.storageGigabytes ({database.storage_gigabytes})",
        )


def _returns_with_a_new_database(role: StackRole, database: DatabaseSettings) -> Iterator[Problem]:
    # The region's first database is no replica, and AWS makes none of it.
    if role is StackRole.RETURNING and database.primary_generation == 1:
        yield Problem(
            ("database", "primaryGeneration"),
            database.primary_generation,
            "at least 2 with the role returning: no database that was written to becomes a replica, a new one takes"
            " its place; `mlops-ha failback` sets both",
        )


def _within_the_lock(retention: RetentionSettings) -> Iterator[Problem]:
    lock = retention.lock
    if lock.minimum_days > lock.maximum_days:
        yield Problem(
            ("retention", "lock", "minimumDays"),
            lock.minimum_days,
            f"at most retention.lock.maximumDays ({lock.maximum_days})",
        )
    elif not lock.minimum_days <= retention.archive_days <= lock.maximum_days:
        yield Problem(
            ("retention", "archiveDays"),
            retention.archive_days,
            f"between {lock.minimum_days} and {lock.maximum_days}, the lock's: AWS Backup fails every job outside",
        )


def _edge_of_its_own(edge: EdgeSettings | None, domain: str) -> Iterator[Problem]:
    if edge is not None and (edge.domain == domain or edge.domain.endswith(f".{domain}")):
        yield Problem(
            ("edge", "domain"),
            edge.domain,
            f"a domain outside {domain}: the edge points at names of that zone and cannot be one of them",
        )


RULES: tuple[Rule, ...] = (
    _regions_differ,
    _ranges_apart,
    _zones_of_their_region,
    _worker_counts,
    _large_enough_machines,
    _database_grows,
    _returns_with_a_new_database,
    _within_the_lock,
    _edge_of_its_own,
)


def cross_field_problems(valid: dict[str, Any]) -> Iterator[Problem]:
    """Run every rule whose arguments, named like the settings' blocks, are all in ``valid``."""
    for rule in RULES:
        needed = inspect.signature(rule).parameters
        if needed.keys() <= valid.keys():
            yield from rule(**{name: valid[name] for name in needed})
