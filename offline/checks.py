"""What the rule files cannot express: checks that look at several properties or at several resources.

A check yields one sentence per problem, ``path: what was given, what is allowed``. It says nothing of what is not
known yet: unknown properties, and parents that do not exist. Every check names the vendor document of its rule.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from ipaddress import IPv4Address, IPv4Network, IPv6Network
from typing import Any, cast

from offline.cloud import Cloud, Inputs, Proposal, Resource
from offline.rules.model import package_rules

Check = Callable[[Proposal, Cloud], Iterator[str]]

VPC = "aws:ec2/vpc:Vpc"
INTERNET_GATEWAY = "aws:ec2/internetGateway:InternetGateway"
SUBNET = "aws:ec2/subnet:Subnet"
CIDR_RESERVATION = "aws:ec2/subnetCidrReservation:SubnetCidrReservation"
EIP = "aws:ec2/eip:Eip"
NAT_GATEWAY = "aws:ec2/natGateway:NatGateway"
ROUTE_TABLE = "aws:ec2/routeTable:RouteTable"
ROUTE = "aws:ec2/route:Route"
ROUTE_TABLE_ASSOCIATION = "aws:ec2/routeTableAssociation:RouteTableAssociation"
VPC_ENDPOINT = "aws:ec2/vpcEndpoint:VpcEndpoint"
SECURITY_GROUP = "aws:ec2/securityGroup:SecurityGroup"
DEFAULT_SECURITY_GROUP = "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup"
PREFIX_LIST = "aws:ec2/managedPrefixList:ManagedPrefixList"
NETWORK_INTERFACE = "aws:ec2/networkInterface:NetworkInterface"
INSTANCE = "aws:ec2/instance:Instance"
INGRESS_RULE = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
EGRESS_RULE = "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule"
LOAD_BALANCER = "aws:lb/loadBalancer:LoadBalancer"
LISTENER = "aws:lb/listener:Listener"
HEALTH_CHECK = "aws:route53/healthCheck:HealthCheck"
RECORD = "aws:route53/record:Record"
ZONE = "aws:route53/zone:Zone"
BUCKET = "aws:s3/bucket:Bucket"
PUBLIC_ACCESS_BLOCK = "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"
LOG_GROUP = "aws:cloudwatch/logGroup:LogGroup"
ROLE_POLICY = "aws:iam/rolePolicy:RolePolicy"


# What checks and constraints read inputs with.


def values_at(inputs: Inputs, path: str) -> Iterator[tuple[str, Any]]:
    """Yield every value that stands at a path, with its exact path.

    Dots enter mappings and ``[]`` goes through the items of a list: ``subnetMappings[].subnetId`` yields
    ``("subnetMappings[0].subnetId", "subnet-1")`` and so on. What is absent or null is left out.
    """
    head, _, rest = path.partition(".")
    name = head.partition("[]")[0]
    found = [(name, inputs.get(name))]
    for _ in range(head.count("[]")):
        found = [
            (f"{where}[{index}]", item)
            for where, value in found
            if isinstance(value, list)
            for index, item in enumerate(cast("list[Any]", value))
        ]
    for where, value in found:
        if value is None:
            continue
        if not rest:
            yield where, value
        elif isinstance(value, Mapping):
            for inner, deep in values_at(cast("Inputs", value), rest):
                yield f"{where}.{inner}", deep


def is_unknown(proposal: Proposal, name: str) -> bool:
    """Return whether the property, or something inside it, is not known yet."""
    return any(re.split(r"[.\[]", unknown)[0] == name for unknown in proposal.unknown)


def is_given(proposal: Proposal, name: str) -> bool:
    """Return whether the program gives the property a known value; an empty list or mapping is none."""
    value = proposal.inputs.get(name)
    return value not in (None, [], {})


def others(proposal: Proposal, cloud: Cloud, *types: str, everywhere: bool = False) -> Iterator[Resource]:
    """Yield what exists of the types in the proposal's region (or everywhere), without the resource itself."""
    for resource in cloud.all(*types, region=None if everywhere else proposal.region):
        if (resource.type, resource.id) != (proposal.type, proposal.id):
            yield resource


def _known_text(proposal: Proposal, name: str) -> str | None:
    value = proposal.inputs.get(name)
    return value if isinstance(value, str) else None


def _parent(proposal: Proposal, cloud: Cloud, name: str, *types: str, everywhere: bool = False) -> Resource | None:
    identity = _known_text(proposal, name)
    if identity is None:
        return None
    return cloud.find(*types, value=identity, region=None if everywhere else proposal.region)


# Addresses. https://docs.aws.amazon.com/vpc/latest/userguide/vpc-cidr-blocks.html and subnet-sizing.html

LARGEST_PREFIX, SMALLEST_PREFIX = 16, 28
"""The sizes that AWS allows for the IPv4 block of a VPC and of a subnet."""


_FAMILIES: dict[str, type[IPv4Network] | type[IPv6Network]] = {"IPv4": IPv4Network, "IPv6": IPv6Network}


def _ipv4(text: object) -> IPv4Network | None:
    """Return the block, None when the text is not an aligned one."""
    try:
        return IPv4Network(str(text))
    except ValueError:
        return None


def _family_problems(path: str, text: str, family: str) -> Iterator[str]:
    try:
        _FAMILIES[family](text)
    except ValueError:
        yield f"{path}: {text} is not an {family} block whose host bits are zero"


def _block_problems(path: str, text: str) -> Iterator[str]:
    yield from _family_problems(path, text, "IPv4")
    block = _ipv4(text)
    if block is not None and not LARGEST_PREFIX <= block.prefixlen <= SMALLEST_PREFIX:
        yield f"{path}: {text} has the size /{block.prefixlen}, AWS allows /{LARGEST_PREFIX} to /{SMALLEST_PREFIX}"


