"""Units as the lab reads them: what systemd would take, and nothing else."""

from __future__ import annotations

import pytest

from configs.user_data import UNIT
from lab.machine.units import Command, UnitProblem, filled, read_unit, seconds
from tests.nodes.world import NODES, bundle_of


@pytest.mark.parametrize(("stack", "node"), NODES, ids=["-".join(one) for one in NODES])
def test_every_unit_of_every_node_is_read(stack: str, node: str) -> None:
    """A unit with a line that the lab would pass over: what it is for would not be tested."""
    files = bundle_of(stack, node).files
    units = {path: file.text for path, file in files.items() if path.endswith(".service")}
    assert units
    for path, text in units.items():
        assert read_unit(path, text).start.words, path


def test_the_agents_unit_is_read() -> None:
    """An agent that is not fetched, or not started again."""
    unit = read_unit("agent.service", UNIT)
    assert (unit.restart, unit.wanted, unit.state_directories) == ("always", True, ("mlops-ha",))
    assert [command.lenient for command in unit.before] == [True]
    assert filled(unit.before[0], {"BUNDLES_BUCKET": "b"})[4].startswith("s3://b/")


def test_words_are_split_as_systemd_does() -> None:
    """An argument that a service gets otherwise than on a node."""
    text = 'ExecStart=-/bin/a "b c" \'d"e\' f\\\\g %%h $$i ${J}k ${L} $M $N x$O \\\n# no\n  "z"\n'
    unit = read_unit("u", f"[Service]\n{text}")
    assert unit.start.lenient
    given = {"J": "1 2", "M": "3 4"}
    assert filled(unit.start, given) == ["/bin/a", "b c", 'd"e', "f\\g", "%h", "$i", "1 2k", "", "3", "4", "x$O", "z"]
    assert filled(Command(("/bin/a", "${J}"), lenient=False), given) == ["/bin/a", "1 2"]


def test_an_empty_value_takes_back_what_was_there() -> None:
    """A list that keeps what a later line emptied."""
    unit = read_unit("u", "[Service]\nExecStart=/bin/a\nExecStart=\nExecStart=/bin/b\nCapabilityBoundingSet=\n")
    assert unit.start.words == ("/bin/b",)
    assert unit.bounding == ()


@pytest.mark.parametrize(
    "line",
    [
        "Nonsense=1",
        "ExecStart=/bin/a %i",
        'ExecStart=/bin/a "b',
        "ExecStart=a",
        "ExecStart=/bin/a \\x41",
        "Type=notify",
        "KillMode=none",
        "Restart=sometimes",
        "Environment=A",
        "RestartSec=1 moment",
    ],
)
def test_what_is_not_known_is_refused(line: str) -> None:
    """A line that has no effect here and one on a node."""
    with pytest.raises(UnitProblem):
        read_unit("u", f"[Service]\n{'' if line.startswith('Exec') else 'ExecStart=/bin/a'}\n{line}\n")


def test_spans_of_time() -> None:
    """A minute that is taken for a second."""
    assert [seconds(text) for text in ("5", "5min", "1min 30s", "500ms", "infinity")] == [
        5,
        300,
        90,
        0.5,
        float("inf"),
    ]
