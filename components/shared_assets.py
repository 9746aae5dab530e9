"""What both regions live on, and only the primary stack holds: key, secrets, backups, and where replicas lie."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.certificate_authority import CertificateAuthority, CertificateAuthorityArgs
from components.encryption_key import EncryptionKey, EncryptionKeyArgs
from components.private_bucket import PrivateBucket, PrivateBucketArgs
from components.replica_targets import ReplicaTargets, ReplicaTargetsArgs
from components.secrets import Secrets, SecretsArgs
from configs.settings.model import Settings, StackRole
from configs.tables.certificates import public_certificate_names
from configs.tables.names import BACKUPS_BUCKET, EncryptionKeyName, Names


@dataclass(frozen=True)
class SharedAssetsArgs:
    """What the shared assets are made from.

    ``names`` are those of the primary region, ``standby_names`` those of the standby region, where the replicas lie;
    ``standby`` is that region's provider. ``external`` are the secrets of the stack file, by name.
    """

    settings: Settings
    names: Names
    standby_names: Names
    standby: aws.Provider
    external: Mapping[str, pulumi.Input[str]]


class SharedAssets(pulumi.ComponentResource):
    """The standby stack finds all of it by name in its own region: it reads nothing of this stack's state."""

    def __init__(self, name: str, args: SharedAssetsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Create the assets."""
        super().__init__("mlops:platform:SharedAssets", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        settings, protect = args.settings, args.settings.protection
        key = EncryptionKey(
            f"{name}-key",
            EncryptionKeyArgs(args.names, EncryptionKeyName.SHARED, multi_region=True, protect=protect),
            child,
        )
        self.key_arn = key.arn
        self.backups = PrivateBucket(
            f"{name}-backups",
            PrivateBucketArgs(args.names, BACKUPS_BUCKET, key.arn, protect),
            child,
        )
        self.replicas = ReplicaTargets(
            f"{name}-replicas",
            ReplicaTargetsArgs(args.standby_names, key.arn, protect, is_source=settings.role is StackRole.RETURNING),
            pulumi.ResourceOptions(parent=self, providers=[args.standby]),
        )
        authority = CertificateAuthority(
            f"{name}-authority",
            CertificateAuthorityArgs(
                args.names,
                (args.names.region, args.standby_names.region),
                public_certificate_names(settings),
                protect,
            ),
            child,
        )
        self.certificate_expiry = {
            "authority": authority.expires,
            **{certificate.value: issued.expires for certificate, issued in authority.issued.items()},
        }
        secrets = Secrets(
            f"{name}-secrets",
            SecretsArgs(
                names=args.names,
                key_arn=key.arn,
                replica_region=args.standby_names.region,
                replica_key_arn=self.replicas.key_arn,
                authority=authority,
                external=args.external,
                protect=protect,
            ),
            child,
        )
        self.database_password = secrets.database_password
        self.register_outputs({})
