"""The boot agent in a failover: the fence, the view of the primary region, and snapshots of Consul and Nomad."""

from __future__ import annotations

import gzip
import io
import json
import shutil
import socket
import ssl
import stat
import tarfile
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from boot_agent import agent, agent_text
from configs.bundle import BundleFacts, bundle
from configs.nodes import bundle_key, control_plane, report_key
from configs.tables.paths import FENCE_FOLDER, FENCE_PATH
from tests.unit.mocks import stack_settings
from tests.unit.node_world import (
    Answers,
    Authority,
    World,
    appears,
    inside,
    loaded,
    made,
    mutual_tls,
    serving,
    small_bundle,
    started,
)

NODE = "control-plane-1"


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A world, around this process too."""
    world = made(tmp_path)
    inside(world, monkeypatch)
    return world


def node(world: World, **parts: Any) -> agent.Agent:
    """An agent that has applied a bundle with some parts."""
    world.put(bundle_key(NODE), small_bundle(**parts))
    one = begun()
    one.step(0)
    return one


def begun() -> agent.Agent:
    return agent.Agent("bundles", NODE, "i-1", "10.0.0.1", agent_text())


def reported(one: agent.Agent, world: World) -> Any:
    one.report()
    return world.report(report_key(NODE))


def unused_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


# The fence.


@dataclass
class Switch:
    """The failover switch, and an agent's fence."""

    answers: Answers
    part: dict[str, str]

    def say(self, status: int) -> None:
        self.answers.by_path = {"/switch": (status, b"2026-11-24T10:00:00Z")}


@pytest.fixture
def switch() -> Generator[Switch]:
    answers = Answers()
    with serving(answers) as port:
        yield Switch(answers, {"url": f"http://127.0.0.1:{port}/switch", "path": FENCE_PATH})


def fence(world: World) -> str:
    """What the load balancer sees."""
    return "open" if (world.root / FENCE_PATH[1:]).exists() else "fenced"


@pytest.mark.parametrize(("status", "state"), [(200, "fenced"), (403, "open"), (404, "open")])
def test_the_switch_keeps_users_away(status: int, state: str, switch: Switch, world: World) -> None:
    """Guards against a primary that serves beside the standby, and one that never serves again."""
    one = node(world, fence=switch.part)
    for before in (404, 200):
        switch.say(before)
        one.look_at_fence()
        switch.say(status)
        one.look_at_fence()
        assert fence(world) == state
    assert stat.S_IMODE((world.root / FENCE_FOLDER[1:]).stat().st_mode) == 0o755
    assert reported(one, world).fenced is (state == "fenced")
    assert not list(world.root.rglob("*.new"))


def moved(switch: Switch) -> None:
    switch.answers.moved_to = switch.part["url"].replace("/switch", "/page")
    switch.answers.by_path = {"/page": (200, b"please sign in")}


def broken(switch: Switch) -> None:
    switch.say(503)


def strange_status(switch: Switch) -> None:
    switch.say(400)


def gone(switch: Switch) -> None:
    switch.part["url"] = f"http://127.0.0.1:{unused_port()}/switch"


@pytest.mark.parametrize("before", [None, 404, 200])
@pytest.mark.parametrize("unclear", [broken, strange_status, moved, gone])
def test_an_unclear_answer_changes_nothing(
    unclear: Callable[[Switch], None], before: int | None, switch: Switch, world: World
) -> None:
    """Guards against a primary that us-west-2's silence takes down, and one that it opens beside the standby."""
    one = node(world, fence=switch.part)
    if before is not None:
        switch.say(before)
        one.look_at_fence()
    unclear(switch)
    world.put(bundle_key(NODE), small_bundle(fence=switch.part))
    one.step(30)
    assert one.attempt(one.look_at_fence) is False
    state = "fenced" if before == 200 else "open"
    assert fence(world) == state
    report = reported(one, world)
    assert report.fenced is (before == 200)
    assert "look_at_fence: the failover switch says " in report.reason
    assert f": {state} as before" in report.reason