def vpc_cidr(proposal: Proposal, _: Cloud) -> Iterator[str]:
    """A VPC has an aligned IPv4 block of /16 to /28."""
    text = _known_text(proposal, "cidrBlock")
    if text is not None:
        yield from _block_problems("cidrBlock", text)
    elif not any(is_given(proposal, name) or is_unknown(proposal, name) for name in ("cidrBlock", "ipv4IpamPoolId")):
        yield "cidrBlock: a VPC needs a cidrBlock or an ipv4IpamPoolId"


def _inside_and_free(
    block: IPv4Network, proposal: Proposal, cloud: Cloud, parent_property: str, parent_type: str
) -> Iterator[str]:
    """Yield what is wrong with the place of a block inside its parent's, among its siblings."""
    parent = _parent(proposal, cloud, parent_property, parent_type)
    whole = _ipv4(parent.attribute("cidrBlock")) if parent else None
    if whole is not None and not block.subnet_of(whole):
        yield f"cidrBlock: {block} is not inside {whole}, the block of {proposal.inputs[parent_property]}"
    for sibling in others(proposal, cloud, proposal.type):
        taken = _ipv4(sibling.attribute("cidrBlock"))
        beside = sibling.attribute(parent_property) == proposal.inputs.get(parent_property)
        if beside and taken is not None and block.overlaps(taken):
            yield f"cidrBlock: {block} overlaps {taken} of {sibling.id}"


def subnet_cidr(proposal: Proposal, cloud: Cloud) -> Iterator[str]:
    """A subnet's block is aligned, /16 to /28, inside its VPC's and overlaps no other subnet of the VPC."""
    text = _known_text(proposal, "cidrBlock")
    if text is None:
        return
    yield from _block_problems("cidrBlock", text)
    block = _ipv4(text)
    if block is not None:
        yield from _inside_and_free(block, proposal, cloud, "vpcId", VPC)


def subnet_zone(proposal: Proposal, _: Cloud) -> Iterator[str]:
    """The availability zone (or local zone) is one of the provider's region.

    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/using-regions-availability-zones.html
    """
    zone = _known_text(proposal, "availabilityZone")
    if zone is not None and not re.fullmatch(rf"{re.escape(proposal.region)}(-[a-z]+-\d+)?[a-z]", zone):
        yield f"availabilityZone: {zone} is not an availability zone of {proposal.region}"


def cidr_reservation(proposal: Proposal, cloud: Cloud) -> Iterator[str]:
    """A reservation is inside its subnet and overlaps no other reservation of the subnet (IPv4 only).

    https://docs.aws.amazon.com/vpc/latest/userguide/subnet-cidr-reservation.html
    """
    text = _known_text(proposal, "cidrBlock")
    if text is None or ":" in text:
        return
    yield from _family_problems("cidrBlock", text, "IPv4")
    block = _ipv4(text)
    if block is not None:
        yield from _inside_and_free(block, proposal, cloud, "subnetId", SUBNET)


_ADDRESS_PATHS: dict[str, tuple[tuple[str, str], ...]] = {
    NETWORK_INTERFACE: (("subnetId", "privateIps[]"), ("subnetId", "privateIpLists[]"), ("subnetId", "privateIp")),
    INSTANCE: (("subnetId", "privateIp"), ("subnetId", "secondaryPrivateIps[]")),
    NAT_GATEWAY: (("subnetId", "privateIp"), ("subnetId", "secondaryPrivateIpAddresses[]")),
    LOAD_BALANCER: (("subnetMappings[].subnetId", "subnetMappings[].privateIpv4Address"),),
    VPC_ENDPOINT: (("subnetConfigurations[].subnetId", "subnetConfigurations[].ipv4"),),
}
"""Where each type names fixed private addresses, and where the subnet of each stands."""

RESERVED_AT_START = 4
"""AWS keeps the first four addresses of a subnet (network, router, DNS, future use) and the last (broadcast)."""


def _fixed_addresses(kind: str, inputs: Inputs) -> dict[tuple[Any, Any], str]:
    """Return the fixed addresses by subnet and address, with the path at which each stands."""
    found: dict[tuple[Any, Any], str] = {}
    for subnet_path, address_path in _ADDRESS_PATHS[kind]:
        subnets = dict(values_at(inputs, subnet_path))
        for where, address in values_at(inputs, address_path):
            # The subnet of an address in a list of mappings stands in the same mapping.
            mapping = where.rpartition(".")[0]
            subnet = subnets.get(f"{mapping}.subnetId" if mapping else subnet_path)
            found.setdefault((subnet, address), where)
    return found


def private_address(proposal: Proposal, cloud: Cloud) -> Iterator[str]:
    """A fixed private address is inside its subnet, not one that AWS keeps, and not in use.

    https://docs.aws.amazon.com/vpc/latest/userguide/subnet-sizing.html
    """
    addresses = _fixed_addresses(proposal.type, proposal.inputs)
    if not addresses:
        return
    blocks = {subnet.id: _ipv4(subnet.attribute("cidrBlock")) for subnet in cloud.all(SUBNET, region=proposal.region)}
    users = {
        key: resource.id
        for resource in others(proposal, cloud, *_ADDRESS_PATHS)
        for key in _fixed_addresses(resource.type, resource.inputs)
    }
    for (subnet, text), where in addresses.items():
        try:
            address = IPv4Address(text)
        except ValueError:
            yield f"{where}: {text} is not an IPv4 address"
            continue
        block = blocks.get(subnet)
        if block is None:
            continue
        if address not in block:
            yield f"{where}: {text} is not inside {block}, the block of {subnet}"
        elif address < block[RESERVED_AT_START] or address == block[-1]:
            yield f"{where}: {text} is one of the five that AWS keeps of {block}, the first four and the last"
        elif (subnet, text) in users:
            yield f"{where}: {text} is used by {users[subnet, text]} already"


