"""Checks of route tables, their routes and what they are associated with."""

from __future__ import annotations

from collections.abc import Iterator

from engine.tokens import ROUTE, ROUTE_TABLE
from offline.checks.addresses import family_problems
from offline.checks.common import Check, is_given, known_text, others, parent, siblings
from offline.cloud import Cloud, Proposal


def route_destination(proposal: Proposal, cloud: Cloud) -> Iterator[str]:
    """The destination is a block whose host bits are zero, and new in its route table.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateRoute.html
    """
    families = {"destinationCidrBlock": "IPv4", "destinationIpv6CidrBlock": "IPv6", "destinationPrefixListId": None}
    given = {name: text for name in families if (text := known_text(proposal, name)) is not None}
    for name, text in given.items():
        family = families[name]
        if family is not None:
            yield from family_problems(name, text, family)
    for other in siblings(proposal, cloud, "routeTableId"):
        for name, text in given.items():
            if other.attribute(name) == text:
                yield f"{name}: {other.attribute('routeTableId')} has a route to {text} already, {other.id}"


def inline_routes(proposal: Proposal, cloud: Cloud) -> Iterator[str]:
    """The routes of a table are either inside the table or resources of their own.

    https://github.com/hashicorp/terraform-provider-aws/blob/main/website/docs/r/route_table.html.markdown
    """
    if proposal.type == ROUTE:
        table = parent(proposal, cloud, "routeTableId", ROUTE_TABLE)
        if table and table.inputs.get("routes"):
            yield f"routeTableId: {table.id} has its routes inline, which a separate route would fight with"
    elif is_given(proposal, "routes"):
        for route in others(proposal, cloud, ROUTE):
            if route.attribute("routeTableId") == proposal.id:
                yield f"routes: {route.id} is a separate route of this table, which inline routes would fight with"


def association_once(proposal: Proposal, cloud: Cloud) -> Iterator[str]:
    """A subnet or gateway is associated with one route table.

    https://docs.aws.amazon.com/vpc/latest/userguide/subnet-route-tables.html
    """
    for name in ("subnetId", "gatewayId"):
        for other in siblings(proposal, cloud, name):
            yield f"{name}: {other.attribute(name)} is associated with {other.attribute('routeTableId')} already"


CHECKS: tuple[Check, ...] = (route_destination, inline_routes, association_once)
