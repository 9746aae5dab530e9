"""Cases of the checks of health checks and records."""

from __future__ import annotations

from collections.abc import Iterator

from engine import tokens
from offline.cloud import Inputs
from tests.rule_cases.bases import inputs
from tests.rule_cases.common import Case, case, record
from tests.rule_cases.companions import CALCULATED, FAILOVER, SAMPLES
from tests.rule_cases.world import BALANCER_NAME, WORLD, existing

_ALIAS: Inputs = {
    "aliases": [{"name": BALANCER_NAME, "zoneId": "ZLB", "evaluateTargetHealth": False}],
    "records": None,
    "ttl": None,
}
_PRIMARY: Inputs = {**FAILOVER, "failoverRoutingPolicies": [{"type": "PRIMARY"}]}
_SECONDARY: Inputs = {"setIdentifier": "two", "failoverRoutingPolicies": [{"type": "SECONDARY"}]}


def cases() -> Iterator[Case]:
    """Yield the cases of this file."""
    kind = tokens.HEALTH_CHECK
    yield case("nowhere", kind, "health_check_endpoint", {"fqdn": None})
    matching = {"type": "HTTPS_STR_MATCH", "searchString": "ok"}
    yield case("no string", kind, "health_check_endpoint", {"searchString": None}, matching)
    yield case("no port", kind, "health_check_endpoint", {"port": None}, {"type": "TCP", "port": 443})
    yield case(
        "none", kind, "health_check_children", {"childHealthchecks": None, "childHealthThreshold": 0}, CALCULATED
    )
    yield case("unreachable", kind, "health_check_children", {"childHealthThreshold": 2}, CALCULATED)
    yield case("nested", kind, "health_check_children", {"childHealthchecks": ["check-calculated"]}, CALCULATED)
    yield case("childless type", kind, "health_check_children", {"childHealthchecks": ["check-1"]})
    many = [existing(kind, f"check-{number}", type="HTTPS") for number in range(2, 258)]
    all_but_one = [check.id for check in many[:255]]
    yield case(
        "256",
        kind,
        "health_check_children",
        {"childHealthchecks": [check.id for check in many]},
        {**CALCULATED, "childHealthchecks": all_but_one},
        many,
    )
    yield case("long name", kind, "health_check_text", {"fqdn": "a" * 256}, {"fqdn": "a" * 255})
    yield case("long reference", kind, "health_check_text", {"referenceName": "a" * 28}, {"referenceName": "a" * 27})
    yield case("two", kind, "health_check_regions", {"regions": ["us-east-1", "us-west-1"]})

    kind = tokens.RECORD
    yield case("other zone", kind, "record_name", {"name": "a.example.org"})
    yield case("relative", kind, "record_name", {"name": "a"}, {"name": "A.EXAMPLE.COM."})
    to_name = {"type": "CNAME", "records": ["b.example.org"]}
    yield case("apex", kind, "record_name", to_name, {"name": "example.com"})
    yield case("to the apex", kind, "record_name", {"name": "example.com"}, to_name)
    elsewhere = [{"name": "none.example.com", "zoneId": "Z1", "evaluateTargetHealth": False}]
    yield case("missing", kind, "record_alias", {"aliases": elsewhere}, _ALIAS)
    wrong_zone = [{"name": BALANCER_NAME, "zoneId": "Z1", "evaluateTargetHealth": False}]
    yield case("wrong zone", kind, "record_alias", {"aliases": wrong_zone}, _ALIAS)
    target = record("target", name="b.example.com")
    to_record = {**_ALIAS, "aliases": [{"name": "b.example.com", "zoneId": "Z1", "evaluateTargetHealth": False}]}
    yield case("other type", kind, "record_alias", {"type": "AAAA"}, to_record, [target])
    yield case("no check", kind, "record_failover", {"healthCheckId": None}, _PRIMARY)
    evaluated = [{"name": BALANCER_NAME, "zoneId": "ZLB", "evaluateTargetHealth": True}]
    by_target = {**_PRIMARY, **_ALIAS, "aliases": evaluated, "healthCheckId": None}
    yield case("not evaluated", kind, "record_failover", {"aliases": _ALIAS["aliases"]}, by_target)
    yield case("no policy", kind, "record_set", {"setIdentifier": "one"})
    check = "record_neighbours"
    firsts = [record("first"), record("elsewhere", zoneId="Z2", name="b.example.com")]
    yield case("again", kind, check, {"name": "A.example.com."}, {"name": "b.example.com"}, firsts)
    one: Inputs = {"setIdentifier": "one", "weightedRoutingPolicies": [{"weight": 1}]}
    two: Inputs = {"setIdentifier": "two", "weightedRoutingPolicies": [{"weight": 1}]}
    yield case("same weighted", kind, check, {"setIdentifier": "one"}, two, [record("one", **one)])
    primary = record("primary", **_PRIMARY)
    yield case(
        "simple beside failover",
        kind,
        check,
        {"setIdentifier": None, "failoverRoutingPolicies": None},
        _SECONDARY,
        [primary],
    )
    yield case("second primary", kind, check, {**_PRIMARY, "setIdentifier": "two"}, _SECONDARY, [primary])
    yield case("same identifier", kind, check, {"setIdentifier": "one"}, _SECONDARY, [primary])
    weighted = {"failoverRoutingPolicies": None, "weightedRoutingPolicies": [{"weight": 1}]}
    yield case("other policy", kind, check, weighted, _SECONDARY, [primary])
    yield case("beside others", kind, check, to_name, {"type": "AAAA", "records": ["2001:db8::1"]}, [record("first")])
    name = record("first", **to_name)
    yield case("beside a CNAME", kind, check, {"name": "a.example.com"}, {"name": "b.example.com"}, [name])
    both = {"aliases": SAMPLES["aliases"], "ttl": None}
    yield Case("two", kind, "exactly_one.aliases|records", inputs(kind), inputs(kind, both), WORLD)
