"""What the engine reports, event by event: no error hidden, no step in the wrong region."""

from __future__ import annotations

from typing import Any, cast

import pytest
from pulumi.automation.events import EngineEvent

from engine.steps import REPLACEMENTS, Change, Result, Step, Watch

VPC = "aws:ec2/vpc:Vpc"
PROVIDER = "urn:pulumi:prod::mlops-ha::pulumi:providers:aws::mlops-us-east-1"
NETWORK = f"urn:pulumi:prod::mlops-ha::mlops:index:Platform$mlops:index:Network${VPC}::mlops-network"
STACK = "urn:pulumi:prod::mlops-ha::pulumi:pulumi:Stack::mlops-ha-prod"


def event(sequence: int = 0, **parts: Any) -> EngineEvent:
    """Return an event as the engine's log has it."""
    return cast(Any, EngineEvent).from_json({"sequence": sequence, "timestamp": 0, **parts})


def step(operation: str, urn: str, kind: str, side: str = "new", **state: Any) -> EngineEvent:
    """Return the event of a step that begins; ``side`` is where the engine tells what the resource is."""
    told: dict[str, Any] = {
        "urn": urn,
        "type": kind,
        "id": "",
        "parent": "",
        "provider": "",
        "inputs": {},
        "outputs": {},
        **state,
    }
    metadata: dict[str, Any] = {"op": operation, "urn": urn, "type": kind, "provider": told["provider"], side: told}
    return event(resourcePreEvent={"metadata": metadata})


def diagnosed(message: str, severity: str = "error", urn: str = "") -> EngineEvent:
    """Return the event of a message."""
    return event(diagnosticEvent={"message": message, "severity": severity, "color": "raw", "urn": urn})


def watched(*events: EngineEvent, state: dict[str, Any] | None = None) -> tuple[Result, Watch, list[Step]]:
    """Return what is collected of events, and the steps that were announced."""
    announced: list[Step] = []
    result = Result("prod", "up")
    watch = Watch(result, state or {}, announced.append)
    for one in events:
        watch(one)
    return result, watch, announced


def test_a_step_knows_its_region_and_component() -> None:
    """A resource counted in no region, or in the component around its own."""
    result, _, announced = watched(
        step("create", PROVIDER, "pulumi:providers:aws", inputs={"region": "us-east-1"}),
        step("create", NETWORK, VPC, provider=f"{PROVIDER}::04da6b54", protect=True),
    )
    assert announced == result.steps
    made = result.steps[1]
    assert (made.region, made.component, made.name, made.protect, made.custom) == (
        "us-east-1",
        "Network",
        "mlops-network",
        True,
        True,
    )
    assert result.count() == {"create": 1}
    assert result.changed() == [made]


@pytest.mark.parametrize(
    ("operation", "side", "retained", "forgotten"),
    [("delete", "old", True, True), ("delete", "old", False, False), ("same", "new", True, False)],
)
def test_a_deletion_that_is_none_is_told(operation: str, side: str, retained: bool, forgotten: bool) -> None:
    """A stale database that leaves the program, taken for one that is deleted; or the other way round."""
    result, _, _ = watched(step(operation, NETWORK, VPC, side, retainOnDelete=retained))
    assert [one.forgotten for one in result.steps] == [forgotten]


@pytest.mark.parametrize("block", ["PrivateBucket", "ControlPlane$mlops:platform:Machine"])
def test_a_building_block_counts_for_its_user(block: str) -> None:
    """A summary of twenty buckets and machines instead of what they are for."""
    owner = f"urn:pulumi:prod::mlops-ha::mlops:platform:Platform$mlops:platform:{block}$aws:s3/bucket:Bucket::one"
    result, _, _ = watched(step("create", owner, "aws:s3/bucket:Bucket"))
    assert result.steps[0].component == ("ControlPlane" if "ControlPlane" in block else "Platform")


def test_what_is_deleted_knows_its_region_too() -> None:
    """A destroy that cannot say where it deletes: the provider itself is reported last, and only as what it was."""
    result, _, _ = watched(
        step("delete", NETWORK, VPC, side="old", provider=f"{PROVIDER}::1"),
        state={PROVIDER: {"type": "pulumi:providers:aws", "inputs": {"region": "us-east-1"}}},
    )
    assert [(one.operation, one.region) for one in result.changed()] == [("delete", "us-east-1")]


def test_a_change_says_its_path_and_kind() -> None:
    """A replacement that is shown as an update."""
    metadata: dict[str, Any] = {
        "op": "replace",
        "urn": NETWORK,
        "type": VPC,
        "provider": "",
        "new": {"urn": NETWORK, "type": VPC, "id": "", "parent": "", "provider": "", "inputs": {}, "outputs": {}},
        "detailedDiff": {
            "tags.Name": {"diffKind": "add", "inputDiff": True},
            "cidrBlock": {"diffKind": "update-replace", "inputDiff": True},
        },
    }
    result, _, _ = watched(event(resourcePreEvent={"metadata": metadata}))
    assert result.steps[0].changes == (Change("cidrBlock", "update-replace"), Change("tags.Name", "add"))


