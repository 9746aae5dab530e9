"""The boot agent and its region: access control that all servers make at once, and what it takes from autopilot."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest

from boot_agent import agent
from configs.bundle import BundleFacts, bundle
from configs.manifest import Bundle
from configs.nodes import control_plane
from tests.unit.mocks import stack_settings
from tests.unit.node_world import Answers, Authority, World, inside, made, mutual_tls, serving

Answer = tuple[int, Any]

MANAGEMENT = "11111111-2222-3333-4444-555555555555"
DENIED, NOT_FOUND = (403, "Permission denied"), (404, "not found")


class Region:
    """Consul and Nomad as their APIs are, as far as access control asks them."""

    def __init__(self) -> None:
        self.consul: dict[str, list[dict[str, Any]]] = {}
        self.policies: dict[str, dict[str, Any]] = {}
        self.tokens: list[dict[str, Any]] = []
        self.bootstrapped: str | None = None
        self.index = 0
        self.writes: list[str] = []

    def ask(self, service: str, method: str, path: str, body: Any) -> Answer:
        if method != "GET":
            self.index += 1
            self.writes.append(f"{service} {method} {path}")
        _, _, _, kind, *rest = path.partition("?")[0].split("/")
        answers = self.ask_consul if service == "consul" else self.ask_nomad
        return answers(method, kind, rest, body)

    def ask_consul(self, method: str, kind: str, rest: list[str], body: Any) -> Answer:
        things = self.consul.setdefault(kind.removesuffix("s"), [])
        known = {"policy": "ID", "role": "ID", "binding-rule": "ID", "token": "AccessorID", "auth-method": "Name"}
        if kind == "binding-rules":
            return 200, things
        by = "Name" if rest[:1] == ["name"] else known[kind]
        found = next((one for one in things if rest and one[by] == rest[-1]), None)
        match method:
            case "GET":
                absent = (403, "rpc error: ACL not found") if kind == "token" else NOT_FOUND
                return (200, found) if found else absent
            case "DELETE":
                assert found
                things.remove(found)
                return 200, True
            case _ if rest:
                assert found
                if "SecretID" in body and body["SecretID"] != found["SecretID"]:
                    return 500, "Changing a token's SecretID is not permitted"
                found.update(body)
                return 200, found
            case _:
                same = "Name" if "Name" in body else "AccessorID"
                if same in body and any(one[same] == body[same] for one in things):
                    return 500, f"there is one of this {same}"
                # Binding rules have no name: it takes as many as come.
                thing = {known[kind]: str(uuid.uuid4()), **body, "CreateIndex": self.index}
                things.append(thing)
                return 200, thing

    def ask_nomad(self, method: str, kind: str, rest: list[str], body: Any) -> Answer:
        if kind == "bootstrap":
            if self.bootstrapped:
                return 400, "ACL bootstrap already done (reset index: 7)"
            self.bootstrapped = body["BootstrapSecret"]
            return 200, {"SecretID": self.bootstrapped}
        if self.bootstrapped != MANAGEMENT:
            return DENIED
        if (kind, rest) == ("token", ["self"]):
            return 200, {}
        if kind == "policy":
            if method == "POST":
                self.policies[rest[0]] = body
                # Nomad answers with nothing.
                return 200, ""
            return (200, self.policies[rest[0]]) if rest[0] in self.policies else NOT_FOUND
        if kind == "tokens":
            # A list does not tell secrets.
            return 200, [{name: one[name] for name in one if name != "SecretID"} for one in reversed(self.tokens)]
        if method == "POST" and not rest:
            made = {"AccessorID": str(uuid.uuid4()), "SecretID": str(uuid.uuid4()), "CreateIndex": self.index}
            self.tokens.append({**body, **made})
            return 200, self.tokens[-1]
        found = next((one for one in self.tokens if one["AccessorID"] == rest[0]), None)
        if found is None:
            return NOT_FOUND
        if method == "DELETE":
            self.tokens.remove(found)
        if method == "POST":
            found.update(body)
        return 200, found


class Server(agent.AccessControl):
    """One server's access control, before whose next call something else may happen."""

    def __init__(self, manifest: Any, fields: dict[str, str], region: Region) -> None:
        super().__init__(manifest, fields)
        self.region = region
        self.asked = 0
        self.interrupted: tuple[int, Callable[[], None]] | None = None

    def ask(self, service: str, method: str, path: str, body: Any = None) -> Answer:
        self.asked += 1
        if self.interrupted and self.interrupted[0] == self.asked:
            self.interrupted[1]()
        return self.region.ask(service, method, path, body)


@pytest.fixture
def worlds(tmp_path: Path) -> list[World]:
    return [made(tmp_path / name, tmp_path / "aws") for name in ("first", "second")]


