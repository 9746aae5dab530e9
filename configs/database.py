"""What the database is set to: its parameters, where its replicas go, and what it may keep of its log."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from configs.tables.names import DATABASE, Names

NAME = "grafana"
"""Database inside the server, and the user that owns it: Grafana is the only one that keeps anything there."""

PASSWORD_VERSION = 1
"""AWS never tells the password, so that a changed one shows by this number alone: raise it with the password."""

LOG_DAYS = 30
"""Days that the server's log is kept: a month, as the flow logs are by default."""

INSIGHTS_DAYS = 7
"""Days that Performance Insights keeps: what is free of charge (https://aws.amazon.com/rds/performance-insights/)."""

CERTIFICATE_AUTHORITY = "rds-ca-rsa2048-g1"
"""Issuer of the server's certificate, pinned because another one restarts the server. It is valid until 2061
(https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.SSL.html)."""

_SLOT_SHARE = 5
_MEBIBYTES = 1024


@dataclass(frozen=True)
class Parameter:
    """A setting of PostgreSQL that takes effect at once, without a restart."""

    name: str
    value: str


def major_version(version: str) -> str:
    """Return the major version of PostgreSQL, "15" of "15.12"."""
    return version.partition(".")[0]


def parameter_family(version: str) -> str:
    """Return the family of parameter groups that a version of PostgreSQL takes."""
    return f"postgres{major_version(version)}"


def upgrades_itself(version: str) -> bool:
    """Say whether AWS may install minor versions: it may, in the maintenance window, unless the setting names one.

    A minor version that is named must stay: the next `up` would ask for the older one again, which AWS refuses.
    """
    return version == major_version(version)


def slot_log_gibibytes(storage_gigabytes: int) -> int:
    """Return how much log the database keeps for replicas that fell behind: a fifth of its storage.

    Without a bound (PostgreSQL's default) a replica that is cut off fills the disk of the primary. An idle database
    writes one segment of 64 MiB every five minutes: a fifth of 100 GiB lasts a day. A replica that needs more than
    that catches up from the archived log, or is made again.
    """
    return storage_gigabytes // _SLOT_SHARE


def parameters(storage_gigabytes: int) -> tuple[Parameter, ...]:
    """Return what differs from RDS's own parameters."""
    return (
        # In megabytes. https://www.postgresql.org/docs/15/runtime-config-replication.html
        Parameter("max_slot_wal_keep_size", str(slot_log_gibibytes(storage_gigabytes) * _MEBIBYTES)),
        # On in RDS's PostgreSQL 15 already; stated, so that nobody need know that.
        # https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/PostgreSQL.Concepts.General.SSL.html
        Parameter("rds.force_ssl", "1"),
    )


def replica_zones(zones: Sequence[str], count: int) -> tuple[str, ...]:
    """Return the zones of the replicas, in turn, the first zone last.

    RDS itself picks the two zones of the primary: what matters is that no two of the first three share one.
    """
    return tuple(zones[(index + 1) % len(zones)] for index in range(count))


def database_label(generation: int) -> str:
    """Return what a region calls its database: its first one plainly, every later one with its number.

    Args:
        generation: how many databases the region has had, this one included.
    """
    return DATABASE if generation == 1 else f"{DATABASE}-{generation}"


def database_identifier(names: Names, generation: int) -> str:
    """Return the identifier of a region's database, "mlops-postgres"; of its second one, "mlops-postgres-2"."""
    return names.regional(database_label(generation))


def log_group(identifier: str) -> str:
    """Return the log group that RDS writes the log of a database to.

    https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_LogAccess.Concepts.PostgreSQL.html
    """
    return f"/aws/rds/instance/{identifier}/postgresql"


# Connections. One pooler a server, and behind each the Grafana of that server.

WANTED_CONNECTIONS = 300
"""Connections that all Grafanas together may hold: what one of them was to have. A connection costs the database
some 10 MB when it works (https://www.postgresql.org/docs/15/runtime-config-resource.html, work_mem and what a
session caches), and two cores are not served faster by more of them."""

_BYTES_PER_CONNECTION = 9_531_392
_MOST_CONNECTIONS = 5_000
"""RDS's default: LEAST({DBInstanceClassMemory/9531392},5000)
(https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/CHAP_Limits.html#RDS_Limits.MaxConnections)."""

_GIBIBYTE = 1024**3

_USABLE_TENTHS = 7
"""Tenths of a class's memory that the formula sees at least: RDS keeps some for the machine and for itself, and says
only that it does (same page). It weighs most on the smallest class, where 1 GiB makes some 80 connections."""

_RESERVED_FOR_ADMINISTRATORS = 5
"""Three that PostgreSQL keeps for superusers and two that RDS keeps for its own
(https://www.postgresql.org/docs/15/runtime-config-connection.html#GUC-SUPERUSER-RESERVED-CONNECTIONS;
``rds.rds_superuser_reserved_connections``)."""

_SCRAPE_CONNECTIONS = 2
"""Of an exporter while it is asked (measured with 0.17.1), and every server's Prometheus asks every exporter."""

_HAND_CONNECTIONS = 5
"""For people with a client of their own, as in the runbook of the database."""

_SIZES = {"micro": 1, "small": 2, "medium": 4}
"""GiB of the sizes below ``large``, whatever the family (https://aws.amazon.com/rds/instance-types/)."""

_LARGE_GIBIBYTES = {"m": 8, "r": 16, "t": 8, "x": 32, "z": 16}
"""GiB of the size ``large``, which has two cores, by the family's first letter (same page). Two (x1e and x2iedn)
have twice as much: to take them for smaller does no harm."""

_LEAST_GIBIBYTES = 4
"""GiB of ``large`` in the leanest family that AWS sells, c: a family that is not known has no less."""


def memory_gibibytes(instance_class: str) -> int:
    """Return the memory of an RDS class like ``db.m6i.large``, at least.

    Raises:
        ValueError: the size is none that AWS uses.
    """
    _, family, size = instance_class.split(".")
    if size in _SIZES:
        return _SIZES[size]
    large = _LARGE_GIBIBYTES.get(family[0], _LEAST_GIBIBYTES)
    if size == "large":
        return large
    if found := re.fullmatch(r"(\d*)xlarge", size):
        return large * 2 * int(found[1] or 1)
    raise ValueError(f"no size of RDS: {size}")


def maximum_connections(instance_class: str) -> int:
    """Return how many connections a database of a class takes at least, by RDS's own setting."""
    memory = memory_gibibytes(instance_class) * _GIBIBYTE * _USABLE_TENTHS // 10
    return min(memory // _BYTES_PER_CONNECTION, _MOST_CONNECTIONS)


def pool_size(instance_class: str, poolers: int) -> int:
    """Return how many connections each pooler may hold, so that all of them together never fill the database.

    Args:
        instance_class: RDS's class of the database.
        poolers: how many there are, one a server.
    """
    exporters = poolers * poolers * _SCRAPE_CONNECTIONS
    others = _RESERVED_FOR_ADMINISTRATORS + _HAND_CONNECTIONS + exporters
    return min(WANTED_CONNECTIONS, maximum_connections(instance_class) - others) // poolers
