"""Bundles: what a node is told, the same bytes every time, and nothing secret or unused in it."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from configs import bundle as bundles
from configs.bundle import Bundle, BundleFacts, bundle
from configs.nodes import WORKER, NodeRole, nodes
from configs.nomad_autoscaler.policy import POLICY_FILE, worker_policy
from configs.settings.model import InternalCertificates, Settings
from configs.tables.certificates import Certificate, ip_addresses
from configs.tables.flows import NFS, NODE_EXPORTER
from configs.tables.names import Names
from configs.tables.secrets import document_keys
from tests.unit.mocks import stack_settings

FACTS = BundleFacts("database.example.com", "fs-1")
CERTIFICATES: dict[str, dict[str, str]] = {
    "internal": {"mode": "internal"},
    "secret": {
        "mode": "secret",
        "primarySecretArn": "arn:aws:secretsmanager:us-east-1:123456789012:secret:own-abcdef",
        "standbySecretArn": "arn:aws:secretsmanager:us-west-2:123456789012:secret:own-abcdef",
    },
    "acm": {
        "mode": "acm",
        "primaryCertificateArn": "arn:aws:acm:us-east-1:123456789012:certificate/1",
        "standbyCertificateArn": "arn:aws:acm:us-west-2:123456789012:certificate/2",
    },
}


def text(settings: Settings, name: str, facts: BundleFacts = FACTS) -> str:
    return bundle(settings, {node.name: node for node in nodes(settings)}[name], facts)


def parsed(settings: Settings, name: str) -> Bundle:
    return Bundle.model_validate_json(text(settings, name))


NAMES = ("control-plane-2", "load-balancer-haproxy", "load-balancer-nginx", "worker")


def test_a_servers_bundle_is_exactly_the_plan() -> None:
    """Guards against a server that is told something else than what the settings say."""
    settings = stack_settings("prod")
    policy = worker_policy(Names("mlops", settings.account_id, "us-east-1"), settings.workers, (3, 20))
    assert json.loads(text(settings, "control-plane-2")) == {
        "files": {POLICY_FILE: {"lines": policy.splitlines(), "mode": "0644"}},
        "manifest": {
            "format": 1,
            "node": "control-plane-2",
            "role": "control-plane",
            "address": "10.10.64.16",
            "region": "us-east-1",
            "datacenter": "mlops-us-east-1",
            "serving": True,
            "servers": [
                {"name": "control-plane-1", "address": "10.10.0.16"},
                {"name": "control-plane-2", "address": "10.10.64.16"},
                {"name": "control-plane-3", "address": "10.10.128.16"},
            ],
            "mounts": [{"kind": "volume", "source": "/dev/sdf", "path": "/opt/data"}],
            "secrets": [
                {
                    "id": "mlops/control-plane",
                    "files": [
                        {"field": field, "path": f"/run/mlops-ha/{name}", "owner": "root", "mode": "0400"}
                        for field, name in (
                            ("caCertificate", "ca.pem"),
                            ("certificate", "certificate.pem"),
                            ("privateKey", "private-key.pem"),
                            ("consulManagementToken", "consul-management-token"),
                            ("nomadManagementToken", "nomad-management-token"),
                        )
                    ],
                }
            ],
            "certificates": [
                {
                    "path": "/run/mlops-ha/certificate.pem",
                    "metric": {
                        "namespace": "MlopsHa",
                        "name": "CertificateDaysToExpiry",
                        "dimensions": {"Certificate": "control-plane"},
                    },
                }
            ],
            "services": [
                {
                    "name": "node-exporter",
                    "kind": "binary",
                    "software": "nodeExporter",
                    "version": "1.9.1",
                    "arguments": ["--web.listen-address=:9100"],
                    "mounts": [],
                    "capabilities": [],
                    "probe": {"port": 9100, "path": "/metrics"},
                }
            ],
            "snapshots": [
                {
                    "service": service,
                    "address": "127.0.0.1",
                    "port": port,
                    "self_path": "/v1/agent/self",
                    "leader": leader,
                    "path": path,
                    "header": header,
                    "token": f"/run/mlops-ha/{service}-management-token",
                    "ca": "/run/mlops-ha/ca.pem",
                    "certificate": "/run/mlops-ha/certificate.pem",
                    "private_key": "/run/mlops-ha/private-key.pem",
                    "bucket": "mlops-123456789012-us-east-1-backups",
                    "key": f"snapshots/us-east-1/{service}.snap",
                    "seconds": 540,
                }
                for service, port, leader, path, header in (
                    ("consul", 8501, ["Stats", "consul", "leader"], "/v1/snapshot", "X-Consul-Token"),
                    ("nomad", 4646, ["stats", "nomad", "leader"], "/v1/operator/snapshot", "X-Nomad-Token"),
                )
            ],
            "fence": None,
            "watch": None,
        },
    }
    assert NODE_EXPORTER.port == 9100


def test_workers_share_one_without_an_address() -> None:
    """Guards against a worker that takes itself for another machine, or has no shared file system."""
    manifest = parsed(stack_settings("prod"), WORKER.name).manifest
    assert (manifest.node, manifest.role, manifest.address) == ("worker", NodeRole.WORKER, None)
    assert [mount.model_dump() for mount in manifest.mounts] == [
        {"kind": "efs", "source": "fs-1", "path": "/opt/ml-data"}
    ]
    assert NFS.purpose == bundles.ML_DATA_PATH


@pytest.mark.parametrize("name", NAMES)
def test_the_same_bytes_every_time(name: str) -> None:
    """Guards against a bundle that differs in every preview, or that shows as one long line."""
    first = text(stack_settings("prod"), name)
    assert first == text(stack_settings("prod"), name)
    assert first == json.dumps(json.loads(first), indent=1, sort_keys=True) + "\n"


@pytest.mark.parametrize("stack", ["prod", "dr"])
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("mode", CERTIFICATES)
def test_secrets_are_fields_that_the_role_may_read(stack: str, name: str, mode: str) -> None:
    """Guards against a bundle that asks for what is not in the secret, or shows a key to more than its owner."""
    settings = stack_settings(stack, certificates=CERTIFICATES[mode])
    manifest = parsed(settings, name).manifest
    own, *brought = manifest.secrets
    assert own.id == f"mlops/{manifest.role.group}"
    internal = isinstance(settings.certificates, InternalCertificates)
    assert {file.field for file in own.files} <= document_keys(manifest.role.group, internal)
    files = [file for secret in manifest.secrets for file in secret.files]
    assert {(file.mode, file.owner, file.path.rpartition("/")[0]) for file in files} == {
        ("0400", "root", "/run/mlops-ha")
    }
    assert len({file.path for file in files}) == len(files)
    assert {held.path for held in manifest.certificates} <= {file.path for file in files}
    arn = CERTIFICATES["secret"]["primarySecretArn" if stack == "prod" else "standbySecretArn"]
    expected = [arn] if mode == "secret" and name.startswith("load-balancer") else []
    assert [secret.id for secret in brought] == expected
    assert [file.field for secret in brought for file in secret.files] == [None for _ in expected]


@pytest.mark.parametrize("mode", CERTIFICATES)
def test_the_expiry_of_every_certificate_is_watched(mode: str) -> None:
    """Guards against a certificate that ends unnoticed, by any of the three settings."""
    settings = stack_settings("prod", certificates=CERTIFICATES[mode])
    watched = {
        name: [held.metric.dimensions["Certificate"] for held in parsed(settings, name).manifest.certificates]
        for name in NAMES
    }
    # With "acm", AWS watches the public one itself.
    public = [Certificate.PUBLIC] if mode != "acm" else []
    assert watched == {
        "control-plane-2": ["control-plane"],
        "load-balancer-haproxy": ["load-balancer", *public],
        "load-balancer-nginx": ["load-balancer", *public],
        "worker": ["worker"],
    }


ROLES = [("prod", "primary"), ("prod", "returning"), ("dr", "standby"), ("dr", "active"), ("dr", "leaving")]
RETURNED = {"primaryGeneration": 2}
"""What the role returning asks for, and the others allow."""
EDGE = {"zoneId": "0" * 32, "domain": "edge.example.net", "addressRanges": ["173.245.48.0/20"]}


@pytest.mark.parametrize(("stack", "role"), ROLES)
@pytest.mark.parametrize("edge", [None, EDGE], ids=["no edge", "edge"])
def test_a_failover_asks_of_each_node_what_is_its_own(stack: str, role: str, edge: dict[str, Any] | None) -> None:
    """Guards against a primary that comes back unfenced, a fence where the switch sends users, and idle witnesses."""
    settings = stack_settings(stack, role=role, database=RETURNED, **({"edge": edge} if edge else {}))
    manifests = {name: parsed(settings, name).manifest for name in NAMES}
    assert {name for name, manifest in manifests.items() if manifest.snapshots} == SERVERS
    fences = {name: manifest.fence for name, manifest in manifests.items() if manifest.fence}
    switch = "https://mlops-123456789012-us-west-2-failover-switch.s3.us-west-2.amazonaws.com/region-failed-over"
    fence = bundles.Fence(url=switch, path="/run/mlops-ha-fence")
    pair = ("load-balancer-haproxy", "load-balancer-nginx")
    assert fences == (dict.fromkeys(pair, fence) if stack == "prod" else {})
    watches = {name: manifest.watch for name, manifest in manifests.items() if manifest.watch}
    view = bundles.View(url="https://origin.us-east-1.mlops.example.com/healthz")
    assert watches == ({"control-plane-2": view} if stack == "dr" and edge is None else {})


def test_the_standbys_snapshots_are_its_own() -> None:
    """Guards against a standby that replaces the snapshot that it is to restore."""
    manifest = parsed(stack_settings("dr"), "control-plane-2").manifest
    assert [(snapshot.bucket, snapshot.key) for snapshot in manifest.snapshots] == [
        ("mlops-123456789012-us-west-2-backups", f"snapshots/us-west-2/{service}.snap")
        for service in ("consul", "nomad")
    ]


def test_a_server_has_in_files_what_its_snapshots_need() -> None:
    """Guards against an agent that looks for a token or a certificate where it never was written."""
    manifest = parsed(stack_settings("prod"), "control-plane-2").manifest
    written = {file.path: file.field for secret in manifest.secrets for file in secret.files}
    for snapshot in manifest.snapshots:
        paths = (snapshot.token, snapshot.ca, snapshot.certificate, snapshot.private_key)
        assert [written[path] for path in paths] == [
            f"{snapshot.service}ManagementToken",
            "caCertificate",
            "certificate",
            "privateKey",
        ]
        # The name that the agent asks for is in the certificate.
        assert snapshot.address in ip_addresses(Certificate.CONTROL_PLANE)


def changed(stack: str = "prod", **changes: Any) -> set[str]:
    """The nodes whose bundle a change of the settings changes."""
    before, after = stack_settings(stack), stack_settings(stack, **changes)
    return {name for name in NAMES if text(before, name) != text(after, name)}


ALL, SERVERS = set(NAMES), {"control-plane-2"}


@pytest.mark.parametrize(
    ("changes", "nodes_changed"),
    [
        ({"versions": {"nodeExporter": "1.9.0"}}, ALL),
        ({"controlPlane": {"serverCount": 5}}, ALL),
        ({"workers": {"maximum": 30}}, SERVERS),
        ({"workers": {"targetPercent": 80}}, SERVERS),
        ({"versions": {"grafana": "12.4.0"}}, set[str]()),
        ({"retention": {"databaseDays": 21}}, set[str]()),
        ({"workers": {"spotShare": 0.9}}, set[str]()),
    ],
    ids=["version", "servers", "workers", "target", "unused version", "retention", "spot"],
)
def test_changes_with_what_it_says_and_nothing_else(changes: dict[str, Any], nodes_changed: set[str]) -> None:
    """Guards against servers that roll for nothing, and against a change that no node hears of."""
    assert changed(**changes) == nodes_changed


def test_a_standby_does_not_serve() -> None:
    """Guards against a standby that lets people in, and one that does not when it has taken over."""
    serving = {
        role: parsed(stack_settings("dr", role=role), "load-balancer-haproxy").manifest.serving
        for role in ("standby", "active")
    }
    assert serving == {"standby": False, "active": True}
    assert changed("dr", role="active") == ALL


def test_a_standbys_workers_are_fixed() -> None:
    """Guards against a standby whose autoscaler starts what its group does not allow."""
    [file] = parsed(stack_settings("dr"), "control-plane-2").files.values()
    workers = json.loads("\n".join(file.lines))["scaling"]["workers"]
    assert (workers["min"], workers["max"]) == (1, 1)


@given(st.text(max_size=40), st.text(max_size=40))
def test_what_is_parsed_is_what_was_written(database: str, file_system: str) -> None:
    """Guards against a bundle that says something else once it is read."""
    settings = stack_settings("prod")
    written = bundle(settings, WORKER, BundleFacts(database, file_system))
    read = Bundle.model_validate_json(written)
    assert json.dumps(read.model_dump(mode="json"), indent=1, sort_keys=True) + "\n" == written
    assert read.manifest.mounts[0].source == file_system
