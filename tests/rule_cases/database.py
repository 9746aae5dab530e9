"""Cases of the checks of databases."""

from __future__ import annotations

from collections.abc import Iterator

from engine import tokens
from offline.cloud import Inputs
from tests.rule_cases.bases import inputs
from tests.rule_cases.common import Case, case
from tests.rule_cases.workloads import FAR_REPLICA, REPLICA
from tests.rule_cases.world import DATABASE_ARN, KEY_ARN, WORLD, elsewhere, existing

_GP3: Inputs = {"storageType": "gp3", "allocatedStorage": 400, "iops": 12_000, "storageThroughput": 4_000}
_IO2: Inputs = {"storageType": "io2", "allocatedStorage": 100, "iops": 1_000}
_WINDOWS: Inputs = {"backupWindow": "23:45-00:15", "maintenanceWindow": "Sun:00:15-Sun:00:45"}
_PLAIN_SOURCE = f"{DATABASE_ARN}-far"


def _changed(name: str, check: str, before: Inputs, bad: Inputs, good: Inputs | None = None) -> Case:
    """Return a case of an update of a database that is now as ``before`` says."""
    now = existing(tokens.DATABASE, "db-now", **inputs(tokens.DATABASE, before))
    return Case(
        name,
        tokens.DATABASE,
        f"checks.{check}",
        inputs(tokens.DATABASE, before, good or {}),
        inputs(tokens.DATABASE, before, good or {}, bad),
        [*WORLD, now],
        id="db-now",
    )


def _replica_cases() -> Iterator[Case]:
    kind = tokens.DATABASE
    yield case("missing", kind, "replica_source", {"replicateSourceDb": "missing"}, REPLICA)
    yield case("missing far", kind, "far_source", {"replicateSourceDb": f"{DATABASE_ARN}-missing"}, FAR_REPLICA)
    # An identifier names an instance of its own region only.
    yield case("far by identifier", kind, "replica_source", {"replicateSourceDb": "far"}, FAR_REPLICA)
    no_backups = existing(kind, "db-2", identifier="no-backups", arn=f"{DATABASE_ARN}-2", backupRetentionPeriod=0)
    yield case("no backups", kind, "replica_source", {"replicateSourceDb": "no-backups"}, REPLICA, [no_backups])
    managed = existing(
        kind, "db-3", identifier="managed", backupRetentionPeriod=7, manageMasterUserPassword=True, arn="arn:managed"
    )
    yield case("managed password", kind, "replica_source", {"replicateSourceDb": "managed"}, REPLICA, [managed])
    by_arn: Inputs = {**REPLICA, "replicateSourceDb": DATABASE_ARN, "dbSubnetGroupName": "data"}
    yield case("own subnets", kind, "replica_source", {"replicateSourceDb": "source"}, by_arn)
    yield case(
        "another key",
        kind,
        "replica_source",
        {"kmsKeyId": "arn:aws:kms:us-east-1::key/2"},
        REPLICA,
        [existing(tokens.KEY, "key-2", arn="arn:aws:kms:us-east-1::key/2")],
    )
    yield case("far without subnets", kind, "replica_source", {"dbSubnetGroupName": None}, FAR_REPLICA)
    yield case("far without key", kind, "replica_source", {"kmsKeyId": None}, FAR_REPLICA)
    plain = elsewhere(kind, "db-plain", identifier="plain", arn=_PLAIN_SOURCE, backupRetentionPeriod=7)
    of_plain: Inputs = {**FAR_REPLICA, "replicateSourceDb": _PLAIN_SOURCE, "kmsKeyId": None}
    yield case("far with needless key", kind, "replica_source", {"kmsKeyId": KEY_ARN}, of_plain, [plain])
    # The good update is a promotion.
    promotion: Inputs = {"replicateSourceDb": None, "finalSnapshotIdentifier": "main-final"}
    other: Inputs = {"replicateSourceDb": DATABASE_ARN, "dbSubnetGroupName": "data", "skipFinalSnapshot": True}
    yield _changed("another source", "new_source", REPLICA, {**other, "finalSnapshotIdentifier": None}, promotion)
    promoted: Inputs = {**REPLICA, **promotion}
    yield _changed("promoted before", "new_source", promoted, {"replicateSourceDb": "source"})
    yield _changed("same source", "new_source", REPLICA, other)


