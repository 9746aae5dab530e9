"""Lays a node's files over this machine's own and becomes a command: in a mount namespace, so that nothing is left.

Run as a program, `python -I overlay.py FOLDER COMMAND...`, as root in a mount namespace of its own. What the command
writes goes to memory and ends with it. The standard library alone: it starts before anything else.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

OVERLAID = ("etc", "opt", "run", "var", "usr")
"""Folders of this machine that a node's files lie over."""

PLAN = "plan.json"
"""Name of the file with the entries, see ``lab.tree.Entry``."""

MEMORY = "memory"
"""Name of the folder that memory is mounted on."""


def main() -> None:
    """Lay the files and become the command."""
    folder, arguments = Path(sys.argv[1]), sys.argv[2:]
    memory = folder / MEMORY
    subprocess.run(["/usr/bin/mount", "-t", "tmpfs", "tmpfs", memory], check=True)
    for name in OVERLAID:
        upper, work = memory / name / "upper", memory / name / "work"
        upper.mkdir(parents=True)
        work.mkdir()
        layers = f"lowerdir=/{name},upperdir={upper},workdir={work}"
        subprocess.run(["/usr/bin/mount", "-t", "overlay", "overlay", "-o", layers, f"/{name}"], check=True)
    for entry in json.loads((folder / PLAN).read_text()):
        place = Path(entry["path"])
        place.parent.mkdir(parents=True, exist_ok=True)
        if entry["text"] is None:
            place.mkdir(exist_ok=True)
        else:
            place.write_text(entry["text"])
        place.chmod(int(entry["mode"], 8))
        os.chown(place, entry["owner"], entry["owner"])
    os.execvp(arguments[0], arguments)  # noqa: S606  (no shell is wanted)


if __name__ == "__main__":
    main()
