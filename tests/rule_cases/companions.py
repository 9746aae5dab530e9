"""What must change together with a property of a legal resource, so that the resource stays legal."""

from __future__ import annotations

import base64
from typing import Any

from engine import tokens
from offline.cloud import Inputs
from tests.rule_cases import stores, workloads
from tests.rule_cases.world import BALANCER_NAME, FLOW_LOG, REGION, TARGET_GROUP

INTERFACE_ENDPOINT: Inputs = {
    "serviceName": "com.amazonaws.us-east-1.ssm",
    "vpcEndpointType": "Interface",
    "routeTableIds": None,
    "subnetIds": ["subnet-a"],
    "securityGroupIds": ["sg-1"],
}
REGIONAL_NAT: Inputs = {"subnetId": None, "allocationId": None, "availabilityMode": "regional", "vpcId": "vpc-1"}
INLINE_RULE: Inputs = {"fromPort": 443, "toPort": 443, "protocol": "tcp", "securityGroups": ["sg-1"]}
FAILOVER: Inputs = {"setIdentifier": "one", "healthCheckId": "check-1"}
CALCULATED: Inputs = {
    "type": "CALCULATED",
    "fqdn": None,
    "childHealthchecks": ["check-1"],
    "childHealthThreshold": 1,
}

COMPANIONS: dict[tuple[str, str], Inputs] = {
    (tokens.VPC, "ipv4NetmaskLength"): {"cidrBlock": None, "ipv4IpamPoolId": "ipam-pool-1"},
    (tokens.VPC, "ipv6NetmaskLength"): {"ipv6IpamPoolId": "ipam-pool-1"},
    (tokens.VPC, "ipv6CidrBlock"): {"ipv6IpamPoolId": "ipam-pool-1"},
    (tokens.SUBNET, "ipv4NetmaskLength"): {"cidrBlock": None, "ipv4IpamPoolId": "ipam-pool-1"},
    (tokens.SUBNET, "ipv6NetmaskLength"): {"ipv6IpamPoolId": "ipam-pool-1"},
    (tokens.NAT_GATEWAY, "vpcId"): REGIONAL_NAT,
    (tokens.NAT_GATEWAY, "secondaryAllocationIds[]"): {"secondaryAllocationIds": ["eipalloc-2"]},
    (tokens.NAT_GATEWAY, "availabilityZoneAddresses[].allocationIds[]"): {
        **REGIONAL_NAT,
        "availabilityZoneAddresses": [{"availabilityZone": "us-east-1a", "allocationIds": ["eipalloc-2"]}],
    },
    (tokens.ROUTE, "destinationPrefixListId"): {"destinationCidrBlock": None},
    (tokens.ROUTE, "natGatewayId"): {"gatewayId": None},
    (tokens.ROUTE, "networkInterfaceId"): {"gatewayId": None},
    (tokens.ROUTE, "vpcEndpointId"): {"gatewayId": None},
    (tokens.ROUTE_TABLE_ASSOCIATION, "gatewayId"): {"subnetId": None},
    (tokens.VPC_ENDPOINT, "subnetIds[]"): INTERFACE_ENDPOINT,
    (tokens.VPC_ENDPOINT, "securityGroupIds[]"): INTERFACE_ENDPOINT,
    (tokens.VPC_ENDPOINT, "subnetConfigurations[].subnetId"): INTERFACE_ENDPOINT,
    (FLOW_LOG, "eniId"): {"vpcId": None},
    (FLOW_LOG, "regionalNatGatewayId"): {"vpcId": None},
    (FLOW_LOG, "subnetId"): {"vpcId": None},
    (tokens.DEFAULT_SECURITY_GROUP, "ingress[].securityGroups[]"): {"ingress": [INLINE_RULE]},
    (tokens.DEFAULT_SECURITY_GROUP, "egress[].securityGroups[]"): {"egress": [INLINE_RULE]},
    (tokens.SECURITY_GROUP, "ingress[].securityGroups[]"): {"ingress": [INLINE_RULE]},
    (tokens.SECURITY_GROUP, "egress[].securityGroups[]"): {"egress": [INLINE_RULE]},
    (tokens.NETWORK_INTERFACE, "attachments[].instance"): {"attachments": [{"deviceIndex": 1}]},
    (tokens.INSTANCE, "networkInterfaces[].networkInterfaceId"): {
        "subnetId": None,
        "networkInterfaces": [{"deviceIndex": 0}],
    },
    (tokens.INSTANCE, "primaryNetworkInterface.networkInterfaceId"): {"subnetId": None},
    (tokens.INSTANCE, "ebsBlockDevices[].kmsKeyId"): {"ebsBlockDevices": [{"deviceName": "/dev/sdf"}]},
    (tokens.INSTANCE, "ebsBlockDevices[].volumeType"): {"ebsBlockDevices": [{"deviceName": "/dev/sdf"}]},
    (tokens.LOAD_BALANCER, "subnets[]"): {"subnetMappings": None},
    (TARGET_GROUP, "healthCheck.timeout"): {"healthCheck": {"interval": 300}},
    (TARGET_GROUP, "targetHealthStates[].unhealthyDrainingInterval"): {
        "targetHealthStates": [{"enableUnhealthyConnectionTermination": False}]
    },
    (tokens.LISTENER, "certificateArn"): {"protocol": "TLS"},
    (tokens.LISTENER, "defaultActions[].forward.targetGroups[].arn"): {"defaultActions": [{"type": "forward"}]},
    (tokens.HEALTH_CHECK, "childHealthchecks[]"): CALCULATED,
    (tokens.HEALTH_CHECK, "cloudwatchAlarmName"): {
        "type": "CLOUDWATCH_METRIC",
        "fqdn": None,
        "cloudwatchAlarmRegion": REGION,
    },
    (tokens.HEALTH_CHECK, "cloudwatchAlarmRegion"): {
        "type": "CLOUDWATCH_METRIC",
        "fqdn": None,
        "cloudwatchAlarmName": "alarm-1",
    },
    (tokens.HEALTH_CHECK, "regions[]"): {"regions": ["us-east-1", "us-west-1", "us-west-2"]},
    (tokens.RECORD, "failoverRoutingPolicies"): FAILOVER,
    (tokens.RECORD, "failoverRoutingPolicies[].type"): FAILOVER,
    (tokens.RECORD, "weightedRoutingPolicies[].weight"): {"setIdentifier": "one"},
    **{
        (kind, path): change
        for kind in (tokens.INGRESS_RULE, tokens.EGRESS_RULE)
        for path, change in {
            # ICMP's "ports" are a type and a code, which need not be in order.
            "fromPort": {"ipProtocol": "icmp"},
            "toPort": {"ipProtocol": "icmp"},
            "prefixListId": {"cidrIpv4": None},
            "referencedSecurityGroupId": {"cidrIpv4": None},
        }.items()
    },
    **stores.COMPANIONS,
    **workloads.COMPANIONS,
}
"""What else must change for a property to be legal at all, by type and path."""

