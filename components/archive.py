"""The region that only keeps copies: locked, so that neither a mistake nor a thief deletes the last one."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.encryption_key_replica import EncryptionKeyReplica, EncryptionKeyReplicaArgs
from components.private_bucket import PrivateBucket, PrivateBucketArgs
from configs.settings.model import LockMode, RetentionSettings
from configs.tables.names import ARCHIVE_BUCKET, EncryptionKeyName, Names

GRACE_DAYS = 3
"""Days in which a compliance lock can still be taken away; AWS allows no fewer.

https://docs.aws.amazon.com/aws-backup/latest/devguide/API_PutBackupVaultLockConfiguration.html
"""


@dataclass(frozen=True)
class ArchiveArgs:
    """What the archive is made from; ``names`` are those of the archive region.

    ``database_arn`` is None while the region's database is a replica, of which RDS does not promise to copy the
    automated backups (https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_ReplicateBackups.html). What was
    copied stays until its time is up.
    """

    names: Names
    primary_key_arn: pulumi.Input[str]
    retention: RetentionSettings
    database_arn: pulumi.Input[str] | None
    protect: bool


class Archive(pulumi.ComponentResource):
    """A bucket under Object Lock, a locked backup vault, and the database's own backups to any second."""

    key_arn: pulumi.Output[str]
    bucket: PrivateBucket
    vault_arn: pulumi.Output[str]

    def __init__(self, name: str, args: ArchiveArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Create the archive."""
        super().__init__("mlops:platform:Archive", name, None, opts)
        self._name, self._args = name, args
        self._child = pulumi.ResourceOptions(parent=self)
        key = EncryptionKeyReplica(
            f"{name}-key",
            EncryptionKeyReplicaArgs(args.names, EncryptionKeyName.SHARED, args.primary_key_arn, args.protect),
            self._child,
        )
        self.key_arn = key.arn
        self.bucket = self._locked_bucket()
        self.vault_arn = self._locked_vault()
        if args.database_arn is not None:
            aws.rds.InstanceAutomatedBackupsReplication(
                f"{name}-database",
                source_db_instance_arn=args.database_arn,
                retention_period=args.retention.database_days,
                kms_key_id=key.arn,
                # A database has one replication into a region: RDS refuses the new one while the old one is there.
                opts=pulumi.ResourceOptions(parent=self, delete_before_replace=True),
            )
        self.register_outputs({"bucket": self.bucket.id, "vault": self.vault_arn})

    def _locked_bucket(self) -> PrivateBucket:
        retention = self._args.retention
        bucket = PrivateBucket(
            f"{self._name}-copies",
            PrivateBucketArgs(
                self._args.names,
                ARCHIVE_BUCKET,
                self.key_arn,
                self._args.protect,
                object_lock=True,
                expire_noncurrent_days=retention.archive_days,
            ),
            self._child,
        )
        aws.s3.BucketObjectLockConfiguration(
            f"{self._name}-lock",
            bucket=bucket.id,
            rule=aws.s3.BucketObjectLockConfigurationRuleArgs(
                default_retention=aws.s3.BucketObjectLockConfigurationRuleDefaultRetentionArgs(
                    mode=retention.lock.mode.upper(), days=retention.archive_days
                )
            ),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[bucket.versioned]),
        )
        return bucket

    def _locked_vault(self) -> pulumi.Output[str]:
        lock = self._args.retention.lock
        vault = aws.backup.Vault(
            f"{self._name}-vault",
            name=self._args.names.regional("archive"),
            kms_key_arn=self.key_arn,
            force_destroy=not self._args.protect,
            tags={"Name": f"{self._name}-vault"},
            opts=pulumi.ResourceOptions(parent=self, protect=self._args.protect),
        )
        # The ARN comes from here, so that no plan of copies is there before the lock that it must keep to.
        return aws.backup.VaultLockConfiguration(
            f"{self._name}-vault-lock",
            backup_vault_name=vault.name,
            min_retention_days=lock.minimum_days,
            max_retention_days=lock.maximum_days,
            changeable_for_days=GRACE_DAYS if lock.mode is LockMode.COMPLIANCE else None,
            # A vault has one lock: to delete the old one afterwards would take the new one away.
            opts=pulumi.ResourceOptions(parent=self, delete_before_replace=True),
        ).backup_vault_arn
