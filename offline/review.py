"""What a pull request would change, as the text of a comment, and what of it would be lost for good.

The report comes from a run of the pull request's own program, perhaps a stranger's: nothing in it is trusted. Each of
its words stands in code, where GitHub makes no link and tells nobody.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, Literal, cast

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from engine.steps import REPLACEMENTS
from engine.tokens import STATEFUL

MARKER = "<!-- mlops-ha: offline preview -->"
"""How a comment begins that is ours, so that the next run finds and rewrites it. GitHub does not show it."""

LIMIT = 65_536
"""Characters that GitHub takes in a comment. Bytes are counted here: never fewer than characters."""

WORD_LENGTH = 200
"""Characters of one quoted word: AWS's longest names have 255, and none of ours comes near."""

LINE_LENGTH = 300
"""Characters of a quoted line of an error: the engine wraps none, and the reason stands at its beginning."""

ERROR_LINES = 60
"""Lines of a stack's errors that are quoted: a traceback has 20 to 40. They take half of the stack's part at most."""

PATHS = 20
"""Properties that are named for one resource: more say nothing more to who reads them."""


DANGEROUS = ("replace", "delete")
"""What a reader must see before anything else, in this order."""

DONE = {"replace": "replaced", "delete": "deleted", "update": "updated", "create": "created"}
"""The operations in the order in which a reader looks for them, and what they make of a resource."""


class Malformed(ValueError):
    """A report is not what ``mlops-ha preview --json`` prints, nor what ``pulumi preview --json`` does."""


