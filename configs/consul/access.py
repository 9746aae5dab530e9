"""consul"""

from __future__ import annotations

from configs.context import Context
from configs.manifest import Call


def calls(context: Context) -> tuple[Call, ...]:
    return ()
