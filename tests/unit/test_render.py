"""`render` and `show`: what nodes are told, for people to look at."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

import cli.main
from cli.render import MARK, PLACEHOLDERS, bundles
from engine.stack_files import ROOT, stack_settings
from ops.problems import Stop

NODES = [
    "control-plane-1",
    "control-plane-2",
    "control-plane-3",
    "load-balancer-haproxy",
    "load-balancer-nginx",
    "worker",
]


def run(*arguments: str) -> str:
    """What a command prints; its problem, if it has one, is raised."""
    return CliRunner().invoke(cli.main.app, arguments, catch_exceptions=False, standalone_mode=False).stdout


def tree(folder: Path) -> dict[str, tuple[str, int]]:
    """Text and mode of every file below a folder."""
    return {
        str(path.relative_to(folder)): (path.read_text(), path.stat().st_mode & 0o777)
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_every_nodes_files_lie_as_on_the_node(tmp_path: Path) -> None:
    """Guards against a file that people look at and no node has, and one that nodes have and nobody sees."""
    out = tmp_path / "new" / "out"
    said = run("render", "--stack", "prod", "--out", str(out))
    content = bundles(stack_settings(ROOT, "prod"))
    expected = {
        f"{node}{path}": (file.text, int(file.mode, 8))
        for node, bundle in content.items()
        for path, file in bundle.files.items()
    }
    found = tree(out)
    manifests = {node: json.loads(found.pop(f"{node}/manifest.json")[0]) for node in NODES}
    assert found.pop(MARK)[0].splitlines() == NODES
    assert found == expected
    assert manifests == {node: bundle.manifest.model_dump(mode="json") for node, bundle in content.items()}
    assert said == f"{out}: {len(expected)} files of 6 nodes\n"
    # What only AWS knows looks like what it is.
    assert manifests["worker"]["mounts"][0]["source"] == PLACEHOLDERS.file_system_id == "fs-00000000000000000"


def test_what_it_wrote_is_replaced_and_nothing_else(tmp_path: Path) -> None:
    """Guards against files of last week among those of today, and against anybody's work deleted."""
    run("render", "--stack", "prod", "--out", str(tmp_path))
    stale, own = tmp_path / "worker/etc/stale", tmp_path / "notes"
    stale.write_text("of last week\n")
    own.write_text("mine\n")
    before = tree(tmp_path)
    run("render", "--stack", "prod", "--out", str(tmp_path))
    assert tree(tmp_path) == {path: file for path, file in before.items() if path != "worker/etc/stale"}
    # Both stacks: each has a folder of its own, and what was there of one is gone.
    run("render", "--out", str(tmp_path))
    assert {path.name for path in tmp_path.iterdir()} == {"prod", "dr", "notes", MARK}
    assert {path.name for path in (tmp_path / "dr").iterdir()} == set(NODES)


@pytest.mark.parametrize("marked", [True, False])
def test_a_folder_of_others_is_left_alone(marked: bool, tmp_path: Path) -> None:
    """Guards against `--out .`, and against a mark that lets it write over what came later."""
    theirs = tmp_path / "worker"
    theirs.mkdir()
    if marked:
        (tmp_path / MARK).write_text("dr\n")
    with pytest.raises(Stop, match="holds what this command did not write, like worker: give another folder"):
        run("render", "--stack", "prod", "--out", str(tmp_path))
    assert [path.name for path in tmp_path.iterdir() if path.name != MARK] == ["worker"]
    assert list(theirs.iterdir()) == []


def test_show_prints_the_file_that_was_meant() -> None:
    """Guards against the file of another node, stack or service, and a character more or less than it has."""
    files = bundles(stack_settings(ROOT, "dr"))["control-plane-1"].files
    meant = {
        "consul/server.hcl": "/etc/mlops-ha/consul/server.hcl",
        # One that other files end with as well, the whole path, and an ending that only one has.
        "pgbouncer/pgbouncer.ini": "/etc/mlops-ha/pgbouncer/pgbouncer.ini",
        "/etc/pgbouncer/pgbouncer.ini": "/etc/pgbouncer/pgbouncer.ini",
        "mlops-ha-nomad.service": "/etc/systemd/system/mlops-ha-nomad.service",
    }
    for asked, path in meant.items():
        assert run("show", "control-plane-1", asked, "--stack", "dr") == files[path].text, asked
    manifest = json.loads(run("show", "worker", "manifest.json", "--stack", "dr"))
    assert (manifest["node"], manifest["region"]) == ("worker", "us-west-2")


@pytest.mark.parametrize(
    ("node", "file", "problem", "listed"),
    [
        ("control-plane-4", "consul/server.hcl", "dr has no node control-plane-4", NODES),
        ("worker", "consul/server.hcl", "worker has no file consul/server.hcl", ["/etc/mlops-ha/consul/client.hcl"]),
        ("worker", "server.hcl", "worker has no file server.hcl", ["manifest.json"]),
        ("worker", "t.hcl", "worker has no file t.hcl", ["manifest.json"]),
        (
            "worker",
            "client.hcl",
            "worker has several files client.hcl",
            ["/etc/mlops-ha/consul/client.hcl", "/etc/mlops-ha/nomad/client.hcl"],
        ),
    ],
    ids=["node", "file", "of another role", "part of a name", "several"],
)
def test_what_is_not_there_is_told_with_what_there_is(node: str, file: str, problem: str, listed: list[str]) -> None:
    """Guards against a traceback, and against a guess at which of two files was meant."""
    with pytest.raises(Stop) as stopped:
        run("show", node, file, "--stack", "dr")
    first, *lines = str(stopped.value).splitlines()
    assert first == f"{problem}; there is:"
    assert set(listed) <= {line.strip() for line in lines}
    if "several" in problem:
        assert len(lines) == len(listed)
