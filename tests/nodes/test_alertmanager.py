"""Alertmanager from the rendered files: read by amtool, and started for real as a cluster of three."""

import json
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from configs.alertmanager.paths import CONFIGURATION, TEMPLATES
from configs.tables.flows import ALERTMANAGER, ALERTMANAGER_GOSSIP
from lab.namespaces import WITH_PARENT
from tests.nodes.started import SECONDS, Started, region, started
from tests.nodes.world import NODES, context_of, laid
from toolchain import tools

VALIDATED = (CONFIGURATION, TEMPLATES)

SERVERS = [(stack, node) for stack, node in NODES if node.startswith("control-plane")]
AMTOOL = str(tools.find("amtool"))


@pytest.mark.parametrize(("stack", "node"), SERVERS)
def test_configuration_is_accepted(stack: str, node: str, tmp_path: Path) -> None:
    """A configuration that Alertmanager does not start with: an unknown key, a template that is none."""
    done = laid(tmp_path, stack, node).run(AMTOOL, "check-config", CONFIGURATION)
    assert (done.returncode, done.stderr) == (0, "")
    assert " - 1 templates\n  SUCCESS" in done.stdout


@pytest.mark.parametrize(
    ("labels", "receivers"),
    [
        (("severity=warning", "alertname=TargetMissing"), "default"),
        (("severity=critical", "alertname=NoLeader"), "critical-alerts"),
        (("severity=warning", "service=ml-training", "alertname=TrainingStalled"), "ml-team"),
        (("severity=critical", "service=ml-training", "alertname=Own"), "critical-alerts,ml-team"),
        (("severity=none", "alertname=Watchdog"), "nobody"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_alerts_reach_who_is_meant(labels: tuple[str, ...], receivers: str, tmp_path: Path) -> None:
    """Somebody is woken for what can wait, or sleeps through what cannot."""
    done = laid(tmp_path, "prod", "control-plane-1").run(
        AMTOOL,
        "config",
        "routes",
        "test",
        f"--config.file={CONFIGURATION}",
        f"--verify.receivers={receivers}",
        *labels,
    )
    assert (done.returncode, done.stderr, done.stdout.strip()) == (0, "", receivers)


def test_mail_says_what_to_do(tmp_path: Path) -> None:
    """A mail without the runbook, or one that a template breaks in the middle: it is not sent at all."""
    data = tmp_path / "data.json"
    alert = {
        "status": "firing",
        "labels": {"alertname": "NoLeader", "severity": "critical", "cluster": "mlops-us-east-1"},
        "annotations": {
            "summary": "consul <has> no leader",
            "description": "Nothing new.",
            "runbook": "docs/runbooks/q.md",
        },
        "startsAt": "2026-01-02T03:04:05Z",
        "endsAt": "2026-01-02T04:04:05Z",
        "generatorURL": "https://prometheus.example.com/graph",
    }
    data.write_text(
        json.dumps(
            {
                "status": "firing",
                "alerts": [alert, {**alert, "status": "resolved"}],
                "groupLabels": {"alertname": "NoLeader"},
                "commonLabels": alert["labels"],
            }
        )
    )
    node = laid(tmp_path / "node", "prod", "control-plane-1")
    rendered: dict[str, str] = {}
    for kind in ("subject", "text", "html"):
        (tmp_path / "node").mkdir(exist_ok=True)
        text = f'{{{{ template "mlops.{kind}" . }}}}'
        options = [f"--template.glob={TEMPLATES}", f"--template.text={text}", f"--template.data={data}"]
        done = node.run(AMTOOL, "template", "render", *options, *(["--template.type=html"] if kind == "html" else []))
        assert done.returncode == 0, done.stderr
        rendered[kind] = done.stdout
    assert rendered["subject"].strip() == "[CRITICAL] NoLeader (mlops-us-east-1, 1)"
    assert rendered["text"].strip() == (
        "consul <has> no leader\n"
        "Nothing new.\n"
        "Runbook: docs/runbooks/q.md\n"
        "Since 2026-01-02 03:04:05 UTC\n"
        "Query: https://prometheus.example.com/graph\n"
        "\n"
        "OK again: consul <has> no leader\n"
        "Nothing new.\n"
        "Runbook: docs/runbooks/q.md\n"
        "Since 2026-01-02 03:04:05 UTC until 2026-01-02 04:04:05 UTC\n"
        "Query: https://prometheus.example.com/graph"
    )
    assert "<h3>consul &lt;has&gt; no leader</h3>" in rendered["html"]
    assert "<code>docs/runbooks/q.md</code>" in rendered["html"]


CATCHER = """
import http.server, sys

class Catcher(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with open(sys.argv[1], "ab") as file:
            file.write(body.strip() + b"\\n")
        self.send_response(200)
        self.end_headers()

http.server.HTTPServer(("10.10.255.254", 80), Catcher).serve_forever()
"""


def test_three_are_one(tmp_path: Path) -> None:
    """Alertmanagers that do not find each other, each of which tells everything; a message that is not sent."""
    addresses = context_of("prod", "control-plane-1").server_addresses
    messages = tmp_path / "messages"
    hosts = {"/etc/hosts": "10.10.255.254 slack.example.com\n"}
    with region(*addresses) as (middle, machines), ExitStack() as stack:
        catcher = subprocess.Popen(
            [*WITH_PARENT, *middle.command(sys.executable, "-c", CATCHER, str(messages))], stderr=subprocess.DEVNULL
        )
        stack.callback(catcher.wait, SECONDS)
        stack.callback(catcher.terminate)
        servers: list[Started] = [
            stack.enter_context(started(tmp_path / name, "prod", name, "alertmanager", where=machine, files=hosts))
            for name, machine in zip(("control-plane-1", "control-plane-2", "control-plane-3"), machines, strict=True)
        ]
        own = f"http://127.0.0.1:{ALERTMANAGER.port}"
        for server in servers:
            server.until(f"{own}/metrics", "\nalertmanager_cluster_members 3\n")
            assert server.listening() == {
                ("tcp", ALERTMANAGER.port),
                ("tcp", ALERTMANAGER_GOSSIP.port),
                ("udp", ALERTMANAGER_GOSSIP.port),
            }
        alert = {
            "labels": {
                "alertname": "TrainingStalled",
                "severity": "warning",
                "service": "ml-training",
                "cluster": "c",
            },
            "annotations": {"summary": "The training makes no progress", "description": "None.", "runbook": "r.md"},
        }
        # As Prometheus does: each is told.
        for server in servers:
            server.ask("--json", json.dumps([alert]), f"{own}/api/v2/alerts")
        deadline = time.monotonic() + SECONDS
        while not messages.exists():
            assert time.monotonic() < deadline, servers[0].log.read_text()
            time.sleep(0.1)
        [message] = messages.read_text().splitlines()
        told = json.loads(message)
        assert told["channel"] == "#ml-training"
        assert told["attachments"][0]["title"] == "[MLOps] TrainingStalled (c, 1)"
        assert "Runbook: r.md" in told["attachments"][0]["text"]
