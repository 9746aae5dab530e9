"""The workers follow the load: a fourth comes when three are busy, and one goes when they are not."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from configs.nodes import WORKER
from configs.nomad_autoscaler.service import LOCK_PATH, NAME
from configs.tables.flows import PROMETHEUS
from configs.tables.names import Service
from lab import autoscaling
from lab.autoscaling import WAITING
from lab.region import NotThere, Region
from tests.cluster.ask import administer, nomad, own, servers

LOOKED_SECONDS = 120
"""Longest until the autoscaler has looked twice: it looks every 10 seconds, and a lock that was held by a server that
was restarted is asked for every 33 seconds."""

OUT_SECONDS = 120
"""Longest until a load is answered: Nomad's figures, Prometheus and the autoscaler need up to 35 seconds together; a
Prometheus that has just been restarted needs up to 35 more until it has found the workers."""

JOINED_SECONDS = 110
"""Longest until a new worker is healthy: 15 seconds on an idle machine, 60 with ten processes for each core. It is
less than the cooldown: after that the autoscaler would add a fifth, as it sees only those that Nomad has."""

IN_SECONDS = 90
"""Longest, after the cooldown, until a worker is gone: 10 until the autoscaler looks, 15 to drain and to end."""

STARTED_SECONDS = 60
"""Longest until Nomad has started what a job is made of: 2 seconds on an idle machine."""


@dataclass(frozen=True)
class Evaluation:
    """One look of an autoscaler at the workers: how many there are to be."""

    server: str
    at: datetime
    count: int
    reason: str


EVALUATION = re.compile(
    r'^(?P<at>\S+) .*calculating scaling target:.* from=\d+ to=(?P<count>\d+) reason="(?P<reason>[^"]*)"',
    re.MULTILINE,
)


def said(cluster: Region) -> dict[str, str]:
    """What the autoscalers have written, by server."""
    return {server.name: server.journal(NAME) for server in servers(cluster)}


def evaluations(cluster: Region) -> list[Evaluation]:
    return [
        Evaluation(server, datetime.fromisoformat(one["at"]), int(one["count"]), one["reason"])
        for server, text in said(cluster).items()
        for one in EVALUATION.finditer(text)
    ]


def moments(cluster: Region, words: str, since: datetime) -> list[datetime]:
    """When an autoscaler wrote these words."""
    lines = [line for text in said(cluster).values() for line in text.splitlines() if words in line]
    return sorted(at for at in (datetime.fromisoformat(line.split()[0]) for line in lines) if at > since)


@contextmanager
def job(cluster: Region, name: str, count: int, megahertz: int) -> Generator[None]:
    """Run a job of so many processes that sleep, each on a worker of its own, while the block runs."""
    task = {
        "Name": "sleep",
        "Driver": "raw_exec",
        "User": "nobody",
        "Config": {"command": "/bin/sleep", "args": ["1h"]},
        "Resources": {"CPU": megahertz, "MemoryMB": 32},
    }
    apart = [{"Operand": "distinct_hosts"}]
    group = {"Name": "sleepers", "Count": count, "Constraints": apart, "Tasks": [task]}
    described = {"ID": name, "Name": name, "Type": "service", "Datacenters": ["*"], "TaskGroups": [group]}
    nomad(cluster, "/v1/jobs", "--json", json.dumps({"Job": described}))
    try:
        cluster.until(lambda: sum(running(cluster, name).values()) == count, STARTED_SECONDS, f"all of {name} runs")
        yield
    finally:
        nomad(cluster, f"/v1/job/{name}?purge=true", "--request", "DELETE")


def allocations(cluster: Region, name: str) -> list[dict[str, Any]]:
    return nomad(cluster, f"/v1/job/{name}/allocations")


def running(cluster: Region, name: str) -> Counter[str]:
    """How much of a job runs on each of Nomad's nodes."""
    return Counter(one["NodeName"] for one in allocations(cluster, name) if one["ClientStatus"] == "running")


def states(cluster: Region) -> dict[str, str]:
    """In which state of its life each machine of the group is."""
    with cluster.aws:
        return {state.instance.id: state.lifecycle_state for state in cluster.group.instance_states}


def desired(cluster: Region) -> int:
    with cluster.aws:
        return cluster.group.desired_capacity


def clients(cluster: Region) -> dict[str, str]:
    """The status of each of Nomad's nodes."""
    return {node["Name"]: node["Status"] for node in nomad(cluster, "/v1/nodes")}


def names(cluster: Region) -> set[str]:
    """What Nomad and Consul call the machines of the group."""
    return {f"{WORKER.name}-{instance}" for instance in states(cluster)}


def allocated(cluster: Region) -> dict[str, Any]:
    """How much of the workers is allocated, as each Prometheus has it."""
    path = "/api/v1/query?query=nomad_client_allocated_cpu"
    return {server.name: own(server, PROMETHEUS, path) for server in servers(cluster)}


def members(cluster: Region) -> set[str]:
    """The workers that Consul knows."""
    found = administer(cluster, Service.CONSUL, "/v1/catalog/nodes").json
    return {one["Node"] for one in found if one["Node"].startswith(f"{WORKER.name}-")}


