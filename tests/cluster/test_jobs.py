"""Jobs on the region: found through Consul, watched, resumed after a lost worker; and what people are told of them.

The tests come in the order in which they wait least: the alert is told while the training moves to another worker.
"""

from __future__ import annotations

import json
import time
from collections.abc import Generator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any

import pytest

from configs.alertmanager.service import PEER_SECONDS
from configs.context import Context
from configs.nodes import WORKER, NodeRole
from configs.tables import metrics
from configs.tables.flows import ALERTMANAGER, PROMETHEUS, PUSHGATEWAY, Role
from configs.tables.names import PublicNames, Service
from engine.stack_files import ROOT
from lab.namespaces import GROUND, within
from lab.region import NodeMachine, Region
from ops.entrance import Entrance, trust
from ops.jobs import Outcome, Registration, job_files, register
from tests.cluster.ask import administer, ask, nomad, own, servers

SECONDS = 240
"""Longest that anything is waited for: a lost worker's training takes 77 s on an idle machine."""

GROUP_WAIT_SECONDS = 10
"""What Alertmanager waits before the first message of a group."""

LATE_SECONDS = 15
"""How much later than it should the last Alertmanager may come."""

STEP_SECONDS, STEPS_PER_CHECKPOINT = 0.5, 4

ENDED = ("complete", "failed", "lost")
"""How allocations are that are over."""

STALLED = "stalled"
"""Job that pushed once, an hour ago."""

CRITICAL = "RehearsedByHand"
"""Alert that no rule has."""


@dataclass(frozen=True)
class Fixed:
    """Knows the addresses of the public names as the region's nodes do."""

    cluster: Region

    def addresses(self, name: str) -> frozenset[str]:
        return frozenset({str(self.cluster.hosts[name])})


def datacenter(cluster: Region) -> str:
    return Context(cluster.settings, servers(cluster)[0].node, cluster.facts).datacenter


def posted(body: object) -> tuple[str, ...]:
    return ("--header", "Content-Type: application/json", "--data", json.dumps(body))


def registered(cluster: Region) -> tuple[Registration, ...]:
    """Register the platform's jobs as its commands do, through the load balancer."""
    settings = cluster.settings
    context = trust(settings, dict(cluster.documents[Role.LOAD_BALANCER]))
    resolvers: Any = Fixed(cluster)
    entrance = Entrance(PublicNames(settings.domain), cluster.names.region, resolvers, context)
    files = [
        replace(file, variables={**file.variables, "driver": "raw_exec"})
        for file in job_files(settings, cluster.names)
    ]
    token = cluster.documents[Role.CONTROL_PLANE]["nomadManagementToken"]
    return within(cluster.world.pid, lambda: register(entrance, token, files))


def submit_training(cluster: Region) -> None:
    """Submit the example as its head says: by Nomad's command, in the project's folder."""
    token = cluster.documents[Role.CONTROL_PLANE]["nomadManagementToken"]
    environment = (
        "NOMAD_ADDR=https://127.0.0.1:4646",
        "NOMAD_CACERT=/run/mlops-ha/boot-agent/ca.pem",
        f"NOMAD_TOKEN={token}",
    )
    values = {
        "driver": "raw_exec",
        "steps": 100_000,
        "seconds_per_step": STEP_SECONDS,
        "steps_per_checkpoint": STEPS_PER_CHECKPOINT,
    }
    variables = [f"-var={name}={value}" for name, value in values.items()]
    words = ("/opt/mlops-ha/bin/nomad", "job", "run", "-detach", *variables, "jobs/training.nomad.hcl")
    done = servers(cluster)[0].run("env", f"--chdir={ROOT}", *environment, *words)
    assert done.returncode == 0, done.stdout + done.stderr


def running(cluster: Region, job: str) -> dict[str, Any] | None:
    """The allocation of a job that runs."""
    found = nomad(cluster, f"/v1/job/{job}/allocations")
    return next((one for one in found if (one["ClientStatus"], one["DesiredStatus"]) == ("running", "run")), None)


def worker_of(cluster: Region, allocation: dict[str, Any]) -> NodeMachine:
    return next(one for one in cluster.of(NodeRole.WORKER) if allocation["NodeName"] == f"{WORKER.name}-{one.name}")


def found_in_consul(cluster: Region) -> list[str]:
    """Where pushgateway is, as Consul's healthy service."""
    answer = administer(cluster, Service.CONSUL, "/v1/health/service/pushgateway?passing")
    return [f"http://{one['Service']['Address']}:{one['Service']['Port']}" for one in answer.json]


def kept_step(cluster: Region) -> int:
    """The step of the training's checkpoint on the shared file system; 0 when there is none."""
    file = cluster.world.path(f"{GROUND}/file-systems/{cluster.facts.file_system_id}/training/checkpoint.json")
    return int(json.loads(file.read_text())["step"]) if file.exists() else 0


