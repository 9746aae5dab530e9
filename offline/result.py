"""What a run on the offline cloud did."""

from __future__ import annotations

from dataclasses import dataclass, field

from engine.steps import Result
from offline.provider import Call


@dataclass
class OfflineResult(Result):
    """What a run did, and what the offline cloud knows of it besides."""

    calls: dict[str, list[Call]] = field(default_factory=dict[str, list[Call]])
    adopted: list[str] = field(default_factory=list[str])
    """Resources that a killed run had made and not noted, taken into the state instead of made again.

    Only the offline cloud can tell; on AWS they are found by the error that their name is taken, and imported.
    """
    orphans: list[str] = field(default_factory=list[str])
    """Resources that exist and that no state knows."""
    kept: list[str] = field(default_factory=list[str])
    """Resources that the state knew once and was to forget, not to delete: they exist, and are never adopted."""
