"""Nomad's autoscaler, started for real with what is rendered for it: it has no command that only validates."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from configs.nomad import access
from configs.nomad_autoscaler.service import NAME, service
from tests.nodes import autoscaler_surroundings, world

VALIDATED = ("/etc/mlops-ha/nomad-autoscaler/agent.hcl", "/etc/mlops-ha/nomad-autoscaler/policies/workers.json")

SERVERS = [(stack, node) for stack, node in world.NODES if node.startswith("control-plane")]


def test_every_server_of_a_stack_gets_the_same() -> None:
    """Guards against looking at one server of each stack alone, as below, when they differ."""
    for stack in world.STACKS:
        files = [
            {path: file for path, file in world.bundle_of(stack, node).files.items() if f"/{NAME}/" in path}
            for of, node in SERVERS
            if of == stack
        ]
        assert len(files) == 3
        assert files == [files[0]] * 3
        assert set(files[0]) == set(VALIDATED)


def started(folder: Path, stack: str) -> dict[str, Any]:
    """What an autoscaler asks for and says, with the lock given to it."""
    context = world.context_of(stack, "control-plane-1")
    [token] = access.tokens(context)
    running = service(context)
    laid = world.laid(folder, stack, "control-plane-1")
    # Where its account may read it: the folder that the tools are built into may be root's alone.
    program = folder / "program"
    program.mkdir()
    script = f"""
        ip link set lo up
        mount --bind {Path(world.tools.find(NAME)).parent} {program}
        printf '%s' '{token.text.replace("${secret}", "its-secret")}' > {token.path}
        chown {running.account.number} {token.path} && chmod {token.mode} {token.path}
        exec {sys.executable} -I {autoscaler_surroundings.__file__} setpriv --reuid {running.account.number} \
            --regid {running.account.number} --clear-groups {program}/{NAME} {" ".join(running.arguments)}
    """
    for part in (folder, *folder.parents[:2]):
        part.chmod(0o755)
    answer = laid.run("sh", "-euc", script)
    assert answer.returncode == 0, answer
    return json.loads(answer.stdout)


@pytest.mark.parametrize(("stack", "region"), [("prod", "us-east-1"), ("dr-active", "us-west-2")])
def test_takes_the_lock_and_looks_after_its_group(stack: str, region: str, tmp_path: Path) -> None:
    """Guards against a configuration that is refused, a policy that ends the program, and another region's group."""
    found = started(tmp_path, stack)
    assert found["aws"], found["said"]
    [asked] = found["aws"]
    assert (asked["Action"], asked["AutoScalingGroupNames.member.1"]) == (
        "DescribeAutoScalingGroups",
        "mlops-workers",
    )
    assert asked["scope"] == f"{region}/autoscaling"
    [lock] = {line for line in found["nomad"] if "lock-acquire" in line}
    assert lock.startswith("PUT /v1/var/nomad-autoscaler/lock?")
    assert lock.endswith(" its-secret")
    assert (found["health"], found["metrics"]) == (200, 200)
    assert "running in HA mode" in found["said"]
    assert "source=nomad" not in found["said"]