class _Read(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class ReportedStep(_Read):
    """One step of a report."""

    operation: str
    urn: str
    type: str
    component: str = ""
    """Empty also in the report of a pull request that began before there was this field."""
    region: str
    changes: dict[str, str]

    @property
    def name(self) -> str:
        """Name of the resource in the program."""
        return self.urn.rpartition("::")[2]


class Report(_Read):
    """What one stack's preview said."""

    stack: Literal["prod", "dr"]
    role: str
    region: str
    ok: bool
    errors: list[str]
    steps: list[ReportedStep]

    def shown(self) -> list[ReportedStep]:
        """Return the steps that a reader looks for: of a replacement's three the one that says what causes it."""
        return [step for step in self.steps if step.operation not in REPLACEMENTS[1:]]


_reports: TypeAdapter[list[Report]] = TypeAdapter(list[Report])


def read(text: str) -> list[Report]:
    """Return the reports in what ``mlops-ha preview --json`` printed, for one stack or for both.

    Raises:
        Malformed: it is something else, or a stack is in it twice.
    """
    data = _parsed(text)
    try:
        reports = _reports.validate_python(data if isinstance(data, list) else [data])
    except ValidationError as error:
        raise Malformed(f"the report is not one of a preview: {error.error_count()} errors in it") from error
    if not reports or len({report.stack for report in reports}) != len(reports):
        raise Malformed("the report must have each stack once")
    return reports


def _parsed(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:  # RecursionError: thousands of brackets, which nobody means
        raise Malformed("the report is not JSON") from error


def comment(reports: Sequence[Report], log: str | None = None) -> str:
    """Return the text of the comment.

    Args:
        reports: one for each stack; none when the preview left none that could be read.
        log: address of the run's log, which must come from GitHub and never from a report.
    """
    head = [
        MARKER,
        "## What this changes",
        "",
        "The real engine's preview against an offline copy of what the base branch deploys. AWS was not asked."
        " What stands in `code` was printed by this pull request's own program.",
    ]
    if log:
        head += ["", f"[The run's log]({log})"]
    if not reports:
        head += ["", "**There is no report that could be read: what changes is not known.** The log says why."]
        return "\n".join(head) + "\n"
    text = "\n".join(head) + "\n"
    # Each stack gets a part of its own: a long list of one must not hide what the other loses.
    budget = (LIMIT - _bytes(text)) // len(reports)
    return text + "".join(_cut(list(_section(report)), budget) for report in reports)


def _section(report: Report) -> Iterator[str]:
    """Yield the lines of one stack. Wherever they end, what follows is not taken in: no fence, no open tag."""
    yield from ("", f"### {report.stack}: {_code(report.role)}, {_code(report.region)}", "")
    steps = report.shown()
    if not report.ok:
        yield "**The preview failed.** What it found before that is not all."
    elif not steps:
        yield "Nothing changes."
    if steps:
        yield ", ".join(_counted(steps)) + "."
    yield from _errors(report.errors)
    dangerous = [step for step in steps if step.operation in DANGEROUS]
    if dangerous:
        yield from ("", "**Replaced or deleted**", "")
        # What holds state comes before what does not: it is gone for good.
        for step in sorted(dangerous, key=lambda step: (step.type not in STATEFUL, _rank(step))):
            yield _dangerous(step)
    harmless = sorted(
        (step for step in steps if step.operation not in DANGEROUS), key=lambda step: (step.component, _rank(step))
    )
    for component, of_component in groupby(harmless, key=lambda step: step.component):
        yield from ("", f"**{_code(component)}**" if component else "**Outside of all components**", "")
        yield from map(_harmless, of_component)


def _rank(step: ReportedStep) -> int:
    """Return where an operation stands in the order of DONE; behind all of them if it is none of them."""
    order = list(DONE)
    return order.index(step.operation) if step.operation in order else len(order)


def _counted(steps: Sequence[ReportedStep]) -> Iterator[str]:
    counts = Counter(map(_rank, steps))
    for rank, done in enumerate((*DONE.values(), "changed in another way")):
        if counts[rank]:
            yield f"{counts[rank]} {done}"


def _harmless(step: ReportedStep) -> str:
    operation = step.operation if step.operation in DONE else _code(step.operation)
    # Every property of a new resource is new.
    changed = f": {_paths(list(step.changes))}" if step.changes and step.operation != "create" else ""
    return f"- {operation} {_resource(step)}{changed}"


def _dangerous(step: ReportedStep) -> str:
    loses = " **holds what cannot be had again**" if step.type in STATEFUL else ""
    if step.operation == "delete":
        return f"- delete {_resource(step)}{loses}"
    causes = [path for path, kind in step.changes.items() if kind.endswith("-replace")]
    # The engine names no property where it replaces a resource only as it must go before one that it depends on.
    because = f", because of {_paths(causes)}" if causes else ", because of what it depends on: it names no property"
    return f"- replace {_resource(step)}{loses}{because}"


def _resource(step: ReportedStep) -> str:
    return f"{_code(step.name)} ({_code(step.type)}, {_code(step.region)})"


def _paths(paths: Sequence[str]) -> str:
    more = f" and {len(paths) - PATHS} more" if len(paths) > PATHS else ""
    return ", ".join(map(_code, paths[:PATHS])) + more


def _errors(errors: Sequence[str]) -> Iterator[str]:
    lines = [line for error in errors for line in ("", *error.splitlines())]
    for line in lines[:ERROR_LINES]:
        # Indented by four, a line is code, and no character in it can end that.
        yield f"    {_printable(line)[:LINE_LENGTH]}".rstrip()
    if len(lines) > ERROR_LINES:
        yield from ("", f"{len(lines) - ERROR_LINES} more lines of errors are in the log.")


def _code(word: str) -> str:
    """Return a word as code, which it cannot leave: on one line, and without a backtick of its own."""
    shown = " ".join(_printable(word).replace("`", "'").split())
    cut = shown if len(shown) <= WORD_LENGTH else shown[:WORD_LENGTH] + "…"
    return f"`{cut or '?'}`"


def _printable(text: str) -> str:
    """Return a text without what is not seen: line ends, control characters, and those that turn the direction."""
    return "".join(character if character.isprintable() else " " for character in text)


def _bytes(text: str) -> int:
    return len(text.encode())


def _cut(lines: Sequence[str], budget: int) -> str:
    """Return the lines as a text of at most ``budget`` bytes; one that is cut says how many lines are missing."""
    whole = "".join(f"{line}\n" for line in lines)
    if _bytes(whole) <= budget:
        return whole
    # No number of lines that are missing is longer than that of all.
    room = budget - _bytes(_missing(len(lines)))
    kept: list[str] = []
    for line in lines:
        room -= _bytes(line) + 1
        if room < 0:
            break
        kept.append(line)
    return "".join(f"{line}\n" for line in kept) + _missing(len(lines) - len(kept))


def _missing(count: int) -> str:
    return f"\n{count} more lines are missing here: a comment holds no more. The log has them.\n"


def losses(preview: str) -> list[str]:
    """Return what cannot be had again and would be replaced or deleted, from what ``pulumi preview --json`` printed.

    The format is the engine's (``PreviewDigest`` in its package ``pkg/display``): ``steps`` with ``op`` and ``urn``.

    Raises:
        Malformed: it is something else.
    """
    digest = _parsed(preview)
    if not isinstance(digest, dict):
        raise Malformed("the preview is not what `pulumi preview --json` prints")
    # The engine leaves out an empty list.
    steps: object = cast(dict[str, Any], digest).get("steps", [])
    try:
        taken = [(str(step["op"]), str(step["urn"])) for step in cast(list[dict[str, Any]], steps)]
    except (TypeError, KeyError) as error:
        raise Malformed("the preview is not what `pulumi preview --json` prints") from error
    return [
        f"{operation} {urn.rpartition('::')[2]} ({kind})"
        for operation, urn in taken
        if operation in DANGEROUS and (kind := urn.split("::")[2].rpartition("$")[2]) in STATEFUL
    ]
