"""Who listens on which port, and who may call: the one table behind security groups, configuration and tests.

A node's own traffic on loopback needs no caller: a flow without callers never leaves the node. Security groups
do not filter the VPC's resolver, time and metadata services, so those have no row
(https://docs.aws.amazon.com/vpc/latest/userguide/vpc-security-groups.html).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """What has a security group of its own."""

    NETWORK_LOAD_BALANCER = "network-load-balancer"
    LOAD_BALANCER = "load-balancer"
    CONTROL_PLANE = "control-plane"
    WORKER = "worker"
    DATABASE = "database"
    FILE_SYSTEM = "file-system"
    ENDPOINTS = "endpoints"


class Outside(StrEnum):
    """Who has no security group of ours."""

    PUBLIC = "public"
    """The internet; with the edge switched on, the edge's address ranges alone."""
    INTERNET = "internet"
    """The internet as a destination, always."""
    ADMINS = "admins"
    """The administrators' address ranges."""
    HEALTH_CHECKERS = "health-checkers"
    """Route 53's health checkers, as the prefix list that AWS keeps of them."""


Party = Role | Outside


class Protocol(StrEnum):
    """Transport protocol, as EC2 names it."""

    TCP = "tcp"
    UDP = "udp"


class Direction(StrEnum):
    """Which side of a flow a rule opens."""

    INGRESS = "ingress"
    EGRESS = "egress"


NODES = (Role.LOAD_BALANCER, Role.CONTROL_PLANE, Role.WORKER)
"""The roles that are machines of ours."""


@dataclass(frozen=True)
class Flow:
    """One port, who listens on it and who may call it."""

    name: str
    port: int
    listeners: tuple[Party, ...]
    callers: tuple[Party, ...]
    purpose: str
    protocols: tuple[Protocol, ...] = (Protocol.TCP,)
    behind_edge: tuple[Party, ...] | None = None
    """Who may call while the edge is switched on; None: the same as without."""

    def callers_with(self, *, edge: bool) -> tuple[Party, ...]:
        """Return who may call, with the edge switched on or without."""
        return self.callers if self.behind_edge is None or not edge else self.behind_edge


@dataclass(frozen=True)
class Rule:
    """One opening in one security group: ``group`` lets ``peer`` in, or may itself reach ``peer``."""

    direction: Direction
    group: Role
    peer: Party
    flow: Flow
    protocol: Protocol

    @property
    def name(self) -> str:
        """Name of the rule, unique in the table: ``consul-rpc-tcp-from-worker``."""
        word = "from" if self.direction is Direction.INGRESS else "to"
        return f"{self.flow.name}-{self.protocol}-{word}-{self.peer}"


_BOTH = (Protocol.TCP, Protocol.UDP)
_CONTROL_PLANE = (Role.CONTROL_PLANE,)

# Public entry. The network load balancer passes the same ports on to the load-balancer nodes.
HTTPS = Flow(
    "https",
    443,
    (Role.NETWORK_LOAD_BALANCER,),
    (Outside.PUBLIC,),
    "the four services, for their users",
    # Operators' commands ask each region by its own names, which the edge does not know.
    behind_edge=(Outside.PUBLIC, Outside.ADMINS),
)
HTTP = Flow(
    "http",
    80,
    (Role.NETWORK_LOAD_BALANCER,),
    (Outside.PUBLIC,),
    "redirected to HTTPS",
    # The edge redirects by itself, and connects to 443 (components/edge.py: always_use_https, full or strict).
    behind_edge=(),
)
HEALTH = Flow(
    "health",
    8443,
    (Role.NETWORK_LOAD_BALANCER,),
    (Outside.HEALTH_CHECKERS,),
    "/healthz for Route 53: a listener of its own, so that required client certificates of an edge do not"
    " lock the checkers out",
)
NODE_HTTPS = Flow("node-https", HTTPS.port, (Role.LOAD_BALANCER,), (Role.NETWORK_LOAD_BALANCER,), "HTTPS, passed on")
NODE_HTTP = Flow("node-http", HTTP.port, (Role.LOAD_BALANCER,), (Role.NETWORK_LOAD_BALANCER,), "HTTP, passed on")
NODE_HEALTH = Flow(
    "node-health",
    HEALTH.port,
    (Role.LOAD_BALANCER,),
    (Role.NETWORK_LOAD_BALANCER, Role.LOAD_BALANCER),
    "target health of all target groups; the passive node watches its peer",
)
LOAD_BALANCER_STATISTICS = Flow(
    "load-balancer-statistics",
    8404,
    (Role.LOAD_BALANCER,),
    _CONTROL_PLANE,
    "statistics behind a password, and metrics for Prometheus",
)

# Consul: https://developer.hashicorp.com/consul/docs/reference/architecture/ports
CONSUL_RPC = Flow("consul-rpc", 8300, _CONTROL_PLANE, NODES, "agents to servers, servers among themselves")
CONSUL_SERF_LAN = Flow("consul-serf-lan", 8301, NODES, NODES, "gossip within the region", _BOTH)
CONSUL_SERF_WAN = Flow("consul-serf-wan", 8302, _CONTROL_PLANE, _CONTROL_PLANE, "gossip between servers", _BOTH)
CONSUL_HTTP = Flow("consul-http", 8500, NODES, (), "plain HTTP for the node's own processes; never off the node")
CONSUL_HTTPS = Flow(
    "consul-https",
    8501,
    _CONTROL_PLANE,
    (Role.LOAD_BALANCER, Role.CONTROL_PLANE),
    "API and user interface, metrics",
)
CONSUL_GRPC = Flow("consul-grpc", 8502, NODES, (), "plain gRPC for the node's own proxies; never off the node")
CONSUL_GRPC_TLS = Flow("consul-grpc-tls", 8503, _CONTROL_PLANE, NODES, "xDS and peering, servers to every agent")
CONSUL_DNS = Flow("consul-dns", 8600, _CONTROL_PLANE, NODES, "service discovery; servers alone answer", _BOTH)

