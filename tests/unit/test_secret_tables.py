"""The tables of secrets and of certificates."""

import base64
import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from configs.settings.model import Settings
from configs.settings.parse import SECRETS
from configs.tables import certificates
from configs.tables.certificates import Certificate, ip_addresses, node_names, public_certificate_names
from configs.tables.flows import NODES, Role
from configs.tables.names import Names
from configs.tables.secrets import (
    CHARACTERS,
    EXTERNAL,
    GENERATED,
    HEXADECIMAL,
    SecretKind,
    document_keys,
    formatted,
)
from tests.unit.mocks import stack_settings

REGIONS = ("us-east-1", "us-west-2")
OWN = {"caCertificate", "certificate", "privateKey"}
LETTERS_AND_DIGITS = string.ascii_letters + string.digits


def hexadecimal(kind: SecretKind) -> st.SearchStrategy[str]:
    return st.text(HEXADECIMAL, min_size=CHARACTERS[kind], max_size=CHARACTERS[kind])


# Secrets.


def test_a_worker_reads_exactly_what_it_needs() -> None:
    """Guards against a training job's machine that can administer the cluster or reach the database."""
    tokens = {"consulWorkerToken", "nomadClientConsulToken"}
    assert document_keys(Role.WORKER, public_certificate=True) == OWN | tokens | {"consulGossipKey"}


@pytest.mark.parametrize("public", [True, False])
def test_a_load_balancer_reads_exactly_what_it_needs(public: bool) -> None:
    """Guards against the machine next to the internet knowing more than it uses, and against one without its TLS."""
    own = {"consulGossipKey", "consulLoadBalancerToken", "loadBalancerStatisticsPassword", "prometheusPassword"}
    ends_tls = {"publicCertificate", "publicPrivateKey"} if public else set[str]()
    assert document_keys(Role.LOAD_BALANCER, public) == OWN | own | ends_tls


def test_the_control_plane_reads_all_but_the_public_login_and_certificate() -> None:
    """Guards against a token that nobody can register, and against alerts without their passwords."""
    generated = {value.name for value in GENERATED} - {"prometheusPassword"}
    assert document_keys(Role.CONTROL_PLANE, public_certificate=True) == OWN | generated | set(SECRETS)


def test_every_token_can_be_registered() -> None:
    """Guards against an agent whose token is in its secret and unknown to Consul."""
    tokens = [value for value in GENERATED if value.kind is SecretKind.UUID]
    assert len(tokens) == 9
    assert [value.name for value in tokens if Role.CONTROL_PLANE not in value.readers] == []


def test_each_agent_has_a_token_of_its_own() -> None:
    """Guards against a stolen worker's token that cannot be taken back without cutting everybody off."""
    agents = {"consulServerToken", "consulWorkerToken", "consulLoadBalancerToken"}
    readers = {value.name: set(value.readers) - {Role.CONTROL_PLANE} for value in GENERATED if value.name in agents}
    assert readers == {
        "consulServerToken": set(),
        "consulWorkerToken": {Role.WORKER},
        "consulLoadBalancerToken": {Role.LOAD_BALANCER},
    }


def test_the_table_is_in_order() -> None:
    """Guards against two values under one key, and against a value that no node reads."""
    names = [value.name for value in GENERATED]
    fixed = [*EXTERNAL, *OWN, "publicCertificate", "publicPrivateKey"]
    assert len({*names, *fixed}) == len(names) + len(fixed)
    assert [name for name in names if not re.fullmatch("[a-z]+([A-Z][a-z]+)+", name)] == []
    assert all(value.readers and set(value.readers) <= set(NODES) and value.purpose for value in GENERATED)
    assert set(EXTERNAL) == set(SECRETS)


def test_random_characters_are_enough() -> None:
    """Guards against values that can be guessed: 128 bits are what a UUID has."""
    alphabets = dict.fromkeys(SecretKind, HEXADECIMAL) | {SecretKind.PASSWORD: LETTERS_AND_DIGITS}
    assert [kind for kind in SecretKind if len(set(alphabets[kind])) ** CHARACTERS[kind] < 2**128] == []


@given(hexadecimal(SecretKind.UUID))
def test_a_uuid_keeps_every_character(characters: str) -> None:
    """Guards against tokens that Consul and Nomad refuse, and against lost randomness."""
    value = formatted(SecretKind.UUID, characters)
    assert re.fullmatch("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", value)
    assert value.replace("-", "") == characters