_VPC_PATHS: dict[str, tuple[str, ...]] = {
    ROUTE: ("routeTableId", "gatewayId", "natGatewayId", "networkInterfaceId"),
    ROUTE_TABLE_ASSOCIATION: ("routeTableId", "subnetId", "gatewayId"),
    VPC_ENDPOINT: ("vpcId", "subnetIds[]", "securityGroupIds[]", "routeTableIds[]"),
    NETWORK_INTERFACE: ("subnetId", "securityGroups[]"),
    INSTANCE: ("subnetId", "vpcSecurityGroupIds[]"),
    LOAD_BALANCER: ("subnets[]", "subnetMappings[].subnetId", "securityGroups[]"),
    INGRESS_RULE: ("securityGroupId", "referencedSecurityGroupId"),
    EGRESS_RULE: ("securityGroupId", "referencedSecurityGroupId"),
}
"""The properties of each type whose values must all belong to one VPC."""


def same_vpc(proposal: Proposal, cloud: Cloud) -> Iterator[str]:
    """What a resource ties together belongs to one VPC (no peering is modelled).

    https://docs.aws.amazon.com/vpc/latest/userguide/how-it-works.html
    """
    references = package_rules("aws")[proposal.type].references
    named = [
        (where, value, references[path].types)
        for path in _VPC_PATHS[proposal.type]
        for where, value in values_at(proposal.inputs, path)
    ]
    kinds = {kind for _, _, types in named for kind in types}
    existing = {resource.id: resource for resource in cloud.all(*kinds, SUBNET, region=proposal.region)}
    home: tuple[str, Any] | None = None
    for where, value, _ in named:
        resource = existing.get(value)
        if resource is None:
            continue
        if resource.type in (NAT_GATEWAY, NETWORK_INTERFACE):
            resource = existing.get(str(resource.attribute("subnetId")), resource)
        vpc = resource.id if resource.type == VPC else resource.attribute("vpcId")
        if home is None:
            home = where, vpc
        elif vpc != home[1]:
            yield f"{where}: {value} is in {vpc}, but {home[0]} is in {home[1]}"


_SUBNET_PATHS = {
    LOAD_BALANCER: ("subnets[]", "subnetMappings[].subnetId"),
    VPC_ENDPOINT: ("subnetIds[]",),
}


def one_subnet_per_zone(proposal: Proposal, cloud: Cloud) -> Iterator[str]:
    """The subnets of a load balancer or of an endpoint lie in different availability zones.

    https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_CreateLoadBalancer.html
    https://docs.aws.amazon.com/vpc/latest/privatelink/create-interface-endpoint.html
    """
    subnets = {subnet.id: subnet for subnet in cloud.all(SUBNET, region=proposal.region)}
    seen: dict[str, str] = {}
    for path in _SUBNET_PATHS[proposal.type]:
        for where, identity in values_at(proposal.inputs, path):
            zone = subnets[identity].attribute("availabilityZone") if identity in subnets else None
            if zone in seen:
                yield f"{where}: {identity} is in {zone} like {seen[zone]}, one subnet per zone is allowed"
            elif isinstance(zone, str):
                seen[zone] = identity


# Gateways, routes and endpoints.


def one_internet_gateway(proposal: Proposal, cloud: Cloud) -> Iterator[str]:
    """A VPC has one internet gateway.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_AttachInternetGateway.html
    """
    vpc = _known_text(proposal, "vpcId")
    for other in others(proposal, cloud, INTERNET_GATEWAY):
        if vpc is not None and other.attribute("vpcId") == vpc:
            yield f"vpcId: {vpc} has the internet gateway {other.id} already, a VPC has one"


def nat_gateway_address(proposal: Proposal, _: Cloud) -> Iterator[str]:
    """A public NAT gateway in a subnet has an allocation; a private and a regional one have none of their own.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateNatGateway.html
    """
    if is_unknown(proposal, "connectivityType") or is_unknown(proposal, "availabilityMode"):
        return
    private = proposal.inputs.get("connectivityType", "public") == "private"
    if private or proposal.inputs.get("availabilityMode", "zonal") == "regional":
        kind = "private" if private else "regional"
        for name in ("allocationId", "secondaryAllocationIds"):
            if is_given(proposal, name):
                yield f"{name}: a {kind} NAT gateway has none"
    elif not is_given(proposal, "allocationId") and not is_unknown(proposal, "allocationId"):
        yield "allocationId: a public NAT gateway in a subnet needs the allocation of an Elastic IP address"
    if not private and is_given(proposal, "secondaryPrivateIpAddressCount"):
        yield "secondaryPrivateIpAddressCount: only a private NAT gateway has it"


_ALLOCATION_PATHS = {
    NAT_GATEWAY: ("allocationId", "secondaryAllocationIds[]", "availabilityZoneAddresses[].allocationIds[]"),
    LOAD_BALANCER: ("subnetMappings[].allocationId",),
    EIP: (),
}


def _allocations(kind: str, identity: str | None, inputs: Inputs) -> Iterator[tuple[str, str]]:
    for path in _ALLOCATION_PATHS[kind]:
        yield from values_at(inputs, path)
    if identity is not None:
        # An address that is attached to something uses itself.
        yield from (
            (where, identity) for name in ("instance", "networkInterface") for where, _ in values_at(inputs, name)
        )


def allocation_once(proposal: Proposal, cloud: Cloud) -> Iterator[str]:
    """An Elastic IP address is used once.

    https://docs.aws.amazon.com/vpc/latest/userguide/vpc-eips.html
    """
    mine = list(_allocations(proposal.type, proposal.id, proposal.inputs))
    if not mine:
        return
    users = {
        allocation: resource.id
        for resource in others(proposal, cloud, *_ALLOCATION_PATHS)
        for _, allocation in _allocations(resource.type, resource.id, resource.inputs)
    }
    seen = set[str]()
    for where, allocation in mine:
        if allocation in users:
            yield f"{where}: {allocation} is used by {users[allocation]} already, an address is used once"
        elif allocation in seen:
            yield f"{where}: {allocation} is given twice, an address is used once"
        seen.add(allocation)


