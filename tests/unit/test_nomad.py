"""Nomad's agents: every key is one that Nomad knows, and what a stop, a restart and a lost machine mean."""

import re
from collections.abc import Iterator

from configs.nomad import agent
from configs.nomad_autoscaler.policy import DRAIN_SECONDS
from configs.service import NodeService
from tests.nodes import world

SERVER = agent.server(world.context_of("prod", "control-plane-2"))
CLIENT = agent.client(world.context_of("prod", "worker"))

CONSUL = """address auto_advertise client_auto_join client_service_name server_auto_join server_service_name
service_auth_method service_identity.aud service_identity.ttl task_auth_method task_identity.aud task_identity.ttl"""
TLS = "ca_file cert_file http key_file rpc verify_https_client verify_server_hostname"
TELEMETRY = """collection_interval disable_hostname prometheus_metrics publish_allocation_metrics
publish_node_metrics"""
LIMITS = "http_max_conns_per_client https_handshake_timeout rpc_handshake_timeout rpc_max_conns_per_client"
COMMON = {
    "": "bind_addr data_dir datacenter disable_update_check leave_on_interrupt leave_on_terminate log_level region",
    "acl.": "enabled policy_ttl token_ttl",
    "consul.": CONSUL,
    "limits.": LIMITS,
    "telemetry.": TELEMETRY,
    "tls.": TLS,
}
AUTOPILOT = "cleanup_dead_servers last_contact_threshold max_trailing_logs min_quorum server_stabilization_time"
KNOWN = {
    "server": COMMON
    | {
        "name": "",
        "advertise.": "http rpc serf",
        "ports.": "http rpc serf",
        "server.": "bootstrap_expect enabled failover_heartbeat_ttl raft_protocol",
        "server.server_join.": "retry_interval retry_join retry_max",
        "autopilot.": AUTOPILOT,
    },
    "client": COMMON
    | {
        "ports.": "http",
        "client.": "enabled max_kill_timeout node_class state_dir",
        "client.server_join.": "retry_interval retry_join retry_max",
        "client.reserved.": "cpu disk memory",
        "client.host_volume.": "path read_only",
        "client.drain_on_shutdown.": "deadline force ignore_system_jobs",
        "plugin.config.": "allow_privileged denied_host_uids enabled",
        "plugin.config.volumes.": "enabled",
        "plugin.config.auth.": "config",
    },
}
"""Keys by block, as Nomad 1.11.3 names them (command/agent/config.go, nomad/structs/config and drivers/*/config.go in
its source): `nomad config validate` accepts any key anywhere, and the agent passes over what it does not know."""


def keys(text: str) -> Iterator[str]:
    blocks: list[str] = []
    for line in text.splitlines():
        if line.lstrip().startswith("#"):
            continue
        if opened := re.fullmatch(r'\s*(\w+)(?: "[\w-]+")? \{', line):
            blocks.append(opened[1])
        elif line.strip() == "}":
            blocks.pop()
        elif given := re.fullmatch(r"\s*(\w+) += .*", line):
            yield ".".join([*blocks, given[1]])
        else:
            assert not line.strip(), line


def text(service: NodeService) -> str:
    return next(file.text for path, file in service.files.items() if path.endswith(".hcl"))


def test_every_key_is_nomads() -> None:
    """Guards against what Nomad passes over in silence, as the document's autopilot within server."""
    for name, service in {"server": SERVER, "client": CLIENT}.items():
        known = {
            f"{block}{key}" if block.endswith(".") or not block else block
            for block, names in KNOWN[name].items()
            for key in names.split() or [""]
        }
        assert set(keys(text(service))) == known


def said(service: NodeService) -> dict[str, str]:
    """Each key with its value, where it has one alone."""
    return {
        found[1]: found[2]
        for line in text(service).splitlines()
        if (found := re.fullmatch(r"\s*(\w+) += (.*)", line))
    }


def test_a_server_is_found_and_stays() -> None:
    """Guards against servers that do not find each other, that leave at a restart, or that miss lost workers."""
    found = said(SERVER)
    assert found["retry_join"] == '["10.10.0.16:4648", "10.10.64.16:4648", "10.10.128.16:4648"]'
    assert (found["retry_max"], found["retry_interval"]) == ("0", '"5s"')
    assert (found["bootstrap_expect"], found["min_quorum"], found["raft_protocol"]) == ("3", "3", "3")
    assert (found["leave_on_interrupt"], found["leave_on_terminate"]) == ("false", "false")
    assert (found["name"], found["serf"]) == ('"control-plane-2"', "4648")
    assert text(SERVER).count('= "10.10.64.16"\n') == 3
    # A worker speaks up after 20 seconds at most; three times that, and not less: an election takes its time too.
    assert found["failover_heartbeat_ttl"] == '"60s"'
    assert (found["verify_server_hostname"], found["verify_https_client"]) == ("true", "false")
    # Whoever leads or not: what starts after it is needed most when nobody does.
    assert SERVER.probe.path == "/v1/regions"


def test_a_worker_saves_its_jobs_when_it_stops_and_keeps_them_when_it_restarts() -> None:
    """Guards against a drain that is cut short, and against jobs moved about by every change of configuration."""
    found = said(CLIENT)
    assert (found["leave_on_interrupt"], found["leave_on_terminate"]) == ("true", "false")
    assert "\nKillSignal=SIGINT\nRestartKillSignal=SIGTERM\n" in CLIENT.unit[1].text
    assert (found["deadline"], found["max_kill_timeout"]) == ('"900s"', '"900s"')
    # Nomad waits five seconds longer for the servers' word, and five more for itself.
    assert CLIENT.stop_seconds > DRAIN_SECONDS + 10
    assert (found["cpu"], found["memory"], found["disk"]) == ("500", "512", "1024")
    assert (found["node_class"], found["path"]) == ('"ml-workers"', '"/opt/ml-data"')
    assert found["state_dir"] == '"/run/mlops-ha/nomad/state"'
    assert found["denied_host_uids"] == '"0"'
    assert found["retry_join"] == '["10.10.0.16:4647", "10.10.64.16:4647", "10.10.128.16:4647"]'
    assert CLIENT.arguments == (
        "agent",
        "-config=/etc/mlops-ha/nomad/client.hcl",
        "-config=/run/mlops-ha/nomad/secrets.json",
        "-node=${NODE_NAME}",
    )
    assert {directory.path: (directory.owner, directory.mode) for directory in CLIENT.directories} == {
        "/opt/data/nomad": ("root", "0755"),
        "/opt/ml-data": ("root", "1777"),
    }
    assert CLIENT.account.name == "root"
    assert SERVER.account.name == "nomad"
