"""Grafana of a server, where users are served: a standby's database is read-only, and Grafana writes at once.

Settings: https://grafana.com/docs/grafana/v12.4/setup-grafana/configure-grafana/
"""

from __future__ import annotations

import json

from configs.context import Context
from configs.database import NAME
from configs.grafana.dashboards import Dashboard, dashboards
from configs.grafana.sources import sources
from configs.manifest import Directory, File, Probe, SecretFile, ServiceKind
from configs.pgbouncer.service import connections
from configs.prometheus.scrape import GRAFANA_USER
from configs.service import NodeService, tls_files
from configs.tables import flows
from configs.tables.accounts import GRAFANA
from configs.tables.certificates import LOOPBACK_ADDRESS
from configs.tables.names import PublicNames, Service
from configs.tables.paths import configuration, data, secret
from configs.tables.secrets import (
    DATABASE_PASSWORD,
    GRAFANA_ADMIN_PASSWORD,
    GRAFANA_METRICS_PASSWORD,
    GRAFANA_SECRET_KEY,
    SecretValue,
)
from configs.tables.versions import Software
from configs.text import ini_text, yaml_text

SERVICE = "grafana"

CONFIGURATION = configuration(SERVICE, "grafana.ini")

DATA = data(SERVICE)

ADMINISTRATOR = "admin"
"""Grafana's first user."""

IDLE_CONNECTIONS = 25
"""Connections that Grafana keeps while it has nothing to ask: what the requirements name."""

CONNECTION_POOLS = 2
"""Pools of connections that Grafana opens with the settings of ``[database]``, each of that size: its own, and one
for the store behind its API
(https://github.com/grafana/grafana/blob/main/pkg/storage/unified/sql/db/dbimpl/dbimpl.go)."""

_SECRETS: dict[str, SecretValue] = {
    "administrator-password": GRAFANA_ADMIN_PASSWORD,
    "database-password": DATABASE_PASSWORD,
    "metrics-password": GRAFANA_METRICS_PASSWORD,
    "secret-key": GRAFANA_SECRET_KEY,
}


def service(context: Context) -> NodeService | None:
    """Return Grafana of a server; None in a region that does not serve."""
    if not context.settings.serves:
        return None
    return NodeService(
        name=SERVICE,
        software=Software.GRAFANA,
        version=context.settings.version(Software.GRAFANA),
        kind=ServiceKind.CONTAINER,
        account=GRAFANA,
        probe=Probe(kind="https", port=flows.GRAFANA.port, path="/api/health"),
        # The image sets each of these to a place of its own, and the environment wins over the file.
        environment={
            "GF_PATHS_CONFIG": CONFIGURATION,
            "GF_PATHS_DATA": DATA,
            "GF_PATHS_LOGS": f"{DATA}/log",
            "GF_PATHS_PLUGINS": f"{DATA}/plugins",
            "GF_PATHS_PROVISIONING": configuration(SERVICE, "provisioning"),
        },
        files={
            CONFIGURATION: File.of(ini_text(_sections(context))),
            configuration(SERVICE, "provisioning/datasources/platform.yaml"): File.of(yaml_text(sources())),
            configuration(SERVICE, "provisioning/dashboards/platform.yaml"): File.of(yaml_text(_providers())),
            **{
                configuration(SERVICE, f"dashboards/{dashboard.uid}.json"): File.of(
                    json.dumps(dashboard.model(), indent=1) + "\n"
                )
                for dashboard in _dashboards(context)
            },
        },
        secrets=(
            *tls_files(SERVICE, GRAFANA),
            *(
                SecretFile(path=secret(SERVICE, name), text=f"${{{value.name}}}", owner=GRAFANA.name)
                for name, value in _SECRETS.items()
            ),
        ),
        directories=(Directory(path=DATA, owner=GRAFANA.name),),
    )


def _dashboards(context: Context) -> tuple[Dashboard, ...]:
    workers = context.settings.workers
    return dashboards(target=workers.target_percent, least=workers.minimum, most=workers.maximum)