def route_destination(proposal: Proposal, cloud: Cloud) -> Iterator[str]:
    """The destination is a block whose host bits are zero, and new in its route table.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateRoute.html
    """
    families = {"destinationCidrBlock": "IPv4", "destinationIpv6CidrBlock": "IPv6", "destinationPrefixListId": None}
    given = {name: text for name in families if (text := _known_text(proposal, name)) is not None}
    for name, text in given.items():
        family = families[name]
        if family is not None:
            yield from _family_problems(name, text, family)
    for other in others(proposal, cloud, ROUTE):
        for name, text in given.items():
            same_table = other.attribute("routeTableId") == proposal.inputs.get("routeTableId")
            if same_table and other.attribute(name) == text:
                yield f"{name}: {other.attribute('routeTableId')} has a route to {text} already, {other.id}"


def inline_routes(proposal: Proposal, cloud: Cloud) -> Iterator[str]:
    """The routes of a table are either inside the table or resources of their own.

    https://github.com/hashicorp/terraform-provider-aws/blob/main/website/docs/r/route_table.html.markdown
    """
    if proposal.type == ROUTE:
        table = _parent(proposal, cloud, "routeTableId", ROUTE_TABLE)
        if table and table.inputs.get("routes"):
            yield f"routeTableId: {table.id} has its routes inline, which a separate route would fight with"
    elif is_given(proposal, "routes"):
        for route in others(proposal, cloud, ROUTE):
            if route.attribute("routeTableId") == proposal.id:
                yield f"routes: {route.id} is a separate route of this table, which inline routes would fight with"


def association_once(proposal: Proposal, cloud: Cloud) -> Iterator[str]:
    """A subnet or gateway is associated with one route table.

    https://docs.aws.amazon.com/vpc/latest/userguide/subnet-route-tables.html
    """
    for name in ("subnetId", "gatewayId"):
        identity = _known_text(proposal, name)
        for other in others(proposal, cloud, ROUTE_TABLE_ASSOCIATION) if identity else ():
            if other.attribute(name) == identity:
                yield f"{name}: {identity} is associated with {other.attribute('routeTableId')} already"


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
        if not is_given(proposal, name) and not is_unknown(proposal, name):
            yield f"{name}: an endpoint of type {kind} needs {' and '.join(by_kind[kind])}"
    for other, names in by_kind.items():
        for name in names if other != kind else ():
            if is_given(proposal, name):
                yield f"{name}: an endpoint of type {kind} has none, only one of type {other}"


GATEWAY_SERVICES = ("s3", "dynamodb")
"""The services with gateway endpoints. https://docs.aws.amazon.com/vpc/latest/privatelink/gateway-endpoints.html"""


def endpoint_service(proposal: Proposal, _: Cloud) -> Iterator[str]:
    """The service is one of the endpoint's region, and a gateway endpoint is for S3 or DynamoDB.

    https://docs.aws.amazon.com/vpc/latest/privatelink/aws-services-privatelink-support.html
    """
    name = _known_text(proposal, "serviceName")
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
    vpc = _parent(proposal, cloud, "vpcId", VPC)
    if vpc is None or proposal.inputs.get("privateDnsEnabled") is not True:
        return
    for name in ("enableDnsHostnames", "enableDnsSupport"):
        if vpc.attribute(name) is False:
            yield f"privateDnsEnabled: private DNS needs {name} of {vpc.id}, which is off"


def flow_log(proposal: Proposal, cloud: Cloud) -> Iterator[str]:
    """A flow log says which traffic, and its destination exists and is of the type it says.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateFlowLogs.html
    """
    for name in ("eniId", "subnetId", "vpcId"):
        missing = not is_given(proposal, "trafficType") and not is_unknown(proposal, "trafficType")
        if missing and is_given(proposal, name):
            yield f"trafficType: a flow log of {name} says which traffic: ACCEPT, REJECT or ALL"
    if is_unknown(proposal, "logDestinationType"):
        return
    kind = proposal.inputs.get("logDestinationType", "cloud-watch-logs")
    if kind == "cloud-watch-logs":
        if not is_given(proposal, "iamRoleArn") and not is_unknown(proposal, "iamRoleArn"):
            yield "iamRoleArn: delivery to CloudWatch Logs needs a role"
    elif is_given(proposal, "iamRoleArn"):
        yield f"iamRoleArn: only delivery to CloudWatch Logs has a role, this one goes to {kind}"
    destination = _known_text(proposal, "logDestination")
    target = {"cloud-watch-logs": LOG_GROUP, "s3": BUCKET}.get(str(kind))
    if destination is None or target is None:
        return
    # A bucket may be in another region, and may be followed by a folder.
    region = None if kind == "s3" else proposal.region
    arns = {resource.attribute("arn") for resource in cloud.all(target, region=region)}
    if (destination.partition("/")[0] if kind == "s3" else destination.removesuffix(":*")) not in arns:
        yield f"logDestination: {destination} is no existing destination of type {kind}"


# Security groups. https://docs.aws.amazon.com/vpc/latest/userguide/security-group-rules.html

_DIRECTIONS = {INGRESS_RULE: "ingress", EGRESS_RULE: "egress"}
_DESCRIPTION = re.compile(r"[A-Za-z0-9 ._:/()#,@\[\]+=&;{}!$*-]{0,255}")


def description_text(proposal: Proposal, _: Cloud) -> Iterator[str]:
    """A description of a group or rule has at most 255 characters of a small alphabet.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateSecurityGroup.html
    """
    text = _known_text(proposal, "description")
    if text is not None and not _DESCRIPTION.fullmatch(text):
        yield (
            f"description: {text!r} is not allowed: at most 255 letters, digits, spaces and ._-:/()#,@[]+=&;{{}}!$*"
        )


def inline_security_group_rules(proposal: Proposal, cloud: Cloud) -> Iterator[str]:
    """The rules of a group are either inside the group or resources of their own.

    https://github.com/hashicorp/terraform-provider-aws/blob/main/website/docs/r/security_group.html.markdown
    """
    if proposal.type in _DIRECTIONS:
        direction = _DIRECTIONS[proposal.type]
        group = _parent(proposal, cloud, "securityGroupId", SECURITY_GROUP, DEFAULT_SECURITY_GROUP)
        if group and group.inputs.get(direction):
            yield f"securityGroupId: {group.id} has inline {direction} rules, which a separate one would fight with"
        return
    for kind, direction in _DIRECTIONS.items():
        for rule in cloud.all(kind, region=proposal.region) if is_given(proposal, direction) else ():
            if rule.attribute("securityGroupId") == proposal.id:
                yield f"{direction}: {rule.id} is a separate rule of this group, which inline ones would fight with"


