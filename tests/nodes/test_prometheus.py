"""Prometheus and the postgres exporter from the rendered files: read by promtool, and started for real."""

import json
import re
from pathlib import Path

import pytest

from configs.bundle import bundle
from configs.manifest import Bundle
from configs.nodes import nodes
from configs.prometheus.service import CONFIGURATION
from configs.tables.flows import PROMETHEUS
from tests.nodes.started import started
from tests.nodes.world import FACTS, NODES, laid, settings_of
from tests.unit.mocks import stack_settings
from toolchain import tools

VALIDATED = (CONFIGURATION,)

SERVERS = [(stack, node) for stack, node in NODES if node.startswith("control-plane")]


@pytest.mark.parametrize(("stack", "node"), SERVERS)
def test_configuration_is_accepted(stack: str, node: str, tmp_path: Path) -> None:
    """A configuration that Prometheus does not start with: an unknown key, a file that is elsewhere."""
    done = laid(tmp_path, stack, node).run(str(tools.find("promtool")), "check", "config", CONFIGURATION)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.findall(r"SUCCESS: (\d+) rule files found", done.stdout) == ["7"]


def test_long_term_storage_is_accepted(tmp_path: Path) -> None:
    """A setting that nobody has set in any of the stacks, and that Prometheus refuses."""
    settings = stack_settings("prod", monitoring={"remoteWriteUrl": "https://metrics.example.com/api/v1/write"})
    node = nodes(settings)[0]
    changed = Bundle.model_validate_json(bundle(settings, node, FACTS))
    place = laid(tmp_path, "prod", node.name, changed)
    done = place.run(str(tools.find("promtool")), "check", "config", CONFIGURATION)
    assert (done.returncode, done.stderr) == (0, "")
    assert "metrics.example.com" in changed.files[CONFIGURATION].text


def test_it_runs_and_takes_in_what_changed(tmp_path: Path) -> None:
    """An argument that it does not know, a folder that its account may not write to, a signal that ends it."""
    with started(tmp_path, "prod", "control-plane-1", "prometheus") as prometheus:
        prometheus.until(f"http://127.0.0.1:{PROMETHEUS.port}/-/ready", "Ready")
        # Every target of every job, each with the name of its node.
        answer = json.loads(prometheus.until(f"http://127.0.0.1:{PROMETHEUS.port}/api/v1/targets", '"consul"'))
        targets = {(one["labels"]["job"], one["labels"]["node"]) for one in answer["data"]["activeTargets"]}
        servers = [node.name for node in nodes(settings_of("prod")) if node.name.startswith("control-plane")]
        everywhere = ("consul", "nomad-servers", "prometheus", "alertmanager", "postgres-exporter", "grafana")
        assert targets == {
            *((job, name) for job in (*everywhere, "nomad-autoscaler", "node-exporter") for name in servers),
            *(
                (job, f"load-balancer-{kind}")
                for job in ("load-balancers", "node-exporter")
                for kind in ("haproxy", "nginx")
            ),
        }
        rules = json.loads(prometheus.until(f"http://127.0.0.1:{PROMETHEUS.port}/api/v1/rules", "Watchdog"))
        assert len(rules["data"]["groups"]) == 7
        managers = json.loads(
            prometheus.until(f"http://127.0.0.1:{PROMETHEUS.port}/api/v1/alertmanagers", "10.10.128.16:9093")
        )
        assert len(managers["data"]["activeAlertmanagers"]) == 3
        assert prometheus.listening() == {("tcp", PROMETHEUS.port)}
        # What nobody may call: https://prometheus.io/docs/prometheus/latest/querying/api/#tsdb-admin-apis
        assert "not enabled" in prometheus.ask("-X", "POST", f"http://127.0.0.1:{PROMETHEUS.port}/-/quit")
        assert "disabled" in prometheus.ask(
            "-X", "POST", f"http://127.0.0.1:{PROMETHEUS.port}/api/v1/admin/tsdb/snapshot"
        )
        prometheus.reload()
        prometheus.said("Completed loading of configuration file", 2)


def test_the_exporter_answers_without_a_database(tmp_path: Path) -> None:
    """An argument or a variable that it does not know; an exporter that ends when the database is away."""
    with started(tmp_path, "prod", "control-plane-1", "postgres-exporter") as exporter:
        # Its name does not resolve here: the exporter says so, and goes on.
        exporter.until("http://127.0.0.1:9187/metrics", "pg_up 0")
        assert exporter.listening() == {("tcp", 9187)}
