"""A node's files as they lie on the node once its boot agent has done its work, for commands that look at them."""

from __future__ import annotations

import json
import string
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from configs.manifest import Bundle
from configs.tables.accounts import ACCOUNTS
from configs.tables.paths import NODE_ENVIRONMENT, PROGRAMS, image_environment
from lab import overlay
from lab.documents import Document
from lab.overlay import MEMORY, PLAN

NODE_PROGRAMS = {
    "consul": "consul",
    "nomad": "nomad",
    "nomad-autoscaler": "nomad-autoscaler",
    "prometheus": "prometheus",
    "alertmanager": "alertmanager",
    "node_exporter": "node_exporter",
    "postgres_exporter": "postgres_exporter",
}
"""Programs that images of nodes' services hold, and the tool that each is."""

DOCKER = "/usr/bin/docker"
"""Where units find Docker."""


@dataclass(frozen=True)
class Entry:
    """A file (with a text) or a folder. ``owner`` is the number of user and group, ``mode`` is in octal digits."""

    path: str
    text: str | None
    mode: str
    owner: int


def entries(bundle: Bundle, documents: Mapping[str, Document], programs: Mapping[str, Path]) -> list[Entry]:
    """Return what lies on a node once its boot agent has done its work.

    Args:
        bundle: the node's bundle.
        documents: the secrets by the id that the bundle names.
        programs: the programs of the node by their own name (``consul``), to be linked to.
    """
    numbers = {account.name: account.number for account in ACCOUNTS}
    manifest = bundle.manifest
    found = [
        Entry(directory.path, None, directory.mode, numbers[directory.owner]) for directory in manifest.directories
    ]
    found += [Entry(path, file.text, file.mode, 0) for path, file in bundle.files.items()]
    for secret in manifest.secrets:
        for file in secret.files:
            document = documents[secret.id]
            text = json.dumps(document) if file.text is None else string.Template(file.text).substitute(document)
            found.append(Entry(file.path, text, file.mode, numbers[file.owner]))
    environment = f"NODE_NAME={manifest.node}\nNODE_ADDRESS={manifest.address or '127.0.0.1'}\nINSTANCE_ID=i-0\n"
    found.append(Entry(NODE_ENVIRONMENT, environment, "0444", 0))
    for service in manifest.services:
        if service.program:
            name = service.program.rpartition("/")[2]
            wrapper = f'#!/bin/sh\nexec "{programs[name]}" "$@"\n' if name in programs else "#!/bin/sh\nexit 1\n"
            found.append(Entry(f"{PROGRAMS}/{name}", wrapper, "0755", 0))
        else:
            found.append(Entry(image_environment(service.name), f"IMAGE={service.software}\n", "0444", 0))
    # Who looks at a unit looks whether its program is there; containers do not run here.
    found.append(Entry(DOCKER, "#!/bin/sh\nexit 1\n", "0755", 0))
    passwd = Path("/etc/passwd").read_text() + "".join(
        f"{account.name}:x:{account.number}:{account.number}::/:/usr/sbin/nologin\n"
        for account in ACCOUNTS
        if account.number
    )
    group = Path("/etc/group").read_text() + "".join(
        f"{account.name}:x:{account.number}:\n" for account in ACCOUNTS if account.number
    )
    return [*found, Entry("/etc/passwd", passwd, "0644", 0), Entry("/etc/group", group, "0644", 0)]


def write(folder: Path, wanted: Sequence[Entry]) -> None:
    """Put what a node has into a folder, for ``command``."""
    (folder / MEMORY).mkdir(parents=True, exist_ok=True)
    (folder / PLAN).write_text(json.dumps([asdict(entry) for entry in wanted]))


def command(folder: Path, arguments: Sequence[str], *, network: bool = True) -> list[str]:
    """Return a command that runs another one where a node's files lie, as root.

    Args:
        folder: what ``write`` wrote to.
        arguments: the other command.
        network: whether it has a network of its own, of which nothing is up yet.
    """
    namespaces = ["--mount", *(["--net"] if network else [])]
    # Isolated: what it needs of Python is the library alone, and it starts five times as fast.
    return ["unshare", *namespaces, sys.executable, "-I", str(Path(overlay.__file__)), str(folder), *arguments]
