"""An encryption key of one region, or the primary of a key that has replicas in others."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from configs.key_policy import DELETION_DAYS, key_policy
from configs.tables.names import EncryptionKeyName, Names


@dataclass(frozen=True)
class EncryptionKeyArgs:
    """What a key is made from. ``multi_region``: whether it may have replicas; it cannot be changed later."""

    names: Names
    key: EncryptionKeyName
    multi_region: bool
    protect: bool


class EncryptionKey(pulumi.ComponentResource):
    """A key that KMS rotates every year, and an alias to find it by."""

    arn: pulumi.Output[str]
    id: pulumi.Output[str]

    def __init__(self, name: str, args: EncryptionKeyArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Create the key."""
        super().__init__("mlops:platform:EncryptionKey", name, None, opts)
        key = aws.kms.Key(
            f"{name}-key",
            description=args.names.regional(args.key),
            enable_key_rotation=True,
            multi_region=args.multi_region,
            deletion_window_in_days=DELETION_DAYS,
            policy=key_policy(args.names),
            tags={"Name": f"{name}-key"},
            opts=pulumi.ResourceOptions(parent=self, protect=args.protect),
        )
        aws.kms.Alias(
            f"{name}-alias",
            name=args.names.key_alias(args.key),
            target_key_id=key.id,
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.arn, self.id = key.arn, key.id
        self.register_outputs({"arn": self.arn, "id": self.id})
