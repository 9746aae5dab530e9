"""How a machine gets what the project needs, run for real on a small project with packages of its own."""

import ast
import dataclasses
import hashlib
import os
import runpy
import shutil
import signal
import socket
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from configs.tables.versions import VERSIONS, Software
from toolchain import environment, packages, setup, tools
from toolchain.commands import locked
from toolchain.packages import Package

CHECKOUT = Path(setup.__file__).parents[1]
PULUMI = tools.TOOLS["pulumi"]
ACTIONLINT = tools.TOOLS["actionlint"]
DEVELOPMENT = [name for name, tool in tools.TOOLS.items() if tool.development]
MAJOR, MINOR, PATCH = map(int, PULUMI.version.split("."))

# Makes the editable install: it hands out a wheel that is ready.
BACKEND = """
import shutil

def build_editable(directory, config_settings=None, metadata_directory=None):
    return shutil.copy("wheels/project-1.0-py3-none-any.whl", directory).rsplit("/", 1)[1]
"""
PYPROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
"""
# Answers what setup asks Go; "builds" a program that knows the version it is linked with, or its own as those do that
# are linked with none. It notes every build.
GO = """
import pathlib, sys
if sys.argv[1] == "env":
    print({version!r}, {toolchain!r}, sep="\\n")
    sys.exit()
with pathlib.Path(__file__).with_name("builds").open("a") as builds:
    builds.write("build\\n")
if {failure!r}:
    sys.exit({failure!r})
def argument(flag):
    return sys.argv[sys.argv.index(flag) + 1]
