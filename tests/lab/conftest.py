"""The small cloud, and AWS's APIs over it."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest

from lab.account import Account, account
from offline.cloud import Cloud
from tests.lab.cloud import small_cloud


@pytest.fixture
def cloud(tmp_path: Path) -> Generator[Cloud]:
    cloud = small_cloud(tmp_path / "cloud.sqlite")
    yield cloud
    cloud.close()


@pytest.fixture
def served(cloud: Cloud) -> Generator[Account]:
    with account(cloud) as served:
        yield served