def _file(name: str) -> str:
    """Return a value that Grafana reads from a file of its secrets."""
    return f"$__file{{{secret(SERVICE, name)}}}"


def _providers() -> dict[str, object]:
    """Return where dashboards come from.

    https://grafana.com/docs/grafana/v12.4/administration/provisioning/#dashboards
    """
    provider = {
        "name": "platform",
        "folder": "Platform",
        "type": "file",
        "disableDeletion": True,
        "allowUiUpdates": False,
        "options": {"path": configuration(SERVICE, "dashboards")},
    }
    return {"apiVersion": 1, "providers": [provider]}


def _origins(context: Context) -> tuple[str, ...]:
    """Return every address that users' browsers call Grafana by, the one in links first."""
    settings, names = context.settings, context.public_names
    plain = (names.service(Service.GRAFANA), names.regional(Service.GRAFANA, context.region))
    edge = (PublicNames(settings.edge.domain).service(Service.GRAFANA),) if settings.edge else ()
    return tuple(f"https://{name}" for name in (*edge, *plain))


def _sections(context: Context) -> dict[str, dict[str, str]]:
    origins = _origins(context)
    most = connections(context) // CONNECTION_POOLS
    own = f"{context.address}:{flows.GRAFANA_GOSSIP.port}"
    return {
        "server": {
            "protocol": "https",
            "http_port": str(flows.GRAFANA.port),
            "domain": origins[0].removeprefix("https://"),
            "root_url": f"{origins[0]}/",
            "cert_file": secret(SERVICE, "certificate.pem"),
            "cert_key": secret(SERVICE, "private-key.pem"),
        },
        "database": {
            "type": "postgres",
            "host": f"{LOOPBACK_ADDRESS}:{flows.PGBOUNCER.port}",
            "name": NAME,
            "user": NAME,
            "password": _file("database-password"),
            # To the PgBouncer of this machine, which itself goes on over TLS.
            "ssl_mode": "disable",
            "max_open_conn": str(most),
            "max_idle_conn": str(min(IDLE_CONNECTIONS, most)),
        },
        "security": {
            "admin_user": ADMINISTRATOR,
            "admin_password": _file("administrator-password"),
            "secret_key": _file("secret-key"),
            "cookie_secure": "true",
            "cookie_samesite": "strict",
            # Would ask another site with a hash of each user's address.
            "disable_gravatar": "true",
        },
        "auth.anonymous": {"enabled": "false"},
        "auth.basic": {"enabled": "true"},
        "users": {
            "allow_sign_up": "false",
            "allow_org_create": "false",
            "auto_assign_org": "true",
            "auto_assign_org_role": "Viewer",
            "default_theme": "dark",
        },
        "snapshots": {"external_enabled": "false"},
        "unified_alerting": {
            "enabled": "true",
            "execute_alerts": "true",
            # 9094 is Alertmanager's on the same machine.
            "ha_listen_address": own,
            "ha_advertise_address": own,
            "ha_peers": ",".join(f"{address}:{flows.GRAFANA_GOSSIP.port}" for address in context.server_addresses),
            "ha_peer_timeout": "15s",
            "ha_gossip_interval": "200ms",
            "ha_push_pull_interval": "60s",
        },
        # Websockets: any other origin than root_url has to be named.
        "live": {"allowed_origins": ",".join(origins)},
        "log": {"mode": "console file", "level": "info", "filters": "ngalert.notifier.slack:debug"},
        "log.file": {
            # A week: the journal has the same, and the disk is the servers' too.
            "daily_rotate": "true",
            "max_days": "7",
        },
        "metrics": {
            "enabled": "true",
            "basic_auth_username": GRAFANA_USER,
            "basic_auth_password": _file("metrics-password"),
        },
        # Servers call nobody but those that the platform needs.
        "analytics": {
            "reporting_enabled": "false",
            "check_for_updates": "false",
            "check_for_plugin_updates": "false",
            "feedback_links_enabled": "false",
        },
        "news": {"news_feed_enabled": "false"},
        "plugins": {"preinstall_disabled": "true", "plugin_admin_enabled": "false"},
    }
