"""Holds the AWS CLI ready, so that a call costs a tenth of what starting it costs: a process is split off for each.

The call runs where its caller runs, in the caller's network and files, with what the caller has open. When the
caller ends, so does the call.

Run as a program, `python -I aws_server.py SOCKET`, by a Python that has the package ``awscli``.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import os
import selectors
import signal
import socket
import struct
import sys
from pathlib import Path
from typing import Any

import awscli.clidriver  # pyright: ignore[reportMissingTypeStubs]

SERVICES = ("s3", "secretsmanager", "cloudwatch", "autoscaling", "ecr", "acm")
"""What nodes call: the descriptions of these are read once, here."""


def main() -> None:
    """Serve until killed."""
    prepared = prepare()
    # What is there already is looked through by no collection, and so copied by no process that is split off.
    gc.freeze()
    path = sys.argv[1]
    aside = f"{path}.new"
    # Children are buried by the kernel.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(aside)
        listening.listen(64)
        # There only once it answers.
        Path(aside).rename(path)
        while True:
            connection, _ = listening.accept()
            if os.fork() == 0:
                listening.close()
                answer(connection, prepared)
            connection.close()


def prepare() -> Any:
    """Return the CLI as it is once a client of each service was made: what is read and built then is kept.

    Nothing of the environment is kept: it is looked up with each call, and there are no files of settings.
    """
    driver: Any = awscli.clidriver.create_clidriver()
    driver.create_help_command()
    for service in SERVICES:
        driver.session.create_client(
            service,
            region_name="us-east-1",
            aws_access_key_id="none",
            aws_secret_access_key="none",  # noqa: S106  (there is no secret)
        )
    return driver


def answer(connection: socket.socket, prepared: Any) -> None:
    """Take one call, have it done by another process, and send its code."""
    head, descriptors, _, _ = socket.recv_fds(connection, 4, 3)
    length, request = int.from_bytes(head, "big"), b""
    while len(request) < length:
        part = connection.recv(length - len(request))
        if not part:
            os._exit(1)
        request += part
    words, environment, folder = json.loads(request)
    # struct ucred: process, user, group (unix(7)).
    caller = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        enter(caller, folder)
        for number, descriptor in enumerate(descriptors):
            os.dup2(descriptor, number)
        os.environ.clear()
        os.environ.update(environment)
        # A second and one try is what the CLI gives a metadata service that is a machine's own; here all share one.
        os.environ.update(AWS_METADATA_SERVICE_TIMEOUT="10", AWS_METADATA_SERVICE_NUM_ATTEMPTS="3")
        os._exit(call(prepared, words))
    os.close(write)
    with selectors.DefaultSelector() as selector:
        selector.register(read, selectors.EVENT_READ)
        selector.register(connection, selectors.EVENT_READ)
        ready = [key.fileobj for key, _ in selector.select()]
    if read not in ready:
        # Nothing is sent after the request: the caller is gone.
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    with contextlib.suppress(OSError):
        connection.sendall(bytes([os.waitstatus_to_exitcode(status) & 0xFF]))
    os._exit(0)


def enter(caller: int, folder: str) -> None:
    """Go where the caller is: its network, names and files."""
    library = ctypes.CDLL(None, use_errno=True)
    opened = [os.open(f"/proc/{caller}/ns/{kind}", os.O_RDONLY) for kind in ("net", "uts", "mnt")]
    for descriptor in opened:
        if library.setns(descriptor, 0):
            os._exit(1)
        os.close(descriptor)
    os.chdir(folder)


def call(prepared: Any, words: list[str]) -> int:
    """Call the CLI; return its code."""
    sys.stdin, sys.stdout, sys.stderr = (
        open(number, mode, closefd=False)  # noqa: SIM115  (they stay open until the process ends)
        for number, mode in ((0, "r"), (1, "w"), (2, "w"))
    )
    try:
        code = prepared.main(words)
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):
            stream.flush()
    return int(code or 0)


if __name__ == "__main__":
    main()
