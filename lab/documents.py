"""Secrets as they lie in Secrets Manager, made for a stack that nobody deployed: values, authority, certificates."""

from __future__ import annotations

import os
import secrets
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from configs.settings.model import Settings
from configs.tables.certificates import Certificate, ip_addresses, node_names, public_certificate_names
from configs.tables.flows import NODES, Role
from configs.tables.secrets import (
    CA_CERTIFICATE,
    CERTIFICATE,
    CHARACTERS,
    EXTERNAL,
    GENERATED,
    HEXADECIMAL,
    PRIVATE_KEY,
    PUBLIC_CERTIFICATE,
    PUBLIC_PRIVATE_KEY,
    document_keys,
    formatted,
)

Document = Mapping[str, str]

EXTERNAL_VALUES = {
    "smtpPassword": "a password, with 'quotes' and $pace",
    "slackWebhookUrl": "http://slack.example.com/services/T0/B0/x",
}
"""The program's own secrets."""

_PEM = serialization.Encoding.PEM


def documents(settings: Settings) -> dict[Role, Document]:
    """Return the document of each role of nodes, by role: other values each time."""
    authority = Authority()
    regions = (settings.regions.primary.name, settings.regions.standby.name)
    issued = {
        certificate: authority.issue(
            node_names(certificate, settings.name, regions), tuple(map(IPv4Address, ip_addresses(certificate)))
        )
        for certificate in Certificate
        if certificate is not Certificate.PUBLIC
    }
    public_names = public_certificate_names(settings)
    public = authority.issue(public_names) if public_names else None
    values = {
        value.name: formatted(value.kind, "".join(secrets.choice(HEXADECIMAL) for _ in range(CHARACTERS[value.kind])))
        for value in GENERATED
    }
    values |= {name: EXTERNAL_VALUES[name] for name in EXTERNAL}
    values[CA_CERTIFICATE] = authority.certificate
    if public:
        values |= {PUBLIC_CERTIFICATE: public.certificate, PUBLIC_PRIVATE_KEY: public.private_key}

    def document(role: Role) -> Document:
        own = issued[Certificate(role)]
        known = {**values, CERTIFICATE: own.certificate, PRIVATE_KEY: own.private_key}
        return {key: known[key] for key in sorted(document_keys(role, public is not None))}

    return {role: document(role) for role in NODES}


@dataclass(frozen=True)
class Issued:
    """A certificate and the key to it, each in PEM."""

    certificate: str
    private_key: str


def load(context: ssl.SSLContext, certificate: str, private_key: str) -> None:
    """Give TLS a certificate and the key to it, each in PEM."""
    # OpenSSL reads files alone. This one is memory: there is nothing to remove, for whoever is killed either.
    with os.fdopen(os.memfd_create("certificate"), "w") as file:
        file.write(f"{certificate}\n{private_key}")
        file.flush()
        context.load_cert_chain(f"/proc/self/fd/{file.fileno()}")


class Authority:
    """A certificate authority, good for a day."""

    def __init__(self) -> None:
        """Make one."""
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority of a laboratory")])
        begun = self._begun(self._name, self._key.public_key())
        begun = begun.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        self.certificate = self._signed(begun)

    def issue(self, names: tuple[str, ...], addresses: tuple[IPv4Address, ...] = ()) -> Issued:
        """Issue a certificate, for a server and for a client."""
        key = ec.generate_private_key(ec.SECP256R1())
        alternatives = [*map(x509.DNSName, names), *map(x509.IPAddress, addresses)]
        begun = (
            self._begun(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])]), key.public_key())
            .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
            .add_extension(
                x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]),
                critical=False,
            )
        )
        private = key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        return Issued(self._signed(begun), private.decode())

    def _begun(self, name: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return x509.CertificateBuilder(
            self._name,
            name,
            key,
            x509.random_serial_number(),
            # An hour back: clocks of test machines differ.
            now - timedelta(hours=1),
            now + timedelta(days=1),
        )

    def _signed(self, begun: x509.CertificateBuilder) -> str:
        return begun.sign(self._key, hashes.SHA256()).public_bytes(_PEM).decode()
