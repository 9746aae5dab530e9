"""Secrets: each value reaches exactly its readers, in both regions, and nothing of it is in the clear."""

import base64
import json
import re
from collections.abc import Mapping
from typing import Any, cast

import pulumi
import pytest

from components.certificate_authority import CertificateAuthority, CertificateAuthorityArgs
from components.secrets import Secrets, SecretsArgs
from configs.settings.parse import SECRETS
from configs.tables.flows import NODES, Role
from configs.tables.names import Names
from configs.tables.secrets import GENERATED, SecretKind, document_keys
from offline.checks.secrets import SECRET_BYTES
from tests.unit.mocks import REGIONS, Registered, Run, run_in_region, secret

KEY, REPLICA_KEY = "arn:aws:kms:us-east-1:123456789012:key/mrk-1", "arn:aws:kms:us-west-2:123456789012:key/mrk-1"


def secrets(public: bool = True, protect: bool = True, region: str = "us-east-1") -> Run:
    def program(opts: pulumi.ResourceOptions) -> None:
        names = Names("ml", "123456789012", region)
        public_names = ("grafana.ml.example.com",) if public else None
        made = Secrets(
            "safe",
            SecretsArgs(
                names=names,
                key_arn=KEY,
                replica_region="us-west-2",
                replica_key_arn=REPLICA_KEY,
                authority=CertificateAuthority(
                    "trust", CertificateAuthorityArgs(names, ("us-east-1", "us-west-2"), public_names, protect), opts
                ),
                # Not marked by the caller: the component must not rely on it.
                external={name: f"the {name}" for name in SECRETS},
                protect=protect,
            ),
            opts,
        )
        pulumi.export("databasePassword", made.database_password)
        pulumi.export("secretNames", made.secret_names)

    return run_in_region(program, region)


def own(run: Run) -> list[Registered]:
    """What the component makes itself."""
    return [one for one in run.everything if one.parent == "Secrets safe"]


def documents(run: Run) -> dict[str, dict[str, str]]:
    """The documents by role; fails if one is not marked as secret."""
    found: dict[str, dict[str, str]] = {}
    for name, inputs in run.inputs("SecretVersion").items():
        text = inputs["secretString"]["value"]
        assert inputs["secretString"] == secret(text)
        found[name.removeprefix("safe-")] = json.loads(text)
    return found


def test_every_resource_is_exactly_the_plan() -> None:
    """Guards against a secret under another key or name, one that is not replicated, and values of another form."""
    run = secrets()
    registered = run.inputs_by_type()
    versions = registered.pop("aws:secretsmanager/secretVersion:SecretVersion")
    assert registered == {
        "aws:secretsmanager/secret:Secret": {
            f"safe-{role}": {
                "name": f"ml/{role}",
                "kmsKeyId": KEY,
                "recoveryWindowInDays": 30,
                "replicas": [{"region": "us-west-2", "kmsKeyId": REPLICA_KEY}],
                "tags": {"Name": f"safe-{role}"},
            }
            for role in ("load-balancer", "control-plane", "worker")
        }
    }
    assert {name: inputs["secretId"] for name, inputs in versions.items()} == {
        f"safe-{role}": f"Secret safe-{role} id" for role in NODES
    }
    assert all(set(inputs) == {"secretId", "secretString"} for inputs in versions.values())
    hexadecimal: Mapping[str, Any] = {
        "upper": False,
        "lower": False,
        "numeric": False,
        "special": True,
        "overrideSpecial": "0123456789abcdef",
    }
    forms: dict[SecretKind, Mapping[str, Any]] = {
        SecretKind.UUID: {"length": 32, **hexadecimal},
        SecretKind.KEY_32: {"length": 64, **hexadecimal},
        SecretKind.PASSWORD: {"length": 32, "upper": True, "lower": True, "numeric": True, "special": False},
    }
    assert {one.name: one.inputs for one in own(run) if one.kind == "RandomPassword"} == {
        f"safe-{value.name}": forms[value.kind] for value in GENERATED
    }
    assert {one.kind for one in own(run)} == {"RandomPassword", "Secret", "SecretVersion"}


