"""Nomad's own opinion of what is rendered for it, on every node."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.nodes import world

VALIDATED = ("/etc/mlops-ha/nomad/*.hcl", "/etc/mlops-ha/nomad/docker.json")

AGENTS = [(stack, node) for stack, node in world.NODES if not node.startswith("load-balancer")]


def said(laid: world.Laid, file: str) -> subprocess.CompletedProcess[str]:
    return laid.run("/opt/mlops-ha/bin/nomad", "config", "validate", file, "/run/mlops-ha/nomad/secrets.json")


@pytest.mark.parametrize(("stack", "node"), AGENTS)
def test_nomad_accepts_every_nodes_files(stack: str, node: str, tmp_path: Path) -> None:
    """Guards against a node whose Nomad does not start: a block in the wrong place, a time that is none."""
    bundle = world.bundle_of(stack, node)
    [file] = [path for path in bundle.files if path.startswith("/etc/mlops-ha/nomad/") and path.endswith(".hcl")]
    answer = said(world.laid(tmp_path, stack, node), file)
    assert (answer.returncode, answer.stdout, answer.stderr) == (0, "Configuration is valid!\n", ""), answer


@pytest.mark.parametrize(
    ("node", "file", "old", "new", "message"),
    [
        (
            "control-plane-1",
            "server.hcl",
            'heartbeat_ttl = "60s"',
            'heartbeat_ttl = "long"',
            "server.failover_heartbeat_ttl can't parse time duration long",
        ),
        ("worker", "client.hcl", '"/opt/data/nomad"', '"data"', "data-dir must be given as an absolute path"),
    ],
)
def test_what_is_wrong_is_seen(node: str, file: str, old: str, new: str, message: str, tmp_path: Path) -> None:
    """Guards against a validation that accepts anything. It knows no keys: tests/unit/test_nomad.py does."""
    bundle, path = world.bundle_of("prod", node), f"/etc/mlops-ha/nomad/{file}"
    bad = bundle.files[path].model_copy(
        update={"lines": tuple(line.replace(old, new) for line in bundle.files[path].lines)}
    )
    changed = bundle.model_copy(update={"files": {**bundle.files, path: bad}})
    answer = said(world.laid(tmp_path, "prod", node, changed), path)
    assert answer.returncode == 1
    assert message in answer.stderr + answer.stdout


def test_docker_asks_the_helper_for_the_own_registry_alone() -> None:
    """Guards against jobs whose image cannot be pulled: a password of the registry lasts for hours only."""
    for stack, region in (("prod", "us-east-1"), ("dr-active", "us-west-2")):
        file = world.bundle_of(stack, "worker").files["/etc/mlops-ha/nomad/docker.json"]
        registry = f"123456789012.dkr.ecr.{region}.amazonaws.com"
        assert json.loads(file.text) == {"credHelpers": {registry: "ecr-login"}}
