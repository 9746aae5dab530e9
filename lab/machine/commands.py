"""The programs that stand in, on a node of the lab, for those of a machine of AWS: each is a function of its name."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import stat
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    import argparse


PLAN = "/run/lab/plan.json"
"""What the lab tells a node of itself, see ``lab.machine.boot.main``."""

CONTROL = "/run/systemd/private"
"""Socket on which the node's first process is asked, as systemd's own."""

DOCKER_SOCKET = "/run/docker.sock"
"""There while Docker's daemon runs."""

CONTAINERS = "/run/docker/containers"
"""Running containers, a file each; memory, as containers are gone with a start."""

IMAGES = "/var/lib/docker/lab.json"
"""What was logged in to and pulled."""

PACKAGES = "/var/lib/rpm/lab"
"""Folder with a file for each package that is installed."""

LOOK_SECONDS = 0.02
"""How often a process is looked at that is to end."""


class Refused(Exception):
    """What the program that is stood in for would refuse; the message is what it says."""


def main(name: str) -> NoReturn:
    """Be the program of a name."""
    programs = {"systemctl": systemctl, "docker": docker, "dnf": dnf, "rpm": rpm}
    try:
        code = programs[name](sys.argv[1:])
    except Refused as error:
        sys.stderr.write(f"{error}\n")
        # Docker's own code for a fault of its own; others have 1.
        code = 125 if name == "docker" else 1
    sys.stdout.flush()
    sys.stderr.flush()
    # No end of the interpreter is needed, and it costs milliseconds.
    os._exit(code)


def plan() -> dict[str, Any]:
    """Return what the lab tells a node."""
    return json.loads(Path(PLAN).read_text())


def open_files(wanted: int) -> int:
    """Return how many files may be open: what is wanted, or what this machine has to give, where it has less."""
    import resource

    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return wanted if most == resource.RLIM_INFINITY else min(wanted, most)


def systemctl(words: Sequence[str]) -> int:
    """Ask the node's first process."""
    with socket.socket(socket.AF_UNIX) as asking:
        try:
            asking.connect(CONTROL)
        except OSError as error:
            raise Refused(f"Failed to connect to bus: {error}") from error
        with asking.makefile("rw") as file:
            file.write(json.dumps([*words]) + "\n")
            file.flush()
            code, out, err = json.loads(file.readline())
    sys.stdout.write(out)
    sys.stderr.write(err)
    return int(code)


def dnf(words: Sequence[str]) -> int:
    """Install packages: from now on they are there."""
    options = {word for word in words if word.startswith("-")}
    verb, *names = [word for word in words if not word.startswith("-")]
    if verb != "install" or not options <= {"-y", "-q", "--assumeyes", "--quiet"}:
        raise Refused(f"dnf {' '.join(words)} is not known here")
    known = plan()["packages"]
    for name in names:
        if name not in known:
            raise Refused(f"Error: Unable to find a match: {name}")
        Path(PACKAGES).mkdir(parents=True, exist_ok=True)
        Path(PACKAGES, name).touch()
    return 0


def rpm(words: Sequence[str]) -> int:
    """Say whether packages are installed."""
    options = {word for word in words if word.startswith("-")}
    if not options <= {"-q", "--query", "--quiet"} or not options & {"-q", "--query"}:
        raise Refused(f"rpm {' '.join(words)} is not known here")
    code = 0
    for name in (word for word in words if not word.startswith("-")):
        found = Path(PACKAGES, name).exists()
        sys.stdout.write(f"{name}-1-1.amzn2023.x86_64\n" if found else f"package {name} is not installed\n")
        code += not found
    return code


def docker(words: Sequence[str]) -> int:
    """Do what Docker does with images and containers: what runs is the host's own program."""
    if not Path(DOCKER_SOCKET).exists():
        raise Refused("Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is it running?")
    verb, *rest = words
    verbs = {
        "login": _login,
        "pull": _pull,
        "create": _create,
        "cp": _copy,
        "run": _run,
        "stop": _stop,
        "kill": _kill,
        "rm": _remove,
        "inspect": _inspect,
        "image": _image,
    }
    if verb not in verbs:
        raise Refused(f"docker {verb} is not known here")
    return verbs[verb](rest)


def _parser(verb: str) -> argparse.ArgumentParser:
    # A fifth of what starting takes, and few need it.
    import argparse

    class Parser(argparse.ArgumentParser):
        def error(self, message: str) -> NoReturn:
            raise Refused(f"docker {verb}: {message}: not known here")

    return Parser(allow_abbrev=False, add_help=False)


