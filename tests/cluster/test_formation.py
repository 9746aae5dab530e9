"""A region that has formed by itself: who leads, who may in, what listens, and what is watched."""

from __future__ import annotations

import re
import sys

import pytest

from configs.consul.access import GRANTED, accessor
from configs.nodes import NodeRole
from configs.tables.flows import (
    CONSUL_HTTPS,
    CONSUL_SERF_LAN,
    FLOWS,
    NOMAD_HTTP,
    PUSHGATEWAY,
    SSH,
)
from configs.tables.names import Service
from configs.tables.schedulers import Scheduler
from lab.region import NodeMachine, Region
from tests.cluster.ask import AUTHORITY, OWN, administer, ask, servers

SCHEDULERS: tuple[Scheduler, ...] = (Service.CONSUL, Service.NOMAD)

LEADER_SECONDS = 15
"""Longest from the start of the last server's process until somebody leads."""


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_somebody_leads_soon(cluster: Region, scheduler: Scheduler) -> None:
    """A group that needs a person, or a minute, to begin."""
    said = [server.journal(scheduler) for server in servers(cluster)]
    elected = [seconds_of(line) for text in said for line in text.splitlines() if "election won" in line]
    begun = [seconds_of(next(line for line in text.splitlines() if line_has_time(line))) for text in said]
    assert elected, "nobody says that it leads"
    assert min(elected) - max(begun) < LEADER_SECONDS


def line_has_time(line: str) -> bool:
    return re.match(r"\s*\d{4}-\d\d-\d\dT", line) is not None


def seconds_of(line: str) -> float:
    """The time of a line of Consul's or Nomad's journal, in seconds of the day."""
    found = re.match(r"\s*\d{4}-\d\d-\d\dT(\d\d):(\d\d):([\d.]+)", line)
    assert found is not None, line
    hours, minutes, seconds = found.groups()
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_autopilot_is_content(cluster: Region, scheduler: Scheduler) -> None:
    """A server that counts for nothing: the loss of one more would be the loss of all."""
    health = administer(cluster, scheduler, "/v1/operator/autopilot/health").json
    assert (health["Healthy"], health["FailureTolerance"]) == (True, 1)
    assert [(one["Healthy"], one["Voter"]) for one in health["Servers"]] == [(True, True)] * 3


def test_all_begin_and_there_is_one_token_set(cluster: Region) -> None:
    """Three servers that each make tokens of their own: two of three have some that nobody knows."""
    tokens = administer(cluster, Service.CONSUL, "/v1/acl/tokens").json
    # Jobs that are logged in have one each.
    ours = {one["AccessorID"] for one in tokens if not one.get("AuthMethod")}
    known = {accessor(granted.policy) for granted in GRANTED}
    assert known < ours
    descriptions = sorted(one["Description"] for one in tokens if one["AccessorID"] in ours - known)
    assert descriptions == ["Anonymous Token", "Initial Management Token"]
    nomad = administer(cluster, Service.NOMAD, "/v1/acl/tokens").json
    assert sorted((one["Name"], one["Type"]) for one in nomad) == [
        ("Bootstrap Token", "management"),
        ("autoscaler", "client"),
    ]
    said = "".join(server.journal("mlops-ha-boot-agent.service") for server in servers(cluster))
    assert said.count("nomad has its first token") == 1
    for server in servers(cluster):
        secret = server.run("cat", "/run/mlops-ha/nomad-autoscaler/token.hcl").stdout
        assert secret == servers(cluster)[0].run("cat", "/run/mlops-ha/nomad-autoscaler/token.hcl").stdout
        assert server.run("stat", "--format", "%a", "/run/mlops-ha/nomad-autoscaler/token.hcl").stdout == "400\n"


