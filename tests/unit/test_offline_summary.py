"""The closing picture of a run, from made-up results: for people in tables, for programs in plain data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from engine.stack_files import ROOT, stack_settings
from engine.steps import Change, Step
from offline.result import OfflineResult
from offline.summary import as_data, overview, switch_over_seconds

REGION = {"prod": "us-east-1", "dr": "us-west-2"}
VPC, CHECK = "aws:ec2/vpc:Vpc", "aws:route53/healthCheck:HealthCheck"


def step(operation: str, name: str, stack: str = "prod", kind: str = VPC, **more: Any) -> Step:
    """Return a step on a resource of a component that is called Network."""
    urn = f"urn:pulumi:{stack}::mlops-ha::mlops:index:Platform$mlops:index:Network${kind}::{name}"
    told: dict[str, Any] = {"region": REGION[stack], "provider": "", "protect": False, "inputs": {}, **more}
    return Step(operation, urn, kind, **told)


def report(*steps: Step, stack: str = "prod", operation: str = "up", **more: Any) -> dict[str, Any]:
    """Return a run's plain data, as a program reads it."""
    result = OfflineResult(stack, operation, list(steps), seconds=1.25, **more)
    return json.loads(json.dumps(as_data(result, stack_settings(ROOT, stack))))


def shown(*reports: Mapping[str, Any]) -> list[str]:
    """Return the lines that a wide terminal shows, without the blanks at their ends."""
    console = Console(width=400, highlight=False)
    with console.capture() as captured:
        console.print(overview(reports))
    return [line.rstrip() for line in captured.get().splitlines()]


def cells(line: str) -> list[str]:
    """Return the cells of a table's line; a table with a frame has an empty one at each end."""
    return [cell.strip() for cell in line.replace("┃", "│").split("│")]


def rows(lines: list[str], *operations: str) -> list[list[str]]:
    """Return the rows of the table of what is touched."""
    return [row for row in map(cells, lines) if row[0] in operations and len(row) == 4]


def test_plain_data_says_all_that_a_program_asks() -> None:
    """A pipeline that cannot see what is replaced, what failed, or what is left over."""
    data = report(
        step("create", "one", protect=True),
        step("update", "two", changes=(Change("tags.Name", "update"), Change("cidrBlock", "add"))),
        step("same", "three"),
        Step("create", "urn:pulumi:prod::p::pulumi:pulumi:Stack::s", "pulumi:pulumi:Stack", "", "", False, {}),
        errors=["two: broken"],
        adopted=["urn:adopted"],
        orphans=["urn:orphan"],
        outputs={"role": "primary"},
    )
    assert {name: data[name] for name in ("stack", "operation", "role", "region", "ok", "errors", "seconds")} == {
        "stack": "prod",
        "operation": "up",
        "role": "primary",
        "region": "us-east-1",
        "ok": False,
        "errors": ["two: broken"],
        "seconds": 1.25,
    }
    assert data["changes"] == {"create": 1, "same": 1, "update": 1}
    assert data["resources"] == [{"component": "Network", "region": "us-east-1", "count": 3}]
    assert data["protected"] == ["one"]
    assert [(one["operation"], one["urn"].rpartition("::")[2], one["changes"]) for one in data["steps"]] == [
        ("create", "one", {}),
        ("update", "two", {"tags.Name": "update", "cidrBlock": "add"}),
    ]
    assert {one["component"] for one in data["steps"]} == {"Network"}
    assert (data["adopted"], data["orphans"], data["outputs"]) == (
        ["urn:adopted"],
        ["urn:orphan"],
        {"role": "primary"},
    )
    assert data["worstCaseFailoverSeconds"] == switch_over_seconds(stack_settings(ROOT, "prod"))


def test_what_is_forgotten_is_not_called_deleted() -> None:
    """A run that seems to delete a database which stays, or says nothing of what it leaves behind."""
    gone = replace(step("delete", "one"), retain=True)
    data = report(gone, step("same", "two"), kept=["urn:pulumi:prod::p::t::one"])
    assert [one["operation"] for one in data["steps"]] == ["forget"]
    assert data["kept"] == ["urn:pulumi:prod::p::t::one"]
    lines = shown(data)
    assert [row[:2] for row in rows(lines, "forget", "delete")] == [["forget", "one"]]
    assert "1 kept in the cloud and in no state any more: one" in "\n".join(lines)


def test_what_is_deleted_is_not_counted_as_there() -> None:
    """A table of resources that still counts what the run takes away."""
    data = report(step("delete", "one"), step("same", "two"))
    assert data["resources"] == [{"component": "Network", "region": "us-east-1", "count": 1}]
    assert data["changes"] == {"delete": 1, "same": 1}


def test_a_run_without_errors_is_ok() -> None:
    """A good run that fails a pipeline."""
    assert report(step("create", "one"))["ok"] is True


def test_the_dangerous_stands_first() -> None:
    """A replacement at the end of a long list, where nobody reads any more."""
    lines = shown(
        report(
            step("create", "new"),
            step("update", "changed", changes=(Change("tags.Name", "update"),)),
            step("delete", "gone"),
            step("create-replacement", "moved", kind=CHECK),
            step(
                "replace",
                "moved",
                kind=CHECK,
                changes=(Change("requestInterval", "update-replace"), Change("tags[0]", "add")),
            ),
            step("delete-replaced", "moved", kind=CHECK),
        )
    )
    assert [[row[0], row[1], row[3]] for row in rows(lines, "replace", "delete", "update", "create")] == [
        ["replace", "moved", "requestInterval (replaces), tags[0]"],
        ["delete", "gone", ""],
        ["update", "changed", "tags.Name"],
        ["create", "new", ""],
    ]
    assert "prod  up in 1.2 s: 1 create, 1 delete, 1 replace, 1 update" in lines


