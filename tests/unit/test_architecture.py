"""What may import what, and what no module may do while it is imported."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.stack_files import ROOT
from tests.parsing import parsed

PACKAGES = (
    "aws_rules",
    "bench",
    "boot_agent",
    "cli",
    "components",
    "configs",
    "engine",
    "gates",
    "jobs",
    "lab",
    "offline",
    "ops",
    "tests",
    "toolchain",
)
PROGRAM = "__main__"

ALLOWED = {
    PROGRAM: {"boot_agent", "components", "configs", "gates"},
    "aws_rules": {"aws_rules"},
    # It runs on a node, where nothing of the project is.
    "boot_agent": set[str](),
    "components": {"aws_rules", "components", "configs"},
    "configs": {"aws_rules", "configs"},
    "engine": {"configs", "engine"},
    "gates": {"configs", "gates"},
    # They run on workers, where nothing of the project is.
    "jobs": set[str](),
    "lab": {"aws_rules", "configs", "engine", "lab", "offline", "toolchain"},
    "offline": {"aws_rules", "configs", "engine", "offline", "toolchain"},
    "ops": {"aws_rules", "configs", "engine", "ops", "toolchain"},
    "toolchain": {"toolchain"},
    # Whatever they like: nothing depends on them.
    "bench": set(PACKAGES),
    "cli": set(PACKAGES) - {"bench", "jobs", "tests"},
    "tests": {*PACKAGES, PROGRAM},
}
"""Imports point one way: from the program down to pure functions, from the tools to what they work on."""


def sources(package: str) -> list[Path]:
    return [ROOT / "__main__.py"] if package == PROGRAM else sorted((ROOT / package).rglob("*.py"))


def imported(path: Path) -> Iterator[str]:
    """Yield the modules that a file imports anywhere, inside functions too."""
    for node in ast.walk(parsed(path)):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(level=0, module=str(module)):
                yield module
            case ast.ImportFrom():
                # Relative: whoever reads it has to count dots to see where it points.
                yield "a relative import"
            case _:
                pass


def at_import(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield what runs while a module is imported: everything but the bodies of functions."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            defaults = [*node.args.defaults, *(default for default in node.args.kw_defaults if default is not None)]
            decorators = [] if isinstance(node, ast.Lambda) else node.decorator_list
            for inner in (*defaults, *decorators):
                yield inner
                yield from at_import(inner)
        else:
            yield node
            yield from at_import(node)


def test_every_package_is_known() -> None:
    """A new package that no rule below looks at."""
    found = {path.parent.name for path in ROOT.glob("*/*.py") if not path.parent.name.startswith(".")}
    assert found <= set(PACKAGES)
    assert set(ALLOWED) == {*PACKAGES, PROGRAM}


@pytest.mark.parametrize("package", ALLOWED)
def test_imports_point_one_way(package: str) -> None:
    """A component that needs the test bed, or a table that needs the engine."""
    ours = {*PACKAGES, PROGRAM, "a relative import"}
    wrong = [
        f"{path.relative_to(ROOT)} imports {module}"
        for path in sources(package)
        for module in imported(path)
        if module.partition(".")[0] in ours - ALLOWED[package]
    ]
    assert wrong == []


def test_imports_are_seen() -> None:
    """A search that finds no import, and so proves nothing."""
    assert "components.platform" in set(imported(ROOT / "__main__.py"))
    assert "configs.tables.flows" in set(imported(ROOT / "components/security_groups.py"))


def test_program_is_short() -> None:
    """A program that no longer reads like the diagram."""
    assert len((ROOT / "__main__.py").read_text().splitlines()) < 40


FORBIDDEN_AT_IMPORT = {
    # The second program in one process would get the first one's stack.
    *("Config", "get_organization", "get_project", "get_stack"),
    # A client of botocore or boto3 reads the machine's credentials and configuration.
    *("Session", "client", "create_client", "get_session", "resource"),
}


def called(node: ast.AST) -> str | None:
    """Return the last name of what a call calls: `get_stack` of `pulumi.get_stack()`."""
    match node:
        case ast.Call(func=ast.Attribute(attr=name) | ast.Name(id=name)):
            return name
        case _:
            return None


@pytest.mark.parametrize("package", ["components", "configs", "gates"])
def test_nothing_is_asked_at_import(package: str) -> None:
    """A module that remembers another run's stack, or that cannot be imported without an account."""
    asked = [
        f"{path.relative_to(ROOT)}: {ast.unparse(node)}"
        for path in sources(package)
        for node in at_import(parsed(path))
        if called(node) in FORBIDDEN_AT_IMPORT
    ]
    assert asked == []


@pytest.mark.parametrize(
    ("line", "seen"),
    [
        ("stack = pulumi.get_stack()", True),
        ("class A:\n    config = pulumi.Config('mlops-ha')", True),
        ("def f(session=botocore.session.get_session()): ...", True),
        ("@hook(pulumi.Config())\ndef f(): ...", True),
        ("if True:\n    client = session.create_client('route53')", True),
        ("def f():\n    return pulumi.get_stack()", False),
        ("f = lambda: pulumi.get_stack()", False),
        ("model = WaiterModel({})", False),
    ],
)
def test_what_runs_at_import_is_seen(line: str, seen: bool) -> None:
    """A search for calls at import that overlooks them, or takes the body of a function for one."""
    assert any(called(node) in FORBIDDEN_AT_IMPORT for node in at_import(parsed(line))) is seen


# Folders of people and of machines that files are written on, and what lies beside the checkout.
ELSEWHERE = re.compile(r"(?<![\w.~}-])/(?:root|home|Users|work)/|\.\./(?:shared|DESIGN)")


def test_no_file_names_a_place_outside() -> None:
    """A file that works, or makes sense, on one machine only."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    files = [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]
    assert ROOT / "__main__.py" in files
    named = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}"
        for path in files
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), start=1)
        if ELSEWHERE.search(line)
    ]
    assert named == []
