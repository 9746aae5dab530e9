"""The file system that ML jobs share: one in the primary region, its replica in the standby region."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from configs.policies import Statement, document
from configs.tables.names import ML_DATA, Names


@dataclass(frozen=True)
class MlDataArgs:
    """What the file system is made from; one data subnet a zone.

    ``key_arn`` is given where the file system is made. Without it the file system is the replica, which the primary
    stack made in this region. ``replication_overwrite`` is whether a replication may write into what is made: ENABLED
    protects it from that, DISABLED lets it, None leaves it at AWS's default, which protects it.
    """

    names: Names
    key_arn: pulumi.Input[str] | None
    subnet_ids: Sequence[pulumi.Input[str]]
    security_group_id: pulumi.Input[str]
    protect: bool
    replication_overwrite: str | None = None


class MlData(pulumi.ComponentResource):
    """A file system and a way to it in every zone.

    The replica can only be read until its replication is deleted, which is a step of the failover. It is looked up by
    its creation token, the one look-up of the platform: a mount target wants the id, which AWS makes up, and a
    standby reads nothing of the primary stack's state (ADR 8).
    """

    file_system_id: pulumi.Output[str]
    file_system_arn: pulumi.Output[str]

    def __init__(self, name: str, args: MlDataArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Create the file system, or find it, and the mount targets."""
        super().__init__("mlops:platform:MlData", name, None, opts)
        self._name, self._args = name, args
        child = pulumi.ResourceOptions(parent=self)
        if args.key_arn is None:
            found = aws.efs.get_file_system_output(
                creation_token=args.names.regional(ML_DATA), opts=pulumi.InvokeOptions(parent=self)
            )
            self.file_system_id, self.file_system_arn = found.file_system_id, found.arn
        else:
            made = self._file_system(args.key_arn)
            self.file_system_id, self.file_system_arn = made.id, made.arn
        for number, subnet_id in enumerate(args.subnet_ids, start=1):
            aws.efs.MountTarget(
                f"{name}-mount-{number}",
                file_system_id=self.file_system_id,
                subnet_id=subnet_id,
                security_groups=[args.security_group_id],
                opts=child,
            )
        self.register_outputs({"fileSystemId": self.file_system_id})

    def _file_system(self, key_arn: pulumi.Input[str]) -> aws.efs.FileSystem:
        file_system = aws.efs.FileSystem(
            f"{self._name}-files",
            creation_token=self._args.names.regional(ML_DATA),
            encrypted=True,
            kms_key_id=key_arn,
            # Training reads in bursts and then not for hours: paid by what is moved, with no credits to run out of.
            throughput_mode="elastic",
            lifecycle_policies=[
                # A data set that no job has read for a month is kept at a fraction of the price until one does.
                aws.efs.FileSystemLifecyclePolicyArgs(transition_to_ia="AFTER_30_DAYS"),
                aws.efs.FileSystemLifecyclePolicyArgs(transition_to_primary_storage_class="AFTER_1_ACCESS"),
            ],
            protection=aws.efs.FileSystemProtectionArgs(replication_overwrite=self._args.replication_overwrite)
            if self._args.replication_overwrite
            else None,
            tags={"Name": f"{self._name}-files"},
            opts=pulumi.ResourceOptions(parent=self, protect=self._args.protect),
        )
        aws.efs.FileSystemPolicy(
            f"{self._name}-policy",
            file_system_id=file_system.id,
            policy=file_system.arn.apply(_policy),
            opts=pulumi.ResourceOptions(parent=self),
        )
        return file_system


def _policy(file_system_arn: str) -> str:
    # https://docs.aws.amazon.com/efs/latest/ug/access-control-block-public-access.html: everyone who comes through a
    # mount target is one whom the security group let in, which is not "public".
    use = [f"elasticfilesystem:Client{right}" for right in ("Mount", "Write", "RootAccess")]
    everyone = {"AWS": "*"}
    return document(
        Statement(
            "ThroughMountTargets",
            use,
            [file_system_arn],
            {"Bool": {"elasticfilesystem:AccessedViaMountTarget": "true"}},
            principal=everyone,
        ),
        Statement(
            "OnlyWithTls",
            use,
            [file_system_arn],
            {"Bool": {"aws:SecureTransport": "false"}},
            principal=everyone,
            deny=True,
        ),
    )
