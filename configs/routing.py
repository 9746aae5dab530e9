"""Who is let through a load balancer to what: the one model that HAProxy's and Nginx's files are made from."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from configs.context import Context
from configs.manifest import SecretFile
from configs.nodes import Node
from configs.settings.model import Settings
from configs.tables.accounts import Account
from configs.tables.flows import CONSUL_HTTPS, GRAFANA, NOMAD_HTTP, PROMETHEUS, Flow
from configs.tables.names import PublicNames, Service
from configs.tables.paths import FENCE_PATH, secret
from configs.tables.secrets import (
    CERTIFICATE,
    LOAD_BALANCER_STATISTICS_PASSWORD,
    PRIVATE_KEY,
    PROMETHEUS_PASSWORD,
    PROMETHEUS_USER,
    SecretValue,
)
from configs.text import template

MAXIMUM_CONNECTIONS = 4096
"""Connections of clients at once, as the reference architecture asks."""

CIPHERS = ("ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-RSA-AES256-GCM-SHA384")
"""What TLS 1.2 may use, as the reference architecture asks; TLS 1.3's own suites are all sound."""

HSTS_SECONDS = 365 * 24 * 3600
"""How long a browser remembers to use HTTPS alone: a year, what the preload list asks for (https://hstspreload.org)."""

RETRIES = 3
"""How often a request is offered again: as the reference architecture asks, and to all servers but one of five."""

CONNECT_SECONDS = 5
"""Time to connect to a server, as the reference architecture asks: a lost packet is sent again after one and three
seconds (RFC 6298)."""

IDLE_SECONDS = 50
"""Longest silence of a client or a server, as the reference architecture asks."""

REQUEST_SECONDS = 10
"""Time that a client has for the head of a request: whoever needs longer is holding a connection for its own sake."""

BLOCKING_SECONDS = 660
"""Longest silence of Consul and Nomad. A blocking query waits 10 minutes at most and up to a sixteenth more
(https://developer.hashicorp.com/consul/api-docs/features/blocking), 637.5 s; the rest is for the answer. Event
streams send a sign of life every few seconds."""

QUERY_SECONDS = 150
"""Longest silence of Prometheus: a query has two minutes (its flag --query.timeout), the rest is for the answer."""

TUNNEL_SECONDS = 3600
"""Longest silence of a websocket. Grafana and Nomad send a sign of life every few seconds; a shell that somebody left
open overnight is closed."""

DRAIN_SECONDS = 900
"""How long connections of before a reload live on: longer than a blocking query, so that only websockets notice."""

CHECK_SECONDS = 2
"""Between two checks of a server, and time for its answer: the network load balancer looks every ten seconds, and is
to see what is true by then. The reference architecture's five and ten seconds would make it one look late."""

CHECK_FAILURES = 3
"""Failed checks in a row until a server is out, rides out one lost packet."""

CHECK_SUCCESSES = 2
"""Good checks in a row until a server is back."""

PEER_MILLISECONDS = 500
"""Time that a node gives its peer, and each server, to take a connection when it is asked for its health: a hundred
round trips within a region."""

PROBE_SECONDS = 1
"""Time that a server has for the answer to a question for health. With one server that hangs and is the first to be
asked by each of four services, and a peer that does, that is 4.5 s: within the 5 s of the network load balancer."""

RETRY_AFTER_SECONDS = 60
"""When a client should ask again: an alias of a load balancer is remembered for so long
(https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/resource-record-sets-choosing-alias-non-alias.html)."""

STICKY_COOKIE = "mlops_ha_server"
"""Cookie by which a session of Grafana finds its server again."""

STATISTICS_USER = "admin"
"""User of the load balancer's statistics and metrics."""

ALIVE_PATH = "/alive"
"""Path of the statistics listener that answers 200 while the process runs, whatever it serves."""

METRICS_PATH = "/metrics"
STATISTICS_PATH = "/stats"


class Balance(StrEnum):
    """How requests are spread over the servers."""

    EVEN = "even"
    """One after the other."""
    STICKY = "sticky"
    """A session stays with its server."""
    FIRST = "first"
    """All to the first one while it lives: each Prometheus has its own data, and a graph should not flicker."""


@dataclass(frozen=True)
class Check:
    """What says that a server is well: the path answers 200 and, where ``body`` is given, with a body like that.

    ``status_path`` says it by its status alone, for whoever cannot read bodies.
    """

    path: str
    status_path: str
    body: str | None = None


@dataclass(frozen=True)
class Login:
    """A login that the load balancer asks for."""

    realm: str
    user: str
    password: SecretValue


@dataclass(frozen=True)
class Server:
    """One server of a service."""

    name: str
    address: str


@dataclass(frozen=True)
class Route:
    """One public service. ``server_name`` is the name in its servers' certificates; None: they speak plain HTTP."""

    service: Service
    hosts: tuple[str, ...]
    servers: tuple[Server, ...]
    port: int
    server_name: str | None
    check: Check
    balance: Balance
    silence_seconds: int
    login: Login | None = None


class Page(StrEnum):
    """A page for people, by its file's name."""

    UNAVAILABLE = "unavailable"
    STANDBY = "standby"
    FENCED = "fenced"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Routing:
    """What both load balancers of a region do.

    ``routes`` are what health depends on, and what users reach if ``serves``. ``hosts`` are all known names,
    ``other_hosts`` those of no service. ``fence`` is the file that is there while users are let in; None: nobody is
    ever kept away. ``edge_ranges`` are whose word is believed about where a request comes from. ``peer`` is the
    active load balancer's address, ``peer_name`` the name in the certificate of its health listener.
    """

    routes: tuple[Route, ...]
    hosts: tuple[str, ...]
    other_hosts: tuple[str, ...]
    serves: bool
    fence: str | None
    edge_ranges: tuple[str, ...]
    pages: dict[Page, str]
    peer: str
    peer_name: str


