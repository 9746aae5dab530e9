"""Network: three zones that share nothing, and nothing public by accident."""

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

import pulumi
import pulumi_aws as aws
import pytest

from components.network import Network, NetworkArgs
from configs.settings.model import NetworkSettings
from configs.tables.addresses import Tier
from configs.tables.names import Names
from tests.unit.mocks import REGIONS, Run, run_in_region, stack_settings

ZONES = ("us-west-2a", "us-west-2b", "us-west-2c")
VPC_ID = "Vpc net-vpc id"


def network_args(
    region: str = "us-west-2", protect: bool = True, nat_per_zone: bool = True, days: int = 30
) -> NetworkArgs:
    return NetworkArgs(
        stack_settings({"us-east-1": "prod", "us-west-2": "dr"}[region]).location,
        NetworkSettings.model_validate({"natGatewayPerZone": nat_per_zone, "flowLogDays": days}),
        Names("mlops", "123456789012", region),
        "arn:key",
        protect,
    )


@cache
def network(region: str = "us-west-2", **changes: Any) -> Run:
    return run_in_region(lambda opts: Network("net", network_args(region, **changes), opts), region)


def tagged(label: str, **inputs: Any) -> dict[str, Mapping[str, Any]]:
    return {label: {"tags": {"Name": label}, **inputs}}


def subnet(tier: str, zone: str, cidr: str) -> dict[str, Mapping[str, Any]]:
    return tagged(
        f"net-{tier}-{zone}", vpcId=VPC_ID, availabilityZone=zone, cidrBlock=cidr, mapPublicIpOnLaunch=False
    )


def reservation(zone: str, cidr: str) -> dict[str, Mapping[str, Any]]:
    return {
        f"net-private-{zone}-fixed": {
            "subnetId": f"Subnet net-private-{zone} id",
            "cidrBlock": cidr,
            "reservationType": "explicit",
            "description": "fixed addresses of servers and load balancers",
        }
    }


def association(tier: str, zone: str, table: str) -> dict[str, Mapping[str, Any]]:
    return {
        f"net-{tier}-{zone}": {
            "subnetId": f"Subnet net-{tier}-{zone} id",
            "routeTableId": f"RouteTable net-{table} id",
        }
    }


def default_route(table: str, **way_out: str) -> dict[str, Mapping[str, Any]]:
    return {
        f"net-{table}-default": {
            "routeTableId": f"RouteTable net-{table} id",
            "destinationCidrBlock": "0.0.0.0/0",
            **way_out,
        }
    }


def with_policies_read(inputs: Mapping[str, Any]) -> Mapping[str, Any]:
    """Policies are compared as documents, not as text."""
    return {
        name: json.loads(value) if "olicy" in name and isinstance(value, str) else value
        for name, value in inputs.items()
    }


