"""One region, booted from its unmodified bundles, for all tests of this folder: they run one after another."""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path

import pytest

from boot_agent import agent_text
from lab.region import Region, region
from tests.unit.mocks import stack_settings

FORMED_SECONDS = 180
"""Longest until every node is healthy: 34 s on two idle cores, a few times that beside other tests."""


URGENCY = -10
"""Niceness of everything in the region: machines have their cores to themselves, whatever else is tested beside."""


@pytest.fixture(scope="package")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Generator[Region]:
    """The primary region: three servers, two load balancers, three workers, its database and the world around it."""
    before = os.getpriority(os.PRIO_PROCESS, 0)
    # Of this thread, and of all that it starts.
    os.setpriority(os.PRIO_PROCESS, 0, URGENCY)
    database: Path = tmp_path_factory.mktemp("database")
    try:
        with region(stack_settings("prod"), agent=agent_text(), database=database) as running:
            running.until(running.healthy, FORMED_SECONDS, "every node is healthy")
            yield running
    finally:
        os.setpriority(os.PRIO_PROCESS, 0, before)