def _known() -> dict[str, Any]:
    try:
        return json.loads(Path(IMAGES).read_text())
    except FileNotFoundError:
        return {"logins": [], "pulled": [], "created": {}}


def _keep(known: dict[str, Any]) -> None:
    place = Path(IMAGES)
    place.parent.mkdir(parents=True, exist_ok=True)
    aside = place.with_name(f"{place.name}.{os.getpid()}")
    aside.write_text(json.dumps(known))
    aside.replace(place)


def _login(words: Sequence[str]) -> int:
    parser = _parser("login")
    parser.add_argument("--username", "-u", required=True)
    parser.add_argument("--password-stdin", action="store_true", required=True)
    parser.add_argument("registry")
    given = parser.parse_args(words)
    if not sys.stdin.read().strip():
        raise Refused("Error: Password is empty")
    known = _known()
    known["logins"] = sorted({*known["logins"], given.registry})
    _keep(known)
    sys.stdout.write("Login Succeeded\n")
    return 0


def _image_name(reference: str) -> str:
    """Return the last part of an image's repository.

    Raises:
        Refused: the registry has no such image, or nobody logged in to it.
    """
    registry, _, rest = reference.partition("/")
    repository, _, digest = rest.partition("@")
    if registry not in _known()["logins"]:
        raise Refused(f"Error response from daemon: Head {reference}: no basic auth credentials")
    wanted = plan()["images"].get(repository)
    if wanted is None or wanted != digest:
        raise Refused(f"Error response from daemon: manifest for {reference} not found: manifest unknown")
    return repository.rpartition("/")[2]


def _pull(words: Sequence[str]) -> int:
    parser = _parser("pull")
    parser.add_argument("--quiet", "-q", action="store_true")
    parser.add_argument("image")
    image = parser.parse_args(words).image
    _image_name(image)
    known = _known()
    known["pulled"] = sorted({*known["pulled"], image})
    _keep(known)
    sys.stdout.write(f"{image}\n")
    return 0


def _pulled(image: str) -> str:
    if image not in _known()["pulled"]:
        # Docker would pull it now, as a part of the start: an agent that leaves it to that is told.
        raise Refused(f"Unable to find image '{image}' locally")
    return _image_name(image)


def _create(words: Sequence[str]) -> int:
    parser = _parser("create")
    parser.add_argument("--name")
    parser.add_argument("image")
    parser.add_argument("command", nargs="*")
    given = parser.parse_args(words)
    known = _known()
    identity = given.name or os.urandom(32).hex()
    if identity in known["created"]:
        raise Refused(f"Error response from daemon: Conflict. The container name {identity} is already in use")
    known["created"][identity] = _pulled(given.image)
    _keep(known)
    sys.stdout.write(f"{identity}\n")
    return 0


def _copy(words: Sequence[str]) -> int:
    parser = _parser("cp")
    parser.add_argument("--quiet", "-q", action="store_true")
    parser.add_argument("source")
    parser.add_argument("destination")
    given = parser.parse_args(words)
    identity, _, path = given.source.partition(":")
    image = _known()["created"].get(identity)
    if image is None:
        raise Refused(f"Error response from daemon: No such container: {identity}")
    program = plan()["programs"].get(path.rpartition("/")[2])
    if program is None:
        raise Refused(f"Error response from daemon: Could not find the file {path} in container {identity}")
    destination = Path(given.destination)
    if destination.is_dir():
        destination = destination / path.rpartition("/")[2]
    # It becomes the program that was built for the tests: a copy of it would cost a hundred megabytes of memory.
    destination.write_text(f'#!/bin/sh\nexec {program} "$@"\n')
    destination.chmod(0o755)
    return 0


def _container(name: str) -> dict[str, Any] | None:
    """Return what is known of a container that runs."""
    try:
        found = json.loads(Path(CONTAINERS, name).read_text())
        os.kill(found["pid"], 0)
    except (FileNotFoundError, ProcessLookupError, ValueError):
        return None
    return found


ENTRY_POINTS: dict[str, tuple[tuple[str, ...], str]] = {
    # What an image runs before the arguments that it is given, and the signal that stops it (STOPSIGNAL).
    # https://github.com/docker-library/haproxy: with options its entry point runs `haproxy -W -db`.
    "haproxy": (("/usr/sbin/haproxy", "-W", "-db"), "SIGUSR1"),
    # https://github.com/nginx/docker-nginx: options are those of nginx, which then is to stay in the foreground.
    "nginx": (("/usr/sbin/nginx",), "SIGQUIT"),
    # https://github.com/edoburu/docker-pgbouncer: the entry point runs what it is given.
    "pgbouncer": ((), "SIGTERM"),
    # https://github.com/grafana/grafana/blob/main/packaging/docker/run.sh: `grafana server` with options after it.
    "grafana": (("/usr/local/lib/mlops-ha-lab/grafana", "server"), "SIGTERM"),
}
"""How images are entered, by the last part of their repository's name."""


