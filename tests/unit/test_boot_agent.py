"""The boot agent: what a node does with its bundle, against a metadata service and programs of the test's own."""

from __future__ import annotations

import ast
import contextlib
import hashlib
import json
import os
import re
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from typing_extensions import override

from boot_agent import agent, agent_text
from configs.bundle import BundleFacts, bundle
from configs.manifest import FORMAT, Bundle
from configs.nodes import AGENT_KEY, NODE_TAG, WORKER, bundle_key, load_balancers, nodes, report_key
from configs.reports import REPORT_SECONDS, Report
from configs.tables import metrics, paths
from tests.unit.mocks import ROOT, stack_settings
from tests.unit.node_world import World, awaited, certificate, inside, made, python, small_bundle, started

NODE = "load-balancer-nginx"


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
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A world around this process."""
    world = made(tmp_path)
    inside(world, monkeypatch)
    return world


def parts(**fields: str | None) -> list[dict[str, Any]]:
    """A secret whose fields go into files of their own."""
    files = [
        {"path": f"/run/mlops-ha/one/{name}", "text": text, "owner": "nginx", "mode": "0400"}
        for name, text in fields.items()
    ]
    return [{"kind": "secret", "id": "mlops/load-balancer", "files": files}]


HELD = [
    {
        "path": "/run/mlops-ha/one/certificate",
        "metric": {"namespace": "MlopsHa", "name": "Days", "dimensions": {"Certificate": "load-balancer"}},
    }
]


@pytest.fixture
def one(world: World) -> agent.Agent:
    """An agent of a load balancer, in this process; its bundle and secret are there."""
    files = parts(key="${privateKey}", certificate="${certificate}", text='"${certificate}" costs $$1')
    world.put(bundle_key(NODE), small_bundle(secrets=files, certificates=HELD))
    document = {"certificate": certificate(100), "privateKey": "key", "gossip": "not for a file"}
    world.put_secret("mlops/load-balancer", json.dumps(document))
    return begun(NODE)


def begun(node: str) -> agent.Agent:
    return agent.Agent("bundles", node, "i-1", "10.0.0.1", agent_text())


def test_runs_on_what_amazon_linux_brings() -> None:
    """Guards against an agent that no node can run: newer grammar or library, or a package that is not there."""
    tree = ast.parse(agent_text(), feature_version=(3, 9))
    imported = {
        alias.name.partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
    }
    imported |= {str(node.module).partition(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert imported <= sys.stdlib_module_names
    vermin = [Path(sys.executable).with_name("vermin"), "-t=3.9-", "--violations", "--no-tips", agent.__file__]
    done = subprocess.run(vermin, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_knows_the_same_names_as_the_program() -> None:
    """Guards against an agent that looks for its bundle, or leaves its report, where nobody else does."""
    text = agent_text()
    assert f'"s3://{{self.bucket}}/{AGENT_KEY}"' in text
    assert f'metadata("tags/instance/{NODE_TAG}")' in text
    assert WORKER.name == agent.SHARED
    assert (agent.FORMAT, agent.REPORT_SECONDS, agent.RENEW_SECONDS) == (
        FORMAT,
        REPORT_SECONDS,
        metrics.PUBLISH_SECONDS,
    )
    assert bundle_key("{self.node}") in text
    assert report_key("{self.name}") in text
    assert (agent.PROGRAMS, agent.UNITS, agent.ACCOUNTS, agent.NODE_ENVIRONMENT, agent.MEMORY) == (
        paths.PROGRAMS,
        paths.UNITS,
        paths.ACCOUNTS_FILE,
        paths.NODE_ENVIRONMENT,
        paths.SECRETS,
    )
    assert paths.secret(paths.AGENT, "ca.pem") == agent.NODE_API["ca"]
    assert f"{paths.METRICS_FOLDER}/{metrics.AGENT_METRICS_FILE}" == agent.FIGURES
    assert paths.image_environment("{name}") == f"{agent.MEMORY}/{{name}}.image.env"
    assert 'f"{MEMORY}/{name}.image.env"' in text
    own = set(re.findall(r'"(mlops_ha_\w+)"', text))
    assert own == {
        metrics.CERTIFICATE_EXPIRY,
        metrics.NODE_HEALTHY,
        metrics.SERVICE_HEALTHY,
        metrics.SNAPSHOT_TAKEN,
        metrics.REPORTED,
    }


def test_every_bundle_is_read() -> None:
    """Guards against a bundle whose form the agent's own reading of it does not fit."""
    for stack, role in (("prod", "primary"), ("dr", "standby")):
        settings = stack_settings(stack, role=role)
        for node in nodes(settings):
            text = bundle(settings, node, BundleFacts("database", "fs-1"))
            found, model = agent.Bundle.of(text), Bundle.model_validate_json(text)
            assert {path: (file.text, file.mode) for path, file in found.files.items()} == {
                path: (file.text, file.mode) for path, file in model.files.items()
            }
            assert [one["name"] for one in found.services] == [one.name for one in model.manifest.services]


