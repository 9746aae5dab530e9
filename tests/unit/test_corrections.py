"""The list of corrections and the rendered files: neither goes on without the other."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from engine.stack_files import ROOT
from tests.nodes.world import NODES, bundle_of, settings_of

COLUMNS = ["where", "the document says", "rendered", "why", "checked"]
LIST = (ROOT / "docs/corrections.md").read_text()


@dataclass(frozen=True)
class Correction:
    """A row: in which files, what it says in all, and what they have and lack."""

    files: tuple[str, ...]
    text: str
    checked: str

    @property
    def checks(self) -> list[tuple[str, str]]:
        return re.findall(r"(has|lacks) `([^`]+)`", self.checked)


def rows() -> Iterator[Correction]:
    """Yield the rows of every table; the heads and the lines below them are left out."""
    for line in LIST.splitlines():
        if line.startswith("| ") and not line.startswith("| where "):
            cells = [cell.strip() for cell in line.strip("|").split(" | ")]
            assert len(cells) == len(COLUMNS), line
            where, *_, checked = cells
            files = re.findall(r"`([\w./-]+\.\w+)`", where)
            yield Correction(tuple(name for name in files if "consul_sd" not in name), line, checked)


CORRECTIONS = tuple(rows())


def named(file: str) -> list[tuple[str, str]]:
    """Every file of that name in regions that serve, where nothing is left out: of which node, and its text."""
    return [
        (f"{stack} {node} {path}", content.text)
        for stack, node in NODES
        if settings_of(stack).serves
        for path, content in bundle_of(stack, node).files.items()
        if path.endswith(f"/{file}")
    ]


@pytest.mark.parametrize("row", CORRECTIONS, ids=lambda row: f"{row.files[0]} {row.checked[:40]}")
def test_what_is_listed_is_so(row: Correction) -> None:
    """Guards against a correction that was taken back, or that the list tells wrong."""
    assert row.checks, row.text
    # Nothing in the last column that is not looked at.
    assert ", ".join(f"{kind} `{text}`" for kind, text in row.checks) == row.checked
    for file in row.files:
        found = named(file)
        assert found, file
        for place, text in found:
            for kind, wanted in row.checks:
                assert (wanted in text) is (kind == "has"), f"{place}: {kind} {wanted}"


def test_the_list_is_read() -> None:
    """Guards against a table in another form, which would be passed over."""
    heads = [line for line in LIST.splitlines() if line.startswith("| where")]
    assert heads == [f"| {' | '.join(COLUMNS)} |"] * 7
    assert len(CORRECTIONS) > 60
    assert len({row.text for row in CORRECTIONS}) == len(CORRECTIONS)
    assert all(row.files for row in CORRECTIONS)
