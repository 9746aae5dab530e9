"""HAProxy's files, read by HAProxy."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.nodes.backends import VARIANTS, validated

VALIDATED = ("/etc/mlops-ha/haproxy/*",)


@pytest.mark.parametrize("variant", VARIANTS)
def test_haproxy_takes_its_files(variant: str, tmp_path: Path) -> None:
    """Guards against a configuration, page or script that HAProxy refuses or warns of, whatever the settings."""
    said = validated(variant, "haproxy", tmp_path, "-c")
    assert (said.returncode, said.stdout, said.stderr) == (0, "Configuration file is valid\n", "")
