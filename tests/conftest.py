"""How the tests are shared out among processes."""

from __future__ import annotations

from typing import Any

import pytest
from typing_extensions import override
from xdist.scheduler import LoadScopeScheduling

REGION, ENGINE = "tests/cluster/", "tests/engine/"


class _Shared(LoadScopeScheduling):
    """Sends a file's tests to one process, as they share what it prepared, and all of the region's.

    The region's mostly wait, and begin first. A test of the engine takes seconds, some of them minutes: each goes to
    whoever has time. Groups by mark (``--dist loadgroup``) have no effect with pytest 9.2 and xdist 3.8.
    """

    @override
    def _split_scope(self, nodeid: str) -> str:
        if nodeid.startswith(REGION):
            return REGION
        return nodeid if nodeid.startswith(ENGINE) else nodeid.partition("::")[0]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the region's tests first, even where folders are not read in their order."""
    items.sort(key=lambda item: not item.nodeid.startswith(REGION))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """Return who shares out the tests: in their order, so that the short unit tests come last and even things out."""
    config.option.loadscopereorder = False
    return _Shared(config, log)