def test_every_resource_is_exactly_the_plan() -> None:
    """Guards against a subnet, route, reservation or log that nobody planned, and against a forgotten one."""
    a, b, c = ZONES
    registered = {
        kind: {name: with_policies_read(inputs) for name, inputs in resources.items()}
        for kind, resources in network().inputs_by_type().items()
    }
    assert registered == {
        "aws:ec2/vpc:Vpc": tagged(
            "net-vpc", cidrBlock="10.20.0.0/16", enableDnsHostnames=True, enableDnsSupport=True
        ),
        # Without any rule: the group that AWS gives to whatever names none lets nothing in and nothing out.
        "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup": tagged("net-unused", vpcId=VPC_ID),
        "aws:ec2/subnet:Subnet": {
            **subnet("private", a, "10.20.0.0/18"),
            **subnet("private", b, "10.20.64.0/18"),
            **subnet("private", c, "10.20.128.0/18"),
            **subnet("public", a, "10.20.192.0/22"),
            **subnet("public", b, "10.20.196.0/22"),
            **subnet("public", c, "10.20.200.0/22"),
            **subnet("data", a, "10.20.208.0/22"),
            **subnet("data", b, "10.20.212.0/22"),
            **subnet("data", c, "10.20.216.0/22"),
        },
        "aws:ec2/subnetCidrReservation:SubnetCidrReservation": {
            **reservation(a, "10.20.0.16/28"),
            **reservation(b, "10.20.64.16/28"),
            **reservation(c, "10.20.128.16/28"),
        },
        "aws:ec2/internetGateway:InternetGateway": tagged("net-internet", vpcId=VPC_ID),
        "aws:ec2/eip:Eip": {
            **tagged(f"net-nat-{a}", domain="vpc"),
            **tagged(f"net-nat-{b}", domain="vpc"),
            **tagged(f"net-nat-{c}", domain="vpc"),
        },
        "aws:ec2/natGateway:NatGateway": {
            **tagged(f"net-nat-{a}", allocationId=f"Eip net-nat-{a} id", subnetId=f"Subnet net-public-{a} id"),
            **tagged(f"net-nat-{b}", allocationId=f"Eip net-nat-{b} id", subnetId=f"Subnet net-public-{b} id"),
            **tagged(f"net-nat-{c}", allocationId=f"Eip net-nat-{c} id", subnetId=f"Subnet net-public-{c} id"),
        },
        "aws:ec2/routeTable:RouteTable": {
            **tagged("net-public", vpcId=VPC_ID),
            **tagged("net-data", vpcId=VPC_ID),
            **tagged(f"net-private-{a}", vpcId=VPC_ID),
            **tagged(f"net-private-{b}", vpcId=VPC_ID),
            **tagged(f"net-private-{c}", vpcId=VPC_ID),
        },
        "aws:ec2/route:Route": {
            **default_route("public", gatewayId="InternetGateway net-internet id"),
            **default_route(f"private-{a}", natGatewayId=f"NatGateway net-nat-{a} id"),
            **default_route(f"private-{b}", natGatewayId=f"NatGateway net-nat-{b} id"),
            **default_route(f"private-{c}", natGatewayId=f"NatGateway net-nat-{c} id"),
        },
        "aws:ec2/routeTableAssociation:RouteTableAssociation": {
            **association("public", a, "public"),
            **association("public", b, "public"),
            **association("public", c, "public"),
            **association("private", a, f"private-{a}"),
            **association("private", b, f"private-{b}"),
            **association("private", c, f"private-{c}"),
            **association("data", a, "data"),
            **association("data", b, "data"),
            **association("data", c, "data"),
        },
        "aws:cloudwatch/logGroup:LogGroup": tagged(
            "net-flow-logs", name="/mlops/flow-logs", retentionInDays=30, kmsKeyId="arn:key"
        ),
        "aws:iam/role:Role": tagged(
            "net-flow-logs",
            name="mlops-us-west-2-flow-logs",
            assumeRolePolicy={
                "Version": "2012-10-17",
                "Statement": [
                    {
                        "Sid": "Assume",
                        "Effect": "Allow",
                        "Principal": {"Service": "vpc-flow-logs.amazonaws.com"},
                        "Action": ["sts:AssumeRole"],
                        "Condition": {"StringEquals": {"aws:SourceAccount": "123456789012"}},
                    }
                ],
            },
        ),
        "aws:iam/rolePolicy:RolePolicy": {
            "net-flow-logs": {
                "name": "write-flow-logs",
                "role": "mlops-us-west-2-flow-logs",
                "policy": {
                    "Version": "2012-10-17",
                    "Statement": [
                        {
                            "Sid": "WriteFlowLogs",
                            "Effect": "Allow",
                            "Action": ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"],
                            "Resource": ["LogGroup net-flow-logs arn", "LogGroup net-flow-logs arn:*"],
                        },
                        {
                            "Sid": "FindTheGroup",
                            "Effect": "Allow",
                            "Action": ["logs:DescribeLogGroups"],
                            "Resource": ["*"],
                        },
                    ],
                },
            }
        },
        "aws:ec2/flowLog:FlowLog": tagged(
            "net-flow-logs",
            vpcId=VPC_ID,
            trafficType="ALL",
            logDestinationType="cloud-watch-logs",
            logDestination="LogGroup net-flow-logs arn",
            iamRoleArn="Role net-flow-logs arn",
        ),
    }


