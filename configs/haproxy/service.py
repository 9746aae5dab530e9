"""HAProxy, the active load balancer."""

from __future__ import annotations

from collections.abc import Mapping

from configs import routing
from configs.context import Context
from configs.manifest import File, Probe, SecretFile, ServiceKind
from configs.routing import Balance, Login, Page, Routing
from configs.service import BIND, NodeService, tls_files
from configs.tables.accounts import HAPROXY
from configs.tables.flows import LOAD_BALANCER_STATISTICS, NODE_HEALTH, NODE_HTTP, NODE_HTTPS
from configs.tables.names import HEALTH_PATH
from configs.tables.paths import FENCE_FOLDER, configuration, secret
from configs.tables.versions import Software
from configs.text import template

NAME = "haproxy"

CONFIGURATION = configuration(NAME, "haproxy.cfg")
FENCE_SCRIPT = configuration(NAME, "fence.lua")
USERS = secret(NAME, "users.cfg")

CHECK_FAST_SECONDS = 1
"""Between two checks of a server that just failed one, or took no connection: it is out after three of them."""

STATISTICS_REFRESH_SECONDS = 10
"""How often the page of statistics asks anew."""

_BALANCES = {Balance.EVEN: "roundrobin", Balance.STICKY: "leastconn", Balance.FIRST: "roundrobin"}


def service(context: Context) -> NodeService | None:
    """Return HAProxy in a container on the host's network.

    The master process takes a changed configuration in by SIGUSR2, and keeps the old one if it is refused
    (https://docs.haproxy.org/2.6/management.html#4).
    """
    model = routing.routing(context)
    authority = tls_files(NAME, HAPROXY)[0]
    role = routing.role_pem(NAME, HAPROXY)
    public = routing.public_pem(NAME, HAPROXY)
    users = SecretFile(path=USERS, text=_users(), owner=HAPROXY.name)
    pages = {page: configuration(NAME, f"{page}.html") for page in _pages(model)}
    files = {
        CONFIGURATION: File.of(configuration_text(model, pages, authority.path, role.path, public.path)),
        **{path: File.of(f"{model.pages[page]}\n") for page, path in pages.items()},
    }
    if model.fence:
        files[FENCE_SCRIPT] = File.of(template("configs.haproxy", "fence.lua.j2", fence=model.fence))
    return NodeService(
        name=NAME,
        software=Software.HAPROXY,
        version=context.settings.version(Software.HAPROXY),
        kind=ServiceKind.CONTAINER,
        account=HAPROXY,
        # Whatever this load balancer serves: a fenced one is not to be started anew for ever.
        probe=Probe(kind="https", port=LOAD_BALANCER_STATISTICS.port, path=routing.ALIVE_PATH),
        # Under its name: the image's entry point then starts it as the master of its workers, in the foreground.
        arguments=("haproxy", "-W", "-db", "-f", CONFIGURATION, "-f", USERS),
        files=files,
        secrets=(authority, role, users),
        public_certificate=public,
        mounts=(FENCE_FOLDER,) if model.fence else (),
        capabilities=(BIND,),
        reload="SIGUSR2",
        reloads=(*files, authority.path, role.path, users.path, public.path),
        # Takes no new connection and ends with the last one: what its image asks for as well.
        stop_signal="SIGUSR1",
    )


def _pages(model: Routing) -> tuple[Page, ...]:
    return (
        Page.UNAVAILABLE,
        Page.UNKNOWN,
        *([] if model.serves else [Page.STANDBY]),
        *([Page.FENCED] if model.fence else []),
    )


def _users() -> str:
    """Return the lists of users; ``insecure`` is HAProxy's word for a password that is not hashed."""
    logins: tuple[Login, ...] = (routing.STATISTICS_LOGIN, routing.PROMETHEUS_LOGIN)
    return template("configs.haproxy", "users.cfg.j2", logins=logins)


def _quoted(text: str) -> str:
    """Return a word as HAProxy reads it back (https://docs.haproxy.org/2.6/configuration.html#2.2)."""
    if "'" in text:
        raise ValueError(f"HAProxy has no quotes for {text}")
    return f"'{text}'"


def configuration_text(model: Routing, pages: Mapping[Page, str], authority: str, role: str, public: str) -> str:
    """Return HAProxy's configuration.

    Args:
        model: what it does.
        pages: where each page lies.
        authority: where the certificate of the authority lies.
        role: where the certificate of the role and its key lie.
        public: where the certificate of the public names and its key lie.

    Raises:
        ValueError: a check has a pattern that cannot be written.
    """
    return template(
        "configs.haproxy",
        "haproxy.cfg.j2",
        routing=model,
        pages=pages,
        ca=authority,
        role_pem=role,
        public_pem=public,
        fence_script=FENCE_SCRIPT,
        balances=_BALANCES,
        cookie=routing.STICKY_COOKIE,
        quoted=_quoted,
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
        connect_seconds=routing.CONNECT_SECONDS,
        idle_seconds=routing.IDLE_SECONDS,
        request_seconds=routing.REQUEST_SECONDS,
        tunnel_seconds=routing.TUNNEL_SECONDS,
        drain_seconds=routing.DRAIN_SECONDS,
        check_seconds=routing.CHECK_SECONDS,
        check_fast_seconds=CHECK_FAST_SECONDS,
        check_failures=routing.CHECK_FAILURES,
        check_successes=routing.CHECK_SUCCESSES,
        retry_after_seconds=routing.RETRY_AFTER_SECONDS,
        statistics_refresh_seconds=STATISTICS_REFRESH_SECONDS,
        health_path=HEALTH_PATH,
        alive_path=routing.ALIVE_PATH,
        metrics_path=routing.METRICS_PATH,
        statistics_path=routing.STATISTICS_PATH,
    )
