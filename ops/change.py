"""One change of a stack by a procedure: settings, preview, a list of what may happen, `up`."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

from engine.steps import Result, Step
from ops.allowed import Allowed, refused
from ops.engine import Engine
from ops.problems import Stop
from ops.procedure import Say

LOCKED = "the stack is currently locked"
"""How the engine says that another one works on the stack."""


@dataclass(frozen=True)
class Change:
    """Settings to change, and what that may do.

    ``settings`` are values by path, see ``Engine.set``. ``forgotten`` are the urns that the engine may take out of
    its state although they are protected; what they stand for stays on AWS.
    """

    settings: Mapping[str, str]
    allowed: Sequence[Allowed]
    forgotten: Sequence[str] = ()


def apply(engine: Engine, change: Change, deadline: timedelta, say: Say) -> str:
    """Make a change, preview, and deploy; return what was done. It may be repeated.

    If the preview shows more than is allowed, or fails, the stack file is again as it was, and nothing has happened.

    Args:
        engine: the stack.
        change: what to set, and what may happen.
        deadline: longest that `up` may take.
        say: told how far it is.

    Raises:
        Stop: the preview shows something else, or fails, or `up` does.
    """
    engine.unprotect(change.forgotten)
    with _restored(engine, on_success=False):
        preview = _previewed(engine, change, say)
    planned = len(preview.changed())
    if not planned:
        return "nothing to change"
    begun: list[str] = []

    def on_step(step: Step) -> None:
        if step.custom and step.operation != "same":
            begun.append(step.urn)
            say(f"{len(begun)} of {planned}: {step.name}")

    result = engine.up(deadline, on_step)
    if not result.ok:
        advice = "`up` failed; the same command goes on from there"
        if any(LOCKED in error for error in result.errors):
            advice = (
                f"another `pulumi` works on {engine.stack}, perhaps of a run that was killed: wait for it; when there"
                f" is none, `pulumi cancel --stack {engine.stack}`. Then the same command goes on"
            )
        raise Stop(advice + ":\n" + "\n".join(result.errors))
    return _counted(result)


def foresee(engine: Engine, change: Change, say: Say) -> str:
    """Return what ``apply`` would do; the stack file is as it was.

    Raises:
        Stop: the preview shows something else, or fails.
    """
    with _restored(engine, on_success=True):
        return _counted(_previewed(engine, change, say))


@contextmanager
def _restored(engine: Engine, *, on_success: bool) -> Generator[None]:
    before = engine.stack_file.read_bytes()
    try:
        yield
    except BaseException:
        engine.stack_file.write_bytes(before)
        raise
    if on_success:
        engine.stack_file.write_bytes(before)


def _previewed(engine: Engine, change: Change, say: Say) -> Result:
    for path, value in change.settings.items():
        engine.set(path, value)
    say("previewing")
    preview = engine.preview()
    if not preview.ok:
        raise Stop("the preview failed:\n" + "\n".join(preview.errors))
    if beyond := refused(preview, change.allowed):
        raise Stop(
            "`up` would do more than belongs to this step. Nothing was deployed, and the stack file is as it was."
            " Take these out of the stack file or the program first:\n  " + "\n  ".join(beyond)
        )
    return preview


def _counted(result: Result) -> str:
    counts = {operation: count for operation, count in result.count().items() if operation != "same"}
    return ", ".join(f"{count} {operation}" for operation, count in counts.items()) or "nothing to change"
