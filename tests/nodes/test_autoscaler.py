"""Nomad's autoscaler, started for real with what is rendered for it: it has no command that only validates."""

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from configs.node_policies import node_policy
from configs.nomad import access
from configs.nomad_autoscaler.service import NAME, service
from configs.tables.flows import Role
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


@dataclass(frozen=True)
class Case:
    """An autoscaler and what is around it. ``percent`` is what Prometheus says is allocated."""

    stack: str
    region: str
    workers: int
    percent: int


BUSY, IDLE = Case("prod", "us-east-1", 3, 1000), Case("dr-active", "us-west-2", 5, 0)
"""Three workers with work for 43, and five without any."""


def started(folder: Path, case: Case) -> dict[str, Any]:
    """What an autoscaler asks for and does, with the lock given to it."""
    context = world.context_of(case.stack, "control-plane-1")
    [token] = access.tokens(context)
    running = service(context)
    laid = world.laid(folder, case.stack, "control-plane-1")
    # Where its account may read it: the folder that the tools are built into may be root's alone.
    program = folder / "program"
    program.mkdir()
    around = f"{sys.executable} -I {autoscaler_surroundings.__file__} {case.workers} {case.percent} {case.region}"
    script = f"""
        ip link set lo up
        mount --bind {Path(world.tools.find(NAME)).parent} {program}
        printf '%s' '{token.text.replace("${secret}", "its-secret")}' > {token.path}
        chown {running.account.number} {token.path} && chmod {token.mode} {token.path}
        exec {around} setpriv --pdeathsig=KILL --reuid {running.account.number} \
            --regid {running.account.number} --clear-groups {program}/{NAME} {" ".join(running.arguments)}
    """
    for part in (folder, *folder.parents[:2]):
        part.chmod(0o755)
    answer = laid.run("sh", "-euc", script)
    assert answer.returncode == 0, answer
    return json.loads(answer.stdout)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[Case, dict[str, Any]]:
    """What came of both cases. They run at the same time: each waits ten seconds until the autoscaler looks."""
    with ThreadPoolExecutor() as pool:
        runs = {case: pool.submit(started, tmp_path_factory.mktemp(case.stack), case) for case in (BUSY, IDLE)}
        return {case: run.result() for case, run in runs.items()}


def actions(found: dict[str, Any]) -> list[str]:
    return [call["Action"] for call in found["aws"]]


@pytest.mark.parametrize("case", [BUSY, IDLE], ids=lambda case: case.stack)
def test_takes_the_lock_and_looks_after_its_group(case: Case, found: dict[Case, dict[str, Any]]) -> None:
    """Guards against a configuration that is refused, a policy that ends the program, and another region's group."""
    seen = found[case]
    assert seen["aws"], seen["said"]
    # The environment says another one: what is configured holds.
    assert {call["scope"] for call in seen["aws"]} == {f"{case.region}/autoscaling"}
    asked = seen["aws"][0]
    assert (asked["Action"], asked["AutoScalingGroupNames.member.1"]) == (
        "DescribeAutoScalingGroups",
        "mlops-workers",
    )
    [lock] = {line for line in seen["nomad"] if "lock-acquire" in line}
    assert lock.startswith("PUT /v1/var/nomad-autoscaler/lock?")
    assert lock.endswith(" its-secret")
    assert (seen["health"], seen["metrics"]) == (200, 200)
    assert "running in HA mode" in seen["said"]
    assert "source=nomad" not in seen["said"]


def test_there_are_never_more_than_twenty(found: dict[Case, dict[str, Any]]) -> None:
    """Guards against a wrong number that orders a hundred machines: the group itself would let it here."""
    seen = found[BUSY]
    [update] = [call for call in seen["aws"] if call["Action"] == "UpdateAutoScalingGroup"]
    assert update["DesiredCapacity"] == "20"
    assert (seen["desired"], seen["instances"]) == (20, 20)
    assert 'from=3 to=20 reason="capped count from 43 to 20 to stay within limits"' in seen["said"]


def test_there_are_never_fewer_than_three(found: dict[Case, dict[str, Any]]) -> None:
    """Guards against an idle hour that ends the last workers, and against ending one that nobody has drained."""
    seen = found[IDLE]
    ended = [call for call in seen["aws"] if call["Action"] == "TerminateInstanceInAutoScalingGroup"]
    assert [call["ShouldDecrementDesiredCapacity"] for call in ended] == ["true", "true"]
    assert (seen["desired"], seen["instances"]) == (3, 3)
    assert 'from=5 to=3 reason="capped count from 0 to 3 to stay within limits"' in seen["said"]
    gone = {f"node-of-{call['InstanceId']}" for call in ended}
    for what in ("drain", "purge"):
        assert {line.split("/")[3] for line in seen["nomad"] if f"/{what}" in line} == gone


def test_it_makes_the_calls_that_it_may_make(found: dict[Case, dict[str, Any]]) -> None:
    """Guards against a call that is refused when a load rises, and against a right that nothing needs."""
    names = world.context_of("prod", "control-plane-1").names
    statements = json.loads(node_policy(Role.CONTROL_PLANE, names))["Statement"]
    allowed = {action for one in statements for action in one["Action"] if action.startswith("autoscaling:")}
    assert {f"autoscaling:{action}" for seen in found.values() for action in actions(seen)} == allowed
