"""The region's network: three zones, and in each a public, a private and a data subnet."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from configs.policies import Statement, document, trust
from configs.settings.model import Location, NetworkSettings
from configs.tables.addresses import Subnet, Tier, subnets
from configs.tables.names import Names


@dataclass(frozen=True)
class NetworkArgs:
    """What a network is made from."""

    location: Location
    settings: NetworkSettings
    names: Names
    key_arn: pulumi.Input[str]
    """Key of the region, for the flow logs."""
    protect: bool


class Network(pulumi.ComponentResource):
    """VPC, subnets, routes and flow logs.

    A zone has its own NAT gateway and its own private route table: losing a zone takes no other zone's way out.
    Data subnets have no route out of the VPC.
    """

    vpc_id: pulumi.Output[str]
    subnet_ids: dict[Tier, list[pulumi.Output[str]]]
    """Per tier, in the order of the zones."""
    internet_gateway: aws.ec2.InternetGateway
    """What must be there before anything public is."""
    route_table_ids: list[pulumi.Output[str]]
    """Of the private and the data subnets: the S3 gateway endpoint is entered there."""

    def __init__(self, name: str, args: NetworkArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Create the network."""
        super().__init__("mlops:platform:Network", name, None, opts)
        self._name, self._args = name, args
        self._child = pulumi.ResourceOptions(parent=self)
        self._vpc = aws.ec2.Vpc(
            f"{name}-vpc",
            cidr_block=str(args.location.cidr),
            enable_dns_hostnames=True,
            enable_dns_support=True,
            tags={"Name": f"{name}-vpc"},
            opts=self._child,
        )
        self.vpc_id = self._vpc.id
        # The group that EC2 gives to whatever names none: emptied, so that such a machine reaches nothing.
        aws.ec2.DefaultSecurityGroup(
            f"{name}-unused", vpc_id=self.vpc_id, tags={"Name": f"{name}-unused"}, opts=self._child
        )
        self.subnet_ids = {tier: [] for tier in Tier}
        for subnet in subnets(args.location.cidr):
            self.subnet_ids[subnet.tier].append(self._subnet(subnet))
        self._route()
        self._log_flows()
        self.register_outputs({"vpcId": self.vpc_id})

    def _subnet(self, subnet: Subnet) -> pulumi.Output[str]:
        zone = self._args.location.zones[subnet.zone]
        label = f"{self._name}-{subnet.tier}-{zone}"
        created = aws.ec2.Subnet(
            label,
            vpc_id=self.vpc_id,
            availability_zone=zone,
            cidr_block=str(subnet.cidr),
            map_public_ip_on_launch=False,
            tags={"Name": label},
            opts=self._child,
        )
        if subnet.reserved is None:
            return created.id
        # Kept for fixed addresses: EC2 never hands one of them to another machine. The id comes from here, so
        # that nothing takes an address of the subnet before the reservation is there.
        return aws.ec2.SubnetCidrReservation(
            f"{label}-fixed",
            subnet_id=created.id,
            cidr_block=str(subnet.reserved),
            reservation_type="explicit",
            description="fixed addresses of servers and load balancers",
            opts=self._child,
        ).subnet_id

    def _route(self) -> None:
        self.internet_gateway = aws.ec2.InternetGateway(
            f"{self._name}-internet",
            vpc_id=self.vpc_id,
            tags={"Name": f"{self._name}-internet"},
            opts=self._child,
        )
        public = self._route_table("public")
        self._default_route("public", public, gateway_id=self.internet_gateway.id)
        data = self._route_table("data")
        self.route_table_ids = [data.id]
        zones = self._args.location.zones
        nat_zones = zones if self._args.settings.nat_gateway_per_zone else zones[:1]
        nat_gateways = [self._nat_gateway(index) for index in range(len(nat_zones))]
        for index, zone in enumerate(zones):
            private = self._route_table(f"private-{zone}")
            self.route_table_ids.append(private.id)
            self._default_route(
                f"private-{zone}", private, nat_gateway_id=nat_gateways[min(index, len(nat_gateways) - 1)].id
            )
            for tier, table in ((Tier.PUBLIC, public), (Tier.PRIVATE, private), (Tier.DATA, data)):
                aws.ec2.RouteTableAssociation(
                    f"{self._name}-{tier}-{zone}",
                    subnet_id=self.subnet_ids[tier][index],
                    route_table_id=table.id,
                    opts=self._child,
                )

    def _route_table(self, purpose: str) -> aws.ec2.RouteTable:
        label = f"{self._name}-{purpose}"
        return aws.ec2.RouteTable(label, vpc_id=self.vpc_id, tags={"Name": label}, opts=self._child)

    def _default_route(
        self,
        purpose: str,
        table: aws.ec2.RouteTable,
        gateway_id: pulumi.Input[str] | None = None,
        nat_gateway_id: pulumi.Input[str] | None = None,
    ) -> None:
        aws.ec2.Route(
            f"{self._name}-{purpose}-default",
            route_table_id=table.id,
            destination_cidr_block="0.0.0.0/0",
            gateway_id=gateway_id,
            nat_gateway_id=nat_gateway_id,
            opts=self._child,
        )

    def _nat_gateway(self, index: int) -> aws.ec2.NatGateway:
        label = f"{self._name}-nat-{self._args.location.zones[index]}"
        address = aws.ec2.Eip(
            label,
            domain="vpc",
            tags={"Name": label},
            # Others may have put this address on their allow lists.
            opts=pulumi.ResourceOptions(parent=self, protect=self._args.protect),
        )
        return aws.ec2.NatGateway(
            label,
            allocation_id=address.id,
            subnet_id=self.subnet_ids[Tier.PUBLIC][index],
            tags={"Name": label},
            # AWS refuses a public NAT gateway in a VPC that has no internet gateway yet.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[self.internet_gateway]),
        )

    def _log_flows(self) -> None:
        label = f"{self._name}-flow-logs"
        group = aws.cloudwatch.LogGroup(
            label,
            name=self._args.names.log_group("flow-logs"),
            retention_in_days=self._args.settings.flow_log_days,
            kms_key_id=self._args.key_arn,
            tags={"Name": label},
            opts=self._child,
        )
        role = aws.iam.Role(
            label,
            name=self._args.names.account_wide("flow-logs"),
            assume_role_policy=trust("vpc-flow-logs.amazonaws.com", self._args.names.account),
            tags={"Name": label},
            opts=self._child,
        )
        policy = aws.iam.RolePolicy(
            label,
            name="write-flow-logs",
            role=role.name,
            policy=group.arn.apply(_write_logs),
            opts=self._child,
        )
        aws.ec2.FlowLog(
            label,
            vpc_id=self.vpc_id,
            traffic_type="ALL",
            log_destination_type="cloud-watch-logs",
            log_destination=group.arn,
            iam_role_arn=role.arn,
            tags={"Name": label},
            opts=pulumi.ResourceOptions(parent=self, depends_on=[policy]),
        )


def _write_logs(group_arn: str) -> str:
    # https://docs.aws.amazon.com/vpc/latest/userguide/flow-logs-iam-role.html, without the right to make groups:
    # this one exists.
    return document(
        Statement(
            "WriteFlowLogs",
            ["logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams"],
            [group_arn, f"{group_arn}:*"],
        ),
        Statement("FindTheGroup", ["logs:DescribeLogGroups"], ["*"], why="a list of groups cannot be narrowed"),
    )
