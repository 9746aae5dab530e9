"""AWS APIs inside the VPC: a node starts although every NAT gateway is down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

INTERFACE_SERVICES = ("ecr.api", "ecr.dkr", "logs", "secretsmanager", "ssm", "ssmmessages", "ec2messages")
"""What a node calls to start, to read its secrets, to log, and to be reached by Session Manager."""


@dataclass(frozen=True)
class EndpointsArgs:
    """What endpoints are made from; subnets and route tables in the order of the zones."""

    region: str
    vpc_id: pulumi.Input[str]
    subnet_ids: Sequence[pulumi.Input[str]]
    route_table_ids: Sequence[pulumi.Input[str]]
    security_group_id: pulumi.Input[str]
    interface_endpoints: bool


class Endpoints(pulumi.ComponentResource):
    """The S3 gateway endpoint (free), and an interface endpoint for each service that a node needs to start."""

    def __init__(self, name: str, args: EndpointsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Create the endpoints."""
        super().__init__("mlops:platform:Endpoints", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        aws.ec2.VpcEndpoint(
            f"{name}-s3",
            vpc_id=args.vpc_id,
            service_name=f"com.amazonaws.{args.region}.s3",
            vpc_endpoint_type="Gateway",
            route_table_ids=args.route_table_ids,
            tags={"Name": f"{name}-s3"},
            opts=child,
        )
        for service in INTERFACE_SERVICES if args.interface_endpoints else ():
            label = f"{name}-{service.replace('.', '-')}"
            aws.ec2.VpcEndpoint(
                label,
                vpc_id=args.vpc_id,
                service_name=f"com.amazonaws.{args.region}.{service}",
                vpc_endpoint_type="Interface",
                private_dns_enabled=True,
                subnet_ids=args.subnet_ids,
                security_group_ids=[args.security_group_id],
                tags={"Name": label},
                opts=child,
            )
        self.register_outputs({})