@pytest.mark.parametrize("public", [True, False])
def test_every_value_reaches_exactly_its_readers(public: bool) -> None:
    """Guards against a role that reads another's secrets, and against one that lacks what it needs."""
    found = documents(secrets(public))
    assert {role: frozenset(document) for role, document in found.items()} == {
        role: document_keys(role, public) for role in NODES
    }
    for value in GENERATED:
        in_documents = {document[value.name] for document in found.values() if value.name in document}
        assert len(in_documents) == 1
        readers = {role for role, document in found.items() if in_documents & set(document.values())}
        assert readers == set(value.readers)


def test_each_document_has_its_own_certificate_and_what_was_given() -> None:
    """Guards against a worker that passes for a server, and against alerts that are sent nowhere."""
    found = documents(secrets())
    for role, document in found.items():
        assert document["caCertificate"] == "SelfSignedCert trust-authority certPem"
        assert document["certificate"] == f"LocallySignedCert trust-{role} certPem"
        assert document["privateKey"] == f"PrivateKey trust-{role} privateKeyPem"
    balancer = found[Role.LOAD_BALANCER]
    assert balancer["publicCertificate"] == "LocallySignedCert trust-public certPem"
    assert balancer["publicPrivateKey"] == "PrivateKey trust-public privateKeyPem"
    assert {name: found[Role.CONTROL_PLANE][name] for name in SECRETS} == {name: f"the {name}" for name in SECRETS}


def test_values_have_their_form() -> None:
    """Guards against tokens, gossip keys and passwords that the services refuse."""
    found = documents(secrets())
    for value in GENERATED:
        text = found[value.readers[0]][value.name]
        match value.kind:
            case SecretKind.UUID:
                assert re.fullmatch("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", text)
            case SecretKind.KEY_32:
                assert len(base64.b64decode(text, validate=True)) == 32
            case SecretKind.PASSWORD:
                assert re.fullmatch("[0-9A-Za-z]{32}", text)


def test_no_value_is_in_the_clear() -> None:
    """Guards against a secret in the plain state, in an output or in the log of a pipeline."""
    run = secrets()
    values = {
        text
        for document in documents(run).values()
        for name, text in document.items()
        if name not in ("caCertificate", "certificate", "publicCertificate")
    }
    clear = json.dumps(_unmarked([*(one.inputs for one in run.everything), *run.outputs.values()]))
    assert [value for value in values if value in clear] == []


def _unmarked(value: Any) -> Any:
    """What is left of a value without what is marked as secret."""
    if isinstance(value, Mapping):
        parts = cast(Mapping[str, Any], value)
        marked = parts == secret(parts.get("value"))
        return None if marked else {name: _unmarked(part) for name, part in parts.items()}
    if isinstance(value, list):
        return [_unmarked(item) for item in cast(list[Any], value)]
    return value


def test_hands_on_the_names_and_the_database_password_as_a_secret() -> None:
    """Guards against a database that its own users cannot reach, and against its password in the plain state."""
    run = secrets()
    assert run.outputs["Stack mlops-ha-prod"] == {
        "databasePassword": secret(documents(run)[Role.CONTROL_PLANE]["databasePassword"]),
        "secretNames": {role: f"ml/{role}" for role in NODES},
    }
    assert run.outputs["Secrets safe"] == {}


def test_documents_are_the_same_bytes_every_time_and_fit() -> None:
    """Guards against a new version at every `up`, and against a document that Secrets Manager refuses."""
    # PEM of a P-256 key and certificate with some 20 names, generously; the mocks' stand-ins are shorter.
    room = 5 * 4_096
    for inputs in secrets().inputs("SecretVersion").values():
        text = inputs["secretString"]["value"]
        assert text == json.dumps(json.loads(text), sort_keys=True)
        assert len(text.encode()) + room < SECRET_BYTES


@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize("protect", [True, False])
def test_values_and_secrets_are_protected_and_all_is_in_its_region(region: str, protect: bool) -> None:
    """Guards against values made anew, which lock every node out, and against names that stay taken for a month."""
    run = secrets(protect=protect, region=region)
    assert {(one.kind, one.protect) for one in own(run)} == {
        ("RandomPassword", protect),
        ("Secret", protect),
        ("SecretVersion", False),
    }
    assert {one.provider for one in own(run)} == {f"aws {region}", "random random"}
    assert {one["recoveryWindowInDays"] for one in run.inputs("Secret").values()} == {30 if protect else 0}
    component = [one for one in run.everything if one.type == "mlops:platform:Secrets"]
    assert [one.parent for one in component] == [f"Region {region}"]
