"""The commands that pipelines run on what a preview printed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from offline.engine import OfflineError
from offline.review import Malformed, comment, losses, read

Given = Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="What the preview printed.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""

    @app.command("comment")
    def print_comment(
        report: Given,
        log: Annotated[str | None, typer.Option(help="Address of the run's log.")] = None,
    ) -> None:
        """Print what `preview --json` found as a comment for a pull request."""
        try:
            reports = read(report.read_text(errors="replace"))
        except Malformed:
            # A preview that could not start has no report: that is the news.
            reports = []
        typer.echo(comment(reports, log), nl=False)

    @app.command("losses")
    def print_losses(preview: Given) -> None:
        """Print what cannot be had again but would go, by `pulumi preview --json`; exit code 1 if there is any."""
        try:
            lost = losses(preview.read_text())
        except Malformed as error:
            raise OfflineError(f"{preview}: {error}") from error
        for line in lost:
            typer.echo(line)
        if lost:
            raise typer.Exit(1)

    _ = (print_comment, print_losses)
