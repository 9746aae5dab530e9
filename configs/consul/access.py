"""Who may do what in Consul: policies, tokens with known secrets, and how Nomad's jobs log in.

Rules: https://developer.hashicorp.com/consul/docs/reference/acl/rule
Jobs: https://developer.hashicorp.com/nomad/docs/secure/acl/consul#workload-identity

The anonymous token is given nothing: names are answered with the servers' own token (``acl.tokens.dns``).
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from configs.consul.agent import NODE_PREFIXES
from configs.context import Context
from configs.manifest import Call
from configs.tables.certificates import LOOPBACK_ADDRESS
from configs.tables.flows import NOMAD_HTTP, Role
from configs.tables.names import Service
from configs.tables.schedulers import (
    NODE_EXPORTER_SERVICE,
    NOMAD_SERVICE,
    WORKLOAD_AUDIENCE,
    WORKLOAD_LOGIN,
)
from configs.tables.secrets import (
    CA_CERTIFICATE,
    CONSUL_LOAD_BALANCER_TOKEN,
    CONSUL_SERVER_TOKEN,
    CONSUL_WORKER_TOKEN,
    NOMAD_CLIENT_CONSUL_TOKEN,
    NOMAD_SERVER_CONSUL_TOKEN,
    PROMETHEUS_CONSUL_TOKEN,
    SecretValue,
)
from configs.text import template

NAMESPACE = uuid.uuid5(uuid.NAMESPACE_DNS, "consul.mlops-ha")
"""What the public ids of tokens are made from, with their name: the same in every region, on every server."""


@dataclass(frozen=True)
class Granted:
    """A policy and the one token that has it. The policy is called as its file is, the token as the policy."""

    policy: str
    token: SecretValue
    values: dict[str, str]


GRANTED: tuple[Granted, ...] = (
    Granted("server-agents", CONSUL_SERVER_TOKEN, {"nodes": NODE_PREFIXES[Role.CONTROL_PLANE]}),
    Granted(
        "worker-agents",
        CONSUL_WORKER_TOKEN,
        {"nodes": NODE_PREFIXES[Role.WORKER], "node_exporter": NODE_EXPORTER_SERVICE},
    ),
    Granted("load-balancer-agents", CONSUL_LOAD_BALANCER_TOKEN, {"nodes": NODE_PREFIXES[Role.LOAD_BALANCER]}),
    Granted(
        "nomad-servers",
        NOMAD_SERVER_CONSUL_TOKEN,
        {"nodes": NODE_PREFIXES[Role.CONTROL_PLANE], "nomad": NOMAD_SERVICE},
    ),
    Granted("nomad-clients", NOMAD_CLIENT_CONSUL_TOKEN, {"nodes": NODE_PREFIXES[Role.WORKER]}),
    Granted("prometheus", PROMETHEUS_CONSUL_TOKEN, {"servers": NODE_PREFIXES[Role.CONTROL_PLANE]}),
)
"""Every token of a machine's own processes."""

TASKS = "nomad-tasks"
"""Policy and role of jobs; Nomad knows the role by this name and the namespace's."""

NOMAD_NAMESPACE = "default"
"""Nomad's namespace of jobs: there is one."""


def accessor(name: str) -> str:
    """Return the public id of a token."""
    return str(uuid.uuid5(NAMESPACE, name))


def calls(context: Context) -> tuple[Call, ...]:
    """Return what makes access control as it is to be, in the order in which things need each other."""
    del context
    return (*_policies(), *_tokens(), *_login())


def _policies() -> Iterator[Call]:
    for granted in GRANTED:
        yield _policy(granted.policy, granted.values)
    yield _policy(TASKS, {})


def _policy(name: str, values: dict[str, str]) -> Call:
    rules = template("configs", f"consul/policies/{name}.hcl.j2", **values)
    return _call(
        "policy",
        name,
        read=f"/v1/acl/policy/name/{name}",
        write="/v1/acl/policy",
        body={"Name": name, "Description": rules.splitlines()[0].removeprefix("# "), "Rules": rules},
    )


def _tokens() -> Iterator[Call]:
    for granted in GRANTED:
        identifier = accessor(granted.policy)
        yield _call(
            "token",
            granted.policy,
            read=f"/v1/acl/token/{identifier}",
            write="/v1/acl/token",
            body={
                "AccessorID": identifier,
                "SecretID": f"${{{granted.token.name}}}",
                "Description": granted.token.purpose,
                "Policies": [{"Name": granted.policy}],
                "Local": False,
            },
        )


def _login() -> Iterator[Call]:
    role = f"{TASKS}-{NOMAD_NAMESPACE}"
    yield _call(
        "role",
        role,
        read=f"/v1/acl/role/name/{role}",
        write="/v1/acl/role",
        body={"Name": role, "Description": "Nomad's jobs", "Policies": [{"Name": TASKS}]},
    )
    yield _call(
        "auth method",
        WORKLOAD_LOGIN,
        read=f"/v1/acl/auth-method/{WORKLOAD_LOGIN}",
        write="/v1/acl/auth-method",
        body={
            "Name": WORKLOAD_LOGIN,
            "DisplayName": WORKLOAD_LOGIN,
            "Description": "Nomad's jobs log in with the identity that Nomad signs",
            "Type": "jwt",
            "Config": {
                # Of the Nomad server beside the Consul server that is asked.
                "JWKSURL": f"https://{LOOPBACK_ADDRESS}:{NOMAD_HTTP.port}/.well-known/jwks.json",
                "JWKSCACert": f"${{{CA_CERTIFICATE}}}",
                "JWTSupportedAlgs": ["RS256"],
                "BoundAudiences": [WORKLOAD_AUDIENCE],
                "ClaimMappings": {
                    "nomad_namespace": "nomad_namespace",
                    "nomad_job_id": "nomad_job_id",
                    "nomad_task": "nomad_task",
                    "nomad_service": "nomad_service",
                },
            },
        },
    )
    # The dollar is doubled: this one is Consul's own.
    for description, kind, name, selector in (
        ("services of Nomad's jobs", "service", "$${value.nomad_service}", '"nomad_service" in value'),
        ("tasks of Nomad's jobs", "role", f"{TASKS}-$${{value.nomad_namespace}}", '"nomad_service" not in value'),
    ):
        yield _call(
            "binding rule",
            description,
            read=f"/v1/acl/binding-rules?authmethod={WORKLOAD_LOGIN}",
            write="/v1/acl/binding-rule",
            body={
                "AuthMethod": WORKLOAD_LOGIN,
                "Description": description,
                "BindType": kind,
                "BindName": name,
                "Selector": selector,
            },
        )


def _call(kind: str, name: str, *, read: str, write: str, body: dict[str, Any]) -> Call:
    return Call(
        service=Service.CONSUL,
        name=f"{kind} {name}",
        read=read,
        write=write,
        body=json.dumps(body, sort_keys=True),
        compared=tuple(sorted(body)),
    )
