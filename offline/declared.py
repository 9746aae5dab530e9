"""The record tree that the stacks declare, read off the offline cloud."""

from __future__ import annotations

from aws_rules.failover import FailoverRole
from aws_rules.health_checks import CalculatedHealthCheck, EndpointHealthCheck, HealthCheck
from aws_rules.record_tree import SWITCH, AliasRecord, RecordTree
from configs.tables.names import SWITCH_KEY
from engine.tokens import HEALTH_CHECK, LOAD_BALANCER, RECORD
from offline.cloud import Cloud, Inputs, Resource


def declared_tree(cloud: Cloud) -> RecordTree:
    """Return the alias records, the health checks, and the load balancers they lead to.

    Raises ValueError for a health check that sends no HTTPS requests and counts no others.
    """
    checks = {check.id: check.inputs for check in cloud.all(HEALTH_CHECK)}
    return RecordTree(
        records=tuple(_record(record) for record in cloud.all(RECORD) if record.inputs.get("aliases")),
        checks={identity: _check(identity, inputs) for identity, inputs in checks.items()},
        asks={identity: _asked(inputs) for identity, inputs in checks.items() if inputs.get("fqdn")},
        load_balancers={
            _domain(balancer.attribute("dnsName")): balancer.region for balancer in cloud.all(LOAD_BALANCER)
        },
    )


def _domain(text: str) -> str:
    """Return a name as DNS compares it, without the prefix that asks a load balancer for both address families."""
    return text.lower().removesuffix(".").removeprefix("dualstack.")


def _record(record: Resource) -> AliasRecord:
    alias = record.inputs["aliases"][0]
    policies = record.inputs.get("failoverRoutingPolicies")
    return AliasRecord(
        name=_domain(record.inputs["name"]),
        target=_domain(alias["name"]),
        role=FailoverRole(policies[0]["type"]) if policies else None,
        health_check_id=record.inputs.get("healthCheckId"),
        evaluate_target_health=alias["evaluateTargetHealth"],
    )


def _asked(inputs: Inputs) -> str:
    return SWITCH if inputs.get("resourcePath") == f"/{SWITCH_KEY}" else _domain(inputs["fqdn"])


def _check(identity: str, inputs: Inputs) -> HealthCheck:
    inverted, disabled = inputs.get("invertHealthcheck", False), inputs.get("disabled", False)
    match inputs["type"]:
        case "CALCULATED":
            return CalculatedHealthCheck(
                children=tuple(inputs["childHealthchecks"]),
                threshold=int(inputs["childHealthThreshold"]),
                inverted=inverted,
                disabled=disabled,
            )
        case "HTTPS":
            return EndpointHealthCheck(
                interval_seconds=int(inputs["requestInterval"]),
                failure_threshold=int(inputs["failureThreshold"]),
                inverted=inverted,
                disabled=disabled,
            )
        case kind:
            raise ValueError(f"health check {identity} is of type {kind}, which the record tree does not know")