SAMPLES: dict[str, Any] = {
    "aliases": [{"name": BALANCER_NAME, "zoneId": "ZLB", "evaluateTargetHealth": True}],
    "assignGeneratedIpv6CidrBlock": True,
    "associatePublicIpAddress": False,
    "availabilityZone": "us-east-1a",
    "cidrIpv4": "192.0.2.0/24",
    "cidrIpv6": "2001:db8::/32",
    "cidrRoutingPolicy": {"collectionId": "one", "locationName": "one"},
    "cloudwatchAlarmRegion": REGION,
    "destinationCidrBlock": "0.0.0.0/0",
    "destinationIpv6CidrBlock": "::/0",
    "failoverRoutingPolicies": [{"type": "SECONDARY"}],
    "geolocationRoutingPolicies": [{"country": "*"}],
    "geoproximityRoutingPolicy": {"awsRegion": REGION},
    "grants": [{"type": "Group", "permissions": ["READ"]}],
    "instanceRequirements": {"memoryMib": {"min": 1}, "vcpuCount": {"min": 1}},
    "ipv4NetmaskLength": 24,
    "ipv4PrefixCount": 1,
    "ipv4Prefixes": ["10.0.1.32/28"],
    "ipv6AddressCount": 1,
    "ipv6AddressLists": ["2001:db8::1"],
    "ipv6Addresses": ["2001:db8::1"],
    "ipv6CidrBlock": "2001:db8::/56",
    "ipv6NetmaskLength": 56,
    "ipv6PrefixCount": 1,
    "ipv6Prefixes": ["2001:db8::/80"],
    "latencyRoutingPolicies": [{"region": REGION}],
    "mapCustomerOwnedIpOnLaunch": True,
    "multivalueAnswerRoutingPolicy": True,
    "networkInterfaces": [{"deviceIndex": 0, "networkInterfaceId": "eni-1"}],
    "primaryNetworkInterface": {"networkInterfaceId": "eni-1"},
    "privateIp": "10.0.1.30",
    "privateIpLists": ["10.0.1.31"],
    "privateIps": ["10.0.1.20"],
    "privateIpsCount": 1,
    "defaultVersion": 1,
    "secondaryPrivateIpAddressCount": 1,
    "secondaryPrivateIpAddresses": ["10.0.1.30"],
    "securityGroupNames": ["one"],
    "subnetMappings": [{"subnetId": "subnet-a"}],
    "subnets": ["subnet-b"],
    "ttl": 60,
    "records": ["192.0.2.1"],
    "updateDefaultVersion": True,
    "userData": "#!/bin/sh",
    "userDataBase64": base64.b64encode(b"#!/bin/sh").decode(),
    "vpcs": [{"vpcId": "vpc-1"}],
    "vpcSecurityGroupIds": ["sg-1"],
    "weightedRoutingPolicies": [{"weight": 1}],
    **stores.SAMPLES,
    **workloads.SAMPLES,
}
"""Values of properties that are not references, where "one" and 1 would not do."""
