"""Changes of a running region: a bad one stops at the first server, a good one reaches all, and nobody notices.

One story for all tests, as each change takes its time: first the agents of all servers are killed, and a bundle with
which Consul does not start is there when they are back; then a good one for every node, under load.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from subprocess import PIPE
from typing import Any

import pytest

from configs.bundle import bundle
from configs.nodes import WORKER, NodeRole
from configs.reports import Report
from configs.tables.flows import Role
from configs.tables.names import BUNDLES_BUCKET, TURN_KEY, PublicNames, Service
from configs.tables.schedulers import SCHEDULERS, Scheduler
from lab.region import NodeMachine, Region
from tests.cluster import stream
from tests.cluster.ask import administer
from tests.unit.mocks import stack_settings

AGENT, AGENT_PROCESS = "mlops-ha-boot-agent.service", "^/usr/bin/python3 /var/lib/mlops-ha/agent.py"

CONSUL = "/etc/mlops-ha/consul/server.hcl"
COMMENTED: dict[NodeRole, tuple[str, ...]] = {
    NodeRole.CONTROL_PLANE: (CONSUL, "/etc/mlops-ha/nomad/server.hcl"),
    NodeRole.HAPROXY: ("/etc/mlops-ha/haproxy/haproxy.cfg",),
    NodeRole.NGINX: ("/etc/mlops-ha/nginx/nginx.conf",),
    NodeRole.WORKER: ("/etc/mlops-ha/nomad/client.hcl",),
}
"""Files whose services restart, or are reloaded, by a comment more: no setting reaches them."""

SCHEDULER_NAMES: tuple[Scheduler, ...] = (Service.CONSUL, Service.NOMAD)

FAIL_SECONDS, ROLL_SECONDS = 150, 240
"""Longest that the first server takes to give up, and all to be changed: a fourth of it on two idle cores."""

FOLDER = "rolling"
"""Of the keys."""

KEPT = "written while one server is lost"


def commented(text: str, role: NodeRole, line: str = "# Changed.") -> str:
    """A bundle with a line more at the end of some files."""
    content = json.loads(text)
    for path in COMMENTED[role]:
        content["files"][path]["lines"].append(line)
    return json.dumps(content, indent=1, sort_keys=True) + "\n"


def digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def turn(cluster: Region) -> dict[str, str] | None:
    """The object that the server holds whose turn it is."""
    text = cluster.object_of(BUNDLES_BUCKET, TURN_KEY)
    return None if text is None else json.loads(text)


def agent_of(node: NodeMachine) -> str:
    """The id of the agent's process on its node; empty when there is none."""
    return node.run("pgrep", "--oldest", "--full", AGENT_PROCESS).stdout.strip()


@dataclass
class Journals:
    """What was written on a node since this was made."""

    node: NodeMachine
    begun: dict[str, int] = field(default_factory=dict[str, int])

    @classmethod
    def of(cls, node: NodeMachine) -> Journals:
        services = (AGENT, *json.loads(node.path("/var/lib/mlops-ha/written.json").read_text())["services"])
        return cls(node, {name: len(node.journal(name)) for name in services})

    def __getitem__(self, name: str) -> str:
        return self.node.journal(name)[self.begun[name] :]

    @property
    def told(self) -> list[str]:
        """What the agent told systemd to do."""
        return re.findall(r"^systemctl (.+)$", self[AGENT], re.MULTILINE)

    @property
    def ended(self) -> list[str]:
        """Services that ended, for whatever reason, but for the agent."""
        return [name for name in self.begun if name != AGENT and "systemd: " in self[name]]

    def restart(self, scheduler: Scheduler) -> tuple[float, float]:
        """When the one restart of Consul or Nomad began, and when the new process was there."""
        text = self[scheduler]
        times = [(found.start(), datetime.fromisoformat(found[1])) for found in TIME.finditer(text)]
        [end] = [found.start() for found in re.finditer("^systemd: .* ended with", text, re.MULTILINE)]
        asked = [
            place for place, _ in times if place < end and re.search("aught|shutdown", text[place:].split("\n")[0])
        ]
        begins = next(time for place, time in times if place >= asked[0])
        starts = next(time for place, time in times if place > end)
        return begins.timestamp(), starts.timestamp()


