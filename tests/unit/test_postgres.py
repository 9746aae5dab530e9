"""Postgres: a primary with replicas beside it, a standby that replicates it, and what a promotion changes."""

import re
from typing import Any

import pulumi
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.postgres import Postgres, PostgresArgs
from configs import database
from configs.settings.model import DatabaseSettings, StackRole
from configs.tables.names import Names
from gates.role_switch import role_switch_guard
from tests.unit.mocks import REGIONS, Run, run_in_region, secret

SOURCE_ARN = "arn:aws:rds:us-east-1:123456789012:db:mlops-postgres"
ZONES = ("z1", "z2", "z3")
INSTANCE, GROUP = "aws:rds/instance:Instance", "aws:cloudwatch/logGroup:LogGroup"


def postgres(
    role: StackRole,
    region: str = "us-west-2",
    protect: bool = True,
    version: str = "15",
    settings: DatabaseSettings | None = None,
    generation: int = 1,
) -> Run:
    def program(opts: pulumi.ResourceOptions) -> None:
        built = Postgres(
            "data",
            PostgresArgs(
                names=Names("mlops", "123456789012", region),
                settings=settings or DatabaseSettings(),
                role=role,
                generation=generation,
                version=version,
                retention_days=14,
                zones=ZONES,
                subnet_ids=("subnet-1", "subnet-2", "subnet-3"),
                security_group_id="sg-1",
                key_arn="key-arn",
                password="the password" if role is StackRole.PRIMARY else None,
                source_arn=SOURCE_ARN,
                protect=protect,
                role_switch=role_switch_guard(),
            ),
            opts,
        )
        pulumi.export("address", built.address)
        pulumi.export("arn", built.arn)
        pulumi.export("identifiers", built.identifiers)
        pulumi.export("replicas", built.replica_identifiers)

    return run_in_region(program, region)


def common(identifier: str, label: str, protect: bool) -> dict[str, Any]:
    """What every database has."""
    return {
        "identifier": identifier,
        "instanceClass": "db.m6i.large",
        "storageType": "gp3",
        "maxAllocatedStorage": 500,
        "storageEncrypted": True,
        "parameterGroupName": "mlops-postgres15",
        "port": 5432,
        "publiclyAccessible": False,
        "vpcSecurityGroupIds": ["sg-1"],
        "caCertIdentifier": "rds-ca-rsa2048-g1",
        "autoMinorVersionUpgrade": True,
        "applyImmediately": False,
        "maintenanceWindow": "sun:05:00-sun:06:00",
        "copyTagsToSnapshot": True,
        "performanceInsightsEnabled": True,
        "performanceInsightsKmsKeyId": "key-arn",
        "performanceInsightsRetentionPeriod": 7,
        "enabledCloudwatchLogsExports": ["postgresql"],
        "deletionProtection": protect,
        "tags": {"Name": label},
    }


def main(protect: bool, own: dict[str, Any]) -> dict[str, Any]:
    """What the database of any role has."""
    return {
        **common("mlops-postgres", "data-database", protect),
        "kmsKeyId": "key-arn",
        "dbSubnetGroupName": "mlops-postgres",
        "multiAz": True,
        "backupRetentionPeriod": 14,
        "backupWindow": "03:00-04:00",
        "deleteAutomatedBackups": not protect,
        "skipFinalSnapshot": not protect,
        "finalSnapshotIdentifier": "mlops-postgres-final",
        **own,
    }


def replica(number: int, zone: str, protect: bool) -> dict[str, Any]:
    return {
        **common(f"mlops-postgres-replica-{number}", f"data-replica-{number}", protect),
        "replicateSourceDb": "mlops-postgres",
        "availabilityZone": zone,
        "multiAz": False,
        "backupRetentionPeriod": 0,
        "skipFinalSnapshot": True,
    }


def log(identifier: str, label: str) -> dict[str, Any]:
    return {
        "name": f"/aws/rds/instance/{identifier}/postgresql",
        "retentionInDays": 30,
        "kmsKeyId": "key-arn",
        "tags": {"Name": label},
    }


