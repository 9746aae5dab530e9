"""CertificateAuthority: one authority, one certificate a role, and renewal that cuts nobody off."""

from collections.abc import Mapping
from typing import Any

import pulumi
import pytest

from components.certificate_authority import CertificateAuthority, CertificateAuthorityArgs
from configs.tables.names import Names
from tests.unit.mocks import REGIONS, Run, run_in_region, secret

PUBLIC = ("origin.ml.example.com", "grafana.ml.example.com")


def authority(public_names: tuple[str, ...] | None = PUBLIC, protect: bool = True, region: str = "us-west-2") -> Run:
    def program(opts: pulumi.ResourceOptions) -> None:
        args = CertificateAuthorityArgs(
            Names("ml", "123456789012", region), ("us-east-1", "us-west-2"), public_names, protect
        )
        made = CertificateAuthority("trust", args, opts)
        pulumi.export("authority", [made.certificate, made.expires])
        for certificate, issued in made.issued.items():
            pulumi.export(certificate, [issued.certificate, issued.private_key, issued.expires])

    return run_in_region(program, region)


def inputs_by_type(run: Run) -> dict[str, dict[str, Mapping[str, Any]]]:
    made = [one for one in run.everything if one.type.startswith("tls:")]
    return {kind: {one.name: one.inputs for one in made if one.kind == kind} for kind in (one.kind for one in made)}


def key(purpose: str) -> dict[str, Any]:
    return secret(f"PrivateKey trust-{purpose} privateKeyPem")


NODE_NAMES = {
    "control-plane": [
        "server.ml-us-east-1.consul",
        "server.us-east-1.nomad",
        "server.ml-us-west-2.consul",
        "server.us-west-2.nomad",
        "localhost",
    ],
    "worker": [
        "client.ml-us-east-1.consul",
        "client.us-east-1.nomad",
        "client.ml-us-west-2.consul",
        "client.us-west-2.nomad",
        "localhost",
    ],
    "load-balancer": ["client.ml-us-east-1.consul", "client.ml-us-west-2.consul", "localhost"],
}


@pytest.mark.parametrize("public", [True, False])
def test_every_resource_is_exactly_the_plan(public: bool) -> None:
    """Guards against names, uses or lifetimes that agents and browsers refuse, and a public certificate too many."""
    names = NODE_NAMES | ({"public": list(PUBLIC)} if public else {})
    assert inputs_by_type(authority(PUBLIC if public else None)) == {
        "PrivateKey": {
            f"trust-{purpose}": {"algorithm": "ECDSA", "ecdsaCurve": "P256"} for purpose in ("authority", *names)
        },
        "SelfSignedCert": {
            "trust-authority": {
                "privateKeyPem": key("authority"),
                "subject": {"commonName": "ml-authority"},
                "isCaCertificate": True,
                "maxPathLength": 0,
                "setSubjectKeyId": True,
                "allowedUses": ["cert_signing", "crl_signing"],
                "validityPeriodHours": 87_600,
                "earlyRenewalHours": 8_760,
            }
        },
        "CertRequest": {
            f"trust-{purpose}": {
                "privateKeyPem": key(purpose),
                "subject": {"commonName": f"ml-{purpose}"},
                "dnsNames": dns_names,
                "ipAddresses": [] if purpose == "public" else ["127.0.0.1"],
            }
            for purpose, dns_names in names.items()
        },
        "LocallySignedCert": {
            f"trust-{purpose}": {
                "certRequestPem": f"CertRequest trust-{purpose} certRequestPem",
                "caPrivateKeyPem": key("authority"),
                "caCertPem": "SelfSignedCert trust-authority certPem",
                "allowedUses": ["digital_signature", "server_auth"]
                + (["client_auth"] if purpose != "public" else []),
                "validityPeriodHours": 8_760,
                "earlyRenewalHours": 720,
            }
            for purpose in names
        },
    }


@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize("protect", [True, False])
def test_exactly_the_authoritys_key_is_protected(region: str, protect: bool) -> None:
    """Guards against a new authority by mistake, which nobody trusts, and against a certificate never renewed."""
    run = authority(protect=protect, region=region)
    made = [one for one in run.everything if one.type.startswith("tls:")]
    protected = {(one.kind, one.name) for one in made if one.protect}
    assert protected == ({("PrivateKey", "trust-authority")} if protect else set())
    assert {(one.parent, one.provider) for one in made} == {("CertificateAuthority trust", "tls tls")}
    assert run.resources == []
    component = [one for one in run.everything if one.type == "mlops:platform:CertificateAuthority"]
    assert [one.parent for one in component] == [f"Region {region}"]


def test_a_renewed_certificate_is_made_before_the_old_one_goes() -> None:
    """Guards against a renewal in which a role has no certificate for a while."""
    made = [one for one in authority().everything if one.type.startswith("tls:")]
    assert [one.name for one in made if one.delete_before_replace] == []


def test_hands_on_what_nodes_and_alarms_need_and_marks_the_keys() -> None:
    """Guards against a role's certificate with another's key, and against a private key in the clear."""
    assert authority().outputs["Stack mlops-ha-prod"] == {
        "authority": [f"SelfSignedCert trust-authority {name}" for name in ("certPem", "validityEndTime")]
    } | {
        purpose: [
            f"LocallySignedCert trust-{purpose} certPem",
            key(purpose),
            f"LocallySignedCert trust-{purpose} validityEndTime",
        ]
        for purpose in (*NODE_NAMES, "public")
    }
    assert authority().outputs["CertificateAuthority trust"] == {}
