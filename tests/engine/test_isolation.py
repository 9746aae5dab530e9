"""Failure isolation and reachability, read off what both stacks deployed: zones, and what the internet reaches."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Generator
from pathlib import Path

import pytest

from configs.tables.flows import HTTP, HTTPS
from offline.checks.common import values_at
from offline.cloud import Cloud, Resource
from offline.result import OfflineResult
from tests.engine.conftest import stack_of

Deployed = tuple[Path, dict[str, OfflineResult]]
SERVING = ["us-east-1", "us-west-2"]
SUBNET, GROUP = "aws:ec2/subnet:Subnet", "aws:ec2/securityGroup:SecurityGroup"
INGRESS = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
INTERFACE, INSTANCE = "aws:ec2/networkInterface:NetworkInterface", "aws:ec2/instance:Instance"


@pytest.fixture(scope="module")
def cloud(deployed: Deployed) -> Generator[Cloud, None, None]:
    """The cloud with both stacks in it."""
    opened = stack_of("prod", deployed[0]).cloud()
    yield opened
    opened.close()


def zone_of(cloud: Cloud, subnet: str) -> str:
    found = cloud.find(SUBNET, value=subnet)
    assert found is not None
    return str(found.inputs["availabilityZone"])


def named(resource: Resource) -> str:
    return resource.urn.rpartition("::")[2]


@pytest.mark.parametrize("region", SERVING)
def test_a_quorum_survives_any_one_zone(region: str, cloud: Cloud) -> None:
    """Two servers of three, or both load balancers, in one zone."""
    zones: dict[str, list[str]] = defaultdict(list)
    for interface in cloud.all(INTERFACE, region=region):
        group = "control-plane" if "control-plane" in named(interface) else "balancer"
        zones[group].append(zone_of(cloud, interface.inputs["subnetId"]))
    assert Counter(map(len, zones.values())) == {3: 1, 2: 1}
    for machines in zones.values():
        assert max(Counter(machines).values()) == 1, machines
    for volume in cloud.all("aws:ebs/volume:Volume", region=region):
        assert volume.inputs["availabilityZone"] in zones["control-plane"]


@pytest.mark.parametrize("region", SERVING)
def test_every_group_of_subnets_has_three_zones(region: str, cloud: Cloud) -> None:
    """A database, a file system or a pool of workers that one zone takes with it."""
    groups = {
        named(found): [subnet for _, subnet in values_at(found.inputs, path)]
        for kind, path in (
            ("aws:rds/subnetGroup:SubnetGroup", "subnetIds[]"),
            ("aws:autoscaling/group:Group", "vpcZoneIdentifiers[]"),
            ("aws:lb/loadBalancer:LoadBalancer", "subnetMappings[].subnetId"),
        )
        for found in cloud.all(kind, region=region)
    }
    mounts = cloud.all("aws:efs/mountTarget:MountTarget", region=region)
    groups["mounts"] = [mount.inputs["subnetId"] for mount in mounts]
    assert len(groups) == 4
    for name, members in groups.items():
        assert len({zone_of(cloud, subnet) for subnet in members}) == len(members) == 3, name


@pytest.mark.parametrize("region", SERVING)
def test_no_zone_leaves_through_another(region: str, cloud: Cloud) -> None:
    """A zone whose loss takes another zone's way out."""
    gateways = {gateway.id: gateway for gateway in cloud.all("aws:ec2/natGateway:NatGateway", region=region)}
    tables = {
        route.inputs["routeTableId"]: gateways[route.inputs["natGatewayId"]]
        for route in cloud.all("aws:ec2/route:Route", region=region)
        if "natGatewayId" in route.inputs
    }
    served = 0
    for association in cloud.all("aws:ec2/routeTableAssociation:RouteTableAssociation", region=region):
        gateway = tables.get(association.inputs["routeTableId"])
        if gateway is not None:
            zone = zone_of(cloud, association.inputs["subnetId"])
            assert zone_of(cloud, gateway.inputs["subnetId"]) == zone
            served += 1
    assert served == len(gateways) == 3


def test_replicas_of_the_database_are_spread(cloud: Cloud) -> None:
    """Two readable replicas that one zone takes with it."""
    databases = list(cloud.all("aws:rds/instance:Instance", region="us-east-1"))
    replicas = [database for database in databases if "replicateSourceDb" in database.inputs]
    assert len(replicas) == len({replica.inputs["availabilityZone"] for replica in replicas}) == 2
    [primary] = [database for database in databases if database not in replicas]
    assert primary.inputs["multiAz"] is True


def test_only_the_load_balancers_have_public_addresses(cloud: Cloud) -> None:
    """A server or a database on the internet."""
    assert not [subnet for subnet in cloud.all(SUBNET) if subnet.inputs.get("mapPublicIpOnLaunch")]
    for instance in cloud.all(INSTANCE):
        assert not instance.inputs.get("associatePublicIpAddress"), instance.urn
    for template in cloud.all("aws:ec2/launchTemplate:LaunchTemplate"):
        public = values_at(template.inputs, "networkInterfaces[].associatePublicIpAddress")
        assert [value for _, value in public if str(value).lower() == "true"] == []
    for database in cloud.all("aws:rds/instance:Instance"):
        assert database.inputs["publiclyAccessible"] is False, database.urn
    used = {
        address
        for kind, path in (
            ("aws:lb/loadBalancer:LoadBalancer", "subnetMappings[].allocationId"),
            ("aws:ec2/natGateway:NatGateway", "allocationId"),
        )
        for found in cloud.all(kind)
        for _, address in values_at(found.inputs, path)
    }
    assert used == {address.id for address in cloud.all("aws:ec2/eip:Eip")}


def test_the_internet_reaches_two_ports_of_the_load_balancer(cloud: Cloud) -> None:
    """Anything else that answers the whole internet."""
    opened = [rule for rule in cloud.all(INGRESS) if {"cidrIpv4", "cidrIpv6"} & rule.inputs.keys()]
    assert len(opened) == 4
    for rule in opened:
        group = cloud.find(GROUP, value=rule.inputs["securityGroupId"])
        assert group is not None
        assert group.inputs["name"] == "mlops-network-load-balancer"
        assert rule.inputs["fromPort"] == rule.inputs["toPort"]
        assert rule.inputs["fromPort"] in (HTTP.port, HTTPS.port)