def test_a_switch_that_stays_silent_is_not_waited_for(
    switch: Switch, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guards against a fence that hangs on one answer and never sees the switch again."""
    monkeypatch.setattr(agent, "LOOK_TIMEOUT_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        switch.part["url"] = f"http://127.0.0.1:{silent.getsockname()[1]}/switch"
        one = node(world, fence=switch.part)
        began = time.monotonic()
        with pytest.raises(agent.Problem, match="timed out: open as before"):
            one.look_at_fence()
        # Far from what it would wait by itself, and from what a busy machine adds.
        assert time.monotonic() - began < 3
    assert fence(world) == "open"


@pytest.mark.parametrize(("status", "state"), [(200, "fenced"), (404, "open")])
def test_a_machine_that_starts_again_knows_without_its_bundle(
    status: int, state: str, switch: Switch, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guards against a load balancer that starts in a lost region, reads no bundle, and lets users in."""
    switch.say(status)
    node(world, fence=switch.part).look_at_fence()
    (world.root / FENCE_PATH[1:]).unlink(missing_ok=True)  # Memory: a start takes it.
    (world.root / agent.KEPT_BUNDLE[1:]).unlink()
    (world.home / "down").touch()
    again = begun()
    switch.say(503)
    seen: list[str] = []
    real = agent.status_of

    def asked(url: str) -> int:
        seen.append(fence(world))
        return real(url)

    monkeypatch.setattr(agent, "status_of", asked)
    assert again.attempt(again.look_at_fence) is False
    assert (seen, fence(world)) == ([state], state), "it is known before the answer"
    switch.say(200)
    again.look_at_fence()
    assert fence(world) == "fenced"


@pytest.mark.parametrize("kept", ["", "{", "[]", "fenced", '{"fence": null, "state": "open"}', '{"state": "fenced"}'])
def test_a_broken_memory_is_none(kept: str, world: World) -> None:
    """Guards against an agent that a full disk's half a file keeps from starting."""
    path = world.root / agent.KEPT_FENCE[1:]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(kept)
    one = begun()
    assert (one.fence, one.fence_state) == (None, "open")


def test_a_full_disk_does_not_let_users_in(switch: Switch, world: World) -> None:
    """Guards against a fence that depends on the disk that remembers it."""
    one = node(world, fence=switch.part)
    switch.say(404)
    one.look_at_fence()
    folder = world.root / agent.STATE[1:]
    shutil.rmtree(folder)
    folder.write_text("no folder: nothing can be written here")
    switch.say(200)
    assert one.attempt(one.look_at_fence) is False
    assert fence(world) == "fenced"


def test_a_node_without_a_fence_says_nothing_of_it(world: World) -> None:
    """Guards against a standby that is taken for one that keeps users away, or for one that does not."""
    one = node(world)
    one.look_at_fence()
    assert reported(one, world).fenced is None
    assert not (world.root / FENCE_PATH[1:]).exists()


def test_the_fence_does_not_wait_for_aws(switch: Switch, world: World) -> None:
    """Guards against a fence that is looked at after S3's calls alone, which hang when the region is in trouble."""
    switch.say(404)
    node(world, fence=switch.part).look_at_fence()
    (world.root / FENCE_PATH[1:]).unlink()
    (world.home / "silent").touch()
    known = Answers(
        by_path={
            "/latest/api/token": (200, b"token"),
            "/latest/meta-data/tags/instance/Node": (200, NODE.encode()),
            "/latest/meta-data/instance-id": (200, b"i-9"),
            "/latest/meta-data/local-ipv4": (200, b"10.0.0.9"),
        }
    )
    with serving(known) as port, started(world, f"http://127.0.0.1:{port}"):
        assert appears(world.root / FENCE_PATH[1:])


# The primary, seen from the standby.


@pytest.fixture
def secure() -> ssl.SSLContext:
    """TLS with a certificate that nobody trusts."""
    certificate, key = Authority().issue()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    return loaded(context, certificate, key)


@pytest.mark.parametrize(("status", "serves"), [(200, True), (503, False), (302, False)])
def test_the_primary_is_asked_as_its_users_ask(
    status: int, serves: bool, secure: ssl.SSLContext, world: World
) -> None:
    """Guards against a standby that takes a fenced or broken primary for one that serves, or the reverse."""
    answers = Answers(by_path={"/healthz": (status, b"")})
    with serving(answers, secure) as port:
        one = node(world, watch={"url": f"https://localhost:{port}/healthz"})
        assert reported(one, world).primary_answers is serves
    ((_, path, headers),) = answers.asked
    assert (path, headers["Host"]) == ("/healthz", f"localhost:{port}")


def test_a_primary_that_refuses_does_not_answer(world: World) -> None:
    """Guards against a report that never comes, or calls the primary well, because nobody listens."""
    one = node(world, watch={"url": f"https://127.0.0.1:{unused_port()}/healthz"})
    assert reported(one, world).primary_answers is False


def test_a_primary_that_does_not_speak_tls_does_not_answer(world: World) -> None:
    """Guards against an agent that the handshake's error ends."""
    with serving(Answers(by_path={"/healthz": (200, b"")})) as port:
        one = node(world, watch={"url": f"https://127.0.0.1:{port}/healthz"})
        assert reported(one, world).primary_answers is False


def named(*ports: int) -> Callable[..., Any]:
    """A resolver that knows one name by several addresses, and addresses as they are."""
    real = socket.getaddrinfo

    def resolve(host: str, port: int, *rest: int) -> Any:
        if host != "origin.example.com":
            return real(host, port, *rest)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)) for port in ports]

    return resolve


