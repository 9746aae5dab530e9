"""Node exporter on every node."""

from __future__ import annotations

from configs.context import Context
from configs.manifest import Probe, ServiceKind
from configs.service import NodeService
from configs.tables.accounts import NODE_EXPORTER as ACCOUNT
from configs.tables.flows import NODE_EXPORTER
from configs.tables.paths import METRICS_FOLDER
from configs.tables.versions import Software


def service(context: Context) -> NodeService:
    """Return the service of a node."""
    return NodeService(
        name="node-exporter",
        software=Software.NODE_EXPORTER,
        version=context.settings.version(Software.NODE_EXPORTER),
        kind=ServiceKind.BINARY,
        account=ACCOUNT,
        program="/bin/node_exporter",
        arguments=(
            f"--web.listen-address=:{NODE_EXPORTER.port}",
            f"--collector.textfile.directory={METRICS_FOLDER}",
        ),
        probe=Probe(kind="http", port=NODE_EXPORTER.port, path="/"),
    )