def _command(image: str, arguments: Sequence[str]) -> list[str]:
    entry, _ = ENTRY_POINTS[image]
    given = [*arguments]
    if given and entry and not given[0].startswith("-"):
        # The program itself is named: the entry points of all images take that too.
        given = given[1:] if given[0].rpartition("/")[2] == image else given
    words = [*entry, *given]
    for folder in ("/usr/sbin", "/usr/bin"):
        if not words[0].startswith("/") and Path(folder, words[0]).exists():
            words[0] = f"{folder}/{words[0]}"
    return words


def _run(words: Sequence[str]) -> int:
    parser = _parser("run")
    for flag in ("--rm", "--read-only"):
        parser.add_argument(flag, action="store_true")
    for name in ("--tmpfs", "--volume", "--env", "--cap-add", "--cap-drop", "--security-opt", "--ulimit"):
        parser.add_argument(name, action="append", default=[])
    for name in ("--name", "--network", "--user", "--log-driver", "--stop-timeout", "--stop-signal"):
        parser.add_argument(name)
    parser.add_argument("image")
    parser.add_argument("arguments", nargs="...")
    given = parser.parse_args(words)
    image = _pulled(given.image)
    if image not in ENTRY_POINTS:
        raise Refused(f"docker run of {image} is not known here")
    if given.network != "host":
        raise Refused("only the host's network is known here")
    if _container(given.name) is not None:
        raise Refused(f'docker: Error response from daemon: Conflict. The container name "/{given.name}" is in use')
    for volume in given.volume:
        source = volume.partition(":")[0]
        if not Path(source).exists():
            # Docker makes an empty folder that belongs to root, which is never meant.
            raise Refused(f"docker: the volume's source {source} does not exist")
    command = _command(image, given.arguments)
    user = (given.user or "0:0").partition(":")
    Path(CONTAINERS).mkdir(parents=True, exist_ok=True)
    state = {"pid": os.getpid(), "signal": given.stop_signal or ENTRY_POINTS[image][1]}
    Path(CONTAINERS, given.name).write_text(json.dumps({**state, "timeout": int(given.stop_timeout or 10)}))
    # What a container sees of its environment is the image's and what it is given, not the client's.
    environment = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/"}
    environment |= dict(pair.split("=", 1) for pair in given.env)
    for descriptor in (0, 1, 2):
        # As the container's own: nginx opens /dev/stdout
        # (https://github.com/opencontainers/runc/blob/main/libcontainer/init_linux.go, fixStdioPermissions).
        if not stat.S_ISCHR(os.fstat(descriptor).st_mode):
            os.fchown(descriptor, int(user[0]), int(user[2] or user[0]))
    _wall_in(given)
    os.execve("/usr/bin/prlimit", [*_limits(given, user[0], user[2] or user[0]), *command], environment)  # noqa: S606


MS_BIND, MS_REMOUNT, CLONE_NEWNS, MOUNT_ATTR_RDONLY = 4096, 32, 0x20000, 1
SYS_MOUNT_SETATTR, AT_RECURSIVE = 442, 0x8000
"""From linux/mount.h, linux/sched.h and fcntl.h; the call's number is the same on every architecture."""


def _wall_in(given: argparse.Namespace) -> None:
    """Give the process the container's file systems: nothing is written but to volumes and to memory.

    What is there besides is the host's own, because a program of the host stands in for the image's.

    Raises:
        Refused: a volume cannot be mounted.
    """
    import ctypes

    library = ctypes.CDLL(None, use_errno=True)

    def done(code: int, what: str) -> None:
        if code:
            raise Refused(f"docker: {what}: {os.strerror(ctypes.get_errno())}")

    def mount(source: str, target: str, kind: str | None, flags: int) -> None:
        done(library.mount(source.encode(), target.encode(), kind and kind.encode(), flags, None), f"mount {target}")

    done(library.unshare(CLONE_NEWNS), "unshare")
    volumes = [volume.split(":") for volume in given.volume]
    if given.read_only:
        # struct mount_attr: set, clear, propagation, user namespace.
        attributes = (ctypes.c_uint64 * 4)(MOUNT_ATTR_RDONLY, 0, 0, 0)
        writable = [(source, target) for source, target, *options in volumes if "ro" not in options]
        for source, target in writable:
            mount(source, target, None, MS_BIND)
        code = library.syscall(SYS_MOUNT_SETATTR, -1, b"/", AT_RECURSIVE, ctypes.byref(attributes), 32)
        done(code, "mount_setattr")
        for _, target in writable:
            mount("none", target, None, MS_REMOUNT | MS_BIND)
    for target in given.tmpfs:
        mount("tmpfs", target.partition(":")[0], "tmpfs", 0)
    # Docker's own, for processes that share memory.
    mount("tmpfs", "/dev/shm", "tmpfs", 0)  # noqa: S108  (a file system, not a file)


