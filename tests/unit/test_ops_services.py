"""What the public services of a region answer, asked by their regional names over TLS."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Generator, Iterable
from contextlib import AbstractContextManager

import httpx
import pytest
from moto import mock_aws

from configs.settings.model import SecretCertificates, Settings
from configs.tables.flows import Role
from configs.tables.names import Names, PublicNames, Service
from engine.stack_files import ROOT, stack_settings
from lab.doors import Credentials, Door, Received, ServerCertificate, issued, open_door
from lab.names import name_server
from ops.aws import Region
from ops.dns import NameServer, Resolvers
from ops.entrance import Entrance, entrance, reason, secret_document, secret_value, trust
from ops.problems import Unknown
from ops.services import ServiceState, services
from tests.unit.entrances import opened_entrance

SETTINGS = stack_settings(ROOT, "dr")
REGION = SETTINGS.regions.standby.name
PUBLIC = PublicNames(SETTINGS.domain)
NAMES = Names(SETTINGS.name, SETTINGS.account_id, REGION)
CREDENTIALS = Credentials("consul-token", "nomad-token", ("admin", "prometheus-password"))


@pytest.fixture(scope="module")
def certificate() -> ServerCertificate:
    """The region's certificate."""
    return issued(PUBLIC.all_regional(REGION))


def region(
    certificate: ServerCertificate, believed: str | None = None
) -> AbstractContextManager[tuple[Door, Entrance]]:
    """Open a region's entrance, and believe its authority or another one."""
    return opened_entrance(PUBLIC, REGION, CREDENTIALS, certificate, believed)


def ready(states: Iterable[ServiceState]) -> dict[Service, bool | None]:
    return {state.service: state.ready for state in states}


def test_every_service_is_asked_by_its_regional_name(certificate: ServerCertificate) -> None:
    """A standby that passes because the failover name, and so the other region, was asked."""
    with region(certificate) as (door, opened):
        states = services(opened, "prometheus-password")
    assert states == (
        ServiceState(Service.CONSUL, True, "/v1/status/leader: HTTP 200"),
        ServiceState(Service.NOMAD, True, "/v1/agent/health?type=server: HTTP 200"),
        ServiceState(Service.PROMETHEUS, True, "/-/ready: HTTP 200"),
        ServiceState(Service.GRAFANA, True, "/api/health: HTTP 200"),
    )
    assert door.received == [
        Received("consul.us-west-2.mlops.example.com", "GET", "/v1/status/leader"),
        Received("nomad.us-west-2.mlops.example.com", "GET", "/v1/agent/health"),
        Received("prometheus.us-west-2.mlops.example.com", "GET", "/-/ready"),
        Received("grafana.us-west-2.mlops.example.com", "GET", "/api/health"),
    ]


def test_what_each_service_says_when_it_is_not_ready(certificate: ServerCertificate) -> None:
    """A cluster without a leader that passes: Consul answers 200 with an empty name."""
    with region(certificate) as (door, opened):
        door.consul_leader, door.nomad_ready = "", False
        door.prometheus_ready, door.grafana_database = False, "failing"
        states = services(opened, "prometheus-password")
        assert states == (
            ServiceState(Service.CONSUL, False, "it has no leader"),
            ServiceState(Service.NOMAD, False, "/v1/agent/health?type=server: HTTP 500"),
            ServiceState(Service.PROMETHEUS, False, "/-/ready: HTTP 503"),
            ServiceState(Service.GRAFANA, False, "/api/health: HTTP 503"),
        )
        door.serving = False
        assert {state.detail.rpartition(" ")[2] for state in services(opened, "x")} == {"503"}


