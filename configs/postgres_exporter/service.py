"""Postgres exporter on every server: each asks the region's database, so that one is enough to see it.

It asks the database itself, not through PgBouncer: a pooler that is full is one of the things to be seen.
"""

from __future__ import annotations

from configs.context import Context
from configs.database import NAME as DATABASE
from configs.manifest import Probe, SecretFile, ServiceKind
from configs.service import NodeService
from configs.tables.accounts import POSTGRES_EXPORTER as ACCOUNT
from configs.tables.flows import POSTGRES_EXPORTER, POSTGRESQL
from configs.tables.paths import secret
from configs.tables.secrets import DATABASE_PASSWORD
from configs.tables.versions import Software

NAME = "postgres-exporter"

TLS_MODE = "require"
"""Encrypted, and whose certificate answers is not looked at: a node does not have RDS's authorities, which no public
one vouches for (https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.SSL.html). The name is resolved
within the VPC, and the security groups let the servers reach the database alone."""


def service(context: Context) -> NodeService:
    """Return the service of a server."""
    password = secret(NAME, "password")
    return NodeService(
        name=NAME,
        software=Software.POSTGRES_EXPORTER,
        version=context.settings.version(Software.POSTGRES_EXPORTER),
        kind=ServiceKind.BINARY,
        account=ACCOUNT,
        program="/bin/postgres_exporter",
        arguments=(f"--web.listen-address=:{POSTGRES_EXPORTER.port}",),
        environment={
            "DATA_SOURCE_URI": f"{context.facts.database_address}:{POSTGRESQL.port}/{DATABASE}?sslmode={TLS_MODE}",
            "DATA_SOURCE_USER": DATABASE,
            "DATA_SOURCE_PASS_FILE": password,
        },
        secrets=(SecretFile(path=password, text=f"${{{DATABASE_PASSWORD.name}}}", owner=ACCOUNT.name),),
        # Its first page answers without the database: a database that is away is no reason to restart what says so.
        probe=Probe(kind="http", port=POSTGRES_EXPORTER.port, path="/"),
    )
