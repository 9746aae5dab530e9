"""Consul's agents: a server on each node of the control plane, a client on every other.

https://developer.hashicorp.com/consul/docs/reference/agent/configuration-file
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from configs.context import Context
from configs.manifest import Directory, File, Probe, SecretFile, ServiceKind
from configs.nodes import NodeRole
from configs.routing import MAXIMUM_CONNECTIONS
from configs.service import NodeService, tls_files
from configs.tables.accounts import CONSUL
from configs.tables.certificates import CERTIFICATE_HOURS
from configs.tables.flows import (
    CONSUL_DNS,
    CONSUL_GRPC,
    CONSUL_GRPC_TLS,
    CONSUL_HTTP,
    CONSUL_HTTPS,
    CONSUL_RPC,
    CONSUL_SERF_LAN,
    CONSUL_SERF_WAN,
    NODE_EXPORTER,
    Role,
)
from configs.tables.paths import configuration, data, secret
from configs.tables.schedulers import NODE_EXPORTER_SERVICE
from configs.tables.secrets import (
    CONSUL_GOSSIP_KEY,
    CONSUL_LOAD_BALANCER_TOKEN,
    CONSUL_MANAGEMENT_TOKEN,
    CONSUL_SERVER_TOKEN,
    CONSUL_WORKER_TOKEN,
    SecretValue,
)
from configs.tables.versions import Software
from configs.text import template

NAME = "consul"
"""Name of the service."""

SECRETS_FILE = secret(NAME, "secrets.json")
"""Gossip key and tokens."""

OFF = -1
"""A port that is not listened to, in Consul's words."""

_SERVER_PORTS = {
    "server": CONSUL_RPC.port,
    "serf_lan": CONSUL_SERF_LAN.port,
    "serf_wan": CONSUL_SERF_WAN.port,
    "http": CONSUL_HTTP.port,
    "https": CONSUL_HTTPS.port,
    "grpc": CONSUL_GRPC.port,
    "grpc_tls": CONSUL_GRPC_TLS.port,
    "dns": CONSUL_DNS.port,
}
# A client listens neither to other regions nor to callers from elsewhere, and answers no names.
_CLIENT_PORTS = _SERVER_PORTS | dict.fromkeys(("serf_wan", "https", "grpc_tls", "dns"), OFF)


NODE_PREFIXES: dict[Role, str] = {role: f"{role}-" for role in (Role.CONTROL_PLANE, Role.LOAD_BALANCER, Role.WORKER)}
"""What the names of a role's nodes begin with: ``control-plane-1``, ``load-balancer-nginx``, ``worker-<id>``."""


@dataclass(frozen=True)
class Agent:
    """What an agent is told of itself; ``node_name`` and ``address`` are None where only the machine knows them."""

    datacenter: str
    node_name: str | None
    address: str | None
    data_folder: str
    log_folder: str


@dataclass(frozen=True)
class Registered:
    """A service of the machine that others find through Consul."""

    name: str
    port: int


@dataclass(frozen=True)
class Tls:
    """Paths of an agent's own copies of the authority's certificate, the role's certificate and the key to it."""

    authority: str
    certificate: str
    private_key: str


def server(context: Context) -> NodeService:
    """Return the server of a node of the control plane."""
    text = template(
        "configs",
        "consul/server.hcl.j2",
        agent=_agent(context),
        servers=list(context.server_addresses),
        ports=_SERVER_PORTS,
        rejoin_hours=CERTIFICATE_HOURS,
        connections=MAXIMUM_CONNECTIONS,
        tls=_tls(),
    )
    tokens = {
        "initial_management": CONSUL_MANAGEMENT_TOKEN,
        "agent": CONSUL_SERVER_TOKEN,
        # Names are asked for without a token: this one answers, and nobody else without one is answered.
        "dns": CONSUL_SERVER_TOKEN,
    }
    # Whoever leads or not: Prometheus and Alertmanager start after it, and are needed most when nobody leads.
    probe = Probe(kind="https", port=CONSUL_HTTPS.port, path="/v1/status/leader")
    return _service(context, {"server.hcl": text}, tokens, (), probe)


def client(context: Context) -> NodeService:
    """Return the client of any other node."""
    worker = context.role is NodeRole.WORKER
    text = template(
        "configs",
        "consul/client.hcl.j2",
        agent=_agent(context),
        servers=list(context.server_addresses),
        ports=_CLIENT_PORTS,
        services=[Registered(NODE_EXPORTER_SERVICE, NODE_EXPORTER.port)] if worker else [],
        tls=_tls(),
    )
    token = CONSUL_WORKER_TOKEN if worker else CONSUL_LOAD_BALANCER_TOKEN
    tokens = {"agent": token} | ({"config_file_service_registration": token} if worker else {})
    arguments = ("-node=${NODE_NAME}", "-bind=${NODE_ADDRESS}") if worker else ()
    # It is well when a server answers through it.
    probe = Probe(kind="http", port=CONSUL_HTTP.port, path="/v1/status/leader")
    return _service(context, {"client.hcl": text}, tokens, arguments, probe)


def _agent(context: Context) -> Agent:
    fixed = context.node.address is not None
    return Agent(
        datacenter=context.datacenter,
        node_name=context.node.name if fixed else None,
        address=context.address if fixed else None,
        data_folder=data(NAME),
        # The slash says that it is a folder: the file's name is Consul's to choose.
        log_folder=f"{_log_folder()}/",
    )


def _log_folder() -> str:
    return f"{data(NAME)}/log"


def _tls() -> Tls:
    return Tls(*(file.path for file in tls_files(NAME, CONSUL)))


def _service(
    context: Context,
    texts: Mapping[str, str],
    tokens: Mapping[str, SecretValue],
    arguments: tuple[str, ...],
    probe: Probe,
) -> NodeService:
    files = {configuration(NAME, name): File.of(text) for name, text in texts.items()}
    tls = tls_files(NAME, CONSUL)
    return NodeService(
        name=NAME,
        software=Software.CONSUL,
        version=context.settings.version(Software.CONSUL),
        kind=ServiceKind.BINARY,
        account=CONSUL,
        program="/bin/consul",
        arguments=("agent", *(f"-config-file={path}" for path in (*files, SECRETS_FILE)), *arguments),
        files=files,
        secrets=(*tls, _secrets(tokens)),
        directories=tuple(Directory(path=path, owner=CONSUL.name) for path in (data(NAME), _log_folder())),
        probe=probe,
        reload="SIGHUP",
        reloads=tuple(file.path for file in tls),
    )


def _secrets(tokens: Mapping[str, SecretValue]) -> SecretFile:
    document = {
        "acl": {"tokens": {kind: f"${{{value.name}}}" for kind, value in tokens.items()}},
        "encrypt": f"${{{CONSUL_GOSSIP_KEY.name}}}",
    }
    return SecretFile(path=SECRETS_FILE, text=json.dumps(document, indent=1) + "\n", owner=CONSUL.name)