def test_the_login_before_prometheus_is_needed(certificate: ServerCertificate) -> None:
    """A load balancer whose login is not the one that people are told."""
    with region(certificate) as (_, opened):
        states = services(opened, "another")
    assert states[2] == ServiceState(Service.PROMETHEUS, False, "/-/ready: HTTP 401")
    assert ready(states) == dict.fromkeys(Service, True) | {Service.PROMETHEUS: False}


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ('{"database": "ok"}', "/api/health: HTTP 200"),
        ('{"database": "failing"}', "its database is failing"),
        ("{}", "its database is not mentioned"),
        ("<html>Welcome</html>", "its database is not mentioned"),
    ],
)
def test_a_page_is_no_answer(
    body: str, detail: str, certificate: ServerCertificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page with status 200, of a load balancer or of a login, taken for the service's own answer."""

    def page(_: object, request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, text=body, request=request)

    with region(certificate) as (_, opened):
        monkeypatch.setattr("ops.entrance.NamedTransport.handle_request", page)
        grafana = services(opened, "prometheus-password")[3]
    assert grafana == ServiceState(Service.GRAFANA, detail.startswith("/"), detail)


def test_only_the_platforms_own_authority_is_believed(certificate: ServerCertificate) -> None:
    """Tokens handed to whoever answers at the address."""
    with region(certificate, believed=issued(["another"]).authority) as (door, opened):
        states = services(opened, "prometheus-password")
        assert ready(states) == dict.fromkeys(Service, False)
        assert states[0].detail == "certificate verify failed: unable to get local issuer certificate"
        assert door.received == []


def test_the_certificate_must_be_of_the_name() -> None:
    """A certificate of another region, or of the address, that passes."""
    with region(issued([PUBLIC.regional(service, "us-east-1") for service in Service])) as (door, opened):
        states = services(opened, "prometheus-password")
        assert states[0].detail == (
            "certificate verify failed: Hostname mismatch, certificate is not valid for"
            " 'consul.us-west-2.mlops.example.com'."
        )
        assert door.received == []


def test_what_dns_does_not_say_is_unknown(certificate: ServerCertificate) -> None:
    """A resolver that is down, reported as a service that is."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        nobody = NameServer(*free.getsockname())
    context = ssl.create_default_context(cadata=certificate.authority)
    states = services(Entrance(PUBLIC, REGION, Resolvers([nobody]), context), "x")
    assert ready(states) == dict.fromkeys(Service, None)
    assert states[0].detail.startswith("what DNS answers for consul.us-west-2.mlops.example.com: ")


def test_the_next_address_is_tried(certificate: ServerCertificate) -> None:
    """A region that fails because one zone's address of its load balancer takes no connection."""
    context = ssl.create_default_context(cadata=certificate.authority)
    # Nobody listens at the first one: the door has its port at the second one alone.
    first = ("127.0.0.1", "127.0.0.2")
    with (
        open_door(Door(PUBLIC, REGION, CREDENTIALS, address="127.0.0.2"), certificate) as door,
        name_server(lambda _: first) as server,
    ):
        both = Entrance(PUBLIC, REGION, Resolvers([NameServer(*server)]), context, door.https_port)
        assert ready(services(both, "prometheus-password")) == dict.fromkeys(Service, True)
    with name_server(lambda _: ()) as server:
        none = Entrance(PUBLIC, REGION, Resolvers([NameServer(*server)]), context, door.https_port)
        states = services(none, "prometheus-password")
    assert states[0] == ServiceState(Service.CONSUL, False, "consul.us-west-2.mlops.example.com has no address")


def test_reasons_are_for_people() -> None:
    """Numbers of the system, and lines of its library, in what an operator reads."""
    assert reason(httpx.ReadTimeout("_ssl.c:989: The handshake operation timed out")) == "no answer in time"
    assert reason(httpx.ConnectError("[Errno 111] Connection refused")) == "Connection refused"
    assert reason(httpx.ReadError("")) == "ReadError"


@pytest.fixture
def standby() -> Generator[Region]:
    """The standby region's Secrets Manager."""
    with mock_aws():
        yield Region(REGION)


def put(standby: Region, text: str) -> None:
    standby.secrets.create_secret(Name=NAMES.secret(Role.LOAD_BALANCER), SecretString=text)


def test_the_authority_is_read_from_the_region_itself(standby: Region, certificate: ServerCertificate) -> None:
    """A standby that cannot be checked while the primary region, and its secrets, are dark."""
    put(standby, json.dumps({"caCertificate": certificate.authority, "prometheusPassword": "prometheus-password"}))
    with region(certificate) as (door, _), name_server(door.addresses.get) as server:
        opened = entrance(standby, NAMES, SETTINGS, Resolvers([NameServer(*server)]), door.https_port)
        assert ready(services(opened, "prometheus-password")) == dict.fromkeys(Service, True)


def test_another_certificate_is_checked_as_browsers_do() -> None:
    """A certificate that was brought along, checked against an authority that did not issue it."""
    arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:public-abcdef"
    brought = SecretCertificates.model_validate({"mode": "secret", "primarySecretArn": arn, "standbySecretArn": arn})
    settings: Settings = SETTINGS.model_copy(update={"certificates": brought})
    context = trust(settings, {})
    assert (context.check_hostname, context.verify_mode) == (True, ssl.CERT_REQUIRED)
    assert context.cert_store_stats() == ssl.create_default_context().cert_store_stats()


@pytest.mark.parametrize("text", ["no document: hunter2", '["hunter2"]'])
def test_a_malformed_secret_stays_secret(standby: Region, text: str) -> None:
    """A secret's content in an error message."""
    put(standby, text)
    with pytest.raises(Unknown) as unknown:
        secret_document(standby, NAMES, Role.LOAD_BALANCER)
    assert str(unknown.value) == "the secret mlops/load-balancer in us-west-2: it is no JSON object"


def test_missing_secrets_are_unknown(standby: Region) -> None:
    """A failover that ends in a traceback because a secret is missing."""
    with pytest.raises(Unknown, match=r"^the secret mlops/load-balancer in us-west-2: .*ResourceNotFound"):
        secret_document(standby, NAMES, Role.LOAD_BALANCER)
    with pytest.raises(Unknown, match=r"^the secret value caCertificate: the document has no such key$"):
        trust(SETTINGS, {})
    with pytest.raises(Unknown, match=r"^the secret value caCertificate: it is no certificate in PEM"):
        trust(SETTINGS, {"caCertificate": "-----BEGIN CERTIFICATE-----\nxx\n-----END CERTIFICATE-----\n"})
    assert secret_value({"a": "b"}, "a") == "b"
