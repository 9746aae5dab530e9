"""Endpoints: AWS APIs that a node needs to start, reached without a NAT gateway."""

from collections.abc import Mapping
from typing import Any

import pytest

from components.endpoints import Endpoints, EndpointsArgs
from tests.unit.mocks import REGIONS, Run, run_in_region


def endpoints(region: str = "us-west-2", interface_endpoints: bool = True) -> Run:
    args = EndpointsArgs(
        region=region,
        vpc_id="vpc-1",
        subnet_ids=["subnet-a", "subnet-b", "subnet-c"],
        route_table_ids=["rtb-data", "rtb-a", "rtb-b", "rtb-c"],
        security_group_id="sg-endpoints",
        interface_endpoints=interface_endpoints,
    )
    return run_in_region(lambda opts: Endpoints("ends", args, opts), region)


def gateway(region: str) -> dict[str, Mapping[str, Any]]:
    return {
        "ends-s3": {
            "vpcId": "vpc-1",
            "serviceName": f"com.amazonaws.{region}.s3",
            "vpcEndpointType": "Gateway",
            "routeTableIds": ["rtb-data", "rtb-a", "rtb-b", "rtb-c"],
            "tags": {"Name": "ends-s3"},
        }
    }


def interface(region: str, label: str, service: str) -> dict[str, Mapping[str, Any]]:
    return {
        label: {
            "vpcId": "vpc-1",
            "serviceName": f"com.amazonaws.{region}.{service}",
            "vpcEndpointType": "Interface",
            "privateDnsEnabled": True,
            "subnetIds": ["subnet-a", "subnet-b", "subnet-c"],
            "securityGroupIds": ["sg-endpoints"],
            "tags": {"Name": label},
        }
    }


@pytest.mark.parametrize("region", REGIONS)
def test_every_api_that_a_starting_node_calls_has_an_endpoint(region: str) -> None:
    """Guards against a node that cannot start while the NAT gateways are down, in either region."""
    run = endpoints(region)
    assert run.inputs_by_type() == {
        "aws:ec2/vpcEndpoint:VpcEndpoint": {
            **gateway(region),
            **interface(region, "ends-ecr-api", "ecr.api"),
            **interface(region, "ends-ecr-dkr", "ecr.dkr"),
            **interface(region, "ends-logs", "logs"),
            **interface(region, "ends-secretsmanager", "secretsmanager"),
            **interface(region, "ends-ssm", "ssm"),
            **interface(region, "ends-ssmmessages", "ssmmessages"),
            **interface(region, "ends-ec2messages", "ec2messages"),
        }
    }
    assert {(one.parent, one.provider, one.protect) for one in run.resources} == {
        ("Endpoints ends", f"aws {region}", False)
    }
    assert [one.parent for one in run.everything if one.type == "mlops:platform:Endpoints"] == [f"Region {region}"]


def test_only_the_free_endpoint_without_interface_endpoints() -> None:
    """Guards against endpoints that are paid for though switched off, and against losing the free one."""
    run = endpoints(interface_endpoints=False)
    assert run.inputs_by_type() == {"aws:ec2/vpcEndpoint:VpcEndpoint": gateway("us-west-2")}