TIME = re.compile(r"^\s*(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+(?:Z|[+-]\d{4}))", re.MULTILINE)


@dataclass(frozen=True)
class Stopped:
    """How things stood when the bad bundle had failed. ``others`` are the servers that had to wait."""

    first: NodeMachine
    others: tuple[NodeMachine, ...]
    agents: dict[str, tuple[str, str]]
    """By server, the agent's process before all were killed, and after."""
    bundles: dict[str, str]
    """What the servers had before."""
    turn: dict[str, str]
    reports: dict[str, Report]
    told: dict[str, list[str]]
    ended: dict[str, list[str]]
    healthy: dict[str, int]
    """By scheduler, how many healthy voters it had."""
    written: bool
    """Whether Consul took a key."""


@dataclass(frozen=True)
class Rolled:
    """What became of the good bundles."""

    bundles: dict[str, str]
    reports: dict[str, Report]
    turn: dict[str, str] | None
    journals: dict[str, Journals]
    seen: dict[str, Any]
    """What ``tests.cluster.stream`` saw."""


@pytest.fixture(scope="module")
def stopped(cluster: Region) -> Generator[Stopped]:
    """A bad bundle on the way to all servers, whose agents were killed at the same time."""
    servers = cluster.of(NodeRole.CONTROL_PLANE)
    good = {server.name: cluster.bundle_of(server.name) for server in servers}
    try:
        yield _stop(cluster, servers, good)
    finally:
        # The story's end may not come.
        for name, text in good.items():
            if "nonsense" in cluster.bundle_of(name):
                cluster.put_bundle(name, text)


def _stop(cluster: Region, servers: tuple[NodeMachine, ...], good: Mapping[str, str]) -> Stopped:
    cluster.until(cluster.healthy, FAIL_SECONDS, "every node is healthy")
    journals = {server.name: Journals.of(server) for server in servers}
    before = {server.name: agent_of(server) for server in servers}
    for server in servers:
        assert server.run("kill", "-KILL", before[server.name]).returncode == 0
    for server in servers:
        content = json.loads(good[server.name])
        content["files"][CONSUL]["lines"].append("nonsense = true")
        cluster.put_bundle(server.name, json.dumps(content, indent=1, sort_keys=True) + "\n")

    def failed() -> str | None:
        held = turn(cluster)
        return held["node"] if held is not None and held["says"].startswith("failed") else None

    first = cluster.node(cluster.until(failed, FAIL_SECONDS, "the bad bundle fails"))
    others = tuple(server for server in servers if server is not first)
    after = {server.name: agent_of(server) for server in servers}

    def told() -> dict[str, Report] | None:
        """What all say, once those that wait know why, and the first that it is ill."""
        said = {server.name: report for server in servers if (report := server.report()) is not None}
        waiting = all(f"waits for {first.name}, which failed" in said[other.name].reason for other in others)
        return said if waiting and "failed" in said[first.name].reason else None

    reports = cluster.until(told, FAIL_SECONDS, "the servers say why they wait")
    healthy = dict[str, int]()
    for scheduler in SCHEDULER_NAMES:
        said = administer(cluster, scheduler, "/v1/operator/autopilot/health", at=others[0].name).json
        healthy[scheduler] = sum(one["Healthy"] and one["Voter"] for one in said["Servers"])
    path = f"/v1/kv/{FOLDER}/kept"
    written = administer(cluster, Service.CONSUL, path, "--request", "PUT", "--data", KEPT, at=others[1].name)
    held = turn(cluster)
    assert held is not None
    return Stopped(
        first,
        others,
        {name: (before[name], after[name]) for name in before},
        dict(good),
        held,
        reports,
        {name: journal.told for name, journal in journals.items()},
        {name: journal.ended for name, journal in journals.items()},
        healthy,
        written.text.strip() == "true",
    )


