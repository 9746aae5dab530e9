"""A node's files laid over this machine, and the secrets in them."""

import subprocess
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from cryptography import x509

from configs.manifest import Bundle, Directory, File, SecretFile
from configs.tables.accounts import CONSUL
from configs.tables.flows import NODES, Role
from configs.tables.secrets import document_keys
from lab.documents import documents
from lab.tree import Entry, command, entries, write
from tests.nodes.world import bundle_of
from tests.unit.mocks import stack_settings

SECONDS = 60
"""Longest that a command takes, on a machine that does much else."""


def example() -> tuple[Bundle, dict[str, dict[str, str]]]:
    """A worker's bundle with one secret, one file and one folder, and what the secret holds."""
    worker = bundle_of("prod", "worker")
    files = (
        SecretFile(path="/run/mlops-ha/example/token", text="token = ${a} $$5\n", owner="consul"),
        SecretFile(path="/run/mlops-ha/example/whole", text=None),
    )
    [secret, *_] = worker.manifest.secrets
    manifest = worker.manifest.model_copy(
        update={
            "secrets": (secret.model_copy(update={"id": "one", "files": files}),),
            "directories": (Directory(path="/opt/data/example", owner="consul", mode="0700"),),
        }
    )
    return Bundle(manifest=manifest, files={"/etc/mlops-ha/example/a": File.of("x\n", "0600")}), {"one": {"a": "b"}}


def test_entries_are_what_the_boot_agent_would_leave() -> None:
    """Guards against commands that look at other files, owners or secrets than a node has."""
    bundle, secrets = example()
    found = {entry.path: entry for entry in entries(bundle, secrets, {"nomad": Path("/built/nomad")})}
    number = CONSUL.number
    assert found["/run/mlops-ha/example/token"] == Entry(
        "/run/mlops-ha/example/token", "token = b $5\n", "0400", number
    )
    assert found["/run/mlops-ha/example/whole"] == Entry("/run/mlops-ha/example/whole", '{"a": "b"}', "0400", 0)
    assert found["/opt/data/example"] == Entry("/opt/data/example", None, "0700", number)
    assert found["/etc/mlops-ha/example/a"] == Entry("/etc/mlops-ha/example/a", "x\n", "0600", 0)
    assert (found["/run/mlops-ha/node.env"].text or "").splitlines() == [
        "NODE_NAME=worker",
        "NODE_ADDRESS=127.0.0.1",
        "INSTANCE_ID=i-0",
    ]
    assert found["/opt/mlops-ha/bin/nomad"].text == '#!/bin/sh\nexec "/built/nomad" "$@"\n'
    assert f"\nconsul:x:{number}:{number}:" in (found["/etc/passwd"].text or "")
    with pytest.raises(KeyError):
        entries(bundle, {"one": {}}, {})


def test_a_command_sees_them_and_nothing_is_left(tmp_path: Path) -> None:
    """Guards against a test that reads this machine's files, or leaves a node's on it."""
    bundle, secrets = example()
    write(tmp_path, entries(bundle, secrets, {}))
    script = "stat -c '%a %U %n' /run/mlops-ha/example/token /opt/data/example; touch /etc/mlops-ha/left; id -un 7101"
    names = "cut -d: -f1 /proc/net/dev | tail -n +3 | tr -d ' '"
    done = subprocess.run(
        command(tmp_path, ["sh", "-c", f"{script}; {names}; exit 3"]),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 3
    assert done.stdout.splitlines() == [
        "400 consul /run/mlops-ha/example/token",
        "700 consul /opt/data/example",
        "consul",
        # Of networks its own loopback alone.
        "lo",
    ]
    assert not Path("/etc/mlops-ha").exists()
    # What was written went to memory, which ended with the command.
    assert list((tmp_path / "memory").iterdir()) == []


@pytest.mark.parametrize("mode", ["internal", "secret"])
def test_documents_are_what_each_role_may_read(mode: str) -> None:
    """Guards against a node that starts in the tests with a secret that it does not have."""
    brought = {
        "mode": "secret",
        "primarySecretArn": "arn:aws:secretsmanager:us-east-1:123456789012:secret:own-abcdef",
        "standbySecretArn": "arn:aws:secretsmanager:us-west-2:123456789012:secret:own-abcdef",
    }
    certificates = brought if mode == "secret" else {"mode": "internal"}
    found = documents(stack_settings("prod", certificates=certificates))
    assert {role: set(document) for role, document in found.items()} == {
        role: set(document_keys(role, mode == "internal")) for role in NODES
    }
    shared = set(found[Role.CONTROL_PLANE]) & set(found[Role.WORKER]) - {"certificate", "privateKey"}
    assert all(found[Role.CONTROL_PLANE][key] == found[Role.WORKER][key] for key in shared)


def test_certificates_are_good_for_their_names() -> None:
    """Guards against agents that refuse each other in the tests for a reason of the tests' own."""
    found = documents(stack_settings("prod"))
    for role, document in found.items():
        certificate = x509.load_pem_x509_certificate(document["certificate"].encode())
        authority = x509.load_pem_x509_certificate(document["caCertificate"].encode())
        certificate.verify_directly_issued_by(authority)
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        kind = "server" if role is Role.CONTROL_PLANE else "client"
        assert f"{kind}.mlops-us-east-1.consul" in names.get_values_for_type(x509.DNSName)
        assert names.get_values_for_type(x509.IPAddress) == [IPv4Address("127.0.0.1")]
