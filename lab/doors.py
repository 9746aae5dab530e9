"""A region's entrance without the region: what operators' commands call, answered by one process.

It stands in for machines that a later release boots: the load balancer with its certificate, and behind it the few
answers of Consul, Nomad, Prometheus and Grafana that the commands need. It proves what the commands send and how they
take an answer, not that the services work. Nomad's language is not understood: a job is its text and its variables.
"""

from __future__ import annotations

import base64
import json
import re
import ssl
import threading
from collections.abc import Callable, Collection, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from configs.tables.names import HEALTH_PATH, PublicNames, Service
from lab.documents import load

LOOPBACK = "127.0.0.1"

CLIENT_SECONDS = 10
"""Time that a client has for its handshake and its request: one that hangs must not hold up the end of a test."""


@dataclass(frozen=True)
class Credentials:
    """What the services demand: the management tokens, and user and password of the load balancer for Prometheus."""

    consul_token: str
    nomad_token: str
    prometheus: tuple[str, str]


@dataclass(frozen=True)
class ServerCertificate:
    """A certificate and its private key, and the authority that issued it, each in PEM."""

    authority: str
    certificate: str
    private_key: str


@dataclass(frozen=True)
class HeldJob:
    """A job that Nomad holds, and the index at which it was last changed."""

    job: dict[str, Any]
    index: int


@dataclass(frozen=True)
class Received:
    """One request as it came: the name it was for, without the port."""

    host: str
    method: str
    path: str


@dataclass
class Door:
    """One region's entrance. Everything may be changed while it serves."""

    public_names: PublicNames
    region: str
    credentials: Credentials
    serving: bool = True
    """Off: what a standby's load balancer does. It is healthy, and says 503 to everything else."""
    fenced: bool = False
    """On: what the load balancer of a primary does that failed over. It says 503 to everything."""
    look: Callable[[Door], None] | None = None
    """Called before each answer, to bring the rest up to date."""
    consul_leader: str = "10.0.0.1:8300"
    """Empty: no leader, which Consul answers with status 200 as well."""
    nomad_ready: bool = True
    prometheus_ready: bool = True
    grafana_database: str = "ok"
    jobs: dict[str, HeldJob] = field(default_factory=dict[str, HeldJob])
    """What Nomad holds, by job id."""
    index: int = 0
    """Nomad's last index: each change of a job counts."""
    restored: dict[Service, bytes] = field(default_factory=dict[Service, bytes])
    """The snapshot that Consul or Nomad was last given."""
    received: list[Received] = field(default_factory=list[Received])
    """Every request, in the order of arrival."""
    address: str = LOOPBACK
    https_port: int = 0
    """Where it listens, once it does."""

    @property
    def addresses(self) -> dict[str, tuple[str, ...]]:
        """What DNS has to answer for the region's names."""
        return dict.fromkeys(self.public_names.all_regional(self.region), (self.address,))


@dataclass(frozen=True)
class _Request:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class _Answer:
    status: int
    body: bytes
    content_type: str = "text/plain"


def _plain(status: int, text: str) -> _Answer:
    return _Answer(status, text.encode())


def _json(content: object, status: int = HTTPStatus.OK) -> _Answer:
    return _Answer(status, json.dumps(content).encode(), "application/json")


_DENIED = _plain(HTTPStatus.FORBIDDEN, "Permission denied")
_NOT_HERE = _plain(HTTPStatus.NOT_IMPLEMENTED, "the stand-in does not answer this")


def _consul(door: Door, request: _Request) -> _Answer:
    match request.method, request.path:
        case "GET", "/v1/status/leader":
            return _json(door.consul_leader)
        case "PUT", "/v1/snapshot":
            if request.headers.get("x-consul-token") != door.credentials.consul_token:
                return _DENIED
            door.restored[Service.CONSUL] = request.body
            return _plain(HTTPStatus.OK, "")
        case _:
            return _NOT_HERE