def test_one_zone_that_is_lost_does_not_hide_the_others(
    secure: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guards against a failover because the first of three addresses is silent."""
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        serving(Answers(by_path={"/healthz": (200, b"")}), secure) as port,
    ):
        ports = (silent.getsockname()[1], unused_port(), port)
        monkeypatch.setattr(agent.socket, "getaddrinfo", named(*ports))
        began = time.monotonic()
        assert agent.answers("https://origin.example.com/healthz") is True
        assert time.monotonic() - began < agent.LOOK_TIMEOUT_SECONDS


def test_silence_of_every_address_is_over_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against reports that come late because three addresses are waited for one after the other."""
    monkeypatch.setattr(agent, "LOOK_TIMEOUT_SECONDS", 1)
    with ExitStack() as stack:
        silent = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(3)]
        monkeypatch.setattr(agent.socket, "getaddrinfo", named(*(one.getsockname()[1] for one in silent)))
        began = time.monotonic()
        assert agent.answers("https://origin.example.com/healthz") is False
        # One after the other they would take thrice as long.
        assert time.monotonic() - began < 2.5


def test_a_name_that_nobody_knows_is_no_silence(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against a failover because the standby cannot resolve names."""

    def unknown(*_: Any) -> Any:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(agent.socket, "getaddrinfo", unknown)
    one = node(world, watch={"url": "https://origin.example.com/healthz"})
    assert reported(one, world).primary_answers is None


def test_a_node_that_does_not_look_says_nothing_of_the_primary(world: World) -> None:
    """Guards against a primary's own server that is taken for a witness."""
    assert reported(node(world), world).primary_answers is None


# Snapshots.


def archive(name: str = "state.bin", content: bytes = b"state" * 100_000) -> bytes:
    """A snapshot as Consul and Nomad pack them."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as made:
        entry = tarfile.TarInfo(name)
        entry.size = len(content)
        made.addfile(entry, io.BytesIO(content))
    return gzip.compress(packed.getvalue(), mtime=0)


@dataclass
class Servers:
    """Consul and Nomad of one node, by name, and the parts of its bundle that speak of them."""

    world: World
    answers: dict[str, Answers]
    parts: list[dict[str, Any]]

    def lead(self, service: str, *, leads: bool = True, snapshot: bytes | None = None) -> None:
        self.answers[service].by_path = {
            "/v1/agent/self": (200, json.dumps(SELF[service](str(leads).lower())).encode()),
            SNAPSHOT_PATHS[service]: (200, archive() if snapshot is None else snapshot),
        }

    def kept(self, service: str) -> bytes | None:
        path = self.world.home / "s3" / "mlops-123456789012-us-east-1-backups" / f"snapshots/us-east-1/{service}.snap"
        return path.read_bytes() if path.exists() else None

    def taken(self, service: str) -> int:
        return sum(path == SNAPSHOT_PATHS[service] for _, path, _ in self.answers[service].asked)


SELF: dict[str, Callable[[str], Any]] = {
    "consul": lambda leads: {"Config": {}, "Stats": {"consul": {"leader": leads, "server": "true"}}},
    "nomad": lambda leads: {"config": {}, "stats": {"nomad": {"leader": leads, "server": "true"}}},
}
SNAPSHOT_PATHS = {"consul": "/v1/snapshot", "nomad": "/v1/operator/snapshot"}
TOKENS = {"consul": ("X-Consul-Token", "consul-token"), "nomad": ("X-Nomad-Token", "nomad-token")}


@pytest.fixture
def servers(world: World) -> Generator[Servers]:
    """Both servers, over TLS with the role's certificate, as the real bundle names them but for the ports."""
    settings = stack_settings("prod")
    text = bundle(settings, control_plane(settings)[0], BundleFacts("database", "fs-1"))
    parts = json.loads(text)["manifest"]["snapshots"]
    authority = Authority()
    certificate, key = authority.issue()
    secrets = world.root / "run/mlops-ha/boot-agent"
    secrets.mkdir(parents=True)
    for name, content in {
        "ca.pem": authority.certificate,
        "certificate.pem": certificate,
        "private-key.pem": key,
        "consul-management-token": "consul-token",
        "nomad-management-token": "nomad-token",
    }.items():
        (secrets / name).write_text(content)
    context = mutual_tls(authority.certificate, certificate, key)
    answers = {part["service"]: Answers() for part in parts}
    with ExitStack() as stack:
        for part in parts:
            part["port"] = stack.enter_context(serving(answers[part["service"]], context))
        yield Servers(world, answers, parts)


@pytest.fixture
def server(servers: Servers, world: World) -> agent.Agent:
    """The agent of that node; it leads both."""
    for service in servers.answers:
        servers.lead(service)
    return node(world, snapshots=servers.parts)


def test_the_leader_keeps_both_snapshots(server: agent.Agent, servers: Servers, world: World) -> None:
    """Guards against a region that leaves nothing behind, a token that is not shown, and tokens left on the disk."""
    server.keep_snapshots()
    assert [servers.kept(service) for service in ("consul", "nomad")] == [archive(), archive()]
    for service, (header, token) in TOKENS.items():
        assert [headers[header] for _, _, headers in servers.answers[service].asked] == [token, token]
    assert not list((world.root / agent.STATE[1:]).glob("*.snap*"))
    assert reported(server, world).reason == ""


def test_a_snapshot_is_taken_when_it_is_due(server: agent.Agent, servers: Servers) -> None:
    """Guards against a snapshot every ten seconds, and against one that is never taken again."""
    server.keep_snapshots()
    server.keep_snapshots()
    assert servers.taken("consul") == servers.taken("nomad") == 1
    left = server.snapshot_due["consul"] - time.monotonic()
    assert 530 < left <= 540  # Nine minutes, less what this test took.
    server.snapshot_due["consul"] -= left
    server.keep_snapshots()
    assert (servers.taken("consul"), servers.taken("nomad")) == (2, 1)


def test_a_follower_takes_none_until_it_leads(server: agent.Agent, servers: Servers) -> None:
    """Guards against three snapshots for one, and against a change of lead that skips ten minutes."""
    servers.lead("consul", leads=False)
    server.keep_snapshots()
    assert (servers.taken("consul"), servers.taken("nomad")) == (0, 1)
    servers.lead("consul")
    server.keep_snapshots()
    assert (servers.kept("consul"), servers.taken("nomad")) == (archive(), 1)


def test_a_service_that_does_not_run_is_no_problem(server: agent.Agent, servers: Servers, world: World) -> None:
    """Guards against a report that is full of services that this release does not start."""
    servers.parts[0]["port"] = unused_port()
    world.put(bundle_key(NODE), small_bundle(snapshots=servers.parts))
    server.step(30)
    assert server.attempt(server.keep_snapshots)
    assert (servers.kept("consul"), servers.kept("nomad")) == (None, archive())


def test_nothing_is_asked_before_the_secrets_are_there(server: agent.Agent, servers: Servers, world: World) -> None:
    """Guards against a report that blames Consul for what Secrets Manager has not answered yet."""
    for name in ("consul", "nomad"):
        (world.root / f"run/mlops-ha/boot-agent/{name}-management-token").unlink()
    server.keep_snapshots()
    assert [one.asked for one in servers.answers.values()] == [[], []]


@pytest.mark.parametrize(
    ("snapshot", "said"),
    [
        (b"", "the snapshot is empty"),
        (b"<html>", "the snapshot is no archive: Not a gzipped file"),
        (archive()[:-9], "the snapshot is no archive: Compressed file ended"),
        (archive()[:-8] + bytes(8), "the snapshot is no archive: CRC check failed"),
        (archive()[:200], "the snapshot is no archive: "),
        (gzip.compress(b"no tar" * 1000), "the snapshot is no archive: "),
        (gzip.compress(bytes(10240)), "there is nothing in the snapshot"),
    ],
    ids=["empty", "a page", "cut short", "altered", "cut in half", "no archive", "empty archive"],
)
def test_no_good_snapshot_is_replaced_by_a_bad_one(
    snapshot: bytes, said: str, server: agent.Agent, servers: Servers, world: World
) -> None:
    """Guards against a restore, the day that it is needed, of what was never a snapshot."""
    server.keep_snapshots()
    server.snapshot_due.clear()
    servers.lead("consul", snapshot=snapshot)
    servers.lead("nomad", snapshot=archive(content=b"newer"))
    assert server.attempt(server.keep_snapshots) is False
    assert (servers.kept("consul"), servers.kept("nomad")) == (archive(), archive(content=b"newer"))
    assert f"keep_snapshots: consul: Problem: {said}" in reported(server, world).reason
    assert not list((world.root / agent.STATE[1:]).glob("*.snap*"))
    servers.lead("consul", snapshot=archive(content=b"mended"))
    assert server.attempt(server.keep_snapshots)
    assert servers.kept("consul") == archive(content=b"mended")
    assert reported(server, world).reason == ""


REFUSED = (403, b"Permission denied")


def refused(servers: Servers) -> None:
    servers.answers["nomad"].by_path["/v1/agent/self"] = REFUSED


def no_right(servers: Servers) -> None:
    servers.answers["nomad"].by_path["/v1/operator/snapshot"] = REFUSED


def strange(servers: Servers) -> None:
    servers.answers["nomad"].by_path["/v1/agent/self"] = (200, b'{"stats": {}}')


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (refused, "Problem: /v1/agent/self answers 403"),
        (no_right, "Problem: /v1/operator/snapshot answers 403"),
        (strange, "KeyError: 'nomad'"),
    ],
    ids=["refused", "no right", "strange"],
)
def test_a_service_that_refuses_is_told(
    fault: Callable[[Servers], None], said: str, server: agent.Agent, servers: Servers, world: World
) -> None:
    """Guards against snapshots that stop unnoticed, an agent that ends with them, and a token in the report."""
    fault(servers)
    assert server.attempt(server.keep_snapshots) is False
    reason = reported(server, world).reason
    assert f"nomad: {said}" in reason
    assert "nomad-token" not in reason
    assert (servers.kept("consul"), servers.kept("nomad")) == (archive(), None)


