"""Programs the project runs: taken from PATH when recent enough, otherwise built once from a Go module.

The go.mod in the tool's folder is the one truth about its version. A built program lies in a cache outside
the checkout, so that a fresh clone does not build it again.
"""

import hashlib
import os
import platform
import re
import shutil
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
    """The linker's flags; `{version}` stands for the version in go.mod, without the v."""
    cost: str
    """How many minutes a build takes and how much disk, measured with empty caches."""
    version_argument: str = "version"
    """What the program is asked for its version with."""
    development: bool = False
    """Whether only the tests need it."""

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
        """The version go.mod requires of the module that holds the package, without the v."""
        required = re.findall(r"^(?:require)?\s+(\S+) v(\d+\.\d+\.\d+)", self.go_mod, re.MULTILINE)
        return next(version for module, version in required if f"{self.package}/".startswith(f"{module}/"))

    @property
    def go_version(self) -> str:
        """The oldest Go that builds the module."""
        return re.findall(r"^go (\S+)", self.go_mod, re.MULTILINE)[0]

    @property
    def built(self) -> Path:
        """Where the built program lies. Every input of the build has a part in the path, and the machine too.

        Go's own version has none: a new Go would cost minutes and build the same program.
        """
        source = (self.go_mod, (self.module / "go.sum").read_text(), self.package, self.ldflags)
        machine = (platform.system(), platform.machine())
        key = hashlib.sha256("\0".join((*source, *machine)).encode()).hexdigest()[:16]  # 64 bits tell builds apart
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        return cache / "mlops-ha" / "tools" / self.name / key / self.name

    @property
    def accepted(self) -> str:
        """Which version from PATH will do, in words."""
        major = _numbers(self.version)[0]
        return f"{self.name} {self.version} or newer (below {major + 1}.0)"

    def accepts(self, program: str | Path) -> bool:
        """Whether `program` runs and has the version of go.mod or a newer one of the same major version."""
        try:
            found, needed = _numbers(answer([str(program), self.version_argument])), _numbers(self.version)
        except CommandFailed:
            return False
        return found[:1] == needed[:1] and found >= needed


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
    flags += ["-ldflags", tool.ldflags.format(version=tool.version), "-o", str(unfinished)]
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
