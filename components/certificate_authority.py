"""The platform's own certificate authority, and the certificates that it issues."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_tls as tls

from configs.tables.certificates import (
    AUTHORITY_HOURS,
    AUTHORITY_RENEWAL_HOURS,
    CERTIFICATE_HOURS,
    CERTIFICATE_RENEWAL_HOURS,
    Certificate,
    ip_addresses,
    node_names,
)
from configs.tables.names import Names


@dataclass(frozen=True)
class Issued:
    """A certificate (PEM), its private key (PEM, secret) and when it ends (RFC 3339)."""

    certificate: pulumi.Output[str]
    private_key: pulumi.Output[str]
    expires: pulumi.Output[str]


@dataclass(frozen=True)
class CertificateAuthorityArgs:
    """What the authority is made from.

    ``regions`` are those that serve. ``public_names`` are the names in the public certificate; None when the user
    brings that one.
    """

    names: Names
    regions: tuple[str, str]
    public_names: tuple[str, ...] | None
    protect: bool


class CertificateAuthority(pulumi.ComponentResource):
    """An authority and one certificate for each role of nodes, and for the public names.

    Renewing is part of `up`: within the renewal time before its end a certificate is replaced, new before old, so
    nothing goes down. (Versions of the provider are known that do not notice the time, pulumi/pulumi-tls#39: the
    alarm on the end does, and `pulumi up --replace` renews.)

    The authority is renewed on the key and name that it has: what the old authority signed verifies under the new
    one, and the other way round, so nodes may learn of either in any order. Its key is therefore protected. A
    certificate's own key is kept as well when only the certificate is renewed.
    """

    certificate: pulumi.Output[str]
    """Certificate of the authority (PEM): what everything else has to trust."""
    expires: pulumi.Output[str]
    """When that certificate ends (RFC 3339)."""
    issued: dict[Certificate, Issued]

    def __init__(self, name: str, args: CertificateAuthorityArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Create the authority and its certificates."""
        super().__init__("mlops:platform:CertificateAuthority", name, None, opts)
        self._name, self._args = name, args
        self._key = self._private_key("authority", protect=args.protect)
        authority = tls.SelfSignedCert(
            f"{name}-authority",
            private_key_pem=self._key.private_key_pem,
            subject=tls.SelfSignedCertSubjectArgs(common_name=args.names.regional("authority")),
            is_ca_certificate=True,
            # It signs certificates, no further authorities.
            max_path_length=0,
            set_subject_key_id=True,
            allowed_uses=["cert_signing", "crl_signing"],
            validity_period_hours=AUTHORITY_HOURS,
            early_renewal_hours=AUTHORITY_RENEWAL_HOURS,
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.certificate, self.expires = authority.cert_pem, authority.validity_end_time
        # Consul and Nomad agents call each other: each certificate is a server's and a client's.
        self.issued = {
            certificate: self._issue(
                certificate, node_names(certificate, args.names.prefix, args.regions), ["server_auth", "client_auth"]
            )
            for certificate in Certificate
            if certificate is not Certificate.PUBLIC
        }
        if args.public_names is not None:
            self.issued[Certificate.PUBLIC] = self._issue(Certificate.PUBLIC, args.public_names, ["server_auth"])
        self.register_outputs({})

    def _private_key(self, purpose: str, protect: bool) -> tls.PrivateKey:
        return tls.PrivateKey(
            f"{self._name}-{purpose}",
            algorithm="ECDSA",
            # What every browser, Go and OpenSSL take, and the fastest of those.
            ecdsa_curve="P256",
            opts=pulumi.ResourceOptions(parent=self, protect=protect),
        )

    def _issue(self, certificate: Certificate, dns_names: tuple[str, ...], uses: list[str]) -> Issued:
        label = f"{self._name}-{certificate}"
        child = pulumi.ResourceOptions(parent=self)
        # Losing this key loses nothing: the next `up` issues another certificate.
        key = self._private_key(certificate, protect=False)
        request = tls.CertRequest(
            label,
            private_key_pem=key.private_key_pem,
            subject=tls.CertRequestSubjectArgs(common_name=self._args.names.regional(certificate)),
            dns_names=list(dns_names),
            ip_addresses=list(ip_addresses(certificate)),
            opts=child,
        )
        signed = tls.LocallySignedCert(
            label,
            cert_request_pem=request.cert_request_pem,
            ca_private_key_pem=self._key.private_key_pem,
            ca_cert_pem=self.certificate,
            allowed_uses=["digital_signature", *uses],
            validity_period_hours=CERTIFICATE_HOURS,
            early_renewal_hours=CERTIFICATE_RENEWAL_HOURS,
            opts=child,
        )
        return Issued(signed.cert_pem, key.private_key_pem, signed.validity_end_time)