_CHECKS: dict[Service, Check] = {
    # Without a leader its status is 200 and its body "". The other path needs the leader, and is answered without a
    # token, by an empty list (measured with 1.22.3; without a leader no answer came in 9 s).
    Service.CONSUL: Check("/v1/status/leader", "/v1/catalog/services?consistent", r'^"[^"]+:[0-9]+"'),
    # https://developer.hashicorp.com/nomad/api-docs/agent#health: not 200 without a leader.
    Service.NOMAD: Check("/v1/agent/health?type=server", "/v1/agent/health?type=server"),
    # https://prometheus.io/docs/prometheus/latest/management_api/#readiness-check
    Service.PROMETHEUS: Check("/-/ready", "/-/ready"),
    # 503 without its database (https://grafana.com/docs/grafana/latest/developers/http_api/other/#health-api).
    Service.GRAFANA: Check("/api/health", "/api/health", r'"database": *"ok"'),
}

_FLOWS: dict[Service, Flow] = {
    Service.CONSUL: CONSUL_HTTPS,
    Service.NOMAD: NOMAD_HTTP,
    Service.PROMETHEUS: PROMETHEUS,
    Service.GRAFANA: GRAFANA,
}

_BALANCES: dict[Service, Balance] = {Service.PROMETHEUS: Balance.FIRST, Service.GRAFANA: Balance.STICKY}

_SILENCES: dict[Service, int] = {
    Service.CONSUL: BLOCKING_SECONDS,
    Service.NOMAD: BLOCKING_SECONDS,
    Service.PROMETHEUS: QUERY_SECONDS,
}

PROMETHEUS_LOGIN = Login("Prometheus", PROMETHEUS_USER, PROMETHEUS_PASSWORD)
STATISTICS_LOGIN = Login("statistics", STATISTICS_USER, LOAD_BALANCER_STATISTICS_PASSWORD)


def routing(context: Context) -> Routing:
    """Return what the load balancers of a region do."""
    settings = context.settings
    # Grafana runs only where users are served: elsewhere its database takes no writes.
    running = [service for service in Service if settings.serves or service is not Service.GRAFANA]
    hosts = {service: _hosts(settings, context, service) for service in Service}
    names, region = context.public_names, context.region
    others = (names.origin, names.regional_origin(region))
    return Routing(
        routes=tuple(_route(context, service, hosts[service]) for service in running),
        hosts=(*others, *(host for own in hosts.values() for host in own)),
        other_hosts=others,
        serves=settings.serves,
        fence=FENCE_PATH if settings.is_primary else None,
        edge_ranges=tuple(map(str, settings.edge.address_ranges)) if settings.edge else (),
        pages=_pages(region),
        peer=_address(context.load_balancers[0]),
        peer_name=f"client.{context.datacenter}.consul",
    )


def _address(node: Node) -> str:
    return str(node.address)


def _hosts(settings: Settings, context: Context, service: Service) -> tuple[str, ...]:
    names = context.public_names
    edge = (PublicNames(settings.edge.domain).service(service),) if settings.edge else ()
    return (names.service(service), names.regional(service, context.region), *edge)


def _route(context: Context, service: Service, hosts: tuple[str, ...]) -> Route:
    server_names = {
        Service.NOMAD: f"server.{context.region}.nomad",
        Service.PROMETHEUS: None,
    }
    return Route(
        service=service,
        hosts=hosts,
        servers=tuple(Server(server.name, _address(server)) for server in context.servers),
        port=_FLOWS[service].port,
        server_name=server_names.get(service, f"server.{context.datacenter}.consul"),
        check=_CHECKS[service],
        balance=_BALANCES.get(service, Balance.EVEN),
        silence_seconds=_SILENCES.get(service, IDLE_SECONDS),
        login=PROMETHEUS_LOGIN if service is Service.PROMETHEUS else None,
    )


def _pages(region: str) -> dict[Page, str]:
    texts = {
        Page.UNAVAILABLE: (
            "Out of service for a moment",
            "No server of this service answers. Try again in a minute.",
        ),
        Page.STANDBY: (f"{region} stands by", f"{region} stands by: it serves nobody. Another region serves."),
        Page.FENCED: (
            f"{region} has failed over",
            f"{region} has failed over: it serves nobody. Another region serves.",
        ),
        Page.UNKNOWN: ("Unknown name", "This is no name of this platform."),
    }
    return {
        page: template("configs", "page.html.j2", title=title, text=text).strip()
        for page, (title, text) in texts.items()
    }


def role_pem(service: str, account: Account) -> SecretFile:
    """Return a copy of the role's certificate and the key to it in one file, as HAProxy takes them."""
    return SecretFile(
        path=secret(service, "role.pem"), text=f"${{{CERTIFICATE}}}${{{PRIVATE_KEY}}}", owner=account.name
    )


def public_pem(service: str, account: Account) -> SecretFile:
    """Return where the certificate of the public names goes, with its chain and then its key."""
    return SecretFile(path=secret(service, "public.pem"), text=None, owner=account.name)
