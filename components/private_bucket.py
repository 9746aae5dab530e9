"""A bucket that nobody reads but who is let in: encrypted, versioned, over TLS only."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from configs.policies import Statement, document
from configs.tables.names import Names

OLD_VERSION_DAYS = 35
"""How long what was overwritten or deleted can be had back: five weeks, to find what went wrong last month."""

ABANDONED_UPLOAD_DAYS = 7
"""When the parts of an upload that never ended are removed: AWS's own recommendation. Ours end within minutes."""


@dataclass(frozen=True)
class PrivateBucketArgs:
    """What a bucket is made from. ``purpose`` is its name behind the prefix. Object Lock cannot be added later."""

    names: Names
    purpose: str
    key_arn: pulumi.Input[str]
    protect: bool
    object_lock: bool = False
    expire_noncurrent_days: int = OLD_VERSION_DAYS


class PrivateBucket(pulumi.ComponentResource):
    """A bucket and its settings.

    Its history is that of its versions: who writes a snapshot overwrites the one before, which expires by itself.
    """

    id: pulumi.Output[str]
    """Name of the bucket."""
    arn: pulumi.Output[str]
    region: str
    key_arn: pulumi.Input[str]
    """The key that encrypts it."""
    versioned: aws.s3.BucketVersioning
    """What replication and Object Lock wait for."""

    def __init__(self, name: str, args: PrivateBucketArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Create the bucket."""
        super().__init__("mlops:platform:PrivateBucket", name, None, opts)
        self._name, self._args = name, args
        self._child = pulumi.ResourceOptions(parent=self)
        bucket = aws.s3.Bucket(
            f"{name}-bucket",
            bucket=args.names.bucket(args.purpose),
            object_lock_enabled=args.object_lock,
            force_destroy=not args.protect,
            tags={"Name": f"{name}-bucket"},
            opts=pulumi.ResourceOptions(parent=self, protect=args.protect),
        )
        aws.s3.BucketOwnershipControls(
            f"{name}-owner",
            bucket=bucket.id,
            rule=aws.s3.BucketOwnershipControlsRuleArgs(object_ownership="BucketOwnerEnforced"),
            opts=self._child,
        )
        # The id comes from here, so that nothing is put into the bucket before it encrypts.
        self.id = self._encrypt(bucket).bucket
        self.arn, self.region, self.key_arn = bucket.arn, args.names.region, args.key_arn
        self._close(bucket)
        self.versioned = aws.s3.BucketVersioning(
            f"{name}-versions",
            bucket=bucket.id,
            versioning_configuration=aws.s3.BucketVersioningVersioningConfigurationArgs(status="Enabled"),
            opts=self._child,
        )
        self._expire(bucket)
        self.register_outputs({"bucket": self.id})

    def _encrypt(self, bucket: aws.s3.Bucket) -> aws.s3.BucketServerSideEncryptionConfiguration:
        return aws.s3.BucketServerSideEncryptionConfiguration(
            f"{self._name}-encryption",
            bucket=bucket.id,
            rules=[
                aws.s3.BucketServerSideEncryptionConfigurationRuleArgs(
                    apply_server_side_encryption_by_default=aws.s3.BucketServerSideEncryptionConfigurationRuleApplyServerSideEncryptionByDefaultArgs(
                        sse_algorithm="aws:kms", kms_master_key_id=self._args.key_arn
                    ),
                    # One call of KMS for many objects instead of one for each.
                    bucket_key_enabled=True,
                )
            ],
            opts=self._child,
        )

    def _close(self, bucket: aws.s3.Bucket) -> None:
        access = aws.s3.BucketPublicAccessBlock(
            f"{self._name}-access",
            bucket=bucket.id,
            block_public_acls=True,
            ignore_public_acls=True,
            block_public_policy=True,
            restrict_public_buckets=True,
            opts=self._child,
        )
        arn = self._args.names.bucket_arn(self._args.purpose)
        aws.s3.BucketPolicy(
            f"{self._name}-policy",
            bucket=bucket.id,
            policy=document(
                Statement(
                    "OnlyOverTls",
                    ["s3:*"],
                    [arn, f"{arn}/*"],
                    {"Bool": {"aws:SecureTransport": "false"}},
                    principal="*",
                    deny=True,
                )
            ),
            # S3 refuses two changes of a bucket's access at the same time.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[access]),
        )

    def _expire(self, bucket: aws.s3.Bucket) -> None:
        aws.s3.BucketLifecycleConfiguration(
            f"{self._name}-lifecycle",
            bucket=bucket.id,
            rules=[
                aws.s3.BucketLifecycleConfigurationRuleArgs(
                    id="old-versions",
                    status="Enabled",
                    filter=aws.s3.BucketLifecycleConfigurationRuleFilterArgs(),
                    noncurrent_version_expiration=aws.s3.BucketLifecycleConfigurationRuleNoncurrentVersionExpirationArgs(
                        noncurrent_days=self._args.expire_noncurrent_days
                    ),
                ),
                aws.s3.BucketLifecycleConfigurationRuleArgs(
                    id="abandoned-uploads",
                    status="Enabled",
                    filter=aws.s3.BucketLifecycleConfigurationRuleFilterArgs(),
                    abort_incomplete_multipart_upload=aws.s3.BucketLifecycleConfigurationRuleAbortIncompleteMultipartUploadArgs(
                        days_after_initiation=ABANDONED_UPLOAD_DAYS
                    ),
                ),
            ],
            opts=pulumi.ResourceOptions(parent=self, depends_on=[self.versioned]),
        )
