"""Proofs over the whole graph of both stacks: region, tags, look-ups, replacement rules."""

from __future__ import annotations

from pathlib import Path

import pytest

from configs.nodes import NODE_TAG
from engine.stack_files import STACKS
from engine.steps import Step
from offline.provider import Call
from offline.result import OfflineResult
from offline.rules.model import package_rules
from offline.sdk_types import input_types, output_names
from tests.engine.conftest import stack_of

Deployed = tuple[Path, dict[str, OfflineResult]]
REGION = {"prod": "us-east-1", "dr": "us-west-2"}


ELSEWHERE = {"ReplicaTargets": "us-west-2", "Archive": "eu-west-1"}
"""The components that the primary stack makes in another region; whatever is inside of them lies there, too."""

LOOK_UP = Call("Invoke", "aws:efs/getFileSystem:getFileSystem", "us-west-2")
"""The one there is (ADR 8)."""


def region_of(step: Step, stack: str) -> str:
    """Return where a resource belongs."""
    for component, region in ELSEWHERE.items():
        if f"mlops:platform:{component}$" in step.urn:
            return region
    return REGION[stack]


@pytest.mark.parametrize("stack", STACKS)
def test_every_resource_is_in_its_region_by_its_provider(stack: str, deployed: Deployed) -> None:
    """A resource that leaks into another region: by a default provider, a wrong one, or its own `region`."""
    resources = [step for step in deployed[1][stack].steps if step.type.startswith("aws:")]
    assert len(resources) > 290
    for step in resources:
        region = region_of(step, stack)
        assert step.provider.endswith(f"pulumi:providers:aws::mlops-{region}"), step.urn
        assert step.region == region, step.urn
        assert "region" not in step.inputs, step.urn
    others = {step.provider.rpartition("::")[2] for step in deployed[1][stack].steps if step.custom} - {
        f"mlops-{region}" for region in (*REGION.values(), *ELSEWHERE.values())
    }
    assert others == ({"mlops-random", "mlops-tls", "mlops-docker"} if stack == "prod" else set())


@pytest.mark.parametrize("stack", STACKS)
def test_there_are_no_other_providers(stack: str, deployed: Deployed) -> None:
    """A provider of the lost region in `dr`: it could not be configured, and nothing could be changed any more."""
    providers = {
        r["urn"].rpartition("::")[2]: r["inputs"].get("region")
        for r in stack_of(stack, deployed[0]).state_resources()
        if r["type"].startswith("pulumi:providers")
    }
    everywhere = {"mlops-random": None, "mlops-tls": None, "mlops-docker": None}
    regions = {f"mlops-{region}": region for region in (*REGION.values(), *ELSEWHERE.values())}
    assert providers == ({**regions, **everywhere} if stack == "prod" else {"mlops-us-west-2": "us-west-2"})


@pytest.mark.parametrize("stack", STACKS)
def test_nothing_is_looked_up_but_one_file_system(stack: str, deployed: Deployed) -> None:
    """A property that AWS decides between two runs, or another stack's state that is lost with its region."""
    result = deployed[1][stack]
    look_ups = [call for calls in result.calls.values() for call in calls if call.method == "Invoke"]
    assert look_ups == ([] if stack == "prod" else [LOOK_UP])
    packages = ("aws", "docker", "random", "tls") if stack == "prod" else ("aws",)
    assert {step.type for step in result.steps if step.type.startswith("pulumi:")} == {
        "pulumi:pulumi:Stack",
        *(f"pulumi:providers:{package}" for package in packages),
    }
    regions = {*REGION.values(), *ELSEWHERE.values()} if stack == "prod" else {"us-west-2"}
    assert {call.region for call in result.calls["aws"]} == regions


@pytest.mark.parametrize("stack", STACKS)
def test_everything_that_can_be_tagged_says_whose_it_is(stack: str, deployed: Deployed) -> None:
    """A resource that costs money and that nobody can find."""
    tagged = 0
    for resource in stack_of(stack, deployed[0]).state_resources():
        if not resource["type"].startswith("aws:") or "tagsAll" not in output_names(resource["type"]):
            continue
        tagged += 1
        tags = {name: value for name, value in resource["outputs"]["tagsAll"].items() if name != NODE_TAG}
        assert tags == {
            "Name": resource["urn"].rpartition("::")[2],
            "ManagedBy": "pulumi",
            "Platform": "mlops",
            "Project": "mlops-ha",
            "Stack": stack,
        }, resource["urn"]
    assert tagged > 230


@pytest.mark.parametrize("stack", STACKS)
def test_every_property_is_known_to_update_or_replace(stack: str, deployed: Deployed) -> None:
    """A change whose effect the preview would only guess."""
    for step in deployed[1][stack].steps:
        if step.custom:
            rules = package_rules(step.type.partition(":")[0])
            known = {*rules[step.type].update, *rules[step.type].replace}
            assert {name for name in step.inputs if not name.startswith("__")} <= known, step.urn


@pytest.mark.parametrize("package", ["aws", "cloudflare", "docker", "random", "tls"])
def test_rules_speak_of_what_the_sdk_has(package: str) -> None:
    """A rule about a type or property that does not exist, and so never applies."""
    for token, rules in package_rules(package).items():
        inputs, outputs = set(input_types(token)), output_names(token)
        assert {*rules.update, *rules.replace} <= inputs, token
        assert not set(rules.update) & set(rules.replace), token
        assert {*rules.outputs, *rules.by_region} <= outputs, token
        for path in (*rules.values, *rules.references):
            assert path.partition(".")[0].partition("[")[0] in inputs, (token, path)
        for group in (*rules.exactly_one, *rules.at_most_one, *rules.needs.values(), tuple(rules.needs)):
            assert set(group) <= inputs, token
