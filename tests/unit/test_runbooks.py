"""The runbooks: that each has what a tired person looks for, and that what they are to type exists."""

from __future__ import annotations

import gzip
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, cast

import pytest
import typer

from cli.main import app
from configs.alarms import Subject, alarms
from configs.settings.model import DatabaseSettings
from engine.stack_files import ROOT
from tests.unit.test_platform import built, platform

FOLDER = ROOT / "docs" / "runbooks"
INDEX = FOLDER / "README.md"
RUNBOOKS = [path for path in sorted(FOLDER.glob("*.md")) if path != INDEX]
SHELLCHECK = Path(sys.executable).with_name("shellcheck")

HEADINGS = ["Symptom", "Check", "Command", "How to see that it worked", "If it does not"]

_BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)#\s]+)(?:#([^)\s]+))?\)")
# The way a command is typed: in the checkout, or as the page calls it in the text.
_TYPED = re.compile(r"(?<![\w/.-])(?:\.venv/bin/)?mlops-ha ((?!RESTORE)[a-z].*)")

each = pytest.mark.parametrize("path", RUNBOOKS, ids=lambda path: path.stem)


def sections(path: Path) -> dict[str, str]:
    """Return the text below each heading of the second level, in its order."""
    parts = re.split(r"^## (.+)$", path.read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def blocks(text: str) -> list[str]:
    """Return what is to be typed, a string for each block."""
    return _BLOCK.findall(text)


def snippets(path: Path) -> Iterator[str]:
    """Yield every line that is to be typed, and every piece of code in the text."""
    text = path.read_text()
    for block in blocks(text):
        yield from block.replace("\\\n", " ").splitlines()
    yield from re.findall(r"`([^`\n]+)`", _BLOCK.sub("", text))


@cache
def alarm_names() -> frozenset[str]:
    """Return the names of all alarms that either stack makes, with any kind of certificate."""
    arns = {
        f"{region}CertificateArn": f"arn:aws:acm:{name}:123456789012:certificate/{'0' * 8}-0000-0000-0000-{'0' * 12}"
        for region, name in (("primary", "us-east-1"), ("standby", "us-west-2"))
    }
    runs = [platform("prod"), platform("dr"), built("prod", certificates={"mode": "acm", **arns})]
    return frozenset(str(one["name"]) for run in runs for one in run.inputs("MetricAlarm").values())


@cache
def recorded() -> frozenset[str]:
    """Return the URNs of a state of `prod` as a release left it: what an `up --replace` must be given."""
    state = json.loads(gzip.decompress((ROOT / "tests" / "recorded" / "0.1.0" / "prod.json.gz").read_bytes()))
    deployment = cast(Mapping[str, Any], state.get("deployment") or state["checkpoint"]["latest"])
    return frozenset(str(resource["urn"]) for resource in deployment["resources"])


def test_there_are_the_runbooks_that_were_asked_for() -> None:
    """A page that was moved: people and messages know it by its name."""
    assert [path.stem for path in RUNBOOKS] == [
        "autoscaler-stuck",
        "certificate-renewal",
        "database-failover",
        "disk-full",
        "failback",
        "monitoring",
        "no-backend",
        "quorum-lost",
        "region-lost",
        "restore",
        "rotation",
        "server-lost",
        "training-stalled",
        "zone-lost",
    ]


def test_the_index_has_all() -> None:
    """A page that nobody finds at night."""
    listed = {target for target, _ in _LINK.findall(INDEX.read_text())}
    assert {path.name for path in RUNBOOKS} - listed == set()


@each
def test_headings(path: Path) -> None:
    """A page on which the next step does not stand where it stands on all others."""
    assert list(sections(path)) == HEADINGS


@each
def test_every_section_that_needs_one_has_a_command(path: Path) -> None:
    """A page that says what to look for, and not how."""
    found = sections(path)
    lacking = [heading for heading in HEADINGS[1:4] if not blocks(found[heading])]
    assert lacking == []


@each
def test_blocks_are_shell_and_complete(path: Path) -> None:
    """A block that cannot be pasted: a typing error, a variable that no block above it sets, a hole to be filled."""
    script = "\n".join(blocks(path.read_text()))
    # SC2016: dollars in URNs, and backquotes in what the AWS CLI is asked for, are to stay as they are.
    command = [SHELLCHECK, "--shell=bash", "--exclude=SC2016", "--format=gcc", "-"]
    done = subprocess.run(command, input=script, capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout.splitlines() == []
    assert re.findall(r"<[a-z][^>\n]*>", script) == []


@each
def test_every_block_is_marked_as_shell(path: Path) -> None:
    """A block that the tests here, and the rehearsal, would pass over."""
    fences = re.findall(r"^[ \t]*```.*$", path.read_text(), re.MULTILINE)
    assert fences[::2] == ["```sh"] * (len(fences) // 2)
    assert fences[1::2] == ["```"] * (len(fences) // 2)


@pytest.mark.parametrize("path", [*RUNBOOKS, INDEX], ids=lambda path: path.stem)
def test_what_is_typed_exists(path: Path) -> None:
    """A target, a command or an option that was renamed, or that never was."""
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    commands = cast(Any, typer.main.get_command(app)).commands
    wrong: list[str] = []
    for snippet in snippets(path):
        words = shlex.split(snippet) if snippet.startswith("make ") else []
        if words:
            if words[1] not in targets:
                wrong.append(snippet)
            typed = next((word.removeprefix("options=") for word in words if word.startswith("options=")), "")
            wrong += refused(commands, [words[1], *shlex.split(typed)], snippet)
        elif found := _TYPED.search(snippet):
            wrong += refused(commands, shlex.split(found.group(1).replace("$stack", "prod")), snippet)
    assert wrong == []


def refused(commands: Mapping[str, Any], words: list[str], snippet: str) -> list[str]:
    """Return the snippet if the command line does not take what is typed; targets of make alone are no commands."""
    name, *arguments = words
    command = commands.get(name)
    if command is None:
        return [] if snippet.startswith("make ") else [snippet]
    parser = command.make_context
    try:
        # Parsed as it would be, and not run. A command that is only named lacks what it needs, and is there.
        parser(name, arguments, resilient_parsing=not arguments)
    except Exception as error:
        return [f"{snippet}: {error}"]
    return []


def test_every_alarm_that_is_named_exists() -> None:
    """A page that is searched for the name in a mail, and has another one."""
    purposes = {alarm.purpose for rows in alarms(DatabaseSettings(), 3).values() for alarm in rows}
    ends = "|".join(sorted(map(re.escape, purposes), key=len, reverse=True))
    named = {
        name
        for path in [*RUNBOOKS, INDEX]
        for name in re.findall(rf"`(?:OK: \")?(mlops-[a-z0-9-]+-(?:{ends}))\"?`", path.read_text())
    }
    assert named - alarm_names() == set()


def test_every_alarm_has_a_runbook() -> None:
    """A mail at night that no page knows. Numbers of nodes and replicas stand for each other."""
    symptoms = "\n".join(sections(path)["Symptom"] for path in RUNBOOKS)
    named = {re.sub(r"\d", "1", name) for name in re.findall(r"`(mlops-[a-z0-9-]+)`", symptoms)}
    assert {re.sub(r"\d", "1", name) for name in alarm_names()} - named == set()


def test_the_alarms_are_all_kinds() -> None:
    """A kind of alarm that the two tests above do not see, as no stack of theirs makes it."""
    table = alarms(DatabaseSettings(), 3)
    seen = {
        subject
        for subject in Subject
        for row in table[subject]
        if any(name.endswith(row.purpose) for name in alarm_names())
    }
    assert seen == set(Subject)


@pytest.mark.parametrize("path", [*RUNBOOKS, INDEX], ids=lambda path: path.stem)
def test_links_lead_somewhere(path: Path) -> None:
    """A link to a page that was moved, or to a heading that was renamed."""
    broken: list[str] = []
    for target, anchor in _LINK.findall(path.read_text()):
        if target.startswith("http"):
            continue
        there = path.parent / target
        if not there.exists() or (anchor and anchor not in anchors(there)):
            broken.append(f"{target}#{anchor}")
    assert broken == []


def anchors(path: Path) -> set[str]:
    """Return the headings of a page as GitHub links to them."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


@each
def test_resources_are_called_as_the_state_calls_them(path: Path) -> None:
    """A URN that names nothing: `pulumi up --replace` then replaces nothing, and says so too quietly."""
    named = set(re.findall(r"'(urn:pulumi:[^']+[^'-])'", path.read_text()))
    assert named - recorded() == set()


def test_the_lost_region_takes_five_commands() -> None:
    """A command that was slipped in, or that has a hole: the rehearsal types exactly these, word for word."""
    assert blocks(sections(FOLDER / "region-lost.md")["Command"]) == [
        "make status\n",
        "make failover options=--dry-run\n",
        "make failover\n",
        ".venv/bin/mlops-ha verify --stack dr\n",
        "make status\n",
    ]


@each
def test_nothing_claims_to_have_run_on_aws(path: Path) -> None:
    """A page that is trusted more than it deserves."""
    assert re.search(r"(?i)never (been )?(run|rehearsed|ran)\b|was ever run", " ".join(path.read_text().split()))
