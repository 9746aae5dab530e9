"""Programs of the distribution that the tests run: by which Debian package they come, and how that is installed.

The rest of `toolchain/` builds what has a Go module; a load balancer or a database server is taken from Debian 12.
"""

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from toolchain.commands import CommandFailed, SetupError, answer, watch

POSTGRESQL = "/usr/lib/postgresql/15/bin"
"""Debian keeps each major version apart; on PATH are wrappers that look for Debian's own clusters."""

SYSTEM_FOLDERS = ("/usr/local/sbin", "/usr/sbin", "/sbin")
"""What Debian leaves out of the PATH of those who are not root."""

COST = "about a minute, 0.2 GB"
"""Of all packages: 40 MB are fetched; the database package makes itself a cluster of 40 MB that nobody uses."""

APT_GET = ("apt-get", "--option", "DPkg::Lock::Timeout=300")
"""Seconds that another apt-get is waited for: a machine that has just started updates itself for some minutes."""

UPDATE = ("update", "--option", "APT::Update::Error-Mode=any")
"""Without the option an update that reached nothing is a success."""

QUIET = {
    "DEBIAN_FRONTEND": "noninteractive",
    # systemctl then talks to nobody: what a package starts is not started (https://systemd.io/ENVIRONMENT). Without
    # systemd nothing is started either: invoke-rc.d refuses where there is no init. No policy-rc.d is left behind.
    "SYSTEMD_OFFLINE": "1",
    # Ubuntu restarts services of others after an installation.
    "NEEDRESTART_SUSPEND": "1",
}
"""The environment of apt-get: it asks nothing, and starts nothing."""


class PackageMissing(SetupError):
    """A program of the distribution is not there; the message says what to install."""


@dataclass(frozen=True)
class Package:
    """A Debian package, and what the tests use of it."""

    name: str
    programs: tuple[str, ...]
    folder: str | None = None
    """Where its programs are, if not on PATH."""
    service: str | None = None
    """The unit that it enables. Nobody wants it at the machine's next start either."""

    def path(self, program: str) -> Path | None:
        """Return where a program is; None if it is not there."""
        folders = [*([self.folder] if self.folder else []), os.environ.get("PATH", os.defpath), *SYSTEM_FOLDERS]
        found = shutil.which(program, path=os.pathsep.join(folders))
        return Path(found) if found else None

    @property
    def missing(self) -> list[str]:
        """The programs that are not there."""
        return [program for program in self.programs if self.path(program) is None]


PACKAGES: tuple[Package, ...] = (
    # What runs on the nodes as a container, see the remarks in configs/tables/versions.py.
    Package("haproxy", ("haproxy",), service="haproxy.service"),
    Package("nginx", ("nginx",), service="nginx.service"),
    Package("pgbouncer", ("pgbouncer",), service="pgbouncer.service"),
    Package("postgresql-15", ("initdb", "pg_ctl", "pgbench", "postgres"), POSTGRESQL, "postgresql.service"),
    Package("postgresql-client-15", ("pg_basebackup", "pg_dump", "pg_isready", "psql"), POSTGRESQL),
    # What a node's image brings.
    Package("iproute2", ("ip", "ss")),
    Package("mount", ("losetup", "mount", "umount")),
    Package("nftables", ("nft",)),
    Package("openssl", ("openssl",)),
    Package("curl", ("curl",)),
    Package("procps", ("pgrep", "sysctl")),
    Package("systemd", ("systemd-analyze", "systemd-sysusers")),
    Package("util-linux", ("blkid", "findmnt", "nsenter", "setpriv", "unshare")),
    Package("xfsprogs", ("mkfs.xfs",)),
    # What the tests ask about the checkout.
    Package("git", ("git",)),
)


def find(program: str) -> Path:
    """Return the path of a program of PACKAGES.

    Raises:
        PackageMissing: it is not there.
        KeyError: no package is known to bring it.
    """
    packages = {program: package for package in PACKAGES for program in package.programs}
    package = packages[program]
    found = package.path(program)
    if found is None:
        raise PackageMissing(f"{program} is not there: run `make setup-dev`, or install Debian's {package.name}.")
    return found


def missing() -> list[Package]:
    """Return the packages that a program is missing of."""
    return [package for package in PACKAGES if package.missing]


def require_installer(packages: Sequence[Package]) -> None:
    """Raise PackageMissing unless this process can install packages."""
    programs = ", ".join(program for package in packages for program in package.missing)
    if shutil.which("apt-get") is None:
        names = ", ".join(package.name for package in packages)
        raise PackageMissing(
            f"the tests need {programs} (of Debian 12's {names}): install them by this system's own means,"
            " then run again."
        )
    if os.geteuid() != 0:
        raise PackageMissing(f"the tests need {programs}: run `sudo {_command(packages)}`, then run again.")


def install(packages: Sequence[Package]) -> None:
    """Install packages with apt-get, as root, and start nothing of them.

    Raises:
        CommandFailed: apt-get failed.
        PackageMissing: a package does not bring the programs that it should.
    """
    environment = {**os.environ, **QUIET}
    label = f"packages {', '.join(package.name for package in packages)}"
    command = [*APT_GET, *_command(packages).split()[1:]]
    units = {"packages installed": "Setting up "}
    # Another version of a database server, say, may be in use here: what is enabled already is somebody's.
    services = [package.service for package in packages if package.service and not _enabled(package.service)]
    try:
        watch(command, label, folder=Path("/"), environment=environment, units=units)
    except CommandFailed:
        # Lists that are missing or old: fetching them takes longer than most installations, so not before.
        watch([*APT_GET, *UPDATE], "list of packages", folder=Path("/"), environment=environment)
        watch(command, label, folder=Path("/"), environment=environment, units=units)
    lacking = [program for package in packages for program in package.missing]
    if lacking:
        raise PackageMissing(f"{label} were installed, but {', '.join(lacking)} did not come: correct PACKAGES.")
    if services and shutil.which("systemctl"):
        watch(["systemctl", "disable", *services], "services", folder=Path("/"), environment=environment)


def _enabled(service: str) -> bool:
    try:
        answer(["systemctl", "is-enabled", service])
    except CommandFailed:
        return False
    return True


def _command(packages: Sequence[Package]) -> str:
    return f"apt-get install -y --no-install-recommends {' '.join(package.name for package in packages)}"


def python39() -> Path | None:
    """Return a Python 3.9 that runs, which node images bring and no package does; None if there is none."""
    on_path = shutil.which("python3.9")
    versions = Path.home() / ".pyenv" / "versions"
    for found in [*([Path(on_path)] if on_path else []), *sorted(versions.glob("3.9.*/bin/python3.9"))]:
        try:
            # pyenv puts a program of this name on PATH that only runs where the version is chosen.
            if answer([str(found), "-c", "import sys; print(sys.version_info[:2] == (3, 9))"]).strip() == "True":
                return found
        except CommandFailed:
            continue
    return None