@pytest.fixture(scope="module")
def rolled(cluster: Region, stopped: Stopped) -> Rolled:
    """Another good bundle for every node at the same moment, while users write and read."""
    del stopped
    settings = stack_settings("prod", monitoring={"retentionDays": 16})
    texts = dict[str, str]()
    for node in cluster.nodes:
        texts[node.node.name] = commented(bundle(settings, node.node, cluster.facts), node.node.role)
    journals = {node.name: Journals.of(node) for node in cluster.nodes}
    balancers = [*cluster.of(NodeRole.HAPROXY), *cluster.of(NodeRole.NGINX)]

    def has(nodes: list[NodeMachine]) -> bool:
        said = [(node.report(), digest(texts[node.node.name])) for node in nodes]
        return all(
            one is not None and one.healthy and one.bundle == wanted and not one.reason for one, wanted in said
        )

    with streaming(cluster, balancers[1]) as (slower, end):
        for name, text in texts.items():
            cluster.put_bundle(name, text)
        cluster.until(lambda: has(balancers), ROLL_SECONDS, "the load balancers are changed")
        slower()
        cluster.until(
            lambda: has(list(cluster.nodes)) and turn(cluster) is None,
            ROLL_SECONDS,
            "every node is changed",
        )
        seen = end()
    reports = {node.name: report for node in cluster.nodes if (report := node.report()) is not None}
    return Rolled(texts, reports, turn(cluster), journals, seen)


