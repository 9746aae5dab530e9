"""Cases of the checks of load balancers, listeners and target groups."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from engine import tokens
from offline.cloud import Inputs
from tests.rule_cases.common import Case, case
from tests.rule_cases.world import BALANCER_ARN, TARGET_GROUP, existing


def cases() -> Iterator[Case]:
    """Yield the cases of this file."""
    kind = tokens.LOAD_BALANCER
    two_zones = [{"subnetId": "subnet-a"}, {"subnetId": "subnet-b"}]
    one_zone = [{"subnetId": "subnet-a"}, {"subnetId": "subnet-a2"}]
    yield case(
        "two in a zone", kind, "one_subnet_per_zone", {"subnetMappings": one_zone}, {"subnetMappings": two_zones}
    )
    far = [{"subnetId": "subnet-a"}, {"subnetId": "subnet-far"}]
    yield case("far subnet", kind, "same_vpc", {"subnetMappings": far})

    def mapped(**settings: str) -> Inputs:
        return {"subnetMappings": [{"subnetId": "subnet-a", **settings}], "internal": True}

    yield case("last", kind, "private_address", mapped(privateIpv4Address="10.0.1.255"))
    yield case(
        "used", kind, "allocation_once", mapped(allocationId="eipalloc-used"), mapped(allocationId="eipalloc-1")
    )
    listener = existing(tokens.LISTENER, "listener-1", loadBalancerArn=BALANCER_ARN, port=80)
    yield case("taken", tokens.LISTENER, "listener_port", {"port": 80}, also=[listener])
    yield case("no certificate", tokens.LISTENER, "listener_port", {"protocol": "TLS"})
    certificate = "arn:aws:acm:us-east-1::certificate/1"
    yield case("needless", tokens.LISTENER, "listener_port", {"certificateArn": certificate})

    def checked(**settings: Any) -> Inputs:
        return {"healthCheck": {"protocol": "TCP", **settings}}

    check = "target_group_health_check"
    yield case("path", TARGET_GROUP, check, checked(path="/"), {"healthCheck": {"protocol": "HTTP", "path": "/"}})
    yield case("matcher", TARGET_GROUP, check, checked(matcher="200"))
    yield case("slow", TARGET_GROUP, check, checked(interval=5, timeout=6), checked(interval=5, timeout=5))
    yield case("no port", TARGET_GROUP, check, checked(port="http"), checked(port="traffic-port"))
    yield case("port 0", TARGET_GROUP, check, checked(port="0"), checked(port="1"))
    yield case("port 65536", TARGET_GROUP, check, checked(port="65536"), checked(port="65535"))
