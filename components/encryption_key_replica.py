"""The replica of a multi-region key: what is copied here can be read without the region that it came from."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from configs.key_policy import DELETION_DAYS, key_policy
from configs.tables.names import EncryptionKeyName, Names


@dataclass(frozen=True)
class EncryptionKeyReplicaArgs:
    """What a replica is made from; ``names`` are those of the replica's region."""

    names: Names
    key: EncryptionKeyName
    primary_arn: pulumi.Input[str]
    protect: bool


class EncryptionKeyReplica(pulumi.ComponentResource):
    """A replica under the same alias as its primary. It is rotated with the primary, and works without it.

    Its policy is its own: KMS copies the key, not who may use it
    (https://docs.aws.amazon.com/kms/latest/developerguide/multi-region-keys-overview.html).
    """

    arn: pulumi.Output[str]

    def __init__(self, name: str, args: EncryptionKeyReplicaArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Create the replica."""
        super().__init__("mlops:platform:EncryptionKeyReplica", name, None, opts)
        replica = aws.kms.ReplicaKey(
            f"{name}-key",
            description=args.names.regional(args.key),
            primary_key_arn=args.primary_arn,
            deletion_window_in_days=DELETION_DAYS,
            policy=key_policy(args.names),
            tags={"Name": f"{name}-key"},
            opts=pulumi.ResourceOptions(parent=self, protect=args.protect),
        )
        aws.kms.Alias(
            f"{name}-alias",
            name=args.names.key_alias(args.key),
            target_key_id=replica.id,
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.arn = replica.arn
        self.register_outputs({"arn": self.arn})
