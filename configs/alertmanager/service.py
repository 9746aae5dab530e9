"""alertmanager"""

from __future__ import annotations

from configs.context import Context
from configs.service import NodeService


def service(context: Context) -> NodeService | None:
    return None
