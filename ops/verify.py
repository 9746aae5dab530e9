"""Whether a region is what its settings say: asked of AWS and of the services themselves, never of the state."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus

import httpx

from configs.settings.model import StackRole
from configs.tables.flows import Role
from configs.tables.names import HEALTH_PATH, Service
from configs.tables.secrets import PROMETHEUS_PASSWORD
from ops.entrance import secret_document, secret_value
from ops.file_system import ReplicationRole
from ops.nodes import quorum, reports
from ops.procedure import Say, wait
from ops.services import services
from ops.sites import Site
from ops.targets import targets
from ops.workers import workers

DEADLINE = timedelta(minutes=30)
"""A worker boots in five minutes, a server catches up in the rest of the fifteen that `up` grants one; twice that."""

LARGEST_LAG = timedelta(minutes=10)
"""How far a replica may be behind: an idle source writes every five minutes, and CloudWatch is some minutes late."""


@dataclass(frozen=True)
class Check:
    """One thing that must be so."""

    name: str
    lacks: Callable[[], str | None]
    """Says what is lacking, None when nothing is; raises Unknown."""


def checks(site: Site, *, fenced: bool = False) -> tuple[Check, ...]:
    """Return what must be so in a region in the role that its settings give it.

    Args:
        site: the region.
        fenced: whether the region is kept from serving although its role says so, by the failover switch.
    """
    asked = (
        Check("quorum", lambda: _quorum(site)),
        Check("targets", lambda: _targets(site)),
        Check("workers", lambda: _workers(site)),
        Check("database", lambda: _database(site)),
        Check("ML data", lambda: _ml_data(site)),
        Check("TLS", lambda: _tls(site)),
    )
    return (*asked, Check("services", lambda: _services(site))) if site.settings.serves and not fenced else asked


def verify(site: Site, say: Say, deadline: timedelta = DEADLINE, *, fenced: bool = False) -> str:
    """Wait until nothing is lacking in a region; return what was checked.

    Raises:
        Stop: something is still lacking at the deadline; it says what.
        Unknown: at the deadline something is still unknown.
    """
    everything = checks(site, fenced=fenced)

    def lacking() -> str | None:
        return next((f"{check.name}: {lacks}" for check in everything if (lacks := check.lacks())), None)

    wait(lacking, deadline, say)
    return ", ".join(check.name for check in everything)


def _quorum(site: Site) -> str | None:
    settings = site.settings
    states = reports(site.region, site.names, settings, datetime.now(UTC))
    found = quorum(states, settings)
    if found.holds:
        return None
    ill = "; ".join(f"{name}: {state.detail}" for name, state in states.items() if not state.healthy)
    return f"{found.healthy} of {found.servers} servers are healthy, {found.needed} must be ({ill})"


def _targets(site: Site) -> str | None:
    empty = [flow for flow, found in targets(site.region, site.names).items() if not found.healthy]
    return f"no healthy target for {', '.join(empty)}" if empty else None


def _workers(site: Site) -> str | None:
    found, (fewest, _) = workers(site.region, site.names), site.settings.worker_bounds
    return None if found.in_service >= fewest else f"{found.in_service} of at least {fewest} are in service"


def _database(site: Site) -> str | None:
    state, role = site.database.state(), site.settings.role
    if state.status != "available":
        return f"it is {state.status}"
    if role not in (StackRole.STANDBY, StackRole.RETURNING):
        return f"it is still a replica of {state.source}" if state.source else None
    if state.source is None:
        return "it is a replica of nothing"
    now = datetime.now(UTC)
    behind = now - site.database.replayed(now)
    return f"it is {behind.total_seconds():.0f} s behind its source" if behind > LARGEST_LAG else None


_REPLICATION = {
    StackRole.PRIMARY: ReplicationRole.SOURCE,
    StackRole.STANDBY: ReplicationRole.DESTINATION,
    StackRole.ACTIVE: None,
    StackRole.RETURNING: ReplicationRole.DESTINATION,
    StackRole.LEAVING: ReplicationRole.SOURCE,
}
"""Which end of the replication a region's file system is, by the region's role. An active region may be replicated
from already: its primary is returning."""


def _ml_data(site: Site) -> str | None:
    role = site.settings.role
    expected, found = _REPLICATION[role], site.file_system.replication()
    end = found.role if found else None
    if end == expected or (role is StackRole.ACTIVE and end is ReplicationRole.SOURCE):
        return None
    return f"the file system is {end or 'in no replication'}, it should be {expected or 'in none'}"


def _tls(site: Site) -> str | None:
    with site.entrance().client(Service.GRAFANA) as client:
        try:
            status = client.get(HEALTH_PATH).status_code
        except httpx.HTTPError as error:
            return str(error) or type(error).__name__
    # 503: a load balancer that is there, and whose region does not serve, or is fenced.
    return None if status in (HTTPStatus.OK, HTTPStatus.SERVICE_UNAVAILABLE) else f"{HEALTH_PATH}: HTTP {status}"


def _services(site: Site) -> str | None:
    document = secret_document(site.region, site.names, Role.LOAD_BALANCER)
    password = secret_value(document, PROMETHEUS_PASSWORD.name)
    ill = [
        f"{state.service}: {state.detail}" for state in services(site.entrance(), password) if state.ready is not True
    ]
    return "; ".join(ill) or None
