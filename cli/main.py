"""``mlops-ha``: the commands, and how their failures look."""

from __future__ import annotations

import sys

import typer
from rich.console import Console

from cli import cloud, operations, render, reviews
from configs.settings.problem import SettingsError
from offline.engine import OfflineError
from ops.problems import Stop, Unknown
from toolchain.commands import SetupError

app = typer.Typer(
    name="mlops-ha",
    help="A highly available MLOps platform on AWS, and the proof that it is. "
    "preview, up, refresh, destroy and export run the real Pulumi engine against a cloud on this machine: "
    "no AWS account is needed and nothing leaves it. To deploy to AWS use `pulumi up --stack prod`. "
    "failover, failback, status, verify and restore speak to AWS and to the platform. "
    "render and show are of nodes' files, and speak to nobody.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
cloud.register(app)
operations.register(app)
render.register(app)
reviews.register(app)


def main() -> None:
    """Run the command line. What a user can mend is one message and exit code 1, never a traceback."""
    try:
        app()
    except (OSError, OfflineError, SettingsError, SetupError, Stop, Unknown) as error:
        Console(stderr=True, highlight=False, soft_wrap=True).print(str(error), style="red", markup=False)
        sys.exit(1)
