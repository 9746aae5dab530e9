"""Consul's agents: what binds where, what lasts, and what others depend on."""

import re

import pytest

from configs.consul import agent
from configs.service import NodeService
from configs.tables.certificates import CERTIFICATE_HOURS
from tests.nodes import world

SERVICES = {
    "control-plane-2": agent.server(world.context_of("prod", "control-plane-2")),
    "load-balancer-nginx": agent.client(world.context_of("prod", "load-balancer-nginx")),
    "worker": agent.client(world.context_of("prod", "worker")),
}


def text(service: NodeService) -> str:
    [file] = service.files.values()
    return file.text


def lines(service: NodeService) -> list[str]:
    """What is said, without remarks and alignment."""
    return [
        re.sub(r" +", " ", line.strip()) for line in text(service).splitlines() if not line.lstrip().startswith("#")
    ]


def test_a_server_is_told_exactly_this() -> None:
    """Guards against a server that leaves when it restarts, waits for names, or lets the quorum shrink."""
    assert [line for line in lines(SERVICES["control-plane-2"]) if line] == [
        'datacenter = "mlops-us-east-1"',
        'node_name = "control-plane-2"',
        'data_dir = "/opt/data/consul"',
        'log_level = "INFO"',
        "server = true",
        "bootstrap_expect = 3",
        'retry_join = ["10.10.0.16", "10.10.64.16", "10.10.128.16"]',
        'retry_interval = "5s"',
        "leave_on_terminate = false",
        "skip_leave_on_interrupt = true",
        f'server_rejoin_age_max = "{CERTIFICATE_HOURS}h"',
        "disable_update_check = true",
        'bind_addr = "10.10.64.16"',
        'client_addr = "127.0.0.1"',
        "addresses {",
        'https = "0.0.0.0"',
        'grpc_tls = "0.0.0.0"',
        'dns = "0.0.0.0"',
        "}",
        "ports {",
        "server = 8300",
        "serf_lan = 8301",
        "serf_wan = 8302",
        "http = 8500",
        "https = 8501",
        "grpc = 8502",
        "grpc_tls = 8503",
        "dns = 8600",
        "}",
        "performance {",
        "raft_multiplier = 1",
        "}",
        "limits {",
        "http_max_conns_per_client = 4096",
        "}",
        "connect {",
        "enabled = true",
        "}",
        "ui_config {",
        "enabled = true",
        "}",
        *COMMON,
        "autopilot {",
        "cleanup_dead_servers = true",
        'last_contact_threshold = "200ms"',
        "max_trailing_logs = 250",
        'server_stabilization_time = "10s"',
        "min_quorum = 3",
        "}",
        *LOG,
    ]


COMMON = [
    "acl {",
    "enabled = true",
    'default_policy = "deny"',
    "enable_token_persistence = true",
    "}",
    "encrypt_verify_incoming = true",
    "encrypt_verify_outgoing = true",
    "tls {",
    "defaults {",
    "verify_incoming = true",
    "verify_outgoing = true",
    'ca_file = "/run/mlops-ha/consul/ca.pem"',
    'cert_file = "/run/mlops-ha/consul/certificate.pem"',
    'key_file = "/run/mlops-ha/consul/private-key.pem"',
    "}",
    "internal_rpc {",
    "verify_server_hostname = true",
    "}",
    "}",
]
LOG = [
    'log_file = "/opt/data/consul/log/"',
    'log_rotate_duration = "24h"',
    "log_rotate_max_files = 30",
    "telemetry {",
    'prometheus_retention_time = "60s"',
    "disable_hostname = true",
    "}",
]


def test_a_client_is_told_exactly_this() -> None:
    """Guards against a client that others can ask, that stays in the catalog for days, or a worker nobody scrapes."""
    ports = ["server = 8300", "serf_lan = 8301", "serf_wan = -1", "http = 8500", "https = -1", "grpc = 8502"]

    def expected(name: list[str], address: list[str], service: list[str]) -> list[str]:
        return [
            'datacenter = "mlops-us-east-1"',
            *name,
            'data_dir = "/opt/data/consul"',
            'log_level = "INFO"',
            "server = false",
            'retry_join = ["10.10.0.16", "10.10.64.16", "10.10.128.16"]',
            'retry_interval = "5s"',
            "leave_on_terminate = true",
            "skip_leave_on_interrupt = false",
            "disable_update_check = true",
            *address,
            'client_addr = "127.0.0.1"',
            "ports {",
            *ports,
            "grpc_tls = -1",
            "dns = -1",
            "}",
            *service,
            *COMMON,
            *LOG,
        ]

    found = {name: [line for line in lines(SERVICES[name]) if line] for name in ("load-balancer-nginx", "worker")}
    exporter = ['name = "node-exporter"', "port = 9100", "check {", 'name = "answers"', 'tcp = "127.0.0.1:9100"']
    service = ["service {", *exporter, 'interval = "10s"', 'timeout = "2s"', "}", "}"]
    assert found == {
        "load-balancer-nginx": expected(['node_name = "load-balancer-nginx"'], ['bind_addr = "10.10.64.24"'], []),
        "worker": expected([], [], service),
    }


@pytest.mark.parametrize("name", SERVICES)
def test_starts_with_its_own_files(name: str) -> None:
    """Guards against secrets in arguments, workers that share a name, and certificates that need a restart."""
    service = SERVICES[name]
    kind = "server" if name == "control-plane-2" else "client"
    own = ("-node=${NODE_NAME}", "-bind=${NODE_ADDRESS}") if name == "worker" else ()
    assert service.arguments == (
        "agent",
        f"-config-file=/etc/mlops-ha/consul/{kind}.hcl",
        "-config-file=/run/mlops-ha/consul/secrets.json",
        *own,
    )
    assert service.reloads == tuple(
        f"/run/mlops-ha/consul/{file}.pem" for file in ("ca", "certificate", "private-key")
    )
    assert [(directory.path, directory.owner) for directory in service.directories] == [
        ("/opt/data/consul", "consul"),
        ("/opt/data/consul/log", "consul"),
    ]
    assert (service.probe.kind, service.probe.port) == (("https", 8501) if kind == "server" else ("http", 8500))
