"""What the database is set to: its parameters, where its replicas go, and what it may keep of its log."""

from __future__ import annotations

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
