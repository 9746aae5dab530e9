"""The model of what load balancers do: whom they lead where, and whether its times fit."""

from __future__ import annotations

from dataclasses import replace

import pytest

from components.load_balancer_pair import HEALTH_CHECK
from configs import routing as model
from configs.context import BundleFacts, Context
from configs.haproxy import service as haproxy
from configs.manifest import Probe
from configs.nginx import service as nginx
from configs.nodes import load_balancers
from configs.routing import Balance, Page, Routing, routing
from configs.settings.model import Settings
from configs.tables.certificates import Certificate, node_names, public_certificate_names
from configs.tables.flows import FLOWS, Role
from configs.tables.names import Service
from tests.unit.mocks import stack_settings

EDGE = {"zoneId": "0" * 32, "domain": "example.org", "addressRanges": ["198.51.100.0/24"]}
GENERATIONS = {"primaryGeneration": 2, "standbyGeneration": 2}


def context(settings: Settings) -> Context:
    return Context(settings, load_balancers(settings)[0], BundleFacts("database.example.com", "fs-1"))


def made(stack: str, **changes: object) -> Routing:
    return routing(context(stack_settings(stack, **changes)))


def test_the_services_are_exactly_these() -> None:
    """Guards against a service with another port, server, name, check or way to be spread than its own."""
    consul, grafana = "server.mlops-us-east-1.consul", "server.mlops-us-east-1.consul"
    found = {
        route.service: (
            [f"{server.address}:{route.port}" for server in route.servers][:2],
            route.server_name,
            route.check.path,
            route.balance,
            route.silence_seconds,
            route.login.password.name if route.login else None,
        )
        for route in made("prod").routes
    }
    assert found == {
        "consul": (["10.10.0.16:8501", "10.10.64.16:8501"], consul, "/v1/status/leader", Balance.EVEN, 660, None),
        "nomad": (
            ["10.10.0.16:4646", "10.10.64.16:4646"],
            "server.us-east-1.nomad",
            "/v1/agent/health?type=server",
            Balance.EVEN,
            660,
            None,
        ),
        "prometheus": (
            ["10.10.0.16:9090", "10.10.64.16:9090"],
            None,
            "/-/ready",
            Balance.FIRST,
            150,
            "prometheusPassword",
        ),
        "grafana": (["10.10.0.16:3000", "10.10.64.16:3000"], grafana, "/api/health", Balance.STICKY, 50, None),
    }


def test_names_are_public_regional_and_the_edges() -> None:
    """Guards against a name without a route, a certificate without a name, and a name of another region."""
    behind = made("dr", role="active", edge=EDGE)
    assert {route.service: route.hosts for route in behind.routes} == {
        service: (f"{service}.mlops.example.com", f"{service}.us-west-2.mlops.example.com", f"{service}.example.org")
        for service in Service
    }
    assert set(behind.hosts) - {host for route in behind.routes for host in route.hosts} == {
        "origin.mlops.example.com",
        "origin.us-west-2.mlops.example.com",
    }
    assert behind.edge_ranges == ("198.51.100.0/24",)
    settings = stack_settings("dr", role="active", edge=EDGE)
    assert set(behind.hosts) <= set(public_certificate_names(settings) or ())
    regions = ("us-east-1", "us-west-2")
    assert {route.server_name for route in behind.routes} - {None} <= set(
        node_names(Certificate.CONTROL_PLANE, "mlops", regions)
    )
    assert behind.peer_name in node_names(Certificate.LOAD_BALANCER, "mlops", regions)
    assert behind.peer == "10.20.0.24"


@pytest.mark.parametrize(
    ("stack", "changes", "serves", "fenced"),
    [
        ("prod", {"role": "primary"}, True, True),
        ("prod", {"role": "returning", "database": GENERATIONS}, False, True),
        ("dr", {"role": "standby"}, False, False),
        ("dr", {"role": "active"}, True, False),
        ("dr", {"role": "leaving"}, False, False),
    ],
)
def test_the_role_says_who_is_served(stack: str, changes: dict[str, object], serves: bool, fenced: bool) -> None:
    """Guards against a region that serves although it stands by, or that no switch keeps from serving."""
    found = made(stack, **changes)
    assert (found.serves, found.fence is not None) == (serves, fenced)
    # Its database takes no writes elsewhere: it does not run there.
    assert (Service.GRAFANA in [route.service for route in found.routes]) is serves
    for program in (haproxy, nginx):
        made_service = program.service(context(stack_settings(stack, **changes)))
        assert made_service is not None
        assert made_service.mounts == (("/run/mlops-ha-fence",) if fenced else ())
        # A renewed certificate or another setting costs no connection.
        assert set(made_service.manifest.restarts) == set()
        assert made_service.probe == Probe(kind="https", port=8404, path="/alive")


def test_every_time_fits_into_the_one_around_it() -> None:
    """Guards against a health check that gives up before the answer, and a query that is cut off."""
    slow_servers = len(Service) * model.PROBE_SECONDS * 1000 + model.PEER_MILLISECONDS
    assert slow_servers <= 4_500 < int(str(HEALTH_CHECK.timeout)) * 1000
    # Ten minutes and a sixteenth.
    assert model.BLOCKING_SECONDS > 600 * 17 / 16
    assert model.BLOCKING_SECONDS < model.DRAIN_SECONDS
    until_out = (model.CHECK_FAILURES + 1) * model.CHECK_SECONDS
    assert until_out <= int(str(HEALTH_CHECK.interval))
    for route in made("prod").routes:
        assert route.silence_seconds > nginx.RETRY_TOTAL_SECONDS


def test_pages_say_which_region_and_why() -> None:
    """Guards against a page that leaves its reader in the dark, or that takes a name for HTML."""
    pages = made("dr").pages
    assert set(pages) == set(Page)
    assert "us-west-2 stands by: it serves nobody" in pages[Page.STANDBY]
    assert "us-west-2 has failed over: it serves nobody" in pages[Page.FENCED]
    for page in pages.values():
        assert page.startswith("<!DOCTYPE html>")
        assert page.endswith("</html>")
        # Nginx would fill it in.
        assert "$" not in page


def test_the_flow_table_lets_them_through() -> None:
    """Guards against a service that the load balancers are not let in to."""
    ports = {
        flow.port for flow in FLOWS if Role.LOAD_BALANCER in flow.callers and Role.CONTROL_PLANE in flow.listeners
    }
    assert {route.port for route in made("prod").routes} <= ports


def test_what_haproxy_cannot_quote_is_refused() -> None:
    """Guards against a pattern that HAProxy reads as something else."""
    current = made("prod")
    check = replace(current.routes[0].check, body="it's")
    bad = replace(current, routes=(replace(current.routes[0], check=check),))
    with pytest.raises(ValueError, match="no quotes for it's"):
        haproxy.configuration_text(bad, dict.fromkeys(Page, "/page"), "/ca", "/role", "/public")