def steps(server: NodeMachine) -> list[tuple[str, int]]:
    """Job and step of each training that a Prometheus knows."""
    answer = own(server, PROMETHEUS, f"/api/v1/query?query={metrics.TRAINING_STEP}")
    return [(one["metric"]["job"], int(one["value"][1])) for one in answer["data"]["result"]]


def critical(cluster: Region, ends: datetime) -> None:
    """Tell every Alertmanager of an alert, as every Prometheus does."""
    alert = {
        "labels": {"alertname": CRITICAL, "severity": "critical", "cluster": datacenter(cluster)},
        "annotations": {"summary": "One of the tests", "description": "Nothing is wrong."},
        "endsAt": ends.isoformat(),
    }
    for server in servers(cluster):
        own(server, ALERTMANAGER, "/api/v2/alerts", *posted([alert]))


@dataclass(frozen=True)
class Jobs:
    """What runs: ``pushgateway`` is its address, ``first`` what became of the first registration."""

    pushgateway: str
    first: tuple[Registration, ...]


@pytest.fixture(scope="module")
def jobs(cluster: Region) -> Generator[Jobs]:
    """Pushgateway and, on another worker, the training; a job that stands still, and a critical alert."""
    try:
        critical(cluster, datetime.now(UTC) + timedelta(hours=1))
        first = registered(cluster)
        gateway = cluster.until(lambda: running(cluster, "pushgateway"), SECONDS, "pushgateway runs")
        # Nomad would put both on one worker, and what was pushed is in pushgateway's memory: lost as well.
        eligibility = f"/v1/node/{gateway['NodeID']}/eligibility"
        nomad(cluster, eligibility, *posted({"Eligibility": "ineligible"}))
        submit_training(cluster)
        cluster.until(lambda: running(cluster, "training"), SECONDS, "the training runs")
        nomad(cluster, eligibility, *posted({"Eligibility": "eligible"}))
        [address] = cluster.until(lambda: found_in_consul(cluster), SECONDS, "pushgateway is found in Consul")
        figures = {metrics.TRAINING_PROGRESS: time.time() - 3600, metrics.TRAINING_FINISHED: 0}
        # Of the same type as the training's own: pushgateway refuses a metric of two types.
        progress = "".join(f"# TYPE {name} gauge\n{name} {value}\n" for name, value in figures.items())
        group = f"{address}/metrics/job/{STALLED}/group/{STALLED}"
        assert ask(cluster.of(NodeRole.WORKER)[0], group, "--data-binary", progress).status == HTTPStatus.OK
        yield Jobs(address, first)
        deleted = ask(cluster.of(NodeRole.WORKER)[0], group, "--request", "DELETE")
        assert deleted.status == HTTPStatus.ACCEPTED, deleted
    finally:
        leave(cluster)


def leave(cluster: Region) -> None:
    """Leave the region as it was: three healthy workers, and nothing that runs on them."""
    critical(cluster, datetime.now(UTC))
    for job in ("training", "pushgateway"):
        nomad(cluster, f"/v1/job/{job}?purge=true", "--request", "DELETE")
    for worker in cluster.of(NodeRole.WORKER):
        worker.boot()
    cluster.until(cluster.healthy, SECONDS, "every node is healthy")
    cluster.until(lambda: not found_in_consul(cluster), SECONDS, "pushgateway is gone from Consul")
    for node in nomad(cluster, "/v1/nodes"):
        if node["Status"] == "down":
            # The lost worker, which is another one to Nomad since.
            nomad(cluster, f"/v1/node/{node['ID']}/purge", "--request", "POST")
        else:
            path = f"/v1/node/{node['ID']}/allocations"
            cluster.until(
                lambda path=path: all(one["ClientStatus"] in ENDED for one in nomad(cluster, path)),
                SECONDS,
                "no job runs",
            )
    assert sorted(one["Status"] for one in nomad(cluster, "/v1/nodes")) == ["ready"] * 3
    cluster.world.run("rm", "-rf", f"{GROUND}/file-systems/{cluster.facts.file_system_id}/training")


def test_jobs_are_registered_once_and_found(cluster: Region, jobs: Jobs) -> None:
    """A job that is registered anew by each run of the command, and one that nobody finds."""
    assert jobs.first == (Registration("pushgateway", Outcome.ADDED),)
    assert registered(cluster) == (Registration("pushgateway", Outcome.UNCHANGED),)
    gateway = running(cluster, "pushgateway")
    assert gateway is not None
    assert jobs.pushgateway == f"http://{worker_of(cluster, gateway).address}:{PUSHGATEWAY.port}"


