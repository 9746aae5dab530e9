"""What is around a boot agent in tests: an AWS CLI, certificates, and servers on this machine."""

from __future__ import annotations

import datetime as dt
import ipaddress
import json
import os
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from typing_extensions import override

from boot_agent import agent, agent_text
from configs.manifest import FORMAT
from configs.nodes import AGENT_KEY
from configs.reports import Report
from configs.tables.names import TURN_KEY
from lab.documents import load
from lab.namespaces import WITH_PARENT
from tests.unit import node_programs
from tests.unit.node_programs import NAMES, Programs
from toolchain.packages import python39

QUESTIONS = ("is-active", "show")
"""What systemctl is asked."""

PROGRAM = """\
#!/bin/sh
exec {python} -IS {programs} {home} {aws_home} {name} "$@"
"""


def certificate(days: float) -> str:
    """A certificate that ends in so many days."""
    return Authority().issue(days)[0]


class Authority:
    """An authority that issues certificates for this machine."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority")])
        made = self._begun(self._name, self._key.public_key(), 100).add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=True
        )
        self.certificate = self._signed(made)

    def _begun(self, name: x509.Name, key: ec.EllipticCurvePublicKey, days: float) -> x509.CertificateBuilder:
        now = dt.datetime.now(dt.UTC)
        return (
            x509.CertificateBuilder(self._name, name, key, x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=days))
        )

    def _signed(self, made: x509.CertificateBuilder) -> str:
        return made.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()

    def issue(self, days: float = 10) -> tuple[str, str]:
        """A certificate for 127.0.0.1 that ends in so many days, and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "node")])
        made = self._begun(name, key.public_key(), days).add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.IPv4Address("127.0.0.1"))]), critical=False
        )
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return self._signed(made), private.decode()


def loaded(context: ssl.SSLContext, certificate: str, key: str) -> ssl.SSLContext:
    """A context with a certificate."""
    load(context, certificate, key)
    return context


def mutual_tls(authority: str, certificate: str, key: str) -> ssl.SSLContext:
    """A server's TLS that asks for certificates of an authority, as Consul does with verify_incoming."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cadata=authority)
    context.verify_mode = ssl.CERT_REQUIRED
    return loaded(context, certificate, key)


@dataclass
class Answers:
    """What a server answers, by path; what it has no answer to is 404. It may change while it serves."""

    by_path: dict[str, tuple[int, bytes]] = field(default_factory=dict[str, tuple[int, bytes]])
    moved_to: str | None = None
    """Where it sends every caller who asks for another path, if anywhere."""
    asked: list[tuple[str, str, dict[str, str]]] = field(default_factory=list[tuple[str, str, dict[str, str]]])
    """Method, path and headers of what it was asked."""


@contextmanager
def serving(answers: Answers, context: ssl.SSLContext | None = None) -> Generator[int]:
    """A server on this machine, over TLS if there is a context; gives its port."""

    class Handler(BaseHTTPRequestHandler):
        @override
        def log_message(self, format: str, *args: Any) -> None: ...

        def do_PUT(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            answers.asked.append((self.command, self.path, dict(self.headers)))
            status, body = answers.by_path.get(self.path, (404, b""))
            moved = answers.moved_to is not None and not answers.moved_to.endswith(self.path)
            self.send_response(302 if moved else status)
            if moved:
                self.send_header("Location", str(answers.moved_to))
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if context is not None:
        # The handshake is the handler's: a caller that turns away must not end the server.
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


class Health(dict[str, tuple[int, bytes]]):
    """What the services of a node answer at ``/<name>``: 200 while systemd runs them and their file is no bad one."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world

    @override
    def get(self, key: str, default: Any = None) -> Any:
        del default
        name = key.strip("/")
        runs = self.world.units().get(f"mlops-ha-{name}.service", "").startswith("active")
        file = self.world.root / "etc/mlops-ha" / name / "one.conf"
        bad = file.exists() and "bad" in file.read_text()
        ill = self.world.home / "ill"
        bad = bad or (ill.exists() and ill.read_text() == name)
        return (200 if runs and not bad else 503, b"")


@dataclass
class World:
    """What is around an agent."""

    home: Path
    aws_home: Path
    environment: dict[str, str]

    @property
    def root(self) -> Path:
        return self.home / "root"

    @property
    def programs(self) -> Programs:
        return Programs(self.home, self.aws_home)

    def put(self, key: str, text: str) -> None:
        path = self.aws_home / "s3" / "bundles" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def put_secret(self, name: str, text: str) -> None:
        (self.aws_home / "secrets").mkdir(exist_ok=True)
        (self.aws_home / "secrets" / name.replace("/", ":")).write_text(text)

    def put_images(self, url: str = "", **tags: str) -> None:
        """The list of images: tag and digest by software."""
        images = {name: {"repository": f"mlops/{name}", "tag": tag, "digest": tag} for name, tag in tags.items()}
        path = self.aws_home / "s3" / (url.removeprefix("s3://") or IMAGES)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(images))

    def report(self, key: str) -> Report:
        return Report.from_json((self.aws_home / "s3" / "bundles" / key).read_text())

    def lock(self) -> dict[str, str] | None:
        path = self.aws_home / "s3" / "bundles" / TURN_KEY
        return json.loads(path.read_text()) if path.exists() else None

    def figures(self) -> list[dict[str, str]]:
        path = self.home / "figures"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def units(self) -> dict[str, str]:
        return self.programs.known("units")

    def calls(self, *names: str) -> list[str]:
        """Calls of some programs until now, which are forgotten then; questions are left out."""
        path = self.home / "calls"
        made: list[list[str]] = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        path.unlink(missing_ok=True)
        return [" ".join(call) for call in made if call[0] in names and call[1] not in QUESTIONS]

    def files(self) -> dict[str, Path]:
        """Files of the node by path."""
        return {f"/{path.relative_to(self.root)}": path for path in self.root.rglob("*") if path.is_file()}


