"""FailoverDns: who answers, and what decides it."""

from collections.abc import Mapping
from functools import cache
from typing import Any

import pulumi
import pytest

from components.failover_dns import FailoverDns, FailoverDnsArgs, FailoverRole
from components.load_balancer_pair import LoadBalancerEndpoint
from configs.settings.model import FailoverSettings
from configs.tables.names import Names, PublicNames
from tests.unit.mocks import REGIONS, Run, run_in_region

PRIMARY, SECONDARY = FailoverRole.PRIMARY, FailoverRole.SECONDARY
BALANCER = {"name": "balancer.example", "zoneId": "ZBALANCER", "evaluateTargetHealth": False}


@cache
def dns(role: FailoverRole, mode: str = "automatic", interval: int = 10, threshold: int = 3) -> Run:
    region = "us-east-1" if role is PRIMARY else "us-west-2"

    def settled(_: pulumi.ResourceHookArgs) -> None:
        """Stands for the gate."""

    def program(opts: pulumi.ResourceOptions) -> None:
        args = FailoverDnsArgs(
            role=role,
            region=region,
            hosted_zone_id="ZONE",
            public_names=PublicNames("example.com"),
            load_balancer=LoadBalancerEndpoint(
                pulumi.Output.from_input("balancer.example"), pulumi.Output.from_input("ZBALANCER")
            ),
            settings=FailoverSettings.model_validate(
                {"mode": mode, "checkIntervalSeconds": interval, "failureThreshold": threshold}
            ),
            switch_names=Names("mlops", "123456789012", "us-west-2"),
            settled=pulumi.ResourceHook("settled", settled),
        )
        FailoverDns("dns", args, opts)

    return run_in_region(program, region)


def alias(name: str, target: Mapping[str, Any] = BALANCER) -> dict[str, Mapping[str, Any]]:
    return {f"dns-{name}": {"zoneId": "ZONE", "name": name, "type": "A", "aliases": [target]}}


def regional(region: str) -> dict[str, Mapping[str, Any]]:
    return {
        **alias(f"origin.{region}.example.com"),
        **alias(f"consul.{region}.example.com"),
        **alias(f"nomad.{region}.example.com"),
        **alias(f"prometheus.{region}.example.com"),
        **alias(f"grafana.{region}.example.com"),
    }


def origin(role: str, **inputs: Any) -> dict[str, Mapping[str, Any]]:
    return {
        f"dns-origin.example.com-{role.lower()}": {
            "zoneId": "ZONE",
            "name": "origin.example.com",
            "type": "A",
            "setIdentifier": role.lower(),
            "failoverRoutingPolicies": [{"type": role}],
            "aliases": [BALANCER],
            **inputs,
        }
    }


def test_primary_answers_while_its_check_says_so() -> None:
    """Guards against a primary answer without its check, and names that do not follow the failover."""
    follows = {"name": "origin.example.com", "zoneId": "ZONE", "evaluateTargetHealth": False}
    run = dns(PRIMARY)
    assert run.inputs("Record") == {
        **regional("us-east-1"),
        **origin("PRIMARY", healthCheckId="HealthCheck dns-region id"),
        **alias("consul.example.com", follows),
        **alias("nomad.example.com", follows),
        **alias("prometheus.example.com", follows),
        **alias("grafana.example.com", follows),
    }
    for service in ("consul", "nomad", "prometheus", "grafana"):
        record = run.of("Record")[f"dns-{service}.example.com"]
        # Route 53 refuses an alias of a name that does not exist yet.
        assert record.waits_for == {"Record dns-origin.example.com-primary"}


def test_secondary_is_the_last_resort() -> None:
    """Guards against a health check that could take the last answer away, and names claimed by both regions."""
    assert dns(SECONDARY).inputs_by_type() == {
        "aws:route53/record:Record": {**regional("us-west-2"), **origin("SECONDARY")}
    }


