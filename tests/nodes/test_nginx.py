"""Nginx's files, read by Nginx."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.nodes.backends import VARIANTS, validated

VALIDATED = ("/etc/mlops-ha/nginx/*",)


@pytest.mark.parametrize("variant", VARIANTS)
def test_nginx_takes_its_files(variant: str, tmp_path: Path) -> None:
    """Guards against a configuration that Nginx refuses or warns of, whatever the settings."""
    said = validated(variant, "nginx", tmp_path, "-t")
    path = "/etc/mlops-ha/nginx/nginx.conf"
    lines = [f"the configuration file {path} syntax is ok", f"configuration file {path} test is successful"]
    assert (said.returncode, said.stdout) == (0, "")
    assert said.stderr.splitlines() == [f"nginx: {line}" for line in lines]
