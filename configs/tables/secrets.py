"""The platform's secrets: what is generated, what it is for, and who may read it. No value is ever in here.

Each role of nodes has one secret, a JSON document of what it may read; this table says which keys are in it.
"""

from __future__ import annotations

import base64
import uuid
from dataclasses import dataclass
from enum import StrEnum

from configs.settings.parse import SECRETS
from configs.tables.flows import NODES, Role


class SecretKind(StrEnum):
    """The form of a generated value."""

    UUID = "uuid"
    """What Consul and Nomad call a token."""
    KEY_32 = "key-32"
    """32 random bytes in Base64, what gossip is encrypted with: AES-256."""
    PASSWORD = "password"  # noqa: S105  (the name of a kind, no password)
    """Letters and digits alone: it goes into addresses and configuration files without quoting."""


HEXADECIMAL = "0123456789abcdef"
"""What UUIDs and keys are made from (docs/adr/0006)."""

CHARACTERS = {
    # 128 bits, four a character.
    SecretKind.UUID: 32,
    # 256 bits, four a character.
    SecretKind.KEY_32: 64,
    # 190 bits, as letters and digits have almost six a character: beyond guessing.
    SecretKind.PASSWORD: 32,
}
"""Random characters that a value of each kind is made from."""


def formatted(kind: SecretKind, characters: str) -> str:
    """Return the value that random characters make: hexadecimal ones, but for a password.

    >>> formatted(SecretKind.UUID, "00112233445566778899aabbccddeeff")
    '00112233-4455-6677-8899-aabbccddeeff'
    """
    match kind:
        case SecretKind.UUID:
            return str(uuid.UUID(hex=characters))
        case SecretKind.KEY_32:
            return base64.b64encode(bytes.fromhex(characters)).decode()
        case SecretKind.PASSWORD:
            return characters


@dataclass(frozen=True)
class SecretValue:
    """One generated value. ``name`` is its key in the documents of its ``readers``."""

    name: str
    kind: SecretKind
    readers: tuple[Role, ...]
    purpose: str


_CONTROL_PLANE = (Role.CONTROL_PLANE,)

# Consul. The control plane reads every token: it is what registers them.
CONSUL_GOSSIP_KEY = SecretValue("consulGossipKey", SecretKind.KEY_32, NODES, "gossip of all Consul agents")
CONSUL_MANAGEMENT_TOKEN = SecretValue(
    "consulManagementToken", SecretKind.UUID, _CONTROL_PLANE, "administers Consul; registers the other tokens"
)
CONSUL_SERVER_TOKEN = SecretValue("consulServerToken", SecretKind.UUID, _CONTROL_PLANE, "agents of Consul servers")
CONSUL_WORKER_TOKEN = SecretValue(
    "consulWorkerToken", SecretKind.UUID, (Role.CONTROL_PLANE, Role.WORKER), "Consul agents of workers"
)
CONSUL_LOAD_BALANCER_TOKEN = SecretValue(
    "consulLoadBalancerToken",
    SecretKind.UUID,
    (Role.CONTROL_PLANE, Role.LOAD_BALANCER),
    "Consul agents of load balancers",
)
NOMAD_SERVER_CONSUL_TOKEN = SecretValue(
    "nomadServerConsulToken", SecretKind.UUID, _CONTROL_PLANE, "Nomad servers at Consul"
)
NOMAD_CLIENT_CONSUL_TOKEN = SecretValue(
    "nomadClientConsulToken", SecretKind.UUID, (Role.CONTROL_PLANE, Role.WORKER), "Nomad clients at Consul"
)
PROMETHEUS_CONSUL_TOKEN = SecretValue(
    "prometheusConsulToken", SecretKind.UUID, _CONTROL_PLANE, "Prometheus finds what to scrape, and Consul's metrics"
)