OWN = {
    StackRole.PRIMARY: {
        "engine": "postgres",
        "engineVersion": "15",
        "allocatedStorage": 100,
        "dbName": "grafana",
        "username": "grafana",
        "passwordWo": secret("the password"),
        "passwordWoVersion": 1,
    },
    StackRole.STANDBY: {"replicateSourceDb": SOURCE_ARN, "skipFinalSnapshot": True},
    StackRole.ACTIVE: {},
    StackRole.RETURNING: {"replicateSourceDb": SOURCE_ARN, "skipFinalSnapshot": True},
    StackRole.LEAVING: {},
}


@pytest.mark.parametrize("protect", [True, False])
@pytest.mark.parametrize("role", StackRole)
def test_every_resource_is_exactly_the_plan(role: StackRole, protect: bool) -> None:
    """Guards against a database in one zone, unencrypted, without backups, or that a standby's `up` starts empty."""
    databases = {"data-database": main(protect, OWN[role])}
    logs = {"data-database-log": log("mlops-postgres", "data-database-log")}
    if role is StackRole.PRIMARY:
        for number, zone in ((1, "z2"), (2, "z3")):
            databases[f"data-replica-{number}"] = replica(number, zone, protect)
            label = f"data-replica-{number}-log"
            logs[label] = log(f"mlops-postgres-replica-{number}", label)
    parameters = [
        {"name": "max_slot_wal_keep_size", "value": "20480", "applyMethod": "immediate"},
        {"name": "rds.force_ssl", "value": "1", "applyMethod": "immediate"},
    ]
    assert postgres(role, protect=protect).inputs_by_type() == {
        "aws:rds/subnetGroup:SubnetGroup": {
            "data-subnets": {
                "name": "mlops-postgres",
                "description": "one data subnet in every zone",
                "subnetIds": ["subnet-1", "subnet-2", "subnet-3"],
                "tags": {"Name": "data-subnets"},
            }
        },
        "aws:rds/parameterGroup:ParameterGroup": {
            "data-parameters": {
                "name": "mlops-postgres15",
                "family": "postgres15",
                "description": "what differs from the parameters of RDS",
                "parameters": parameters,
                "tags": {"Name": "data-parameters"},
            }
        },
        INSTANCE: databases,
        GROUP: logs,
    }


@pytest.mark.parametrize("role", StackRole)
def test_a_later_database_is_another_one_and_began_as_a_replica(role: StackRole) -> None:
    """Guards against a new database that replaces, or is named like, the one with what was never replicated."""
    run = postgres(role, generation=2)
    own = {"identifier": "mlops-postgres-2", "finalSnapshotIdentifier": "mlops-postgres-2-final"}
    label = {"tags": {"Name": "data-database-2"}}
    databases = {"data-database-2": main(True, {} if role is StackRole.PRIMARY else OWN[role]) | own | label}
    logs = {"data-database-2-log": log("mlops-postgres-2", "data-database-2-log")}
    if role is StackRole.PRIMARY:
        for number, zone in ((1, "z2"), (2, "z3")):
            name, identifier = f"data-2-replica-{number}", f"mlops-postgres-2-replica-{number}"
            source = {"identifier": identifier, "replicateSourceDb": "mlops-postgres-2", "tags": {"Name": name}}
            databases[name] = replica(number, zone, True) | source
            logs[f"{name}-log"] = log(identifier, f"{name}-log")
    assert run.inputs("Instance") == databases
    assert run.inputs("LogGroup") == logs
    [stack] = [given for given in run.outputs.values() if "identifiers" in given]
    assert stack["identifiers"]["postgres-2"] == "mlops-postgres-2"


@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize("protect", [True, False])
def test_every_database_is_protected_and_in_its_region(region: str, protect: bool) -> None:
    """Guards against a database that a mistake deletes, and against one in the region that may be lost."""
    run = postgres(StackRole.PRIMARY, region, protect)
    databases = {"data-database", "data-replica-1", "data-replica-2"}
    assert {one.name for one in run.resources if one.protect} == (databases if protect else set())
    assert {(one.parent, one.provider) for one in run.resources} == {("Postgres data", f"aws {region}")}
    component = [one for one in run.everything if one.type == "mlops:platform:Postgres"]
    assert [one.parent for one in component] == [f"Region {region}"]