@given(hexadecimal(SecretKind.KEY_32))
def test_a_key_has_exactly_32_bytes(characters: str) -> None:
    """Guards against gossip that does not start, or is encrypted with fewer bits than meant."""
    key = base64.b64decode(formatted(SecretKind.KEY_32, characters), validate=True)
    assert (len(key), key.hex()) == (32, characters)


@given(st.text(LETTERS_AND_DIGITS))
def test_a_password_is_as_it_was_made(characters: str) -> None:
    """Guards against a password that its own service does not know."""
    assert formatted(SecretKind.PASSWORD, characters) == characters


# Certificates.


def test_every_role_has_a_certificate_and_its_names() -> None:
    """Guards against agents that refuse each other, and against a load balancer that Nomad takes for a worker."""
    assert {one: node_names(one, "ml", REGIONS) for one in Certificate if one is not Certificate.PUBLIC} == {
        Role.CONTROL_PLANE: (
            "server.ml-us-east-1.consul",
            "server.us-east-1.nomad",
            "server.ml-us-west-2.consul",
            "server.us-west-2.nomad",
            "localhost",
        ),
        Role.WORKER: (
            "client.ml-us-east-1.consul",
            "client.us-east-1.nomad",
            "client.ml-us-west-2.consul",
            "client.us-west-2.nomad",
            "localhost",
        ),
        Role.LOAD_BALANCER: ("client.ml-us-east-1.consul", "client.ml-us-west-2.consul", "localhost"),
    }
    assert {Certificate(role) for role in NODES} == set(Certificate) - {Certificate.PUBLIC}
    assert Names("ml", "123456789012", "us-east-1").datacenter == "ml-us-east-1"


def test_only_nodes_answer_on_loopback() -> None:
    """Guards against a public certificate that is good for every machine's own loopback."""
    assert {one: ip_addresses(one) for one in Certificate} == {
        **dict.fromkeys((Certificate(role) for role in NODES), ("127.0.0.1",)),
        Certificate.PUBLIC: (),
    }


def with_edge(on: bool) -> Settings:
    edge = {"zoneId": "0" * 32, "domain": "edge.example.org", "addressRanges": ["192.0.2.0/24"]}
    return stack_settings("prod", domain="ml.example.com", edge=edge if on else None)


@pytest.mark.parametrize("edge", [True, False])
def test_the_public_certificate_has_every_name_that_people_use(edge: bool) -> None:
    """Guards against a browser's warning after a failover, on a regional name, or behind the edge."""
    services = ("consul", "nomad", "prometheus", "grafana")
    regional = [
        f"{label}.{region}.ml.example.com" for region in ("us-east-1", "us-west-2") for label in ("origin", *services)
    ]
    assert public_certificate_names(with_edge(edge)) == (
        "origin.ml.example.com",
        *(f"{service}.ml.example.com" for service in services),
        *regional,
        *(f"{service}.edge.example.org" for service in services if edge),
    )


def test_both_stacks_agree_on_the_public_names() -> None:
    """Guards against a certificate that changes with the stack that looks at it."""
    names = {public_certificate_names(stack_settings(stack, domain="ml.example.com")) for stack in ("prod", "dr")}
    assert len(names) == 1


@pytest.mark.parametrize("mode", ["secret", "acm"])
def test_a_certificate_that_the_user_brings_is_not_issued(mode: str) -> None:
    """Guards against two certificates for one name, of which the wrong one is served."""
    kind, service, resource = {
        "secret": ("Secret", "secretsmanager", "secret:public-AbCdEf"),
        "acm": ("Certificate", "acm", "certificate/12345678-1234-1234-1234-123456789012"),
    }[mode]
    primary, standby = (f"arn:aws:{service}:{region}:123456789012:{resource}" for region in REGIONS)
    block = {"mode": mode, f"primary{kind}Arn": primary, f"standby{kind}Arn": standby}
    assert public_certificate_names(stack_settings("prod", certificates=block)) is None


def test_lifetimes_follow_from_each_other() -> None:
    """Guards against a certificate that outlives its authority, and against an alarm before renewal was due."""
    assert certificates.AUTHORITY_RENEWAL_HOURS >= certificates.CERTIFICATE_HOURS
    assert certificates.AUTHORITY_RENEWAL_HOURS < certificates.AUTHORITY_HOURS
    assert 24 * certificates.ALARM_DAYS < certificates.CERTIFICATE_RENEWAL_HOURS < certificates.CERTIFICATE_HOURS
