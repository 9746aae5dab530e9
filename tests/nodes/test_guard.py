"""No file of a node that nothing has read, and no secret in what is no secret file."""

import importlib
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

import pytest

from lab.tree import entries
from tests.nodes.world import NODES, STACKS, bundle_of, documents_of

FOLDER = Path(__file__).parent


@cache
def validators() -> tuple[tuple[str, str], ...]:
    """Return which test module reads which files: module and pattern, in which a star stands for anything."""
    found: list[tuple[str, str]] = []
    for path in sorted(FOLDER.glob("test_*.py")):
        module = importlib.import_module(f"{__package__}.{path.stem}")
        found += [(path.stem, pattern) for pattern in getattr(module, "VALIDATED", ())]
    return tuple(found)


def readers(path: str) -> set[str]:
    return {module for module, pattern in validators() if fnmatchcase(path, pattern)}


@pytest.mark.parametrize(("stack", "node"), NODES)
def test_every_file_is_read_by_one_validator(stack: str, node: str) -> None:
    """Guards against a new file that no program ever read before it is deployed."""
    files = bundle_of(stack, node).files
    assert len(files) > 2
    found = {path: sorted(readers(path)) for path in files}
    assert {path: modules for path, modules in found.items() if len(modules) != 1} == {}


def test_every_pattern_finds_something() -> None:
    """Guards against a validator of files that have moved on."""
    paths = {path for stack, node in NODES for path in bundle_of(stack, node).files}
    used = {row for row in validators() if any(fnmatchcase(path, row[1]) for path in paths)}
    assert set(validators()) - used == set()


def secret_lines(stack: str) -> set[str]:
    """Every line that only secrets have: values, and what is between the first and last line of a key."""
    documents = documents_of(stack).values()
    lines = {line for document in documents for value in document.values() for line in value.splitlines()}
    # Of a certificate or a key the first line is in others too, and the last may be a few characters.
    return {line for line in lines if len(line) >= 32 and not line.startswith("-----")}


@pytest.mark.parametrize("stack", STACKS)
def test_secrets_are_in_files_of_their_own(stack: str) -> None:
    """Guards against a password or a key in S3, in a unit, on a command line, or in a file that others may read."""
    lines = secret_lines(stack)
    # Eight tokens, two keys, seven passwords, and the lines of certificates and keys.
    assert len(lines) > 17
    for of, node in NODES:
        if of == stack:
            bundle = bundle_of(stack, node)
            everything = entries(bundle, documents_of(stack), {})
            holding = [entry for entry in everything if entry.text and any(line in entry.text for line in lines)]
            assert {entry.path for entry in holding} <= {
                file.path for secret in bundle.manifest.secrets for file in secret.files
            }
            assert {entry.mode for entry in holding} == {"0400"}
            assert [line for line in lines if line in bundle.manifest.model_dump_json()] == []
