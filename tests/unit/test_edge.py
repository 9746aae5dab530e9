"""Edge: Cloudflare in front of the failover names."""

from typing import Literal

import pytest

from components.edge import Edge, EdgeArgs
from configs.settings.model import EdgeSettings
from configs.tables.names import PublicNames
from tests.unit.mocks import Registered, Run, run_in_region

ZONE = "0123456789abcdef0123456789abcdef"
SETTINGS = EdgeSettings.model_validate(
    {"zoneId": ZONE, "domain": "example.net", "addressRanges": ["173.245.48.0/20"]}, strict=False
)

Mode = Literal["internal", "secret", "acm"]


def edge(mode: Mode = "internal") -> Run:
    args = EdgeArgs(SETTINGS, PublicNames("mlops.example.com"), mode)
    return run_in_region(lambda opts: Edge("way-in", args, opts))


def made(run: Run) -> list[Registered]:
    return [one for one in run.everything if one.type.startswith("cloudflare:")]


def record(service: str) -> dict[str, object]:
    return {
        "zoneId": ZONE,
        "name": f"{service}.example.net",
        "type": "CNAME",
        "content": f"{service}.mlops.example.com",
        "proxied": True,
        "ttl": 1,
    }


def executed(ruleset: str, ruleset_id: str) -> dict[str, object]:
    return {
        "action": "execute",
        "actionParameters": {"id": ruleset_id},
        "description": ruleset,
        "expression": "true",
        "enabled": True,
    }


@pytest.mark.parametrize(("mode", "origin"), [("internal", "full"), ("secret", "strict"), ("acm", "strict")])
def test_every_resource_is_exactly_the_plan(mode: Mode, origin: str) -> None:
    """Guards against a record past Cloudflare, a firewall without rules, and an origin that anyone may pose as."""
    records = {
        ("cloudflare:index/dnsRecord:DnsRecord", f"way-in-{service}"): record(service)
        for service in ("consul", "nomad", "prometheus", "grafana")
    }
    settings = {
        ("cloudflare:index/zoneSetting:ZoneSetting", name): {"zoneId": ZONE, "settingId": setting, "value": value}
        for name, setting, value in (
            ("way-in-ssl", "ssl", origin),
            ("way-in-min-tls-version", "min_tls_version", "1.2"),
            ("way-in-always-use-https", "always_use_https", "on"),
        )
    }
    run = edge(mode)
    assert {(one.type, one.name): one.inputs for one in made(run)} == {
        **records,
        **settings,
        ("cloudflare:index/ruleset:Ruleset", "way-in-firewall"): {
            "zoneId": ZONE,
            "name": "managed rules",
            "kind": "zone",
            "phase": "http_request_firewall_managed",
            "rules": [
                executed("Cloudflare Managed Ruleset", "efb7b8c949ac4650a09736fc376e9aee"),
                executed("Cloudflare OWASP Core Ruleset", "4814384a9e5d4991b9815dcfc25d2f1f"),
            ],
        },
    }
    assert run.resources == []


def test_all_of_it_is_cloudflares_and_none_of_it_is_protected() -> None:
    """Guards against a record made by another account's provider, and an edge that cannot be switched off again."""
    run = edge()
    assert {(one.parent, one.provider, one.protect) for one in made(run)} == {
        ("Edge way-in", "cloudflare cloudflare", False)
    }
    component = [one for one in run.everything if one.type == "mlops:platform:Edge"]
    assert [one.parent for one in component] == ["Region us-west-2"]


def test_the_old_firewall_goes_before_the_new_one_comes() -> None:
    """Guards against a move to another name or phase that Cloudflare refuses: a zone has one ruleset a phase."""
    assert [one.name for one in made(edge()) if one.delete_before_replace] == ["way-in-firewall"]
