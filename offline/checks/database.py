"""Checks of RDS instances, their subnet and parameter groups, and the replication of their backups.

https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_CreateDBInstance.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from engine.tokens import DATABASE, DATABASE_PARAMETERS, DATABASE_SUBNETS, SECURITY_GROUP, SUBNET
from offline.checks.common import Check, is_given, is_missing, known_text, siblings, values_at
from offline.cloud import Cloud, Proposal, Resource

FAMILY, VERSION = "postgres15", re.compile(r"15(\.\d+)?")
"""The one family of parameters, and the versions of the engine, that are modelled: what the platform runs."""

_ORIGINS = ("replicateSourceDb", "restoreToPointInTime", "s3Import", "snapshotIdentifier")
"""What a database may be made from; without any of them it starts empty."""

_PASSWORDS = ("password", "passwordWo", "manageMasterUserPassword")


def _source(proposal: Proposal, cloud: Cloud) -> tuple[str | None, Resource | None]:
    """Return how the program names the source of a replica, and the source when it exists."""
    name = known_text(proposal, "replicateSourceDb")
    if name is None:
        return None, None
    if name.startswith("arn:"):
        return name, cloud.find(DATABASE, attribute="arn", value=name)
    return name, cloud.find(DATABASE, attribute="identifier", value=name, region=proposal.region)


def _before(proposal: Proposal, cloud: Cloud) -> Resource | None:
    """Return the database as it is before the proposed update, None when there is none yet."""
    return cloud.find(DATABASE, value=proposal.id, region=proposal.region) if proposal.id else None


def _is_encrypted(database: Resource) -> bool:
    return bool(database.attribute("storageEncrypted") or database.attribute("kmsKeyId"))


def database_origin(proposal: Proposal, _: Cloud) -> Iterator[str]:
    """A new database that is not made from another says its engine, size, user and password.

    A promoted replica goes on without them: all four are what its source had.
    """
    if proposal.id is not None or not is_missing(proposal, *_ORIGINS):
        return
    for name in ("engine", "allocatedStorage", "username"):
        if is_missing(proposal, name):
            yield f"{name}: a new database needs it, unless it is made from another ({', '.join(_ORIGINS)})"
    if is_missing(proposal, *_PASSWORDS):
        yield f"passwordWo: a new database needs one of {', '.join(_PASSWORDS)}"


def database_version(proposal: Proposal, cloud: Cloud) -> Iterator[str]:
    """The engine is PostgreSQL 15, and the parameter group is for the engine.

    https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_WorkingWithParamGroups.html
    """
    version = known_text(proposal, "engineVersion")
    if version is not None and not VERSION.fullmatch(version):
        yield f"engineVersion: {version} is not modelled, only 15 and its minor versions are"
    name = known_text(proposal, "parameterGroupName")
    group = cloud.find(DATABASE_PARAMETERS, attribute="name", value=name, region=proposal.region) if name else None
    if group is not None and group.attribute("family") != FAMILY:
        yield f"parameterGroupName: {name} is for {group.attribute('family')}, the database is {FAMILY}"


def database_storage(proposal: Proposal, cloud: Cloud) -> Iterator[str]:
    """Storage never shrinks, and its upper bound is not below it; 0 as upper bound switches growing off.

    https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_PIOPS.ModifyingExisting.html
    """
    size, most = (proposal.inputs.get(name) for name in ("allocatedStorage", "maxAllocatedStorage"))
    if size is None:
        return
    before = _before(proposal, cloud)
    old = before.attribute("allocatedStorage") if before else None
    if isinstance(old, int | float) and size < old:
        yield f"allocatedStorage: {size:g} GiB are less than the {old:g} that {proposal.id} has, which cannot shrink"
    if most and most < size:
        yield f"maxAllocatedStorage: {most:g} GiB are less than allocatedStorage, {size:g}"


GP3_TUNABLE_GIB = 400
"""The size from which on a PostgreSQL database on gp3 has more, and adjustable, operations and throughput."""

_IOPS = {"gp3": (12_000, 64_000), "io1": (1_000, 256_000), "io2": (1_000, 256_000)}


def database_iops(proposal: Proposal, _: Cloud) -> Iterator[str]:
    """Operations per second and throughput fit the type and the size of the storage.

    https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/CHAP_Storage.html
    """
    kind, iops, throughput, size = (
        proposal.inputs.get(name) for name in ("storageType", "iops", "storageThroughput", "allocatedStorage")
    )
    if kind is None:
        return
    if kind in ("io1", "io2") and is_missing(proposal, "iops"):
        yield f"iops: storage of type {kind} needs it"
    if iops is not None and kind not in _IOPS:
        yield f"iops: storage of type {kind} has none"
    elif iops is not None and not _IOPS[kind][0] <= iops <= _IOPS[kind][1]:
        yield f"iops: {iops:g} on {kind}, {_IOPS[kind][0]} to {_IOPS[kind][1]} are allowed"
    if throughput is not None and kind != "gp3":
        yield f"storageThroughput: storage of type {kind} has none, only gp3 has"
    # A replica has the size of its source.
    small = kind == "gp3" and size is not None and size < GP3_TUNABLE_GIB
    for name, value in (("iops", iops), ("storageThroughput", throughput)):
        if small and value is not None:
            yield f"{name}: below {GP3_TUNABLE_GIB} GiB of gp3 it is fixed: leave it out"


def _subnets(proposal: Proposal, cloud: Cloud) -> tuple[str, list[Resource]]:
    """Return the name of the database's subnet group, its own or its source's, and the subnets in it."""
    name = known_text(proposal, "dbSubnetGroupName")
    source = _source(proposal, cloud)[1]
    if name is None and source is not None and source.region == proposal.region:
        name = source.attribute("dbSubnetGroupName")
    group = cloud.find(DATABASE_SUBNETS, attribute="name", value=name, region=proposal.region) if name else None
    names = [identity for _, identity in values_at(group.inputs, "subnetIds[]")] if group else []
    return str(name), [subnet for subnet in cloud.all(SUBNET, region=proposal.region) if subnet.id in names]


def database_network(proposal: Proposal, cloud: Cloud) -> Iterator[str]:
    """A database is in a zone of its subnet group, its security groups in the VPC of it; Multi-AZ picks the zones.

    https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_VPC.WorkingWithRDSInstanceinaVPC.html
    """
    zone = known_text(proposal, "availabilityZone")
    if zone is not None and proposal.inputs.get("multiAz"):
        yield f"availabilityZone: {zone} cannot be chosen with multiAz, which takes two zones of the subnet group"
    name, subnets = _subnets(proposal, cloud)
    if not subnets:
        return
    zones = {subnet.attribute("availabilityZone") for subnet in subnets}
    if zone is not None and zone not in zones:
        yield f"availabilityZone: {zone} has no subnet in {name}, which has {', '.join(sorted(zones))}"
    home = subnets[0].attribute("vpcId")
    for where, identity in values_at(proposal.inputs, "vpcSecurityGroupIds[]"):
        group = cloud.find(SECURITY_GROUP, value=identity, region=proposal.region)
        if group is not None and group.attribute("vpcId") != home:
            yield f"{where}: {identity} is in {group.attribute('vpcId')}, but the subnets of {name} are in {home}"


def database_monitoring(proposal: Proposal, _: Cloud) -> Iterator[str]:
    """Enhanced monitoring needs a role to write with.

    https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_Monitoring.OS.Enabling.html
    """
    if proposal.inputs.get("monitoringInterval") and is_missing(proposal, "monitoringRoleArn"):
        yield "monitoringRoleArn: enhanced monitoring needs a role"


_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_TIME = r"([01]\d|2[0-3]):([0-5]\d)"
_DAY = f"({'|'.join(_DAYS)})"
_BACKUP_WINDOW = re.compile(f"{_TIME}-{_TIME}")
_MAINTENANCE_WINDOW = re.compile(f"{_DAY}:{_TIME}-{_DAY}:{_TIME}", re.IGNORECASE)
SHORTEST_WINDOW = 30
"""Minutes that either window has at least.

