"""Bundles: what a node is told, the same bytes every time, and nothing secret or unused in it."""

import json
from string import Template
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configs import bundle as bundles
from configs.bundle import bundle
from configs.consul import access as consul_access
from configs.context import BundleFacts, Context
from configs.manifest import Bundle, Directory, Fence, File, Probe, SecretFile, ServiceKind, View
from configs.nodes import NodeRole, nodes
from configs.nomad import access as nomad_access
from configs.nomad_autoscaler.policy import POLICY_FILE
from configs.service import NodeService, tls_files
from configs.settings.model import InternalCertificates, Settings
from configs.tables.accounts import ACCOUNTS, CONSUL, ROOT
from configs.tables.certificates import Certificate, ip_addresses
from configs.tables.flows import NFS
from configs.tables.paths import ML_DATA_PATH
from configs.tables.secrets import document_keys
from configs.tables.versions import Software
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


def example(_context: Context) -> NodeService:
    """A service with something of everything."""
    return NodeService(
        name="example",
        software=Software.CONSUL,
        version="1.2.3",
        kind=ServiceKind.BINARY,
        account=CONSUL,
        program="/bin/example",
        probe=Probe(kind="https", port=1234, path="/ready"),
        files={"/etc/mlops-ha/example/a.hcl": File.of("a = 1\n"), "/etc/mlops-ha/example/b.hcl": File.of("b = 2\n")},
        secrets=(SecretFile(path="/run/mlops-ha/example/token", text="${consulServerToken}", owner="consul"),),
        needs=("/run/mlops-ha/example/left-by-another",),
        directories=(Directory(path="/opt/data/example", owner="consul", mode="0700"),),
        reload="SIGHUP",
        reloads=("/etc/mlops-ha/example/b.hcl",),
    )


def absent(_context: Context) -> None:
    """A service that such a node does not run."""


def nothing(_context: Context) -> tuple[()]:
    return ()


EXAMPLE = {
    "name": "example",
    "kind": "binary",
    "software": "consul",
    "version": "1.2.3",
    "program": "/bin/example",
    "restarts": [
        "/etc/mlops-ha/example/a.hcl",
        "/run/mlops-ha/example/left-by-another",
        "/run/mlops-ha/example/token",
    ],
    "reloads": ["/etc/mlops-ha/example/b.hcl"],
    "probe": {"kind": "https", "port": 1234, "path": "/ready"},
}
"""Its line in a manifest."""

OWN = "/run/mlops-ha/boot-agent"


def owned(path: str, text: str, owner: str = "root") -> dict[str, str]:
    return {"path": path, "text": text, "owner": owner, "mode": "0400"}


def watched(certificate: str) -> dict[str, Any]:
    return {
        "path": f"{OWN}/certificate.pem",
        "metric": {
            "namespace": "MlopsHa",
            "name": "CertificateDaysToExpiry",
            "dimensions": {"Certificate": certificate},
        },
    }


