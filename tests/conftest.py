"""In which order tests run, and which of them in one process."""

from __future__ import annotations

import pytest

CLUSTER = "tests/cluster/"
"""Tests of one region: they follow each other, and begin first, because they mostly wait."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    cluster = [item for item in items if item.nodeid.startswith(CLUSTER)]
    for item in cluster:
        item.add_marker(pytest.mark.xdist_group("cluster"))
    items[:] = [*cluster, *(item for item in items if item not in set(cluster))]
