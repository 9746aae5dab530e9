"""What is scraped, and whether what dashboards and rules ask for is there: after all that the other modules did."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from configs.context import Context
from configs.grafana.dashboards import metric_names, queried_metrics
from configs.prometheus.rules import groups
from configs.tables.flows import PROMETHEUS
from lab.region import NodeMachine, NotThere, Region
from tests.cluster.ask import own, servers


def targets(server: NodeMachine) -> list[dict[str, Any]]:
    return own(server, PROMETHEUS, "/api/v1/targets?state=active")["data"]["activeTargets"]


KNOWN_SECONDS = 90
"""Longest until Prometheus has a change: it asks Consul every 30 seconds, scrapes every 15, and may do both late."""

TARGETS = {
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
}
"""How many there are of each, but for what jobs bring with them."""

OF_JOBS = ("ml-training", "consul-services")


def test_every_target_is_up(cluster: Region) -> None:
    """A metric that never comes, and an alert on it that never fires."""
    for server in servers(cluster):

        def as_they_should_be(server: NodeMachine = server) -> bool:
            found = targets(server)
            counted = Counter(one["labels"]["job"] for one in found if one["labels"]["job"] not in OF_JOBS)
            return counted == TARGETS and all(one["health"] == "up" for one in found)

        try:
            cluster.until(as_they_should_be, KNOWN_SECONDS, "every target is up, and there is no other")
        except NotThere:
            found = [(one["labels"]["job"], one["scrapeUrl"], one["lastError"]) for one in targets(server)]
            pytest.fail(f"{server.name} has {found}")


UNSEEN = frozenset[str]()
"""Metrics that nothing here exposes, each with its reason."""


def test_what_is_asked_for_is_there(cluster: Region) -> None:
    """A panel that stays empty, or an alert that waits for a metric of another name."""
    context = Context(cluster.settings, servers(cluster)[0].node, cluster.facts)
    of_rules = (rule for group in groups(context).values() for rule in group)
    asked = queried_metrics().union(*(metric_names(rule.expression) for rule in of_rules))
    names = "/api/v1/label/__name__/values"
    known = {name for server in servers(cluster) for name in own(server, PROMETHEUS, names)["data"]}
    assert asked - known == UNSEEN