def test_a_token_is_shown_to_the_platforms_own_alone(server: agent.Agent, servers: Servers, world: World) -> None:
    """Guards against a program on the port that is handed the token that administers Consul."""
    (world.root / "run/mlops-ha/boot-agent/ca.pem").write_text(Authority().certificate)
    assert server.attempt(server.keep_snapshots) is False
    assert "CERTIFICATE_VERIFY_FAILED" in str(server.problems["keep_snapshots"])
    assert [one.asked for one in servers.answers.values()] == [[], []]


def test_what_s3_does_not_take_is_tried_again(server: agent.Agent, servers: Servers, world: World) -> None:
    """Guards against ten minutes without a snapshot because S3 did not answer once, and tokens left on the disk."""
    (world.home / "down").touch()
    assert server.attempt(server.keep_snapshots) is False
    assert "aws s3 cp: Could not connect" in str(server.problems["keep_snapshots"])
    assert not list((world.root / agent.STATE[1:]).glob("*.snap*"))
    (world.home / "down").unlink()
    assert server.attempt(server.keep_snapshots)
    assert servers.kept("consul") == archive()


@pytest.mark.parametrize("limit", ["SILENCE_SECONDS", "CALL_SECONDS"])
def test_a_snapshot_that_never_ends_is_ended(
    limit: str, server: agent.Agent, servers: Servers, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guards against the last snapshot ever: one service that stays silent, or speaks for ever."""
    if limit == "SILENCE_SECONDS":
        monkeypatch.setattr(agent, "SILENCE_SECONDS", 0.2)
        with socket.create_server(("127.0.0.1", 0)) as silent:
            world.put(
                bundle_key(NODE), small_bundle(snapshots=[servers.parts[0] | {"port": silent.getsockname()[1]}])
            )
            server.step(30)
            with pytest.raises(agent.Problem, match="timed out"):
                server.keep_snapshots()
        return
    monkeypatch.setattr(agent, "CALL_SECONDS", -1)
    with pytest.raises(agent.Problem, match="consul: Problem: the snapshot took longer than -1 seconds"):
        server.keep_snapshots()


@pytest.mark.parametrize("left", ["file", "link"])
def test_a_killed_agents_snapshot_is_replaced(
    left: str, server: agent.Agent, servers: Servers, world: World, tmp_path: Path
) -> None:
    """Guards against an agent that never takes a snapshot again, or writes tokens to where a link points."""
    place = world.root / f"{agent.STATE[1:]}/consul.snap"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("")
    place.symlink_to(elsewhere) if left == "link" else place.write_text("half")
    server.keep_snapshots()
    assert servers.kept("consul") == archive()
    assert elsewhere.read_text() == ""
    assert not place.exists()
