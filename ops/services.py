"""What each public service must answer in a region, asked through its load balancer by the regional name."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, cast

import httpx

from configs.tables.names import Service
from configs.tables.secrets import PROMETHEUS_USER
from ops.entrance import Entrance, reason
from ops.problems import Unknown


@dataclass(frozen=True)
class ServiceState:
    """Whether a service is ready; None: that could not be learned. ``detail`` says what was seen, for people."""

    service: Service
    ready: bool | None
    detail: str


@dataclass(frozen=True)
class _Probe:
    """What to ask, and what is wrong with an answer of status 200 (empty: nothing)."""

    path: str
    problem: Callable[[str], str]


def _no_leader(body: str) -> str:
    # Without a leader the status is 200 as well (https://developer.hashicorp.com/consul/api-docs/status#get-raft-leader).
    return "" if _parsed(body) not in ("", None) else "it has no leader"


def _no_database(body: str) -> str:
    document = _parsed(body)
    state = cast(dict[str, Any], document).get("database") if isinstance(document, dict) else None
    return "" if state == "ok" else f"its database is {state or 'not mentioned'}"


def _parsed(body: str) -> object:
    try:
        return json.loads(body)
    except ValueError:
        return None


_PROBES = {
    Service.CONSUL: _Probe("/v1/status/leader", _no_leader),
    # https://developer.hashicorp.com/nomad/api-docs/agent#health: not 200 without a leader.
    Service.NOMAD: _Probe("/v1/agent/health?type=server", lambda _: ""),
    # https://prometheus.io/docs/prometheus/latest/management_api/#readiness-check
    Service.PROMETHEUS: _Probe("/-/ready", lambda _: ""),
    # https://grafana.com/docs/grafana/latest/developers/http_api/other/#health-api
    Service.GRAFANA: _Probe("/api/health", _no_database),
}


def services(entrance: Entrance, prometheus_password: str) -> tuple[ServiceState, ...]:
    """Return how every public service of a region answers. Nothing is raised: what is not known is a state.

    Args:
        entrance: of the region.
        prometheus_password: what the load balancer demands before Prometheus.
    """
    return tuple(_state(entrance, service, prometheus_password) for service in Service)


def _state(entrance: Entrance, service: Service, password: str) -> ServiceState:
    probe = _PROBES[service]
    login = httpx.BasicAuth(PROMETHEUS_USER, password) if service is Service.PROMETHEUS else None
    try:
        with entrance.client(service) as client:
            response = client.get(probe.path, auth=login)
    except Unknown as unknown:
        return ServiceState(service, None, str(unknown))
    except httpx.HTTPError as error:
        return ServiceState(service, False, reason(error))
    if response.status_code != HTTPStatus.OK:
        return ServiceState(service, False, f"{probe.path}: HTTP {response.status_code}")
    problem = probe.problem(response.text)
    return ServiceState(service, not problem, problem or f"{probe.path}: HTTP {response.status_code}")
