"""PgBouncer of a server: Grafana's way to the database, over TLS and with a bound on connections.

Every setting: https://www.pgbouncer.org/config.html (the pages are of the newest version; those here are in 1.18).
"""

from __future__ import annotations

from configs.context import Context
from configs.database import NAME, pool_size
from configs.manifest import File, Probe, SecretFile, ServiceKind
from configs.service import NodeService
from configs.tables import flows
from configs.tables.accounts import PGBOUNCER
from configs.tables.certificates import LOOPBACK_ADDRESS
from configs.tables.paths import configuration, secret
from configs.tables.secrets import DATABASE_PASSWORD
from configs.tables.versions import Software
from configs.text import ini_text

SERVICE = "pgbouncer"

CONFIGURATION = configuration(SERVICE, "pgbouncer.ini")

USERS = secret(SERVICE, "userlist.txt")
"""Users and their passwords, in plain text: SCRAM takes no less of whoever logs in at the database."""

IMAGE_FOLDER = "/etc/pgbouncer"
"""Where the image's entry point writes a configuration of its own unless it finds one, which fails on a read-only
root (https://github.com/edoburu/docker-pgbouncer/blob/master/entrypoint.sh)."""

CONSOLE_CLIENTS = 10
"""Clients beyond those that the database may have: people at the console, and the boot agent's look at the port."""


def service(context: Context) -> NodeService:
    """Return PgBouncer of a server. It runs on a standby's as well: what a failover needs is tried every day."""
    return NodeService(
        name=SERVICE,
        software=Software.PGBOUNCER,
        version=context.settings.version(Software.PGBOUNCER),
        kind=ServiceKind.CONTAINER,
        account=PGBOUNCER,
        probe=Probe(kind="tcp", port=flows.PGBOUNCER.port),
        arguments=("pgbouncer", CONFIGURATION),
        # Otherwise the entry point wants to make a list of users of its own.
        environment={"AUTH_FILE": USERS},
        files={
            CONFIGURATION: File.of(ini_text(_sections(context))),
            f"{IMAGE_FOLDER}/pgbouncer.ini": File.of(f"%include {CONFIGURATION}\n"),
        },
        secrets=(SecretFile(path=USERS, text=f'"{NAME}" "${{{DATABASE_PASSWORD.name}}}"\n', owner=PGBOUNCER.name),),
        mounts=(IMAGE_FOLDER,),
        reload="SIGHUP",
        # Sessions go on: Grafana notices neither another password nor another address.
        reloads=(CONFIGURATION, USERS),
    )


def connections(context: Context) -> int:
    """Return how many connections to the database the PgBouncer of a server may hold."""
    return pool_size(context.settings.database.instance_class, len(context.servers))


def _sections(context: Context) -> dict[str, dict[str, str]]:
    size = str(connections(context))
    return {
        "databases": {NAME: f"host={context.facts.database_address} port={flows.POSTGRESQL.port} dbname={NAME}"},
        "pgbouncer": {
            # Only the Grafana of this server, so without TLS.
            "listen_addr": LOOPBACK_ADDRESS,
            "listen_port": str(flows.PGBOUNCER.port),
            # No socket of the file system: the root is read-only.
            "unix_socket_dir": "",
            "auth_type": "scram-sha-256",
            "auth_file": USERS,
            # May look at the console (SHOW POOLS), not pause or stop anything.
            "stats_users": NAME,
            # Grafana's migrations take locks that belong to a session.
            "pool_mode": "session",
            "server_reset_query": "DISCARD ALL",
            "max_client_conn": str(connections(context) + CONSOLE_CLIENTS),
            "default_pool_size": size,
            "max_db_connections": size,
            # Sent by Grafana's driver; of no consequence to what it keeps.
            "ignore_startup_parameters": "extra_float_digits",
            # Encrypted, but whoever answers is believed: RDS's authorities are in no trust store of the image, and no
            # registry that nodes may reach serves them.
            "server_tls_sslmode": "require",
            "server_tls_protocols": "secure",
            # RDS moves the name within a minute or two of losing an instance, and its own records live 5 seconds.
            "dns_max_ttl": "5",
            "dns_nxdomain_ttl": "5",
            # An instance that is gone does not answer at all: try the next address soon, and again every second.
            "server_connect_timeout": "5",
            "server_login_retry": "1",
            # What waits longer is told so: users see an error page rather than none.
            "query_wait_timeout": "30",
            # A connection that nobody uses is closed after ten minutes at the latest, whatever its age: none stays
            # with an instance that DNS no longer names.
            "server_lifetime": "600",
            "server_idle_timeout": "600",
            # A peer that is gone without a word is noticed after 15 + 3 x 5 = 30 seconds when idle, 30 when not.
            "tcp_keepidle": "15",
            "tcp_keepintvl": "5",
            "tcp_keepcnt": "3",
            "tcp_user_timeout": "30000",
            # The boot agent looks at the port every few seconds.
            "log_connections": "0",
            "log_disconnections": "0",
        },
    }
