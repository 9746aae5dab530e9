"""Who may do what: the least that each token needs, by names and ids that are the same on every server."""

import json
import string
from typing import Any

from configs.consul import access as consul
from configs.manifest import Call
from configs.nomad import access as nomad
from configs.tables.flows import Role
from configs.tables.secrets import document_keys
from tests.nodes import world

CONTEXT = world.context_of("prod", "control-plane-1")
CALLS = (*consul.calls(CONTEXT), *nomad.calls(CONTEXT))
DOCUMENT = world.documents_of("prod")["mlops/control-plane"]


def body(call: Call) -> dict[str, Any]:
    """The body as the boot agent sends it."""
    fields = {field: json.dumps(value)[1:-1] for field, value in DOCUMENT.items()}
    return json.loads(string.Template(call.body).substitute(fields))


def rules() -> dict[str, list[str]]:
    """What each policy allows, block by block without remarks."""
    found: dict[str, list[str]] = {}
    for call in CALLS:
        if call.name.startswith("policy "):
            text: str = body(call)["Rules"]
            kept = " ".join(line.strip() for line in text.splitlines() if not line.startswith("#"))
            found[call.name.removeprefix("policy ")] = list(kept.replace(" } ", " }\n").splitlines())
    return found


READ_ALL = ['node_prefix "" { policy = "read" }', 'service_prefix "" { policy = "read" }']


def test_each_may_what_it_needs_and_nothing_else() -> None:
    """Guards against a worker that writes itself down as a server, and a job that reads what is not its own."""
    assert rules() == {
        "server-agents": ['node_prefix "control-plane-" { policy = "write" }', *READ_ALL],
        "worker-agents": [
            'node_prefix "worker-" { policy = "write" }',
            'service_prefix "" { policy = "read" }',
            'service "node-exporter" { policy = "write" }',
        ],
        "load-balancer-agents": [
            'node_prefix "load-balancer-" { policy = "write" }',
            'service_prefix "" { policy = "read" }',
        ],
        "nomad-servers": [
            'agent_prefix "control-plane-" { policy = "read" }',
            *READ_ALL,
            'service "nomad" { policy = "write" }',
        ],
        "nomad-clients": [
            'agent_prefix "worker-" { policy = "read" }',
            'node_prefix "" { policy = "read" }',
            # It takes away what jobs registered, whose own tokens are gone by then.
            'service_prefix "" { policy = "write" }',
        ],
        "prometheus": ['agent_prefix "control-plane-" { policy = "read" }', *READ_ALL],
        "nomad-tasks": READ_ALL,
        "autoscaler": [
            'node { policy = "write" }',
            'namespace "*" { capabilities = ["read-job"] }',
            'namespace "default" { variables { path "nomad-autoscaler/lock" { capabilities = ["read", "write"] }',
            "} }",
        ],
    }


def test_each_token_has_its_secret_its_policy_and_an_id_of_its_own() -> None:
    """Guards against two token sets when several servers begin at once, and against a token of another's rights."""
    tokens = {call.name: (call, body(call)) for call in CALLS if call.name.startswith("token ")}
    assert {name: (sent["SecretID"], sent["Policies"]) for name, (_, sent) in tokens.items()} == {
        f"token {policy}": (DOCUMENT[field], [{"Name": policy}])
        for policy, field in (
            ("server-agents", "consulServerToken"),
            ("worker-agents", "consulWorkerToken"),
            ("load-balancer-agents", "consulLoadBalancerToken"),
            ("nomad-servers", "nomadServerConsulToken"),
            ("nomad-clients", "nomadClientConsulToken"),
            ("prometheus", "prometheusConsulToken"),
        )
    }
    assert len({sent["AccessorID"] for _, sent in tokens.values()}) == len(tokens)
    for call, sent in tokens.values():
        assert call.read == f"/v1/acl/token/{sent['AccessorID']}"
        # What is written in many running regions: with another id, each would get a second token.
        assert sent["AccessorID"] == consul.accessor(call.name.removeprefix("token "))
    assert consul.accessor("prometheus") == "1433e5a3-aff1-50ee-b253-cfc17dd40553"


def test_jobs_log_in_by_what_nomad_signs() -> None:
    """Guards against jobs without a token, and against one that registers under another's name."""
    sent = {call.name: body(call) for call in CALLS}
    assert sent["auth method nomad-workloads"]["Config"] == {
        "JWKSURL": "https://127.0.0.1:4646/.well-known/jwks.json",
        "JWKSCACert": DOCUMENT["caCertificate"],
        "JWTSupportedAlgs": ["RS256"],
        "BoundAudiences": ["consul.io"],
        "ClaimMappings": {name: name for name in ("nomad_namespace", "nomad_job_id", "nomad_task", "nomad_service")},
    }
    bound = [sent[f"binding rule {kind} of Nomad's jobs"] for kind in ("services", "tasks")]
    assert [(rule["BindType"], rule["BindName"], rule["Selector"]) for rule in bound] == [
        ("service", "${value.nomad_service}", '"nomad_service" in value'),
        ("role", "nomad-tasks-${value.nomad_namespace}", '"nomad_service" not in value'),
    ]
    assert sent["role nomad-tasks-default"]["Policies"] == [{"Name": "nomad-tasks"}]


def test_calls_are_what_the_boot_agent_can_do() -> None:
    """Guards against a call that asks for a secret the servers do not have, or that never finds what it made."""
    assert len({call.name for call in CALLS}) == len(CALLS)
    for call in CALLS:
        fields = set(string.Template(call.body).get_identifiers())
        assert fields <= document_keys(Role.CONTROL_PLANE, public_certificate=True)
        assert set(call.compared) == set(body(call))
        assert "Description" in body(call)
    # A list is searched by description: two rules of one description would be taken for one.
    descriptions = [body(call)["Description"] for call in CALLS if call.name.startswith("binding rule")]
    assert len(set(descriptions)) == len(descriptions) == 2


def test_the_autoscalers_token_lies_where_it_looks() -> None:
    """Guards against an autoscaler that never starts: its token in a file of another name, owner or form."""
    [token] = nomad.tokens(CONTEXT)
    assert token.model_dump() == {
        "name": "autoscaler",
        "policies": ("autoscaler",),
        "path": "/run/mlops-ha/nomad-autoscaler/token.hcl",
        "owner": "nomad-autoscaler",
        "mode": "0400",
        "text": 'nomad {\n  token = "${secret}"\n}\n',
    }