program = pathlib.Path(argument("-o"))
linked = {linked!r} or argument("-ldflags").partition("=")[2] or {own!r}[program.stem]
program.write_text("#!" + sys.executable + "\\nprint('v" + linked + "')")
program.chmod(0o755)
"""


# Notes what it is asked for.
APT_GET = """
import os, pathlib, sys
here, action = pathlib.Path(__file__).parent, sys.argv[3]
with (here / "asked").open("a") as asked:
    print(*sys.argv[3:], *map(os.environ.get, ("SYSTEMD_OFFLINE", "DEBIAN_FRONTEND")), file=asked)
{source}
"""
INSTALL = "apt-get install -y --no-install-recommends made-up"


@dataclass
class Machine:
    """A folder that stands for a machine: a checkout, programs on PATH, a home, a package index in a folder."""

    root: Path
    variables: dict[str, str] = field(default_factory=dict[str, str])

    def __post_init__(self) -> None:
        for folder in ("bin", "home", "checkout/wheels"):
            (self.root / folder).mkdir(parents=True)
        shutil.copytree(
            CHECKOUT / "toolchain", self.checkout / "toolchain", ignore=shutil.ignore_patterns("__pycache__")
        )
        (self.checkout / "backend.py").write_text(BACKEND)
        (self.checkout / "pyproject.toml").write_text(PYPROJECT)
        self.wheel("project")
        dependency = self.wheel("dependency")
        (self.checkout / "requirements.txt").write_text(dependency)
        (self.checkout / "requirements-dev.txt").write_text(dependency + self.wheel("linter"))

    @property
    def checkout(self) -> Path:
        return self.root / "checkout"

    @property
    def python(self) -> Path:
        return self.checkout / ".venv" / "bin" / "python"

    def wheel(self, name: str) -> str:
        """Put a package into the index; return its line in a requirements file."""
        path = self.checkout / "wheels" / f"{name}-1.0-py3-none-any.whl"
        information = f"{name}-1.0.dist-info"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(f"{name}.py", "")
            archive.writestr(f"{information}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
            archive.writestr(f"{information}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            archive.writestr(f"{information}/RECORD", f"{name}.py,,\n{information}/RECORD,,\n")
        return f"{name}==1.0 --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"

    def program(self, name: str, source: str) -> Path:
        """Put a Python program on PATH."""
        path = self.root / "bin" / name
        path.write_text(f"#!{sys.executable}\n{source}")
        path.chmod(0o755)
        return path

    def pulumi(self, version: str) -> Path:
        return self.program("pulumi", f"print({version!r})")

    def go(self, version: str = "go9.0.0", *, toolchain: str = "local", failure: str = "", linked: str = "") -> None:
        own = {name: tool.version for name, tool in tools.TOOLS.items() if "{version}" not in tool.ldflags}
        self.program("go", GO.format(version=version, toolchain=toolchain, failure=failure, linked=linked, own=own))

    def package(self, *programs: str, service: str | None = None) -> None:
        """Let the tests need one package, or with no programs none, instead of what the machine has or lacks."""
        lines = f"\nPACKAGES = tuple(Package('made-up', {programs!r}, None, {service!r}) for _ in {programs[:1]!r})\n"
        with (self.checkout / "toolchain" / "packages.py").open("a") as module:
            module.write(lines)

    def apt(self, source: str) -> Path:
        """Put an apt-get on PATH; return where it notes what it was called for, and to start what."""
        self.program("apt-get", APT_GET.format(source=source))
        return self.root / "bin" / "asked"

    @property
    def builds(self) -> int:
        notes = self.root / "bin" / "builds"
        return len(notes.read_text().splitlines()) if notes.exists() else 0

    def environment(self, variables: Mapping[str, str]) -> dict[str, str]:
        """The whole environment of a setup: nothing of the machine that runs the tests."""
        return {
            "PATH": str(self.root / "bin"),
            "HOME": str(self.root / "home"),
            "XDG_CACHE_HOME": str(self.root / "cache"),
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_RETRIES": "1",  # of the five that pip makes by default, with growing pauses
            **(variables or {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(self.checkout / "wheels")}),
        }

    def start(self, *options: str, **variables: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, str(self.checkout / "toolchain" / "setup.py"), *options],
            env=self.environment(variables),
            stderr=subprocess.PIPE,
            text=True,
        )

    def set_up(self, *options: str, **variables: str) -> tuple[int, str]:
        """Run setup to its end; return its status and what it said."""
        with self.start(*options, **variables) as process:
            said = process.communicate(timeout=60)[1]
        return process.returncode, said

    def has(self, module: str) -> bool:
        return subprocess.run([self.python, "-c", f"import {module}"], capture_output=True).returncode == 0


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.fixture
def here(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """`machine`, whose PATH and cache this process uses too."""
    for name, value in machine.environment({}).items():
        monkeypatch.setenv(name, value)
    return machine


def test_without_go_and_engine(machine: Machine) -> None:
    """Guards against minutes of setting up, or a traceback, before it is said that Go is missing."""
    assert machine.set_up() == (
        1,
        f"setup: pulumi {PULUMI.version} or newer (below {MAJOR + 1}.0) is not on PATH, and without Go it cannot be"
        f" built: install Go {PULUMI.go_version} or newer, or pulumi {PULUMI.version} or newer (below {MAJOR + 1}.0),"
        " then run again.\n",
    )
    assert not (machine.checkout / ".venv").exists()


@pytest.mark.parametrize(("version", "toolchain"), [("go1.24.9", "local"), ("go1.20.14", "")])
def test_go_too_old(machine: Machine, version: str, toolchain: str) -> None:
    """Guards against a build that fails minutes later, in Go's words: 1.20 knows no GOTOOLCHAIN."""
    machine.go(version, toolchain=toolchain)
    status, said = machine.set_up()
    assert status == 1
    assert len(said.splitlines()) == 1
    assert f"{version} is too old to build it: install Go {PULUMI.go_version} or newer" in said


@pytest.mark.parametrize(
    "answer",
    ["", "unknown", f"v{MAJOR}.{MINOR - 1}.99", f"{MAJOR + 1}.0.0", f"v{MAJOR - 1}.{MINOR}.{PATCH}"],
)
def test_unfit_engine_on_path_is_not_used(here: Machine, answer: str) -> None:
    """Guards against an engine that the SDK refuses: older, of another major version, or without a version."""
    here.pulumi(answer)
    with pytest.raises(tools.ToolMissing, match="run `make setup`"):
        tools.find("pulumi")


def test_engine_on_path_that_does_not_run_is_not_used(here: Machine) -> None:
    """Guards against a traceback when PATH has an engine for another processor, or a broken one."""
    here.pulumi("").write_bytes(b"\x7fELF")
    with pytest.raises(tools.ToolMissing):
        tools.find("pulumi")
    here.program("pulumi", "raise SystemExit('v9999.0.0')")
    with pytest.raises(tools.ToolMissing):
        tools.find("pulumi")