@pytest.mark.parametrize(
    ("operation", "steps"),
    [
        ("up", [step("create", "one"), step("create", "two")]),
        ("up", [step("same", "one")]),
        ("refresh", [step("refresh", "one"), step("refresh", "two")]),
        ("destroy", [step("delete", "one")]),
    ],
    ids=["first", "same", "refresh", "destroy"],
)
def test_a_list_of_everything_is_not_shown(operation: str, steps: list[Step]) -> None:
    """Hundreds of lines that all say the same, before the one that matters."""
    assert rows(shown(report(*steps, operation=operation)), "create", "delete", "update", "same") == []


def test_what_a_refresh_found_is_shown() -> None:
    """A resource that somebody deleted, lost among hundreds that are still there."""
    lines = shown(report(step("refresh", "one"), step("delete", "two"), step("update", "three"), operation="refresh"))
    assert [row[:2] for row in rows(lines, "delete", "update", "refresh")] == [["delete", "two"], ["update", "three"]]


def test_a_creation_beside_what_is_there_is_shown() -> None:
    """An addition to a running platform that passes for its first deployment."""
    lines = shown(report(step("create", "new"), step("same", "old")))
    assert [row[:2] for row in rows(lines, "create")] == [["create", "new"]]


def test_leftovers_are_named_and_adoptions_counted() -> None:
    """Resources that cost money and that no state knows, passed over in silence."""
    lines = "\n".join(shown(report(orphans=["urn:one", "urn:two"], adopted=["urn:three"])))
    assert "2 orphans, which no state knows: urn:one, urn:two" in lines
    assert "an interrupted run had made 1 resources unnoted; adopted" in lines
    quiet = "\n".join(shown(report(step("same", "one"))))
    assert "orphans" not in quiet
    assert "adopted" not in quiet
    assert "nothing to do" in "\n".join(shown(report()))


def test_each_stack_has_its_column() -> None:
    """Counts of one region under the name of the other, or of a third as if they were in the stack's own."""
    lines = shown(
        report(step("create", "one"), step("create", "two"), step("create", "far", region="eu-west-1")),
        report(step("create", "one", stack="dr"), stack="dr"),
    )
    framed = [row[1:-1] for row in map(cells, lines) if len(row) == 5]
    assert framed[:2] == [["", "prod · primary", "dr · standby"], ["component", "us-east-1", "us-west-2"]]
    assert framed[2:] == [["Network", "2", "1"], ["Network (eu-west-1)", "1", ""], ["all", "3", "1"]]


def test_what_is_billed_by_the_hour_stands_beside_the_other_stacks() -> None:
    """A setting that doubles the bill, in a change that nobody saw the costs of."""
    nat, endpoint = "aws:ec2/natGateway:NatGateway", "aws:ec2/vpcEndpoint:VpcEndpoint"
    interface: dict[str, Any] = {"vpcEndpointType": "Interface", "subnetIds": ["subnet-1", "subnet-2"]}
    prod = report(
        step("same", "one", kind=nat),
        step("create", "two", kind=nat),
        step("delete", "three", kind=nat),
        step("update", "ecr", kind=endpoint, inputs=interface),
        step("create", "far", kind=nat, region="eu-west-1"),
    )
    dr = report(step("create", "one", kind=nat, stack="dr"), stack="dr")
    assert prod["hourly"] == [
        {"component": "Network", "region": "eu-west-1", "what": "NAT gateway", "count": 1},
        {"component": "Network", "region": "us-east-1", "what": "NAT gateway", "count": 2},
        {"component": "Network", "region": "us-east-1", "what": "interface endpoint in a zone", "count": 2},
    ]
    lines = shown(prod, dr)
    assert lines.index("Billed by the hour") > lines.index("Resources")
    framed = [row[1:-1] for row in map(cells, lines) if len(row) == 6]
    assert framed == [
        ["", "", "prod · primary", "dr · standby"],
        ["component", "what", "us-east-1", "us-west-2"],
        ["Network", "NAT gateway", "2", "1"],
        ["Network", "interface endpoint in a zone", "2", ""],
        ["Network (eu-west-1)", "NAT gateway", "1", ""],
    ]


@pytest.mark.parametrize("operation", ["create", "delete"])
def test_a_table_of_nothing_is_not_shown(operation: str) -> None:
    """A heading without a line below it, after what was billed is deleted or where nothing is."""
    kind = VPC if operation == "create" else "aws:ec2/natGateway:NatGateway"
    assert "Billed by the hour" not in shown(report(step(operation, "one", kind=kind)))


def test_what_is_protected_is_named_once() -> None:
    """A resource that refuses to be deleted, and nobody knew."""
    held = [step("update", "kept", protect=True), step("same", "kept", protect=True), step("same", "free")]
    assert report(*held)["protected"] == ["kept"]
    assert any("protected:" in line for line in shown(report(*held)))
    assert not any("protected:" in line for line in shown(report(step("same", "free"))))


def test_a_destroyed_platform_has_no_names() -> None:
    """A summary that praises the failover of what was just deleted."""
    assert any("names that follow the failover" in line for line in shown(report(operation="preview")))
    assert not any("names that follow the failover" in line for line in shown(report(operation="destroy")))
