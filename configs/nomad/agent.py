"""nomad"""

from __future__ import annotations

from configs.context import Context
from configs.service import NodeService


def server(context: Context) -> NodeService | None:
    return None


def client(context: Context) -> NodeService | None:
    return None
