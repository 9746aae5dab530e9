"""The database: PostgreSQL in two zones, its readable replicas, and elsewhere the replica that takes over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from configs.database import (
    CERTIFICATE_AUTHORITY,
    INSIGHTS_DAYS,
    LOG_DAYS,
    NAME,
    PASSWORD_VERSION,
    database_identifier,
    database_label,
    log_group,
    parameter_family,
    parameters,
    replica_zones,
    upgrades_itself,
)
from configs.settings.model import DatabaseSettings, StackRole
from configs.tables.flows import POSTGRESQL
from configs.tables.names import DATABASE, Names


@dataclass(frozen=True)
class PostgresArgs:
    """What the database is made from; subnets in the order of ``zones``.

    ``generation`` counts the region's databases, ``source_arn`` is that of the other region's, which a replica
    replicates. ``password`` is the first primary's alone: a replica has what its source has. ``role_switch`` refuses
    what AWS refuses: to give a promoted database a source again.
    """

    names: Names
    settings: DatabaseSettings
    role: StackRole
    generation: int
    version: str
    retention_days: int
    zones: Sequence[str]
    subnet_ids: Sequence[pulumi.Input[str]]
    security_group_id: pulumi.Input[str]
    key_arn: pulumi.Input[str]
    password: pulumi.Input[str] | None
    source_arn: str
    protect: bool
    role_switch: pulumi.ResourceHook


class Postgres(pulumi.ComponentResource):
    """A Multi-AZ instance, not a Multi-AZ cluster: only an instance can be replicated to another region.

    A standby's database becomes the active one's by losing its source: one update, nothing else. So what a replica
    takes from its source (engine, user, password, name) stays unsaid after the promotion too, and of every database
    but a region's first: all others began as replicas.

    A later generation is another resource with another identifier. Its predecessor leaves the program and stays in
    AWS: it alone has the transactions that were never replicated.
    """

    address: pulumi.Output[str]
    """Name that the database is reached by, also after it has moved to its other zone."""
    arn: pulumi.Output[str]
    identifiers: dict[str, pulumi.Output[str]]
    """Identifier of every database, by a label that is unique in the region."""
    replica_identifiers: dict[str, pulumi.Output[str]]
    """Those of them that lag behind a source."""

    def __init__(self, name: str, args: PostgresArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Create the database."""
        super().__init__("mlops:platform:Postgres", name, None, opts)
        self._name, self._args, self._label = name, args, database_label(args.generation)
        self._replicates = args.role in (StackRole.STANDBY, StackRole.RETURNING)
        self._suffix = "" if args.generation == 1 else f"-{args.generation}"
        self._subnets = aws.rds.SubnetGroup(
            f"{name}-subnets",
            name=args.names.regional(DATABASE),
            description="one data subnet in every zone",
            subnet_ids=args.subnet_ids,
            tags={"Name": f"{name}-subnets"},
            opts=pulumi.ResourceOptions(parent=self),
        )
        self._parameters = aws.rds.ParameterGroup(
            f"{name}-parameters",
            # The family is in the name: the next major version needs a group of its own before it lets go of this.
            name=args.names.regional(parameter_family(args.version)),
            family=parameter_family(args.version),
            description="what differs from the parameters of RDS",
            parameters=[
                aws.rds.ParameterGroupParameterArgs(name=one.name, value=one.value, apply_method="immediate")
                for one in parameters(args.settings.storage_gigabytes)
            ],
            tags={"Name": f"{name}-parameters"},
            opts=pulumi.ResourceOptions(parent=self),
        )
        main = self._main()
        self.address, self.arn = main.address, main.arn
        self.identifiers = {self._label: main.identifier}
        self.replica_identifiers = {self._label: main.identifier} if self._replicates else {}
        if args.role is StackRole.PRIMARY:
            zones = replica_zones(args.zones, args.settings.replica_count)
            for number, zone in enumerate(zones, start=1):
                label = f"{self._label}-replica-{number}"
                self.replica_identifiers[label] = self._replica(label, number, zone, main).identifier
        self.identifiers |= self.replica_identifiers
        self.register_outputs({"address": self.address, "arn": self.arn})

    def _main(self) -> aws.rds.Instance:
        """Return the database that serves, or that will once it is promoted."""
        args = self._args
        own: dict[str, Any] = {}
        if self._replicates:
            own = {"replicate_source_db": args.source_arn}
        elif args.role is StackRole.PRIMARY and args.generation == 1:
            own = {
                "engine": "postgres",
                "engine_version": args.version,
                "allocated_storage": args.settings.storage_gigabytes,
                "db_name": NAME,
                "username": NAME,
                # Not the password that RDS would manage: with it, AWS allows no replicas.
                "password_wo": args.password,
                "password_wo_version": PASSWORD_VERSION,
            }
        return self._instance(
            f"{self._name}-database{self._suffix}",
            database_identifier(args.names, args.generation),
            {
                **own,
                "kms_key_id": args.key_arn,
                "db_subnet_group_name": self._subnets.name,
                "multi_az": True,
                # On in a replica too: switched on at the promotion they would restart the database, just then.
                # While a backup runs, AWS does not promote (the failover waits for its end, some minutes).
                "backup_retention_period": args.retention_days,
                "backup_window": args.settings.backup_window,
                "delete_automated_backups": not args.protect,
                # AWS takes no last snapshot of a replica.
                "skip_final_snapshot": not args.protect or self._replicates,
                "final_snapshot_identifier": args.names.regional(f"{self._label}-final"),
            },
            from_snapshot=self._replicates,
            hooks=pulumi.ResourceHookBinding(before_update=[args.role_switch]),
        )

    def _replica(self, label: str, number: int, zone: str, source: aws.rds.Instance) -> aws.rds.Instance:
        """Return a readable replica beside the primary: it has its source's key, storage and subnets."""
        own = {
            "replicate_source_db": source.identifier,
            "availability_zone": zone,
            "multi_az": False,
            # It is made again from its source, never from a backup.
            "backup_retention_period": 0,
            "skip_final_snapshot": True,
        }
        return self._instance(
            f"{self._name}{self._suffix}-replica-{number}", self._args.names.regional(label), own, from_snapshot=True
        )

    def _instance(
        self,
        label: str,
        identifier: str,
        own: Mapping[str, Any],
        *,
        from_snapshot: bool,
        hooks: pulumi.ResourceHookBinding | None = None,
    ) -> aws.rds.Instance:
        """Return a database with what all of them have, and what is its ``own``."""
        args = self._args
        log = aws.cloudwatch.LogGroup(
            f"{label}-log",
            # RDS would make it too, but without the key, and would keep it for ever.
            name=log_group(identifier),
            retention_in_days=LOG_DAYS,
            kms_key_id=args.key_arn,
            tags={"Name": f"{label}-log"},
            # It is the log of a database that stays.
            opts=pulumi.ResourceOptions(parent=self, retain_on_delete=args.protect),
        )
        return aws.rds.Instance(
            label,
            identifier=identifier,
            instance_class=args.settings.instance_class,
            storage_type="gp3",
            # RDS grows the storage itself; that it then differs from what was asked for, the provider overlooks.
            max_allocated_storage=args.settings.maximum_storage_gigabytes,
            # Said of replicas too: unsaid, the provider takes it for a change to "no", and that replaces.
            storage_encrypted=True,
            parameter_group_name=self._parameters.name,
            port=POSTGRESQL.port,
            publicly_accessible=False,
            vpc_security_group_ids=[args.security_group_id],
            ca_cert_identifier=CERTIFICATE_AUTHORITY,
            auto_minor_version_upgrade=upgrades_itself(args.version),
            # What restarts the database waits for the maintenance window. A promotion never waits.
            apply_immediately=False,
            maintenance_window=args.settings.maintenance_window,
            copy_tags_to_snapshot=True,
            performance_insights_enabled=True,
            performance_insights_kms_key_id=args.key_arn,
            performance_insights_retention_period=INSIGHTS_DAYS,
            enabled_cloudwatch_logs_exports=["postgresql"],
            deletion_protection=args.protect,
            tags={"Name": label},
            **own,
            opts=pulumi.ResourceOptions(
                parent=self,
                protect=args.protect,
                # Whoever lifts the protection wants it out of the program (ADR 16). Deleted are databases by hand,
                # or with the setting `protection` off.
                retain_on_delete=args.protect,
                depends_on=[log],
                hooks=hooks,
                # A replica starts from a snapshot, copied from the other region and loaded into new storage. The
                # provider gives that 40 minutes, which a database of hundreds of gigabytes may well need alone.
                custom_timeouts=pulumi.CustomTimeouts(create="3h") if from_snapshot else None,
            ),
        )
