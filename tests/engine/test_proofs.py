"""Proofs over the whole graph of both stacks: region, tags, look-ups, replacement rules."""

from __future__ import annotations

from pathlib import Path

import pytest

from offline.result import Result
from offline.rules.model import package_rules
from offline.sdk_types import input_types, output_names
from offline.stack_files import STACKS
from tests.engine.conftest import stack_of

Deployed = tuple[Path, dict[str, Result]]
REGION = {"prod": "us-east-1", "dr": "us-west-2"}


@pytest.mark.parametrize("stack", STACKS)
def test_every_resource_is_in_its_region_by_its_provider(stack: str, deployed: Deployed) -> None:
    """A resource that leaks into another region: by a default provider, a wrong one, or its own `region`."""
    resources = [step for step in deployed[1][stack].steps if step.custom]
    assert len(resources) > 200
    for step in resources:
        assert step.provider.endswith(f"pulumi:providers:aws::mlops-{REGION[stack]}"), step.urn
        assert step.region == REGION[stack], step.urn
        assert "region" not in step.inputs, step.urn


@pytest.mark.parametrize("stack", STACKS)
def test_the_only_provider_is_the_regions(stack: str, deployed: Deployed) -> None:
    """A provider of the lost region in `dr`: it could not be configured, and nothing could be changed any more."""
    providers = [
        r for r in stack_of(stack, deployed[0]).state_resources() if r["type"].startswith("pulumi:providers")
    ]
    assert [(r["type"], r["inputs"]["region"]) for r in providers] == [("pulumi:providers:aws", REGION[stack])]


@pytest.mark.parametrize("stack", STACKS)
def test_nothing_is_looked_up(stack: str, deployed: Deployed) -> None:
    """A property that AWS decides between two runs, or another stack's state that is lost with its region."""
    result = deployed[1][stack]
    assert [call for calls in result.calls.values() for call in calls if call.method == "Invoke"] == []
    assert {step.type for step in result.steps if step.type.startswith("pulumi:")} <= {
        "pulumi:pulumi:Stack",
        "pulumi:providers:aws",
    }
    assert {call.region for call in result.calls["aws"]} == {REGION[stack]}


@pytest.mark.parametrize("stack", STACKS)
def test_everything_that_can_be_tagged_says_whose_it_is(stack: str, deployed: Deployed) -> None:
    """A resource that costs money and that nobody can find."""
    tagged = 0
    for resource in stack_of(stack, deployed[0]).state_resources():
        if not resource["type"].startswith("aws:") or "tags" not in input_types(resource["type"]):
            continue
        tagged += 1
        assert resource["outputs"]["tagsAll"] == {
            "Name": resource["urn"].rpartition("::")[2],
            "ManagedBy": "pulumi",
            "Platform": "mlops",
            "Project": "mlops-ha",
            "Stack": stack,
        }, resource["urn"]
    assert tagged > 180


@pytest.mark.parametrize("stack", STACKS)
def test_every_property_is_known_to_update_or_replace(stack: str, deployed: Deployed) -> None:
    """A change whose effect the preview would only guess."""
    rules = package_rules("aws")
    for step in deployed[1][stack].steps:
        if step.custom:
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