# Nomad: https://developer.hashicorp.com/nomad/docs/deploy/production/requirements#ports-used
NOMAD_HTTP = Flow("nomad-http", 4646, _CONTROL_PLANE, NODES, "API and user interface over TLS")
NOMAD_CLIENT_HTTP = Flow(
    "nomad-client-http", NOMAD_HTTP.port, (Role.WORKER,), _CONTROL_PLANE, "client metrics over TLS"
)
NOMAD_RPC = Flow(
    "nomad-rpc",
    4647,
    _CONTROL_PLANE,
    (Role.CONTROL_PLANE, Role.WORKER),
    "clients to servers, servers among themselves",
)
NOMAD_SERF = Flow("nomad-serf", 4648, _CONTROL_PLANE, _CONTROL_PLANE, "gossip between servers", _BOTH)

# Monitoring.
PROMETHEUS = Flow(
    "prometheus",
    9090,
    _CONTROL_PLANE,
    (Role.LOAD_BALANCER, Role.CONTROL_PLANE),
    "queries of users, Grafana and the autoscaler",
)
PUSHGATEWAY = Flow(
    "pushgateway",
    9091,
    (Role.WORKER,),
    (Role.CONTROL_PLANE, Role.WORKER),
    "training jobs push, Prometheus scrapes",
)
ALERTMANAGER = Flow("alertmanager", 9093, _CONTROL_PLANE, _CONTROL_PLANE, "every Prometheus to every Alertmanager")
ALERTMANAGER_GOSSIP = Flow(
    "alertmanager-gossip", 9094, _CONTROL_PLANE, _CONTROL_PLANE, "one notification, not three", _BOTH
)
GRAFANA_GOSSIP = Flow(
    "grafana-gossip",
    9095,
    _CONTROL_PLANE,
    _CONTROL_PLANE,
    "Grafana's own alerting; 9094 is Alertmanager's on the same node",
    _BOTH,
)
NOMAD_AUTOSCALER = Flow(
    "nomad-autoscaler", 8080, _CONTROL_PLANE, _CONTROL_PLANE, "health and metrics of the autoscaler"
)
POSTGRES_EXPORTER = Flow(
    "postgres-exporter", 9187, _CONTROL_PLANE, _CONTROL_PLANE, "metrics of the database, asked from each server"
)
NODE_EXPORTER = Flow("node-exporter", 9100, NODES, _CONTROL_PLANE, "machine metrics")
GRAFANA = Flow(
    "grafana", 3000, _CONTROL_PLANE, (Role.LOAD_BALANCER, Role.CONTROL_PLANE), "dashboards, and their metrics"
)

# Data.
POSTGRESQL = Flow("postgresql", 5432, (Role.DATABASE,), _CONTROL_PLANE, "PgBouncer to the database")
PGBOUNCER = Flow(
    "pgbouncer", 6432, _CONTROL_PLANE, (), "Grafana to the PgBouncer of its own node; never off the node"
)
NFS = Flow("nfs", 2049, (Role.FILE_SYSTEM,), (Role.WORKER,), "/opt/ml-data")

# Operations, and what leaves the platform.
SSH = Flow("ssh", 22, NODES, (Outside.ADMINS,), "administrators, from their own ranges")
ENDPOINTS_HTTPS = Flow("endpoints-https", HTTPS.port, (Role.ENDPOINTS,), NODES, "AWS APIs without leaving the VPC")
HTTPS_OUT = Flow(
    "https-out", HTTPS.port, (Outside.INTERNET,), NODES, "AWS APIs without an endpoint, Slack, remote write"
)
SMTP_OUT = Flow(
    "smtp-out", 587, (Outside.INTERNET,), _CONTROL_PLANE, "alert mail: submission with STARTTLS (RFC 6409)"
)

FLOWS: tuple[Flow, ...] = tuple(value for value in list(globals().values()) if isinstance(value, Flow))
"""Every flow of this file, in its order."""


RULES_PER_GROUP = 60
"""Rules that a security group may have in each direction, AWS's default
(https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html#vpc-limits-security-groups)."""

PREFIX_LIST_ENTRIES = {
    # As many offices and VPNs as one team has; every machine's group carries them once, with the edge the load
    # balancer's too.
    Outside.ADMINS: 10,
    # Cloudflare publishes 15; the load balancer's group carries them beside the administrators and health checkers.
    Outside.PUBLIC: 17,
    # What AWS counts for its own list
    # (https://docs.aws.amazon.com/vpc/latest/userguide/working-with-aws-managed-prefix-lists.html).
    Outside.HEALTH_CHECKERS: 25,
}
"""Entries of each prefix list: a rule that names a list counts as that many."""


def rules(*, edge: bool) -> Iterator[Rule]:
    """Yield the rules of every security group: for each flow one on the listener and one on the caller.

    Args:
        edge: whether the edge is switched on.
    """
    for flow in FLOWS:
        for protocol in flow.protocols:
            for listener in flow.listeners:
                for caller in flow.callers_with(edge=edge):
                    if isinstance(listener, Role):
                        yield Rule(Direction.INGRESS, listener, caller, flow, protocol)
                    if isinstance(caller, Role):
                        yield Rule(Direction.EGRESS, caller, listener, flow, protocol)