SERVERS_PLAN: dict[str, Any] = {
    "format": 2,
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
    "packages": ["docker"],
    "images": "s3://mlops-123456789012-us-east-1-backups/images/index.json",
    "registry": "123456789012.dkr.ecr.us-east-1.amazonaws.com",
    "mounts": [{"kind": "volume", "source": "/dev/sdf", "path": "/opt/data"}],
    "directories": [
        {"path": "/opt/data", "owner": "root", "mode": "0755"},
        {"path": "/opt/data/example", "owner": "consul", "mode": "0700"},
    ],
    "secrets": [
        {
            "kind": "secret",
            "id": "mlops/control-plane",
            "files": [
                owned(f"{OWN}/ca.pem", "${caCertificate}"),
                owned(f"{OWN}/certificate.pem", "${certificate}"),
                owned(f"{OWN}/private-key.pem", "${privateKey}"),
                owned(f"{OWN}/consul-management-token", "${consulManagementToken}"),
                owned(f"{OWN}/nomad-management-token", "${nomadManagementToken}"),
                owned("/run/mlops-ha/example/token", "${consulServerToken}", "consul"),
            ],
        }
    ],
    "certificates": [watched("control-plane")],
    "services": [EXAMPLE],
    "access": {"consul": [], "nomad": [], "nomad_tokens": []},
    "quorum": [
        {
            "service": service,
            "port": port,
            "path": "/v1/operator/autopilot/health",
            "header": header,
            "token": f"{OWN}/{service}-management-token",
        }
        for service, port, header in (("consul", 8501, "X-Consul-Token"), ("nomad", 4646, "X-Nomad-Token"))
    ],
    "turn": {"bucket": "mlops-123456789012-us-east-1-bundles", "key": "locks/control-plane"},
    "drain": None,
    "snapshots": [
        {
            "service": service,
            "address": "127.0.0.1",
            "port": port,
            "self_path": "/v1/agent/self",
            "leader": leader,
            "path": path,
            "header": header,
            "token": f"{OWN}/{service}-management-token",
            "ca": f"{OWN}/ca.pem",
            "certificate": f"{OWN}/certificate.pem",
            "private_key": f"{OWN}/private-key.pem",
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
}

WORKERS_PLAN: dict[str, Any] = SERVERS_PLAN | {
    "node": "worker",
    "role": "worker",
    "address": None,
    "packages": ["amazon-ecr-credential-helper", "amazon-efs-utils", "docker"],
    "mounts": [{"kind": "efs", "source": "fs-1", "path": "/opt/ml-data"}],
    "secrets": [
        {
            "kind": "secret",
            "id": "mlops/worker",
            "files": [
                owned(f"{OWN}/ca.pem", "${caCertificate}"),
                owned(f"{OWN}/certificate.pem", "${certificate}"),
                owned(f"{OWN}/private-key.pem", "${privateKey}"),
                owned("/run/mlops-ha/example/token", "${consulServerToken}", "consul"),
            ],
        }
    ],
    "certificates": [watched("worker")],
    "access": None,
    "quorum": [],
    "turn": None,
    "drain": {"group": "mlops-workers", "hook": "drain", "unit": "mlops-ha-nomad.service", "seconds": 900},
    "snapshots": [],
}


def without_services(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave of a bundle what is the bundle's own, with one service for an example."""
    monkeypatch.setattr(bundles, "SERVICES", dict.fromkeys(NodeRole, (example, absent)))
    monkeypatch.setattr(consul_access, "calls", nothing)
    monkeypatch.setattr(nomad_access, "calls", nothing)
    monkeypatch.setattr(nomad_access, "tokens", nothing)


@pytest.mark.parametrize("plan", [SERVERS_PLAN, WORKERS_PLAN], ids=["server", "worker"])
def test_is_exactly_the_plan(plan: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against a node that is told something else than what the settings say."""
    without_services(monkeypatch)
    found = json.loads(text(stack_settings("prod"), plan["node"]))
    assert found["manifest"] == plan
    unit = found["files"].pop("/etc/systemd/system/mlops-ha-example.service")
    assert "ExecStart=/opt/mlops-ha/bin/example" in unit["lines"]
    assert found["files"] == {
        "/etc/sysusers.d/mlops-ha.conf": {"lines": ["u consul 7101"], "mode": "0644"},
        "/etc/mlops-ha/example/a.hcl": {"lines": ["a = 1"], "mode": "0644"},
        "/etc/mlops-ha/example/b.hcl": {"lines": ["b = 2"], "mode": "0644"},
    }


def test_the_disks_are_where_they_are_looked_for() -> None:
    """Guards against a shared file system that is mounted where no flow says that it is."""
    assert NFS.purpose == ML_DATA_PATH


STANDARD = (
    (NodeRole.CONTROL_PLANE, "dr", "standby"),
    *((role, "prod", "primary") for role in NodeRole),
)


@pytest.mark.parametrize(("role", "stack", "stack_role"), STANDARD)
def test_services_keep_apart(role: NodeRole, stack: str, stack_role: str) -> None:
    """Guards against two services with one file or one account, and one that reads or writes another's folders."""
    current = stack_settings(stack, role=stack_role)
    node = next(node for node in nodes(current) if node.role is role)
    running = bundles.services(Context(current, node, FACTS))
    names = [service.name for service in running]
    assert len(set(names)) == len(names)
    accounts = [service.account for service in running if service.account is not ROOT]
    assert len(set(accounts)) == len(accounts)
    assert set(accounts) <= set(ACCOUNTS)
    paths = [path for service in running for path in (*service.files, service.unit[0])]
    assert len(set(paths)) == len(paths)
    for service in running:
        folders = (f"/etc/mlops-ha/{service.name}/", f"/run/mlops-ha/{service.name}/")
        # Or where its image looks for them, which the container is then shown.
        places = (folders[0], *(f"{mount}/" for mount in service.mounts))
        assert [path for path in service.files if not path.startswith(places)] == []
        public = [service.public_certificate] if service.public_certificate else []
        for file in (*service.secrets, *public):
            assert (file.path.startswith(folders[1]), file.owner, file.mode) == (True, service.account.name, "0400")
        for directory in service.directories:
            # The shared file system is for the jobs that Nomad's client starts.
            own, shared = f"/opt/data/{service.name}", {ML_DATA_PATH} if service.name == "nomad" else set[str]()
            assert directory.path in shared or f"{directory.path}/".startswith(f"{own}/"), directory
            assert directory.owner == service.account.name, directory
        known = {*service.files, *(file.path for file in (*service.secrets, *public)), *service.needs}
        assert set(service.reloads) <= known
        assert bool(service.reload) == bool(service.reloads), service.name


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
    """Guards against a bundle that asks for what is not in the secret, or takes the wrong certificate for users."""
    current = stack_settings(stack, certificates=CERTIFICATES[mode])
    manifest = parsed(current, name).manifest
    own, *brought = manifest.secrets
    assert (own.kind, own.id) == ("secret", f"mlops/{manifest.role.group}")
    internal = isinstance(current.certificates, InternalCertificates)
    assert set().union(*(fields(file) for file in own.files)) <= document_keys(manifest.role.group, internal)
    files = [file for secret in manifest.secrets for file in secret.files]
    assert len({file.path for file in files}) == len(files)
    assert {held.path for held in manifest.certificates} <= {file.path for file in files}
    expected: list[tuple[str, str, str | None]] = []
    if mode != "internal" and name.startswith("load-balancer"):
        kind, key, pem = {
            "secret": ("secret", "SecretArn", None),
            "acm": ("certificate", "CertificateArn", "${publicCertificate}${publicPrivateKey}"),
        }[mode]
        expected = [(kind, CERTIFICATES[mode][f"{'primary' if stack == 'prod' else 'standby'}{key}"], pem)]
    assert [(secret.kind, secret.id, file.text) for secret in brought for file in secret.files] == expected


def fields(file: SecretFile) -> set[str]:
    """The fields of a secret that a file is made of."""
    template = Template(file.text or "")
    assert template.is_valid(), file.path
    return set(template.get_identifiers())


def test_a_service_has_its_own_copy_of_what_tls_needs() -> None:
    """Guards against a private key that another service's account reads, or the wrong field in a file."""
    assert [(file.path, file.text, file.owner, file.mode) for file in tls_files("example", CONSUL)] == [
        ("/run/mlops-ha/example/ca.pem", "${caCertificate}", "consul", "0400"),
        ("/run/mlops-ha/example/certificate.pem", "${certificate}", "consul", "0400"),
        ("/run/mlops-ha/example/private-key.pem", "${privateKey}", "consul", "0400"),
    ]


@pytest.mark.parametrize("mode", CERTIFICATES)
def test_the_expiry_of_every_certificate_is_watched(mode: str) -> None:
    """Guards against a certificate that ends unnoticed, by any of the three settings."""
    current = stack_settings("prod", certificates=CERTIFICATES[mode])
    found = {
        name: [held.metric.dimensions["Certificate"] for held in parsed(current, name).manifest.certificates]
        for name in NAMES
    }
    # With "acm", AWS watches the public one itself.
    public = [Certificate.PUBLIC] if mode != "acm" else []
    assert found == {
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
    current = stack_settings(stack, role=role, database=RETURNED, **({"edge": edge} if edge else {}))
    manifests = {name: parsed(current, name).manifest for name in NAMES}
    assert {name for name, manifest in manifests.items() if manifest.snapshots} == SERVERS
    fences = {name: manifest.fence for name, manifest in manifests.items() if manifest.fence}
    switch = "https://mlops-123456789012-us-west-2-failover-switch.s3.us-west-2.amazonaws.com/region-failed-over"
    fence = Fence(url=switch, path="/run/mlops-ha-fence/open")
    pair = ("load-balancer-haproxy", "load-balancer-nginx")
    assert fences == (dict.fromkeys(pair, fence) if stack == "prod" else {})
    watches = {name: manifest.watch for name, manifest in manifests.items() if manifest.watch}
    view = View(url="https://origin.us-east-1.mlops.example.com/healthz")
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
    written = {file.path: file.text for secret in manifest.secrets for file in secret.files}
    for snapshot in manifest.snapshots:
        paths = (snapshot.token, snapshot.ca, snapshot.certificate, snapshot.private_key)
        assert [written[path] for path in paths] == [
            f"${{{snapshot.service}ManagementToken}}",
            "${caCertificate}",
            "${certificate}",
            "${privateKey}",
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
        ({"versions": {"grafana": "12.4.0"}}, SERVERS),
        ({"versions": {"pushgateway": "1.11.0"}}, set[str]()),
        ({"retention": {"databaseDays": 21}}, set[str]()),
        ({"workers": {"spotShare": 0.9}}, set[str]()),
    ],
    ids=["version", "servers", "workers", "target", "one service", "unused version", "retention", "spot"],
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
    files = parsed(stack_settings("dr"), "control-plane-2").files
    [policy] = [file for path, file in files.items() if path == POLICY_FILE]
    workers = json.loads(policy.text)["scaling"]["workers"]
    assert (workers["min"], workers["max"]) == (1, 1)


HOSTS = st.from_regex(r"[a-z0-9]([a-z0-9.-]{0,40}[a-z0-9])?", fullmatch=True)


@given(database=HOSTS, file_system=HOSTS)
# Every example renders two nodes in full.
@settings(max_examples=10, deadline=None)
def test_what_is_parsed_is_what_was_written(database: str, file_system: str) -> None:
    """Guards against a bundle that says something else once it is read."""
    for name in ("control-plane-2", "worker"):
        written = text(stack_settings("prod"), name, BundleFacts(database, file_system))
        read = Bundle.model_validate_json(written)
        assert json.dumps(read.model_dump(mode="json"), indent=1, sort_keys=True) + "\n" == written
    assert read.manifest.mounts[0].source == file_system


@given(st.lists(st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"])), min_size=1))
def test_a_file_is_the_text_that_it_was_made_of(lines: list[str]) -> None:
    """Guards against a file that loses or gains a line on the way to its node."""
    whole = "".join(f"{line}\n" for line in lines)
    assert File.of(whole).text == whole
    assert File.of(whole).lines == tuple(lines)
    with pytest.raises(ValueError, match="a file ends with a line's end"):
        File.of(f"{whole}x")