https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_CreateDBInstance.html
"""

_DAY_MINUTES = 24 * 60


def _minutes(*parts: str) -> int:
    """Return the minute of the week, or without a day that of the day."""
    *day, hour, minute = parts
    return sum(_DAYS.index(name.lower()) for name in day) * _DAY_MINUTES + int(hour) * 60 + int(minute)


def database_windows(proposal: Proposal, _: Cloud) -> Iterator[str]:
    """The windows of backup and maintenance (UTC) have at least 30 minutes each and do not overlap.

    https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_WorkingWithAutomatedBackups.BackupWindow.html
    """
    windows: dict[str, set[int]] = {}
    for name, shape, cycle in (
        ("backupWindow", _BACKUP_WINDOW, _DAY_MINUTES),
        ("maintenanceWindow", _MAINTENANCE_WINDOW, 7 * _DAY_MINUTES),
    ):
        text = known_text(proposal, name)
        found = shape.fullmatch(text) if text is not None else None
        if text is not None and found is None:
            yield f"{name}: {text} is not a window, such as 03:00-04:00 or for maintenance sun:04:30-sun:05:30"
        if found is None:
            continue
        parts = found.groups()
        start, end = _minutes(*parts[: len(parts) // 2]), _minutes(*parts[len(parts) // 2 :])
        length = (end - start) % cycle
        if length < SHORTEST_WINDOW:
            yield f"{name}: {text} has {length} minutes, at least {SHORTEST_WINDOW} are needed"
        # Minutes of the day: the backup is daily.
        windows[name] = {minute % _DAY_MINUTES for minute in range(start, start + length)}
    if windows.get("backupWindow", set[int]()) & windows.get("maintenanceWindow", set[int]()):
        yield "maintenanceWindow: overlaps backupWindow"


_SNAPSHOT_NAME = re.compile(r"[A-Za-z](-?[A-Za-z0-9])*")
SNAPSHOT_NAME_CHARACTERS = 255
"""The longest name. https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_CreateDBSnapshot.html"""


def final_snapshot(proposal: Proposal, _: Cloud) -> Iterator[str]:
    """A database has a name for its final snapshot or skips it; a replica, which AWS never snapshots, skips it.

    AWS and the provider say so when the database is deleted; it is too late then.
    https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_DeleteDBInstance.html
    """
    name = known_text(proposal, "finalSnapshotIdentifier")
    if name is not None and not (_SNAPSHOT_NAME.fullmatch(name) and len(name) <= SNAPSHOT_NAME_CHARACTERS):
        yield (
            f"finalSnapshotIdentifier: {name} is not a legal name: a letter, then letters, digits and single hyphens,"
            f" at most {SNAPSHOT_NAME_CHARACTERS} characters"
        )
    if not is_missing(proposal, "skipFinalSnapshot") and proposal.inputs.get("skipFinalSnapshot") is not False:
        return
    if is_given(proposal, "replicateSourceDb"):
        yield "skipFinalSnapshot: a replica has no final snapshot: set it to true"
    elif is_missing(proposal, "finalSnapshotIdentifier", "replicateSourceDb"):
        yield "finalSnapshotIdentifier: needed, unless skipFinalSnapshot is true"


def replica_source(proposal: Proposal, cloud: Cloud) -> Iterator[str]:
    """The source of a replica has backups on, and lends what a replica does not bring itself.

    In its region the source is named by its identifier, or by its ARN when the replica has a subnet group of its
    own, and the replica has its key. From another region it is named by its ARN, and the replica has its own subnet
    group (else it would land in the default VPC) and, of an encrypted source, its own key.
    https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_CreateDBInstanceReadReplica.html
    """
    name, source = _source(proposal, cloud)
    if name is None:
        return
    if source is None:
        if not name.startswith("arn:"):
            yield f"replicateSourceDb: {name} does not exist in {proposal.region}"
        return
    if source.attribute("backupRetentionPeriod") in (None, 0):
        yield f"replicateSourceDb: the backups of {name} are off: replicas need backupRetentionPeriod above 0 there"
    if source.attribute("manageMasterUserPassword"):
        yield f"replicateSourceDb: {name} has manageMasterUserPassword, with which AWS allows no replicas"
    key = proposal.inputs.get("kmsKeyId")
    if source.region == proposal.region:
        if not name.startswith("arn:") and is_given(proposal, "dbSubnetGroupName"):
            yield "dbSubnetGroupName: to have another subnet group than its source, a replica names it by its ARN"
        if key is not None and key != source.attribute("kmsKeyId"):
            yield f"kmsKeyId: {key} is not the key of {name}: leave it out"
        return
    if is_missing(proposal, "dbSubnetGroupName"):
        yield f"dbSubnetGroupName: a replica of a source in {source.region} needs one in {proposal.region}"
    if _is_encrypted(source) and is_missing(proposal, "kmsKeyId"):
        yield f"kmsKeyId: {name} is encrypted: a replica of it in {proposal.region} needs a key of {proposal.region}"
    if not _is_encrypted(source) and key is not None:
        yield f"kmsKeyId: {name} is not encrypted, so that its replicas cannot be"


def far_source(proposal: Proposal, cloud: Cloud) -> Iterator[str]:
    """A source that is named by its ARN exists, before a replica of it is made.

    A database that was promoted, or whose source was lost, is not asked any more.
    https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_CreateDBInstanceReadReplica.html
    """
    name, source = _source(proposal, cloud)
    if proposal.id is None and name is not None and name.startswith("arn:") and source is None:
        yield f"replicateSourceDb: {name} does not exist: deploy the stack that has it first"


def new_source(proposal: Proposal, cloud: Cloud) -> Iterator[str]:
    """A database that exists gets no (other) source: promotion, which takes the source away, is one-way.

    hashicorp/terraform-provider-aws internal/service/rds/instance.go
    """
    name = known_text(proposal, "replicateSourceDb")
    before = _before(proposal, cloud)
    if name is None or before is None:
        return
    old = before.attribute("replicateSourceDb")
    if old != name:
        had = f"replicates {old}" if old else "is no replica"
        yield (
            f"replicateSourceDb: cannot elect new source database for replication: {before.id} {had},"
            " and only a new database can be made a replica"
        )


ZONES = 2
"""The fewest zones that RDS allows in a subnet group."""


def database_subnets(proposal: Proposal, cloud: Cloud) -> Iterator[str]:
    """A subnet group has subnets of one VPC in at least two zones.

    https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_CreateDBSubnetGroup.html
    """
    names = {identity for _, identity in values_at(proposal.inputs, "subnetIds[]")}
    found = [subnet for subnet in cloud.all(SUBNET, region=proposal.region) if subnet.id in names]
    if not names or len(found) < len(names):
        return
    zones = {subnet.attribute("availabilityZone") for subnet in found}
    if len(zones) < ZONES:
        yield f"subnetIds: all are in {', '.join(zones)}, a subnet group needs at least {ZONES} zones"
    homes = {subnet.attribute("vpcId") for subnet in found}
    if len(homes) > 1:
        yield f"subnetIds: they are in {' and '.join(sorted(homes))}, the subnets of a group are in one VPC"


STATIC_PARAMETERS = frozenset(
    {
        "huge_pages",
        "max_connections",
        "max_locks_per_transaction",
        "max_prepared_transactions",
        "max_replication_slots",
        "max_wal_senders",
        "max_worker_processes",
        "rds.logical_replication",
        "shared_buffers",
        "shared_preload_libraries",
        "track_activity_query_size",
        "wal_buffers",
    }
)
"""Parameters that PostgreSQL reads only when it starts.

