"""The comment on a pull request, made of a report that a stranger's program may have written."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

import cli.main
from engine.stack_files import ROOT, STACKS, stack_settings
from engine.steps import Change, Step
from offline.result import OfflineResult
from offline.review import (
    ERROR_LINES,
    LIMIT,
    MARKER,
    PATHS,
    WORD_LENGTH,
    Malformed,
    comment,
    losses,
    read,
)
from offline.summary import as_data

VPC, BUCKET = "aws:ec2/vpc:Vpc", "aws:s3/bucket:Bucket"
CAUSE = Change("cidrBlock", "update-replace")


def step(operation: str, name: str, kind: str = VPC, component: str = "Network", *changes: Change) -> Step:
    """Return a step on a resource of a component."""
    urn = f"urn:pulumi:prod::mlops-ha::mlops:index:Platform$mlops:index:{component}${kind}::{name}"
    return Step(operation, urn, kind, "us-east-1", "", False, {}, changes)


def printed(*steps: Step, stack: str = "prod", errors: list[str] | None = None) -> dict[str, Any]:
    """Return what the command prints for a stack."""
    result = OfflineResult(stack, "preview", list(steps), errors=errors or [])
    return as_data(result, stack_settings(ROOT, stack))


def said(*reports: dict[str, Any]) -> str:
    return comment(read(json.dumps(reports)))


def lines(*reports: dict[str, Any]) -> list[str]:
    """Return the lines below the heading of the first stack."""
    text = said(*reports).splitlines()
    return text[next(number for number, line in enumerate(text) if line.startswith("### ")) :]


def test_the_dangerous_stands_first() -> None:
    """A replacement below a hundred new resources, where nobody reads any more; a cause that is not told."""
    steps = [
        step("same", "kept"),
        step("create", "new", VPC, "Network", Change("cidrBlock", "add")),
        step("update", "changed", VPC, "Machine2", Change("tags.Name", "update"), Change("cidrBlock", "add")),
        step("delete", "gone"),
        step("create-replacement", "moved"),
        step("replace", "moved", VPC, "Network", CAUSE, Change("tags", "update")),
        step("delete-replaced", "moved"),
        step("replace", "data", BUCKET, "Storage", Change("acl", "update-replace")),
        step("replace", "along"),
        step("delete", "archive", BUCKET),
    ]
    assert lines(printed(*steps)) == [
        "### prod: `primary`, `us-east-1`",
        "",
        "3 replaced, 2 deleted, 1 updated, 1 created.",
        "",
        "**Replaced or deleted**",
        "",
        "- replace `data` (`aws:s3/bucket:Bucket`, `us-east-1`) **holds what cannot be had again**, because of `acl`",
        "- delete `archive` (`aws:s3/bucket:Bucket`, `us-east-1`) **holds what cannot be had again**",
        "- replace `moved` (`aws:ec2/vpc:Vpc`, `us-east-1`), because of `cidrBlock`",
        "- replace `along` (`aws:ec2/vpc:Vpc`, `us-east-1`), because of what it depends on: it names no property",
        "- delete `gone` (`aws:ec2/vpc:Vpc`, `us-east-1`)",
        "",
        "**`Machine2`**",
        "",
        "- update `changed` (`aws:ec2/vpc:Vpc`, `us-east-1`): `tags.Name`, `cidrBlock`",
        "",
        "**`Network`**",
        "",
        "- create `new` (`aws:ec2/vpc:Vpc`, `us-east-1`)",
    ]


def test_the_marker_stands_first_and_the_log_is_linked() -> None:
    """A new comment at every push, as the old one is not found."""
    text = comment(read(json.dumps(printed())), "https://example.com/log")
    assert text.startswith(f"{MARKER}\n")
    assert text.count("[The run's log](https://example.com/log)\n") == 1
    assert "log](" not in comment(read(json.dumps(printed())))


def test_nothing_changes() -> None:
    """An empty comment, of which nobody knows whether it is a good sign."""
    reports = [printed(step("same", "kept"), stack=stack) for stack in STACKS]
    assert lines(*reports) == [
        "### prod: `primary`, `us-east-1`",
        "",
        "Nothing changes.",
        "",
        "### dr: `standby`, `us-west-2`",
        "",
        "Nothing changes.",
    ]


def test_a_failed_preview_is_not_called_harmless() -> None:
    """ "Nothing changes" above a preview that failed before it saw anything."""
    assert lines(printed(errors=["zone [broken]\n  two of them\t`x`\n"])) == [
        "### prod: `primary`, `us-east-1`",
        "",
        "**The preview failed.** What it found before that is not all.",
        "",
        "    zone [broken]",
        "      two of them `x`",
    ]


def test_errors_leave_room() -> None:
    """A page of errors that pushes out what is replaced."""
    shown = lines(printed(step("delete", "gone"), errors=["x\n" * ERROR_LINES, "y"]))
    assert shown.count("    x") == ERROR_LINES - 1
    assert "3 more lines of errors are in the log." in shown
    assert "- delete `gone` (`aws:ec2/vpc:Vpc`, `us-east-1`)" in shown
    full = printed(*[step("delete", "gone")] * 2, errors=["x" * 10_000] * 1_000)
    assert said(full, printed(stack="dr")).count("- delete `gone`") == 2


def test_an_operation_that_nobody_knows_is_shown() -> None:
    """A change that is left out because this code is older than the engine."""
    shown = lines(printed(step("transmute", "lead")))
    assert "1 changed in another way." in shown
    assert "- `transmute` `lead` (`aws:ec2/vpc:Vpc`, `us-east-1`)" in shown


def test_long_lists_of_properties_are_cut() -> None:
    """A line that fills a page."""
    changes = [Change(f"p{number}", "update") for number in range(PATHS + 3)]
    assert lines(printed(step("update", "one", VPC, "Network", *changes)))[-1].endswith(f"`p{PATHS - 1}` and 3 more")


@pytest.mark.parametrize("character", ["a", "\N{SNOWMAN}"], ids=["ascii", "wide"])
def test_it_fits_and_says_what_is_missing(character: str) -> None:
    """A comment that GitHub refuses whole; one that is cut and looks complete; a stack that pushes the other out."""
    many = [step("create", f"{character * 150}{number}") for number in range(400)]
    text = said(printed(*many), printed(step("delete", "gone"), stack="dr"))
    assert len(text.encode()) <= LIMIT
    assert text.count("- create") > 60
    missing = re.findall(r"^(\d+) more lines are missing here", text, re.MULTILINE)
    assert missing == [str(400 - text.count("- create"))]
    assert "- delete `gone`" in text


def outside_of_code(text: str) -> str:
    """Return what GitHub reads as markdown: a text without its code, indented or between backticks."""
    shown = (re.sub("`[^`]*`", "", line) for line in text.splitlines() if not line.startswith("    "))
    return "\n".join(line for line in shown if line)


HOSTILE = [
    "@everyone",
    "[click](https://example.com)",
    "`x` @team",
    "``` @team",
    "a\n\n# heading @team",
    "a\r@team\u2028@team\x0b@team",
    "<img src=https://example.com/x>",
    "<!-- ",
    "www.example.com",
    "o/r#1 GH-1 #1",
    "\u202egnp.exe",
    "\ud800",
    "| a | b |",
    "",
    "   ",
    "\\`",
    "**",
]


@pytest.mark.parametrize("word", HOSTILE)
def test_a_strangers_words_are_only_words(word: str) -> None:
    """A link, a mention or a heading that a stranger puts under the project's name."""
    hostile = {
        "operation": word,
        "urn": f"a::b::{word}",
        "type": word,
        "component": word,
        "region": word,
        "changes": {word: f"{word}-replace"},
    }
    report = {
        **printed(),
        "role": word,
        "region": word,
        "ok": False,
        "errors": [word, f"x\n{word}"],
        "steps": [hostile, {**hostile, "operation": "replace"}, {**hostile, "operation": "update"}],
    }
    harmless = json.loads(json.dumps(report).replace(json.dumps(word)[1:-1], "word")) if word.strip() else None
    text = said(report)
    rest = outside_of_code(text)
    assert not re.search(r"@|http|www|example|<img|#1|team|heading|\u202e|[\ud800-\udfff]", rest)
    # Two backticks would begin code that ends somewhere else.
    assert "``" not in "".join(line for line in text.splitlines() if not line.startswith("    "))
    assert all(character.isprintable() for line in text.split("\n") for character in line)
    if harmless:
        assert rest == outside_of_code(said(harmless)), "the words change what stands around them"


