"""When the autoscaler adds workers, and how it takes them away.

The file is HCL's JSON syntax, which the autoscaler reads from files that end in .json (policy/file/source.go in its
source); a block label is a key (https://github.com/hashicorp/hcl/blob/main/json/spec.md).
"""

from __future__ import annotations

import json

from configs.settings.model import WorkerSettings
from configs.tables.names import WORKERS, Names
from configs.tables.paths import configuration

NODE_CLASS = "ml-workers"
"""Nomad's class of the workers: what the query counts, and what is drained."""

READY = f'{{node_class="{NODE_CLASS}",node_status="ready",node_scheduling_eligibility="eligible"}}'
"""Prometheus' selector of the workers that take jobs.

A worker has a series for each state that it was in: Nomad shows the old one for another minute, and a Prometheus that
is restarted meanwhile does not see it end, and has it for five more. With all of them the share of workers that were
full was 40 % once in the lab, after a change that reached servers and workers: the autoscaler added none.
"""

DRAIN_SECONDS = 900
"""How long a worker that is to go may take to save its jobs: a quarter of an hour. The memory of the largest worker
type, 256 GB, written at the 500 MiB/s that one client of EFS gets, takes nine minutes; half as much again on top
(https://docs.aws.amazon.com/efs/latest/ug/limits.html)."""

EVALUATION_SECONDS = 10
"""How often the autoscaler looks: Nomad publishes its figures as often."""

POLICY_FILE = configuration("nomad-autoscaler", "policies/workers.json")
"""Where the policy lies on a control-plane node."""


def worker_policy(names: Names, settings: WorkerSettings, bounds: tuple[int, int]) -> str:
    """Return the scaling policy of the workers, who are never fewer or more than the ``bounds``."""
    minimum, maximum = bounds
    policy = {
        "cooldown": f"{settings.cooldown_seconds}s",
        "evaluation_interval": f"{EVALUATION_SECONDS}s",
        # Without figures nothing is done: a policy that ignores the error would take it for no load.
        "on_check_error": "fail",
        "check": {
            "allocated-cpu": {
                "source": "prometheus",
                "query": allocated_percent("cpu"),
                "strategy": {"target-value": {"target": str(settings.target_percent)}},
            }
        },
        # Plugins take texts only.
        "target": {
            "aws-asg": {
                "dry-run": "false",
                "aws_asg_name": names.regional(WORKERS),
                "node_class": NODE_CLASS,
                "node_drain_deadline": f"{DRAIN_SECONDS}s",
                # Otherwise Nomad lists workers that are gone for a day.
                "node_purge": "true",
            }
        },
    }
    scaling = {"enabled": True, "type": "cluster", "min": minimum, "max": maximum, "policy": policy}
    return json.dumps({"scaling": {"workers": scaling}}, indent=2, sort_keys=True) + "\n"


def allocated_percent(resource: str) -> str:
    """Return the query for how much of the workers' ``cpu`` or ``memory`` is allocated: one series, 0 to 100.

    Of what there is, not of what is free: when nothing is free, that would be a division by zero.
    """
    allocated, unallocated = (
        f"sum(nomad_client_{state}_{resource}{READY})" for state in ("allocated", "unallocated")
    )
    return f"{allocated}*100/({allocated}+{unallocated})"
