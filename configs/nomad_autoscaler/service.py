"""Nomad's autoscaler on each node of the control plane: all of them look, the one that holds the lock acts.

https://developer.hashicorp.com/nomad/tools/autoscaling/agent
"""

from __future__ import annotations

from dataclasses import dataclass

from configs.context import Context
from configs.manifest import Directory, File, Probe, ServiceKind
from configs.nomad_autoscaler.policy import DRAIN_SECONDS, POLICY_FILE, worker_policy
from configs.service import NodeService, tls_files
from configs.tables.accounts import NOMAD_AUTOSCALER as ACCOUNT
from configs.tables.certificates import LOOPBACK_ADDRESS
from configs.tables.flows import NOMAD_AUTOSCALER, NOMAD_HTTP, PROMETHEUS
from configs.tables.paths import configuration, data, secret
from configs.tables.versions import Software
from configs.text import template

NAME = "nomad-autoscaler"
"""Name of the service."""

LOCK_PATH = "nomad-autoscaler/lock"
"""Variable of Nomad that is the lock: the autoscaler's own default."""

LOCK_SECONDS = 30
"""After as long without a word from its holder the lock is free; half of the default, because who holds it says so
every few seconds, and a load that rises waits for nobody."""

LOCK_DELAY_SECONDS = 15
"""How long a lock stays unused that was not given back: what its holder last began is done by then."""

TOKEN_FILE = secret(NAME, "token.hcl")
"""File with its token of Nomad, which access control leaves there."""

TOKEN_TEXT = 'nomad {\n  token = "${secret}"\n}\n'  # noqa: S105  (a template)
"""What goes into that file."""

EVALUATION_DEADLINE_SECONDS = DRAIN_SECONDS + 300
"""Longest that one scaling takes: the drain of a worker, and five minutes for EC2 to end it. With less the
autoscaler gives up what is still under way (https://developer.hashicorp.com/nomad/tools/autoscaling/agent#ack_timeout)."""


@dataclass(frozen=True)
class Autoscaler:
    """What the autoscaler is told."""

    port: int
    region: str
    nomad: str
    authority: str
    prometheus: str
    policies: str
    plugins: str
    lock: str
    lock_seconds: int
    lock_delay_seconds: int
    evaluation_seconds: int


def service(context: Context) -> NodeService:
    """Return the service of a node."""
    authority, _certificate, _private_key = tls_files(NAME, ACCOUNT)
    text = template(
        "configs",
        "nomad_autoscaler/agent.hcl.j2",
        autoscaler=Autoscaler(
            port=NOMAD_AUTOSCALER.port,
            region=context.region,
            nomad=f"https://{LOOPBACK_ADDRESS}:{NOMAD_HTTP.port}",
            authority=authority.path,
            prometheus=f"http://{LOOPBACK_ADDRESS}:{PROMETHEUS.port}",
            policies=POLICY_FILE.rpartition("/")[0],
            plugins=f"{data(NAME)}/plugins",
            lock=LOCK_PATH,
            lock_seconds=LOCK_SECONDS,
            lock_delay_seconds=LOCK_DELAY_SECONDS,
            evaluation_seconds=EVALUATION_DEADLINE_SECONDS,
        ),
    )
    policy = worker_policy(context.names, context.settings.workers, context.settings.worker_bounds)
    configured = configuration(NAME, "agent.hcl")
    return NodeService(
        name=NAME,
        software=Software.NOMAD_AUTOSCALER,
        version=context.settings.version(Software.NOMAD_AUTOSCALER),
        kind=ServiceKind.BINARY,
        account=ACCOUNT,
        program="/bin/nomad-autoscaler",
        arguments=("agent", f"-config={configured}", f"-config={TOKEN_FILE}"),
        files={configured: File.of(text), POLICY_FILE: File.of(policy)},
        secrets=(authority,),
        needs=(TOKEN_FILE,),
        directories=(Directory(path=data(NAME), owner=ACCOUNT.name),),
        probe=Probe(kind="http", port=NOMAD_AUTOSCALER.port, path="/v1/health"),
    )
