"""Checks of Route 53 health checks.

https://docs.aws.amazon.com/Route53/latest/APIReference/API_HealthCheckConfig.html
"""

from __future__ import annotations

from collections.abc import Iterator

from aws_rules.health_checks import MAXIMUM_CHILDREN
from engine.tokens import HEALTH_CHECK
from offline.checks.common import Check, is_given, is_missing, is_unknown, known_text, values_at
from offline.cloud import Cloud, Proposal

CHECKER_REGIONS = 3
"""The fewest regions Route 53 checks from."""

_ENDPOINT_CHECKS = ("HTTP", "HTTPS", "HTTP_STR_MATCH", "HTTPS_STR_MATCH", "TCP")

_TEXT_LENGTHS = {
    "fqdn": 255,
    "resourcePath": 255,
    "searchString": 255,
    # The API allows 64 characters, of which the provider appends 37 of its own.
    "referenceName": 27,
}


def health_check_endpoint(proposal: Proposal, _: Cloud) -> Iterator[str]:
    """A check of an endpoint says which one; a string match says which string, TCP which address and port."""
    kind = proposal.inputs.get("type")
    if kind not in _ENDPOINT_CHECKS:
        return
    if is_missing(proposal, "fqdn", "ipAddress"):
        yield f"fqdn: a health check of type {kind} needs fqdn or ipAddress"
    if kind.endswith("STR_MATCH") and is_missing(proposal, "searchString"):
        yield f"searchString: a health check of type {kind} needs the string to look for"
    if kind == "TCP" and is_missing(proposal, "port"):
        yield "port: a health check of type TCP needs a port"


def health_check_children(proposal: Proposal, cloud: Cloud) -> Iterator[str]:
    """A calculated check has 1 to 255 children, none of them calculated, and a threshold they can reach."""
    kind = proposal.inputs.get("type")
    if kind is None or is_unknown(proposal, "childHealthchecks"):
        return
    children = list(values_at(proposal.inputs, "childHealthchecks[]"))
    if kind != "CALCULATED":
        if children:
            yield f"childHealthchecks: a health check of type {kind} has no children"
        return
    if not 1 <= len(children) <= MAXIMUM_CHILDREN:
        yield f"childHealthchecks: {len(children)} children, a calculated health check has 1 to {MAXIMUM_CHILDREN}"
    threshold = proposal.inputs.get("childHealthThreshold")
    if isinstance(threshold, int | float) and threshold > len(children):
        yield f"childHealthThreshold: {threshold:g} is more than the {len(children)} children: never healthy"
    calculated = {check.id for check in cloud.all(HEALTH_CHECK) if check.attribute("type") == "CALCULATED"}
    for where, identity in children:
        if identity in calculated:
            yield f"{where}: {identity} is calculated itself, which a child cannot be"


def health_check_text(proposal: Proposal, _: Cloud) -> Iterator[str]:
    """The texts of a health check have a maximum length."""
    for name, maximum in _TEXT_LENGTHS.items():
        text = known_text(proposal, name)
        if text is not None and len(text) > maximum:
            yield f"{name}: {len(text)} characters, {maximum} are allowed"


def health_check_regions(proposal: Proposal, _: Cloud) -> Iterator[str]:
    """A health check runs from at least three regions, when it says from which."""
    if not is_given(proposal, "regions"):
        return
    regions = {value for _, value in values_at(proposal.inputs, "regions[]")}
    if len(regions) < CHECKER_REGIONS:
        yield f"regions: {len(regions)} regions, Route 53 checks from at least {CHECKER_REGIONS}"


CHECKS: tuple[Check, ...] = (health_check_endpoint, health_check_children, health_check_text, health_check_regions)
