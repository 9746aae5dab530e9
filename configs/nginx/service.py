"""Nginx, the passive load balancer."""

from __future__ import annotations

from configs import routing
from configs.context import Context
from configs.manifest import File, Probe, SecretFile, ServiceKind
from configs.routing import Login, Routing
from configs.service import BIND, NodeService, tls_files
from configs.tables.accounts import NGINX
from configs.tables.flows import LOAD_BALANCER_STATISTICS, NODE_HEALTH, NODE_HTTP, NODE_HTTPS
from configs.tables.names import HEALTH_PATH
from configs.tables.paths import FENCE_FOLDER, configuration, secret
from configs.tables.versions import Software
from configs.text import template

NAME = "nginx"

CONFIGURATION = configuration(NAME, "nginx.conf")
HEALTH_CONFIGURATION = configuration(NAME, "health.conf")

FAIL_SECONDS = 5
"""How long a server that failed is left out. HAProxy takes about as long to let one in again, and users whose request
finds out that it is still dead wait only if it does not even refuse them."""

PROBE_TOTAL_SECONDS = 2
"""After that no further server is asked for its health: one that does not connect and one that does not answer."""

RETRY_TOTAL_SECONDS = 2 * routing.CONNECT_SECONDS + 1
"""After that no further server is offered a request: two that cannot be connected to are got over, an answer that
does not come is not asked for twice."""

_STATES = (
    ("active", "connections_active", "Connections of clients, waiting ones too."),
    ("reading", "connections_reading", "Connections whose request is being read."),
    ("writing", "connections_writing", "Connections that are being answered."),
    ("waiting", "connections_waiting", "Connections that are idle."),
)
"""What Nginx knows as variables (https://nginx.org/en/docs/http/ngx_http_stub_status_module.html#variables)."""


def service(context: Context) -> NodeService | None:
    """Return Nginx in a container on the host's network.

    It takes a changed configuration in by SIGHUP, and keeps the old one if it is refused
    (https://nginx.org/en/docs/control.html).
    """
    model = routing.routing(context)
    tls = tls_files(NAME, NGINX)
    public = routing.public_pem(NAME, NGINX)
    users = {
        login.realm: SecretFile(
            path=secret(NAME, f"{login.realm.lower()}.htpasswd"), text=_users(login), owner=NGINX.name
        )
        for login in (routing.STATISTICS_LOGIN, routing.PROMETHEUS_LOGIN)
    }
    files = {
        CONFIGURATION: File.of(_configuration(model, [file.path for file in tls], public.path, users)),
        HEALTH_CONFIGURATION: File.of(_health(model)),
    }
    secrets = (*tls, *users.values())
    return NodeService(
        name=NAME,
        software=Software.NGINX,
        version=context.settings.version(Software.NGINX),
        kind=ServiceKind.CONTAINER,
        account=NGINX,
        # Whatever this load balancer serves: a passive or fenced one is not to be started anew for ever.
        probe=Probe(kind="https", port=LOAD_BALANCER_STATISTICS.port, path=routing.ALIVE_PATH),
        # Its compiled-in log is opened before the configuration is read: that lies where nothing may be written.
        arguments=("nginx", "-e", "stderr", "-c", CONFIGURATION),
        files=files,
        secrets=secrets,
        public_certificate=public,
        mounts=(FENCE_FOLDER,) if model.fence else (),
        capabilities=(BIND,),
        reload="SIGHUP",
        reloads=(*files, *(file.path for file in secrets), public.path),
        # Takes no new connection and ends with the last one: what its image asks for as well.
        stop_signal="SIGQUIT",
    )


def _users(login: Login) -> str:
    return template("configs.nginx", "users.htpasswd.j2", login=login)


def _quoted(text: str) -> str:
    """Return a text as Nginx reads it back: within single quotes a backslash and a quote are escaped."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _health(model: Routing) -> str:
    return template(
        "configs.nginx",
        "health.conf.j2",
        routing=model,
        peer_milliseconds=routing.PEER_MILLISECONDS,
        probe_seconds=routing.PROBE_SECONDS,
        probe_total_seconds=PROBE_TOTAL_SECONDS,
    )


def _configuration(model: Routing, tls: list[str], public: str, users: dict[str, SecretFile]) -> str:
    ca, certificate, private_key = tls
    return template(
        "configs.nginx",
        "nginx.conf.j2",
        routing=model,
        ca=ca,
        certificate=certificate,
        private_key=private_key,
        public_pem=public,
        users={realm: file.path for realm, file in users.items()},
        metrics=template("configs.nginx", "metrics.prom.j2", states=_STATES),
        quoted=_quoted,
        cookie=routing.STICKY_COOKIE,
        flows={
            "http": NODE_HTTP.port,
            "https": NODE_HTTPS.port,
            "health": NODE_HEALTH.port,
            "statistics": LOAD_BALANCER_STATISTICS.port,
        },
        statistics=routing.STATISTICS_LOGIN,
        maximum_connections=routing.MAXIMUM_CONNECTIONS,
        ciphers=routing.CIPHERS,
        hsts_seconds=routing.HSTS_SECONDS,
        retries=routing.RETRIES,
        retry_total_seconds=RETRY_TOTAL_SECONDS,
        connect_seconds=routing.CONNECT_SECONDS,
        idle_seconds=routing.IDLE_SECONDS,
        request_seconds=routing.REQUEST_SECONDS,
        drain_seconds=routing.DRAIN_SECONDS,
        fail_seconds=FAIL_SECONDS,
        peer_milliseconds=routing.PEER_MILLISECONDS,
        retry_after_seconds=routing.RETRY_AFTER_SECONDS,
        health=HEALTH_CONFIGURATION,
        health_path=HEALTH_PATH,
        alive_path=routing.ALIVE_PATH,
        metrics_path=routing.METRICS_PATH,
        statistics_path=routing.STATISTICS_PATH,
    )
