"""LoadBalancerPair: one static address a zone, kept when everything else goes, and two nodes behind them."""

from typing import Any

import pulumi
import pulumi_aws as aws
import pytest

from components.load_balancer_pair import LoadBalancerPair, LoadBalancerPairArgs
from components.machine import Launch
from configs.nodes import load_balancers
from configs.tables.names import Names
from tests.unit.mocks import REGIONS, Run, run_in_region, stack_settings

ACTIVE, PASSIVE = load_balancers(stack_settings("prod"))
FLOWS = {"https": 443, "http": 80, "health": 8443}
MACHINE_KINDS = {"NetworkInterface", "BucketObjectv2", "Instance", "TargetGroupAttachment"}


def no_gate(_: pulumi.ResourceHookArgs) -> None:
    """Let everything pass."""


def pair(region: str = "us-west-2", protect: bool = True) -> Run:
    names = Names("mlops", "123456789012", region)

    def program(opts: pulumi.ResourceOptions) -> None:
        built = LoadBalancerPair(
            "way-in",
            LoadBalancerPairArgs(
                names=names,
                zones=("z1", "z2", "z3"),
                public_subnet_ids=("subnet-1", "subnet-2", "subnet-3"),
                security_group_id="sg-1",
                internet_gateway=aws.ec2.InternetGateway("gateway", opts=opts),
                vpc_id="vpc-1",
                nodes=(ACTIVE, PASSIVE),
                bundles={ACTIVE.name: "haproxy's bundle", PASSIVE.name: "nginx's bundle"},
                launch=Launch("ami-1", "profile", "key-arn", "#!/bin/sh", "bundles"),
                instance_type="c6in.xlarge",
                node_subnet_ids=("private-1", "private-2", "private-3"),
                node_security_group_id="sg-2",
                gates={node.name: pulumi.ResourceHook(f"gate of {node.name}", no_gate) for node in (ACTIVE, PASSIVE)},
                protect=protect,
            ),
            opts,
        )
        pulumi.export("endpoint", {"dnsName": built.endpoint.dns_name, "zoneId": built.endpoint.zone_id})
        pulumi.export("addresses", built.addresses)
        pulumi.export("instanceIds", built.instance_ids)
        pulumi.export("suffixes", {"balancer": built.load_balancer_suffix, **built.target_group_suffixes})

    return run_in_region(program, region)


def target_group(flow: str) -> dict[str, Any]:
    return {
        "name": f"mlops-{flow}",
        "vpcId": "vpc-1",
        "targetType": "instance",
        "protocol": "TCP",
        "port": FLOWS[flow],
        "healthCheck": {
            "protocol": "HTTPS",
            "port": "8443",
            "path": "/healthz",
            "matcher": "200",
            "interval": 10,
            "timeout": 5,
            "healthyThreshold": 2,
            "unhealthyThreshold": 2,
        },
        "deregistrationDelay": 90,
        "targetHealthStates": [{"enableUnhealthyConnectionTermination": False}],
        "tags": {"Name": f"way-in-{flow}"},
    }


def listener(flow: str) -> dict[str, Any]:
    return {
        "loadBalancerArn": "LoadBalancer way-in-network arn",
        "protocol": "TCP",
        "port": FLOWS[flow],
        "defaultActions": [{"type": "forward", "targetGroupArn": f"TargetGroup way-in-{flow} arn"}],
        "tags": {"Name": f"way-in-{flow}"},
    }


@pytest.mark.parametrize("protect", [True, False])
def test_every_resource_is_exactly_the_plan(protect: bool) -> None:
    """Guards against a zone without an address, a group with a health of its own, and resets on failing back."""
    planned = pair(protect=protect).inputs_by_type()
    assert {kind: of for kind, of in planned.items() if kind.rpartition(":")[2] not in MACHINE_KINDS} == {
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
        "aws:lb/targetGroup:TargetGroup": {f"way-in-{flow}": target_group(flow) for flow in FLOWS},
        "aws:lb/listener:Listener": {f"way-in-{flow}": listener(flow) for flow in FLOWS},
    }


def test_both_nodes_are_targets_of_every_group() -> None:
    """Guards against a port that only one node serves: it would be gone with that node."""
    assert pair().inputs("TargetGroupAttachment") == {
        f"way-in-{node}-{flow}": {
            "targetGroupArn": f"TargetGroup way-in-{flow} arn",
            "targetId": f"Instance way-in-{node}-instance id",
        }
        for node in ("load-balancer-haproxy", "load-balancer-nginx")
        for flow in FLOWS
    }