def locks(cluster: Region) -> list[tuple[str, str]]:
    """Every lock of the autoscaler that is held: its path and the holder's id."""
    found = nomad(cluster, f"/v1/vars?prefix={LOCK_PATH.partition('/')[0]}")
    return [(one["Path"], one["Lock"]["ID"]) for one in found if one["Lock"]["ID"]]


def moved(cluster: Region, name: str, gone: str) -> tuple[str, str]:
    """What became of a job's part on a worker that is gone."""
    [found] = [one for one in allocations(cluster, name) if one["NodeName"] == f"{WORKER.name}-{gone}"]
    return found["ClientStatus"], found["DesiredDescription"]


def activities(cluster: Region, since: datetime) -> list[autoscaling.Activity]:
    """What the group has begun to do."""
    with cluster.aws:
        return [one for one in autoscaling.extension(cluster.group).activities if one.begun > since]


def test_the_workers_follow_the_load(cluster: Region) -> None:
    """Guards against jobs that wait for ever, idle machines, an end with jobs on it, and two that scale at once."""
    cooldown = timedelta(seconds=cluster.settings.workers.cooldown_seconds)

    # Nothing runs: there are three all the same, and not for want of an autoscaler that looks.
    cluster.until(
        lambda: sum(one.reason.endswith("to 3 to stay within limits") for one in evaluations(cluster)) >= 2,
        LOOKED_SECONDS,
        "the autoscaler has looked twice at idle workers",
    )
    begun, [held] = datetime.now(UTC), locks(cluster)
    assert held[0] == LOCK_PATH
    first = states(cluster)
    assert (desired(cluster), [*first.values()]) == (3, ["InService"] * 3)

    # Four fifths of three workers are allocated, which are three fifths of four: the target is seven tenths.
    nodes = nomad(cluster, "/v1/nodes?resources=true")
    free = [one["NodeResources"]["Cpu"]["CpuShares"] - one["ReservedResources"]["Cpu"]["CpuShares"] for one in nodes]
    with ExitStack() as jobs:
        load = jobs.enter_context(ExitStack())
        load.enter_context(job(cluster, "scaling-load", count=3, megahertz=min(free) * 8 // 10))
        try:
            cluster.until(lambda: desired(cluster) != 3, OUT_SECONDS, "the group grows")
        except NotThere as error:
            error.add_note(str(allocated(cluster)))
            raise
        assert desired(cluster) == 4
        [new] = states(cluster).keys() - first.keys()
        cluster.until(lambda: cluster.node(new).runs, JOINED_SECONDS, "the fourth machine is switched on")
        cluster.until(cluster.healthy, JOINED_SECONDS, "the fourth worker is healthy")
        jobs.enter_context(job(cluster, "scaling-kept", count=4, megahertz=100))
        assert clients(cluster) == dict.fromkeys(names(cluster), "ready")
        load.close()

        # The load is gone, and after the cooldown a worker.
        machines = {instance: cluster.node(instance) for instance in states(cluster)}
        [grown] = moments(cluster, "successfully performed and verified scaling out", begun)
        still = (grown + cooldown - datetime.now(UTC)).total_seconds() + IN_SECONDS
        cluster.until(lambda: WAITING in states(cluster).values(), still, "a worker waits for its drain")
        [gone] = [instance for instance, state in states(cluster).items() if state == WAITING]
        assert desired(cluster) == 3
        cluster.until(lambda: moments(cluster, "purged Nomad node", begun), IN_SECONDS, "Nomad is told to forget it")
        assert [*states(cluster).values()] == ["InService"] * 3
        assert clients(cluster) == dict.fromkeys(names(cluster), "ready")
        [drained] = moments(cluster, "triggering drain on node", begun)
        assert cooldown <= drained - grown < cooldown + timedelta(seconds=IN_SECONDS)
        waited = moments(cluster, "policy still on cooldown", begun)
        assert grown < waited[0] <= waited[-1] < grown + cooldown

        # It was drained by Nomad before it was to end, and by itself before it let go of its hook.
        assert moved(cluster, "scaling-kept", gone) == ("complete", "alloc is being migrated")
        assert running(cluster, "scaling-kept") == dict.fromkeys(names(cluster), 1)
    launch, end = activities(cluster, begun)
    assert (launch.instance, launch.description[:9]) == (new, "Launching")
    assert (end.instance, end.description[:11]) == (gone, "Terminating")
    assert end.ended is not None
    assert drained < end.begun < end.ended
    agent = machines[gone].journal("mlops-ha-boot-agent.service")
    assert agent.count("this machine is to go: mlops-ha-nomad.service drains it") == 1
    cluster.until(lambda: not machines[gone].runs, STARTED_SECONDS, "the machine is switched off")

    # One of the three has done all this, with one lock, and none ever wanted fewer than three or more than twenty.
    assert locks(cluster) == [held]
    assert len({one.server for one in evaluations(cluster) if one.at > begun}) == 1
    assert {one.count for one in evaluations(cluster)} <= {*range(3, 21)}

    # What is left is as well as before.
    cluster.until(cluster.healthy, JOINED_SECONDS, "the others are healthy")
    cluster.until(lambda: members(cluster) == names(cluster), STARTED_SECONDS, "Consul knows the three, and no other")
