"""In which order tests run, and which of them in one process."""

from __future__ import annotations

from typing import Any

import pytest
from typing_extensions import override
from xdist.scheduler import LoadScopeScheduling

CLUSTER = "tests/cluster/"
"""Tests of one region: they follow each other, and begin first, because they mostly wait."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: not item.nodeid.startswith(CLUSTER))


class _OneRegion(LoadScopeScheduling):
    """Sends the tests of the region to one process, and all others to whoever has time.

    (Groups by mark, `--dist loadgroup`, have no effect with this pytest.)
    """

    @override
    def _split_scope(self, nodeid: str) -> str:
        return CLUSTER if nodeid.startswith(CLUSTER) else nodeid


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    return _OneRegion(config, log)
