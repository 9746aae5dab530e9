"""What nodes must know and nobody else: one secret for each role, with exactly what that role may read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws
import pulumi_random as random

from components.certificate_authority import CertificateAuthority
from configs.tables.certificates import Certificate
from configs.tables.flows import NODES, Role
from configs.tables.names import Names
from configs.tables.secrets import (
    CA_CERTIFICATE,
    CERTIFICATE,
    CHARACTERS,
    DATABASE_PASSWORD,
    EXTERNAL,
    GENERATED,
    HEXADECIMAL,
    PRIVATE_KEY,
    PUBLIC_CERTIFICATE,
    PUBLIC_PRIVATE_KEY,
    SecretKind,
    SecretValue,
    document_keys,
    formatted,
)

RECOVERY_DAYS = 30
"""Days in which the deletion of a secret can be taken back; Secrets Manager allows no more."""


@dataclass(frozen=True)
class SecretsArgs:
    """What the secrets are made from.

    ``external`` are the program's own secrets, by name; ``replica_key_arn`` is a key of ``replica_region``.
    """

    names: Names
    key_arn: pulumi.Input[str]
    replica_region: str
    replica_key_arn: pulumi.Input[str]
    authority: CertificateAuthority
    external: Mapping[str, pulumi.Input[str]]
    protect: bool


class Secrets(pulumi.ComponentResource):
    """Generated once, kept for good, and replicated: both regions know the same values.

    A changed document is a new version of its secret; nodes read the newest one.
    """

    database_password: pulumi.Output[str]
    """Secret."""
    secret_names: dict[Role, pulumi.Output[str]]
    """Name of the secret of each role."""

    def __init__(self, name: str, args: SecretsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Create the values and the secrets."""
        super().__init__("mlops:platform:Secrets", name, None, opts)
        self._name, self._args = name, args
        self._generated = {value.name: self._generate(value) for value in GENERATED}
        self.database_password = self._generated[DATABASE_PASSWORD.name]
        self.secret_names = {role: self._secret(role) for role in NODES}
        self.register_outputs({})

    def _generate(self, value: SecretValue) -> pulumi.Output[str]:
        hexadecimal = value.kind is not SecretKind.PASSWORD
        made = random.RandomPassword(
            f"{self._name}-{value.name}",
            length=CHARACTERS[value.kind],
            upper=not hexadecimal,
            lower=not hexadecimal,
            numeric=not hexadecimal,
            special=hexadecimal,
            override_special=HEXADECIMAL if hexadecimal else None,
            # Made anew, it would lock every node out that still knows the old one.
            opts=pulumi.ResourceOptions(parent=self, protect=self._args.protect),
        )
        return made.result.apply(lambda characters: formatted(value.kind, characters))

    def _secret(self, reader: Role) -> pulumi.Output[str]:
        label = f"{self._name}-{reader}"
        secret = aws.secretsmanager.Secret(
            label,
            name=self._args.names.secret(reader),
            kms_key_id=self._args.key_arn,
            # Otherwise the names stay taken after a destroy, here and in the other region.
            recovery_window_in_days=RECOVERY_DAYS if self._args.protect else 0,
            replicas=[
                aws.secretsmanager.SecretReplicaArgs(
                    region=self._args.replica_region, kms_key_id=self._args.replica_key_arn
                )
            ],
            tags={"Name": label},
            opts=pulumi.ResourceOptions(parent=self, protect=self._args.protect),
        )
        aws.secretsmanager.SecretVersion(
            label,
            secret_id=secret.id,
            secret_string=pulumi.Output.json_dumps(self._document(reader), sort_keys=True),
            opts=pulumi.ResourceOptions(parent=self),
        )
        return secret.name

    def _document(self, reader: Role) -> dict[str, pulumi.Output[str]]:
        issued = self._args.authority.issued
        own, public = issued[Certificate(reader)], issued.get(Certificate.PUBLIC)
        known = {
            **self._generated,
            **{name: pulumi.Output.secret(self._args.external[name]) for name in EXTERNAL},
            CA_CERTIFICATE: self._args.authority.certificate,
            CERTIFICATE: own.certificate,
            PRIVATE_KEY: own.private_key,
        }
        if public:
            known |= {PUBLIC_CERTIFICATE: public.certificate, PUBLIC_PRIVATE_KEY: public.private_key}
        return {key: known[key] for key in document_keys(reader, public_certificate=public is not None)}