def test_a_stranger_is_refused(cluster: Region) -> None:
    """Consul or Nomad that answer whoever is in the network."""
    worker = cluster.of(NodeRole.WORKER)[0]
    consul = f"https://{servers(cluster)[0].address}:{CONSUL_HTTPS.port}"
    # The addresses are in no certificate: the name is.
    named = ("--connect-to", f"::{servers(cluster)[0].address}:")
    name = f"https://server.{cluster.names.datacenter}.consul:{CONSUL_HTTPS.port}"
    without = ask(worker, f"{consul}/v1/status/leader", "--insecure")
    # What curl says of it depends on when the connection is closed; with a certificate it is answered.
    assert without.status == 0, "a client without a certificate"
    assert ask(worker, f"{name}/v1/status/leader", *named, *AUTHORITY, *OWN).status == 200
    assert ask(worker, f"{name}/v1/acl/tokens", *named, *AUTHORITY, *OWN).status == 403, "a client without a token"
    written = ("--request", "PUT", "--data", "1")
    assert ask(worker, f"{name}/v1/kv/stranger", *named, *AUTHORITY, *OWN, *written).status == 403
    assert ask(worker, f"{name}/v1/catalog/nodes", *named, *AUTHORITY, *OWN).json == []
    nomad = f"https://server.{cluster.names.region}.nomad:{NOMAD_HTTP.port}"
    assert ask(worker, f"{nomad}/v1/jobs", *named, *AUTHORITY).status == 403
    assert ask(worker, f"{nomad}/v1/jobs", *named).status == 0, "an authority that nobody knows"


PACKETS = 100
"""Enough to have heard of every node: each is asked by another one each second."""

CAPTURE = f"""\
import socket, struct
with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3)) as ear:
    ear.bind(("region", 0))
    ear.settimeout(30)
    found = 0
    while found < {PACKETS}:
        packet = ear.recv(65535)
        header = (packet[0] & 15) * 4
        target = struct.unpack_from("!H", packet, header + 2)[0]
        if packet[9] == socket.IPPROTO_UDP and target == {CONSUL_SERF_LAN.port}:
            found += 1
            print(packet[header + 8 :].hex())
"""
"""Prints what is said by UDP between agents of Consul, as a tap on the network hears it."""


def test_gossip_is_encrypted(cluster: Region) -> None:
    """Gossip in the clear, which shows every node and takes whoever speaks it."""
    [ring] = administer(cluster, Service.CONSUL, "/v1/operator/keyring").json[:1]
    assert set(ring["Keys"].values()) == {len(cluster.nodes) if not ring["WAN"] else 3}
    # The servers' own data goes over the bridge, which must be told to show what it passes on.
    cluster.world.run("ip", "link", "set", "region", "promisc", "on")
    heard = [bytes.fromhex(line) for line in cluster.world.run(sys.executable, "-c", CAPTURE).splitlines()]
    assert len(heard) == PACKETS
    # In the clear the names of those that are asked for stand in it.
    assert not [payload for payload in heard if b"control-plane" in payload or b"load-balancer" in payload]
    # And few of all bytes: what is encrypted has almost each of them as often as any other.
    assert len(set(b"".join(heard))) == 256


def expected(node: NodeMachine) -> set[tuple[str, int, bool]]:
    """What the flow table says that listens on a node: protocol, port, and whether for the node itself alone."""
    role = node.node.role.group
    listens = [flow for flow in FLOWS if role in flow.listeners and flow not in (SSH, PUSHGATEWAY)]
    return {(str(protocol), flow.port, not flow.callers) for flow in listens for protocol in flow.protocols}


def test_what_listens_is_the_flow_table(cluster: Region) -> None:
    """A port that is open and in no table, or in the table and shut: security groups follow it, and dashboards."""
    for node in cluster.nodes:
        found = {
            (one.protocol, one.port, one.address in ("127.0.0.1", "[::1]"))
            for one in node.sockets()
            # Jobs have ports of their own, from Nomad's range or as their file says.
            if one.process not in ("pushgateway", "python3")
        }
        assert found == expected(node), node.name