@pytest.mark.parametrize(
    "answer", [f"v{PULUMI.version}", f"{MAJOR}.{MINOR}.{PATCH + 1}", f"v{MAJOR}.{MINOR + 100}.0-alpha.1"]
)
def test_recent_engine_on_path_is_used(here: Machine, answer: str) -> None:
    """Guards against asking for Go, and minutes of building, where a recent engine is installed."""
    assert here.pulumi(answer) == tools.find("pulumi")


def test_engine_is_built_once(here: Machine) -> None:
    """Guards against a build at every run, and against a Go that is asked for after the build."""
    here.go()
    built = tools.ensure("pulumi")
    assert built.is_relative_to(here.root / "cache" / "mlops-ha")
    assert tools.ensure("pulumi") == tools.find("pulumi") == built
    assert here.builds == 1
    (here.root / "bin" / "go").unlink()
    assert tools.ensure("pulumi") == built


def test_go_that_may_fetch_a_newer_go_builds(here: Machine) -> None:
    """Guards against sending away an engineer whose Go gets the toolchain it needs by itself."""
    here.go("go1.21.0", toolchain="auto")
    assert tools.ensure("pulumi").exists()


@pytest.mark.parametrize("content", ["go.mod", "go.sum"])
def test_engine_is_rebuilt_for_another_version(here: Machine, content: str) -> None:
    """Guards against an engine that stays old after an upgrade of its module."""
    here.go()
    copied = here.checkout / "toolchain" / "pulumi"
    (copied / content).write_text((copied / content).read_text() + "\n")
    changed = dataclasses.replace(PULUMI, folder=str(copied))
    assert changed.built != PULUMI.built


@pytest.mark.parametrize(
    ("failure", "explanation"),
    [
        (
            'go: a@v1: Get "b": dial tcp 127.0.0.1:9: connect: connection refused',
            "no package registry answers: check the network",
        ),
        ("go: a@v1: module lookup disabled by GOPROXY=off", "no package registry answers: check the network"),
        ("write c: no space left on device", "the disk is full: free some space"),
        ("d.go:1:1: syntax error", "go build -v` failed: correct what it says"),
    ],
)
def test_failed_build_leaves_nothing_and_is_explained(here: Machine, failure: str, explanation: str) -> None:
    """Guards against a traceback, and against a failed build that the next run takes for a whole one."""
    here.go(failure=failure)
    with pytest.raises(tools.SetupError) as caught:
        tools.ensure("pulumi")
    assert explanation in str(caught.value)
    assert str(caught.value).endswith(f"then run again. It said: {failure}")
    assert not PULUMI.built.exists()
    here.go()
    assert tools.ensure("pulumi") == PULUMI.built


def test_build_without_its_version_is_refused(here: Machine) -> None:
    """Guards against linker flags that miss: the Automation API refuses an engine without a version."""
    here.go(linked="(devel)")
    with pytest.raises(tools.SetupError, match="was built but is not pulumi"):
        tools.ensure("pulumi")
    assert not PULUMI.built.exists()


def test_two_setups_wait_for_each_other(machine: Machine) -> None:
    """Guards against two terminals that make one virtual environment at the same time."""
    with locked(machine.checkout):
        waiting = machine.start()
        assert waiting.stderr
        assert waiting.stderr.readline() == (
            f"setup: another setup is at work in {machine.checkout}, waiting for it\n"
        )
    with waiting:
        assert "Go" in waiting.communicate(timeout=60)[1]


