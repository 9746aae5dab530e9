"""Checks of VPC endpoints."""

from __future__ import annotations

import re
from collections.abc import Iterator

from engine.tokens import VPC
from offline.checks.common import Check, is_given, is_missing, is_unknown, known_text, parent
from offline.cloud import Cloud, Proposal

GATEWAY_SERVICES = ("s3", "dynamodb")
"""The services with gateway endpoints. https://docs.aws.amazon.com/vpc/latest/privatelink/gateway-endpoints.html"""


def endpoint_placement(proposal: Proposal, _: Cloud) -> Iterator[str]:
    """An interface endpoint has subnets and security groups, a gateway endpoint has route tables only.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateVpcEndpoint.html
    """
    if is_unknown(proposal, "vpcEndpointType"):
        return
    kind = proposal.inputs.get("vpcEndpointType", "Gateway")
    by_kind = {"Interface": ("subnetIds", "securityGroupIds"), "Gateway": ("routeTableIds",)}
    if kind not in by_kind:
        return
    for name in by_kind[kind]:
        if is_missing(proposal, name):
            yield f"{name}: an endpoint of type {kind} needs {' and '.join(by_kind[kind])}"
    for other, names in by_kind.items():
        for name in names if other != kind else ():
            if is_given(proposal, name):
                yield f"{name}: an endpoint of type {kind} has none, only one of type {other}"


def endpoint_service(proposal: Proposal, _: Cloud) -> Iterator[str]:
    """The service is one of the endpoint's region, and a gateway endpoint is for S3 or DynamoDB.

    https://docs.aws.amazon.com/vpc/latest/privatelink/aws-services-privatelink-support.html
    """
    name = known_text(proposal, "serviceName")
    if name is None or is_unknown(proposal, "serviceRegion") or is_unknown(proposal, "vpcEndpointType"):
        return
    region = proposal.inputs.get("serviceRegion", proposal.region)
    parts = re.fullmatch(r"com\.amazonaws\.([a-z]{2}(?:-[a-z]+)+-\d)\.(.+)", name)
    if parts and parts[1] != region:
        yield f"serviceName: {name} is a service of {parts[1]}, the endpoint is for {region}"
    if proposal.inputs.get("vpcEndpointType", "Gateway") != "Gateway":
        return
    if name.rpartition(".")[2] not in GATEWAY_SERVICES:
        yield f"serviceName: {name} has no gateway endpoint, only {' and '.join(GATEWAY_SERVICES)} have"


def endpoint_private_dns(proposal: Proposal, cloud: Cloud) -> Iterator[str]:
    """Private DNS needs both DNS attributes of the VPC.

    https://docs.aws.amazon.com/vpc/latest/privatelink/create-interface-endpoint.html
    """
    vpc = parent(proposal, cloud, "vpcId", VPC)
    if vpc is None or proposal.inputs.get("privateDnsEnabled") is not True:
        return
    for name in ("enableDnsHostnames", "enableDnsSupport"):
        if vpc.attribute(name) is False:
            yield f"privateDnsEnabled: private DNS needs {name} of {vpc.id}, which is off"


CHECKS: tuple[Check, ...] = (endpoint_placement, endpoint_service, endpoint_private_dns)
