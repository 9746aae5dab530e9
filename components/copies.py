"""Everything the primary region copies: into the standby region as it changes, into the archive for good."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.archive import Archive, ArchiveArgs
from components.backups import Backups, BackupsArgs
from components.images import Images, ImagesArgs
from components.ml_data import MlData
from components.postgres import Postgres
from components.replication import Replication, ReplicationArgs
from components.shared_assets import SharedAssets
from configs.settings.model import Settings, StackRole
from configs.tables.names import Names
from configs.tables.versions import images


@dataclass(frozen=True)
class CopiesArgs:
    """What is copied. ``archive`` is the provider of the archive region, ``archive_names`` the names in it.

    ``standby`` is the provider of the standby region.
    """

    settings: Settings
    names: Names
    archive_names: Names
    archive: aws.Provider
    standby: aws.Provider
    shared: SharedAssets
    database: Postgres
    ml_data: MlData


class Copies(pulumi.ComponentResource):
    """Replication to the standby region, the images that go with it, and the archive."""

    def __init__(self, name: str, args: CopiesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Create the copies."""
        super().__init__("mlops:platform:Copies", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        settings, shared = args.settings, args.shared
        returning = settings.role is StackRole.RETURNING
        archive = Archive(
            f"{name}-archive",
            ArchiveArgs(
                args.archive_names,
                shared.key_arn,
                settings.retention,
                None if returning else args.database.arn,
                settings.protection,
            ),
            pulumi.ResourceOptions(parent=self, providers=[args.archive]),
        )
        replication = Replication(
            f"{name}-replication",
            ReplicationArgs(
                args.names,
                shared.backups,
                shared.replicas,
                archive,
                args.ml_data.file_system_id,
                from_standby=args.standby if returning else None,
            ),
            child,
        )
        Images(
            f"{name}-images",
            ImagesArgs(
                names=args.names,
                versions={software: settings.version(software) for software in images()},
                key_arn=shared.key_arn,
                backups_bucket=shared.backups.id,
                replication=replication,
                protect=settings.protection,
            ),
            child,
        )
        Backups(
            f"{name}-backups",
            BackupsArgs(
                names=args.names,
                key_arn=shared.key_arn,
                archive_vault_arn=archive.vault_arn,
                # A replica of PostgreSQL has snapshots like any other database, which is what AWS Backup takes.
                # https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_ReadRepl.html
                resources=(args.ml_data.file_system_arn, args.database.arn),
                retention=settings.retention,
                protect=settings.protection,
            ),
            child,
        )
        self.register_outputs({})