@pytest.fixture
def manifest() -> Any:
    """What a server of the real bundle makes."""
    settings = stack_settings("prod")
    text = bundle(settings, control_plane(settings)[0], BundleFacts("database", "fs-1"))
    found = Bundle.model_validate_json(text).manifest.model_dump(mode="json")
    assert len(found["access"]["consul"]) > 10
    assert found["access"]["nomad_tokens"]
    return found


def fields(manifest: Any, text: str = '-----BEGIN\n"quoted" \\ of ') -> dict[str, str]:
    """A secret with every field that is asked for, of several lines, as certificates have."""
    bodies = "".join(call["body"] for call in manifest["access"]["consul"])
    names = {part.partition("}")[0] for part in bodies.replace("$$", "").split("${")[1:]}
    return {name: f"{text}{name}\n" for name in names}


def at(world: World, monkeypatch: pytest.MonkeyPatch, server: Server) -> str:
    """Let a server make what is to be there, on its node; the file with its token."""
    inside(world, monkeypatch)
    agent.write(server.apis["nomad"]["token"], f"{MANAGEMENT}\n", "0400")
    server.make()
    return (world.root / server.access["nomad_tokens"][0]["path"][1:]).read_text()


def test_servers_that_make_it_at_once_make_it_once(
    worlds: list[World], manifest: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guards against two token sets of one region: whenever another server does all of it, one set is left."""
    known = fields(manifest)
    alone = Server(manifest, known, Region())
    at(worlds[0], monkeypatch, alone)
    for moment in range(1, alone.asked + 1):
        region = Region()
        first, second = Server(manifest, known, region), Server(manifest, known, region)

        def meanwhile(second: Server = second) -> None:
            at(worlds[1], monkeypatch, second)
            inside(worlds[0], monkeypatch)

        first.interrupted = (moment, meanwhile)
        file = at(worlds[0], monkeypatch, first)
        (token,) = region.tokens
        path = second.access["nomad_tokens"][0]["path"]
        assert file == (worlds[1].root / path[1:]).read_text(), moment
        assert file == f'nomad {{\n  token = "{token["SecretID"]}"\n}}\n'
        for kind, things in region.consul.items():
            described = [one["Description"] for one in things]
            assert sorted(described) == sorted(set(described)), (moment, kind)
            assert len(things) == len(alone.region.consul[kind])
        region.writes.clear()
        at(worlds[0], monkeypatch, Server(manifest, known, region))
        assert region.writes == [], "a second run writes"


def test_what_is_there_is_corrected(worlds: list[World], manifest: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against a right that somebody added and that stays, and a token whose secret is another region's."""
    known, region = fields(manifest), Region()
    at(worlds[0], monkeypatch, Server(manifest, known, region))
    wanted = json.dumps([region.consul["policy"], region.policies])
    region.consul["policy"][0]["Rules"] = 'acl = "write"'
    region.policies["autoscaler"] = region.policies["autoscaler"] | {"Rules": "everything"}
    region.consul["token"][0]["SecretID"] = "older"
    region.consul["binding-rule"].append(region.consul["binding-rule"][0] | {"ID": "later", "CreateIndex": 10_000})
    region.tokens[0]["Policies"] = ["everything"]
    later = {"Name": region.tokens[0]["Name"], "AccessorID": "later", "SecretID": "later", "CreateIndex": 10_000}
    region.tokens.append(later | {"Policies": []})
    region.writes.clear()
    server = Server(manifest, known, region)
    at(worlds[0], monkeypatch, server)
    policy, token = region.consul["policy"][0]["ID"], region.consul["token"][-1]["AccessorID"]
    rule = region.tokens[0]["AccessorID"]
    assert region.writes == [
        f"consul PUT /v1/acl/policy/{policy}",
        f"consul DELETE /v1/acl/token/{token}",
        "consul PUT /v1/acl/token",
        "consul DELETE /v1/acl/binding-rule/later",
        "nomad POST /v1/acl/policy/autoscaler",
        "nomad DELETE /v1/acl/token/later",
        f"nomad POST /v1/acl/token/{rule}",
    ]
    assert json.dumps([region.consul["policy"], region.policies]) == wanted
    assert region.consul["token"][-1]["SecretID"] in known.values()
    assert region.tokens[0]["Policies"] == ["autoscaler"]


def test_a_fault_is_told_without_a_secret(
    worlds: list[World], manifest: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guards against a fault that passes for a thing that is not there, and a report with a token in it."""
    known = fields(manifest, "hunter2")

    class Sealed(Region):
        def ask_consul(self, method: str, kind: str, rest: list[str], body: Any) -> Answer:
            return DENIED if kind == "token" else super().ask_consul(method, kind, rest, body)

    with pytest.raises(agent.Problem, match=r"^consul answers 403 to GET /v1/acl/token/[-0-9a-f]{36}$"):
        at(worlds[0], monkeypatch, Server(manifest, known, Sealed()))
    region = Region()
    region.bootstrapped = "another"
    with pytest.raises(agent.Problem, match=r"^nomad answers 403 to GET /v1/acl/token/self$"):
        at(worlds[0], monkeypatch, Server(manifest, known, region))
    del known[next(iter(known))]
    with pytest.raises(agent.Problem, match=r"^secret of the role has no "):
        at(worlds[0], monkeypatch, Server(manifest, known, Region()))


# Autopilot, over TLS.

HEALTH = "/v1/operator/autopilot/health"


@pytest.fixture
def quorum(worlds: list[World], monkeypatch: pytest.MonkeyPatch) -> Generator[tuple[Answers, dict[str, Any]]]:
    """A scheduler that answers on this node, and the part of a bundle that speaks of it."""
    inside(worlds[0], monkeypatch)
    authority, answers = Authority(), Answers()
    certificate, key = authority.issue()
    parts = {"ca": authority.certificate, "certificate": certificate, "private_key": key}
    for name, text in parts.items():
        agent.write(agent.NODE_API[name], text)
    agent.write("/token", "token\n")
    with serving(answers, mutual_tls(authority.certificate, certificate, key)) as port:
        part = {"service": "nomad", "port": port, "path": HEALTH, "header": "X-Nomad-Token", "token": "/token"}
        yield answers, part


def member(name: str, **changes: Any) -> dict[str, Any]:
    return {"Name": name, "Healthy": True, "Voter": True, "Leader": name.startswith("b"), **changes}


THREE = [member("a.us-east-1"), member("b.us-east-1"), member("c.us-east-1")]


@pytest.mark.parametrize(
    ("status", "said", "group"),
    [
        (200, {"Healthy": True, "Servers": THREE}, ("", True, True)),
        (429, {"Healthy": False, "Servers": [*THREE[:2], member("c", Healthy=False)]}, ("2 of 3", True, True)),
        (429, {"Healthy": False, "Servers": [member("a", Healthy=False), *THREE[1:]]}, ("2 of 3", True, False)),
        (200, {"Healthy": True, "Servers": [*THREE[:2], member("c", Voter=False)]}, ("2 of 3", True, True)),
        (200, {"Healthy": True, "Servers": THREE[:2]}, ("2 of 3", True, True)),
        (200, {"Healthy": True, "Servers": [*THREE, member("d")]}, ("4 of 3", True, True)),
        (200, {"Healthy": True, "Servers": [member(name) for name in "acd"]}, ("3 of 3", False, True)),
        (200, {"Healthy": True, "Servers": None}, ("0 of 3", False, False)),
        (403, {}, ("answers 403", False, False)),
        (500, {}, ("answers 500", False, False)),
        (200, [], ("TypeError", False, False)),
    ],
)
def test_a_group_is_whole_when_all_of_it_is(
    status: int, said: Any, group: tuple[str, bool, bool], quorum: tuple[Answers, dict[str, Any]]
) -> None:
    """Guards against a turn that begins with a server missing, and a server that is healthy on its own word."""
    answers, part = quorum
    answers.by_path = {HEALTH: (status, json.dumps(said).encode())}
    found = agent.group_of(part, {"node": "a", "servers": [{}, {}, {}]})
    trouble, led, counted = group
    assert (found.led, found.counted) == (led, counted)
    assert trouble in found.trouble
    assert bool(trouble) == bool(found.trouble)
    ((_, _, headers),) = answers.asked
    assert headers["X-Nomad-Token"] == "token"


def test_a_group_that_does_not_answer_is_not_whole(quorum: tuple[Answers, dict[str, Any]]) -> None:
    """Guards against an agent that silence ends, and one that takes the secrets' absence for health."""
    _, part = quorum
    found = agent.group_of(part | {"port": 1}, {"node": "a", "servers": []})
    assert (found.trouble.partition(":")[0], found.led) == ("nomad", False)
    agent.remove("/token")
    assert agent.group_of(part, {"node": "a", "servers": []}).trouble == "nomad: Waits: waits for the secrets"


def test_a_probe_is_asked_as_the_node(quorum: tuple[Answers, dict[str, Any]]) -> None:
    """Guards against a service that turns its own node away, and one that is well whatever it answers."""
    answers, part = quorum
    probe = {"kind": "https", "port": part["port"], "path": "/ready"}
    answers.by_path = {"/ready": (200, b"")}
    assert agent.trouble_of({"probe": probe}) is None
    answers.by_path = {"/ready": (503, b"")}
    assert agent.trouble_of({"probe": probe}) == "/ready answers 503"
    assert agent.trouble_of({"probe": probe | {"kind": "tcp"}}) is None
    assert "Errno" in str(agent.trouble_of({"probe": {"kind": "tcp", "port": 1, "path": ""}}))
