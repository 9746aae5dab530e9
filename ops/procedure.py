"""A procedure: steps in an order, each of which can see for itself whether it was taken.

There is no file that says how far a run got. A run that was killed anywhere is started again with the same command,
passes over what is there, and goes on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from rich.console import Console
from rich.markup import escape
from tenacity import RetryError, Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from ops.problems import Stop, Unknown
from ops.wording import span

POLL_SECONDS = 5
"""How often what is waited for is looked at: half of the ten seconds between two reports of a node."""

Say = Callable[[str], None]
"""Tells whoever watches what is being waited for."""


@dataclass(frozen=True)
class Step:
    """One step of a procedure."""

    title: str
    """What it does, as an order: "write the failover switch"."""
    there: Callable[[], str | None]
    """Says what was done already, in words; None when the step is still to be taken."""
    take: Callable[[Say], str]
    """Takes the step and says what it did, in words."""
    deadline: timedelta
    """Longest that it may take; what is behind ``take`` keeps to it."""
    foresee: Callable[[Say], str] | None = None
    """Looks, without changing anything, at what ``take`` would find."""


def run(steps: Sequence[Step], console: Console, *, dry: bool = False) -> None:
    """Take the steps, a line each.

    Args:
        steps: in their order.
        console: where the lines go.
        dry: only say what each would do, and change nothing. What would stop one is said, and the next is looked at.

    Raises:
        Stop: a step cannot be taken.
        Unknown: something could not be learned.
    """
    for number, step in enumerate(steps, start=1):
        label = f"{number:2}/{len(steps)} {step.title}"
        began = time.monotonic()
        already = step.there()
        if already is not None:
            _line(console, label, "[dim]already[/dim]", already)
        elif dry:
            _line(console, label, "[yellow]to do[/yellow]", _foreseen(step, label, console))
        else:
            _line(console, label, "begins", f"within {span(step.deadline)}")
            with console.status(escape(label)) as status:
                said = step.take(lambda doing, label=label, status=status: status.update(escape(f"{label}: {doing}")))
            _line(console, label, "[green]done[/green]", f"{said} ({time.monotonic() - began:.0f} s)")


def _foreseen(step: Step, label: str, console: Console) -> str:
    within = f"within {span(step.deadline)}"
    if step.foresee is None:
        return within
    with console.status(escape(label)) as status:
        try:
            return f"{within}: {step.foresee(lambda doing: status.update(escape(f'{label}: {doing}')))}"
        except (Stop, Unknown) as problem:
            return f"would stop: {problem}"


def wait(lacking: Callable[[], str | None], deadline: timedelta, say: Say) -> None:
    """Return once nothing is lacking.

    Args:
        lacking: says what is lacking, None when nothing. What is unknown may become known: it is asked again.
        deadline: how long to wait.
        say: told what is waited for.

    Raises:
        Stop: something is still lacking at the deadline.
        Unknown: at the deadline it is unknown whether something is.
    """

    def look() -> None:
        lacks = lacking()
        if lacks is not None:
            say(lacks)
            raise _Lacking(lacks)

    looks = Retrying(
        stop=stop_after_delay(deadline),
        wait=wait_fixed(POLL_SECONDS),
        retry=retry_if_exception_type((_Lacking, Unknown)),
    )
    try:
        looks(look)
    except RetryError as error:
        last = error.last_attempt.exception()
        if isinstance(last, Unknown):
            raise last from None
        raise Stop(f"after {span(deadline)}: {last}") from None


class _Lacking(Exception):
    """What is lacking."""


def _line(console: Console, label: str, word: str, said: str) -> None:
    console.print(f"{escape(label)}: {word}: {escape(said)}", soft_wrap=True)