def _limits(given: argparse.Namespace, user: str, group: str) -> list[str]:
    """Return what becomes a container's command within its limits.

    A process of another user than root has no capability, whatever is added: Docker sets none but the bounds then
    (https://github.com/moby/moby/blob/master/daemon/pkg/oci/oci.go, SetCapabilities), and without new privileges a
    program gets none either.
    """
    words = ["/usr/bin/prlimit"]
    for limit in given.ulimit:
        name, _, number = limit.partition("=")
        if name != "nofile":
            raise Refused(f"docker run --ulimit {limit} is not known here")
        words.append(f"--nofile={open_files(int(number.partition(':')[0]))}")
    added = ",".join(f"+{name.removeprefix('CAP_').lower()}" for name in given.cap_add)
    words += ["/usr/bin/setpriv", f"--reuid={user}", f"--regid={group}", "--clear-groups"]
    if [name.upper() for name in given.cap_drop] == ["ALL"]:
        words += [f"--bounding-set=-all{',' + added if added else ''}", "--inh-caps=-all"]
    if any(option.startswith("no-new-privileges") for option in given.security_opt):
        words.append("--no-new-privs")
    return words


def _stop(words: Sequence[str]) -> int:
    parser = _parser("stop")
    parser.add_argument("--time", "--timeout", "-t", type=int)
    parser.add_argument("name")
    given = parser.parse_args(words)
    found = _container(given.name)
    if found is None:
        raise Refused(f"Error response from daemon: No such container: {given.name}")
    _end(found, getattr(signal, found["signal"]), found["timeout"] if given.time is None else given.time)
    sys.stdout.write(f"{given.name}\n")
    return 0


def _end(found: dict[str, Any], number: int, seconds: float) -> None:
    ends = time.monotonic() + seconds
    with contextlib.suppress(ProcessLookupError):
        os.kill(found["pid"], number)
        while True:
            os.kill(found["pid"], 0)
            if time.monotonic() > ends:
                os.kill(found["pid"], signal.SIGKILL)
            time.sleep(LOOK_SECONDS)


def _kill(words: Sequence[str]) -> int:
    parser = _parser("kill")
    parser.add_argument("--signal", "-s", default="SIGKILL")
    parser.add_argument("name")
    given = parser.parse_args(words)
    found = _container(given.name)
    if found is None:
        raise Refused(f"Error response from daemon: No such container: {given.name}")
    os.kill(found["pid"], getattr(signal, given.signal if given.signal.startswith("SIG") else f"SIG{given.signal}"))
    sys.stdout.write(f"{given.name}\n")
    return 0


def _remove(words: Sequence[str]) -> int:
    parser = _parser("rm")
    parser.add_argument("--force", "-f", action="store_true")
    parser.add_argument("--volumes", "-v", action="store_true")
    parser.add_argument("name")
    given = parser.parse_args(words)
    known, found = _known(), _container(given.name)
    if found is not None:
        if not given.force:
            raise Refused(f"Error response from daemon: cannot remove container {given.name}: it is running")
        _end(found, signal.SIGKILL, 0)
    elif given.name not in known["created"]:
        # With force, Docker says so and is content.
        sys.stderr.write(f"Error response from daemon: No such container: {given.name}\n")
        return 0 if given.force else 1
    known["created"].pop(given.name, None)
    _keep(known)
    Path(CONTAINERS, given.name).unlink(missing_ok=True)
    sys.stdout.write(f"{given.name}\n")
    return 0


def _inspect(words: Sequence[str]) -> int:
    [name] = [word for word in words if not word.startswith("-")]
    if _container(name) is None and name not in _known()["pulled"]:
        raise Refused(f"Error: No such object: {name}")
    sys.stdout.write("[{}]\n")
    return 0


def _image(words: Sequence[str]) -> int:
    verb, *rest = words
    match verb:
        case "inspect":
            return _inspect(rest)
        case "prune":
            return 0
        case _:
            raise Refused(f"docker image {verb} is not known here")