def _instance_cases() -> Iterator[Case]:
    kind = tokens.DATABASE
    for name in ("engine", "allocatedStorage", "username"):
        yield case(f"no {name}", kind, "database_origin", {name: None})
    yield case("no password", kind, "database_origin", {"passwordWo": None, "passwordWoVersion": None})
    yield case("another version", kind, "database_version", {"engineVersion": "16.1"}, {"engineVersion": "15.12"})
    old = existing(tokens.DATABASE_PARAMETERS, "old", name="old", family="postgres14")
    yield case(
        "another family",
        kind,
        "database_version",
        {"parameterGroupName": "old"},
        {"parameterGroupName": "other"},
        [old],
    )
    yield _changed("shrunk", "database_storage", {}, {"allocatedStorage": 99}, {"allocatedStorage": 100})
    yield case("bound below", kind, "database_storage", {"maxAllocatedStorage": 99}, {"maxAllocatedStorage": 100})
    yield case("needed", kind, "database_iops", {"iops": None}, _IO2)
    yield case("on gp2", kind, "database_iops", {"storageType": "gp2"}, _IO2)
    yield case("too many", kind, "database_iops", {"iops": 64_001}, _GP3)
    yield case("too few", kind, "database_iops", {"iops": 11_999}, _GP3)
    yield case("throughput of io2", kind, "database_iops", {"storageThroughput": 500}, _IO2)
    yield case("small gp3", kind, "database_iops", {"allocatedStorage": 399}, _GP3)
    one_zone: Inputs = {"availabilityZone": "us-east-1a", "multiAz": False}
    yield case("zone and two zones", kind, "database_network", {"multiAz": True}, one_zone)
    yield case("zone without subnet", kind, "database_network", {"availabilityZone": "us-east-1c"}, one_zone)
    in_zone: Inputs = {**REPLICA, "availabilityZone": "us-east-1b"}
    yield case("zone beside source", kind, "database_network", {"availabilityZone": "us-east-1c"}, in_zone)
    yield case("far group", kind, "database_network", {"vpcSecurityGroupIds": ["sg-far"]})
    yield case("elsewhere", kind, "subnet_zone", {"availabilityZone": "us-west-2a"})
    role = {"monitoringInterval": 60, "monitoringRoleArn": "arn:aws:iam::123456789012:role/other"}
    yield case("no role", kind, "database_monitoring", {"monitoringRoleArn": None}, role)
    yield case("overlap", kind, "database_windows", {"maintenanceWindow": "Sun:00:00-Sun:00:30"}, _WINDOWS)
    yield case("short", kind, "database_windows", {"backupWindow": "23:45-00:14"}, _WINDOWS)
    yield case("no window", kind, "database_windows", {"maintenanceWindow": "23:45-00:15"}, _WINDOWS)
    yield case("none", kind, "final_snapshot", {"finalSnapshotIdentifier": None})
    yield case("illegal", kind, "final_snapshot", {"finalSnapshotIdentifier": "main--final"})
    yield case("of a replica", kind, "final_snapshot", {"skipFinalSnapshot": False}, REPLICA)


def cases() -> Iterator[Case]:
    """Yield the cases of this file."""
    yield from _instance_cases()
    yield from _replica_cases()
    yield case("one zone", tokens.DATABASE_SUBNETS, "database_subnets", {"subnetIds": ["subnet-a", "subnet-a2"]})
    yield case("two VPCs", tokens.DATABASE_SUBNETS, "database_subnets", {"subnetIds": ["subnet-a", "subnet-far"]})
    static = {"name": "max_connections", "value": "500"}
    at_reboot: Inputs = {"parameters": [{**static, "applyMethod": "pending-reboot"}]}
    at_once: Inputs = {"parameters": [{**static, "applyMethod": "immediate"}]}
    parameters = tokens.DATABASE_PARAMETERS
    yield case("static", parameters, "parameters", {"parameters": [static]}, at_reboot)
    yield case("static at once", parameters, "parameters", at_once, at_reboot)
    twice = {"name": "log_statement", "value": "ddl"}
    yield case("twice", parameters, "parameters", {"parameters": [twice, twice]})
    kind = tokens.BACKUPS_REPLICATION
    yield case("same region", kind, "backups_replication", {"sourceDbInstanceArn": DATABASE_ARN})
    yield case("no key", kind, "backups_replication", {"kmsKeyId": None})
    no_backups = elsewhere(tokens.DATABASE, "db-2", arn=_PLAIN_SOURCE, backupRetentionPeriod=0)
    yield case("no backups", kind, "backups_replication", {"sourceDbInstanceArn": _PLAIN_SOURCE}, also=[no_backups])
    again = existing(kind, "ab-1", sourceDbInstanceArn=_PLAIN_SOURCE)
    backed_up = elsewhere(tokens.DATABASE, "db-2", arn=_PLAIN_SOURCE, backupRetentionPeriod=7)
    yield case("twice", kind, "backups_replication", {"sourceDbInstanceArn": _PLAIN_SOURCE}, also=[backed_up, again])
