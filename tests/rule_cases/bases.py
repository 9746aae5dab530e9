"""One small legal resource a type."""

from __future__ import annotations

import copy
from typing import Any

from engine import tokens
from offline.cloud import Inputs
from tests.rule_cases import stores, workloads
from tests.rule_cases.world import (
    ACCOUNT,
    BALANCER_ARN,
    BUCKET_POLICY,
    ENCRYPTION,
    FLOW_LOG,
    LAUNCH_TEMPLATE,
    LIFECYCLE,
    LOG_GROUP_ARN,
    OWNERSHIP,
    ROLE,
    TARGET_GROUP,
    TARGETS_ARN,
    TRUST,
    VERSIONING,
    WRITE_LOGS,
    policy,
)

RULE: Inputs = {
    "securityGroupId": "sg-1",
    "ipProtocol": "tcp",
    "fromPort": 443,
    "toPort": 443,
    "cidrIpv4": "192.0.2.0/24",
}

BASES: dict[str, Inputs] = {
    tokens.VPC: {"cidrBlock": "10.1.0.0/16"},
    tokens.INTERNET_GATEWAY: {"vpcId": "vpc-2"},
    tokens.SUBNET: {"vpcId": "vpc-1", "cidrBlock": "10.0.9.0/24", "availabilityZone": "us-east-1a"},
    tokens.CIDR_RESERVATION: {"subnetId": "subnet-a", "cidrBlock": "10.0.1.16/28", "reservationType": "explicit"},
    tokens.EIP: {"domain": "vpc"},
    tokens.NAT_GATEWAY: {"subnetId": "subnet-a", "allocationId": "eipalloc-1"},
    tokens.ROUTE_TABLE: {"vpcId": "vpc-1"},
    tokens.ROUTE: {"routeTableId": "rtb-1", "destinationCidrBlock": "0.0.0.0/0", "gatewayId": "igw-1"},
    tokens.ROUTE_TABLE_ASSOCIATION: {"routeTableId": "rtb-1", "subnetId": "subnet-a"},
    tokens.VPC_ENDPOINT: {
        "vpcId": "vpc-1",
        "serviceName": "com.amazonaws.us-east-1.s3",
        "vpcEndpointType": "Gateway",
        "routeTableIds": ["rtb-1"],
    },
    FLOW_LOG: {
        "vpcId": "vpc-1",
        "trafficType": "ALL",
        "logDestination": LOG_GROUP_ARN,
        "iamRoleArn": f"arn:aws:iam::{ACCOUNT}:role/other",
    },
    tokens.DEFAULT_SECURITY_GROUP: {"vpcId": "vpc-1"},
    tokens.SECURITY_GROUP: {"name": "web", "description": "web", "vpcId": "vpc-1"},
    tokens.PREFIX_LIST: {
        "name": "admins",
        "addressFamily": "IPv4",
        "maxEntries": 2,
        "entries": [{"cidr": "192.0.2.0/24"}],
    },
    tokens.NETWORK_INTERFACE: {"subnetId": "subnet-a", "privateIps": ["10.0.1.20"], "securityGroups": ["sg-1"]},
    tokens.INSTANCE: {"ami": "ami-1", "instanceType": "m6i.large", "subnetId": "subnet-a"},
    LAUNCH_TEMPLATE: {"name": "worker", "imageId": "ami-1", "instanceType": "m6i.large"},
    tokens.INGRESS_RULE: RULE,
    tokens.EGRESS_RULE: RULE,
    tokens.LOAD_BALANCER: {
        "name": "edge",
        "loadBalancerType": "network",
        "subnetMappings": [{"subnetId": "subnet-a"}],
    },
    TARGET_GROUP: {"name": "edge", "port": 443, "protocol": "TCP", "vpcId": "vpc-1"},
    tokens.LISTENER: {
        "loadBalancerArn": BALANCER_ARN,
        "port": 443,
        "protocol": "TCP",
        "defaultActions": [{"type": "forward", "targetGroupArn": TARGETS_ARN}],
    },
    tokens.HEALTH_CHECK: {"type": "HTTPS", "fqdn": "a.example.com"},
    tokens.RECORD: {"zoneId": "Z1", "name": "a.example.com", "type": "A", "records": ["192.0.2.1"], "ttl": 60},
    tokens.ZONE: {"name": "example.org"},
    tokens.BUCKET: {"bucket": "logs-of-the-platform"},
    tokens.PUBLIC_ACCESS_BLOCK: {"bucket": "other-bucket"},
    BUCKET_POLICY: {
        "bucket": "other-bucket",
        "policy": policy({"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, resource="arn:aws:s3:::other-bucket/*"),
    },
    OWNERSHIP: {"bucket": "other-bucket", "rule": {"objectOwnership": "BucketOwnerEnforced"}},
    ENCRYPTION: {
        "bucket": "other-bucket",
        "rules": [{"applyServerSideEncryptionByDefault": {"sseAlgorithm": "AES256"}}],
    },
    VERSIONING: {"bucket": "other-bucket", "versioningConfiguration": {"status": "Enabled"}},
    LIFECYCLE: {"bucket": "other-bucket", "rules": [{"id": "all", "status": "Enabled"}]},
    tokens.LOG_GROUP: {"name": "/platform/nodes"},
    ROLE: {"name": "node", "assumeRolePolicy": TRUST},
    tokens.ROLE_POLICY: {"role": "other", "name": "logs", "policy": WRITE_LOGS},
    **stores.BASES,
    **workloads.BASES,
}


def inputs(kind: str, *changes: Inputs) -> dict[str, Any]:
    """Return the legal inputs of a type with some changed; None takes one away."""
    merged = copy.deepcopy(dict(BASES[kind]))
    for change in changes:
        merged |= copy.deepcopy(dict(change))
    return {name: value for name, value in merged.items() if value is not None}
