"""Databases, file systems, workers, volumes and alarms: one small legal resource a type, and what goes with it."""

from __future__ import annotations

from typing import Any

from engine import tokens
from offline.cloud import Inputs
from tests.rule_cases.world import (
    ACCOUNT,
    DATABASE_ARN,
    FAR_DATABASE_ARN,
    FAR_KEY_ARN,
    KEY_ARN,
    TARGETS_ARN,
    TOPIC_ARN,
    policy,
)

_ROOT = {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}
MOUNT = policy(_ROOT, "elasticfilesystem:ClientMount")
PUBLISH = policy({"Service": "cloudwatch.amazonaws.com"}, "sns:Publish", TOPIC_ARN)

BASES: dict[str, Inputs] = {
    tokens.DATABASE: {
        "identifier": "main",
        "engine": "postgres",
        "engineVersion": "15",
        "instanceClass": "db.m6g.large",
        "allocatedStorage": 100,
        "username": "platform",
        "passwordWo": "one",
        "passwordWoVersion": 1,
        "dbSubnetGroupName": "data",
        "vpcSecurityGroupIds": ["sg-1"],
        "finalSnapshotIdentifier": "main-final",
    },
    tokens.DATABASE_SUBNETS: {"name": "main", "subnetIds": ["subnet-a", "subnet-b"]},
    tokens.DATABASE_PARAMETERS: {
        "name": "main",
        "family": "postgres15",
        "parameters": [{"name": "max_slot_wal_keep_size", "value": "10240"}],
    },
    tokens.BACKUPS_REPLICATION: {"sourceDbInstanceArn": FAR_DATABASE_ARN, "kmsKeyId": KEY_ARN},
    tokens.FILE_SYSTEM: {"creationToken": "ml-data", "encrypted": True},
    tokens.MOUNT_TARGET: {"fileSystemId": "fs-1", "subnetId": "subnet-a", "securityGroups": ["sg-1"]},
    tokens.FILE_SYSTEM_REPLICATION: {
        "sourceFileSystemId": "fs-1",
        "destination": {"fileSystemId": "fs-far", "region": "us-west-2"},
    },
    tokens.ACCESS_POINT: {
        "fileSystemId": "fs-1",
        "posixUser": {"uid": 1000, "gid": 1000},
        "rootDirectory": {
            "path": "/jobs",
            "creationInfo": {"ownerUid": 1000, "ownerGid": 1000, "permissions": "0755"},
        },
    },
    tokens.FILE_SYSTEM_BACKUP: {"fileSystemId": "fs-1", "backupPolicy": {"status": "ENABLED"}},
    tokens.FILE_SYSTEM_POLICY: {"fileSystemId": "fs-1", "policy": MOUNT},
    tokens.AUTOSCALING_GROUP: {
        "name": "pool",
        "minSize": 3,
        "maxSize": 20,
        "vpcZoneIdentifiers": ["subnet-a", "subnet-b"],
        "launchTemplate": {"id": "lt-1", "version": "1"},
    },
    tokens.LIFECYCLE_HOOK: {
        "name": "drain",
        "autoscalingGroupName": "workers",
        "lifecycleTransition": "autoscaling:EC2_INSTANCE_TERMINATING",
    },
    tokens.AUTOSCALING_TAG: {
        "autoscalingGroupName": "workers",
        "tag": {"key": "role", "value": "worker", "propagateAtLaunch": True},
    },
    tokens.VOLUME: {"availabilityZone": "us-east-1a", "type": "gp3", "size": 100, "encrypted": True},
    tokens.VOLUME_ATTACHMENT: {"deviceName": "/dev/sdf", "instanceId": "i-1", "volumeId": "vol-1"},
    tokens.ALARM: {
        "name": "cpu",
        "namespace": "AWS/EC2",
        "metricName": "CPUUtilization",
        "dimensions": {"InstanceId": "i-1"},
        "statistic": "Average",
        "period": 60,
        "evaluationPeriods": 3,
        "comparisonOperator": "GreaterThanThreshold",
        "threshold": 80,
        "alarmActions": [TOPIC_ARN],
    },
    tokens.TOPIC: {"name": "alerts"},
    tokens.TOPIC_POLICY: {"arn": TOPIC_ARN, "policy": PUBLISH},
    tokens.TOPIC_SUBSCRIPTION: {"topic": TOPIC_ARN, "protocol": "email", "endpoint": "operators@example.com"},
    tokens.TARGET_GROUP_ATTACHMENT: {"targetGroupArn": TARGETS_ARN, "targetId": "i-1"},
}
"""One small legal resource a type."""

REPLICA: Inputs = {
    "replicateSourceDb": "source",
    "dbSubnetGroupName": None,
    "skipFinalSnapshot": True,
    **dict.fromkeys(("engine", "engineVersion", "allocatedStorage", "username", "passwordWo", "passwordWoVersion")),
}
"""What makes the legal database a replica of another one in its region."""

FAR_REPLICA: Inputs = {
    **REPLICA,
    "replicateSourceDb": FAR_DATABASE_ARN,
    "dbSubnetGroupName": "data",
    "kmsKeyId": KEY_ARN,
}
"""What makes the legal database a replica of one in another region."""


def mixed(*overrides: Inputs, **specification: str) -> Inputs:
    """Return the legal group with a mixed instances policy."""
    template: dict[str, Any] = {
        "launchTemplateSpecification": specification or {"launchTemplateId": "lt-1", "version": "1"},
        "overrides": [*overrides],
    }
    return {"launchTemplate": None, "mixedInstancesPolicy": {"launchTemplate": template}}


