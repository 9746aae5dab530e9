"""Nomad's agents: a server on each node of the control plane, a client on each worker. Never both on one machine.

https://developer.hashicorp.com/nomad/docs/configuration
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from configs.consul.agent import Tls
from configs.context import Context
from configs.manifest import Directory, File, Probe, SecretFile, ServiceKind
from configs.nomad_autoscaler.policy import DRAIN_SECONDS, NODE_CLASS
from configs.routing import MAXIMUM_CONNECTIONS
from configs.service import NodeService, tls_files
from configs.tables.accounts import NOMAD, ROOT, Account
from configs.tables.certificates import LOOPBACK_ADDRESS
from configs.tables.flows import CONSUL_HTTP, NOMAD_HTTP, NOMAD_RPC, NOMAD_SERF
from configs.tables.paths import ML_DATA_PATH, configuration, data, secret
from configs.tables.schedulers import NOMAD_CLIENT_SERVICE, NOMAD_SERVICE, WORKLOAD_AUDIENCE, WORKLOAD_LOGIN
from configs.tables.secrets import NOMAD_CLIENT_CONSUL_TOKEN, NOMAD_GOSSIP_KEY, NOMAD_SERVER_CONSUL_TOKEN
from configs.tables.versions import Software
from configs.text import template

NAME = "nomad"
"""Name of the service."""

SECRETS_FILE = secret(NAME, "secrets.json")
"""Gossip key and Consul's token."""

STOP_SECONDS = DRAIN_SECONDS + 30
"""How long a worker's Nomad may take to stop: the drain, and the ten seconds that it waits longer for the servers to
say so (client/drain.go and gracefulTimeout in its source), three times."""


@dataclass(frozen=True)
class Agent:
    """What an agent is told of itself; ``name`` and ``address`` are None where only the machine knows them."""

    region: str
    datacenter: str
    name: str | None
    address: str | None
    data_folder: str


@dataclass(frozen=True)
class Client:
    """What a client is told of its machine."""

    node_class: str
    state_folder: str
    shared_folder: str
    drain_seconds: int
    docker_file: str


@dataclass(frozen=True)
class Consul:
    """How Nomad reaches Consul, and what it is called there."""

    address: str
    server_service: str
    client_service: str
    login: str
    audience: str


def server(context: Context) -> NodeService:
    """Return the server of a node of the control plane."""
    text = _text(
        NOMAD,
        "nomad/server.hcl.j2",
        agent=_agent(context, context.node.name, context.address),
        servers=_servers(context, NOMAD_SERF.port),
        ports={"http": NOMAD_HTTP.port, "rpc": NOMAD_RPC.port, "serf": NOMAD_SERF.port},
    )
    return _service(
        context,
        NOMAD,
        files={"server.hcl": text},
        secrets={
            "server": {"encrypt": f"${{{NOMAD_GOSSIP_KEY.name}}}"},
            "consul": {"token": f"${{{NOMAD_SERVER_CONSUL_TOKEN.name}}}"},
        },
        directories=(Directory(path=data(NAME), owner=NOMAD.name),),
        # Whoever leads or not: Prometheus and Alertmanager start after it, and are needed most when nobody leads.
        probe=Probe(kind="https", port=NOMAD_HTTP.port, path="/v1/regions"),
    )


def client(context: Context) -> NodeService:
    """Return the client of a worker."""
    docker_file = configuration(NAME, "docker.json")
    text = _text(
        ROOT,
        "nomad/client.hcl.j2",
        agent=_agent(context, None, None),
        servers=_servers(context, NOMAD_RPC.port),
        ports={"http": NOMAD_HTTP.port},
        client=Client(NODE_CLASS, secret(NAME, "state"), ML_DATA_PATH, DRAIN_SECONDS, docker_file),
    )
    # The account's own registry asks for a password that lasts for hours: the helper gets one when it is needed
    # (package amazon-ecr-credential-helper).
    docker = json.dumps({"credHelpers": {context.names.registry_host(): "ecr-login"}}, indent=1) + "\n"
    return _service(
        context,
        ROOT,
        files={"client.hcl": text, "docker.json": docker},
        secrets={"consul": {"token": f"${{{NOMAD_CLIENT_CONSUL_TOKEN.name}}}"}},
        arguments=("-node=${NODE_NAME}",),
        directories=(
            # Jobs run as users of their own, and reach their folders through this one.
            Directory(path=data(NAME), owner=ROOT.name, mode="0755"),
            # Whoever a job runs as makes a folder of its own, and nobody else removes it: as in /tmp.
            Directory(path=ML_DATA_PATH, owner=ROOT.name, mode="1777"),
        ),
        probe=Probe(kind="https", port=NOMAD_HTTP.port, path="/v1/agent/health?type=client"),
        # The first drains the machine. After a drain no job comes back to it: a restart is to cost it none.
        stop_signal="SIGINT",
        restart_signal="SIGTERM",
        stop_seconds=STOP_SECONDS,
    )


def _agent(context: Context, name: str | None, address: str | None) -> Agent:
    return Agent(context.region, context.datacenter, name, address, data(NAME))


def _servers(context: Context, port: int) -> list[str]:
    return [f"{address}:{port}" for address in context.server_addresses]


def _text(account: Account, name: str, **values: Any) -> str:
    return template(
        "configs",
        name,
        consul=Consul(
            address=f"{LOOPBACK_ADDRESS}:{CONSUL_HTTP.port}",
            server_service=NOMAD_SERVICE,
            client_service=NOMAD_CLIENT_SERVICE,
            login=WORKLOAD_LOGIN,
            audience=WORKLOAD_AUDIENCE,
        ),
        tls=Tls(*(file.path for file in tls_files(NAME, account))),
        connections=MAXIMUM_CONNECTIONS,
        **values,
    )


def _service(
    context: Context, account: Account, files: Mapping[str, str], secrets: Mapping[str, Any], **values: Any
) -> NodeService:
    tls = tls_files(NAME, account)
    kept = SecretFile(path=SECRETS_FILE, text=json.dumps(secrets, indent=1) + "\n", owner=account.name)
    main = next(iter(files))
    arguments = ("agent", f"-config={configuration(NAME, main)}", f"-config={SECRETS_FILE}")
    return NodeService(
        name=NAME,
        software=Software.NOMAD,
        version=context.settings.version(Software.NOMAD),
        kind=ServiceKind.BINARY,
        account=account,
        program="/bin/nomad",
        arguments=(*arguments, *values.pop("arguments", ())),
        files={configuration(NAME, name): File.of(text) for name, text in files.items()},
        secrets=(*tls, kept),
        reload="SIGHUP",
        reloads=tuple(file.path for file in tls),
        **values,
    )