@pytest.mark.parametrize("role", StackRole)
def test_the_database_has_its_guard_and_its_log_first(role: StackRole) -> None:
    """Guards against a promoted database that is given a source, and against a log that RDS keeps without our key."""
    instances = postgres(role).of("Instance")
    assert {name: dict(one.hooks) for name, one in instances.items() if one.hooks} == {
        "data-database": {"before_update": ["role-switch"]}
    }
    assert {name: one.depends_on for name, one in instances.items()} == {
        name: {f"LogGroup {name}-log"} for name in instances
    }


@pytest.mark.parametrize(
    ("role", "identifiers", "replicas"),
    [
        (
            StackRole.PRIMARY,
            {
                "postgres": "mlops-postgres",
                "postgres-replica-1": "mlops-postgres-replica-1",
                "postgres-replica-2": "mlops-postgres-replica-2",
            },
            {
                "postgres-replica-1": "mlops-postgres-replica-1",
                "postgres-replica-2": "mlops-postgres-replica-2",
            },
        ),
        (StackRole.STANDBY, {"postgres": "mlops-postgres"}, {"postgres": "mlops-postgres"}),
        (StackRole.ACTIVE, {"postgres": "mlops-postgres"}, {}),
        (StackRole.RETURNING, {"postgres": "mlops-postgres"}, {"postgres": "mlops-postgres"}),
        (StackRole.LEAVING, {"postgres": "mlops-postgres"}, {}),
    ],
)
def test_hands_on_what_others_need(role: StackRole, identifiers: dict[str, str], replicas: dict[str, str]) -> None:
    """Guards against a replica whose lag nobody watches, and a Grafana that is sent to another database."""
    outputs = postgres(role).outputs
    [stack] = [given for given in outputs.values() if "identifiers" in given]
    assert (stack["identifiers"], stack.get("replicas", {})) == (identifiers, replicas)
    assert stack["address"] == "Instance data-database address"
    assert stack["arn"] == "Instance data-database arn"


def test_a_named_minor_version_stays() -> None:
    """Guards against a database that AWS upgrades beyond what the next `up` asks for, which AWS then refuses."""
    instances = postgres(StackRole.PRIMARY, version="15.12").inputs("Instance")
    assert {one["autoMinorVersionUpgrade"] for one in instances.values()} == {False}
    assert instances["data-database"]["engineVersion"] == "15.12"


def test_settings_reach_the_databases() -> None:
    """Guards against a setting that does nothing, and a replica that is smaller than its source."""
    settings = DatabaseSettings.model_validate(
        {
            "instanceClass": "db.m6i.xlarge",
            "storageGigabytes": 200,
            "maximumStorageGigabytes": 900,
            "replicaCount": 4,
        }
    )
    run = postgres(StackRole.PRIMARY, settings=settings)
    instances = run.inputs("Instance")
    assert {(one["instanceClass"], one["maxAllocatedStorage"]) for one in instances.values()} == {
        ("db.m6i.xlarge", 900)
    }
    assert instances["data-database"]["allocatedStorage"] == 200
    assert [one.get("availabilityZone") for one in instances.values()] == [None, "z2", "z3", "z1", "z2"]
    assert run.inputs("ParameterGroup")["data-parameters"]["parameters"][0]["value"] == "40960"


@pytest.mark.parametrize(
    ("generation", "identifier"), [(1, "mlops-postgres"), (2, "mlops-postgres-2"), (11, "mlops-postgres-11")]
)
def test_a_database_is_named_by_its_generation(generation: int, identifier: str) -> None:
    """Guards against the other stack, and the commands, that look for a database under another name."""
    assert database.database_identifier(Names("mlops", "123456789012", "us-west-2"), generation) == identifier


@given(gigabytes=st.integers(20, 65_536))
def test_the_log_leaves_room_for_the_data(gigabytes: int) -> None:
    """Guards against a cut-off replica that fills the primary's disk, and a bound that AWS does not take."""
    kept = next(one for one in database.parameters(gigabytes) if one.name == "max_slot_wal_keep_size")
    assert re.fullmatch(r"\d+", kept.value)
    assert 0.15 * gigabytes < int(kept.value) / 1024 <= 0.2 * gigabytes


@given(count=st.integers(1, 5))
def test_replicas_are_spread(count: int) -> None:
    """Guards against two replicas in one zone while another has none."""
    zones = database.replica_zones(ZONES, count)
    counts = [zones.count(zone) for zone in ZONES]
    assert len(zones) == count
    assert max(counts) - min(counts) <= 1