def parent(path: str) -> str:
    return path.rpartition("/")[0]


def test_services_write_where_the_disk_is_mounted() -> None:
    """Guards against state on the system's disk, which goes with the machine."""
    settings = stack_settings("prod")
    for node in nodes(settings):
        manifest = Bundle.model_validate_json(bundle(settings, node, BundleFacts("database", "fs-1"))).manifest
        mounts = {mount.kind: mount.path for mount in manifest.mounts}
        assert mounts.get("volume") == (paths.DATA_PATH if node.role == "control-plane" else None)
        assert mounts.get("efs") == (paths.ML_DATA_PATH if node.role == "worker" else None)
        written = [directory.path for directory in manifest.directories]
        assert written[0] == paths.DATA_PATH
        below = (f"{paths.DATA_PATH}/", f"{paths.ML_DATA_PATH}/")
        assert all(f"{path}/".startswith(below) for path in written), written
        # A folder before what is in it: made on the way it would be nobody's.
        assert not [path for index, path in enumerate(written) if path in map(parent, written[:index])]


def test_a_bundle_is_applied_and_reported(one: agent.Agent, world: World) -> None:
    """Guards against secrets that others can read or that lie elsewhere, and a report that says too little."""
    one.step(0)
    one.report()
    modes = {path: stat.S_IMODE(file.stat().st_mode) for path, file in world.files().items()}
    assert modes == {
        "/etc/one": 0o640,
        "/run/mlops-ha/one/key": 0o400,
        "/run/mlops-ha/one/certificate": 0o400,
        "/run/mlops-ha/one/text": 0o400,
        "/run/mlops-ha/node.env": 0o444,
        "/run/mlops-ha/metrics/boot-agent.prom": 0o644,
        "/var/lib/mlops-ha/bundle.json": 0o644,
        "/var/lib/mlops-ha/formed": 0o644,
        "/var/lib/mlops-ha/written.json": 0o644,
    }
    text = (world.root / "run/mlops-ha/one/text").read_text()
    held = json.loads((world.home / "secrets/mlops:load-balancer").read_text())
    assert text == f'"{held["certificate"]}" costs $1'
    for path, file in world.files().items():
        assert ("key" in file.read_text().split()) == (path == "/run/mlops-ha/one/key")
    assert (world.root / "run/mlops-ha/node.env").read_text() == (
        f"NODE_NAME={NODE}\nNODE_ADDRESS=10.0.0.1\nINSTANCE_ID=i-1\n"
    )
    assert world.report(report_key(NODE)) == Report(
        node=NODE,
        instance="i-1",
        bundle=hashlib.sha256((world.home / "s3/bundles" / bundle_key(NODE)).read_bytes()).hexdigest(),
        formed=True,
        healthy=True,
    )


def test_days_to_expiry_are_published_once_an_hour(one: agent.Agent, world: World) -> None:
    """Guards against a certificate that ends unnoticed, and a figure that is paid for every ten seconds."""
    for now in (0, 10, 3599):
        one.step(now)
    (figure,) = world.figures()
    assert (figure["--namespace"], figure["--metric-name"], figure["--dimensions"]) == (
        "MlopsHa",
        "Days",
        "Certificate=load-balancer",
    )
    assert round(float(figure["--value"]), 1) == 100
    one.step(3600)
    assert len(world.figures()) == 2
    one.report()
    text = (world.root / agent.FIGURES[1:]).read_text()
    found = dict(line.split(" ") for line in text.splitlines() if not line.startswith("#"))
    end = float(found['mlops_ha_certificate_expiry_timestamp_seconds{certificate="load-balancer"}'])
    assert round((end - time.time()) / 86400, 1) == 100
    assert (found["mlops_ha_node_healthy"], text.count("# TYPE ")) == ("1.000", 3)


def test_a_renewed_certificate_arrives(one: agent.Agent, world: World) -> None:
    """Guards against a node that serves an old certificate until it is replaced."""
    one.step(0)
    path = world.home / "secrets" / "mlops:load-balancer"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"privateKey": "renewed"}))
    one.step(3600)
    assert (world.root / "run/mlops-ha/one/key").read_text() == "renewed"


