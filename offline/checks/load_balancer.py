"""Checks of listeners and target groups."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import cast

from offline.checks.common import Check, is_given, is_missing, siblings
from offline.cloud import Cloud, Inputs, Proposal


def listener_port(proposal: Proposal, cloud: Cloud) -> Iterator[str]:
    """A load balancer has one listener a port, and a TLS listener has a certificate.

    https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_CreateListener.html
    """
    protocol = proposal.inputs.get("protocol")
    if protocol == "TLS" and is_missing(proposal, "certificateArn"):
        yield "certificateArn: a TLS listener needs a certificate"
    if protocol not in (None, "TLS") and is_given(proposal, "certificateArn"):
        yield f"certificateArn: a {protocol} listener has no certificate"
    for other in siblings(proposal, cloud, "loadBalancerArn", "port"):
        balancer, port = other.attribute("loadBalancerArn"), other.attribute("port")
        yield f"port: {balancer} has a listener on {port:g} already, {other.id}"


def target_group_health_check(proposal: Proposal, _: Cloud) -> Iterator[str]:
    """A TCP health check has no path and no matcher, and a check times out before the next begins.

    https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_CreateTargetGroup.html
    """
    check = proposal.inputs.get("healthCheck")
    if not isinstance(check, Mapping):
        return
    settings = cast("Inputs", check)
    protocol = settings.get("protocol")
    for name in ("path", "matcher"):
        if protocol == "TCP" and settings.get(name) is not None:
            yield f"healthCheck.{name}: a TCP health check has none"
    timeout, interval = settings.get("timeout", 0), settings.get("interval", 30)
    if timeout > interval:
        yield f"healthCheck.timeout: {timeout:g} s are longer than the interval, {interval:g} s"
    port = settings.get("port", "traffic-port")
    if port != "traffic-port" and not (str(port).isdigit() and 1 <= int(port) <= 65535):
        yield f"healthCheck.port: {port} is neither traffic-port nor a port from 1 to 65535"


CHECKS: tuple[Check, ...] = (listener_port, target_group_health_check)
