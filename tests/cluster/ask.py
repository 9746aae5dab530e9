"""Asking the services of the region from one of its nodes, as whoever is there would."""

from __future__ import annotations

import json
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from configs.nodes import NodeRole
from configs.tables.certificates import LOOPBACK_ADDRESS
from configs.tables.flows import Flow, Role
from configs.tables.names import Service
from configs.tables.paths import AGENT, secret
from configs.tables.schedulers import SCHEDULERS, Scheduler
from lab.region import NodeMachine, Region

SECONDS = "10"
"""Longest that an answer takes."""

AUTHORITY = ("--cacert", secret(AGENT, "ca.pem"))
OWN = ("--cert", secret(AGENT, "certificate.pem"), "--key", secret(AGENT, "private-key.pem"))
"""The node's certificate."""


@dataclass(frozen=True)
class Answer:
    """What came back. ``status`` is 0 when nothing did: then ``text`` is what curl says about it."""

    status: int
    text: str

    @property
    def json(self) -> Any:
        """The answer's JSON."""
        return json.loads(self.text)


def ask(node: NodeMachine, url: str, *arguments: str) -> Answer:
    """Ask from a node, as curl does with these arguments."""
    code = "\n%{http_code}"
    done = node.run("curl", "--silent", "--show-error", "--max-time", SECONDS, "--write-out", code, *arguments, url)
    text, _, status = done.stdout.rpartition("\n")
    return Answer(int(status or 0), text or done.stderr)


def administer(
    cluster: Region, scheduler: Scheduler, path: str, *arguments: str, at: str = "control-plane-1"
) -> Answer:
    """Ask Consul or Nomad on one of its servers, as its administrator."""
    api = SCHEDULERS[scheduler]
    token = cluster.documents[Role.CONTROL_PLANE][api.token.name]
    header = ("--header", f"{api.token_header}: {token}")
    url = f"https://{LOOPBACK_ADDRESS}:{api.flow.port}{path}"
    return ask(cluster.node(at), url, *AUTHORITY, *OWN, *header, *arguments)


def nomad(cluster: Region, path: str, *arguments: str) -> Any:
    """What Nomad answers to its administrator, who is not refused."""
    answer = administer(cluster, Service.NOMAD, path, *arguments)
    assert answer.status == HTTPStatus.OK, answer
    return answer.json


def servers(cluster: Region) -> tuple[NodeMachine, ...]:
    return cluster.of(NodeRole.CONTROL_PLANE)


def own(server: NodeMachine, flow: Flow, path: str, *arguments: str) -> Any:
    """What a service of a server itself answers."""
    answer = ask(server, f"http://{LOOPBACK_ADDRESS}:{flow.port}{path}", *arguments)
    assert answer.status == HTTPStatus.OK, answer.text
    return answer.json if answer.text.strip() else None
