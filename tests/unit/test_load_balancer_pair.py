"""LoadBalancerPair: one static address a zone, kept when everything else goes."""

import pulumi
import pulumi_aws as aws
import pytest

from components.load_balancer_pair import LoadBalancerPair, LoadBalancerPairArgs
from configs.tables.names import Names
from tests.unit.mocks import REGIONS, Run, run_in_region


def pair(region: str = "us-west-2", protect: bool = True) -> Run:
    def program(opts: pulumi.ResourceOptions) -> None:
        built = LoadBalancerPair(
            "way-in",
            LoadBalancerPairArgs(
                names=Names("mlops", "123456789012", region),
                zones=("z1", "z2", "z3"),
                public_subnet_ids=("subnet-1", "subnet-2", "subnet-3"),
                security_group_id="sg-1",
                internet_gateway=aws.ec2.InternetGateway("gateway", opts=opts),
                protect=protect,
            ),
            opts,
        )
        pulumi.export("endpoint", {"dnsName": built.endpoint.dns_name, "zoneId": built.endpoint.zone_id})
        pulumi.export("addresses", built.addresses)

    return run_in_region(program, region)


@pytest.mark.parametrize("protect", [True, False])
def test_every_resource_is_exactly_the_plan(protect: bool) -> None:
    """Guards against a zone without an address, a load balancer without its group, and one that cannot go."""
    assert pair(protect=protect).inputs_by_type() == {
        "aws:ec2/internetGateway:InternetGateway": {"gateway": {}},
        "aws:ec2/eip:Eip": {
            "way-in-z1": {"domain": "vpc", "tags": {"Name": "way-in-z1"}},
            "way-in-z2": {"domain": "vpc", "tags": {"Name": "way-in-z2"}},
            "way-in-z3": {"domain": "vpc", "tags": {"Name": "way-in-z3"}},
        },
        "aws:lb/loadBalancer:LoadBalancer": {
            "way-in-network": {
                "name": "mlops-network",
                "loadBalancerType": "network",
                "internal": False,
                "securityGroups": ["sg-1"],
                "enableCrossZoneLoadBalancing": True,
                "enableDeletionProtection": protect,
                "subnetMappings": [
                    {"subnetId": "subnet-1", "allocationId": "Eip way-in-z1 id"},
                    {"subnetId": "subnet-2", "allocationId": "Eip way-in-z2 id"},
                    {"subnetId": "subnet-3", "allocationId": "Eip way-in-z3 id"},
                ],
                "tags": {"Name": "way-in-network"},
            }
        },
    }


@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize("protect", [True, False])
def test_all_of_it_is_protected_and_in_its_region(region: str, protect: bool) -> None:
    """Guards against losing the addresses that clients know, and against a resource in another region."""
    run = pair(region, protect)
    assert {(one.parent, one.provider, one.protect) for one in run.resources if one.name != "gateway"} == {
        ("LoadBalancerPair way-in", f"aws {region}", protect)
    }
    component = [one for one in run.everything if one.type == "mlops:platform:LoadBalancerPair"]
    assert [one.parent for one in component] == [f"Region {region}"]


def test_waits_for_the_internet_gateway() -> None:
    """Guards against a first deployment that AWS refuses: no public load balancer without an internet gateway."""
    assert {one.name: one.depends_on for one in pair().resources if one.depends_on} == {
        "way-in-network": {"InternetGateway gateway"}
    }


def test_hands_on_what_dns_and_people_need() -> None:
    """Guards against aliases that point at the wrong name or zone."""
    run = pair()
    addresses = [f"Eip way-in-z{zone} publicIp" for zone in (1, 2, 3)]
    balancer = "LoadBalancer way-in-network"
    assert run.outputs["Stack mlops-ha-prod"] == {
        "endpoint": {"dnsName": f"{balancer} dnsName", "zoneId": f"{balancer} zoneId"},
        "addresses": addresses,
    }
    assert run.outputs["LoadBalancerPair way-in"] == {"dnsName": f"{balancer} dnsName", "addresses": addresses}