@given(st.text())
def test_a_word_stays_on_its_line(word: str) -> None:
    """A word that leaves its code, by a character that nobody thought of."""
    (shown,) = [line for line in lines(printed(step("delete", f"x{word}"))) if line.startswith("- ")]
    found = re.fullmatch(r"- delete `([^`\n\r]*)` \(`aws:ec2/vpc:Vpc`, `us-east-1`\)", shown)
    assert found
    assert 1 <= len(found[1]) <= WORD_LENGTH + 1


@pytest.mark.parametrize(
    "text",
    [
        *("", "no json", "[]", "{}", "[[]]", "null", '{"stack": "prod"}', "[" * 100_000),
        json.dumps([{**printed(), "stack": "other"}]),
        json.dumps([printed(), printed()]),
    ],
    ids=lambda text: str(text)[:12],
)
def test_what_is_no_report_is_refused(tmp_path: Path, text: str) -> None:
    """ "Nothing changes" for a preview that printed nothing; a traceback instead of a comment."""
    with pytest.raises(Malformed):
        read(text)
    (tmp_path / "report.json").write_text(text)
    done = CliRunner().invoke(cli.main.app, ["comment", str(tmp_path / "report.json")])
    assert done.exit_code == 0
    assert done.stdout.startswith(MARKER)
    assert "**There is no report that could be read: what changes is not known.**" in done.stdout