https://www.postgresql.org/docs/15/runtime-config.html
"""


def parameters(proposal: Proposal, _: Cloud) -> Iterator[str]:
    """A parameter is given once, and one that is read only at the start is applied at a reboot.

    https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_ModifyDBParameterGroup.html
    """
    methods = dict(values_at(proposal.inputs, "parameters[].applyMethod"))
    seen = set[Any]()
    for where, name in values_at(proposal.inputs, "parameters[].name"):
        if name in seen:
            yield f"{where}: {name} is given twice"
        seen.add(name)
        method = where.removesuffix("name") + "applyMethod"
        if name in STATIC_PARAMETERS and methods.get(method, "immediate") == "immediate":
            yield f"{method}: {name} is read at the start only: pending-reboot is needed"


def backups_replication(proposal: Proposal, cloud: Cloud) -> Iterator[str]:
    """Backups are replicated into the region of the replication, out of another one, once.

    https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_StartDBInstanceAutomatedBackupsReplication.html
    """
    arn = known_text(proposal, "sourceDbInstanceArn")
    source = cloud.find(DATABASE, attribute="arn", value=arn) if arn is not None else None
    if arn is None or source is None:
        return
    if source.region == proposal.region:
        yield f"sourceDbInstanceArn: {arn} is in {proposal.region} itself; backups are replicated to another region"
    if source.attribute("backupRetentionPeriod") in (None, 0):
        yield f"sourceDbInstanceArn: the backups of {arn} are off"
    if _is_encrypted(source) and is_missing(proposal, "kmsKeyId"):
        yield f"kmsKeyId: {arn} is encrypted: its backups in {proposal.region} need a key of {proposal.region}"
    for other in siblings(proposal, cloud, "sourceDbInstanceArn"):
        yield f"sourceDbInstanceArn: {arn} is replicated to {proposal.region} already, {other.id}"


CHECKS: tuple[Check, ...] = (
    database_origin,
    database_version,
    database_storage,
    database_iops,
    database_network,
    database_monitoring,
    database_windows,
    final_snapshot,
    replica_source,
    far_source,
    new_source,
    database_subnets,
    parameters,
    backups_replication,
)
