"""The autoscaler's policy: the corrected query, the group's own name, and the types that its plugins take."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from configs.nomad_autoscaler.policy import DRAIN_SECONDS, READY, allocated_percent, worker_policy
from configs.settings.model import WorkerSettings
from configs.tables.names import WORKERS, Names

NAMES = Names("mlops", "123456789012", "us-west-2")


def policy(bounds: tuple[int, int] = (3, 20), **settings: Any) -> dict[str, Any]:
    return json.loads(worker_policy(NAMES, WorkerSettings(**settings), bounds))


def test_is_exactly_the_plan() -> None:
    """Guards against a policy that is off, scales by a wrong figure, kills running jobs or scales another group."""
    # Each worker once: it has a series for each state that it was in.
    ready = '{node_class="ml-workers",node_status="ready",node_scheduling_eligibility="eligible"}'
    allocated, unallocated = f"sum(nomad_client_allocated_cpu{ready})", f"sum(nomad_client_unallocated_cpu{ready})"
    assert policy(targetPercent=80, cooldownSeconds=300) == {
        "scaling": {
            "workers": {
                "enabled": True,
                "type": "cluster",
                "min": 3,
                "max": 20,
                "policy": {
                    "cooldown": "300s",
                    "evaluation_interval": "10s",
                    "on_check_error": "fail",
                    "check": {
                        "allocated-cpu": {
                            "source": "prometheus",
                            "query": f"{allocated}*100/({allocated}+{unallocated})",
                            "strategy": {"target-value": {"target": "80"}},
                        }
                    },
                    "target": {
                        "aws-asg": {
                            "dry-run": "false",
                            "aws_asg_name": "mlops-workers",
                            "node_class": "ml-workers",
                            "node_drain_deadline": f"{DRAIN_SECONDS}s",
                            "node_purge": "true",
                        }
                    },
                },
            }
        }
    }
    assert NAMES.regional(WORKERS) == "mlops-workers"


@given(st.integers(0, 100), st.integers(0, 100), st.integers(10, 95))
def test_plugins_are_given_texts_only(minimum: int, maximum: int, target: int) -> None:
    """Guards against a number that the autoscaler refuses when it starts."""
    workers = policy((minimum, maximum), targetPercent=target)["scaling"]["workers"]
    assert (workers["min"], workers["max"]) == (minimum, maximum)
    plugins = [workers["policy"]["target"], workers["policy"]["check"]["allocated-cpu"]["strategy"]]
    assert {type(value) for plugin in plugins for given in plugin.values() for value in given.values()} == {str}


def test_the_query_is_a_share_of_all() -> None:
    """Guards against 233 % at 70 of 100, and a division by zero when nothing is free: allocated/unallocated."""
    for allocated, unallocated, percent in ((70, 30, 70), (100, 0, 100), (0, 100, 0)):
        values = {"unallocated": str(unallocated), "allocated": str(allocated)}
        formula = allocated_percent("cpu")
        for state, value in values.items():
            formula = formula.replace(f"sum(nomad_client_{state}_cpu{READY})", value)
        assert eval(formula) == percent


def test_has_nothing_that_hcl_would_expand() -> None:
    """Guards against a text that HCL takes for a template: in its JSON syntax ${ and %{ begin one."""
    text = worker_policy(NAMES, WorkerSettings(), (3, 20))
    assert "${" not in text
    assert "%{" not in text
