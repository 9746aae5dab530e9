"""A world apart on this machine: namespaces that end with whoever made them, and all that is in them.

The kernel does it, not this program: also when it is killed, no process, network, mount or file is left behind.
"""

from __future__ import annotations

import ctypes
import os
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

Result = TypeVar("Result")

_LIBRARY = ctypes.CDLL(None, use_errno=True)

GROUND = "/mnt"
"""Where a world's own memory is mounted: a folder that every Linux has (hier(7)) and that nothing else is in."""

WITH_PARENT = ("setpriv", "--pdeathsig=KILL", "--")
"""Begins a command that the kernel kills when its parent ends. It is no function between fork and exec: gRPC, which
has one of its own, aborts there in a process that has used it."""

FIRST = """
import signal
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
print(flush=True)
while True:
    signal.pause()
"""
"""The first process of a world: it buries those that lost their parents, and its end is the world's."""


@dataclass(frozen=True)
class World:
    """Namespaces of their own (mount, network, processes), and the first process in them, as seen from here."""

    pid: int

    def path(self, inside: str) -> Path:
        """Return where from here a path of the world is."""
        return Path(f"/proc/{self.pid}/root{inside}")

    def command(self, *words: str) -> list[str]:
        """Return a command that runs another one in the world."""
        return ["nsenter", f"--target={self.pid}", "--mount", "--net", "--pid", "--", *words]

    def run(self, *words: str, stdin: str = "") -> str:
        """Run a command in the world and return its output.

        Raises:
            subprocess.CalledProcessError: it failed.
        """
        done = subprocess.run(self.command(*words), input=stdin, capture_output=True, text=True, check=False)
        if done.returncode:
            raise subprocess.CalledProcessError(done.returncode, words, done.stdout, done.stderr + stdin)
        return done.stdout


@contextmanager
def world() -> Generator[World]:
    """Make a world while the block runs. Its memory is at ``GROUND``, its loopback is up.

    Raises:
        RuntimeError: this process may not, as it is not root.
    """
    if os.geteuid():
        raise RuntimeError("Only root makes machines: network and file systems of their own.")
    unshare = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
    process = subprocess.Popen(
        [*WITH_PARENT, *unshare, sys.executable, "-ISc", FIRST],
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        process.stdout.readline()
        [first] = children(process.pid)
        made = World(first)
        made.run("mount", "-t", "tmpfs", "-o", "mode=0755,size=8g", "tmpfs", GROUND)
        made.run("ip", "-batch", "-", stdin="link set lo up\n")
        yield made
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def children(pid: int) -> list[int]:
    """Return the children of a process."""
    found: list[int] = []
    for place in Path("/proc").iterdir():
        if place.name.isdigit():
            try:
                fields = (place / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == pid:
                found.append(int(place.name))
    return found


def inner_pid(pid: int) -> int:
    """Return what a process of a world's inner world is called in the world itself."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("NSpid:"):
            return int(line.split()[-2])
    raise LookupError(f"process {pid} has no other name")


def within(pid: int, work: Callable[[], Result]) -> Result:
    """Return what a piece of work returns that is done in a process's network.

    Raises:
        OSError: the process is gone, or whatever the work raises.
    """
    done: list[Result] = []
    problems: list[Exception] = []

    def enter() -> None:
        # Of this thread alone, which ends at once.
        try:
            with Path(f"/proc/{pid}/ns/net").open() as network:
                if _LIBRARY.setns(network.fileno(), 0):
                    raise OSError(ctypes.get_errno(), "setns")
            done.append(work())
        except Exception as error:
            problems.append(error)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    if problems:
        raise problems[0]
    return done[0]


def listening(pid: int, addresses: Sequence[tuple[str, int]]) -> list[socket.socket]:
    """Return sockets that listen where a process is, but are served here.

    Raises:
        OSError: an address is not there, or taken.
    """
    sockets: list[socket.socket] = []

    def listen() -> list[socket.socket]:
        for address in addresses:
            sockets.append(socket.create_server(address, backlog=128))
        return sockets

    try:
        return within(pid, listen)
    except OSError:
        for opened in sockets:
            opened.close()
        raise


def peer_of(message: Sequence[tuple[int, int, bytes]]) -> int:
    """Return the id, as seen from here, of the process that sent a message (SCM_CREDENTIALS, unix(7))."""
    [data] = [data for level, kind, data in message if (level, kind) == (socket.SOL_SOCKET, SCM_CREDENTIALS)]
    process: Any = struct.unpack("3i", data[:12])[0]
    return int(process)


SCM_CREDENTIALS = 2
"""From linux/socket.h."""
