"""The boot agent: what a node does with its bundle, against a metadata service and an AWS CLI of the test's own."""

from __future__ import annotations

import ast
import hashlib
import json
import stat
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from typing_extensions import override

from boot_agent import agent, agent_text
from configs.bundle import FORMAT, BundleFacts, bundle
from configs.nodes import AGENT_KEY, NODE_TAG, WORKER, bundle_key, load_balancers, report_key
from configs.reports import REPORT_SECONDS, Report
from configs.tables.metrics import PUBLISH_SECONDS
from tests.unit.mocks import stack_settings
from tests.unit.node_world import World, awaited, certificate, made, small_bundle, started


class Metadata(BaseHTTPRequestHandler):
    """IMDSv2: a token first, then what is asked for."""

    known: dict[str, str]

    @override
    def log_message(self, format: str, *args: Any) -> None: ...

    def _say(self, status: int, text: str) -> None:
        self.send_response(status)
        self.end_headers()
        self.wfile.write(text.encode())

    def do_PUT(self) -> None:
        wanted = self.path == "/latest/api/token" and self.headers["X-aws-ec2-metadata-token-ttl-seconds"]
        self._say(200, "token") if wanted else self._say(400, "")

    def do_GET(self) -> None:
        if self.headers["X-aws-ec2-metadata-token"] != "token":
            return self._say(401, "")
        found = self.known.get(self.path)
        return self._say(404, "") if found is None else self._say(200, found)


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A world with an AWS CLI and the agent in S3."""
    return made(tmp_path)


def keep_owner(path: Path, user: str) -> None:
    assert (path.suffix, user) == (".new", "root")


@pytest.fixture
def nginx(world: World, monkeypatch: pytest.MonkeyPatch) -> agent.Agent:
    """An agent of a load balancer, in this process; its bundle and secret are there."""
    monkeypatch.setenv("PATH", world.environment["PATH"])
    monkeypatch.setattr(agent, "ROOT", str(world.root))
    # Files belong to whoever runs the tests.
    monkeypatch.setattr(agent.shutil, "chown", keep_owner)
    world.put(bundle_key("load-balancer-nginx"), real_bundle())
    world.put_secret(
        "mlops/load-balancer",
        json.dumps(
            {
                "caCertificate": "ca",
                "certificate": certificate(100),
                "privateKey": "key",
                "publicCertificate": certificate(10),
                "publicPrivateKey": "public key",
                "consulGossipKey": "not for a file yet",
            }
        ),
    )
    return agent.Agent("bundles", "load-balancer-nginx", "i-1", agent_text())


def real_bundle() -> str:
    settings = stack_settings("prod")
    return bundle(settings, load_balancers(settings)[1], BundleFacts("database", "fs-1"))


def test_runs_on_what_amazon_linux_brings() -> None:
    """Guards against an agent that no node can run: newer grammar, or a package that is not there."""
    tree = ast.parse(agent_text(), feature_version=(3, 9))
    imported = {
        alias.name.partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
    }
    imported |= {str(node.module).partition(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert imported <= sys.stdlib_module_names


def test_knows_the_same_names_as_the_program() -> None:
    """Guards against an agent that looks for its bundle, or leaves its report, where nobody else does."""
    text = agent_text()
    assert f'"{AGENT_KEY}"' in text
    assert f'metadata("tags/instance/{NODE_TAG}")' in text
    assert WORKER.name == agent.SHARED
    assert (agent.FORMAT, agent.REPORT_SECONDS, agent.RENEW_SECONDS) == (FORMAT, REPORT_SECONDS, PUBLISH_SECONDS)
    assert bundle_key("{self.node}") in text
    assert report_key("{name}") in text


def test_a_bundle_is_applied_and_reported(nginx: agent.Agent, world: World) -> None:
    """Guards against secrets that others can read, and a report that says more than is true."""
    nginx.step(0)
    files = {str(path.relative_to(world.root)): path for path in world.root.rglob("*") if path.is_file()}
    assert {name: stat.S_IMODE(path.stat().st_mode) for name, path in files.items()} == {
        "run/mlops-ha/ca.pem": 0o400,
        "run/mlops-ha/certificate.pem": 0o400,
        "run/mlops-ha/private-key.pem": 0o400,
        "run/mlops-ha/public-certificate.pem": 0o400,
        "run/mlops-ha/public-private-key.pem": 0o400,
    }
    assert files["run/mlops-ha/private-key.pem"].read_text() == "key"
    assert world.report(report_key("load-balancer-nginx")) == Report(
        node="load-balancer-nginx",
        instance="i-1",
        bundle=hashlib.sha256(real_bundle().encode()).hexdigest(),
        formed=False,
        healthy=False,
        reason="this release starts no service",
    )


def test_days_to_expiry_are_published_once_an_hour(nginx: agent.Agent, world: World) -> None:
    """Guards against a certificate that ends unnoticed, and a figure that is paid for every ten seconds."""
    for now in (0, 10, 3599):
        nginx.step(now)
    figures = world.figures()
    assert [(one["--namespace"], one["--metric-name"], one["--dimensions"]) for one in figures] == [
        ("MlopsHa", "CertificateDaysToExpiry", "Certificate=load-balancer"),
        ("MlopsHa", "CertificateDaysToExpiry", "Certificate=public"),
    ]
    assert [round(float(one["--value"]), 1) for one in figures] == [100, 10]
    world.put_secret("mlops/load-balancer", (world.home / "secrets" / "mlops:load-balancer").read_text())
    nginx.step(3600)
    assert len(world.figures()) == 4


def test_a_renewed_certificate_arrives(nginx: agent.Agent, world: World) -> None:
    """Guards against a node that serves an old certificate until it is replaced."""
    nginx.step(0)
    path = world.home / "secrets" / "mlops:load-balancer"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"privateKey": "renewed"}))
    nginx.step(3600)
    assert (world.root / "run/mlops-ha/private-key.pem").read_text() == "renewed"


def test_another_bundle_is_applied(nginx: agent.Agent, world: World) -> None:
    """Guards against a change that never reaches a node, and one that is applied half."""
    nginx.step(0)
    world.put(bundle_key("load-balancer-nginx"), small_bundle())
    nginx.step(10)
    assert not (world.root / "etc/one").exists()  # It looks every 30 seconds.
    nginx.step(30)
    one = world.root / "etc/one"
    assert (one.read_text(), stat.S_IMODE(one.stat().st_mode)) == ("a\nb\n", 0o640)


@pytest.mark.parametrize("left", ["file", "link"])
def test_a_killed_agents_leavings_are_replaced(left: str, nginx: agent.Agent, world: World, tmp_path: Path) -> None:
    """Guards against an agent that never starts again, or writes a secret to where a link points."""
    folder = world.root / "run/mlops-ha"
    folder.mkdir(parents=True)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("")
    aside = folder / "ca.pem.new"
    aside.symlink_to(elsewhere) if left == "link" else aside.write_text("half")
    nginx.step(0)
    assert (folder / "ca.pem").read_text() == "ca"
    assert elsewhere.read_text() == ""
    assert not list(folder.glob("*.new"))


BUNDLE, SECRET = "s3/bundles/bundles/load-balancer-nginx.json", "secrets/mlops:load-balancer"


@pytest.mark.parametrize(
    ("place", "text", "said"),
    [
        (BUNDLE, None, "follow_bundle: Problem: aws s3 cp: fatal error: An error occurred (404)"),
        (BUNDLE, "{", "follow_bundle: JSONDecodeError"),
        (BUNDLE, "[]", "follow_bundle: TypeError"),
        (BUNDLE, small_bundle(format=2), "the bundle has format 2, this agent knows 1"),
        (SECRET, "{}", "secret mlops/load-balancer has no caCertificate"),
        (SECRET, "hunter2", "secret mlops/load-balancer has no caCertificate"),
        (SECRET, '"hunter2"', "secret mlops/load-balancer has no caCertificate"),
        (SECRET, None, "renew_secrets: Problem: aws secretsmanager get-secret-value"),
    ],
    ids=["no bundle", "half a bundle", "no object", "newer", "no field", "no json", "no fields", "no secret"],
)
def test_a_fault_is_told_and_gone_when_it_is_mended(
    place: str, text: str | None, said: str, nginx: agent.Agent, world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """Guards against an agent that dies of what it reads, says nothing, or tells a secret."""
    path = world.home / place
    good = path.read_text()
    if text is None:
        path.unlink()
    else:
        path.write_text(text)
    nginx.step(0)
    reason = world.report(report_key("load-balancer-nginx")).reason
    assert said in reason
    assert said in capsys.readouterr().err
    assert "hunter2" not in reason
    path.write_text(good)
    nginx.step(10)
    assert world.report(report_key("load-balancer-nginx")).reason == agent.REASON


def test_without_aws_it_goes_on_trying(nginx: agent.Agent, world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """Guards against an agent that ends, or forgets what it has, when S3 does not answer."""
    nginx.step(0)
    (world.home / "down").touch()
    nginx.step(30)
    said = capsys.readouterr().err
    assert "follow_bundle: Problem: aws s3 cp: Could not connect to the endpoint URL" in said
    assert "report: aws s3 cp: Could not connect" in said
    assert nginx.digest() == hashlib.sha256(real_bundle().encode()).hexdigest()


def test_a_whole_secret_goes_into_one_file(nginx: agent.Agent, world: World) -> None:
    """Guards against a certificate of the account's own, which is no JSON, that arrives an hour after its bundle."""
    nginx.step(0)
    pem = certificate(50)
    world.put_secret("arn:own", pem)
    own = {"field": None, "path": "/run/public.pem", "owner": "root", "mode": "0400"}
    world.put(bundle_key("load-balancer-nginx"), small_bundle(secrets=[{"id": "arn:own", "files": [own]}]))
    nginx.step(30)
    assert (world.root / "run/public.pem").read_text().strip() == pem.strip()


