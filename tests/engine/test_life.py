"""A stack's whole life on the real engine: preview, up, again, refresh, destroy."""

from __future__ import annotations

import subprocess
from collections import Counter
from pathlib import Path
from typing import Any, cast

import pytest

from configs.settings.problem import SettingsError
from engine.stack_files import ROOT, STACKS
from offline.engine import OfflineError
from offline.result import OfflineResult
from tests.engine.conftest import stack_of, succeeded, write_project

Deployed = tuple[Path, dict[str, OfflineResult]]


def tracked() -> dict[str, bytes]:
    """Return the bytes of every tracked file."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True)
    return {name: (ROOT / name).read_bytes() for name in listed.stdout.split("\0") if (ROOT / name).is_file()}


def what_is(state: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return what a state says of each resource, without what says when and where the program ran.

    A secret is encrypted anew whenever it is written.
    """
    kept = ("type", "id", "inputs", "outputs", "protect", "parent", "provider")
    return {
        resource["urn"]: {key: without_ciphertexts(resource.get(key)) for key in kept}
        for resource in state["resources"]
    }


def without_ciphertexts(value: Any) -> Any:
    if isinstance(value, dict):
        items = cast(dict[str, Any], value).items()
        return {key: without_ciphertexts(item) for key, item in items if key != "ciphertext"}
    return [without_ciphertexts(item) for item in cast(list[Any], value)] if isinstance(value, list) else value


@pytest.mark.parametrize("stack", STACKS)
def test_preview_of_an_empty_cloud_promises_what_up_does_and_writes_nothing(
    stack: str, deployed: Deployed, tmp_path: Path
) -> None:
    """A preview that deploys, changes a tracked file, or shows something else than a deployment then does."""
    before = tracked()
    promised = succeeded(stack_of(stack, tmp_path).preview())
    assert set(promised.count()) == {"create"}
    assert {step.component for step in promised.steps if step.custom} >= {"Network", "ControlPlane", "FailoverDns"}
    assert [resource for resource in stack_of(stack, tmp_path).cloud().all() if resource.urn != "given"] == []
    assert stack_of(stack, tmp_path).state_resources() == []
    assert tracked() == before
    assert Counter((step.operation, step.urn) for step in promised.steps) == Counter(
        (step.operation, step.urn) for step in deployed[1][stack].steps
    )


def test_a_second_up_and_a_refresh_change_nothing(home: Path) -> None:
    """A difference that comes back with every run, and hides the real ones; for `prod` see the next test."""
    offline = stack_of("dr", home)
    before = what_is(offline.export())
    assert set(succeeded(offline.up()).count()) == {"same"}
    assert set(succeeded(offline.refresh()).count()) == {"refresh"}
    assert what_is(offline.export()) == before


def test_refresh_notices_what_was_deleted_behind_its_back(home: Path) -> None:
    """A refresh that looks at nothing; and one, or a second up, that changes anything else."""
    offline = stack_of("prod", home)
    before = what_is(offline.export())
    cloud = offline.cloud()
    route = next(cloud.all("aws:ec2/route:Route"))
    cloud.remove(route)
    cloud.close()
    looked = succeeded(offline.refresh())
    assert [(step.operation, step.urn) for step in looked.steps if step.operation != "refresh"] == [
        ("delete", route.urn)
    ]
    del before[route.urn]
    assert what_is(offline.export()) == before
    assert [(step.operation, step.urn) for step in succeeded(offline.up()).changed()] == [("create", route.urn)]
    after = what_is(offline.export())
    del after[route.urn]
    assert after == before


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


def test_destroy_without_protection_deletes_users_before_what_they_use(home: Path, tmp_path: Path) -> None:
    """A deletion that AWS would refuse because something still uses the resource."""
    project = write_project(tmp_path, lambda block: block.update(protection=False))
    for stack in STACKS:
        succeeded(stack_of(stack, home, project).up())
    # The standby first: its mount targets use the file system that the primary stack made for it.
    for stack in reversed(STACKS):
        offline = stack_of(stack, home, project)
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
