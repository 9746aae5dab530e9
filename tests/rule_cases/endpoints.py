"""Cases of the checks of VPC endpoints."""

from __future__ import annotations

from collections.abc import Iterator

from engine import tokens
from offline.cloud import Inputs
from tests.rule_cases.common import Case, case
from tests.rule_cases.companions import INTERFACE_ENDPOINT


def cases() -> Iterator[Case]:
    """Yield the cases of this file."""
    kind = tokens.VPC_ENDPOINT
    yield case("no route table", kind, "endpoint_placement", {"routeTableIds": None})
    yield case("group at a gateway", kind, "endpoint_placement", {"securityGroupIds": ["sg-1"]})
    yield case("no subnet", kind, "endpoint_placement", {"subnetIds": None}, INTERFACE_ENDPOINT)
    yield case("no group", kind, "endpoint_placement", {"securityGroupIds": []}, INTERFACE_ENDPOINT)
    yield case("elsewhere", kind, "endpoint_service", {"serviceName": "com.amazonaws.us-west-2.s3"})
    yield case("no gateway", kind, "endpoint_service", {"serviceName": "com.amazonaws.us-east-1.ssm"})
    elsewhere: Inputs = {
        **INTERFACE_ENDPOINT,
        "serviceName": "com.amazonaws.us-west-2.ssm",
        "serviceRegion": "us-west-2",
    }
    yield case("not there", kind, "endpoint_service", {"serviceName": "com.amazonaws.us-east-1.ssm"}, elsewhere)
    far: Inputs = {"vpcId": "vpc-2", "subnetIds": ["subnet-far"], "securityGroupIds": ["sg-far"]}
    off: Inputs = {**INTERFACE_ENDPOINT, **far, "privateDnsEnabled": False}
    on: Inputs = {**INTERFACE_ENDPOINT, "privateDnsEnabled": True}
    yield case("switched on", kind, "endpoint_private_dns", {"privateDnsEnabled": True}, off)
    yield case("names off", kind, "endpoint_private_dns", far, on)
    yield case(
        "two in a zone", kind, "one_subnet_per_zone", {"subnetIds": ["subnet-a", "subnet-a2"]}, INTERFACE_ENDPOINT
    )
    address = {"subnetConfigurations": [{"subnetId": "subnet-a", "ipv4": "10.0.1.40"}]}
    taken = {"subnetConfigurations": [{"subnetId": "subnet-a", "ipv4": "10.0.1.10"}]}
    yield case("in use", kind, "private_address", taken, {**INTERFACE_ENDPOINT, **address})
    yield case("far table", kind, "same_vpc", {"routeTableIds": ["rtb-far"]})
