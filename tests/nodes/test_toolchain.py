"""The distribution's programs that stand for what is deployed."""

from __future__ import annotations

import subprocess

import pytest

from configs.tables.versions import VERSIONS, Software
from toolchain import packages


@pytest.mark.parametrize(
    ("software", "command", "kept"),
    [
        # `kept` numbers of the version have to be the same: the rest are a distribution's corrections.
        (Software.HAPROXY, ("haproxy", "-v"), 2),
        (Software.NGINX, ("nginx", "-v"), 2),
        (Software.PGBOUNCER, ("pgbouncer", "--version"), 2),
        (Software.POSTGRESQL, ("postgres", "--version"), 1),
    ],
)
def test_it_is_the_series_that_is_deployed(software: Software, command: tuple[str, ...], kept: int) -> None:
    """Tests that pass with a load balancer or a database of another series than the one that is deployed."""
    program, *arguments = command
    done = subprocess.run(
        [packages.find(program), *arguments], capture_output=True, text=True, timeout=60, check=True
    )
    series = ".".join(VERSIONS[software].version.split(".")[:kept])
    said = (done.stdout + done.stderr).splitlines()[0]
    assert any(word.startswith(f"{series}.") for word in said.replace("/", " ").split()), said
