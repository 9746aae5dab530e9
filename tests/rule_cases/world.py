"""The small cloud in which the cases play."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from engine import tokens
from offline.cloud import Resource

REGION = "us-east-1"
ACCOUNT = "123456789012"

LAUNCH_TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"
FLOW_LOG = "aws:ec2/flowLog:FlowLog"
TARGET_GROUP = "aws:lb/targetGroup:TargetGroup"
BUCKET_POLICY = "aws:s3/bucketPolicy:BucketPolicy"
OWNERSHIP = "aws:s3/bucketOwnershipControls:BucketOwnershipControls"
ENCRYPTION = "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
VERSIONING = "aws:s3/bucketVersioning:BucketVersioning"
LIFECYCLE = "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration"
ROLE = "aws:iam/role:Role"


def existing(kind: str, identity: str, **attributes: Any) -> Resource:
    """Return something that exists in the region of the cases."""
    return Resource(kind, identity, f"urn:pulumi:cases::cases::{kind}::{identity}", REGION, attributes)


def elsewhere(kind: str, identity: str, **attributes: Any) -> Resource:
    """Return something that exists in another region than that of the cases."""
    return replace(existing(kind, identity, **attributes), region="us-west-2")


def policy(principal: object = None, action: object = "s3:GetObject", resource: object = None, **more: object) -> str:
    """Return a policy document of one statement, without the parts that are None."""
    parts = {"Principal": principal, "Action": action, "Resource": resource, **more}
    statement = {"Effect": "Allow"} | {name: part for name, part in parts.items() if part is not None}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


TRUST = policy({"Service": "ec2.amazonaws.com"}, "sts:AssumeRole")
TRUST_OF_SERVICES = policy({"Service": ["s3.amazonaws.com", "backup.amazonaws.com"]}, "sts:AssumeRole")
WRITE_LOGS = policy(None, "logs:PutLogEvents", "*")
BALANCER_ARN = f"arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}:loadbalancer/net/other/0123456789abcdef"
BALANCER_NAME = f"other-0123456789abcdef.elb.{REGION}.amazonaws.com"
TARGETS_ARN = f"arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}:targetgroup/other/0123456789abcdef"
SECRET_ARN = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:other-012345"
DESTINATION_ARN = "arn:aws:s3:::far-locked-bucket"
VAULT_ARN = f"arn:aws:backup:us-west-2:{ACCOUNT}:backup-vault:far"
TRUST_OF_SERVICES_ARN = f"arn:aws:iam::{ACCOUNT}:role/services"
DATABASE_ARN = f"arn:aws:rds:{REGION}:{ACCOUNT}:db:source"
FAR_DATABASE_ARN = f"arn:aws:rds:us-west-2:{ACCOUNT}:db:far"
KEY_ARN = "arn:aws:kms:us-east-1::key/1"
FAR_KEY_ARN = "arn:aws:kms:us-west-2::key/far"
TOPIC_ARN = f"arn:aws:sns:{REGION}:{ACCOUNT}:other"
LOG_GROUP_ARN = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/other"

WORLD = [
    existing(tokens.VPC, "vpc-1", cidrBlock="10.0.0.0/16", enableDnsHostnames=True, enableDnsSupport=True),
    existing(tokens.VPC, "vpc-2", cidrBlock="10.2.0.0/16", enableDnsHostnames=False, enableDnsSupport=True),
    existing(tokens.INTERNET_GATEWAY, "igw-1", vpcId="vpc-1"),
    existing(tokens.SUBNET, "subnet-a", vpcId="vpc-1", cidrBlock="10.0.1.0/24", availabilityZone="us-east-1a"),
    existing(tokens.SUBNET, "subnet-b", vpcId="vpc-1", cidrBlock="10.0.2.0/24", availabilityZone="us-east-1b"),
    existing(tokens.SUBNET, "subnet-a2", vpcId="vpc-1", cidrBlock="10.0.3.0/24", availabilityZone="us-east-1a"),
    existing(tokens.SUBNET, "subnet-far", vpcId="vpc-2", cidrBlock="10.2.1.0/24", availabilityZone="us-east-1c"),
    existing(tokens.EIP, "eipalloc-1", domain="vpc"),
    existing(tokens.EIP, "eipalloc-2", domain="vpc"),
    existing(tokens.EIP, "eipalloc-used", domain="vpc"),
    existing(tokens.NAT_GATEWAY, "nat-1", subnetId="subnet-b", allocationId="eipalloc-used"),
    existing(tokens.ROUTE_TABLE, "rtb-1", vpcId="vpc-1"),
    existing(tokens.ROUTE_TABLE, "rtb-far", vpcId="vpc-2"),
    existing(tokens.VPC_ENDPOINT, "vpce-1", vpcId="vpc-1", serviceName="com.amazonaws.us-east-1.dynamodb"),
    existing(tokens.SECURITY_GROUP, "sg-1", vpcId="vpc-1", name="one"),
    existing(tokens.SECURITY_GROUP, "sg-far", vpcId="vpc-2", name="one"),
    existing(tokens.SECURITY_GROUP, "sg-inline", vpcId="vpc-1", name="inline", ingress=[{}], egress=[{}]),
    existing(tokens.PREFIX_LIST, "pl-1", name="other", addressFamily="IPv4", maxEntries=25),
    existing(tokens.NETWORK_INTERFACE, "eni-1", subnetId="subnet-a", privateIps=["10.0.1.10"]),
    existing(tokens.NETWORK_INTERFACE, "eni-used", subnetId="subnet-a", privateIps=["10.0.1.11"]),
    existing("aws:ec2/ami:Ami", "ami-1"),
    existing(tokens.INSTANCE, "i-1", primaryNetworkInterface={"networkInterfaceId": "eni-used"}),
    existing(LAUNCH_TEMPLATE, "lt-1", name="other"),
    existing(tokens.LOAD_BALANCER, BALANCER_ARN, name="other", arn=BALANCER_ARN, dnsName=BALANCER_NAME, zoneId="ZLB"),
    existing(TARGET_GROUP, TARGETS_ARN, name="other", arn=TARGETS_ARN),
    existing("aws:acm/certificate:Certificate", "certificate-1", arn="arn:aws:acm:us-east-1::certificate/1"),
    existing("aws:kms/key:Key", "key-1", arn="arn:aws:kms:us-east-1::key/1"),
    existing("aws:cloudwatch/metricAlarm:MetricAlarm", "alarm-1", name="alarm-1"),
    elsewhere("aws:kms/key:Key", "key-far", arn="arn:aws:kms:us-west-2::key/far", multiRegion=True),
    existing("aws:secretsmanager/secret:Secret", SECRET_ARN, name="other"),
    existing("aws:ecr/repository:Repository", "other", name="other"),
    existing(tokens.VAULT, "other", name="other", arn=f"arn:aws:backup:{REGION}:{ACCOUNT}:backup-vault:other"),
    elsewhere(tokens.VAULT, "far", name="far", arn=VAULT_ARN),
    existing(tokens.BACKUP_PLAN, "plan-1", name="other", rules=[]),
    existing(tokens.BUCKET, "locked-bucket", arn="arn:aws:s3:::locked-bucket", objectLockEnabled=True),
    elsewhere(tokens.BUCKET, "far-locked-bucket", arn=DESTINATION_ARN, objectLockEnabled=True),
    existing(tokens.DATABASE_SUBNETS, "data", name="data", subnetIds=["subnet-a", "subnet-b"]),
    existing(tokens.DATABASE_PARAMETERS, "other", name="other", family="postgres15"),
    existing(
        tokens.DATABASE,
        "db-1",
        identifier="source",
        arn=DATABASE_ARN,
        backupRetentionPeriod=14,
        dbSubnetGroupName="data",
        storageEncrypted=True,
        kmsKeyId=KEY_ARN,
    ),
    elsewhere(
        tokens.DATABASE,
        "db-far",
        identifier="far",
        arn=FAR_DATABASE_ARN,
        backupRetentionPeriod=14,
        storageEncrypted=True,
        kmsKeyId=FAR_KEY_ARN,
    ),
    existing(tokens.FILE_SYSTEM, "fs-1", encrypted=True),
    elsewhere(tokens.FILE_SYSTEM, "fs-far", encrypted=True, protection={"replicationOverwrite": "DISABLED"}),
    existing(tokens.AUTOSCALING_GROUP, "workers", name="workers"),
    existing(tokens.VOLUME, "vol-1", availabilityZone="us-east-1a"),
    existing(tokens.TOPIC, TOPIC_ARN, name="other", arn=TOPIC_ARN),
    existing(tokens.HEALTH_CHECK, "check-1", type="HTTPS", fqdn="a.example.com"),
    existing(tokens.HEALTH_CHECK, "check-calculated", type="CALCULATED", childHealthchecks=["check-1"]),
    existing(tokens.ZONE, "Z1", name="example.com"),
    existing(tokens.BUCKET, "other-bucket", bucket="other-bucket", arn="arn:aws:s3:::other-bucket"),
    existing(tokens.LOG_GROUP, "/other", name="/other", arn=LOG_GROUP_ARN),
    existing(ROLE, "other", name="other", arn=f"arn:aws:iam::{ACCOUNT}:role/other"),
    existing(ROLE, "services", name="services", arn=TRUST_OF_SERVICES_ARN, assumeRolePolicy=TRUST_OF_SERVICES),
    existing(
        "aws:iam/instanceProfile:InstanceProfile", "other", name="other", arn="arn:aws:iam:::instance-profile/1"
    ),
]