_PROTOCOLS = {"1": "icmp", "6": "tcp", "17": "udp", "58": "icmpv6", "all": "-1"}


def _protocol(inputs: Inputs) -> str:
    text = str(inputs.get("ipProtocol")).lower()
    return _PROTOCOLS.get(text, text)


def rule_ports(proposal: Proposal, _: Cloud) -> Iterator[str]:
    """TCP and UDP rules have a range of ports, rules for every protocol have none.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_IpPermission.html
    """
    names = ("fromPort", "toPort")
    if any(is_unknown(proposal, name) for name in names):
        return
    protocol = _protocol(proposal.inputs)
    first, last = (proposal.inputs.get(name) for name in names)
    if protocol == "-1":
        for name in names:
            if is_given(proposal, name):
                yield f"{name}: a rule for every protocol (-1) is for every port: leave it out"
    elif first is None or last is None:
        if protocol in ("tcp", "udp", "icmp", "icmpv6"):
            yield f"fromPort: a rule for {protocol} needs fromPort and toPort"
    elif protocol in ("tcp", "udp") and first > last:
        yield f"fromPort: {first:g} is above toPort, {last:g}"


def rule_addresses(proposal: Proposal, _: Cloud) -> Iterator[str]:
    """A rule's addresses are a block whose host bits are zero.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_IpRange.html
    """
    for name, family in (("cidrIpv4", "IPv4"), ("cidrIpv6", "IPv6")):
        text = _known_text(proposal, name)
        if text is not None:
            yield from _family_problems(name, text, family)


_SOURCES = ("cidrIpv4", "cidrIpv6", "prefixListId", "referencedSecurityGroupId")


def _rules_of_group(proposal: Proposal, cloud: Cloud) -> Iterator[Resource]:
    group = proposal.inputs.get("securityGroupId")
    for rule in others(proposal, cloud, proposal.type) if group is not None else ():
        if rule.attribute("securityGroupId") == group:
            yield rule


def _traffic(inputs: Inputs) -> tuple[object, ...]:
    """Return what tells rules apart. Tests compare it: the description does not count."""
    return _protocol(inputs), *(inputs.get(name) for name in ("fromPort", "toPort", *_SOURCES))


def rule_duplicate(proposal: Proposal, cloud: Cloud) -> Iterator[str]:
    """A group has a rule once: AWS answers InvalidPermission.Duplicate, whatever the descriptions say.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
    """
    if any(is_unknown(proposal, source) for source in _SOURCES):
        return
    for rule in _rules_of_group(proposal, cloud):
        if _traffic(rule.inputs) == _traffic(proposal.inputs):
            yield f"securityGroupId: {rule.attribute('securityGroupId')} has this rule already, {rule.id}"


RULES_PER_GROUP = 60
"""The quota of rules of one group and direction, for IPv4 and for IPv6 each.

https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html
"""


def rule_count(proposal: Proposal, cloud: Cloud) -> Iterator[str]:
    """A group has at most 60 rules a direction; a prefix list counts as its maximum of entries.

    https://docs.aws.amazon.com/vpc/latest/userguide/managed-prefix-lists.html
    """
    if any(is_unknown(proposal, name) for name in _SOURCES):
        return
    lists = {item.id: item for item in cloud.all(PREFIX_LIST, region=proposal.region)}
    counts = {"IPv4": 0, "IPv6": 0}
    for inputs in (proposal.inputs, *(rule.inputs for rule in _rules_of_group(proposal, cloud))):
        source = lists.get(str(inputs.get("prefixListId")))
        weight = int(source.attribute("maxEntries")) if source else 1
        only = source.attribute("addressFamily") if source else None
        if inputs.get("cidrIpv4") is not None:
            only = "IPv4"
        elif inputs.get("cidrIpv6") is not None:
            only = "IPv6"
        for family in counts:
            counts[family] += weight if only in (family, None) else 0
    group, direction = proposal.inputs.get("securityGroupId"), _DIRECTIONS[proposal.type]
    for family, count in counts.items():
        if count > RULES_PER_GROUP:
            yield (
                f"securityGroupId: {group} would have {count} {direction} rules for {family},"
                f" prefix lists counted by their maximum of entries; AWS allows {RULES_PER_GROUP}"
            )


def prefix_list_entries(proposal: Proposal, _: Cloud) -> Iterator[str]:
    """The entries are blocks of the list's family, each once, and no more than the list's maximum.

    https://docs.aws.amazon.com/vpc/latest/userguide/managed-prefix-lists.html
    """
    entries = [(where, str(value)) for where, value in values_at(proposal.inputs, "entries[].cidr")]
    maximum = proposal.inputs.get("maxEntries")
    if isinstance(maximum, int | float) and len(entries) > maximum:
        yield f"entries: {len(entries)} entries are more than maxEntries, {maximum:g}"
    family = str(proposal.inputs.get("addressFamily"))
    seen = set[str]()
    for where, text in entries:
        if family in _FAMILIES:
            yield from _family_problems(where, text, family)
        if text in seen:
            yield f"{where}: {text} is given twice"
        seen.add(text)


# Machines.

USER_DATA_BYTES = 16_384
"""What EC2 allows before base64. https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-add-user-data.html"""


def user_data(proposal: Proposal, _: Cloud) -> Iterator[str]:
    """User data has at most 16,384 bytes, counted before base64."""
    for name in ("userData", "userDataBase64"):
        text = _known_text(proposal, name)
        if text is None:
            continue
        raw = text.encode()
        if name == "userDataBase64" or proposal.type != INSTANCE:
            try:
                raw = base64.b64decode(raw, validate=True)
            except binascii.Error:
                yield f"{name}: is not base64"
                continue
        if len(raw) > USER_DATA_BYTES:
            yield f"{name}: {len(raw)} bytes are more than the {USER_DATA_BYTES} that EC2 allows"


