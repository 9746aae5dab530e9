"""The platform's certificates: which there are, the names in them, and how long they last.

Consul and Nomad tell servers from clients by the names in a certificate
(https://developer.hashicorp.com/consul/docs/secure/encryption/tls/mtls,
https://developer.hashicorp.com/nomad/docs/secure/traffic/tls). Each certificate has the names of both serving
regions, because the secret that holds it is replicated.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum

from configs.settings.model import InternalCertificates, Settings
from configs.tables.flows import Role
from configs.tables.names import PublicNames, Service, datacenter


class Certificate(StrEnum):
    """What the platform's own authority issues a certificate for. That of a node's role is called as the role is."""

    CONTROL_PLANE = Role.CONTROL_PLANE.value
    WORKER = Role.WORKER.value
    LOAD_BALANCER = Role.LOAD_BALANCER.value
    PUBLIC = "public"
    """The public names, unless their certificate is brought by the user."""


YEAR_HOURS = 8_760
"""Hours of 365 days: providers count in hours."""

AUTHORITY_HOURS = 10 * YEAR_HOURS
"""Life of the authority: every trust store that lists it has to be told of a new one, so not more often."""

CERTIFICATE_HOURS = YEAR_HOURS
"""Life of a certificate: short enough that a stolen one ends, and that renewing stays a habit."""

AUTHORITY_RENEWAL_HOURS = CERTIFICATE_HOURS
"""How long before its end the authority is renewed: no certificate outlives the authority that signed it."""

CERTIFICATE_RENEWAL_HOURS = 30 * 24
"""How long before its end a certificate is renewed, by the next `up`: a month, so that no holiday matters."""

ALARM_DAYS = 21
"""Days before a certificate's end from which people are told: after nine days in which renewal was due and no `up`
came, and with three weeks left for one."""

LOOPBACK_NAME = "localhost"
LOOPBACK_ADDRESS = "127.0.0.1"
"""A node's own processes call its agents there."""


def ip_addresses(certificate: Certificate) -> tuple[str, ...]:
    """Return the addresses in a certificate. Those of nodes are not: a certificate is for a role, not for a node."""
    return () if certificate is Certificate.PUBLIC else (LOOPBACK_ADDRESS,)


def node_names(certificate: Certificate, prefix: str, regions: Sequence[str]) -> tuple[str, ...]:
    """Return the DNS names in the certificate of a node's role.

    Args:
        certificate: any but the public one.
        prefix: the platform's name, first part of Consul's datacenters.
        regions: the serving regions; Nomad's regions are called as AWS's are.
    """
    return (*_agent_names(certificate, prefix, regions), LOOPBACK_NAME)


def _agent_names(certificate: Certificate, prefix: str, regions: Sequence[str]) -> Iterator[str]:
    kind = "server" if certificate is Certificate.CONTROL_PLANE else "client"
    for region in regions:
        yield f"{kind}.{datacenter(prefix, region)}.consul"
        # A load balancer runs no Nomad agent: with this name it could join Nomad as a worker.
        if certificate is not Certificate.LOAD_BALANCER:
            yield f"{kind}.{region}.nomad"


def public_certificate_names(settings: Settings) -> tuple[str, ...] | None:
    """Return the DNS names in the public certificate; None when the user brings that certificate."""
    if not isinstance(settings.certificates, InternalCertificates):
        return None
    names = PublicNames(settings.domain)
    regions = (settings.regions.primary.name, settings.regions.standby.name)
    regional = [name for region in regions for name in names.all_regional(region)]
    # The edge passes on the name that it was asked for.
    edge = [PublicNames(settings.edge.domain).service(service) for service in Service] if settings.edge else []
    return (*names.all_public(), *regional, *edge)