@pytest.mark.usefixtures("jobs")
def test_every_prometheus_sees_the_training(cluster: Region) -> None:
    """A training that saves nothing, or whose figures end on the way."""
    cluster.until(lambda: kept_step(cluster) >= STEPS_PER_CHECKPOINT, SECONDS, "a checkpoint is saved")
    for server in servers(cluster):
        cluster.until(lambda server=server: steps(server), SECONDS, f"{server.name} has the training's figures")
        # Under the job's own name, not the scrape's.
        [(job, step)] = steps(server)
        assert (job, step % STEPS_PER_CHECKPOINT) == ("training", 0)


@pytest.mark.usefixtures("jobs")
def test_a_lost_worker_ends_no_training(cluster: Region) -> None:
    """A training that is lost with its worker, begins anew, or that two workers go on with."""
    cluster.until(lambda: kept_step(cluster) >= STEPS_PER_CHECKPOINT, SECONDS, "a checkpoint is saved")
    before = running(cluster, "training")
    assert before is not None
    lost = worker_of(cluster, before)
    lost.kill()
    reached = kept_step(cluster)
    assert reached >= STEPS_PER_CHECKPOINT
    cluster.until(lambda: kept_step(cluster) > reached, SECONDS, "the training goes on")
    after = running(cluster, "training")
    assert after is not None
    assert (after["NodeName"] == before["NodeName"], after["ID"] == before["ID"]) == (False, False)
    log = administer(cluster, Service.NOMAD, f"/v1/client/fs/logs/{after['ID']}?task=train&type=stdout&plain=true")
    assert log.text.splitlines()[0] == f"at step {reached} of 100000"
    # Back, while the other tests go on; what it was to Nomad is over.
    lost.boot()
    for server in servers(cluster):
        cluster.until(
            lambda server=server: [job for job, step in steps(server) if step > reached] == ["training"],
            SECONDS,
            f"{server.name} sees that the training goes on",
        )


def alerts(server: NodeMachine, name: str) -> list[dict[str, Any]]:
    """What an Alertmanager knows of an alert."""
    return own(server, ALERTMANAGER, f"/api/v2/alerts?filter=alertname%3D%22{name}%22")


def told_by_all(cluster: Region, name: str) -> None:
    """Wait until the last Alertmanager would have told an alert, had it not heard of the first one's message."""
    since: list[datetime] = []
    for server in servers(cluster):
        [alert] = cluster.until(
            lambda server=server: alerts(server, name), SECONDS, f"{name} reaches Alertmanager on {server.name}"
        )
        assert (alert["status"]["state"], alert["status"]["inhibitedBy"]) == ("active", [])
        since.append(datetime.fromisoformat(alert["startsAt"]))
    cluster.until(lambda: titles(cluster, name), SECONDS, f"{name} is told")
    # Whoever comes second waits for the first, whoever comes third for both.
    seconds = GROUP_WAIT_SECONDS + (len(servers(cluster)) - 1) * PEER_SECONDS + LATE_SECONDS
    last = max(since) + timedelta(seconds=seconds)
    cluster.until(lambda: datetime.now(UTC) > last, SECONDS, "the last Alertmanager has had its time")


def titles(cluster: Region, name: str) -> list[tuple[str, str]]:
    """Channel and title of each message about an alert."""
    found = [(one.content["channel"], one.content["attachments"][0]["title"]) for one in cluster.slack]
    return [(channel, title) for channel, title in found if f" {name} " in title]


@pytest.mark.usefixtures("jobs")
def test_an_alert_is_told_once(cluster: Region) -> None:
    """An alert that reaches nobody, the wrong people, or everyone three times."""
    for server in servers(cluster):

        def firing(server: NodeMachine = server) -> list[dict[str, str]]:
            found = own(server, PROMETHEUS, "/api/v1/alerts")["data"]["alerts"]
            firing = [one["labels"] for one in found if one["state"] == "firing"]
            return [labels for labels in firing if labels["alertname"] == "TrainingStalled"]

        [labels] = cluster.until(firing, SECONDS, f"the alert fires on {server.name}")
        assert labels["job"] == STALLED
    told_by_all(cluster, "TrainingStalled")
    of, slack = datacenter(cluster), cluster.settings.alerts.slack
    assert titles(cluster, "TrainingStalled") == [
        (str(slack.training_channel), f"[MLOps] TrainingStalled ({of}, 1)"),
    ]
    subject = f"[CRITICAL] {CRITICAL} ({of}, 1)"
    assert titles(cluster, CRITICAL) == [(str(slack.critical_channel), subject)]
    mails = [
        (one.recipients, one.subject)
        for one in cluster.mail
        if "TrainingStalled" in one.subject or CRITICAL in one.subject
    ]
    assert mails == [((str(cluster.settings.alerts.email.critical_recipient),), subject)]
