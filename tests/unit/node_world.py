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

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from typing_extensions import override

from boot_agent import agent_text
from configs.bundle import FORMAT
from configs.nodes import AGENT_KEY
from configs.reports import Report

STUB = """\
#!{python} -IS
# The AWS CLI, as far as the agent calls it: a folder is S3, another holds secrets and figures. Calls are noted.
import json, os, pathlib, sys, time

home, call = pathlib.Path({home!r}), sys.argv[1:]
with open(home / "calls", "a") as calls:
    calls.write(json.dumps(call) + "\\n")
if (home / "down").exists():
    sys.exit("Could not connect to the endpoint URL")
if (home / "silent").exists():
    # Silent until whoever called is gone: a test leaves no process behind.
    caller = os.getppid()
    while os.getppid() == caller:
        time.sleep(0.1)
    sys.exit()
if call[:3] == ["s3", "cp", "--only-show-errors"]:
    source, target = call[3:]
    if target != "-":
        path = home / "s3" / target[len("s3://"):]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(sys.stdin.buffer.read() if source == "-" else pathlib.Path(source).read_bytes())
    else:
        path = home / "s3" / source[len("s3://"):]
        if not path.exists():
            sys.exit("fatal error: An error occurred (404): Key does not exist")
        sys.stdout.write(path.read_text())
elif call[:2] == ["secretsmanager", "get-secret-value"]:
    assert call[2::2] == ["--secret-id", "--query", "--output"]
    print((home / "secrets" / call[3].replace("/", ":")).read_text())
elif call[:2] == ["cloudwatch", "put-metric-data"]:
    with open(home / "figures", "a") as figures:
        figures.write(json.dumps(dict(zip(call[2::2], call[3::2]))) + "\\n")
else:
    sys.exit("unknown call")
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


@dataclass
class World:
    """What is around an agent."""

    home: Path
    environment: dict[str, str]

    @property
    def root(self) -> Path:
        return self.home / "root"

    def put(self, key: str, text: str) -> None:
        path = self.home / "s3" / "bundles" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def put_secret(self, name: str, text: str) -> None:
        (self.home / "secrets").mkdir(exist_ok=True)
        (self.home / "secrets" / name.replace("/", ":")).write_text(text)

    def report(self, key: str) -> Report:
        return Report.from_json((self.home / "s3" / "bundles" / key).read_text())

    def figures(self) -> list[dict[str, str]]:
        path = self.home / "figures"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def made(home: Path) -> World:
    """A world in a folder, with an AWS CLI and the agent in S3."""
    program = home / "bin" / "aws"
    program.parent.mkdir()
    program.write_text(STUB.format(python=sys.executable, home=str(home)))
    program.chmod(0o755)
    world = World(
        home,
        {
            "BUNDLES_BUCKET": "bundles",
            "BOOT_AGENT_ROOT": str(home / "root"),
            "PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}",
        },
    )
    world.put(AGENT_KEY, agent_text())
    return world


def small_bundle(**changes: Any) -> str:
    """A bundle with one file and nothing secret."""
    manifest: dict[str, Any] = {"format": FORMAT, "secrets": [], "certificates": [], **changes}
    return json.dumps({"manifest": manifest, "files": {"/etc/one": {"lines": ["a", "b"], "mode": "0640"}}})


def started(world: World, address: str) -> subprocess.Popen[str]:
    """The agent as a node runs it, with nothing in its environment but what systemd gives."""
    program = world.home / "agent.py"
    program.write_text(agent_text())
    variables = world.environment | {"AWS_EC2_METADATA_SERVICE_ENDPOINT": address}
    return subprocess.Popen(
        [sys.executable, "-I", program], env=variables, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def awaited(path: Path) -> str:
    for _ in range(200):
        if path.exists() and path.read_text():
            return path.read_text()
        time.sleep(0.05)
    raise AssertionError(f"{path} never came")
