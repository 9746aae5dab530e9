"""A service of a node, started for real: its program with the rendered arguments, as its account, in a network."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from configs.bundle import services
from configs.manifest import File
from configs.tables.paths import PROGRAMS
from lab.namespaces import WITH_PARENT
from lab.tree import NODE_PROGRAMS
from tests.nodes.world import bundle_of, context_of, laid
from toolchain import tools

SECONDS = 60
"""Longest that anything is waited for: seconds, but on a machine that does much else."""

ENVIRONMENT = {"PATH": os.environ["PATH"], "LC_ALL": "C"}


@dataclass(frozen=True)
class Network:
    """A network that lasts as long as its holder."""

    holder: int

    def command(self, *arguments: str) -> list[str]:
        return ["nsenter", f"--net=/proc/{self.holder}/ns/net", *arguments]

    def run(self, *arguments: str) -> str:
        done = subprocess.run(self.command(*arguments), capture_output=True, text=True, timeout=SECONDS, check=False)
        return done.stdout + done.stderr


@contextmanager
def network() -> Generator[Network]:
    """A network with nothing in it but loopback."""
    holder = ["unshare", "--net", "sh", "-c", "ip link set lo up && echo up && exec cat"]
    with subprocess.Popen(holder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "up\n"
            yield Network(process.pid)
        finally:
            process.kill()


@contextmanager
def region(*addresses: str) -> Generator[tuple[Network, list[Network]]]:
    """A network of machines with these addresses, each in its own, and where they meet: 10.10.255.254."""
    with ExitStack() as stack:
        middle = stack.enter_context(network())
        assert middle.run("ip", "link", "add", "bridge", "type", "bridge") == ""
        assert middle.run("ip", "address", "add", "10.10.255.254/16", "dev", "bridge") == ""
        assert middle.run("ip", "link", "set", "bridge", "up") == ""
        machines: list[Network] = []
        for number, address in enumerate(addresses):
            machine = stack.enter_context(network())
            peer = ["peer", "name", "eth0", "netns", str(machine.holder)]
            assert middle.run("ip", "link", "add", f"port{number}", "type", "veth", *peer) == ""
            assert middle.run("ip", "link", "set", f"port{number}", "master", "bridge", "up") == ""
            assert machine.run("ip", "address", "add", f"{address}/16", "dev", "eth0") == ""
            assert machine.run("ip", "link", "set", "eth0", "up") == ""
            machines.append(machine)
        yield middle, machines


@dataclass(frozen=True)
class Started:
    """A service that runs."""

    process: subprocess.Popen[bytes]
    network: Network
    log: Path

    def ask(self, *arguments: str) -> str:
        """What curl gets."""
        return self.network.run("curl", "--silent", "--max-time", "5", *arguments)

    def until(self, url: str, text: str) -> str:
        """The answer, once there is a text in it."""
        deadline = time.monotonic() + SECONDS
        while text not in (answer := self.ask(url)):
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, f"{url}: {answer}\n{self.log.read_text()}"
            time.sleep(0.1)
        return answer

    def said(self, text: str, times: int = 1) -> None:
        """Wait until it has written a text to its log so many times."""
        deadline = time.monotonic() + SECONDS
        while self.log.read_text().count(text) < times:
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.1)

    def reload(self) -> None:
        self.process.send_signal(signal.SIGHUP)

    def listening(self) -> set[tuple[str, int]]:
        """Every socket that takes what comes, in its network."""
        found = self.network.run("ss", "-Hltun")
        return {(line.split()[0], int(re.findall(r":(\d+)$", line.split()[4])[0])) for line in found.splitlines()}


@contextmanager
def started(
    folder: Path,
    stack: str,
    node: str,
    name: str,
    *,
    where: Network | None = None,
    files: dict[str, str] | None = None,
) -> Generator[Started]:
    """A service of a node, until the block ends. ``files`` are put beside those of the node."""
    folder.mkdir(exist_ok=True)
    [service] = [one for one in services(context_of(stack, node)) if one.name == name]
    bundle = bundle_of(stack, node)
    more = {path: File.of(text) for path, text in (files or {}).items()}
    place = laid(folder, stack, node, bundle.model_copy(update={"files": {**bundle.files, **more}}))
    number = str(service.account.number)
    own = [
        "setpriv",
        f"--reuid={number}",
        f"--regid={number}",
        "--clear-groups",
        "--no-new-privs",
        "--pdeathsig=KILL",
    ]
    name_of_program = service.program.rpartition("/")[2]
    program = f"{PROGRAMS}/{name_of_program}"
    # The program itself in the place of what leads to it: its folder may be closed to the account.
    bound = [
        "sh",
        "-c",
        'mount --bind "$0" "$1" && shift && exec "$@"',
        str(tools.find(NODE_PROGRAMS[name_of_program])),
    ]
    command = place.command(*bound, program, *own, program, *service.arguments, network=False)
    log = folder / "log"
    with ExitStack() as closing:
        found = where or closing.enter_context(network())
        output = closing.enter_context(log.open("wb"))
        process = subprocess.Popen(
            # From the start, and once more when the account changes, which undoes it.
            [*WITH_PARENT, *found.command(*command)],
            stdout=output,
            stderr=output,
            env={**ENVIRONMENT, **service.environment},
        )
        try:
            yield Started(process, found, log)
        finally:
            process.terminate()
            process.wait(timeout=SECONDS)