# Nomad. Its metrics need no token: https://developer.hashicorp.com/nomad/api-docs/metrics
NOMAD_GOSSIP_KEY = SecretValue("nomadGossipKey", SecretKind.KEY_32, _CONTROL_PLANE, "gossip of Nomad servers")
NOMAD_MANAGEMENT_TOKEN = SecretValue(
    "nomadManagementToken",
    SecretKind.UUID,
    _CONTROL_PLANE,
    "administers Nomad; makes the other tokens, whose secrets Nomad itself chooses",
)
AUTOSCALER_NOMAD_TOKEN = SecretValue(
    "autoscalerNomadToken",
    SecretKind.UUID,
    _CONTROL_PLANE,
    "used by nobody any more: Nomad chooses the secrets of tokens itself. It stays, because what an earlier release"
    " made is protected, and taking it away would stop the upgrade",
)

# Monitoring.
GRAFANA_ADMIN_PASSWORD = SecretValue(
    "grafanaAdminPassword", SecretKind.PASSWORD, _CONTROL_PLANE, "Grafana's first user"
)
GRAFANA_SECRET_KEY = SecretValue(
    "grafanaSecretKey", SecretKind.PASSWORD, _CONTROL_PLANE, "encrypts what Grafana keeps in the database"
)
GRAFANA_METRICS_PASSWORD = SecretValue(
    "grafanaMetricsPassword", SecretKind.PASSWORD, _CONTROL_PLANE, "Prometheus scrapes Grafana"
)
LOAD_BALANCER_STATISTICS_PASSWORD = SecretValue(
    "loadBalancerStatisticsPassword",
    SecretKind.PASSWORD,
    (Role.CONTROL_PLANE, Role.LOAD_BALANCER),
    "Prometheus scrapes load balancers, people read their statistics",
)
PROMETHEUS_PASSWORD = SecretValue(
    "prometheusPassword",
    SecretKind.PASSWORD,
    (Role.LOAD_BALANCER,),
    "people at Prometheus, which has no login of its own: the load balancer asks for it",
)

PROMETHEUS_USER = "admin"
"""User of the load balancer's login before Prometheus."""

# Data.
DATABASE_PASSWORD = SecretValue(
    "databasePassword", SecretKind.PASSWORD, _CONTROL_PLANE, "PgBouncer and Grafana at the database"
)

GENERATED: tuple[SecretValue, ...] = tuple(
    value for value in list(globals().values()) if isinstance(value, SecretValue)
)
"""Every generated value of this file, in its order."""

EXTERNAL: dict[str, tuple[Role, ...]] = dict.fromkeys(SECRETS, _CONTROL_PLANE)
"""The program's own secrets, and who reads them: Alertmanager, which runs on the control plane, posts with both."""

CA_CERTIFICATE = "caCertificate"
"""Key of the authority's certificate, in every document."""
CERTIFICATE = "certificate"
"""Key of the certificate of the reader's role."""
PRIVATE_KEY = "privateKey"
"""Key of the private key to it."""
PUBLIC_CERTIFICATE = "publicCertificate"
"""Key of the certificate of the public names, when the platform's own authority issues it."""
PUBLIC_PRIVATE_KEY = "publicPrivateKey"
"""Key of the private key to it."""


def document_keys(reader: Role, public_certificate: bool) -> frozenset[str]:
    """Return the keys of the document of a reader.

    Args:
        reader: a role of nodes.
        public_certificate: whether the platform's own authority issues the certificate of the public names.
    """
    generated = {value.name for value in GENERATED if reader in value.readers}
    external = {name for name, readers in EXTERNAL.items() if reader in readers}
    ends_tls = reader is Role.LOAD_BALANCER and public_certificate
    public = {PUBLIC_CERTIFICATE, PUBLIC_PRIVATE_KEY} if ends_tls else set[str]()
    return frozenset({CA_CERTIFICATE, CERTIFICATE, PRIVATE_KEY} | generated | external | public)
