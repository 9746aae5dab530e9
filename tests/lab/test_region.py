"""Machines of the lab: what a node's processes see of them, and what is left of them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from pathlib import Path

import pytest

from configs.nodes import NodeRole
from configs.tables.flows import Role
from configs.tables.names import BUNDLES_BUCKET
from lab.namespaces import WITH_PARENT, children
from lab.region import VOLUME_BYTES, NodeMachine, NotThere, Region, Socket, region
from tests.unit.mocks import ROOT, stack_settings

SERVER, BALANCER, WORKER = "control-plane-1", "load-balancer-haproxy", "worker"

ASKING = """\
import json, os, subprocess, sys, time, urllib.request
def asked(path, method="GET", **headers):
    named = {"X-aws-ec2-" + name.replace("_", "-"): value for name, value in headers.items()}
    call = urllib.request.Request("http://169.254.169.254/latest" + path, method=method, headers=named)
    return urllib.request.urlopen(call, timeout=10).read().decode()
token = asked("/api/token", "PUT", metadata_token_ttl_seconds="60")
"""
"""Asks the metadata service."""

AGENT = f"""\
{ASKING}
node, instance = (asked("/meta-data/" + path, metadata_token=token) for path in ("tags/instance/Node", "instance-id"))
name = node if node != "worker" else node + "-" + instance
report = dict(node=node, instance=instance, bundle="", formed=True, healthy=True, reason=str(sys.version_info[:2]))
target = "s3://%s/reports/%s.json" % (os.environ["BUNDLES_BUCKET"], name)
subprocess.run(["aws", "s3", "cp", "--only-show-errors", "-", target], input=json.dumps(report).encode(), check=True)
print("reported", flush=True)
time.sleep(3600)
"""
"""A boot agent that only says that it is there."""

UNIT = """\
[Service]
Type=exec
Environment="GREETING=50%% of \\"it\\"" OTHER=x
EnvironmentFile=-/etc/none
ExecStartPre=-/usr/bin/false
ExecStart=/usr/bin/python3 -c \\
  "import os, sys, time; print(os.environ['GREETING'], sys.argv[1:], os.getuid(), flush=True); time.sleep(3600)" \\
# between the lines
  ${OTHER} $NONE "a b"