IMAGES = "backups/images/index.json"
"""Where the list of images is in S3."""


def made(home: Path, aws_home: Path | None = None) -> World:
    """A world in a folder, with its programs and the agent in S3; another one's S3 may be its own."""
    shared = aws_home or home
    folder = home / "bin"
    folder.mkdir(parents=True)
    for name in NAMES:
        program = folder / name
        text = PROGRAM.format(
            python=sys.executable, programs=node_programs.__file__, home=home, aws_home=shared, name=name
        )
        program.write_text(text)
        program.chmod(0o755)
    world = World(
        home,
        shared,
        {
            "BUNDLES_BUCKET": "bundles",
            "BOOT_AGENT_ROOT": str(home / "root"),
            "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}",
        },
    )
    world.put(AGENT_KEY, agent_text())
    world.put_images()
    return world


def service_part(name: str, port: int, **changes: Any) -> dict[str, Any]:
    """A service with a file, whose health is asked on a port."""
    return {
        "name": name,
        "kind": "binary",
        "software": name,
        "version": "1",
        "program": f"/bin/{name}",
        "restarts": [f"/etc/mlops-ha/{name}/one.conf"],
        "reloads": [],
        "probe": {"kind": "http", "port": port, "path": f"/{name}"},
        **changes,
    }


def manifest_of(**changes: Any) -> dict[str, Any]:
    """The manifest of a node on which nothing runs."""
    nothing: dict[str, Any] = {
        field: []
        for field in (
            *("servers", "packages", "mounts", "directories", "secrets", "certificates"),
            *("services", "quorum", "snapshots"),
        )
    }
    nothing |= dict.fromkeys(("access", "turn", "drain", "fence", "watch"))
    names = {"format": FORMAT, "node": "node", "images": f"s3://{IMAGES}", "registry": "registry"}
    return {**nothing, **names, **changes}


def small_bundle(files: dict[str, list[str]] | None = None, **changes: Any) -> str:
    """A bundle with a file, or some, and a unit for each of its services."""
    manifest = manifest_of(**changes)
    texts = {"/etc/one": ["a", "b"]} if files is None else files
    units = {f"/etc/systemd/system/mlops-ha-{one['name']}.service": ["[Unit]"] for one in manifest["services"]}
    return json.dumps(
        {
            "manifest": manifest,
            "files": {path: {"lines": lines, "mode": "0640"} for path, lines in (units | texts).items()},
        }
    )


@contextmanager
def started(world: World, address: str) -> Generator[subprocess.Popen[str]]:
    """The agent as a node runs it, with nothing in its environment but what systemd gives; killed with the block."""
    program = world.home / "agent.py"
    program.write_text(agent_text())
    variables = world.environment | {"AWS_EC2_METADATA_SERVICE_ENDPOINT": address}
    with subprocess.Popen(
        [*WITH_PARENT, python(), "-I", program],
        env=variables,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def python() -> str:
    """The Python of Amazon Linux 2023 if this machine has it, and else the tests' own."""
    found = python39()
    return sys.executable if found is None else str(found)


def inside(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a world around this process: its programs are called, not started."""
    real = agent.outcome

    def outcome(*command: str, stdin: bytes | None = None, seconds: float = 60) -> tuple[int, str, str]:
        if command[0] not in NAMES:
            return real(*command, stdin=stdin, seconds=seconds)
        return world.programs.outcome(command[0], list(command[1:]), stdin or b"")

    monkeypatch.setattr(agent, "outcome", outcome)
    monkeypatch.setattr(agent, "ROOT", str(world.root))
    monkeypatch.setattr(agent, "ENVIRONMENT", {"DOCKER_CONFIG": f"{world.root}/run/mlops-ha/boot-agent/docker"})
    # Files belong to whoever runs the tests.
    monkeypatch.setattr(agent.shutil, "chown", no_owner)
    monkeypatch.setattr(agent.Path, "owner", owner)


def owner(_: Path) -> str:
    return "root"


def no_owner(path: Path, user: str, group: str) -> None:
    assert user == group
    assert path.exists()


def appears(path: Path) -> bool:
    """Whether a file comes."""
    ends = time.monotonic() + 30
    while not path.exists() and time.monotonic() < ends:
        time.sleep(0.05)
    return path.exists()


def awaited(path: Path, part: str = "") -> str:
    """What is in a file once there is something, with a part in it."""
    ends = time.monotonic() + 30
    while time.monotonic() < ends:
        if path.exists() and (text := path.read_text()) and part in text:
            return text
        time.sleep(0.05)
    raise AssertionError(f"{path} never came")
