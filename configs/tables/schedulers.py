"""Consul and Nomad as those that keep their own state: how each is asked for a snapshot, and by which token.

And what is found through Consul: the names under which the platform's own services stand there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from configs.tables.flows import CONSUL_HTTPS, NOMAD_HTTP, Flow
from configs.tables.names import Service
from configs.tables.secrets import CONSUL_MANAGEMENT_TOKEN, NOMAD_MANAGEMENT_TOKEN, SecretValue

Scheduler = Literal[Service.CONSUL, Service.NOMAD]
"""The services that keep their state themselves."""


@dataclass(frozen=True)
class SchedulerApi:
    """The API of one of them.

    ``leader`` is where its own state says whether the server leads. A snapshot is got from ``snapshot_path`` and put
    back to it, by whoever shows the management token in ``token_header``.
    """

    flow: Flow
    leader: tuple[str, ...]
    snapshot_path: str
    token_header: str
    token: SecretValue


SCHEDULERS: dict[Scheduler, SchedulerApi] = {
    # https://developer.hashicorp.com/consul/api-docs/snapshot
    Service.CONSUL: SchedulerApi(
        flow=CONSUL_HTTPS,
        leader=("Stats", "consul", "leader"),
        snapshot_path="/v1/snapshot",
        token_header="X-Consul-Token",  # noqa: S106  (the name of a header, no token)
        token=CONSUL_MANAGEMENT_TOKEN,
    ),
    # https://developer.hashicorp.com/nomad/api-docs/operator/snapshot
    Service.NOMAD: SchedulerApi(
        flow=NOMAD_HTTP,
        leader=("stats", "nomad", "leader"),
        snapshot_path="/v1/operator/snapshot",
        token_header="X-Nomad-Token",  # noqa: S106  (the name of a header, no token)
        token=NOMAD_MANAGEMENT_TOKEN,
    ),
}

NOMAD_SERVICE = "nomad"
"""What Nomad's servers are called in Consul, with the tags ``http``, ``rpc`` and ``serf``."""

NOMAD_CLIENT_SERVICE = "nomad-client"
"""What Nomad's clients are called in Consul, with the tag ``http``."""

NODE_EXPORTER_SERVICE = "node-exporter"
"""What node exporter of workers is called in Consul: those of other nodes are found by their fixed addresses."""

WORKLOAD_AUDIENCE = "consul.io"
"""Whom Nomad's identities of jobs are for (https://developer.hashicorp.com/nomad/docs/secure/acl/consul)."""

WORKLOAD_LOGIN = "nomad-workloads"
"""Consul's way to log in for Nomad's jobs: the name that Nomad's clients ask for by default."""