ExecReload=/usr/bin/kill --signal KILL $MAINPID
User=nobody
Group=nogroup
LimitNOFILE=256
AmbientCapabilities=CAP_NET_BIND_SERVICE
CapabilityBoundingSet=CAP_NET_BIND_SERVICE
StateDirectory=tried
Restart=always
RestartSec=0.1
"""


OWN_BYTES = VOLUME_BYTES + 4096
"""Size of a volume that no other test has: tests that run beside it have nodes of the same names."""


@pytest.fixture(scope="module")
def running() -> Generator[Region]:
    settings = stack_settings("prod")
    with region(settings, agent=AGENT, only=[SERVER, BALANCER, WORKER], workers=1) as running:
        running.until(lambda: all(node.report() for node in running.nodes if node.runs), 60, "every node reports")
        yield running


def test_a_node_boots_from_its_user_data(running: Region) -> None:
    """A node that runs no agent, another Python, or takes itself for another machine."""
    [worker] = running.of(NodeRole.WORKER)
    for node in (running.node(SERVER), running.node(BALANCER), worker):
        report = node.report()
        assert report is not None
        assert (report.node, report.instance) == (node.node.name, node.machine.instance)
        assert node.run("hostname").stdout == f"{node.machine.hostname.partition('.')[0]}\n"
        assert node.run("systemctl", "is-active", "mlops-ha-boot-agent").stdout == "active\n"
        assert node.run("systemctl", "is-enabled", "mlops-ha-boot-agent").stdout == "enabled\n"


def test_nodes_reach_each_other_until_they_are_cut_off(running: Region) -> None:
    """A cut that cuts nothing, or a node that never comes back."""
    server, balancer = running.node(SERVER), running.node(BALANCER)
    listening = (
        "import socket; s = socket.create_server(('0.0.0.0', 9100)); print(flush=True)\nwhile True: s.accept()"
    )
    serving = server.popen("python3", "-c", listening, stdout=subprocess.PIPE)
    assert serving.stdout is not None
    serving.stdout.readline()
    asks = f"import socket; socket.create_connection(('{server.address}', 9100), 1)"
    try:
        assert server.sockets() == {Socket("tcp", "0.0.0.0", 9100, "python3")}
        assert balancer.run("python3", "-c", asks).returncode == 0
        server.cut()
        assert balancer.run("python3", "-c", asks).returncode == 1
        server.join()
        running.until(lambda: balancer.run("python3", "-c", asks).returncode == 0, 10, "the server is there again")
    finally:
        # What was started on a node ends as what was started on it: by its own process.
        for pid in children(serving.pid):
            os.kill(pid, signal.SIGKILL)
        serving.wait()
        serving.stdout.close()


def test_the_world_outside_is_there(running: Region) -> None:
    """Names that lead nowhere, a certificate that nobody trusts, or a way out of the lab."""
    node = running.node(SERVER)
    asks = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1], timeout=10).status)"
    for url in ("https://s3.us-east-1.amazonaws.com/", "https://autoscaling.us-east-1.amazonaws.com/"):
        assert node.run("python3", "-c", asks, url).stdout == "200\n", url
    post = 'import sys, urllib.request; urllib.request.urlopen(sys.argv[1], b\'{"text": "hi"}\', timeout=10)'
    node.run("python3", "-c", post, running.documents[Role.CONTROL_PLANE]["slackWebhookUrl"])
    assert [(one.path, one.content) for one in running.slack] == [("/services/T0/B0/x", {"text": "hi"})]
    # The load balancer's public name is the load balancer; outside of the VPC is nothing.
    assert node.run("getent", "hosts", "grafana.mlops.example.com").stdout.split()[0] == str(
        running.node(BALANCER).address
    )
    assert node.run("ip", "route", "get", "192.0.2.1").stdout.split()[:3] == [
        "192.0.2.1",
        "via",
        str(running.address),
    ]
    send = (
        "import smtplib, ssl; s = smtplib.SMTP('smtp.example.com', 587, timeout=10);"
        "s.starttls(context=ssl.create_default_context());"
        f"s.login('mlops', {running.documents[Role.CONTROL_PLANE]['smtpPassword']!r});"
        "s.sendmail('a@example.com', ['b@example.com'], 'Subject: Down\\n\\nAll of it.')"
    )
    done = node.run("python3", "-c", send)
    assert done.stderr == ""
    assert [(mail.user, mail.recipients, mail.subject, mail.text) for mail in running.mail] == [
        ("mlops", ("b@example.com",), "Down", "All of it.\n")
    ]


def test_the_aws_cli_runs_where_its_caller_is(running: Region) -> None:
    """Files of another node, a lock that two hold, or a failure that is taken for success."""
    node, bucket = running.node(SERVER), running.names.bucket(BUNDLES_BUCKET)
    Path(node.path("/opt/given")).write_text("mine")
    assert node.run("aws", "s3", "cp", "--only-show-errors", "/opt/given", f"s3://{bucket}/a").returncode == 0
    assert running.object_of(BUNDLES_BUCKET, "a") == "mine"
    assert node.run("aws", "s3", "cp", "--only-show-errors", f"s3://{bucket}/a", "-").stdout == "mine"
    assert node.run("aws", "s3", "cp", "--only-show-errors", f"s3://{bucket}/none", "-").returncode == 1
    lock = ("aws", "s3api", "put-object", "--bucket", bucket, "--key", "locks/a", "--if-none-match", "*")
    first, second = node.run(*lock), node.run(*lock)
    assert first.returncode == 0
    assert second.returncode != 0
    assert "PreconditionFailed" in second.stderr
    secret = ("aws", "secretsmanager", "get-secret-value", "--secret-id", "mlops/control-plane")
    shown = node.run(*secret, "--query", "SecretString", "--output", "text").stdout
    assert json.loads(shown) == running.documents[Role.CONTROL_PLANE]
    identity = node.run("aws", "sts", "get-caller-identity", "--query", "Account", "--output", "text").stdout
    assert identity == "123456789012\n"


def test_services_run_as_their_units_say(running: Region) -> None:
    """A unit that is read otherwise than systemd reads it, and a test that passes over a broken one."""
    node = running.node(BALANCER)
    node.path("/etc/systemd/system/mlops-ha-tried.service").write_text(UNIT)
    assert node.run("systemctl", "start", "mlops-ha-tried").returncode == 5
    assert node.run("systemctl", "daemon-reload").returncode == 0
    assert node.run("systemctl", "is-active", "mlops-ha-tried").stdout == "inactive\n"
    assert node.run("systemctl", "start", "mlops-ha-tried").returncode == 0
    said = "50% of \"it\" ['x', 'a b'] 65534\n"
    running.until(lambda: node.journal("tried") == said, 10, "it says what it was given")
    [process] = node.run("pgrep", "-u", "nobody").stdout.split()
    status = node.path(f"/proc/{process}/status").read_text()
    assert "CapAmb:\t0000000000000400\n" in status
    assert "CapBnd:\t0000000000000400\n" in status
    assert "256                  256" in node.path(f"/proc/{process}/limits").read_text()
    # A reload that kills it: systemd starts it again.
    assert node.run("systemctl", "reload", "mlops-ha-tried").returncode == 0
    running.until(lambda: node.journal("tried").count(said) == 2, 10, "it is started again")
    assert node.run("systemctl", "restart", "mlops-ha-tried").returncode == 0
    running.until(lambda: node.journal("tried").count(said) == 3, 10, "it is restarted")
    assert node.run("systemctl", "stop", "mlops-ha-tried").returncode == 0
    assert node.run("pgrep", "-u", "nobody").stdout == ""
    assert node.run("systemctl", "reload", "mlops-ha-tried").returncode == 1
    node.path("/etc/systemd/system/mlops-ha-tried.service").write_text(UNIT + "Nonsense=1\n")
    node.run("systemctl", "daemon-reload")
    assert node.run("systemctl", "start", "mlops-ha-tried").returncode == 5
    assert "'Nonsense=1' is not known here" in node.journal("tried")


def test_images_are_pulled_before_they_run(running: Region) -> None:
    """A container that starts without its image, writes where it may not, or has rights that Docker does not give."""
    node = running.node(BALANCER)
    [image] = [
        f"{running.names.registry_host()}/{entry['repository']}@{entry['digest']}"
        for software, entry in json.loads(running.object_of("backups", "images/index.json") or "").items()
        if software == "pgbouncer"
    ]
    assert "Cannot connect" in node.run("docker", "pull", image).stderr
    assert node.run("rpm", "-q", "docker").returncode == 1
    assert node.run("dnf", "install", "-y", "docker").returncode == 0
    assert node.run("rpm", "-q", "docker").returncode == 0
    assert node.run("systemctl", "start", "docker").returncode == 0
    running.until(node.path("/run/docker.sock").exists, 10, "Docker's daemon runs")
    assert "no basic auth" in node.run("docker", "pull", image).stderr
    registry = running.names.registry_host()
    node.run("docker", "login", "--username", "AWS", "--password-stdin", registry, stdin="secret")
    assert "manifest unknown" in node.run("docker", "pull", f"{image}0").stderr
    run = ("docker", "run", "--rm", "--name", "tried", "--network", "host", "--read-only", "--tmpfs", "/tmp")
    limits = ("--user", "7108:7108", "--cap-drop", "ALL", "--cap-add", "NET_BIND_SERVICE", "--security-opt")
    script = (
        "touch /tmp/a /opt/volume/a; touch /opt/a 2>&1; grep CapEff /proc/self/status; id -u; env | sort; sleep 60"
    )
    Path(node.path("/opt/volume")).mkdir()
    os.chown(node.path("/opt/volume"), 7108, 7108)
    volume = ("--volume", "/opt/volume:/opt/volume", "--env", "A=b c", image, "sh", "-c", script)
    command = (*run, *limits, "no-new-privileges", *volume)
    assert "Unable to find image" in node.run(*command).stderr
    assert node.run("docker", "pull", image).returncode == 0
    started = node.popen(*command, stdout=subprocess.PIPE)
    assert started.stdout is not None
    lines = [started.stdout.readline().decode() for _ in range(6)]
    assert lines[0] == "touch: cannot touch '/opt/a': Read-only file system\n"
    assert lines[1:4] == ["CapEff:\t0000000000000000\n", "7108\n", "A=b c\n"]
    assert node.path("/opt/volume/a").exists()
    assert not node.path("/tmp/a").exists()
    assert node.run("docker", "stop", "tried").returncode == 0
    started.wait(10)
    started.stdout.close()


def test_a_disk_outlives_its_machine(running: Region) -> None:
    """A reboot that loses the data volume, keeps what is memory, or a killed machine that goes on."""
    node = running.node(SERVER)
    assert node.run("blkid", "-p", "/dev/sdf").returncode == 2
    node.run("mkfs.xfs", "-q", "/dev/sdf")
    node.path("/opt/data").mkdir()
    assert node.run("mount", "-o", "noatime", "/dev/sdf", "/opt/data").returncode == 0
    for path in ("/opt/data/a", "/var/lib/a", "/run/a"):
        node.run("sh", "-c", f"echo kept > {path}")
    instance, before = node.machine.instance, node.pid
    node.kill()
    assert not Path(f"/proc/{before}").exists()
    with pytest.raises(NotThere):
        node.run("true")
    node.boot()
    running.until(lambda: node.journal("boot-agent").count("reported\n") == 2, 30, "the agent starts again")
    assert not node.path("/run/a").exists()
    assert node.path("/var/lib/a").read_text() == "kept\n"
    assert node.run("mount", "/dev/sdf", "/opt/data").returncode == 0
    assert node.path("/opt/data/a").read_text() == "kept\n"
    node.kill()
    node.boot(new=True)
    assert node.machine.instance != instance
    assert not node.path("/var/lib/a").exists()
    running.until(lambda: reported(node) == node.machine.instance, 30, "the new machine reports")
    node.path("/opt/data").mkdir(exist_ok=True)
    assert node.run("mount", "/dev/sdf", "/opt/data").returncode == 0
    assert node.path("/opt/data/a").read_text() == "kept\n"


def test_workers_come_and_go_with_their_group(running: Region) -> None:
    """A scaling that boots nothing, or a worker that is gone before it has drained."""
    [first] = running.of(NodeRole.WORKER)
    name = running.names.regional("workers")
    aws = ("aws", "autoscaling")
    group = ("--auto-scaling-group-name", name)
    server = running.node(SERVER)
    first.path("/opt/ml-data").mkdir()
    assert (
        first.run("mount", "-t", "efs", "-o", "tls,iam", f"{running.facts.file_system_id}:/", "/opt/ml-data").stderr
        == ""
    )
    first.path("/opt/ml-data/a").write_text("shared")
    assert (
        server.run(
            *aws, "update-auto-scaling-group", *group, "--max-size", "9", "--min-size", "1", "--desired-capacity", "2"
        ).stderr
        == ""
    )
    running.until(lambda: len(running.of(NodeRole.WORKER)) == 2, 20, "there is another worker")
    [second] = [node for node in running.of(NodeRole.WORKER) if node is not first]
    running.until(second.report, 30, "the other worker reports")
    second.path("/opt/ml-data").mkdir()
    second.run("mount", "-t", "efs", "-o", "tls,iam", running.facts.file_system_id, "/opt/ml-data")
    assert second.path("/opt/ml-data/a").read_text() == "shared"
    state = f"{ASKING}print(asked('/meta-data/autoscaling/target-lifecycle-state', metadata_token=token))"
    assert second.run("python3", "-c", state).stdout == "InService\n"
    terminate = ("terminate-instance-in-auto-scaling-group", "--should-decrement-desired-capacity", "--instance-id")
    assert server.run(*aws, *terminate, second.name).returncode == 0
    assert second.run("python3", "-c", state).stdout == "Terminated\n"
    hook = (*group, "--lifecycle-hook-name", "drain", "--instance-id", second.name)
    assert second.run(*aws, "record-lifecycle-action-heartbeat", *hook).returncode == 0
    assert second.runs
    # Who says it may not live to hear the answer.
    second.run(*aws, "complete-lifecycle-action", "--lifecycle-action-result", "CONTINUE", *hook)
    running.until(lambda: not second.runs, 20, "the worker is gone")
    assert running.of(NodeRole.WORKER) == (first,)


def test_nothing_is_left_of_a_test_that_is_killed(tmp_path: Path) -> None:
    """A killed test whose machines go on, or whose disks stay taken."""
    script = tmp_path / "killed.py"
    script.write_text(
        "import sys, time\nimport lab.region\n"
        f"lab.region.VOLUME_BYTES = {OWN_BYTES}\n"
        "from lab.region import region\nfrom tests.unit.mocks import stack_settings\n"
        "with region(stack_settings('prod'), agent='import time; time.sleep(3600)', only=['control-plane-2']) as r:\n"
        "    node = r.node('control-plane-2')\n"
        "    assert node.run('mkfs.xfs', '-q', '/dev/sdf').returncode == 0\n"
        "    assert node.run('mount', '/dev/sdf', '/srv').returncode == 0\n"
        "    print(r.world.pid, node.pid, flush=True)\n    time.sleep(3600)\n"
    )
    process = subprocess.Popen(
        # This test may be killed as well.
        [*WITH_PARENT, sys.executable, script],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        pids = [int(word) for word in process.stdout.readline().split()]
        assert len(pids) == 2
        assert len(_loop_devices(OWN_BYTES)) == 1
    finally:
        process.kill()
        process.communicate()
    ends = time.monotonic() + 20
    while left := [*(pid for pid in pids if Path(f"/proc/{pid}").exists()), *_loop_devices(OWN_BYTES)]:
        assert time.monotonic() < ends, left
        time.sleep(0.05)
    assert not Path("/mnt/nodes").exists()


def reported(node: NodeMachine) -> str:
    """The machine of a node's last report."""
    report = node.report()
    return "" if report is None else report.instance


def _loop_devices(size: int) -> list[str]:
    """The loop devices of this machine that are as large."""
    # It counts in sectors of 512 bytes, whatever the disk's are (Documentation/ABI/stable/sysfs-block of Linux).
    sizes = Path("/sys/block").glob("loop*/size")
    return [place.parent.name for place in sizes if _text(place) == f"{size // 512}\n"]


def _text(place: Path) -> str:
    # A device may be given back meanwhile.
    try:
        return place.read_text()
    except OSError:
        return ""