def test_another_bundle_is_applied(one: agent.Agent, world: World) -> None:
    """Guards against a change that never reaches a node, and what is no more that stays."""
    one.step(0)
    world.put(bundle_key(NODE), small_bundle(files={"/etc/two": ["c"]}))
    one.step(10)
    assert not (world.root / "etc/two").exists()  # It looks every 30 seconds.
    one.step(30)
    assert (world.root / "etc/two").read_text() == "c\n"
    assert not {"/etc/one", "/run/mlops-ha/one/key", "/etc/one.new"} & set(world.files())


@pytest.mark.parametrize("left", ["file", "link"])
def test_a_killed_agents_leavings_are_replaced(left: str, one: agent.Agent, world: World, tmp_path: Path) -> None:
    """Guards against an agent that never starts again, or writes a secret to where a link points."""
    folder = world.root / "run/mlops-ha/one"
    folder.mkdir(parents=True)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("")
    aside = folder / "key.new"
    aside.symlink_to(elsewhere) if left == "link" else aside.write_text("half")
    one.step(0)
    assert (folder / "key").read_text() == "key"
    assert elsewhere.read_text() == ""
    assert not list(folder.glob("*.new"))


BUNDLE, SECRET = f"s3/bundles/bundles/{NODE}.json", "secrets/mlops:load-balancer"