def instance_source(proposal: Proposal, _: Cloud) -> Iterator[str]:
    """An instance has an image and a type, of its own or from a launch template.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RunInstances.html
    """
    for name in ("ami", "instanceType"):
        if not any(is_given(proposal, giver) or is_unknown(proposal, giver) for giver in (name, "launchTemplate")):
            yield f"{name}: an instance needs it, of its own or from a launchTemplate"


_INTERFACE_PATHS = ("primaryNetworkInterface.networkInterfaceId", "networkInterfaces[].networkInterfaceId")


def interface_once(proposal: Proposal, cloud: Cloud) -> Iterator[str]:
    """A network interface is attached to one instance.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_AttachNetworkInterface.html
    """
    mine = [found for path in _INTERFACE_PATHS for found in values_at(proposal.inputs, path)]
    for other in others(proposal, cloud, INSTANCE) if mine else ():
        theirs = {value for path in _INTERFACE_PATHS for _, value in values_at(other.inputs, path)}
        for where, identity in mine:
            if identity in theirs:
                yield f"{where}: {identity} is attached to {other.id} already"


# Load balancers.


def listener_port(proposal: Proposal, cloud: Cloud) -> Iterator[str]:
    """A load balancer has one listener a port, and a TLS listener has a certificate.

    https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_CreateListener.html
    """
    protocol = proposal.inputs.get("protocol")
    certificate = is_given(proposal, "certificateArn") or is_unknown(proposal, "certificateArn")
    if protocol == "TLS" and not certificate:
        yield "certificateArn: a TLS listener needs a certificate"
    if protocol not in (None, "TLS") and is_given(proposal, "certificateArn"):
        yield f"certificateArn: a {protocol} listener has no certificate"
    balancer, port = proposal.inputs.get("loadBalancerArn"), proposal.inputs.get("port")
    for other in others(proposal, cloud, LISTENER):
        if (other.attribute("loadBalancerArn"), other.attribute("port")) == (balancer, port):
            yield f"port: {balancer} has a listener on {port:g} already, {other.id}"


def target_group_health_check(proposal: Proposal, _: Cloud) -> Iterator[str]:
    """A TCP health check has no path and no matcher, and a check times out before the next begins.

    https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_CreateTargetGroup.html
    """
    check = dict(values_at(proposal.inputs, "healthCheck")).get("healthCheck")
    if not isinstance(check, Mapping):
        return
    settings = cast("Inputs", check)
    protocol = settings.get("protocol")
    for name in ("path", "matcher"):
        if protocol == "TCP" and settings.get(name) is not None:
            yield f"healthCheck.{name}: a TCP health check has none"
    timeout, interval = settings.get("timeout", 0), settings.get("interval", 30)
    if timeout > interval:
        yield f"healthCheck.timeout: {timeout:g} s are longer than the interval, {interval:g} s"
    port = settings.get("port", "traffic-port")
    if port != "traffic-port" and not (str(port).isdigit() and 1 <= int(port) <= 65535):
        yield f"healthCheck.port: {port} is neither traffic-port nor a port from 1 to 65535"


# Health checks. https://docs.aws.amazon.com/Route53/latest/APIReference/API_HealthCheckConfig.html

_ENDPOINT_CHECKS = ("HTTP", "HTTPS", "HTTP_STR_MATCH", "HTTPS_STR_MATCH", "TCP")


def health_check_endpoint(proposal: Proposal, _: Cloud) -> Iterator[str]:
    """A check of an endpoint says which one; a string match says which string, TCP which address and port."""
    kind = proposal.inputs.get("type")
    if kind not in _ENDPOINT_CHECKS:
        return

    def missing(*names: str) -> bool:
        return not any(is_given(proposal, name) or is_unknown(proposal, name) for name in names)

    if missing("fqdn", "ipAddress"):
        yield f"fqdn: a health check of type {kind} needs fqdn or ipAddress"
    if kind.endswith("STR_MATCH") and missing("searchString"):
        yield f"searchString: a health check of type {kind} needs the string to look for"
    if kind == "TCP" and missing("port"):
        yield "port: a health check of type TCP needs a port"


CHILDREN = 255
"""How many health checks a calculated one can watch."""


def health_check_children(proposal: Proposal, cloud: Cloud) -> Iterator[str]:
    """A calculated check has 1 to 255 children, none of them calculated, and a threshold they can reach."""
    kind = proposal.inputs.get("type")
    if kind is None or is_unknown(proposal, "childHealthchecks"):
        return
    children = [value for _, value in values_at(proposal.inputs, "childHealthchecks[]")]
    if kind != "CALCULATED":
        if children:
            yield f"childHealthchecks: a health check of type {kind} has no children"
        return
    if not 1 <= len(children) <= CHILDREN:
        yield f"childHealthchecks: {len(children)} children, a calculated health check has 1 to {CHILDREN}"
    threshold = proposal.inputs.get("childHealthThreshold")
    if isinstance(threshold, int | float) and threshold > len(children):
        yield f"childHealthThreshold: {threshold:g} is more than the {len(children)} children: never healthy"
    checks = {check.id: check for check in cloud.all(HEALTH_CHECK)}
    for where, identity in values_at(proposal.inputs, "childHealthchecks[]"):
        if identity in checks and checks[identity].attribute("type") == "CALCULATED":
            yield f"{where}: {identity} is calculated itself, which a child cannot be"


_TEXT_LENGTHS = {
    "fqdn": 255,
    "resourcePath": 255,
    "searchString": 255,
    # The API allows 64 characters, of which the provider appends 37 of its own.
    "referenceName": 27,
}


def health_check_text(proposal: Proposal, _: Cloud) -> Iterator[str]:
    """The texts of a health check have a maximum length."""
    for name, maximum in _TEXT_LENGTHS.items():
        text = _known_text(proposal, name)
        if text is not None and len(text) > maximum:
            yield f"{name}: {len(text)} characters, {maximum} are allowed"


CHECKER_REGIONS = 3
"""The fewest regions Route 53 checks from."""