_SPECIFICATION = "mixedInstancesPolicy.launchTemplate.launchTemplateSpecification"
_OVERRIDE = "mixedInstancesPolicy.launchTemplate.overrides[].launchTemplateSpecification"
_DISTRIBUTION = "mixedInstancesPolicy.instancesDistribution"
_HOOK: Inputs = {
    "initialLifecycleHooks": [{"name": "drain", "lifecycleTransition": "autoscaling:EC2_INSTANCE_TERMINATING"}]
}
_QUERY: Inputs = {"id": "one", "expression": "SELECT AVG(CPUUtilization)", "period": 60, "returnData": True}
_OF_RDS: Inputs = {"passwordWo": None, "passwordWoVersion": None, "manageMasterUserPassword": True}
_INSIGHTS: Inputs = {"performanceInsightsEnabled": True}

COMPANIONS: dict[tuple[str, str], Inputs] = {
    (tokens.DATABASE, "masterUserSecretKmsKeyId"): _OF_RDS,
    (tokens.DATABASE, "performanceInsightsKmsKeyId"): _INSIGHTS,
    (tokens.DATABASE, "performanceInsightsRetentionPeriod"): _INSIGHTS,
    (tokens.FILE_SYSTEM, "throughputMode"): {"performanceMode": None},
    (tokens.FILE_SYSTEM, "provisionedThroughputInMibps"): {"throughputMode": "provisioned"},
    (tokens.FILE_SYSTEM_REPLICATION, "destination.kmsKeyId"): {
        "destination": {"region": "us-west-2", "kmsKeyId": FAR_KEY_ARN}
    },
    (tokens.AUTOSCALING_GROUP, "launchTemplate.name"): {"launchTemplate": {"version": "1"}},
    (tokens.AUTOSCALING_GROUP, f"{_SPECIFICATION}.launchTemplateId"): mixed(version="1"),
    (tokens.AUTOSCALING_GROUP, f"{_SPECIFICATION}.launchTemplateName"): mixed(version="1"),
    **{
        (tokens.AUTOSCALING_GROUP, f"{_OVERRIDE}.{name}"): mixed({"launchTemplateSpecification": {"version": "1"}})
        for name in ("launchTemplateId", "launchTemplateName")
    },
    **{
        (tokens.AUTOSCALING_GROUP, f"{_DISTRIBUTION}.{name}"): mixed()
        for name in (
            "onDemandAllocationStrategy",
            "onDemandPercentageAboveBaseCapacity",
            "spotAllocationStrategy",
        )
    },
    **{
        (tokens.AUTOSCALING_GROUP, f"initialLifecycleHooks[].{name}"): _HOOK
        for name in ("heartbeatTimeout", "defaultResult", "lifecycleTransition")
    },
    **{
        (tokens.AUTOSCALING_GROUP, f"instanceRefresh.preferences.{name}"): {
            "instanceRefresh": {"strategy": "Rolling"}
        }
        for name in (
            "minHealthyPercentage",
            "maxHealthyPercentage",
            "scaleInProtectedInstances",
            "standbyInstances",
        )
    },
    (tokens.AUTOSCALING_GROUP, "instanceMaintenancePolicy.minHealthyPercentage"): {
        "instanceMaintenancePolicy": {"maxHealthyPercentage": 100}
    },
    (tokens.AUTOSCALING_GROUP, "instanceMaintenancePolicy.maxHealthyPercentage"): {
        "instanceMaintenancePolicy": {"minHealthyPercentage": 90}
    },
    (tokens.LIFECYCLE_HOOK, "notificationTargetArn"): {"roleArn": f"arn:aws:iam::{ACCOUNT}:role/other"},
    (tokens.LIFECYCLE_HOOK, "roleArn"): {"notificationTargetArn": TOPIC_ARN},
    (tokens.VOLUME, "volumeInitializationRate"): {"snapshotId": "snap-1"},
    (tokens.ALARM, "metricQueries"): {
        **dict.fromkeys(("metricName", "namespace", "dimensions", "statistic", "period")),
        "metricQueries": [_QUERY],
    },
}
"""What else must change for a property to be legal at all, by type and path."""

SAMPLES: dict[str, Any] = {
    "availabilityZones": ["us-east-1a"],
    "comparisonOperator": "GreaterThanThreshold",
    "dimensions": {"InstanceId": "i-1"},
    "encrypted": True,
    "evaluationCriteria": {"promqlCriteria": {"query": "up == 0"}},
    "evaluationPeriods": 1,
    "extendedStatistic": "p99",
    "launchTemplate": {"id": "lt-1", "version": "1"},
    "loadBalancers": ["one"],
    "manageMasterUserPassword": True,
    "metricQueries": [_QUERY],
    "mixedInstancesPolicy": mixed()["mixedInstancesPolicy"],
    "passwordWoVersion": 1,
    "performanceInsightsEnabled": True,
    "performanceInsightsRetentionPeriod": 7,
    "period": 60,
    "provisionedThroughputInMibps": 10,
    "replicateSourceDb": "source",
    "restoreToPointInTime": {"sourceDbInstanceAutomatedBackupsArn": DATABASE_ARN},
    "s3Import": {"bucketName": "one", "ingestionRole": "one", "sourceEngine": "one", "sourceEngineVersion": "one"},
    "targetGroupArns": [TARGETS_ARN],
    "threshold": 80,
    "throughputMode": "provisioned",
    "trafficSources": [{"identifier": TARGETS_ARN}],
    "volumeInitializationRate": 100,
    "vpcZoneIdentifiers": ["subnet-a"],
}
"""Values of properties that are not references, where "one" and 1 would not do."""
