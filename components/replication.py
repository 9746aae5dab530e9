"""What is copied as it changes: backups to both other regions, ML data and images to the standby region."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import pulumi
import pulumi_aws as aws

from components.archive import Archive
from components.private_bucket import PrivateBucket
from components.replica_targets import ReplicaTargets
from configs.policies import Statement, document, trust
from configs.tables.names import Names

WITHIN_MINUTES = 15
"""How far the standby's bucket may be behind: the only time that S3 promises.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/replication-time-control.html
"""


@dataclass(frozen=True)
class ReplicationArgs:
    """What is replicated, and whereto; ``names`` are those of the primary region.

    ``from_standby`` is the standby region's provider while ML data comes home from there, None while it goes there.
    """

    names: Names
    backups: PrivateBucket
    targets: ReplicaTargets
    archive: Archive
    file_system_id: pulumi.Input[str]
    from_standby: aws.Provider | None = None


class Replication(pulumi.ComponentResource):
    """Three replications of AWS's own. Nothing that was there before one of them is copied by it, but for ML data.

    An account has one replication of images a region: two platforms in one account and region share it.
    """

    objects: aws.s3.BucketReplicationConfig
    """What must be there before an object that is to be copied is written."""
    images: aws.ecr.ReplicationConfiguration
    """What must be there before an image that is to be copied is pushed."""

    def __init__(self, name: str, args: ReplicationArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Replicate."""
        super().__init__("mlops:platform:Replication", name, None, opts)
        self._name, self._args = name, args
        self.objects = self._replicate_objects()
        here, there = (args.file_system_id, args.names.region), (args.targets.file_system_id, args.targets.region)
        source, target = (there, here) if args.from_standby else (here, there)
        aws.efs.ReplicationConfiguration(
            f"{name}-ml-data",
            source_file_system_id=source[0],
            destination=aws.efs.ReplicationConfigurationDestinationArgs(file_system_id=target[0], region=target[1]),
            # A file system is in one replication: EFS refuses the new one while the old one is there. That is why
            # both directions are one resource.
            opts=pulumi.ResourceOptions(parent=self, delete_before_replace=True, provider=args.from_standby),
        )
        self.images = aws.ecr.ReplicationConfiguration(
            f"{name}-images",
            replication_configuration=aws.ecr.ReplicationConfigurationReplicationConfigurationArgs(
                rules=[
                    aws.ecr.ReplicationConfigurationReplicationConfigurationRuleArgs(
                        destinations=[
                            aws.ecr.ReplicationConfigurationReplicationConfigurationRuleDestinationArgs(
                                region=args.targets.region, registry_id=args.names.account
                            )
                        ],
                        repository_filters=[
                            aws.ecr.ReplicationConfigurationReplicationConfigurationRuleRepositoryFilterArgs(
                                filter=args.names.repository(""), filter_type="PREFIX_MATCH"
                            )
                        ],
                    )
                ]
            ),
            # ECR makes a repository that is not there, with settings of its own.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[*args.targets.repositories.values()]),
        )
        self.register_outputs({})

    def _replicate_objects(self) -> aws.s3.BucketReplicationConfig:
        backups, standby, archive = self._args.backups, self._args.targets.bucket, self._args.archive.bucket
        role, allowed = self._role()
        return aws.s3.BucketReplicationConfig(
            f"{self._name}-backups",
            bucket=backups.id,
            role=role.arn,
            # Both straight from the source: S3 does not copy a copy.
            rules=[
                _rule("standby", 1, standby, deletions=True, within=WITHIN_MINUTES),
                # What is deleted stays in the archive.
                _rule("archive", 2, archive, deletions=False),
            ],
            opts=pulumi.ResourceOptions(
                parent=self, depends_on=[allowed, backups.versioned, standby.versioned, archive.versioned]
            ),
        )

    def _role(self) -> tuple[aws.iam.Role, aws.iam.RolePolicy]:
        label, child = f"{self._name}-objects", pulumi.ResourceOptions(parent=self)
        role = aws.iam.Role(
            label,
            name=self._args.names.account_wide("replication"),
            # Whoever configures replication must be allowed to pass the role: no other account can.
            assume_role_policy=trust("s3.amazonaws.com"),
            tags={"Name": label},
            opts=child,
        )
        buckets = (self._args.backups, self._args.targets.bucket, self._args.archive.bucket)
        policy = aws.iam.RolePolicy(
            label,
            name="replicate",
            role=role.name,
            policy=pulumi.Output.all(
                *(pulumi.Output.all(bucket.arn, bucket.key_arn, bucket.region) for bucket in buckets)
            ).apply(lambda known: _may_replicate(*(_Place(*place) for place in known))),
            opts=child,
        )
        return role, policy