def test_what_stays_is_counted_and_not_changed() -> None:
    """A second deployment that seems to change everything."""
    result, _, _ = watched(step("same", NETWORK, VPC), step("create", STACK, "pulumi:pulumi:Stack"))
    assert result.count() == {"same": 1}
    assert result.changed() == []


def ended(operation: str, urn: str) -> EngineEvent:
    """Return the event of a step that ends."""
    metadata = {"op": operation, "urn": urn, "type": VPC, "provider": "", "old": None, "new": None}
    return event(resOutputsEvent={"metadata": metadata})


def test_a_refresh_says_what_it_found() -> None:
    """A resource that somebody deleted, counted as looked at."""
    other = NETWORK.replace("mlops-network", "other")
    result = Result("prod", "refresh")
    watch = Watch(result, {}, None)
    # As the engine reports it: every step begins as a refresh, and ends as what it found.
    for one in (
        step("refresh", NETWORK, VPC, side="old"),
        step("refresh", other, VPC, side="old"),
        ended("delete", NETWORK),
        ended("same", other),
    ):
        watch(one)
    assert result.count() == {"delete": 1, "refresh": 1}
    assert [one.urn for one in result.steps if one.leaves_something] == [other]
    assert result.finished == [("delete", NETWORK), ("same", other)]


def test_only_a_refresh_learns_what_a_step_does_at_its_end() -> None:
    """The three steps of a replacement counted as one of them, the one that ended last."""
    result, _, _ = watched(
        *(step(operation, NETWORK, VPC) for operation in REPLACEMENTS),
        *(ended(operation, NETWORK) for operation in REPLACEMENTS),
    )
    assert result.count() == dict.fromkeys(REPLACEMENTS, 1)


HINT = (
    "\nIn this project the flag is mlops-ha:platform.protection in Pulumi.prod.yaml:"
    ' see "Taking servers away" in README.md.'
)


@pytest.mark.parametrize(
    ("message", "hint"),
    [
        (
            f'resource "{NETWORK}" cannot be deleted\nbecause it is protected. To unprotect the resource, either'
            " remove the `protect` flag from the resource in your Pulumi program and run `pulumi up`, or use the"
            f" command:\n`pulumi state unprotect '{NETWORK}'`",
            HINT,
        ),
        (
            f'unable to replace resource "{NETWORK}"\nas it is currently marked for protection. To unprotect the'
            " resource, remove the `protect` flag from the resource in your Pulumi program and run `pulumi up`",
            HINT,
        ),
        ("cannot be deleted while deletionProtection is on", ""),
    ],
)
def test_a_protected_resource_names_the_setting(message: str, hint: str) -> None:
    """An engineer who edits the program, or the state, where a setting is meant."""
    _, watch, _ = watched(diagnosed(message, urn=NETWORK))
    assert watch.errors == [f"mlops-network: {message}{hint}"]


@pytest.mark.parametrize(
    ("given", "errors"),
    [
        (diagnosed("cidr is wrong", urn=NETWORK), ["mlops-network: cidr is wrong"]),
        (
            diagnosed("<{%reset%}>aws:ec2/vpc:Vpc resource 'x' has a problem: cidr<{%reset%}>", urn=NETWORK),
            ["mlops-network: cidr"],
        ),
        (diagnosed("the program failed", urn=STACK), ["the program failed"]),
        (diagnosed("no plugin"), ["no plugin"]),
        (diagnosed("deprecated", severity="warning", urn=NETWORK), []),
        (diagnosed("<{%reset%}>update failed<{%reset%}>\n"), []),
        (diagnosed("preview failed", urn=STACK), []),
        (diagnosed("update failed because of a lock", urn=STACK), ["update failed because of a lock"]),
    ],
)
def test_every_error_is_kept_without_colours(given: EngineEvent, errors: list[str]) -> None:
    """An error that is swallowed, that says nothing, or that nobody can place."""
    _, watch, _ = watched(given)
    assert watch.errors == errors


def test_the_order_in_which_steps_end_is_kept() -> None:
    """A proof of the order of deletion that looks at the order of beginning."""
    result, _, _ = watched(ended("delete", NETWORK))
    assert result.finished == [("delete", NETWORK)]
    assert result.steps == []


def test_a_refused_look_up_is_one_line() -> None:
    """A traceback of the SDK's in place of what to do."""
    refused = diagnosed(
        "python inline source runtime error: invoke of aws:efs/getFileSystem:getFileSystem failed:"
        " aws:efs/getFileSystem:getFileSystem: deploy the primary stack first ()\nTraceback (most recent):\n"
    )
    assert watched(refused)[1].errors == ["aws:efs/getFileSystem:getFileSystem: deploy the primary stack first"]