def health_check_regions(proposal: Proposal, _: Cloud) -> Iterator[str]:
    """A health check runs from at least three regions, when it says from which."""
    if not is_given(proposal, "regions"):
        return
    regions = {value for _, value in values_at(proposal.inputs, "regions[]")}
    if len(regions) < CHECKER_REGIONS:
        yield f"regions: {len(regions)} regions, Route 53 checks from at least {CHECKER_REGIONS}"


# Records. https://docs.aws.amazon.com/Route53/latest/APIReference/API_ResourceRecordSet.html

_POLICIES = (
    "cidrRoutingPolicy",
    "failoverRoutingPolicies",
    "geolocationRoutingPolicies",
    "geoproximityRoutingPolicy",
    "latencyRoutingPolicies",
    "multivalueAnswerRoutingPolicy",
    "weightedRoutingPolicies",
)


def _domain(text: object) -> str:
    return str(text).lower().removesuffix(".")


def _policy(inputs: Inputs) -> str:
    return next((name for name in _POLICIES if inputs.get(name)), "simple")


def _failover(inputs: Inputs) -> str | None:
    return next((kind for _, kind in values_at(inputs, "failoverRoutingPolicies[].type")), None)


def record_name(proposal: Proposal, cloud: Cloud) -> Iterator[str]:
    """A record's full name lies inside its zone, and a CNAME is not the zone's own name.

    The provider appends the zone to any other name, so that a name of another zone silently becomes a subdomain.
    """
    zone = _parent(proposal, cloud, "zoneId", ZONE, everywhere=True)
    name = _known_text(proposal, "name")
    domain = zone.attribute("name") if zone else None
    if name is None or domain is None:
        return
    if _domain(name) != _domain(domain) and not _domain(name).endswith("." + _domain(domain)):
        yield f"name: {name} is not inside the zone {_domain(domain)}; give the full name"
    if _domain(name) == _domain(domain) and proposal.inputs.get("type") == "CNAME":
        yield f"type: {name} is the zone itself, which cannot be a CNAME; use an alias"


def record_alias(proposal: Proposal, cloud: Cloud) -> Iterator[str]:
    """An alias points to a load balancer, or to a record of the same zone and type, with the zone of its target.

    https://docs.aws.amazon.com/Route53/latest/APIReference/API_AliasTarget.html
    """
    kind, own_zone = proposal.inputs.get("type"), proposal.inputs.get("zoneId")
    if kind is None or own_zone is None:
        return
    zones = dict(values_at(proposal.inputs, "aliases[].zoneId"))
    for where, given in values_at(proposal.inputs, "aliases[].name"):
        name = _domain(given).removeprefix("dualstack.")
        expected: object = None
        found = False
        for balancer in cloud.all(LOAD_BALANCER):
            if _domain(balancer.attribute("dnsName")) == name:
                expected, found = balancer.attribute("zoneId"), True
        for record in cloud.all(RECORD):
            where_and_what = record.attribute("zoneId"), _domain(record.attribute("name")), record.attribute("type")
            if where_and_what == (own_zone, name, kind):
                expected, found = own_zone, True
        zone_path = where.removesuffix("name") + "zoneId"
        zone = zones.get(zone_path)
        if not found:
            yield f"{where}: {given} is neither a load balancer nor a record of type {kind} in this zone"
        elif zone != expected:
            yield f"{zone_path}: {zone} is not the zone of {given}, which is {expected}"


def record_failover(proposal: Proposal, _: Cloud) -> Iterator[str]:
    """A PRIMARY record can fail over: it has a health check, or is an alias that evaluates its target's health.

    https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/resource-record-sets-values-failover.html
    """
    if _failover(proposal.inputs) != "PRIMARY" or is_unknown(proposal, "aliases"):
        return
    evaluates = any(value for _, value in values_at(proposal.inputs, "aliases[].evaluateTargetHealth"))
    if not evaluates and not is_given(proposal, "healthCheckId") and not is_unknown(proposal, "healthCheckId"):
        yield "healthCheckId: a PRIMARY record without health check and without evaluateTargetHealth never fails over"


def record_set(proposal: Proposal, _: Cloud) -> Iterator[str]:
    """Only a record with a routing policy has a set identifier."""
    if is_given(proposal, "setIdentifier") and not any(
        is_given(proposal, name) or is_unknown(proposal, name) for name in _POLICIES
    ):
        yield "setIdentifier: a record without routing policy has none"


def record_neighbours(proposal: Proposal, cloud: Cloud) -> Iterator[str]:
    """Records of one name fit together: one CNAME alone; one policy a type; each set identifier and role once.

    https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/routing-policy.html
    """
    relevant = ("zoneId", "name", "type", "setIdentifier", *_POLICIES)
    if any(is_unknown(proposal, name) for name in relevant) or proposal.inputs.get("allowOverwrite"):
        return
    mine = proposal.inputs
    name, kind, policy = mine.get("name"), mine.get("type"), _policy(mine)
    for other in others(proposal, cloud, RECORD, everywhere=True):
        theirs = other.inputs
        if theirs.get("zoneId") != mine.get("zoneId") or _domain(theirs.get("name")) != _domain(name):
            continue
        if theirs.get("type") != kind:
            if "CNAME" in (theirs.get("type"), kind):
                yield f"type: {name} has a record of type {theirs.get('type')}, and a CNAME stands alone"
        elif policy == "simple" and _policy(theirs) == "simple":
            yield f"name: {name} has a record of type {kind} already, {other.id}"
        elif _policy(theirs) != policy:
            yield (
                f"name: the record {other.id} of the same name and type is routed by {_policy(theirs)},"
                f" this one by {policy}; all of one name and type are routed alike"
            )
        elif theirs.get("setIdentifier") == mine.get("setIdentifier"):
            yield f"setIdentifier: {mine.get('setIdentifier')} is the set identifier of {other.id} already"
        elif _failover(mine) is not None and _failover(theirs) == _failover(mine):
            yield f"failoverRoutingPolicies: {other.id} is the {_failover(mine)} of {name} already"


# Policies. https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html