def test_two_checks_of_two_decide() -> None:
    """Guards against a check that asks the wrong host, port or path, or that counts one of two as healthy."""
    assert dns(PRIMARY).inputs("HealthCheck") == {
        "dns-endpoint": {
            "type": "HTTPS",
            "fqdn": "origin.us-east-1.example.com",
            "port": 8443,
            "resourcePath": "/healthz",
            "enableSni": True,
            "requestInterval": 10,
            "failureThreshold": 3,
            "tags": {"Name": "dns-endpoint"},
        },
        "dns-switch": {
            "type": "HTTPS",
            "fqdn": "mlops-123456789012-us-west-2-failover-switch.s3.us-west-2.amazonaws.com",
            "port": 443,
            "resourcePath": "/region-failed-over",
            "enableSni": True,
            "invertHealthcheck": True,
            "requestInterval": 10,
            "failureThreshold": 1,
            "tags": {"Name": "dns-switch"},
        },
        "dns-region": {
            "type": "CALCULATED",
            "childHealthchecks": ["HealthCheck dns-endpoint id", "HealthCheck dns-switch id"],
            "childHealthThreshold": 2,
            "tags": {"Name": "dns-region"},
        },
    }


def test_operator_mode_listens_to_the_switch_alone() -> None:
    """Guards against a health check that moves traffic although an operator wants to decide."""
    run = dns(PRIMARY, mode="operator")
    assert run.inputs("HealthCheck")["dns-region"] == {
        "type": "CALCULATED",
        "childHealthchecks": ["HealthCheck dns-switch id"],
        "childHealthThreshold": 1,
        "tags": {"Name": "dns-region"},
    }
    others = {name: run.inputs("HealthCheck")[name] for name in ("dns-endpoint", "dns-switch")}
    automatic = dns(PRIMARY).inputs("HealthCheck")
    assert others == {name: automatic[name] for name in others}  # The endpoint is still watched.
    assert run.inputs("Record") == dns(PRIMARY).inputs("Record")


def test_interval_and_threshold_are_those_set() -> None:
    """Guards against checks that are slower or laxer than the stack file says; the switch needs one look only."""
    checks = dns(PRIMARY, interval=30, threshold=5).inputs("HealthCheck")
    timings = {name: (one.get("requestInterval"), one.get("failureThreshold")) for name, one in checks.items()}
    assert timings == {"dns-endpoint": (30, 5), "dns-switch": (30, 1), "dns-region": (None, None)}


@pytest.mark.parametrize("mode", ["automatic", "operator"])
def test_deciding_check_waits_for_those_it_counts(mode: str) -> None:
    """Guards against a new inverted check, unhealthy at first, that sends everyone to the standby."""
    run = dns(PRIMARY, mode=mode)
    assert {one.name: one.hooks for one in run.resources if one.hooks} == {
        # Also before an update: that is how a replaced child, new and unhealthy again, gets in. An after hook would
        # not do: the next `up` would find the check made and attach it unsettled.
        "dns-region": {"before_create": ["settled"], "before_update": ["settled"]}
    }
    assert run.of("Record")["dns-origin.example.com-primary"].waits_for == {"HealthCheck dns-region"}
    assert not any(one.hooks for one in dns(SECONDARY).resources)


def test_endpoint_is_asked_for_only_once_its_name_exists() -> None:
    """A name asked for too early is remembered as missing, and the region counts as lost: also when it changes."""
    endpoint = dns(PRIMARY).of("HealthCheck")["dns-endpoint"]
    assert f"Record dns-{endpoint.inputs['fqdn']}" in endpoint.depends_on


@pytest.mark.parametrize("role", FailoverRole)
def test_everything_is_the_components_in_its_parents_region(role: FailoverRole) -> None:
    """Guards against a standby that needs a provider of the region that is lost."""
    region = {PRIMARY: REGIONS[0], SECONDARY: REGIONS[1]}[role]
    run = dns(role)
    assert {(one.parent, one.provider, one.protect) for one in run.resources} == {
        ("FailoverDns dns", f"aws {region}", False)
    }
    component = [one for one in run.everything if one.type == "mlops:platform:FailoverDns"]
    assert [one.parent for one in component] == [f"Region {region}"]
    assert run.outputs["FailoverDns dns"] == {"origin": "origin.example.com"}