def _rule(
    name: str, priority: int, to: PrivateBucket, *, deletions: bool, within: int | None = None
) -> aws.s3.BucketReplicationConfigRuleArgs:
    """Return a rule for all objects; S3 wants different priorities although no two rules have one destination."""
    return aws.s3.BucketReplicationConfigRuleArgs(
        id=name,
        priority=priority,
        status="Enabled",
        filter=aws.s3.BucketReplicationConfigRuleFilterArgs(prefix=""),
        delete_marker_replication=aws.s3.BucketReplicationConfigRuleDeleteMarkerReplicationArgs(
            status="Enabled" if deletions else "Disabled"
        ),
        # S3 leaves out what is encrypted by KMS, which is everything, unless told not to.
        source_selection_criteria=aws.s3.BucketReplicationConfigRuleSourceSelectionCriteriaArgs(
            sse_kms_encrypted_objects=aws.s3.BucketReplicationConfigRuleSourceSelectionCriteriaSseKmsEncryptedObjectsArgs(
                status="Enabled"
            )
        ),
        destination=aws.s3.BucketReplicationConfigRuleDestinationArgs(
            bucket=to.arn,
            encryption_configuration=aws.s3.BucketReplicationConfigRuleDestinationEncryptionConfigurationArgs(
                replica_kms_key_id=to.key_arn
            ),
            # The only sign of a replication that fails.
            metrics=aws.s3.BucketReplicationConfigRuleDestinationMetricsArgs(
                status="Enabled",
                event_threshold=aws.s3.BucketReplicationConfigRuleDestinationMetricsEventThresholdArgs(minutes=within)
                if within
                else None,
            ),
            replication_time=aws.s3.BucketReplicationConfigRuleDestinationReplicationTimeArgs(
                status="Enabled",
                time=aws.s3.BucketReplicationConfigRuleDestinationReplicationTimeTimeArgs(minutes=within),
            )
            if within
            else None,
        ),
    )


class _Place(NamedTuple):
    """A bucket as the role's policy names it."""

    bucket: str
    key: str
    region: str

    @property
    def objects(self) -> str:
        return f"{self.bucket}/*"

    def statement(self, sid: str, actions: Sequence[str]) -> Statement:
        """Return the right to use the key, by S3 and for this bucket only: a bucket's own key has its ARN."""
        context = {
            "kms:ViaService": f"s3.{self.region}.amazonaws.com",
            "kms:EncryptionContext:aws:s3:arn": self.bucket,
        }
        return Statement(sid, actions, [self.key], {"StringEquals": context})


def _may_replicate(source: _Place, standby: _Place, archive: _Place) -> str:
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/setting-repl-config-perm-overview.html
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/replication-config-for-kms-objects.html: with a bucket key
    # the destination's key is read too; it is made as everyone makes it, by GenerateDataKey.
    read = ["s3:GetObjectVersionForReplication", "s3:GetObjectVersionAcl", "s3:GetObjectVersionTagging"]
    encrypt = ["kms:Encrypt", "kms:Decrypt", "kms:GenerateDataKey"]
    return document(
        Statement("ReadSource", ["s3:GetReplicationConfiguration", "s3:ListBucket"], [source.bucket]),
        Statement("ReadObjects", read, [source.objects]),
        Statement("WriteCopies", ["s3:ReplicateObject", "s3:ReplicateTags"], [standby.objects, archive.objects]),
        Statement("DeleteFromStandby", ["s3:ReplicateDelete"], [standby.objects]),
        source.statement("DecryptSource", ["kms:Decrypt"]),
        standby.statement("EncryptForStandby", encrypt),
        archive.statement("EncryptForArchive", encrypt),
    )
