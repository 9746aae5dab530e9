"""The commands that show what nodes are told, without deploying anything."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from cli.cloud import Stack, StackName
from configs.bundle import bundle
from configs.context import BundleFacts
from configs.manifest import Bundle
from configs.nodes import nodes
from configs.settings.model import Settings
from configs.tables.paths import CONFIGURATION
from engine.stack_files import ROOT, STACKS, stack_settings
from ops.problems import Stop

PLACEHOLDERS = BundleFacts(database_address="database.invalid", file_system_id="fs-00000000000000000")
"""For what only AWS knows: of the right form, so that every service takes it, and never anything's name
(https://www.rfc-editor.org/rfc/rfc6761#section-6.4)."""

MANIFEST = "manifest.json"
"""Name of the file with a node's manifest: what its boot agent does with the files."""

MARK = ".mlops-ha-render"
"""Name of the file that lists what this program wrote into a folder, and replaces the next time."""


def register(app: typer.Typer) -> None:
    """Add the commands."""

    @app.command()
    def render(
        out: Annotated[
            Path,
            typer.Option(
                file_okay=False,
                help="Folder to write to: in it a folder for each node, or each stack. Refused if it is not empty "
                "unless this command wrote to it before; then what it wrote is replaced.",
            ),
        ],
        stack: Stack = None,
    ) -> None:
        """Write every node's files as they would lie on it, and its manifest beside them. No secrets are known."""
        folders = {
            (out / node if stack else out / name / node): content
            for name in ([stack] if stack else STACKS)
            for node, content in bundles(stack_settings(ROOT, name)).items()
        }
        _claim(out, {folder.relative_to(out).parts[0] for folder in folders})
        for folder, content in folders.items():
            _write(folder, content)
        count = sum(len(content.files) for content in folders.values())
        typer.echo(f"{out}: {count} files of {len(folders)} nodes")

    @app.command()
    def show(
        node: Annotated[str, typer.Argument(help="A node, like control-plane-1 or worker.")],
        file: Annotated[
            str,
            typer.Argument(
                help=f"A file: its path below {CONFIGURATION}, or any ending of its path that no other file has; "
                f"{MANIFEST} is what the boot agent is told."
            ),
        ],
        stack: Annotated[StackName, typer.Option(help="The stack.")],
    ) -> None:
        """Print one file of a node."""
        found = bundles(stack_settings(ROOT, stack))
        if node not in found:
            raise Stop(_there_is(f"{stack} has no node {node}", found))
        typer.echo(text_of(found[node], node, file), nl=False)

    _ = (render, show)


def bundles(settings: Settings) -> dict[str, Bundle]:
    """Return the bundle of every node of a stack, by the node's name."""
    return {node.name: Bundle.model_validate_json(bundle(settings, node, PLACEHOLDERS)) for node in nodes(settings)}


def text_of(content: Bundle, node: str, file: str) -> str:
    """Return a file of a bundle.

    Args:
        content: the bundle.
        node: whose it is, for messages.
        file: the path below the folder of configuration, or an ending of the path that no other file has.

    Raises:
        Stop: no file or several files are meant; the message lists those that there are.
    """
    if file == MANIFEST:
        return _manifest(content)
    exact = f"{CONFIGURATION}/{file}"
    meant = [path for path in content.files if path.endswith(f"/{file.removeprefix('/')}")]
    if exact in meant:
        meant = [exact]
    match meant:
        case [path]:
            return content.files[path].text
        case []:
            raise Stop(_there_is(f"{node} has no file {file}", [*content.files, MANIFEST]))
        case _:
            raise Stop(_there_is(f"{node} has several files {file}", meant))


def _there_is(problem: str, names: Iterable[str]) -> str:
    return "\n  ".join((f"{problem}; there is:", *sorted(names)))


def _manifest(content: Bundle) -> str:
    return json.dumps(content.manifest.model_dump(mode="json"), indent=2, sort_keys=True) + "\n"


def _claim(out: Path, names: set[str]) -> None:
    """Make a folder ready for entries of these names, and note that they are this program's.

    Raises:
        Stop: something is in it that this program did not write.
    """
    mark = out / MARK
    written = set(mark.read_text().splitlines()) if mark.is_file() else set[str]()
    there = {path.name for path in out.iterdir()} - {MARK} if out.exists() else set[str]()
    foreign = there - written
    if foreign and (not mark.is_file() or foreign & names):
        raise Stop(f"{out} holds what this command did not write, like {min(foreign)}: give another folder")
    for name in there & written:
        shutil.rmtree(out / name)
    out.mkdir(parents=True, exist_ok=True)
    # Before the files: whoever stops it in between may start it again.
    mark.write_text("".join(f"{name}\n" for name in sorted(names)))


def _write(folder: Path, content: Bundle) -> None:
    for path, file in content.files.items():
        place = folder / path.removeprefix("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(file.text)
        place.chmod(int(file.mode, 8))
    (folder / MANIFEST).write_text(_manifest(content))