def _nomad(door: Door, request: _Request) -> _Answer:
    if (request.method, request.path) == ("GET", "/v1/agent/health"):
        message = "ok" if door.nomad_ready else "No cluster leader"
        status = HTTPStatus.OK if door.nomad_ready else HTTPStatus.INTERNAL_SERVER_ERROR
        return _json({"server": {"ok": door.nomad_ready, "message": message}}, status)
    if request.headers.get("x-nomad-token") != door.credentials.nomad_token:
        return _DENIED
    match request.method, request.path.split("/")[1:]:
        case "POST", ["v1", "jobs", "parse"]:
            return _parsed(json.loads(request.body))
        case "POST", ["v1", "job", job_id, "plan"]:
            held, job = door.jobs.get(job_id), json.loads(request.body)["Job"]
            kind = "Added" if held is None else "None" if held.job == job else "Edited"
            return _json({"Diff": {"ID": job_id, "Type": kind}, "JobModifyIndex": held.index if held else 0})
        case "POST", ["v1", "jobs"]:
            return _registered(door, json.loads(request.body))
        case "PUT", ["v1", "operator", "snapshot"]:
            # The state is the snapshot's from now on: jobs that were registered before are gone.
            door.restored[Service.NOMAD] = request.body
            door.jobs.clear()
            return _plain(HTTPStatus.OK, "")
        case _:
            return _NOT_HERE


def _parsed(body: dict[str, Any]) -> _Answer:
    text, given = body["JobHCL"], body.get("Variables", "")
    name = re.search(r'^job\s+"([^"]+)"', text, re.MULTILINE)
    if name is None:
        return _plain(HTTPStatus.BAD_REQUEST, "error parsing job file: no job block found")
    declared = set(re.findall(r'^variable\s+"([^"]+)"', text, re.MULTILINE))
    variables = {key: json.loads(value) for key, value in re.findall(r"^(\w+)\s*=\s*(\S.*)$", given, re.MULTILINE)}
    if undeclared := sorted(variables.keys() - declared):
        return _plain(HTTPStatus.BAD_REQUEST, f"Undefined variable: {', '.join(undeclared)}")
    return _json({"ID": name[1], "Name": name[1], "Type": "service", "Text": text, "Variables": variables})


def _registered(door: Door, body: dict[str, Any]) -> _Answer:
    job = cast(dict[str, Any], body["Job"])
    held = door.jobs.get(job["ID"])
    if body.get("EnforceIndex") and body.get("JobModifyIndex") != (held.index if held else 0):
        # Nomad answers so, in all three cases (nomad/job_endpoint.go).
        found = f"job exists with conflicting job modify index: {held.index}" if held else "job does not exist"
        found = "job already exists" if held and not body["JobModifyIndex"] else found
        message = f"Enforcing job modify index {body['JobModifyIndex']}: {found}"
        return _plain(HTTPStatus.INTERNAL_SERVER_ERROR, message)
    door.index += 1
    door.jobs[job["ID"]] = HeldJob(job, door.index)
    return _json({"EvalID": f"evaluation-{door.index}", "JobModifyIndex": door.index, "Warnings": ""})


def _prometheus(door: Door, request: _Request) -> _Answer:
    login = base64.b64encode(":".join(door.credentials.prometheus).encode()).decode()
    if request.headers.get("authorization") != f"Basic {login}":
        return _plain(HTTPStatus.UNAUTHORIZED, "401 Unauthorized")
    if (request.method, request.path) != ("GET", "/-/ready"):
        return _NOT_HERE
    if not door.prometheus_ready:
        return _plain(HTTPStatus.SERVICE_UNAVAILABLE, "Service Unavailable")
    return _plain(HTTPStatus.OK, "Prometheus Server is Ready.\n")