@pytest.mark.parametrize(
    ("place", "text", "said"),
    [
        (BUNDLE, None, "follow_bundle: aws s3 cp: fatal error: An error occurred (404)"),
        (BUNDLE, "{", "follow_bundle: JSONDecodeError"),
        (BUNDLE, "[]", "follow_bundle: TypeError"),
        (BUNDLE, small_bundle(format=3), "the bundle has format 3, this agent knows 2"),
        (SECRET, "{}", "secret mlops/load-balancer has no privateKey"),
        (SECRET, "hunter2", "secret mlops/load-balancer has no privateKey"),
        (SECRET, '"hunter2"', "secret mlops/load-balancer has no privateKey"),
        (SECRET, None, "renew_secrets: aws secretsmanager get-secret-value"),
        ("s3/backups/images/index.json", None, "follow_bundle: aws s3 cp: fatal error: An error occurred (404)"),
    ],
    ids=[
        "no bundle",
        "half a bundle",
        "no object",
        "newer",
        "no field",
        "no json",
        "no fields",
        "no secret",
        "images",
    ],
)
def test_a_fault_is_told_and_gone_when_it_is_mended(
    place: str, text: str | None, said: str, one: agent.Agent, world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """Guards against an agent that dies of what it reads, says nothing, or tells a secret."""
    path = world.home / place
    good = path.read_text()
    if text is None:
        path.unlink()
    else:
        path.write_text(text)
    one.step(0)
    one.report()
    report = world.report(report_key(NODE))
    assert (report.healthy, report.formed) == (False, False)
    assert said in report.reason
    assert said in capsys.readouterr().err
    assert "hunter2" not in report.reason
    path.write_text(good)
    one.due["renew_secrets"] = 0
    one.step(10)
    one.report()
    report = world.report(report_key(NODE))
    assert (report.healthy, report.reason) == (True, "")


def test_without_aws_it_goes_on_with_what_it_has(one: agent.Agent, world: World) -> None:
    """Guards against an agent that ends, or forgets what it has, when S3 does not answer; after its own start too."""
    one.step(0)
    (world.home / "down").touch()
    for agent_now in (one, begun(NODE)):
        agent_now.step(30)
        said = {name: str(error) for name, error in agent_now.problems.items()}
        assert said.pop("follow_bundle") == "aws s3 cp: Could not connect to the endpoint URL"
        assert agent_now.complete
        assert agent_now.digest == hashlib.sha256((world.home / BUNDLE).read_bytes()).hexdigest()
        assert "converge" not in said
    with pytest.raises(agent.Problem, match="aws s3 cp: Could not connect"):
        one.report()


def test_a_whole_secret_goes_into_one_file(one: agent.Agent, world: World) -> None:
    """Guards against a certificate of the account's own, which is no JSON, that arrives an hour after its bundle."""
    one.step(0)
    pem = certificate(50)
    world.put_secret("arn:own", pem)
    own = {"text": None, "path": "/run/public.pem", "owner": "root", "mode": "0400"}
    world.put(bundle_key(NODE), small_bundle(secrets=[{"kind": "secret", "id": "arn:own", "files": [own]}]))
    one.step(30)
    assert (world.root / "run/public.pem").read_text().strip() == pem.strip()


def test_a_certificate_is_exported(one: agent.Agent, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against a key that stays encrypted, and a passphrase that others read or that stays."""
    key = subprocess.run(
        ["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    real = agent.outcome

    def exported(*command: str, **options: Any) -> tuple[int, str, str]:
        if command[:2] == ("aws", "acm"):
            (phrase,) = [one[len("fileb://") :] for one in command if one.startswith("fileb://")]
            assert stat.S_IMODE(Path(phrase).stat().st_mode) == 0o400
            assert len(Path(phrase).read_text()) >= 32
            call = ["openssl", "pkey", "-aes256", "-passout", f"file:{phrase}"]
            locked = subprocess.run(call, input=key, capture_output=True, text=True, check=True).stdout
            assert "ENCRYPTED" in locked
            answer = {"Certificate": "certificate\n", "CertificateChain": "chain\n", "PrivateKey": locked}
            return 0, json.dumps(answer), ""
        return real(*command, **options)

    monkeypatch.setattr(agent, "outcome", exported)
    file = {
        "text": "${publicCertificate}${publicPrivateKey}",
        "path": "/run/public.pem",
        "owner": "root",
        "mode": "0400",
    }
    secrets = [{"kind": "certificate", "id": "arn:aws:acm:1", "files": [file]}]
    world.put(bundle_key(NODE), small_bundle(secrets=secrets))
    one.step(0)
    assert (world.root / "run/public.pem").read_text() == f"certificate\nchain\n{key}"
    assert not [path for path in world.files() if "passphrase" in path]


def test_another_agent_takes_over(one: agent.Agent, world: World) -> None:
    """Guards against a node that runs its first agent for ever."""
    world.put(AGENT_KEY, agent_text() + "# newer\n")
    one.step(0)
    assert one.ended.is_set()


@pytest.mark.usefixtures("one")
def test_workers_do_not_overwrite_each_others_report(world: World) -> None:
    """Guards against a report that says which worker spoke last, and workers of one name."""
    world.put(bundle_key(WORKER.name), small_bundle())
    worker = agent.Agent("bundles", WORKER.name, "i-7", "10.0.0.7", agent_text())
    worker.step(0)
    worker.report()
    assert world.report("reports/worker-i-7.json").instance == "i-7"
    assert (world.root / "run/mlops-ha/node.env").read_text().startswith("NODE_NAME=worker-i-7\n")


@pytest.fixture
def metadata() -> Iterator[str]:
    """A metadata service; gives its address."""
    Metadata.known = {
        "/latest/meta-data/tags/instance/Node": NODE,
        "/latest/meta-data/instance-id": "i-9",
        "/latest/meta-data/local-ipv4": "10.0.0.9",
    }
    server = ThreadingHTTPServer(("127.0.0.1", 0), Metadata)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_the_whole_program_runs_and_starts_again(tmp_path: Path, metadata: str) -> None:
    """Guards against a program whose parts work and that does not run, and one that a kill leaves unable to start."""
    world = made(tmp_path)
    world.put(bundle_key(NODE), small_bundle())
    report = world.home / "s3" / "bundles" / report_key(NODE)
    for _ in range(2):
        with started(world, metadata):
            said = awaited(report, '"healthy": true')
            assert Report.from_json(said).instance == "i-9"
            assert (world.root / "etc/one").read_text() == "a\nb\n"
        report.unlink()
    assert Path(python()).exists()


def test_a_machine_without_a_name_says_so(tmp_path: Path, metadata: str) -> None:
    """Guards against an agent that asks for the bundle of nobody."""
    del Metadata.known["/latest/meta-data/tags/instance/Node"]
    with started(made(tmp_path), metadata) as process:
        _, said = process.communicate(timeout=30)
    assert said == "cannot begin: metadata tags/instance/Node: HTTP Error 404: Not Found\n"


KILLED = """\
import pathlib, sys, time
from tests.unit.node_world import made, started
world = made(pathlib.Path(sys.argv[1]))
(world.home / "silent").touch()
with started(world, sys.argv[2]):
    time.sleep(3600)
"""
"""A test whose agent waits for AWS."""


def about(folder: Path) -> dict[int, str]:
    """The command lines of this machine's processes that name a folder."""
    found = dict[int, str]()
    for place in Path("/proc").glob("[0-9]*"):
        # A process may end meanwhile.
        with contextlib.suppress(OSError):
            found[int(place.name)] = (place / "cmdline").read_text(errors="replace").replace("\0", " ")
    return {number: line for number, line in found.items() if str(folder) in line}


def test_nothing_is_left_of_a_test_that_is_killed(tmp_path: Path, metadata: str) -> None:
    """Guards against an agent, or a program that it called, that goes on when the test is killed."""
    command = [sys.executable, "-c", KILLED, str(tmp_path), metadata]
    with subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}) as process:
        try:
            ends = time.monotonic() + 60
            # At once: a program that has only just begun does not know who called it.
            while not any(" aws " in line for line in about(tmp_path).values()):
                assert process.poll() is None
                assert time.monotonic() < ends, about(tmp_path)
                time.sleep(0.01)
        finally:
            process.kill()
    ends = time.monotonic() + 30
    try:
        while left := about(tmp_path):
            assert time.monotonic() < ends, left
            time.sleep(0.05)
    finally:
        for number in about(tmp_path):
            os.kill(number, signal.SIGKILL)