def test_nodes_are_two_machines_in_two_zones_without_data() -> None:
    """Guards against a pair that is lost with one zone, and a node with the other's configuration or address."""
    run = pair()
    assert run.of("Volume") == {}
    assert [
        (name, one["subnetId"], one["securityGroups"], one["privateIps"])
        for name, one in sorted(run.inputs("NetworkInterface").items())
    ] == [
        ("way-in-load-balancer-haproxy-interface", "private-1", ["sg-2"], [str(ACTIVE.address)]),
        ("way-in-load-balancer-nginx-interface", "private-2", ["sg-2"], [str(PASSIVE.address)]),
    ]
    assert {one["key"]: one["content"] for one in run.inputs("BucketObjectv2").values()} == {
        "bundles/load-balancer-haproxy.json": "haproxy's bundle",
        "bundles/load-balancer-nginx.json": "nginx's bundle",
    }
    assert {one["instanceType"] for one in run.inputs("Instance").values()} == {"c6in.xlarge"}


def test_the_passive_node_is_changed_before_the_active_one() -> None:
    """Guards against a bad change that meets the node which serves, or both at once."""
    bundles = {name: one.depends_on for name, one in pair().of("BucketObjectv2").items()}
    passive = "way-in-load-balancer-nginx"
    assert bundles == {
        f"{passive}-bundle": frozenset(),
        "way-in-load-balancer-haproxy-bundle": {
            f"Instance {passive}-instance",
            *(f"TargetGroupAttachment {passive}-{flow}" for flow in FLOWS),
        },
    }


def test_each_node_has_its_own_gate() -> None:
    """Guards against a gate that looks at the node which is about to change instead of at its peer."""
    run = pair()
    for node in (ACTIVE, PASSIVE):
        gates = {
            gate
            for one in run.resources
            if one.parent == f"Machine way-in-{node.name}"
            for names in one.hooks.values()
            for gate in names
        }
        assert gates == {f"gate of {node.name}"}


@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize("protect", [True, False])
def test_addresses_are_protected_and_all_is_in_its_region(region: str, protect: bool) -> None:
    """Guards against losing the addresses that clients know, and against a resource in another region."""
    run = pair(region, protect)
    made = [one for one in run.resources if one.name != "gateway"]
    assert {one.provider for one in made} == {f"aws {region}"}
    assert {one.parent for one in made} == {
        "LoadBalancerPair way-in",
        "Machine way-in-load-balancer-haproxy",
        "Machine way-in-load-balancer-nginx",
    }
    assert {one.kind for one in made if one.protect} == (
        {"Eip", "LoadBalancer", "NetworkInterface"} if protect else set()
    )
    assert {(one.type.rpartition(":")[2], one.parent) for one in run.everything if one.type.startswith("mlops:")} == {
        ("LoadBalancerPair", f"Region {region}"),
        ("Machine", "LoadBalancerPair way-in"),
    }


def test_names_of_target_groups_are_short_enough() -> None:
    """Guards against the longest platform name that the settings allow: AWS takes 32 characters."""
    for flow in FLOWS:
        assert len(Names("a" * 12, "123456789012", "us-east-1").regional(flow)) <= 32


def test_waits_for_the_internet_gateway() -> None:
    """Guards against a first deployment that AWS refuses: no public load balancer without an internet gateway."""
    assert pair().of("LoadBalancer")["way-in-network"].depends_on == {"InternetGateway gateway"}


def test_hands_on_what_dns_alarms_and_people_need() -> None:
    """Guards against aliases that point at the wrong name or zone, and alarms on the wrong group or machine."""
    run = pair()
    addresses = [f"Eip way-in-z{zone} publicIp" for zone in (1, 2, 3)]
    balancer = "LoadBalancer way-in-network"
    assert run.outputs["Stack mlops-ha-prod"] == {
        "endpoint": {"dnsName": f"{balancer} dnsName", "zoneId": f"{balancer} zoneId"},
        "addresses": addresses,
        "instanceIds": {node.name: f"Instance way-in-{node.name}-instance id" for node in (ACTIVE, PASSIVE)},
        "suffixes": {
            "balancer": f"{balancer} arnSuffix",
            **{flow: f"TargetGroup way-in-{flow} arnSuffix" for flow in FLOWS},
        },
    }
    assert run.outputs["LoadBalancerPair way-in"] == {"dnsName": f"{balancer} dnsName", "addresses": addresses}
