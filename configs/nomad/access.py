"""nomad"""

from __future__ import annotations

from configs.context import Context
from configs.manifest import Call, NamedToken


def calls(context: Context) -> tuple[Call, ...]:
    return ()


def tokens(context: Context) -> tuple[NamedToken, ...]:
    return ()
