"""Consul's own opinion of what is rendered for it, on every node."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.nodes import world

VALIDATED = ("/etc/mlops-ha/consul/*.hcl",)

PREPARED = "ip link set lo up && ip link add name lan type bridge && ip address add 10.10.1.7/16 dev lan && "
"""A network as a worker has: Consul asks for a private address."""


def said(laid: world.Laid, file: str) -> subprocess.CompletedProcess[str]:
    command = f"{PREPARED}/opt/mlops-ha/bin/consul validate {file} /run/mlops-ha/consul/secrets.json"
    return laid.run("sh", "-c", command)


@pytest.mark.parametrize(("stack", "node"), world.NODES)
def test_consul_accepts_every_nodes_files(stack: str, node: str, tmp_path: Path) -> None:
    """Guards against a node whose Consul does not start: a block that there is not, a port twice, a bad key."""
    bundle = world.bundle_of(stack, node)
    [file] = [path for path in bundle.files if path.startswith("/etc/mlops-ha/consul/")]
    answer = said(world.laid(tmp_path, stack, node), file)
    # Above "bootstrap_expect", of which it says what is written, it has nothing to add.
    assert (answer.returncode, answer.stdout) == (0, "Configuration is valid!\n"), answer
    assert answer.stderr in ("", "bootstrap_expect > 0: expecting 3 servers\n")


def test_what_is_wrong_is_seen(tmp_path: Path) -> None:
    """Guards against a validation that accepts anything: the block that Consul does not know, and a short key."""
    bundle = world.bundle_of("prod", "control-plane-1")
    path = "/etc/mlops-ha/consul/server.hcl"
    bad = bundle.files[path].model_copy(update={"lines": (*bundle.files[path].lines, "api_config {", "}")})
    changed = bundle.model_copy(update={"files": {**bundle.files, path: bad}})
    answer = said(world.laid(tmp_path, "prod", "control-plane-1", changed), path)
    assert answer.returncode == 1
    assert "invalid config key api_config" in answer.stderr + answer.stdout


def test_secrets_are_where_consul_looks_for_them(tmp_path: Path) -> None:
    """Guards against gossip in the clear and agents without a token: each role has its own."""
    kept = {
        node: json.loads(
            world.laid(tmp_path / node, "prod", node).run("cat", "/run/mlops-ha/consul/secrets.json").stdout
        )
        for node in ("control-plane-1", "load-balancer-nginx", "worker")
    }
    documents = world.documents_of("prod")
    server, balancer, worker = (documents[f"mlops/{role}"] for role in ("control-plane", "load-balancer", "worker"))
    key = server["consulGossipKey"]
    assert kept == {
        "control-plane-1": {
            "encrypt": key,
            "acl": {
                "tokens": {
                    "initial_management": server["consulManagementToken"],
                    "agent": server["consulServerToken"],
                    "dns": server["consulServerToken"],
                }
            },
        },
        "load-balancer-nginx": {
            "encrypt": key,
            "acl": {"tokens": {"agent": balancer["consulLoadBalancerToken"]}},
        },
        "worker": {
            "encrypt": key,
            "acl": {
                "tokens": {
                    "agent": worker["consulWorkerToken"],
                    "config_file_service_registration": worker["consulWorkerToken"],
                }
            },
        },
    }
