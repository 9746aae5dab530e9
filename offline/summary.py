"""What a run did, for people (tables) and for programs (plain data)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from aws_rules.failover import switch_over
from configs.settings.model import FailoverMode, Settings
from configs.tables.names import SWITCH_FAILURE_THRESHOLD, PublicNames
from engine.steps import REPLACEMENTS, Step
from offline.costs import hourly
from offline.result import OfflineResult

STYLES = {"create": "green", "update": "yellow", "replace": "magenta", "delete": "red", "forget": "cyan"}
"""As Pulumi colours its own steps; what is forgotten leaves the state and stays in the cloud."""


def switch_over_seconds(settings: Settings) -> int:
    """Return the worst-case seconds until clients reach the other region.

    They count from the loss of the primary; with an operator who decides, from the moment the switch is written.
    """
    failover = settings.failover
    threshold = SWITCH_FAILURE_THRESHOLD if failover.mode is FailoverMode.OPERATOR else failover.failure_threshold
    return switch_over(failover.check_interval_seconds, threshold).total


def as_data(result: OfflineResult, settings: Settings) -> dict[str, Any]:
    """Return a result as plain data, for ``--json``."""
    names = PublicNames(settings.domain)
    return {
        "stack": result.stack,
        "operation": result.operation,
        "role": settings.role.value,
        "region": settings.location.name,
        "ok": result.ok,
        "errors": result.errors,
        "seconds": round(result.seconds, 2),
        "changes": result.count(),
        "resources": [
            {"component": component, "region": region, "count": count}
            for (component, region), count in sorted(_by_component(result.steps).items())
        ],
        "hourly": hourly(result.steps),
        "protected": protected(result.steps),
        "steps": [
            {
                "operation": step.effect,
                "urn": step.urn,
                "type": step.type,
                "component": step.component,
                "region": step.region,
                "changes": {change.path: change.kind for change in step.changes},
            }
            for step in result.changed()
        ],
        "publicNames": list(names.all_public()),
        "regionalNames": list(names.all_regional(settings.location.name)),
        "failoverMode": settings.failover.mode.value,
        "worstCaseFailoverSeconds": switch_over_seconds(settings),
        "adopted": result.adopted,
        "orphans": result.orphans,
        "kept": result.kept,
        "outputs": result.outputs,
    }


def protected(steps: Sequence[Step]) -> list[str]:
    """Return the names of the resources that refuse to be deleted."""
    return sorted({step.name for step in steps if step.custom and step.protect})


def _by_component(steps: Sequence[Step]) -> Counter[tuple[str, str]]:
    return Counter((step.component, step.region) for step in steps if step.leaves_something)


def overview(reports: Sequence[Mapping[str, Any]]) -> RenderableType:
    """Return the closing picture of one or more runs, from their plain data."""
    parts: list[RenderableType] = [_resources(reports)]
    if any(report["hourly"] for report in reports):
        parts.append(_counted(reports, "hourly", "\nBilled by the hour", "component", "what"))
    for report in reports:
        parts.append(_headline(report))
        parts.extend(_changes(report))
    first = reports[0]
    if first["operation"] != "destroy":
        parts.append(_names(first))
    return Group(*parts)


def _resources(reports: Sequence[Mapping[str, Any]]) -> Table:
    table = _counted(reports, "resources", "Resources", "component")
    table.add_section()
    totals = (sum(row["count"] for row in report["resources"]) for report in reports)
    table.add_row("all", *map(str, totals), style="bold")
    return table


def _counted(reports: Sequence[Mapping[str, Any]], rows: str, title: str, *headings: str) -> Table:
    """Return a table of a report's rows, which the headings tell apart, with a column of counts for each stack."""
    table = Table(title=title, title_justify="left", title_style="bold")
    for heading in headings:
        table.add_column(heading)
    for report in reports:
        table.add_column(f"{report['stack']} · {report['role']}\n{report['region']}", justify="right")
    counts = [Counter[tuple[str, ...]]() for _ in reports]
    for count, report in zip(counts, reports, strict=True):
        for row in report[rows]:
            # A provider of another region than the stack's shows by name.
            elsewhere = "" if row["region"] == report["region"] else f" ({row['region']})"
            count[row["component"] + elsewhere, *(row[heading] for heading in headings[1:])] += row["count"]
    for labels in sorted(set[tuple[str, ...]]().union(*counts)):
        table.add_row(*labels, *(str(count[labels] or "") for count in counts))
    return table


def _headline(report: Mapping[str, Any]) -> Text:
    line = Text.assemble((f"\n{report['stack']}", "bold"), f"  {report['operation']} in {report['seconds']:.1f} s: ")
    shown = [(name, number) for name, number in report["changes"].items() if name not in REPLACEMENTS[1:]]
    line.append(", ".join(f"{number} {name}" for name, number in shown) or "nothing to do")
    if report["protected"]:
        line.append("\n  protected:" + "".join(f"\n    {name}" for name in report["protected"]))
    if report["adopted"]:
        line.append(f"\n  an interrupted run had made {len(report['adopted'])} resources unnoted; adopted")
    if report["kept"]:
        names = ", ".join(urn.rpartition("::")[2] for urn in report["kept"])
        line.append(f"\n  {len(report['kept'])} kept in the cloud and in no state any more: {names}")
    if report["orphans"]:
        line.append(
            f"\n  {len(report['orphans'])} orphans, which no state knows: {', '.join(report['orphans'])}", "red"
        )
    return line


def _changes(report: Mapping[str, Any]) -> list[RenderableType]:
    """Return a table of what is touched, the dangerous first; a first deployment needs none."""
    order = {"replace": 0, "delete": 1, "forget": 2, "update": 3, "create": 4}
    steps = [step for step in report["steps"] if step["operation"] in order]
    if all(step["operation"] == "create" for step in steps) and len(steps) == sum(report["changes"].values()):
        return []
    if not steps or report["operation"] == "destroy":
        return []
    table = Table(show_edge=False)
    for heading in ("", "resource", "type", "what changes"):
        # A name that is cut names nothing: it goes on in the next line.
        table.add_column(heading, overflow="fold", no_wrap=not heading)
    for step in sorted(steps, key=lambda step: order[step["operation"]]):
        changes = ", ".join(
            path + (" (replaces)" if kind.endswith("-replace") else "") for path, kind in step["changes"].items()
        )
        name, kind = step["urn"].rpartition("::")[2], step["type"].rpartition(":")[2]
        table.add_row(step["operation"], name, kind, escape(changes), style=STYLES[step["operation"]])
    return [table]


def _names(report: Mapping[str, Any]) -> Text:
    since = "the switch is written" if report["failoverMode"] == FailoverMode.OPERATOR else "the primary is lost"
    return Text.assemble(
        ("\nnames that follow the failover: ", "bold"),
        ", ".join(report["publicNames"]),
        ("\nworst case until clients reach the other region: ", "bold"),
        f"{report['worstCaseFailoverSeconds']} s after {since} (computed from the settings, never measured on AWS)",
    )
