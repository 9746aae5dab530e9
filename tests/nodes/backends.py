"""Load balancers between stand-in servers: real HAProxy and Nginx from unmodified bundles, in networks of their own.

A network lives in a thread of this process, and so do the servers: nothing of them outlives the tests.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import re
import signal
import ssl
import subprocess
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Generator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import sha1
from pathlib import Path
from typing import Any, TypeVar

import httpx

from configs.bundle import bundle
from configs.manifest import Bundle
from configs.nodes import Node, NodeRole, load_balancers
from configs.routing import Server, routing
from configs.tables.accounts import HAPROXY, NGINX, Account
from configs.tables.certificates import public_certificate_names
from configs.tables.flows import HEALTH, LOAD_BALANCER_STATISTICS, NODE_HTTP, Role
from configs.tables.names import Service
from configs.tables.paths import FENCE_PATH
from configs.tables.secrets import CA_CERTIFICATE, CERTIFICATE, PRIVATE_KEY, PUBLIC_CERTIFICATE, PUBLIC_PRIVATE_KEY
from lab.documents import Authority, documents
from lab.tree import entries, write
from tests.nodes.world import FACTS, STACKS, Laid, bundle_of, context_of, documents_of, settings_of
from tests.unit.mocks import stack_settings

Result = TypeVar("Result")

SECONDS = 60
"""Longest that anything takes here: ten seconds on a machine that does nothing else."""

PROGRAMS: dict[str, tuple[NodeRole, Account]] = {
    "haproxy": (NodeRole.HAPROXY, HAPROXY),
    "nginx": (NodeRole.NGINX, NGINX),
}

_NEW_NETWORK = 0x40000000
"""CLONE_NEWNET of <sched.h>."""

_MEMORY = "cd / && mount -t tmpfs -o mode=1777 tmpfs /tmp"
"""The one place that a container may write to. What lies there on this machine is out of sight: a checkout, say."""

_LIBC = ctypes.CDLL(None, use_errno=True)


def until(condition: Callable[[], bool], what: str, seconds: float = SECONDS) -> None:
    """Wait for a condition, or fail."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not in {seconds} s: {what}"
        time.sleep(0.1)


def _call(result: int) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


class Network:
    """A network of its own, gone when it is closed. What is called in it makes its sockets there."""

    def __init__(self) -> None:
        self._keeper = ThreadPoolExecutor(1, initializer=lambda: _call(_LIBC.unshare(_NEW_NETWORK)))
        self.thread = self._keeper.submit(threading.get_native_id).result()
        self._handle = os.open(f"/proc/self/task/{self.thread}/ns/net", os.O_RDONLY)
        self._workers = ThreadPoolExecutor(8, initializer=self.enter)
        self.ip("link", "set", "lo", "up")

    def enter(self) -> None:
        """Move the calling thread there."""
        _call(_LIBC.setns(self._handle, _NEW_NETWORK))

    def call(self, function: Callable[[], Result]) -> Result:
        """Call a function there."""
        return self._workers.submit(function).result(timeout=SECONDS)

    def later(self, function: Callable[[], Result]) -> Callable[[], Result]:
        """Call a function there at the same time; return what waits for its result."""
        future = self._workers.submit(function)
        return lambda: future.result(timeout=SECONDS)

    def start(self, arguments: list[str], output: int) -> subprocess.Popen[bytes]:
        """Start a program there, from a thread that lasts: its end would be the program's."""
        environment = {"PATH": os.environ["PATH"]}
        return self._keeper.submit(
            lambda: subprocess.Popen(arguments, stdout=output, stderr=output, env=environment)
        ).result()

    def run(self, *arguments: str) -> str:
        """What a program there says."""
        return self.call(lambda: subprocess.run(arguments, check=True, capture_output=True, text=True).stdout)

    def ip(self, *arguments: str) -> None:
        """Change the network."""
        self.run("ip", *arguments)

    def close(self) -> None:
        """Let go of it."""
        for pool in (self._workers, self._keeper):
            pool.shutdown()
        os.close(self._handle)


@dataclass(frozen=True)
class Received:
    """A request that reached a server. Names of headers are in small letters."""

    server: str
    service: Service
    method: str
    path: str
    headers: Mapping[str, str]