@contextmanager
def streaming(
    cluster: Region, node: NodeMachine
) -> Generator[tuple[Callable[[], None], Callable[[], dict[str, Any]]]]:
    """Users on a node while the block runs; gives what has them read less often, and what ends them."""
    public, secret = PublicNames(cluster.settings.domain), cluster.documents[Role.CONTROL_PLANE]
    headers = {scheduler: {api.token_header: secret[api.token.name]} for scheduler, api in SCHEDULERS.items()}
    given = {
        "names": {service: public.service(service) for service in Service},
        "headers": headers,
        "folder": FOLDER,
        # What any server answers: the rest nobody answers for the second or two in which nobody leads.
        "reads": {Service.CONSUL: "/v1/status/leader", Service.NOMAD: "/v1/regions"},
    }
    place = "/tmp/stream.py"
    node.path(place).write_text(Path(stream.__file__).read_text())
    with node.popen("/usr/bin/python3", place, stdin=PIPE, stdout=PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        asks, says = process.stdin, process.stdout
        # Whatever happens, its input ends with the block, and it with that.
        with asks:
            asks.write(json.dumps(given).encode() + b"\n")
            asks.flush()

            def slower() -> None:
                asks.write(b"slower\n")
                asks.flush()

            def end() -> dict[str, Any]:
                asks.close()
                return json.loads(says.read())

            yield slower, end


# A bad bundle.


def test_killed_agents_are_back_and_cost_nothing(stopped: Stopped) -> None:
    """An agent that takes the services with it, or that nobody starts again."""
    for before, after in stopped.agents.values():
        assert before
        assert after
        assert before != after
    for other in stopped.others:
        assert (stopped.told[other.name], stopped.ended[other.name]) == ([], [])


def test_a_bad_bundle_stops_at_the_first_server(stopped: Stopped) -> None:
    """A fault that reaches the second of three servers: then there is no quorum."""
    first = stopped.first.name
    assert stopped.told[first] == ["restart consul"]
    assert stopped.turn["says"].startswith("failed: consul ends again and again: ConnectionRefusedError")
    assert (stopped.turn["node"], stopped.turn["instance"]) == (first, stopped.first.machine.instance)
    ill = stopped.reports[first]
    assert not ill.healthy
    assert ill.bundle == stopped.turn["bundle"] != digest(stopped.bundles[first])
    assert f"converge: {stopped.turn['says']}" in ill.reason
    for other in stopped.others:
        report = stopped.reports[other.name]
        assert report.bundle == digest(stopped.bundles[other.name])
        assert report.reason.startswith(f"converge: waits for {first}, which failed: consul ends again and again: ")
    assert stopped.healthy == {"consul": 2, "nomad": 3}
    assert stopped.written


# Good ones.


def test_a_mended_bundle_reaches_every_node(stopped: Stopped, rolled: Rolled) -> None:
    """A turn that is never given back, and a fault after which a person has to go to the machine."""
    assert rolled.turn is None
    for name, report in rolled.reports.items():
        text = rolled.bundles[WORKER.name if report.node == WORKER.name else name]
        assert (report.healthy, report.bundle, report.reason) == (True, digest(text), ""), name
    # The server that failed is not whole before it has its turn: it is the first.
    begun = {name: rolled.journals[name].restart(Service.NOMAD)[0] for name in (s.name for s in servers(stopped))}
    assert min(begun, key=begun.__getitem__) == stopped.first.name
    for other in stopped.others:
        told = rolled.journals[other.name].told
        assert told == ["restart consul", "restart nomad", "restart prometheus"]


def servers(stopped: Stopped) -> tuple[NodeMachine, ...]:
    return stopped.first, *stopped.others


def test_servers_change_one_at_a_time(stopped: Stopped, rolled: Rolled) -> None:
    """Two servers that restart at once, or one before Raft has the other again."""
    spans = list[tuple[float, float]]()
    for other in stopped.others:
        restarts = [rolled.journals[other.name].restart(scheduler) for scheduler in SCHEDULER_NAMES]
        spans.append((min(begin for begin, _ in restarts), max(end for _, end in restarts)))
    spans.sort()
    # The one that failed restarts Nomad alone, as Consul never ran; before the others.
    spans.insert(0, rolled.journals[stopped.first.name].restart(Service.NOMAD))
    for (_, ended), (begins, _) in pairwise(spans):
        between = [whole for time, whole in rolled.seen["looks"] if ended < time < begins]
        assert between, "one begins before the other has ended"
        assert between[-1], "the groups are not whole when the next one begins"


def test_no_write_is_lost(cluster: Region, stopped: Stopped, rolled: Rolled) -> None:
    """A key that was acknowledged, and that the next leader does not know."""
    del stopped
    answer = administer(cluster, Service.CONSUL, f"/v1/kv/{FOLDER}/?keys&consistent").json
    kept = {key.removeprefix(f"{FOLDER}/") for key in answer}
    written = {str(number) for number in rolled.seen["written"]}
    assert len(written) > 100
    assert {*written, "kept"} - kept == set()
    assert (
        administer(cluster, Service.CONSUL, f"/v1/kv/{FOLDER}/?recurse", "--request", "DELETE").text.strip() == "true"
    )


def test_no_read_fails(stopped: Stopped, rolled: Rolled) -> None:
    """A load balancer that drops users when it takes in a change, or asks a server that is gone."""
    del stopped
    assert rolled.seen["failed"] == []
    assert len(rolled.seen["read"]) > 200


def test_load_balancers_and_workers_change_without_an_end(cluster: Region, rolled: Rolled) -> None:
    """A restart where a reload would do, and a worker that takes no job after a change."""
    for role, told in ((NodeRole.HAPROXY, "reload haproxy"), (NodeRole.NGINX, "reload nginx")):
        [node] = cluster.of(role)
        assert rolled.journals[node.name].told == [told]
        assert rolled.journals[node.name].ended == []
    for worker in cluster.of(NodeRole.WORKER):
        assert rolled.journals[worker.name].told == ["restart nomad"]
    found = administer(cluster, Service.NOMAD, "/v1/nodes").json
    # Those that are gone are listed for a day.
    known = [one for one in found if one["Status"] != "down"]
    assert [(one["Status"], one["SchedulingEligibility"], one["Drain"]) for one in known] == [
        ("ready", "eligible", False)
    ] * len(cluster.of(NodeRole.WORKER))