def test_the_command_takes_one_stack_or_both(tmp_path: Path) -> None:
    """A command that cannot read what the other one printed."""
    for printed_text in (printed(), [printed(), printed(stack="dr")]):
        (tmp_path / "report.json").write_text(json.dumps(printed_text))
        done = CliRunner().invoke(
            cli.main.app, ["comment", str(tmp_path / "report.json"), "--log", "https://x.test/1"]
        )
        assert (done.exit_code, done.stdout) == (
            0,
            comment(read(json.dumps(printed_text)), "https://x.test/1"),
        )


def test_a_report_of_before_can_be_read() -> None:
    """A comment that fails on pull requests which began before a field was added."""
    report = printed(step("create", "new"))
    for one in report["steps"]:
        del one["component"]
    assert "**Outside of all components**" in lines(report)


def test_secrets_are_left_out() -> None:
    """An output or an input in a public comment."""
    report = printed(step("update", "one", VPC, "Network", Change("password", "update")))
    steps = [{**one, "inputs": {"a": "hush"}} for one in report["steps"]]
    assert len(steps) == 1
    assert "hush" not in said({**report, "outputs": {"a": "hush"}, "steps": steps})


def digest(*steps: tuple[str, str]) -> str:
    """Return what `pulumi preview --json` prints."""
    return json.dumps(
        {"steps": [{"op": op, "urn": f"urn:pulumi:prod::mlops-ha::a:b:C${kind}::{op}d"} for op, kind in steps]}
    )


def test_what_is_lost_stops_a_deployment(tmp_path: Path) -> None:
    """A database that goes with a merge."""
    preview = tmp_path / "preview.json"
    preview.write_text(
        digest(("same", BUCKET), ("create", BUCKET), ("update", BUCKET), ("replace", BUCKET), ("delete", BUCKET))
    )
    done = CliRunner().invoke(cli.main.app, ["losses", str(preview)])
    assert (done.exit_code, done.stdout) == (1, f"replace replaced ({BUCKET})\ndelete deleted ({BUCKET})\n")


def test_what_can_be_had_again_may_go(tmp_path: Path) -> None:
    """A deployment that is stopped for a rule of a security group."""
    preview = tmp_path / "preview.json"
    for text in (digest(("replace", VPC), ("delete", VPC), ("update", BUCKET)), "{}"):
        preview.write_text(text)
        assert CliRunner().invoke(cli.main.app, ["losses", str(preview)]).exit_code == 0


@pytest.mark.parametrize("text", ["", "[]", '{"steps": [1]}', '{"steps": 1}', '{"steps": [{"op": "delete"}]}'])
def test_a_preview_that_cannot_be_read_stops_a_deployment(text: str) -> None:
    """A deployment that goes on because nobody understood what it would do."""
    with pytest.raises(Malformed):
        losses(text)