@dataclass
class StandIn:
    """One service of one server. ``well``: whether it has a leader, or its database."""

    server: Server
    service: Service
    port: int
    well: bool = True
    listener: asyncio.Server | None = None
    writers: set[asyncio.StreamWriter] = field(default_factory=set[asyncio.StreamWriter])


@dataclass(frozen=True)
class _Answer:
    status: int
    body: str


class Backends:
    """The servers of the control plane, as far as load balancers see them.

    ``/hold`` is answered once ``release`` is called; ``/stream`` sends a line at once and the rest then; a request to
    become a websocket gets back what it sends; everything else is told back as JSON.
    """

    def __init__(self, stack: str, network: Network, folder: Path) -> None:
        model = routing(context_of(stack, NodeRole.HAPROXY))
        self.received: list[Received] = []
        self._network, self._loop = network, asyncio.new_event_loop()
        self._held = asyncio.Event()
        self._contexts = _contexts(stack, folder)
        self.stand_ins = [
            StandIn(server, route.service, route.port) for route in model.routes for server in route.servers
        ]
        self._tls = {route.service: route.server_name is not None for route in model.routes}
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        self.start()

    def _run(self) -> None:
        self._network.enter()
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    def _do(self, coroutine: Any) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(timeout=SECONDS)

    def _chosen(self, server: str | None, service: Service | None) -> Iterator[StandIn]:
        for stand_in in self.stand_ins:
            if server in (None, stand_in.server.name) and service in (None, stand_in.service):
                yield stand_in

    def start(self, server: str | None = None, service: Service | None = None) -> None:
        """Start what does not run, of one server or all, of one service or all."""

        async def start() -> None:
            for one in self._chosen(server, service):
                if one.listener is None:
                    context = self._contexts[one.service is Service.CONSUL] if self._tls[one.service] else None
                    one.listener = await asyncio.start_server(
                        lambda reader, writer, one=one: self._serve(one, reader, writer),
                        one.server.address,
                        one.port,
                        ssl=context,
                    )

        self._do(start())

    def kill(self, server: str | None = None, service: Service | None = None) -> None:
        """End it as a process that is killed: no word to anybody."""

        async def kill() -> None:
            for one in self._chosen(server, service):
                if one.listener is not None:
                    one.listener.close()
                    one.listener = None
                for writer in list(one.writers):
                    writer.transport.abort()

        self._do(kill())

    def be_well(self, well: bool, server: str | None = None, service: Service | None = None) -> None:
        """Give or take leaders, or databases."""
        for one in self._chosen(server, service):
            one.well = well

    def release(self) -> None:
        """Answer what is held, and hold anew."""

        async def release() -> None:
            self._held.set()
            self._held = asyncio.Event()

        self._do(release())

    def seen(self, path: str) -> list[Received]:
        """The requests for a path that reached any server."""
        return [one for one in list(self.received) if one.path.partition("?")[0] == path]

    def restore(self) -> None:
        """Make everything as it was at the start."""
        self.release()
        self.be_well(True)
        self.start()
        self.received.clear()

    def close(self) -> None:
        """End everything."""
        self.kill()

        async def cancel() -> None:
            tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        self._do(cancel())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _serve(self, one: StandIn, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        one.writers.add(writer)
        try:
            while head := await _head(reader):
                method, path, headers = head
                await reader.readexactly(int(headers.get("content-length", 0)))
                self.received.append(Received(one.server.name, one.service, method, path, headers))
                if headers.get("upgrade") == "websocket":
                    await _echo(headers["sec-websocket-key"], reader, writer)
                    break
                if path == "/stream":
                    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst")
                    await self._held.wait()
                    writer.write(b"later")
                    continue
                answer = await self._answer(one, method, path, headers)
                body = answer.body.encode()
                writer.write(
                    f"HTTP/1.1 {answer.status} Stand-in\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
                )
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            one.writers.discard(writer)
            writer.close()

    async def _answer(self, one: StandIn, method: str, path: str, headers: Mapping[str, str]) -> _Answer:
        match one.service, path.partition("?")[0]:
            case Service.CONSUL, "/v1/status/leader":
                return _Answer(200, json.dumps("10.10.0.16:8300" if one.well else ""))
            case Service.CONSUL, "/v1/catalog/services":
                # Measured: it waits for a leader.
                if not one.well:
                    await self._held.wait()
                return _Answer(200, "{}")
            case Service.NOMAD, "/v1/agent/health":
                return _Answer(200 if one.well else 500, "{}")
            case Service.PROMETHEUS, "/-/ready":
                return _Answer(200 if one.well else 503, "")
            case Service.GRAFANA, "/api/health":
                return _Answer(200 if one.well else 503, json.dumps({"database": "ok" if one.well else "failing"}))
            case _, "/hold":
                await self._held.wait()
            case _, "/own-503":
                return _Answer(503, "the server's own")
            case _:
                pass
        told = {"server": one.server.name, "service": one.service, "method": method, "path": path}
        return _Answer(200, json.dumps({**told, "headers": dict(headers)}))


async def _head(reader: asyncio.StreamReader) -> tuple[str, str, dict[str, str]] | None:
    try:
        text = (await reader.readuntil(b"\r\n\r\n")).decode()
    except asyncio.IncompleteReadError:
        return None
    first, *lines = text.strip().split("\r\n")
    method, path, _ = first.split(" ")
    return (
        method,
        path,
        {name.lower(): value for name, value in (line.split(": ", 1) for line in lines if ": " in line)},
    )


async def _echo(key: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    # RFC 6455, 4.2.2: HAProxy looks whether the server understood.
    accepted = b64encode(sha1(f"{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest()).decode()
    head = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    writer.write(f"{head}Sec-WebSocket-Accept: {accepted}\r\n\r\n".encode())
    while received := await reader.read(100):
        writer.write(received)


def _contexts(stack: str, folder: Path) -> dict[bool, ssl.SSLContext]:
    """How the servers speak TLS, by whether they want a client's certificate."""
    document = documents_of(stack)[f"{settings_of(stack).name}/{Role.CONTROL_PLANE}"]
    chain = folder / "control-plane.pem"
    chain.write_text(document[CERTIFICATE] + document[PRIVATE_KEY])
    found: dict[bool, ssl.SSLContext] = {}
    for wants in (False, True):
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cadata=document[CA_CERTIFICATE])
        context.load_cert_chain(chain)
        context.verify_mode = ssl.CERT_REQUIRED if wants else ssl.CERT_NONE
        found[wants] = context
    return found


class Balancer:
    """A load balancer that runs as on its node: its files, its account, which has no capability."""

    def __init__(self, stack: str, program: str, network: Network, folder: Path) -> None:
        role, account = PROGRAMS[program]
        self.program, self.network = program, network
        self.node: Node = next(node for node in context_of(stack, role).load_balancers if node.role is role)
        self.address = str(self.node.address)
        # Of the node's programs none is started.
        write(folder, entries(bundle_of(stack, role), documents_of(stack), {}))
        self._account, self._laid = account, Laid(folder)
        self._log = folder / "log"
        self._arguments = arguments_of(stack, program)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, as Docker does; users are let in."""
        account = str(self._account.number)
        # Docker makes a container's output its account's (runc, fixStdioPermissions).
        descriptor = os.open(self._log, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        os.fchown(descriptor, self._account.number, self._account.number)
        ports = f"sysctl --quiet --write net.ipv4.ip_unprivileged_port_start={NODE_HTTP.port}"
        prelude = f"{_MEMORY} && {ports} && mkdir -p {Path(FENCE_PATH).parent} && touch {FENCE_PATH}"
        rights = ["--no-new-privs", "--inh-caps=-all", "--bounding-set=-all"]
        # Another user's process outlives whoever started it unless it says so again (prctl(2), PR_SET_PDEATHSIG).
        as_account = ["setpriv", "--pdeathsig=KILL", f"--reuid={account}", f"--regid={account}", "--clear-groups"]
        command = self._laid.command(
            "sh", "-c", f'{prelude} && exec "$@"', "sh", *as_account, *rights, *self._arguments, network=False
        )
        self.process = self.network.start(
            ["setpriv", "--pdeathsig=KILL", "unshare", "--pid", "--fork", "--kill-child", *command],
            descriptor,
        )
        os.close(descriptor)
        until(self._listens, f"{self.program} listens: {self.log}")

    def _listens(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log
        return str(LOAD_BALANCER_STATISTICS.port) in self.network.run("ss", "-ltnH")

    @property
    def log(self) -> str:
        """What it has said."""
        return self._log.read_text()

    @property
    def master(self) -> int:
        """Number of its first process."""
        assert self.process is not None
        number = self.process.pid
        return int(Path(f"/proc/{number}/task/{number}/children").read_text().split()[0])

    @property
    def sockets(self) -> set[tuple[str, str]]:
        """Protocol and address of what listens."""
        lines = self.network.run("ss", "-ltnuH").splitlines()
        return {(line.split()[0], line.split()[4]) for line in lines}

    def let_in(self, users: bool) -> None:
        """Make or remove the file of the fence."""
        path = Path(f"/proc/{self.master}/root{FENCE_PATH}")
        path.touch() if users else path.unlink(missing_ok=True)

    def reload(self) -> None:
        """Have it take its configuration in anew, and wait until it has: HAProxy loses a signal that comes before."""
        sent, done = {
            "haproxy": (signal.SIGUSR2, "Loading success"),
            "nginx": (signal.SIGHUP, "start worker process "),
        }[self.program]
        before = self.log.count(done)
        os.kill(self.master, sent)
        until(lambda: self.log.count(done) > before, f"{self.program} has taken it in: {self.log}")

    def close(self) -> None:
        """End it, at once."""
        if self.process is not None:
            inside = Path(f"/proc/{self.master}")
            self.process.kill()
            self.process.wait()
            until(lambda: not inside.exists(), f"{self.program} ends with what started it")


def arguments_of(stack: str, program: str) -> list[str]:
    """What a load balancer's unit passes to its image."""
    return _arguments(bundle_of(stack, PROGRAMS[program][0]), program)


def _arguments(bundle: Bundle, program: str) -> list[str]:
    unit = bundle.files[f"/etc/systemd/system/mlops-ha-{program}.service"].text
    started = re.search(r"^ExecStart=(.*?[^\\])$", unit, re.MULTILINE | re.DOTALL)
    assert started, unit
    _, _, arguments = started[1].partition("${IMAGE}")
    return re.findall(r'"([^"]*)"', arguments)


_OWN = {
    "secret": {
        "primarySecretArn": "arn:aws:secretsmanager:us-east-1:123456789012:secret:own-abcdef",
        "standbySecretArn": "arn:aws:secretsmanager:us-west-2:123456789012:secret:own-abcdef",
    },
    "acm": {
        "primaryCertificateArn": "arn:aws:acm:us-east-1:123456789012:certificate/1",
        "standbyCertificateArn": "arn:aws:acm:us-west-2:123456789012:certificate/2",
    },
}
_EDGE = {"zoneId": "0123456789abcdef0123456789abcdef", "domain": "example.org", "addressRanges": ["173.245.48.0/20"]}

VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    **{stack: (name, {"role": role}) for stack, (name, role) in STACKS.items()},
    "prod-returning": (
        "prod",
        {"role": "returning", "database": {"primaryGeneration": 2, "standbyGeneration": 2}},
    ),
    "dr-leaving": ("dr", {"role": "leaving"}),
    "prod-edge": ("prod", {"edge": _EDGE}),
    "prod-five": ("prod", {"controlPlane": {"serverCount": 5}}),
    **{f"prod-{mode}": ("prod", {"certificates": {"mode": mode, **arns}}) for mode, arns in _OWN.items()},
}
"""Settings that make other files, or other secrets: stack, and what is changed in its settings."""


def validated(variant: str, program: str, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """What a load balancer says of its files when it is started with an option that has it only look."""
    stack, changes = VARIANTS[variant]
    settings = stack_settings(stack, **changes)
    node = next(node for node in load_balancers(settings) if node.role is PROGRAMS[program][0])
    made = Bundle.model_validate_json(bundle(settings, node, FACTS))
    authority = Authority()
    issued = authority.issue(public_certificate_names(settings) or (settings.domain,))
    # As a user brings it: one PEM, with the authority's certificate as its chain.
    own = {
        PUBLIC_CERTIFICATE: issued.certificate + authority.certificate,
        PUBLIC_PRIVATE_KEY: issued.private_key,
    }
    known = {f"{settings.name}/{role}": document for role, document in documents(settings).items()}
    found = entries(made, {secret.id: known.get(secret.id, own) for secret in made.manifest.secrets}, {})
    pem = "".join(own.values())
    found = [replace(one, text=pem) if one.text == json.dumps(own) else one for one in found]
    write(folder, found)
    command, *arguments = _arguments(made, program)
    return Laid(folder).run("sh", "-c", f'{_MEMORY} && exec "$@"', "sh", command, *options, *arguments)


@dataclass
class Region:
    """Both load balancers of a region and the servers behind them, and a client beside them."""

    stack: str
    client_address: str
    network: Network
    backends: Backends
    balancers: dict[str, Balancer]
    document: Mapping[str, str]

    def trust(self) -> ssl.SSLContext:
        """Who believes the platform's authority, to be changed at will."""
        return ssl.create_default_context(cadata=self.document[CA_CERTIFICATE])

    @cached_property
    def _trust(self) -> ssl.SSLContext:
        return self.trust()

    @contextmanager
    def client(self, program: str, host: str, port: int = 443, **options: Any) -> Generator[httpx.Client]:
        """A client of one name at one load balancer, to be used within ``network``; certificates are looked at."""
        balancer = self.balancers[program]
        # Health and statistics show the role's certificate.
        name = host if port == 443 else f"client.{context_of(self.stack, balancer.node.role).datacenter}.consul"

        def named(request: httpx.Request) -> None:
            request.extensions["sni_hostname"] = name

        scheme = "http" if port == 80 else "https"
        with httpx.Client(
            base_url=f"{scheme}://{balancer.address}:{port}",
            headers={"Host": host},
            verify=self._trust,
            trust_env=False,
            timeout=SECONDS,
            event_hooks={"request": [named]},
            **options,
        ) as client:
            yield client

    def ask(
        self, program: str, host: str, path: str, port: int = 443, method: str = "GET", **options: Any
    ) -> httpx.Response:
        """What is answered to one request on a connection of its own."""

        return self.network.call(lambda: self.ask_here(program, host, path, method, port, **options))

    def ask_here(
        self, program: str, host: str, path: str, method: str = "GET", port: int = 443, **options: Any
    ) -> httpx.Response:
        """The same, from a thread that is in ``network``."""
        with self.client(program, host, port) as client:
            return client.request(method, path, **options)

    def health(self, program: str, port: int = HEALTH.port) -> tuple[int, str]:
        """What a load balancer says of its health."""
        host = context_of(self.stack, NodeRole.HAPROXY).public_names.origin
        answer = self.ask(program, host, "/healthz", port)
        return answer.status_code, answer.text

    def healthy(self, program: str, port: int = HEALTH.port) -> bool:
        """Whether it says that it is."""
        return self.health(program, port)[0] == 200

    def cut(self, program: str, off: bool) -> None:
        """Cut a load balancer off, or join it again."""
        self.network.ip("link", "set", f"to-{program}", "down" if off else "up")


@contextmanager
def region(stack: str, folder: Path) -> Generator[Region]:
    """Run both load balancers of a stack between stand-in servers."""
    context = context_of(stack, NodeRole.HAPROXY)
    cidr = settings_of(stack).location.cidr
    length, client = cidr.prefixlen, str(cidr[-2])
    networks: list[Network] = []
    balancers: dict[str, Balancer] = {}

    def network() -> Network:
        networks.append(Network())
        return networks[-1]

    outside = network()
    outside.ip("link", "add", "region", "type", "bridge")
    outside.ip("link", "set", "region", "up")
    # The client's first: it is what connections come from.
    for address in (client, *context.server_addresses):
        outside.ip("address", "add", f"{address}/{length}", "dev", "region")
    backends = Backends(stack, outside, folder)
    try:
        for program in PROGRAMS:
            inside = network()
            balancer = Balancer(stack, program, inside, folder / program)
            balancers[program] = balancer
            link = f"to-{program}"
            outside.ip("link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", str(inside.thread))
            outside.ip("link", "set", link, "master", "region", "up")
            inside.ip("address", "add", f"{balancer.address}/{length}", "dev", "eth0")
            inside.ip("link", "set", "eth0", "up")
            balancer.start()
        document = documents_of(stack)[f"{settings_of(stack).name}/{Role.LOAD_BALANCER}"]
        assert PUBLIC_CERTIFICATE in document
        yield Region(stack, client, outside, backends, balancers, document)
    finally:
        for balancer in balancers.values():
            with suppress(ProcessLookupError):
                balancer.close()
        backends.close()
        for one in networks:
            one.close()
