"""What the primary region replicates into, in the standby region: made before anything is copied."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.encryption_key_replica import EncryptionKeyReplica, EncryptionKeyReplicaArgs
from components.image_repositories import ImageRepositories, ImageRepositoriesArgs
from components.private_bucket import PrivateBucket, PrivateBucketArgs
from configs.tables.names import BACKUPS_BUCKET, ML_DATA, EncryptionKeyName, Names
from configs.tables.versions import Software


@dataclass(frozen=True)
class ReplicaTargetsArgs:
    """What the targets are made from; ``names`` are those of the standby region.

    ``is_source`` is whether ML data is copied out of that region now, on the way home, instead of into it.
    """

    names: Names
    primary_key_arn: pulumi.Input[str]
    protect: bool
    is_source: bool = False


class ReplicaTargets(pulumi.ComponentResource):
    """Key, bucket, file system and image repositories. The standby stack finds each by its name."""

    region: str
    key_arn: pulumi.Output[str]
    bucket: PrivateBucket
    file_system_id: pulumi.Output[str]
    repositories: Mapping[Software, aws.ecr.Repository]

    def __init__(self, name: str, args: ReplicaTargetsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Create the targets."""
        super().__init__("mlops:platform:ReplicaTargets", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        key = EncryptionKeyReplica(
            f"{name}-key",
            EncryptionKeyReplicaArgs(args.names, EncryptionKeyName.SHARED, args.primary_key_arn, args.protect),
            child,
        )
        self.region, self.key_arn = args.names.region, key.arn
        self.bucket = PrivateBucket(
            f"{name}-backups", PrivateBucketArgs(args.names, BACKUPS_BUCKET, key.arn, args.protect), child
        )
        label = f"{name}-{ML_DATA}"
        self.file_system_id = aws.efs.FileSystem(
            label,
            creation_token=args.names.regional(ML_DATA),
            encrypted=True,
            kms_key_id=key.arn,
            throughput_mode="elastic",
            # Unless DISABLED, EFS refuses to replicate into it. While it does, the file system is read-only. When a
            # replication is deleted EFS itself protects its target again: said here too, so that the next one finds
            # a change to make (https://docs.aws.amazon.com/efs/latest/ug/replication-overwrite.html).
            protection=aws.efs.FileSystemProtectionArgs(
                replication_overwrite="ENABLED" if args.is_source else "DISABLED"
            ),
            tags={"Name": label},
            opts=pulumi.ResourceOptions(parent=self, protect=args.protect),
        ).id
        self.repositories = ImageRepositories(
            f"{name}-images", ImageRepositoriesArgs(args.names, key.arn, args.protect), child
        ).by_software
        self.register_outputs({"bucket": self.bucket.id, "fileSystem": self.file_system_id})