def test_engine_that_another_checkout_has_just_built_is_used(here: Machine) -> None:
    """Guards against building for minutes what another checkout finished while this one waited for it."""
    here.go()
    PULUMI.built.parent.mkdir(parents=True)
    with locked(PULUMI.built.parent):
        waiting = subprocess.Popen(
            [sys.executable, "-c", "from toolchain.tools import ensure; ensure('pulumi')"],
            cwd=CHECKOUT,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert waiting.stderr
        assert "another setup is at work" in waiting.stderr.readline()
        PULUMI.built.touch()
    with waiting:
        assert waiting.wait(60) == 0
    assert here.builds == 0


def test_no_registry(machine: Machine) -> None:
    """Guards against a page of pip's retries where one line should say that the network is missing."""
    machine.pulumi(f"v{PULUMI.version}")
    with socket.create_server(("127.0.0.1", 0)) as server:
        closed = server.getsockname()[1]
    status, said = machine.set_up(PIP_INDEX_URL=f"http://127.0.0.1:{closed}/simple")
    assert status == 1
    assert said.splitlines()[-1] == (
        "setup: requirements.txt: no package registry answers: check the network and the registries configured for"
        " pip and Go, then run again. It said: ERROR: No matching distribution found for dependency==1.0"
    )
    assert "Traceback" not in said


def test_killed_setup_is_repaired(machine: Machine) -> None:
    """Guards against a package that pip was killed in and takes for an installed one ever after."""
    machine.pulumi(f"v{PULUMI.version}")
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(60)
        setup_process = machine.start(PIP_INDEX_URL=f"http://127.0.0.1:{server.getsockname()[1]}/simple")
        connection, _ = server.accept()  # pip waits for an answer now
        setup_process.kill()
        half_made = machine.checkout / ".venv" / "half-made"
        half_made.touch()
        connection.close()
    with setup_process:
        assert setup_process.wait(60) == -signal.SIGKILL
    assert machine.set_up()[0] == 0
    assert not half_made.exists()
    assert machine.has("dependency")


def test_environment_is_made_once_and_updated_in_place(machine: Machine) -> None:
    """Guards against minutes at every run: pip is not even started when nothing has changed."""
    machine.pulumi(f"v{PULUMI.version}")
    status, said = machine.set_up()
    assert status == 0
    assert said.startswith("Setting up, once: the virtual environment (")
    assert PULUMI.cost not in said
    pip = next(machine.checkout.glob(".venv/lib/python*/site-packages/pip"))
    pip.rename(pip.with_name("away"))
    assert machine.set_up() == (0, "")
    pip.with_name("away").rename(pip)

    kept = machine.checkout / ".venv" / "kept"
    kept.touch()
    assert not machine.has("linter")
    machine.package()
    for name in DEVELOPMENT:
        machine.program(name, f"print({tools.TOOLS[name].version!r})")
    assert machine.set_up("--dev")[0] == 0
    assert machine.has("linter")
    assert machine.set_up() == (0, ""), "what needs less takes nothing away"
    (machine.checkout / "requirements-dev.txt").write_text(machine.wheel("other"))
    assert machine.set_up()[0] == 0
    assert machine.has("other")
    assert kept.exists()

    moved = machine.checkout.rename(machine.root / "moved")
    assert not environment.is_ready(moved, dev=False), "its scripts name a folder that is gone"
    moved.rename(machine.checkout)

    requirements = machine.checkout / "requirements-dev.txt"
    former = requirements.read_text()
    requirements.write_text(former.replace("other", "missing"))
    assert machine.set_up()[0] == 1
    requirements.write_text(former)
    assert not environment.is_ready(machine.checkout, dev=True), "nobody knows what the failed update left"


def test_what_only_the_tests_need_is_built_for_them_alone(machine: Machine) -> None:
    """Guards against a `make preview` that asks for Go, or builds for a minute, for what it does not use."""
    machine.pulumi(f"v{PULUMI.version}")
    assert machine.set_up()[0] == 0
    assert machine.builds == 0
    machine.package()
    machine.go()
    status, said = machine.set_up("--dev")
    assert status == 0
    assert f"actionlint ({ACTIONLINT.cost}); consul (" in said
    assert machine.builds == len(DEVELOPMENT)
    assert machine.set_up("--dev") == (0, "")


def test_each_program_is_asked_for_its_version_in_its_own_way(here: Machine) -> None:
    """Guards against a program that is never found: actionlint takes the word `version` for the name of a file."""
    here.program("actionlint", f"import sys; print({ACTIONLINT.version!r} if sys.argv[1:] == ['-version'] else '')")
    assert tools.find("actionlint") == here.root / "bin" / "actionlint"
    here.program("pulumi", f"import sys; print({PULUMI.version!r} if sys.argv[1:] == ['version'] else '')")
    assert tools.find("pulumi") == here.root / "bin" / "pulumi"


def test_what_stands_for_the_deployed_program_is_that_version(here: Machine) -> None:
    """Guards against tests of a newer Prometheus than is deployed, and of 3.9.1 whose module is 0.309.1."""
    prometheus = tools.TOOLS["prometheus"]
    assert prometheus.version == "3.9.1"
    told = "prometheus, version {} (branch: , revision: unknown)"
    for other in ("3.9.2", "3.10.0", "0.309.1"):
        here.program("prometheus", f"print({told.format(other)!r})")
        with pytest.raises(tools.ToolMissing, match=r"^prometheus 3\.9\.1 is neither on PATH nor built"):
            tools.find("prometheus")
    # Kingpin's programs tell their version on either stream.
    here.program("prometheus", f"import sys; sys.stderr.write({told.format('3.9.1')!r})")
    assert tools.find("prometheus") == here.root / "bin" / "prometheus"
    with pytest.raises(ValueError, match="no module of Prometheus 3"):
        prometheus.released_as("0.55.1")


DEPLOYED = {
    Software.CONSUL: ["consul"],
    Software.NOMAD: ["nomad"],
    Software.NOMAD_AUTOSCALER: ["nomad-autoscaler"],
    Software.PROMETHEUS: ["prometheus", "promtool"],
    Software.ALERTMANAGER: ["alertmanager", "amtool"],
    Software.PUSHGATEWAY: ["pushgateway"],
    Software.NODE_EXPORTER: ["node_exporter"],
    Software.POSTGRES_EXPORTER: ["postgres_exporter"],
}


def test_what_is_tested_is_what_is_deployed() -> None:
    """Guards against a version raised for the nodes alone, or for the tests alone."""
    for software, names in DEPLOYED.items():
        assert {name: tools.TOOLS[name].version for name in names} == dict.fromkeys(names, VERSIONS[software].version)
        assert VERSIONS[software].remark == ""
    named = {name for names in DEPLOYED.values() for name in names}
    assert {name for name, tool in tools.TOOLS.items() if tool.exactly} == named
    elsewhere = [software for software in VERSIONS if software not in DEPLOYED]
    assert [software for software in elsewhere if not VERSIONS[software].remark] == []


def test_programs_of_one_module_are_built_apart(here: Machine) -> None:
    """Guards against one program in another's place, where one go.mod builds several, and an old version kept."""
    here.go()
    alertmanager, amtool = (tools.TOOLS[name] for name in ("alertmanager", "amtool"))
    assert alertmanager.module == amtool.module
    assert tools.ensure("alertmanager") != tools.ensure("amtool")
    assert here.builds == 2
    assert dataclasses.replace(amtool, name="alertmanager").built != alertmanager.built
    renumbered = dataclasses.replace(alertmanager, released_as="1{}".format)
    assert renumbered.built != alertmanager.built


def test_missing_packages_are_installed_and_nothing_is_started(machine: Machine) -> None:
    """Guards against a test that finds no haproxy, and against a haproxy that serves on an engineer's machine."""
    machine.pulumi(f"v{PULUMI.version}")
    for name in DEVELOPMENT:
        machine.program(name, f"print({tools.TOOLS[name].version!r})")
    machine.package("made-up-program", service="made-up.service")
    status, said = machine.set_up("--dev")
    assert (status, said) == (
        1,
        "setup: the tests need made-up-program (of Debian 12's made-up): install them by this system's own means,"
        " then run again.\n",
    )

    # The first installation fails, as the lists are old; then there is something to find.
    asked = machine.apt(
        "if action == 'update': (here / 'lists').touch()\n"
        "elif not (here / 'lists').exists(): sys.exit('E: Unable to locate package made-up')\n"
        "else: (here / 'made-up-program').touch(0o755)"
    )
    machine.program("systemctl", APT_GET.format(source="sys.exit(sys.argv[1] == 'is-enabled')").replace("[3", "[1"))
    # Whoever runs the tests may install here.
    with (machine.checkout / "toolchain" / "packages.py").open("a") as module:
        module.write("\nos.geteuid = lambda: 0\n")
    status, said = machine.set_up("--dev")
    assert status == 0, said
    assert f"; the packages made-up ({packages.COST}).\n" in said
    assert asked.read_text().splitlines() == [
        "is-enabled made-up.service None None",
        "install -y --no-install-recommends made-up 1 noninteractive",
        "update --option APT::Update::Error-Mode=any 1 noninteractive",
        "install -y --no-install-recommends made-up 1 noninteractive",
        "disable made-up.service 1 noninteractive",
    ]
    assert machine.set_up("--dev") == (0, "")
    (machine.root / "bin" / "made-up-program").unlink()
    assert machine.set_up() == (0, ""), "only the tests need it"
    assert machine.set_up("--dev", "--environment-only") == (0, ""), "nor do the linters"


@pytest.fixture
def made_up(monkeypatch: pytest.MonkeyPatch) -> Package:
    """The one package that the tests need, and that is not there."""
    package = Package("made-up", ("made-up-program",), service="made-up.service")
    monkeypatch.setattr(packages, "PACKAGES", (package,))
    return package


def test_who_may_not_install_packages_is_told_the_command(
    here: Machine, made_up: Package, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guards against apt-get's own page about a lock that a user may not open, and a test skipped in silence."""
    here.apt("")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(tools.SetupError) as caught:
        packages.require_installer([made_up])
    assert str(caught.value) == f"the tests need made-up-program: run `sudo {INSTALL}`, then run again."
    with pytest.raises(tools.SetupError, match="made-up-program is not there: run `make setup-dev`"):
        packages.find("made-up-program")


def test_a_failed_installation_is_told(here: Machine, made_up: Package) -> None:
    """Guards against a setup that ends well without what it was to bring, and one that disables others' services."""
    here.program("systemctl", "print('enabled')")
    asked = here.apt("if action != 'update': sys.exit('E: Unable to locate package made-up')")
    with pytest.raises(tools.SetupError, match=r"then run again\. It said: E: Unable to locate package made-up$"):
        packages.install([made_up])
    assert len(asked.read_text().splitlines()) == 3
    asked = here.apt("")
    with pytest.raises(tools.SetupError, match="were installed, but made-up-program did not come"):
        packages.install([made_up])
    here.apt("(here / 'made-up-program').touch(0o755)")
    here.program("systemctl", "import sys; sys.exit(sys.argv[1] != 'is-enabled')")
    packages.install([made_up])
    assert packages.missing() == []
    assert packages.find("made-up-program") == here.root / "bin" / "made-up-program"


def test_python_39_is_one_that_runs(here: Machine) -> None:
    """Guards against pyenv's program of that name, which is on PATH and runs nothing, and against another Python."""
    assert packages.python39() is None
    here.program("python3.9", "raise SystemExit('python3.9: command not found')")
    other = here.root / "home" / ".pyenv" / "versions" / "3.9.17" / "bin" / "python3.9"
    found = here.root / "home" / ".pyenv" / "versions" / "3.9.18" / "bin" / "python3.9"
    for path, version in ((other, (3, 8, 1)), (found, (3, 9, 18))):
        path.parent.mkdir(parents=True)
        path.write_text(f"#!{sys.executable}\nimport sys\nsys.version_info = {version}\nexec(sys.argv[2])\n")
        path.chmod(0o755)
    assert packages.python39() == found


@pytest.mark.usefixtures("here")
def test_who_lacks_a_program_of_the_tests_is_told_how_to_get_it() -> None:
    """Guards against advice that does not help: `make setup` leaves out what only the tests need."""
    with pytest.raises(tools.ToolMissing, match="run `make setup-dev`"):
        tools.find("actionlint")


def test_python_requirement_is_the_projects() -> None:
    """Guards against setup and package that ask for different Pythons."""
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    assert project["requires-python"] == ">={}.{}".format(*setup.MINIMUM_PYTHON)


def test_python_without_virtual_environments(monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against a venv that fails half-way on Debian, whose Python has no ensurepip until it is installed."""
    environment.require_venv()
    monkeypatch.setitem(sys.modules, "ensurepip", None)
    with pytest.raises(tools.SetupError, match="install the system package python3-venv"):
        environment.require_venv()


def test_a_link_to_another_checkouts_environment_is_refused(tmp_path: Path) -> None:
    """An environment made anew under the feet of the checkout that it belongs to."""
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    for folder in (theirs, ours):
        folder.mkdir()
        for name in ("requirements.txt", "pyproject.toml"):
            (folder / name).touch()
    (theirs / "kept").touch()
    (ours / ".venv").symlink_to(theirs)
    with pytest.raises(tools.SetupError, match=r"\.venv is a link to .*theirs"):
        environment.install(ours, dev=False)
    assert (theirs / "kept").exists()


def test_old_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against a syntax error or a traceback where one line should say that Python is too old."""
    script = Path(setup.__file__)
    ast.parse(script.read_text(), feature_version=(3, 6))
    monkeypatch.setattr(sys, "version_info", (3, 9, 2))
    with pytest.raises(SystemExit) as stopped:
        runpy.run_path(str(script), run_name="__main__")
    assert stopped.value.code == (
        f"setup: Python 3.11 or newer is needed, but {sys.executable} is 3.9:"
        " install it, then run again with PYTHON=python3.11."
    )
