"""Checks of DNS records.

https://docs.aws.amazon.com/Route53/latest/APIReference/API_ResourceRecordSet.html
"""

from __future__ import annotations

from collections.abc import Iterator

from engine.tokens import LOAD_BALANCER, RECORD, ZONE
from offline.checks.common import Check, is_given, is_missing, is_unknown, known_text, others, parent, values_at
from offline.cloud import Cloud, Inputs, Proposal

_POLICIES = (
    "cidrRoutingPolicy",
    "failoverRoutingPolicies",
    "geolocationRoutingPolicies",
    "geoproximityRoutingPolicy",
    "latencyRoutingPolicies",
    "multivalueAnswerRoutingPolicy",
    "weightedRoutingPolicies",
)


def _domain(text: object) -> str:
    return str(text).lower().removesuffix(".")


def _policy(inputs: Inputs) -> str:
    return next((name for name in _POLICIES if inputs.get(name)), "simple")


def _failover(inputs: Inputs) -> str | None:
    return next((kind for _, kind in values_at(inputs, "failoverRoutingPolicies[].type")), None)


def record_name(proposal: Proposal, cloud: Cloud) -> Iterator[str]:
    """A record's full name lies inside its zone, and a CNAME is not the zone's own name.

    The provider appends the zone to any other name, so that a name of another zone silently becomes a subdomain.
    """
    zone = parent(proposal, cloud, "zoneId", ZONE, everywhere=True)
    name = known_text(proposal, "name")
    domain = zone.attribute("name") if zone else None
    if name is None or domain is None:
        return
    if _domain(name) != _domain(domain) and not _domain(name).endswith("." + _domain(domain)):
        yield f"name: {name} is not inside the zone {_domain(domain)}; give the full name"
    if _domain(name) == _domain(domain) and proposal.inputs.get("type") == "CNAME":
        yield f"type: {name} is the zone itself, which cannot be a CNAME; use an alias"


def record_alias(proposal: Proposal, cloud: Cloud) -> Iterator[str]:
    """An alias points to a load balancer, or to a record of the same zone and type, with the zone of its target.

    https://docs.aws.amazon.com/Route53/latest/APIReference/API_AliasTarget.html
    """
    kind, own_zone = proposal.inputs.get("type"), proposal.inputs.get("zoneId")
    if kind is None or own_zone is None:
        return
    zones = dict(values_at(proposal.inputs, "aliases[].zoneId"))
    for where, given in values_at(proposal.inputs, "aliases[].name"):
        name = _domain(given).removeprefix("dualstack.")
        expected: object = None
        found = False
        for balancer in cloud.all(LOAD_BALANCER):
            if _domain(balancer.attribute("dnsName")) == name:
                expected, found = balancer.attribute("zoneId"), True
        for record in cloud.all(RECORD):
            where_and_what = record.attribute("zoneId"), _domain(record.attribute("name")), record.attribute("type")
            if where_and_what == (own_zone, name, kind):
                expected, found = own_zone, True
        zone_path = where.removesuffix("name") + "zoneId"
        zone = zones.get(zone_path)
        if not found:
            yield f"{where}: {given} is neither a load balancer nor a record of type {kind} in this zone"
        elif zone != expected:
            yield f"{zone_path}: {zone} is not the zone of {given}, which is {expected}"


def record_failover(proposal: Proposal, _: Cloud) -> Iterator[str]:
    """A PRIMARY record can fail over: it has a health check, or is an alias that evaluates its target's health.

    https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/resource-record-sets-values-failover.html
    """
    if _failover(proposal.inputs) != "PRIMARY" or is_unknown(proposal, "aliases"):
        return
    evaluates = any(value for _, value in values_at(proposal.inputs, "aliases[].evaluateTargetHealth"))
    if not evaluates and is_missing(proposal, "healthCheckId"):
        yield "healthCheckId: a PRIMARY record without health check and without evaluateTargetHealth never fails over"


def record_set(proposal: Proposal, _: Cloud) -> Iterator[str]:
    """Only a record with a routing policy has a set identifier."""
    if is_given(proposal, "setIdentifier") and is_missing(proposal, *_POLICIES):
        yield "setIdentifier: a record without routing policy has none"


def record_neighbours(proposal: Proposal, cloud: Cloud) -> Iterator[str]:
    """Records of one name fit together: one CNAME alone; one policy a type; each set identifier and role once.

    https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/routing-policy.html
    """
    relevant = ("zoneId", "name", "type", "setIdentifier", *_POLICIES)
    if any(is_unknown(proposal, name) for name in relevant) or proposal.inputs.get("allowOverwrite"):
        return
    mine = proposal.inputs
    name, kind, policy = mine.get("name"), mine.get("type"), _policy(mine)
    for other in others(proposal, cloud, RECORD, everywhere=True):
        theirs = other.inputs
        if theirs.get("zoneId") != mine.get("zoneId") or _domain(theirs.get("name")) != _domain(name):
            continue
        if theirs.get("type") != kind:
            if "CNAME" in (theirs.get("type"), kind):
                yield f"type: {name} has a record of type {theirs.get('type')}, and a CNAME stands alone"
        elif policy == "simple" and _policy(theirs) == "simple":
            yield f"name: {name} has a record of type {kind} already, {other.id}"
        elif _policy(theirs) != policy:
            yield (
                f"name: the record {other.id} of the same name and type is routed by {_policy(theirs)},"
                f" this one by {policy}; all of one name and type are routed alike"
            )
        elif theirs.get("setIdentifier") == mine.get("setIdentifier"):
            yield f"setIdentifier: {mine.get('setIdentifier')} is the set identifier of {other.id} already"
        elif _failover(mine) is not None and _failover(theirs) == _failover(mine):
            yield f"failoverRoutingPolicies: {other.id} is the {_failover(mine)} of {name} already"


CHECKS: tuple[Check, ...] = (record_name, record_alias, record_failover, record_set, record_neighbours)
