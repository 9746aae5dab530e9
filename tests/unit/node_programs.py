"""The programs that a boot agent calls, as far as it calls them: what they do stands in a folder.

Run as a program (``-IS``: nothing but Python's library), or called in the test's own process.

``down``: AWS says that it cannot be reached. ``silent``: AWS says nothing. ``kill``: a word of the call before which
the machine is killed. ``calls``: every call that was made.
"""

from __future__ import annotations

import hashlib
import json
import os
import pathlib
import re
import select
import shutil
import sys
import time
from collections.abc import Callable

Outcome = tuple[int, str, str]

NAMES = (
    *("aws", "docker", "systemctl", "systemd-sysusers", "rpm", "dnf"),
    *("blkid", "mkfs.xfs", "mount", "findmnt"),
)

NO_OBJECT = "fatal error: An error occurred (404) when calling the HeadObject operation: Key does not exist"
TAKEN = "An error occurred (PreconditionFailed) when calling the PutObject operation: At least one did not hold"


class Killed(BaseException):
    """The machine is gone."""


class Programs:
    """All of them, around one folder. ``aws_home`` is where S3 is: several nodes may share it."""

    def __init__(self, home: pathlib.Path, aws_home: pathlib.Path) -> None:
        self.home, self.aws_home = home, aws_home

    def outcome(self, name: str, call: list[str], stdin: bytes) -> Outcome:
        """Exit status, standard output, standard error."""
        with (self.home / "calls").open("a") as calls:
            calls.write(json.dumps([name, *call]) + "\n")
        kill = self.home / "kill"
        if kill.exists() and kill.read_text() in call:
            raise Killed
        program: Callable[[list[str], bytes], Outcome] = getattr(self, re.sub(r"[-.]", "_", name))
        return program(call, stdin)

    def known(self, name: str) -> dict[str, str]:
        path = self.home / name
        return json.loads(path.read_text()) if path.exists() else {}

    def keep(self, name: str, known: dict[str, str]) -> None:
        (self.home / name).write_text(json.dumps(known))

    # AWS

    def aws(self, call: list[str], stdin: bytes) -> Outcome:
        if (self.home / "down").exists() or (self.aws_home / "down").exists():
            return 1, "", "Could not connect to the endpoint URL"
        options = dict(zip(call[2::2], call[3::2], strict=False))
        match call[:2]:
            case ["s3", "cp"]:
                return self.copy(call[3], call[4], stdin)
            case ["s3api", "put-object"]:
                path = self.object(f"s3://{options['--bucket']}/{options['--key']}")
                path.parent.mkdir(parents=True, exist_ok=True)
                body = pathlib.Path(options["--body"]).read_bytes()
                try:
                    with path.open("xb" if options.get("--if-none-match") == "*" else "wb") as file:
                        file.write(body)
                except FileExistsError:
                    return 254, "", TAKEN
                return 0, "{}", ""
            case ["s3api", "delete-object"]:
                self.object(f"s3://{options['--bucket']}/{options['--key']}").unlink(missing_ok=True)
                return 0, "", ""
            case ["secretsmanager", "get-secret-value"]:
                path = self.aws_home / "secrets" / options["--secret-id"].replace("/", ":")
                if not path.exists():
                    return 254, "", "An error occurred (ResourceNotFoundException)"
                return 0, path.read_text() + "\n", ""
            case ["cloudwatch", "put-metric-data"]:
                with (self.home / "figures").open("a") as figures:
                    figures.write(json.dumps(options) + "\n")
                return 0, "", ""
            case ["ecr", "get-login-password"]:
                return 0, "registry password\n", ""
            case ["acm", "export-certificate"]:
                phrase = pathlib.Path(options["--passphrase"][len("fileb://") :])
                # What is encrypted with it is the test's.
                shutil.copy(phrase, self.home / "passphrase")
                return 0, (self.home / "exported").read_text(), ""
            case ["autoscaling", _]:
                return 0, "", ""
            case _:
                return 2, "", f"unknown call {call}"

    def object(self, url: str) -> pathlib.Path:
        return self.aws_home / "s3" / url[len("s3://") :]

    def copy(self, source: str, target: str, stdin: bytes) -> Outcome:
        if target != "-":
            path = self.object(target)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(stdin if source == "-" else pathlib.Path(source).read_bytes())
            return 0, "", ""
        path = self.object(source)
        return (0, path.read_text(), "") if path.exists() else (1, "", NO_OBJECT)

    # Docker

    def docker(self, call: list[str], stdin: bytes) -> Outcome:
        folder = pathlib.Path(os.environ.get("DOCKER_CONFIG", str(self.home / "root/run/mlops-ha/boot-agent/docker")))
        images = self.known("images")
        match call:
            case ["login", *_]:
                assert stdin == b"registry password\n"
                folder.mkdir(parents=True, exist_ok=True)
                (folder / "config.json").write_text("registry password")
                return 0, "Login Succeeded", ""
            case ["pull", "--quiet", reference]:
                if not (folder / "config.json").exists():
                    return 1, "", "no basic auth credentials"
                self.keep("images", images | {reference: "here"})
                return 0, reference, ""
            case ["image", "inspect", reference]:
                return (0, "[]", "") if reference in images else (1, "[]", "No such image")
            case ["create", "--name", name, reference]:
                containers = self.known("containers")
                if name in containers:
                    return 1, "", "Conflict. The container name is already in use"
                self.keep("containers", containers | {name: reference})
                return 0, "0123456789ab", ""
            case ["cp", source, target]:
                container, _, program = source.partition(":")
                pathlib.Path(target).write_text(f"{self.known('containers')[container]} {program}")
                return 0, "", ""
            case ["rm", "--force", name]:
                containers = self.known("containers")
                containers.pop(name, None)
                self.keep("containers", containers)
                return 0, "", ""
            case _:
                return 1, "", f"unknown call {call}"

    # The system

    def systemctl(self, call: list[str], stdin: bytes) -> Outcome:
        del stdin
        units = self.known("units")
        match call:
            case ["is-active", *names]:
                states = [units.get(name, "inactive").partition(" ")[0] for name in names]
                return (0 if "active" in states else 3), "".join(f"{state}\n" for state in states), ""
            case ["daemon-reload"]:
                return 0, "", ""
            case ["show", "--property", "NRestarts", "--value", name]:
                return 0, self.known("ends").get(name, "0") + "\n", ""
            case ["start" | "restart" | "reload" as verb, name]:
                if (self.home / "slow").exists():
                    time.sleep(float((self.home / "slow").read_text()))
                if verb == "start" and units.get(name, "").startswith("active"):
                    return 0, "", ""
                unit = self.home / "root/etc/systemd/system" / name
                if name.startswith("mlops-ha-") and not unit.exists():
                    return 5, "", f"Unit {name} not found."
                # What it runs with from now on.
                self.keep("units", units | {name: f"active {self.fingerprint()}"})
                return 0, "", ""
            case ["stop", name]:
                if (self.home / "slow").exists():
                    time.sleep(float((self.home / "slow").read_text()))
                units.pop(name, None)
                self.keep("units", units)
                return 0, "", ""
            case _:
                return 1, "", f"unknown call {call}"

    def fingerprint(self) -> str:
        """Of the configuration that a service started now would read."""
        found = hashlib.sha256()
        for path in sorted((self.home / "root/etc").rglob("*")):
            if path.is_file():
                found.update(f"{path.name} ".encode() + path.read_bytes())
        return found.hexdigest()[:8]

    def systemd_sysusers(self, call: list[str], stdin: bytes) -> Outcome:
        del stdin
        assert pathlib.Path(call[0]).exists()
        return 0, "", ""

    def rpm(self, call: list[str], stdin: bytes) -> Outcome:
        del stdin
        return (0 if call[1] in self.known("packages") else 1), "", ""

    def dnf(self, call: list[str], stdin: bytes) -> Outcome:
        del stdin
        assert call[:2] == ["install", "-y"]
        self.keep("packages", self.known("packages") | {call[2]: "here"})
        return 0, "", ""

    # Disks: a file is a device.

    def blkid(self, call: list[str], stdin: bytes) -> Outcome:
        del stdin
        found = pathlib.Path(call[-1]).read_text()
        return (0, f'{call[-1]}: TYPE="xfs"\n', "") if found else (2, "", "")

    def mkfs_xfs(self, call: list[str], stdin: bytes) -> Outcome:
        del stdin
        device = pathlib.Path(call[-1])
        assert not device.read_text(), "there is something on it"
        device.write_text("XFSB")
        return 0, "", ""

    def mount(self, call: list[str], stdin: bytes) -> Outcome:
        del stdin
        *_, source, place = call
        assert pathlib.Path(place).is_dir()
        self.keep("mounts", self.known("mounts") | {place: source})
        return 0, "", ""

    def findmnt(self, call: list[str], stdin: bytes) -> Outcome:
        del stdin
        return (0 if call[-1] in self.known("mounts") else 1), "", ""


def main() -> None:
    home, aws_home, name, *call = sys.argv[1:]
    place = pathlib.Path(home)
    if name == "aws" and (place / "silent").exists():
        # Until nobody is left to hear it: a test leaves no process behind, also when the caller is gone before this.
        heard = select.poll()
        heard.register(sys.stdout, 0)
        heard.poll()
        return
    reads = not sys.stdin.isatty() and ("-" in call or "--password-stdin" in call) and call[-1] != "-"
    stdin = sys.stdin.buffer.read() if reads else b""
    code, printed, said = Programs(place, pathlib.Path(aws_home)).outcome(name, call, stdin)
    sys.stdout.write(printed)
    sys.stderr.write(said)
    raise SystemExit(code)


if __name__ == "__main__":
    main()