def test_another_agent_takes_over(nginx: agent.Agent, world: World) -> None:
    """Guards against a node that runs its first agent for ever."""
    world.put(AGENT_KEY, agent_text() + "# newer\n")
    with pytest.raises(SystemExit, match="another boot agent"):
        nginx.step(0)


@pytest.mark.usefixtures("nginx")
def test_workers_do_not_overwrite_each_others_report(world: World) -> None:
    """Guards against a report that says which worker spoke last, and nothing of the others."""
    world.put(bundle_key(WORKER.name), small_bundle())
    agent.Agent("bundles", WORKER.name, "i-7", agent_text()).step(0)
    assert world.report("reports/worker-i-7.json").instance == "i-7"


@pytest.fixture
def metadata() -> Iterator[str]:
    """A metadata service; gives its address."""
    Metadata.known = {
        "/latest/meta-data/tags/instance/Node": "load-balancer-nginx",
        "/latest/meta-data/instance-id": "i-9",
    }
    server = ThreadingHTTPServer(("127.0.0.1", 0), Metadata)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_the_whole_program_runs_and_starts_again(world: World, metadata: str) -> None:
    """Guards against a program whose parts work and that does not run, and one that a kill leaves unable to start."""
    world.put(bundle_key("load-balancer-nginx"), small_bundle())
    report = world.home / "s3" / "bundles" / report_key("load-balancer-nginx")
    for _ in range(2):
        process = started(world, metadata)
        try:
            assert Report.from_json(awaited(report)).instance == "i-9"
            assert (world.root / "etc/one").read_text() == "a\nb\n"
        finally:
            process.kill()
            process.communicate()
        report.unlink()


def test_a_machine_without_a_name_says_so(world: World, metadata: str) -> None:
    """Guards against an agent that asks for the bundle of nobody."""
    del Metadata.known["/latest/meta-data/tags/instance/Node"]
    _, said = started(world, metadata).communicate(timeout=30)
    assert said == "cannot begin: metadata tags/instance/Node: HTTP Error 404: Not Found\n"


def test_a_call_that_never_ends_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against an agent that waits for ever for one answer."""
    monkeypatch.setattr(agent, "CALL_SECONDS", 0.1)
    with pytest.raises(agent.Problem, match="timed out"):
        agent.run(sys.executable, "-c", "import time; time.sleep(60)")
