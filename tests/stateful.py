"""What must outlive every change, and how a run is asked whether it does."""

from __future__ import annotations

from engine.steps import Result
from engine.tokens import STATEFUL


def destroyed(result: Result) -> list[str]:
    """Return what holds state and would not outlive a run."""
    gone = ("delete", "replace", "create-replacement", "delete-replaced")
    return [
        f"{step.operation} {step.name}"
        for step in result.steps
        if step.type in STATEFUL and step.operation in gone and not step.forgotten
    ]
