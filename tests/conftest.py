"""How the tests are shared out among processes."""

from __future__ import annotations

from typing import Any

import pytest
from typing_extensions import override
from xdist.scheduler import LoadScopeScheduling

REGION = "tests/cluster/"
"""Tests of one region: one process runs them, one after another. They mostly wait, and so begin first."""


class _Shared(LoadScopeScheduling):
    """Sends the tests of the region to one process, and every other test to whoever has time.

    Groups by mark (``--dist loadgroup``) have no effect with pytest 9.2 and xdist 3.8.
    """

    @override
    def _split_scope(self, nodeid: str) -> str:
        return REGION if nodeid.startswith(REGION) else nodeid


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the region's tests first, even where folders are not read in their order."""
    items.sort(key=lambda item: not item.nodeid.startswith(REGION))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """Return who shares out the tests: in their order, so that the many short unit tests come last."""
    config.option.loadscopereorder = False
    return _Shared(config, log)
