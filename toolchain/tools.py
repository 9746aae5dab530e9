"""Programs the project runs: taken from PATH when recent enough, otherwise built once from a Go module.

The go.mod in the tool's folder is the one truth about its version. A built program lies in a cache outside
the checkout, so that a fresh clone does not build it again.
"""

import hashlib
import os
import platform
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from toolchain.commands import CommandFailed, SetupError, answer, locked, watch

Version = tuple[int, ...]


class ToolMissing(SetupError):
    """A program is neither on PATH, recent enough, nor built; the message says what to do."""


@dataclass(frozen=True)
class Tool:
    """A program that can be built from a Go module."""

    name: str
    """The name of the program on PATH."""
    folder: str
    """The module's folder, relative to this file's."""
    package: str
    """The package to build: below one of the modules that go.mod requires."""
    ldflags: str
    """The linker's flags; `{version}` stands for the program's version, without a v."""
    cost: str
    """How many minutes a build takes and how much disk, measured with empty caches."""
    version_argument: str = "version"
    """What the program is asked for its version with."""
    development: bool = False
    """Whether only the tests need it."""
    exactly: bool = False
    """Whether no other version on PATH will do: the tests run it as what is deployed."""
    released_as: Callable[[str], str] = str
    """What the publisher calls the program, given the version of its module: most number both alike."""

    @property
    def module(self) -> Path:
        """The folder of the module."""
        return Path(__file__).parent / self.folder

    @cached_property
    def go_mod(self) -> str:
        """The text of go.mod."""
        return (self.module / "go.mod").read_text()

    @cached_property
    def version(self) -> str:
        """The program's version, without a v: what go.mod requires of the module that holds the package."""
        required = re.findall(r"^(?:require)?\s+(\S+) v(\d+\.\d+\.\d+)", self.go_mod, re.MULTILINE)
        found = next(version for module, version in required if f"{self.package}/".startswith(f"{module}/"))
        return self.released_as(found)

    @property
    def linker_flags(self) -> str:
        """The linker's flags with the version in its place."""
        return self.ldflags.format(version=self.version)

    @property
    def go_version(self) -> str:
        """The oldest Go that builds the module."""
        return re.findall(r"^go (\S+)", self.go_mod, re.MULTILINE)[0]

    @property
    def built(self) -> Path:
        """Where the built program lies. Every input of the build has a part in the path, and the machine too.

        Go's own version has none: a new Go would cost minutes and build the same program.
        """
        source = (self.go_mod, (self.module / "go.sum").read_text(), self.package, self.linker_flags)
        machine = (platform.system(), platform.machine())
        key = hashlib.sha256("\0".join((*source, *machine)).encode()).hexdigest()[:16]  # 64 bits tell builds apart
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        return cache / "mlops-ha" / "tools" / self.name / key / self.name

    @property
    def accepted(self) -> str:
        """Which version from PATH will do, in words."""
        if self.exactly:
            return f"{self.name} {self.version}"
        major = _numbers(self.version)[0]
        return f"{self.name} {self.version} or newer (below {major + 1}.0)"

    def accepts(self, program: str | Path) -> bool:
        """Whether `program` runs and is the version of go.mod: or a newer one of the same major, unless `exactly`."""
        try:
            found, needed = _numbers(answer([str(program), self.version_argument])), _numbers(self.version)
        except CommandFailed:
            return False
        return found == needed if self.exactly else found[:1] == needed[:1] and found >= needed


def _prometheus_release(module_version: str) -> str:
    """Return 3.9.1 for 0.309.1: https://github.com/prometheus/prometheus#prometheus-code-base.

    Raises:
        ValueError: this is not how the modules of Prometheus 3 are numbered.
    """
    numbered = re.fullmatch(r"0\.3(\d\d)\.(\d+)", module_version)
    if not numbered:
        raise ValueError(f"{module_version} is no module of Prometheus 3")
    return f"3.{int(numbered[1])}.{numbered[2]}"


PROMETHEUS_LDFLAGS = "-s -w -X github.com/prometheus/common/version.Version={version}"
"""All programs of the Prometheus family tell the version that this library is linked with."""