def test_a_call_that_never_ends_is_ended() -> None:
    """Guards against an agent that waits for ever for one answer."""
    with pytest.raises(agent.Problem, match="timed out"):
        agent.run(sys.executable, "-c", "import time; time.sleep(60)", seconds=0.1)


# A worker that is to go.

DRAIN = {"group": "mlops-workers", "hook": "drain", "unit": "mlops-ha-nomad.service", "seconds": 900}


def terminated() -> None:
    Metadata.known["/latest/meta-data/autoscaling/target-lifecycle-state"] = "Terminated"


def interrupted() -> None:
    Metadata.known["/latest/meta-data/spot/instance-action"] = '{"action": "terminate"}'


@pytest.mark.parametrize("ends", [terminated, interrupted])
def test_a_worker_that_is_to_go_drains_first(
    ends: Callable[[], None], metadata: str, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guards against jobs that are cut off, a drain that Auto Scaling does not wait for, and Nomad started again."""
    monkeypatch.setattr(agent, "METADATA", metadata)
    monkeypatch.setattr(agent, "HEARTBEAT_SECONDS", 0.2)
    monkeypatch.setenv("PATH", world.environment["PATH"])
    Metadata.known["/latest/meta-data/autoscaling/target-lifecycle-state"] = "InService"
    world.put(bundle_key(WORKER.name), small_bundle(drain=DRAIN))
    worker = begun(WORKER.name)
    worker.step(0)
    worker.follow_lifecycle()
    assert world.calls("systemctl") == []
    ends()
    # Long enough for a word in between, whatever the machine does besides.
    (world.home / "slow").write_text("1")
    worker.follow_lifecycle()
    worker.follow_lifecycle()
    calls = world.calls("systemctl", "aws")
    about = "--lifecycle-hook-name drain --auto-scaling-group-name mlops-workers --instance-id i-1"
    said = [call for call in calls if "autoscaling" in call]
    if ends is terminated:
        assert said[-1] == (f"aws autoscaling complete-lifecycle-action {about} --lifecycle-action-result CONTINUE")
        assert set(said[:-1]) == {f"aws autoscaling record-lifecycle-action-heartbeat {about}"}
    else:
        assert said == []
    assert calls.count("systemctl stop mlops-ha-nomad.service") == 1
    worker.step(10)
    worker.report()
    assert world.calls("systemctl") == []
    report = world.report("reports/worker-i-1.json")
    assert (report.healthy, report.reason) == (False, "this machine is to go")


def test_nothing_is_started_on_a_machine_that_is_to_go(
    metadata: str, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guards against an agent that starts again in the middle of a drain, and undoes it."""
    monkeypatch.setattr(agent, "METADATA", metadata)
    world.put(bundle_key(WORKER.name), small_bundle(drain=DRAIN))
    terminated()
    begun(WORKER.name).step(0)
    assert not (world.root / "etc/one").exists()


def test_a_load_balancers_real_bundle_is_applied(world: World) -> None:
    """Guards against an agent that knows only the tests' own bundles."""
    settings = stack_settings("prod")
    text = bundle(settings, load_balancers(settings)[1], BundleFacts("database", "fs-1"))
    model = Bundle.model_validate_json(text)
    world.put(bundle_key(NODE), text)
    for secret in model.manifest.secrets:
        fields = {
            name: certificate(100) if name in ("certificate", "publicCertificate") else name
            for file in secret.files
            for name in re.findall(r"\$\{(\w+)\}", file.text or "")
        }
        world.put_secret(secret.id, json.dumps(fields))
    images = {str(service.software): service.version for service in model.manifest.services}
    world.put_images(model.manifest.images, **images)
    one = begun(NODE)
    one.step(0)
    files = world.files()
    expected = {*model.files, *(file.path for secret in model.manifest.secrets for file in secret.files)}
    assert expected <= set(files)
    assert isinstance(one.problems.get("converge"), agent.Waits)
    assert set(world.units()) == {"docker", f"mlops-ha-{model.manifest.services[0].name}.service"}
