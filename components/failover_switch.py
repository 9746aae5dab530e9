"""The failover switch: one public object in the standby region that, while it exists, holds traffic there."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from configs.policies import Statement, document
from configs.tables.names import SWITCH_BUCKET, SWITCH_KEY, Names


@dataclass(frozen=True)
class FailoverSwitchArgs:
    """What the switch is made from."""

    names: Names
    protect: bool


class FailoverSwitch(pulumi.ComponentResource):
    """A bucket in which everyone may read one key, and nothing else.

    The object itself is written by the failover command, never by Pulumi: `up` must not move traffic.
    """

    def __init__(self, name: str, args: FailoverSwitchArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Create the bucket."""
        super().__init__("mlops:platform:FailoverSwitch", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        bucket = aws.s3.Bucket(
            f"{name}-bucket",
            bucket=args.names.bucket(SWITCH_BUCKET),
            force_destroy=False,
            tags={"Name": f"{name}-bucket"},
            opts=pulumi.ResourceOptions(parent=self, protect=args.protect),
        )
        aws.s3.BucketOwnershipControls(
            f"{name}-owner",
            bucket=bucket.id,
            rule=aws.s3.BucketOwnershipControlsRuleArgs(object_ownership="BucketOwnerEnforced"),
            opts=child,
        )
        aws.s3.BucketServerSideEncryptionConfiguration(
            f"{name}-encryption",
            bucket=bucket.id,
            rules=[
                aws.s3.BucketServerSideEncryptionConfigurationRuleArgs(
                    # Not a KMS key: the health checkers are anonymous and could not decrypt with it.
                    apply_server_side_encryption_by_default=aws.s3.BucketServerSideEncryptionConfigurationRuleApplyServerSideEncryptionByDefaultArgs(
                        sse_algorithm="AES256"
                    ),
                )
            ],
            opts=child,
        )
        access = aws.s3.BucketPublicAccessBlock(
            f"{name}-access",
            bucket=bucket.id,
            block_public_acls=True,
            ignore_public_acls=True,
            block_public_policy=False,
            restrict_public_buckets=False,
            opts=child,
        )
        aws.s3.BucketPolicy(
            f"{name}-policy",
            bucket=bucket.id,
            policy=document(
                Statement(
                    "HealthCheckersReadTheSwitch",
                    ["s3:GetObject"],
                    [f"{args.names.bucket_arn(SWITCH_BUCKET)}/{SWITCH_KEY}"],
                    principal="*",
                )
            ),
            # S3 refuses a public policy while public policies are blocked.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[access]),
        )
        self.register_outputs({})