def _statements(path: str, document: object) -> tuple[list[Inputs], list[str]]:
    """Return the statements of a policy document, and what is wrong with the document as such."""
    if isinstance(document, str):
        try:
            document = json.loads(document)
        except json.JSONDecodeError as error:
            return [], [f"{path}: is not JSON: {error}"]
    if not isinstance(document, Mapping):
        return [], [f"{path}: is not a policy document"]
    found = cast("Inputs", document).get("Statement")
    statements = cast("list[object]", found if isinstance(found, list) else [found])
    if not statements or not all(isinstance(item, Mapping) for item in statements):
        return [], [f"{path}: has no list of statements"]
    return cast("list[Inputs]", statements), []


def _listed(value: object) -> Iterable[str]:
    return cast("list[str]", value) if isinstance(value, list) else [] if value is None else [str(value)]


def _missing_parts(path: str, statements: list[Inputs], *parts: str) -> Iterator[str]:
    """Yield the parts that a statement lacks; NotAction stands for Action, and so on."""
    for index, statement in enumerate(statements):
        for part in parts:
            if part not in statement and f"Not{part}" not in statement:
                yield f"{path}: statement {index} has no {part}"
        if statement.get("Effect") not in ("Allow", "Deny"):
            yield f"{path}: statement {index} has neither the effect Allow nor Deny"


def assume_role_policy(proposal: Proposal, _: Cloud) -> Iterator[str]:
    """A trust policy is JSON whose statements say who may assume the role, by which action.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_create_for-custom.html
    """
    path = "assumeRolePolicy"
    if path not in proposal.inputs:
        return
    statements, problems = _statements(path, proposal.inputs[path])
    yield from problems
    yield from _missing_parts(path, statements, "Principal", "Action")
    for index, statement in enumerate(statements):
        if "Resource" in statement:
            yield f"{path}: statement {index} has a Resource, which a trust policy has not"


ROLE_POLICY_CHARACTERS = 10_240
"""The quota of all inline policies of a role, white space not counted.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
"""


def role_policy(proposal: Proposal, cloud: Cloud) -> Iterator[str]:
    """An inline policy is JSON that says which action on which resource; all of a role fit into the quota."""
    document = proposal.inputs.get("policy")
    if document is None:
        return
    statements, problems = _statements("policy", document)
    yield from problems
    yield from _missing_parts("policy", statements, "Action", "Resource")
    for index, statement in enumerate(statements):
        if "Principal" in statement:
            yield f"policy: statement {index} has a Principal, which the policy of a role has not"
    role = _known_text(proposal, "role")
    documents = [document]
    for other in others(proposal, cloud, ROLE_POLICY, everywhere=True) if role is not None else ():
        if other.attribute("role") == role:
            documents.append(other.attribute("policy"))
    texts = (text if isinstance(text, str) else json.dumps(text) for text in documents)
    size = sum(len(re.sub(r"\s", "", text)) for text in texts)
    if size > ROLE_POLICY_CHARACTERS:
        yield (
            f"policy: the inline policies of the role have {size} characters without white space,"
            f" IAM allows {ROLE_POLICY_CHARACTERS}"
        )


def bucket_policy(proposal: Proposal, _: Cloud) -> Iterator[str]:
    """A bucket policy is JSON that says who may do what, on this bucket.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/example-bucket-policies.html
    """
    bucket, document = _known_text(proposal, "bucket"), proposal.inputs.get("policy")
    if document is None:
        return
    statements, problems = _statements("policy", document)
    yield from problems
    yield from _missing_parts("policy", statements, "Principal", "Action", "Resource")
    arn = f"arn:aws:s3:::{bucket}"
    for index, statement in enumerate(statements if bucket is not None else ()):
        for resource in _listed(statement.get("Resource")):
            if resource != arn and not resource.startswith(arn + "/"):
                yield f"policy: statement {index} names {resource}, which is not in this bucket ({arn})"


def bucket_policy_public(proposal: Proposal, cloud: Cloud) -> Iterator[str]:
    """A policy that lets everyone in needs an access block that allows it: S3 blocks new buckets by default.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-block-public-access.html
    """
    bucket = _known_text(proposal, "bucket")
    statements, _ = _statements("policy", proposal.inputs.get("policy"))
    if bucket is None or not cloud.find(BUCKET, value=bucket):
        return
    block = cloud.find(PUBLIC_ACCESS_BLOCK, attribute="bucket", value=bucket)
    # An access block that is there leaves off what it does not say.
    if block is not None and not block.attribute("blockPublicPolicy"):
        return
    for index, statement in enumerate(statements):
        principal = statement.get("Principal")
        everyone = principal == "*" or (
            isinstance(principal, Mapping) and "*" in _listed(cast("Inputs", principal).get("AWS"))
        )
        if everyone and statement.get("Effect") == "Allow" and not statement.get("Condition"):
            yield (
                f"policy: statement {index} lets everyone in, which S3 blocks"
                f" unless a BucketPublicAccessBlock of {bucket} has blockPublicPolicy off"
            )


CHECKS: dict[str, Check] = {
    check.__name__: check
    for check in (
        allocation_once,
        association_once,
        assume_role_policy,
        bucket_policy,
        bucket_policy_public,
        cidr_reservation,
        description_text,
        endpoint_placement,
        endpoint_private_dns,
        endpoint_service,
        flow_log,
        health_check_children,
        health_check_endpoint,
        health_check_regions,
        health_check_text,
        inline_routes,
        inline_security_group_rules,
        instance_source,
        interface_once,
        listener_port,
        nat_gateway_address,
        one_internet_gateway,
        one_subnet_per_zone,
        prefix_list_entries,
        private_address,
        record_alias,
        record_failover,
        record_name,
        record_neighbours,
        record_set,
        role_policy,
        route_destination,
        rule_addresses,
        rule_count,
        rule_duplicate,
        rule_ports,
        same_vpc,
        subnet_cidr,
        subnet_zone,
        target_group_health_check,
        user_data,
        vpc_cidr,
    )
}
"""The checks by the names that rule files use."""