def _grafana(door: Door, request: _Request) -> _Answer:
    if (request.method, request.path) != ("GET", "/api/health"):
        return _NOT_HERE
    well = door.grafana_database == "ok"
    status = HTTPStatus.OK if well else HTTPStatus.SERVICE_UNAVAILABLE
    return _json({"database": door.grafana_database}, status)


_SERVICES: dict[Service, Callable[[Door, _Request], _Answer]] = {
    Service.CONSUL: _consul,
    Service.NOMAD: _nomad,
    Service.PROMETHEUS: _prometheus,
    Service.GRAFANA: _grafana,
}


def _answer(door: Door, host: str, request: _Request) -> _Answer:
    if door.look is not None:
        door.look(door)
    if door.fenced:
        return _plain(HTTPStatus.SERVICE_UNAVAILABLE, f"{door.region} has failed over: it serves nobody")
    if request.path == HEALTH_PATH:
        return _plain(HTTPStatus.OK, "healthy")
    if not door.serving:
        return _plain(HTTPStatus.SERVICE_UNAVAILABLE, f"{door.region} stands by: it serves nobody")
    names = door.public_names
    for service, answer in _SERVICES.items():
        if host in (names.regional(service, door.region), names.service(service)):
            return answer(door, request)
    return _plain(HTTPStatus.NOT_FOUND, f"{host} is no name of this platform")


class _Server(ThreadingHTTPServer):
    # Threads that wait for a client's next word end with the process.
    daemon_threads = True
    block_on_close = False

    def __init__(self, door: Door, context: ssl.SSLContext, port: int) -> None:
        self.door, self._lock = door, threading.Lock()
        super().__init__((door.address, port), _Handler)
        # The handshake comes with the first read, on the client's own thread.
        self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    def answer(self, host: str, request: _Request) -> _Answer:
        with self._lock:
            self.door.received.append(Received(host, request.method, request.path))
            return _answer(self.door, host, request)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002  (the base class's signature)
        # A client that does not believe the certificate goes away in the handshake: nothing to print.
        return


class _Handler(BaseHTTPRequestHandler):
    timeout = CLIENT_SECONDS

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_PUT(self) -> None:
        self._serve()

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = _Request(self.command, urlsplit(self.path).path, headers, body)
        answer = cast(_Server, self.server).answer(headers.get("host", "").partition(":")[0], request)
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002, ARG002  (the base class's signature)
        return


@contextmanager
def open_door(door: Door, certificate: ServerCertificate, port: int = 0) -> Generator[Door]:
    """Serve a region's entrance at ``door.address`` while the block runs.

    Args:
        door: what is served; it learns its port.
        certificate: of the names that clients ask for: the platform's public one, or ``issued``.
        port: 0 takes a free one. Regions that share a port need addresses of their own (127.0.0.2, 127.0.0.3, ...).

    Raises:
        OSError: the address cannot be had.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    load(context, certificate.certificate, certificate.private_key)
    server = _Server(door, context, port)
    door.https_port = server.server_port
    with _running(server):
        yield door


@contextmanager
def _running(server: ThreadingHTTPServer) -> Generator[None]:
    # Looked at a hundred times a second whether to stop: the end of a test waits for it.
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def issued(names: Collection[str]) -> ServerCertificate:
    """Return a certificate for DNS names, issued for a day by an authority made for it alone."""
    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority of a stand-in")])
    now = datetime.now(UTC)

    def builder(subject: x509.Name, public_key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(authority_name)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            # An hour back: clocks of test machines differ.
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False
            )
        )

    usage = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    authority = (
        builder(authority_name, authority_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .sign(authority_key, hashes.SHA256())
    )
    alternatives = [x509.DNSName(name) for name in sorted(names)]
    certificate = (
        builder(x509.Name([]), key.public_key())
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=True)
        .sign(authority_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private_key = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return ServerCertificate(
        authority.public_bytes(pem).decode(), certificate.public_bytes(pem).decode(), private_key.decode()
    )
