"""The commands that run the engine against the offline cloud."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from configs.settings.model import Settings
from configs.settings.parse import schema
from configs.settings.problem import SettingsError
from engine.stack_files import ROOT, STACKS, disagreements, stack_settings
from offline.engine import OfflineError, OfflineStack
from offline.summary import as_data, overview


class StackName(StrEnum):
    """The stacks there are."""

    PROD = "prod"
    DR = "dr"


class Operation(StrEnum):
    """What can be done with a stack."""

    PREVIEW = "preview"
    UP = "up"
    REFRESH = "refresh"
    DESTROY = "destroy"


Stack = Annotated[StackName | None, typer.Option(help="The stack; both when it is left out.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print plain data for programs.")]

_output = Console(highlight=False)
_progress = Console(stderr=True, highlight=False)


def register(app: typer.Typer) -> None:
    """Add the commands."""

    @app.command()
    def preview(stack: Stack = None, as_json: AsJson = False) -> None:
        """Show what `up` would do. Changes nothing."""
        _run(Operation.PREVIEW, stack, as_json)

    @app.command()
    def up(stack: Stack = None, as_json: AsJson = False) -> None:
        """Deploy to the offline cloud: prod, then dr."""
        _run(Operation.UP, stack, as_json)

    @app.command()
    def refresh(stack: Stack = None, as_json: AsJson = False) -> None:
        """Compare the state with the offline cloud."""
        _run(Operation.REFRESH, stack, as_json)

    @app.command()
    def destroy(stack: Stack = None, as_json: AsJson = False) -> None:
        """Delete everything from the offline cloud: dr, then prod. Refused while anything is protected."""
        _run(Operation.DESTROY, stack, as_json)

    @app.command()
    def export(stack: Annotated[StackName, typer.Option(help="The stack.")]) -> None:
        """Print the state of a stack, secrets encrypted."""
        _output.print_json(data=OfflineStack(stack).export())

    @app.command("schema")
    def print_schema(
        write: Annotated[Path | None, typer.Option(help="File to write it to instead of printing it.")] = None,
    ) -> None:
        """Print the JSON schema of a stack file, which editors complete and check it by."""
        text = json.dumps(schema(), indent=2) + "\n"
        if write is None:
            typer.echo(text, nl=False)
        else:
            write.write_text(text)

    _ = (preview, up, refresh, destroy, export, print_schema)


def _run(operation: Operation, stack: StackName | None, as_json: bool) -> None:
    _refuse_wrong_settings(stack)
    reports = [_one(operation, stack, quiet=as_json)] if stack else _both(operation)
    if as_json:
        typer.echo(json.dumps(reports[0] if stack else reports, default=str))
    elif all(report["ok"] for report in reports):
        _output.print(overview(reports))
    for report in reports:
        for error in report["errors"] if not as_json else ():
            _progress.print(f"{report['stack']}: {error}", style="red", markup=False, soft_wrap=True)
    if not all(report["ok"] for report in reports):
        raise typer.Exit(1)


def _refuse_wrong_settings(stack: StackName | None) -> None:
    """Refuse what is wrong in the stack files, all of it at once: in those that are asked for, and between them.

    One stack alone is compared with the other as far as that is right by itself.
    """
    settings: dict[str, Settings] = {}
    wrong: list[str] = []
    for name in STACKS:
        try:
            settings[name] = stack_settings(ROOT, name)
        except (FileNotFoundError, SettingsError) as error:
            if stack in (None, name):
                wrong.append(str(error))
    if len(settings) == len(STACKS):
        wrong += disagreements(settings)
    if wrong:
        raise OfflineError("\n".join(wrong))


def _one(operation: Operation, stack: StackName, quiet: bool) -> dict[str, Any]:
    settings = stack_settings(ROOT, stack)
    offline = OfflineStack(stack)
    seen = 0
    with _progress.status(f"{stack}: the engine starts") as status:

        def on_step(_: object) -> None:
            nonlocal seen
            seen += 1
            status.update(f"{stack}: {seen} resources")

        if quiet:
            status.stop()
        result = getattr(offline, operation)(on_step)
    return as_data(result, settings)


def _both(operation: Operation) -> list[dict[str, Any]]:
    """Run both stacks, each in a process of its own: the SDK holds one program's state for the whole process."""
    at_once = operation is Operation.PREVIEW
    order = tuple(reversed(STACKS)) if operation is Operation.DESTROY else STACKS
    with _progress.status(f"{operation}: {' and '.join(order) if at_once else ', then '.join(order)}"):
        if at_once:
            with ThreadPoolExecutor() as pool:
                return list(pool.map(_child, [operation] * len(order), order))
        reports: list[dict[str, Any]] = []
        for stack in order:
            reports.append(_child(operation, stack))
            if not reports[-1]["ok"]:
                break
        return reports


def _child(operation: Operation, stack: str) -> dict[str, Any]:
    command: Sequence[str] = [sys.executable, "-m", "cli", operation, "--stack", stack, "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    try:
        return json.loads(done.stdout)
    except json.JSONDecodeError:
        # The child could not even start the engine; its one message says why.
        raise OfflineError(done.stderr.strip()) from None
