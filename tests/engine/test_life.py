"""A stack's whole life on the real engine: preview, up, again, refresh, destroy."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from configs.settings.problem import SettingsError
from offline.engine import OfflineError
from offline.result import Result
from offline.stack_files import ROOT, STACKS
from tests.engine.conftest import stack_of, succeeded, write_project

Deployed = tuple[Path, dict[str, Result]]


def tracked() -> dict[str, bytes]:
    """Return the bytes of every tracked file."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True)
    return {name: (ROOT / name).read_bytes() for name in listed.stdout.split("\0") if (ROOT / name).is_file()}


def what_is(state: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return what a state says of each resource, without what says when and where the program ran."""
    kept = ("type", "id", "inputs", "outputs", "protect", "parent", "provider")
    return {resource["urn"]: {key: resource.get(key) for key in kept} for resource in state["resources"]}


@pytest.mark.parametrize("stack", STACKS)
def test_preview_of_an_empty_cloud_creates_everything_and_writes_nothing(stack: str, tmp_path: Path) -> None:
    """A preview that deploys, or that changes a tracked file."""
    before = tracked()
    result = succeeded(stack_of(stack, tmp_path).preview())
    assert set(result.count()) == {"create"}
    assert {step.component for step in result.steps if step.custom} >= {"Network", "SecurityGroups", "FailoverDns"}
    assert [resource for resource in stack_of(stack, tmp_path).cloud().all() if resource.urn != "given"] == []
    assert stack_of(stack, tmp_path).state_resources() == []
    assert tracked() == before


@pytest.mark.parametrize("stack", STACKS)
def test_preview_promises_what_up_does(stack: str, deployed: Deployed, tmp_path: Path) -> None:
    """A preview that shows something else than what a deployment then does."""
    promised = succeeded(stack_of(stack, tmp_path).preview())
    done = deployed[1][stack]
    assert Counter((step.operation, step.urn) for step in promised.steps) == Counter(
        (step.operation, step.urn) for step in done.steps
    )


@pytest.mark.parametrize("stack", STACKS)
def test_a_second_up_and_a_refresh_change_nothing(stack: str, home: Path) -> None:
    """A difference that comes back with every run, and hides the real ones."""
    offline = stack_of(stack, home)
    before = what_is(offline.export())
    assert set(succeeded(offline.up()).count()) == {"same"}
    assert set(succeeded(offline.refresh()).count()) == {"refresh"}
    assert what_is(offline.export()) == before


def test_refresh_notices_what_was_deleted_behind_its_back(home: Path) -> None:
    """A refresh that looks at nothing."""
    offline = stack_of("prod", home)
    cloud = offline.cloud()
    route = next(cloud.all("aws:ec2/route:Route"))
    cloud.remove(route)
    cloud.close()
    looked = succeeded(offline.refresh())
    assert [step.urn for step in looked.steps if step.operation == "delete"] == [route.urn]
    assert route.urn not in {resource["urn"] for resource in offline.state_resources()}
    assert [(step.operation, step.urn) for step in succeeded(offline.up()).changed()] == [("create", route.urn)]


def test_destroy_lists_what_is_protected_and_deletes_nothing(home: Path) -> None:
    """A destroy that has deleted half when it comes to the first protected resource."""
    offline = stack_of("dr", home)
    before = what_is(offline.export())
    with pytest.raises(OfflineError) as refusal:
        offline.destroy()
    assert "mlops-switch-bucket" in str(refusal.value)
    assert "mlops-balancer-us-west-2a" in str(refusal.value)
    assert "mlops-ha:platform.protection to false in Pulumi.dr.yaml" in str(refusal.value)
    assert what_is(offline.export()) == before


@pytest.mark.parametrize("stack", STACKS)
def test_destroy_without_protection_deletes_users_before_what_they_use(
    stack: str, home: Path, tmp_path: Path
) -> None:
    """A deletion that AWS would refuse because something still uses the resource."""
    offline = stack_of(stack, home, write_project(tmp_path, lambda block: block.update(protection=False)))
    succeeded(offline.up())
    resources = {resource["urn"]: resource for resource in offline.state_resources()}
    result = succeeded(offline.destroy())
    ended = {urn: order for order, (_, urn) in enumerate(result.finished)}
    for urn, resource in resources.items():
        used_by_it: list[str] = resource.get("dependencies") or []
        for used in used_by_it:
            if {urn, used} <= ended.keys():
                assert ended[urn] < ended[used], f"{used} was deleted before {urn}, which uses it"
    assert offline.state_resources() == []
    assert [r.urn for r in offline.cloud().all() if r.urn.startswith(f"urn:pulumi:{stack}::")] == []


def test_bad_settings_leave_state_and_cloud_as_they_were(home: Path, tmp_path: Path) -> None:
    """A run with wrong settings that has begun before it stops."""
    state = home / "state" / ".pulumi" / "stacks" / "mlops-ha" / "prod.json"
    before = state.read_bytes(), (home / "cloud.sqlite").read_bytes()
    project = write_project(tmp_path, lambda block: block.update(controlPlane={"serverCount": 4}))
    with pytest.raises(SettingsError, match=r"mlops-ha:platform\.controlPlane\.serverCount"):
        stack_of("prod", home, project).up()
    assert (state.read_bytes(), (home / "cloud.sqlite").read_bytes()) == before


def test_a_program_that_fails_late_is_reported_and_does_not_hang(tmp_path: Path) -> None:
    """The patched wait of the SDK swallowing a failure, or waiting for outputs that never come."""

    def program() -> None:
        import pulumi
        import pulumi_aws as aws

        provider = aws.Provider("east", region="us-east-1")
        vpc = aws.ec2.Vpc("vpc", cidr_block="10.0.0.0/16", opts=pulumi.ResourceOptions(provider=provider))

        def fail(_: str) -> str:
            raise ValueError("the program is wrong here")

        pulumi.export("never", vpc.cidr_block.apply(fail))

    from offline.engine import OfflineStack

    result = OfflineStack("prod", home=tmp_path, run=program, checkpoints=False).up()
    assert any("the program is wrong here" in error for error in result.errors)


def test_two_renders_are_the_same_bytes(tmp_path: Path) -> None:
    """Anything random, or in the order of a set, in what the program asks for: it would differ in every preview."""
    script = (
        "import json, sys; from pathlib import Path; from offline.engine import OfflineStack;"
        "r = OfflineStack(sys.argv[1], home=Path(sys.argv[2])).preview();"
        "print(json.dumps(sorted([s.urn, s.protect, s.inputs] for s in r.steps), sort_keys=True))"
    )
    for stack in STACKS:
        renders = [
            subprocess.run(
                [sys.executable, "-c", script, stack, str(tmp_path / seed)],
                cwd=ROOT,
                env={**os.environ, "PYTHONHASHSEED": seed},
                capture_output=True,
                check=True,
            ).stdout
            for seed in ("1", "2")
        ]
        assert renders[0] == renders[1]
        assert len(renders[0]) > 50_000  # about 200 resources: not two empty renders