TOOLS = {
    tool.name: tool
    for tool in (
        Tool(
            name="pulumi",
            folder="pulumi",
            package="github.com/pulumi/pulumi/pkg/v3/cmd/pulumi",
            # Without the version `pulumi version` is empty, and the Automation API refuses the program.
            ldflags="-s -w -X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version={version}",
            cost="about 5 minutes on 2 cores, 0.1 GB and up to 3 GB of Go's own caches",
        ),
        Tool(
            name="actionlint",
            folder="actionlint",
            package="github.com/rhysd/actionlint/cmd/actionlint",
            ldflags="-s -w -X github.com/rhysd/actionlint.version={version}",
            cost="about a minute on 2 cores, 0.1 GB",
            version_argument="-version",
            development=True,
        ),
        Tool(
            name="consul",
            folder="consul",
            package="github.com/hashicorp/consul",
            ldflags="-s -w",
            cost="about 3 minutes on 2 cores, 0.1 GB",
            development=True,
            exactly=True,
        ),
        Tool(
            name="nomad",
            folder="nomad",
            package="github.com/hashicorp/nomad",
            ldflags="-s -w",
            cost="about 3 minutes on 2 cores, 0.1 GB",
            development=True,
            exactly=True,
        ),
        Tool(
            name="nomad-autoscaler",
            folder="nomad_autoscaler",
            package="github.com/hashicorp/nomad-autoscaler",
            # Without the description of a commit it calls itself a development version.
            ldflags="-s -w -X github.com/hashicorp/nomad-autoscaler/version.GitDescribe=v{version}",
            cost="about a minute on 2 cores, 0.1 GB",
            development=True,
            exactly=True,
        ),
        Tool(
            name="prometheus",
            folder="prometheus",
            package="github.com/prometheus/prometheus/cmd/prometheus",
            ldflags=PROMETHEUS_LDFLAGS,
            cost="about 3 minutes on 2 cores, 0.1 GB",
            version_argument="--version",
            development=True,
            exactly=True,
            released_as=_prometheus_release,
        ),
        Tool(
            name="promtool",
            folder="prometheus",
            package="github.com/prometheus/prometheus/cmd/promtool",
            ldflags=PROMETHEUS_LDFLAGS,
            cost="5 seconds after prometheus, 0.1 GB",
            version_argument="--version",
            development=True,
            exactly=True,
            released_as=_prometheus_release,
        ),
        Tool(
            name="alertmanager",
            folder="alertmanager",
            package="github.com/prometheus/alertmanager/cmd/alertmanager",
            ldflags=PROMETHEUS_LDFLAGS,
            cost="half a minute on 2 cores",
            version_argument="--version",
            development=True,
            exactly=True,
        ),
        Tool(
            name="amtool",
            folder="alertmanager",
            package="github.com/prometheus/alertmanager/cmd/amtool",
            ldflags=PROMETHEUS_LDFLAGS,
            cost="seconds after alertmanager",
            version_argument="--version",
            development=True,
            exactly=True,
        ),
        Tool(
            name="pushgateway",
            # A module of its own, as node_exporter below: with the newer library it stops at every push.
            folder="pushgateway",
            package="github.com/prometheus/pushgateway",
            ldflags=PROMETHEUS_LDFLAGS,
            cost="20 seconds on 2 cores",
            version_argument="--version",
            development=True,
            exactly=True,
        ),
        Tool(
            name="node_exporter",
            # A module of its own: with the newer library that the others ask for it stops at its first text file.
            folder="node_exporter",
            package="github.com/prometheus/node_exporter",
            ldflags=PROMETHEUS_LDFLAGS,
            cost="20 seconds on 2 cores",
            version_argument="--version",
            development=True,
            exactly=True,
        ),
        Tool(
            name="postgres_exporter",
            folder="postgres_exporter",
            package="github.com/prometheus-community/postgres_exporter/cmd/postgres_exporter",
            ldflags=PROMETHEUS_LDFLAGS,
            cost="10 seconds on 2 cores",
            version_argument="--version",
            development=True,
            exactly=True,
        ),
    )
}


def needed(development: bool) -> list[str]:
    """Return the names of the programs that have to be there, for the tests as well if it is for `development`."""
    return [name for name, tool in TOOLS.items() if development or not tool.development]


def find(name: str) -> Path:
    """Return the path of a program of TOOLS, in well under a second; raises ToolMissing."""
    tool = TOOLS[name]
    on_path = shutil.which(name)
    if on_path and tool.accepts(on_path):
        return Path(on_path)
    if tool.built.exists():
        return tool.built
    target = "setup-dev" if tool.development else "setup"
    raise ToolMissing(f"{tool.accepted} is neither on PATH nor built: run `make {target}`, or install it.")


def require_go(name: str) -> str:
    """Return the path of a Go that can build the program `name`; raises SetupError."""
    tool = TOOLS[name]
    go = shutil.which("go")
    remedy = f"install Go {tool.go_version} or newer, or {tool.accepted}, then run again."
    if not go:
        raise ToolMissing(f"{tool.accepted} is not on PATH, and without Go it cannot be built: {remedy}")
    # Outside the module, where Go does not yet fetch the newer toolchain that it may be allowed to fetch.
    found, toolchain = answer([go, "env", "GOVERSION", "GOTOOLCHAIN"], folder=Path("/")).split("\n")[:2]
    # Before 1.21 there is no GOTOOLCHAIN: it is empty.
    if _numbers(found) < _numbers(tool.go_version) and toolchain in ("", "local"):
        raise ToolMissing(f"{tool.accepted} is not on PATH, and {found} is too old to build it: {remedy}")
    return go


def ensure(name: str) -> Path:
    """Return the path of a program of TOOLS, building it if it has to be; raises SetupError."""
    try:
        return find(name)
    except ToolMissing:
        go, tool = require_go(name), TOOLS[name]
    tool.built.parent.mkdir(parents=True, exist_ok=True)
    with locked(tool.built.parent):
        if not tool.built.exists():
            _build(go, tool)
    return tool.built


def _build(go: str, tool: Tool) -> None:
    unfinished = tool.built.with_suffix(".unfinished")
    flags = ["-v", "-mod=readonly", "-trimpath", "-buildvcs=false"]
    flags += ["-ldflags", tool.linker_flags, "-o", str(unfinished)]
    watch(
        [go, "build", *flags, tool.package],
        f"{tool.name} {tool.version}",
        folder=tool.module,
        # No C compiler is needed, nor a go.work above the checkout obeyed.
        environment={**os.environ, "CGO_ENABLED": "0", "GOWORK": "off"},
        units={"modules fetched": "go: downloading ", "packages built": r"\S+$"},
    )
    if not tool.accepts(unfinished):
        raise SetupError(f"{unfinished} was built but is not {tool.accepted}: correct {tool.module / 'go.mod'}.")
    unfinished.replace(tool.built)


def _numbers(version: str) -> Version:
    """Return the first dotted number in a text: (1, 2, 3) of "v1.2.3-beta", () if there is none."""
    found = re.search(r"\d+(\.\d+)+", version)
    return tuple(map(int, found[0].split("."))) if found else ()
