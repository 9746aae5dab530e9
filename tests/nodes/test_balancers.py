"""What HAProxy and Nginx do with requests, from their unmodified bundles between stand-in servers."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import httpx
import pytest

from configs.routing import PROMETHEUS_LOGIN, STATISTICS_LOGIN, STICKY_COOKIE
from configs.tables.flows import FLOWS, LOAD_BALANCER_STATISTICS, Role
from configs.tables.names import PublicNames, Service
from configs.tables.paths import secret
from lab.documents import Authority
from tests.nodes.backends import PROGRAMS, SECONDS, Region, region, until
from tests.nodes.world import settings_of

NAMES = PublicNames(settings_of("prod").domain)
HOSTS = {service: NAMES.service(service) for service in Service}
STATISTICS = LOAD_BALANCER_STATISTICS.port

both = pytest.mark.parametrize("program", list(PROGRAMS))


@pytest.fixture(scope="module")
def _prod(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Region]:
    with region("prod", tmp_path_factory.mktemp("prod")) as running:
        yield running


@pytest.fixture
def prod(_prod: Region) -> Region:
    """A region that serves, all well."""
    _prod.backends.restore()
    for program, balancer in _prod.balancers.items():
        balancer.let_in(True)
        _prod.cut(program, off=False)
    until(lambda: _prod.healthy("haproxy") and _prod.healthy("nginx", 443), "all is well")
    # Both have every server again: what one test killed is no matter of the next.
    for program in PROGRAMS:
        until(lambda program=program: _spread(_prod, program) == SERVERS, f"{program} has all servers")
    _prod.backends.received.clear()
    return _prod


SERVERS = {"control-plane-1", "control-plane-2", "control-plane-3"}


def _spread(running: Region, program: str) -> set[str]:
    """The servers that are used for Consul and for Nomad: both the same, or none."""
    seen = [{_server(running.ask(program, HOSTS[service], "/spread")) for _ in range(4)} for service in EVEN]
    return seen[0] if seen[0] == seen[1] else set()


EVEN = (Service.CONSUL, Service.NOMAD)


def _server(answer: httpx.Response) -> str:
    return answer.json()["server"] if answer.status_code == 200 else str(answer.status_code)


def _login(running: Region) -> tuple[str, str]:
    return PROMETHEUS_LOGIN.user, running.document[PROMETHEUS_LOGIN.password.name]


@both
def test_names_lead_to_services(prod: Region, program: str) -> None:
    """Guards against a name that leads nowhere or elsewhere, a client who says who he is, and a way without TLS."""
    for service in Service:
        auth = _login(prod) if service is Service.PROMETHEUS else None
        for host in (NAMES.service(service), NAMES.regional(service, "us-east-1"), f"{HOSTS[service].upper()}:443"):
            answer = prod.ask(
                program,
                host.removesuffix(":443").lower(),
                "/path//%2F?a=b",
                auth=auth,
                headers={"Host": host, "X-Forwarded-For": "1.2.3.4", "X-Forwarded-Proto": "http"},
            )
            told = answer.json()
            assert (told["service"], told["method"], told["path"]) == (service, "GET", "/path//%2F?a=b")
            headers = told["headers"]
            assert [headers[f"x-forwarded-{name}"] for name in ("for", "proto", "host", "port")] == [
                prod.client_address,
                "https",
                host,
                "443",
            ]
            assert headers["host"] == host
            assert "authorization" not in headers
            assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"
    for auth in (None, ("admin", "wrong")):
        refused = prod.ask(program, HOSTS[Service.PROMETHEUS], "/", auth=auth)
        assert (refused.status_code, refused.headers["WWW-Authenticate"]) == (401, 'Basic realm="Prometheus"')
    # The one of whom nobody can have a certificate is asked for over the connection of one that is known.
    for host, status in ((NAMES.origin, 404), ("elsewhere.example.com", 404)):
        unknown = prod.ask(program, NAMES.origin, "/", headers={"Host": host})
        assert (unknown.status_code, "This is no name" in unknown.text) == (status, True)
    assert prod.ask(program, NAMES.origin, "/healthz", headers={"Host": "elsewhere.example.com"}).status_code == 404
    moved = prod.ask(program, f"{HOSTS[Service.NOMAD]}:80", "/ui/%2F?a=b", 80)
    assert (moved.status_code, moved.headers["Location"]) == (301, f"https://{HOSTS[Service.NOMAD]}/ui/%2F?a=b")
    assert prod.ask(program, "elsewhere.example.com", "/", 80).status_code == 404
    own = prod.ask(program, HOSTS[Service.NOMAD], "/own-503")
    assert (own.status_code, own.text, "Retry-After" in own.headers) == (503, "the server's own", False)


def _handshake(running: Region, program: str, context: ssl.SSLContext) -> tuple[str | None, str]:
    """Version and protocol that a handshake ends with."""

    def shake() -> tuple[str | None, str]:
        with (
            socket.create_connection((running.balancers[program].address, 443), timeout=SECONDS) as plain,
            context.wrap_socket(plain, server_hostname=NAMES.origin) as secured,
        ):
            return secured.version(), f"{secured.selected_alpn_protocol()} {(secured.cipher() or ('',))[0]}"

    return running.network.call(shake)


@both
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1.*deprecated")
def test_tls_is_new_and_strong(prod: Region, program: str) -> None:
    """Guards against TLS 1.1, against weak ciphers, and against a load balancer without HTTP/2."""
    old = prod.trust()
    old.set_ciphers("ALL:@SECLEVEL=0")
    old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    with pytest.raises(ssl.SSLError):
        _handshake(prod, program, old)
    weak = prod.trust()
    weak.maximum_version = ssl.TLSVersion.TLSv1_2
    weak.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256")
    with pytest.raises(ssl.SSLError):
        _handshake(prod, program, weak)
    strong = prod.trust()
    strong.maximum_version = ssl.TLSVersion.TLSv1_2
    strong.set_alpn_protocols(["h2", "http/1.1"])
    assert _handshake(prod, program, strong) == ("TLSv1.2", "h2 ECDHE-ECDSA-AES256-GCM-SHA384")
    assert _handshake(prod, program, prod.trust())[0] == "TLSv1.3"


@both
def test_long_answers_and_websockets_go_through(prod: Region, program: str) -> None:
    """Guards against events that arrive late, a websocket that does not open, and another protocol that does."""

    def spoken() -> tuple[bytes, bytes]:
        with prod.client(program, HOSTS[Service.GRAFANA]) as client, client.stream("GET", "/stream") as answer:
            parts = answer.iter_raw()
            first = next(parts)
            prod.backends.release()
            return first, b"".join(parts)

    assert prod.network.call(spoken) == (b"first", b"later")

    def upgraded(protocol: str) -> bytes:
        address = (prod.balancers[program].address, 443)
        with (
            socket.create_connection(address, timeout=SECONDS) as plain,
            prod.trust().wrap_socket(plain, server_hostname=HOSTS[Service.NOMAD]) as secured,
        ):
            head = f"GET /live HTTP/1.1\r\nHost: {HOSTS[Service.NOMAD]}\r\n"
            head += f"Connection: Upgrade\r\nUpgrade: {protocol}\r\n"
            key = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            secured.sendall(f"{head}{key}\r\n".encode())
            answer = secured.recv(1000)
            if b" 101 " not in answer:
                return answer.split(b"\r\n")[0]
            secured.sendall(b"to and fro")
            return secured.recv(100)

    assert prod.network.call(lambda: upgraded("websocket")) == b"to and fro"
    refused = prod.network.call(lambda: upgraded("h2c"))
    assert refused == {"haproxy": b"HTTP/1.1 400 Bad request", "nginx": b"HTTP/1.1 200 Stand-in"}[program]
    assert all("h2c" not in one.headers.get("upgrade", "") for one in prod.backends.received)


@both
def test_a_dead_server_costs_no_question_and_repeats_no_order(prod: Region, program: str) -> None:
    """Guards against questions that fail while a server dies, and against an order that is carried out twice."""
    wanted = 60
    half, begun = wanted // 2, {Service(name): 0 for name in ("consul", "grafana")}

    def asked(service: Service) -> list[str]:
        found: list[str] = []
        with prod.client(program, HOSTS[service]) as client:
            for _ in range(wanted):
                begun[service] += 1
                found.append(_server(client.get("/question")))
        return found

    answers = [prod.network.later(lambda service=service: asked(service)) for service in begun]
    until(lambda: min(begun.values()) >= half, "half is asked")
    prod.backends.kill("control-plane-2")
    found = [server for answer in answers for server in answer()]
    assert len(found) == 2 * wanted
    assert set(found) <= SERVERS, f"it failed: {sorted(set(found) - SERVERS)}"

    # In hand when the server dies: a question goes to another one, an order is answered by a failure.
    orders = (("POST", Service.CONSUL), ("PUT", Service.NOMAD), ("DELETE", Service.CONSUL))
    for method, service in (("GET", Service.NOMAD), *orders):
        prod.backends.start()
        prod.backends.received.clear()
        answer = prod.network.later(
            lambda method=method, service=service: prod.ask_here(program, HOSTS[service], "/hold", method)
        )
        until(lambda: len(prod.backends.seen("/hold")) == 1, f"the {method} is in hand")
        prod.backends.kill(prod.backends.seen("/hold")[0].server, service)
        if method == "GET":
            until(lambda: len(prod.backends.seen("/hold")) == 2, "another one has it")
            prod.backends.release()
        assert answer().status_code == (200 if method == "GET" else 502), method
        assert len(prod.backends.seen("/hold")) == (2 if method == "GET" else 1), method


def test_health_says_whether_each_service_lives(prod: Region) -> None:
    """Guards against a load balancer that is healthy without a service, and a server that is used without leader."""

    def everywhere(health: tuple[int, str]) -> None:
        until(lambda: all(prod.health(program, 443) == health for program in PROGRAMS), health[1])

    prod.backends.be_well(False, "control-plane-3", Service.CONSUL)
    for program in PROGRAMS:
        until(
            lambda program=program: prod.healthy(program, 443) and _consuls(prod, program) == LEFT,
            f"{program} leaves it out",
        )
    for service in (Service.CONSUL, Service.PROMETHEUS):
        prod.backends.be_well(False, service=service)
    for service in (Service.NOMAD, Service.GRAFANA):
        prod.backends.kill(service=service)
    everywhere((503, "no live backend of consul\n"))
    until(lambda: prod.ask("haproxy", HOSTS[Service.GRAFANA], "/").status_code == 503, "it has no server")
    for program in PROGRAMS:
        # Nginx keeps the last one that answers, however ill it is.
        for service in (Service.NOMAD, Service.GRAFANA) if program == "nginx" else Service:
            auth = _login(prod) if service is Service.PROMETHEUS else None
            empty = prod.ask(program, HOSTS[service], "/", auth=auth)
            told = {name: empty.headers[name] for name in ("Retry-After", "Cache-Control")}
            assert (empty.status_code, told) == (503, {"Retry-After": "60", "Cache-Control": "no-store"})
            assert "No server of this service answers" in empty.text
    # They come back one by one, each missed until it does.
    for back, missed in pairwise(Service):
        prod.backends.be_well(True, service=back)
        prod.backends.start(service=back)
        everywhere((503, f"no live backend of {missed}\n"))
    prod.backends.restore()
    everywhere((200, "healthy\n"))


LEFT = SERVERS - {"control-plane-3"}


def _consuls(running: Region, program: str) -> set[str]:
    return {_server(running.ask(program, HOSTS[Service.CONSUL], "/spread")) for _ in range(6)}


@both
def test_sessions_keep_their_server(prod: Region, program: str) -> None:
    """Guards against a session that changes its server, sessions that share one, and one that dies with it."""

    def session() -> list[str]:
        with prod.client(program, HOSTS[Service.GRAFANA]) as client:
            first = client.get("/")
            assert f"{STICKY_COOKIE}=" in first.headers["Set-Cookie"]
            assert {"Secure", "HttpOnly", "SameSite=Lax"} <= set(first.headers["Set-Cookie"].split("; "))
            later = [client.get("/") for _ in range(4)]
            assert not any("Set-Cookie" in one.headers for one in later)
            return [_server(one) for one in (first, *later)]

    sessions = [prod.network.call(session) for _ in range(12)]
    assert all(len(set(servers)) == 1 for servers in sessions)
    assert len({servers[0] for servers in sessions}) > 1

    def bereft() -> tuple[str, list[str]]:
        with prod.client(program, HOSTS[Service.GRAFANA]) as client:
            first = _server(client.get("/"))
            prod.backends.kill(first, Service.GRAFANA)
            return first, [_server(client.get("/")) for _ in range(3)]

    first, later = prod.network.call(bereft)
    assert len(set(later)) == 1
    assert set(later) <= SERVERS - {first}


@both
def test_the_fence_works_at_once(prod: Region, program: str) -> None:
    """Guards against users of a region that has failed over, and one that stays closed."""
    for users in (False, True, False):
        prod.balancers[program].let_in(users)
        answer = prod.ask(program, HOSTS[Service.GRAFANA], "/")
        unknown = prod.ask(program, NAMES.origin, "/", headers={"Host": "elsewhere.example.com"})
        if users:
            assert (answer.status_code, unknown.status_code) == (200, 404)
            assert prod.healthy(program, 443)
        else:
            assert (answer.status_code, answer.headers["Retry-After"], unknown.status_code) == (503, "60", 503)
            assert "us-east-1 has failed over: it serves nobody" in answer.text
            assert prod.health(program) == (503, "fenced\n")
            assert not prod.healthy(program, 443)


def test_the_passive_one_follows_the_active(prod: Region) -> None:
    """Guards against two that take traffic at once, and none that does when the active one is ill or gone."""
    passive = (503, "the active load balancer serves\n")
    assert (prod.health("haproxy")[0], prod.health("nginx"), prod.health("nginx", 443)[0]) == (200, passive, 200)
    prod.balancers["haproxy"].let_in(False)
    assert prod.health("nginx") == (200, "healthy\n")
    prod.balancers["haproxy"].let_in(True)
    assert prod.health("nginx") == passive
    prod.cut("haproxy", off=True)
    assert prod.health("nginx") == (200, "healthy\n")


@both
def test_statistics_need_the_password_and_nothing_else_listens(prod: Region, program: str) -> None:
    """Guards against statistics for everybody, metrics for nobody, and a port that no flow tells of."""
    login = (STATISTICS_LOGIN.user, prod.document[STATISTICS_LOGIN.password.name])
    # Users' passwords are no key to it.
    for auth, status in ((None, 401), (_login(prod), 401), (login, 200)):
        for path in ("/metrics", "/stats"):
            assert prod.ask(program, NAMES.origin, path, STATISTICS, auth=auth).status_code == status
    metrics = prod.ask(program, NAMES.origin, "/metrics", STATISTICS, auth=login)
    assert metrics.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    expected = {
        "haproxy": 'haproxy_backend_active_servers{proxy="grafana"} 3\n',
        "nginx": "\nnginx_connections_active 1\n",
    }
    assert expected[program] in metrics.text
    assert prod.ask(program, NAMES.origin, "/alive", STATISTICS).text == "alive\n"
    assert prod.ask(program, NAMES.origin, "/else", STATISTICS, auth=login).status_code == 404
    # The other agents of the node listen as well, but not here.
    elsewhere = {"consul-serf-lan", "consul-http", "consul-grpc", "node-exporter", "ssh"}
    flows = [flow for flow in FLOWS if Role.LOAD_BALANCER in flow.listeners and flow.name not in elsewhere]
    assert prod.balancers[program].sockets == {
        (protocol, f"0.0.0.0:{flow.port}") for flow in flows for protocol in flow.protocols
    }


def _shown(running: Region, program: str) -> bytes:
    """The certificate that users are shown."""

    def shake() -> bytes:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with (
            socket.create_connection((running.balancers[program].address, 443), timeout=SECONDS) as plain,
            context.wrap_socket(plain, server_hostname=NAMES.origin) as secured,
        ):
            return secured.getpeercert(binary_form=True) or b""

    return running.network.call(shake)


@both
def test_a_renewed_certificate_breaks_no_connection(prod: Region, program: str) -> None:
    """Guards against a reload that costs a request in hand, or that goes on with the old certificate."""
    answer = prod.network.later(lambda: prod.ask_here(program, HOSTS[Service.CONSUL], "/hold"))
    until(lambda: len(prod.backends.seen("/hold")) == 1, "it is in hand")
    balancer = prod.balancers[program]
    place = Path(f"/proc/{balancer.master}/root{secret(program, 'public.pem')}")
    before, issued = place.read_text(), Authority().issue((NAMES.origin,))
    for text in (issued.certificate + issued.private_key, before):
        place.write_text(text)
        balancer.reload()
        certificate = ssl.PEM_cert_to_DER_cert("".join(text.partition("-----END CERTIFICATE-----")[:2]))
        # Processes of before may still take a connection.
        until(
            lambda certificate=certificate: all(_shown(prod, program) == certificate for _ in range(4)),
            "it is shown to everybody",
        )
    assert all(_server(prod.ask(program, HOSTS[Service.CONSUL], "/")) in SERVERS for _ in range(3))
    prod.backends.release()
    assert answer().status_code == 200


def test_a_standby_is_healthy_and_serves_nobody(tmp_path: Path) -> None:
    """Guards against users of a region that stands by, and against one that is never healthy without Grafana."""
    with region("dr-standby", tmp_path) as standby:
        for program in PROGRAMS:
            assert standby.health(program, 443) == (200, "healthy\n")
            for host in (*HOSTS.values(), NAMES.regional(Service.GRAFANA, "us-west-2")):
                answer = standby.ask(program, host, "/v1/jobs", method="POST")
                assert (answer.status_code, answer.headers["Retry-After"]) == (503, "60")
                assert "us-west-2 stands by: it serves nobody" in answer.text
            unknown = standby.ask(program, NAMES.origin, "/", headers={"Host": "elsewhere.example.com"})
            assert unknown.status_code == 503
        assert standby.health("nginx") == (503, "the active load balancer serves\n")
        assert not standby.backends.seen("/v1/jobs")
        standby.backends.kill(service=Service.NOMAD)
        for program in PROGRAMS:
            until(
                lambda program=program: standby.health(program, 443) == (503, "no live backend of nomad\n"),
                "it is ill",
            )
