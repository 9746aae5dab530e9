"""Cases of the checks of networks: addresses, gateways, routes and flow logs."""

from __future__ import annotations

from collections.abc import Iterator

from engine import tokens
from offline.cloud import Inputs, Resource
from tests.rule_cases.bases import BASES, inputs
from tests.rule_cases.common import Case, case
from tests.rule_cases.companions import REGIONAL_NAT
from tests.rule_cases.world import FLOW_LOG, LOG_GROUP_ARN, WORLD, existing


def cases() -> Iterator[Case]:
    """Yield the cases of this file."""
    yield case("unaligned", tokens.VPC, "vpc_cidr", {"cidrBlock": "10.1.0.1/16"})
    yield case("too large", tokens.VPC, "vpc_cidr", {"cidrBlock": "10.0.0.0/15"})
    yield case("none", tokens.VPC, "vpc_cidr", {"cidrBlock": None})
    detached = existing(tokens.INTERNET_GATEWAY, "igw-detached")
    yield case(
        "second", tokens.INTERNET_GATEWAY, "one_internet_gateway", {"vpcId": "vpc-1"}, {"vpcId": None}, [detached]
    )
    yield case("outside", tokens.SUBNET, "subnet_cidr", {"cidrBlock": "10.1.9.0/24"})
    yield case("overlapping", tokens.SUBNET, "subnet_cidr", {"cidrBlock": "10.0.1.128/25"})
    yield case("too small", tokens.SUBNET, "subnet_cidr", {"cidrBlock": "10.0.9.0/29"}, {"cidrBlock": "10.0.9.0/28"})
    yield case("unaligned", tokens.SUBNET, "subnet_cidr", {"cidrBlock": "10.0.9.1/24"})
    yield case("elsewhere", tokens.SUBNET, "subnet_zone", {"availabilityZone": "us-west-2a"})
    yield case("a region", tokens.SUBNET, "subnet_zone", {"availabilityZone": "us-east-1"})
    yield case("outside", tokens.CIDR_RESERVATION, "cidr_reservation", {"cidrBlock": "10.0.2.16/28"})
    yield case(
        "unaligned",
        tokens.CIDR_RESERVATION,
        "cidr_reservation",
        {"cidrBlock": "10.0.1.17/28"},
        {"cidrBlock": "2001:db8::/80"},
    )
    twin = [
        existing(tokens.VPC, "vpc-twin", cidrBlock="10.0.0.0/16"),
        existing(tokens.SUBNET, "subnet-twin", vpcId="vpc-twin", cidrBlock="10.0.3.0/24"),
        existing(tokens.SUBNET, "subnet-native", vpcId="vpc-twin", ipv6Native=True),
        existing(tokens.CIDR_RESERVATION, "scr-twin", subnetId="subnet-twin", cidrBlock="10.0.1.16/28"),
    ]
    in_twin = {"vpcId": "vpc-twin", "cidrBlock": "10.0.2.0/24"}
    yield case("beside a twin", tokens.SUBNET, "subnet_cidr", {"cidrBlock": "10.0.3.0/24"}, in_twin, twin)
    yield case("beside a twin", tokens.CIDR_RESERVATION, "cidr_reservation", {"cidrBlock": "10.0.1.0/23"}, also=twin)
    reserved = existing(tokens.CIDR_RESERVATION, "scr-1", subnetId="subnet-a", cidrBlock="10.0.1.32/28")
    yield case("taken", tokens.CIDR_RESERVATION, "cidr_reservation", {"cidrBlock": "10.0.1.32/27"}, also=[reserved])
    yield case("public without", tokens.NAT_GATEWAY, "nat_gateway_address", {"allocationId": None})
    private: Inputs = {"connectivityType": "private", "allocationId": None, "secondaryPrivateIpAddressCount": 1}
    yield case("private with", tokens.NAT_GATEWAY, "nat_gateway_address", {"allocationId": "eipalloc-1"}, private)
    yield case(
        "regional with", tokens.NAT_GATEWAY, "nat_gateway_address", {"allocationId": "eipalloc-1"}, REGIONAL_NAT
    )
    yield case("counted", tokens.NAT_GATEWAY, "nat_gateway_address", {"secondaryPrivateIpAddressCount": 1})
    yield case("used", tokens.NAT_GATEWAY, "allocation_once", {"allocationId": "eipalloc-used"})
    yield case("twice", tokens.NAT_GATEWAY, "allocation_once", {"secondaryAllocationIds": ["eipalloc-1"]})
    associated = inputs(tokens.EIP, {"networkInterface": "eni-1"})
    nat = existing(tokens.NAT_GATEWAY, "nat-2", subnetId="subnet-b", allocationId="eipalloc-3")
    yield Case(
        "used", tokens.EIP, "checks.allocation_once", inputs(tokens.EIP), associated, [*WORLD, nat], id="eipalloc-3"
    )
    yield case("reserved", tokens.NAT_GATEWAY, "private_address", {"privateIp": "10.0.1.3"})
    routes = [
        existing(tokens.ROUTE, "r-1", **inputs(tokens.ROUTE, {"destinationCidrBlock": "10.9.0.0/16"})),
        existing(
            tokens.ROUTE,
            "r-2",
            **inputs(tokens.ROUTE, {"destinationCidrBlock": "10.8.0.0/16", "routeTableId": "rtb-far"}),
        ),
    ]
    to_far, to_taken = {"destinationCidrBlock": "10.8.0.0/16"}, {"destinationCidrBlock": "10.9.0.0/16"}
    yield case("taken", tokens.ROUTE, "route_destination", to_taken, to_far, routes)
    to_six: Inputs = {"destinationCidrBlock": None, "destinationIpv6CidrBlock": "::/0"}
    yield case(
        "unaligned IPv6", tokens.ROUTE, "route_destination", {"destinationIpv6CidrBlock": "2001:db8::1/64"}, to_six
    )
    yield case("unaligned", tokens.ROUTE, "route_destination", {"destinationCidrBlock": "10.9.0.1/16"})
    inline = existing(tokens.ROUTE_TABLE, "rtb-inline", vpcId="vpc-1", routes=[{"cidrBlock": "0.0.0.0/0"}])
    yield case("beside inline", tokens.ROUTE, "inline_routes", {"routeTableId": "rtb-inline"}, also=[inline])
    yield case("far gateway", tokens.ROUTE, "same_vpc", {"routeTableId": "rtb-far"})
    far_nat = existing(tokens.NAT_GATEWAY, "nat-far", subnetId="subnet-far")
    near: Inputs = {"gatewayId": None, "natGatewayId": "nat-1"}
    yield case("far NAT gateway", tokens.ROUTE, "same_vpc", {"natGatewayId": "nat-far"}, near, [far_nat])
    yield Case(
        "beside separate",
        tokens.ROUTE_TABLE,
        "checks.inline_routes",
        inputs(tokens.ROUTE_TABLE),
        inputs(tokens.ROUTE_TABLE, {"routes": [{"cidrBlock": "0.0.0.0/0", "gatewayId": "igw-1"}]}),
        [*WORLD, existing(tokens.ROUTE, "r-1", **inputs(tokens.ROUTE, {"routeTableId": "rtb-2"}))],
        id="rtb-2",
    )
    association = existing(tokens.ROUTE_TABLE_ASSOCIATION, "rtbassoc-1", routeTableId="rtb-1", subnetId="subnet-b")
    yield case(
        "second", tokens.ROUTE_TABLE_ASSOCIATION, "association_once", {"subnetId": "subnet-b"}, also=[association]
    )
    yield case("far subnet", tokens.ROUTE_TABLE_ASSOCIATION, "same_vpc", {"subnetId": "subnet-far"})
    yield case("silent", FLOW_LOG, "flow_log", {"trafficType": None})
    yield case("no role", FLOW_LOG, "flow_log", {"iamRoleArn": None})
    yield case("missing", FLOW_LOG, "flow_log", {"logDestination": LOG_GROUP_ARN + "2"})
    role = {"iamRoleArn": BASES[FLOW_LOG]["iamRoleArn"]}
    to_bucket: Inputs = {
        "logDestinationType": "s3",
        "logDestination": "arn:aws:s3:::far-bucket/flows/",
        "iamRoleArn": None,
    }
    far_bucket = Resource(tokens.BUCKET, "far-bucket", "urn", "us-west-2", {"arn": "arn:aws:s3:::far-bucket"})
    yield case("role for a bucket", FLOW_LOG, "flow_log", role, to_bucket, [far_bucket])
    to_stream: Inputs = {
        "logDestinationType": "kinesis-data-firehose",
        "logDestination": "arn:aws:firehose:us-east-1::deliverystream/flows",
        "iamRoleArn": None,
    }
    yield case("role for a stream", FLOW_LOG, "flow_log", role, to_stream)
    transit: Inputs = {"vpcId": None, "transitGatewayId": "tgw-1", "trafficType": None}
    yield case("silent about a VPC", FLOW_LOG, "flow_log", {"vpcId": "vpc-1", "transitGatewayId": None}, transit)
    yield case("outside", tokens.NETWORK_INTERFACE, "private_address", {"privateIps": ["10.0.2.20"]})
    yield case("first four", tokens.NETWORK_INTERFACE, "private_address", {"privateIps": ["10.0.1.3"]})
    yield case("last", tokens.NETWORK_INTERFACE, "private_address", {"privateIps": ["10.0.1.255"]})
    yield case("in use", tokens.NETWORK_INTERFACE, "private_address", {"privateIps": ["10.0.1.10"]})
    yield case("no address", tokens.NETWORK_INTERFACE, "private_address", {"privateIps": ["10.0.1"]})
    yield case("far group", tokens.NETWORK_INTERFACE, "same_vpc", {"securityGroups": ["sg-far"]})