@pytest.mark.parametrize("region", REGIONS)
def test_everything_is_the_networks_in_its_parents_region(region: str) -> None:
    """Guards against a resource that lands in another region, or outside of its component."""
    run = network(region)
    assert {(one.parent, one.provider) for one in run.resources} == {("Network net", f"aws {region}")}
    (component,) = [one for one in run.everything if one.type == "mlops:platform:Network"]
    assert component.parent == f"Region {region}"
    assert run.outputs["Network net"] == {"vpcId": VPC_ID}


@pytest.mark.parametrize("protect", [True, False])
def test_exactly_the_addresses_are_protected(protect: bool) -> None:
    """Guards against losing addresses that others allowed, and against a network that cannot be taken down."""
    protected = {f"net-nat-{zone}" for zone in ZONES} if protect else set[str]()
    assert {one.name for one in network(protect=protect).resources if one.protect} == protected
    assert {one.kind for one in network(protect=protect).resources if one.protect} == ({"Eip"} if protect else set())


def test_waits_are_exact() -> None:
    """Guards against what AWS refuses while its forerunner is missing, and against waits nobody needs."""
    waits = {(one.kind, one.depends_on) for one in network().resources if one.depends_on}
    assert waits == {
        ("NatGateway", frozenset({"InternetGateway net-internet"})),
        ("FlowLog", frozenset({"RolePolicy net-flow-logs"})),
    }


def test_machine_waits_for_the_reservation_of_its_subnet() -> None:
    """Guards against a machine that takes a fixed address before the address is reserved."""

    def program(opts: pulumi.ResourceOptions) -> None:
        built = Network("net", network_args(), opts)
        for zone, subnet_id in zip(ZONES, built.subnet_ids[Tier.PRIVATE], strict=True):
            aws.ec2.NetworkInterface(zone, subnet_id=subnet_id, opts=opts)

    assert {name: one.waits_for for name, one in run_in_region(program).of("NetworkInterface").items()} == {
        zone: {f"SubnetCidrReservation net-private-{zone}-fixed"} for zone in ZONES
    }


def test_no_zone_takes_another_zones_way_out_with_it() -> None:
    """Guards against a zone whose loss cuts off a second one: table, gateway and its subnet share a zone."""
    run = network()
    subnets = run.inputs("Subnet")
    gateways = run.inputs("NatGateway")
    tables = {one["subnetId"]: one["routeTableId"] for one in run.inputs("RouteTableAssociation").values()}
    ways = {one["routeTableId"]: one["natGatewayId"] for one in run.inputs("Route").values() if "natGatewayId" in one}
    for zone in ZONES:
        gateway = ways[tables[f"Subnet net-private-{zone} id"]].removeprefix("NatGateway ").removesuffix(" id")
        behind = gateways[gateway]["subnetId"].removeprefix("Subnet ").removesuffix(" id")
        assert subnets[behind]["availabilityZone"] == zone


def test_one_gateway_serves_all_zones_when_asked() -> None:
    """Guards against gateways that are paid for though switched off, and against a zone left without a way out."""
    run = network(nat_per_zone=False)
    assert run.of("NatGateway").keys() == run.of("Eip").keys() == {"net-nat-us-west-2a"}
    assert {name: one.get("natGatewayId") for name, one in run.inputs("Route").items()} == {
        "net-public-default": None,
        "net-private-us-west-2a-default": "NatGateway net-nat-us-west-2a id",
        "net-private-us-west-2b-default": "NatGateway net-nat-us-west-2a id",
        "net-private-us-west-2c-default": "NatGateway net-nat-us-west-2a id",
    }


@pytest.mark.parametrize("nat_per_zone", [True, False])
def test_data_subnets_have_no_way_out(nat_per_zone: bool) -> None:
    """Guards against a route from the database's subnets to the internet."""
    run = network(nat_per_zone=nat_per_zone)
    data_tables = {
        one["routeTableId"]
        for one in run.inputs("RouteTableAssociation").values()
        if one["subnetId"].startswith("Subnet net-data-")
    }
    assert data_tables == {"RouteTable net-data id"}
    assert not data_tables & {one["routeTableId"] for one in run.inputs("Route").values()}


def test_flow_logs_are_kept_as_long_as_set() -> None:
    """Guards against a retention that is the default whatever the stack file says."""
    assert network(days=90).inputs("LogGroup")["net-flow-logs"]["retentionInDays"] == 90
