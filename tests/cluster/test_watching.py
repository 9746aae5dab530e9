"""What is scraped, and whether what dashboards and rules ask for is there: after all that the other modules did."""

from __future__ import annotations

from typing import Any

from configs.context import Context
from configs.grafana.dashboards import metric_names, queried_metrics
from configs.nodes import NodeRole
from configs.prometheus.rules import groups
from configs.tables.certificates import LOOPBACK_ADDRESS
from configs.tables.flows import PROMETHEUS
from lab.region import NodeMachine, Region
from tests.cluster.ask import ask


def targets(server: NodeMachine) -> list[dict[str, Any]]:
    answer = ask(server, f"http://{LOOPBACK_ADDRESS}:{PROMETHEUS.port}/api/v1/targets?state=active")
    return answer.json["data"]["activeTargets"]


def test_every_target_is_up(cluster: Region) -> None:
    """A metric that never comes, and an alert on it that never fires."""

    def down() -> list[str]:
        return [
            f"{server.name}: {one['scrapeUrl']} {one['lastError']}"
            for server in cluster.of(NodeRole.CONTROL_PLANE)
            for one in targets(server)
            if one["health"] != "up"
        ]

    cluster.until(lambda: not down(), 60, "every target is up")
    for server in cluster.of(NodeRole.CONTROL_PLANE):
        jobs = [one["labels"]["job"] for one in targets(server)]
        counted = {job: jobs.count(job) for job in set(jobs)}
        fixed = {job: count for job, count in counted.items() if job not in ("ml-training", "consul-services")}
        assert fixed == {
            "consul": 3,
            "nomad-servers": 3,
            "nomad-jobs": 3,
            "node-exporter": 8,
            "prometheus": 3,
            "alertmanager": 3,
            "grafana": 3,
            "postgres-exporter": 3,
            "nomad-autoscaler": 3,
            "load-balancers": 2,
        }, server.name


UNSEEN = frozenset[str]()
"""Metrics that nothing here exposes, each with its reason."""


def test_what_is_asked_for_is_there(cluster: Region) -> None:
    """A panel that stays empty, or an alert that waits for a metric of another name."""
    context = Context(cluster.settings, cluster.of(NodeRole.CONTROL_PLANE)[0].node, cluster.facts)
    of_rules = (rule for group in groups(context).values() for rule in group)
    asked = queried_metrics().union(*(metric_names(rule.expression) for rule in of_rules))
    names = f"http://{LOOPBACK_ADDRESS}:{PROMETHEUS.port}/api/v1/label/__name__/values"
    known = {name for server in cluster.of(NodeRole.CONTROL_PLANE) for name in ask(server, names).json["data"]}
    assert asked - known == UNSEEN
