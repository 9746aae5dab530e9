"""A small cloud, filled by hand: one of each thing that is mirrored, in two regions; and the SDK's clients of it."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import botocore.session
from botocore import UNSIGNED
from botocore.config import Config

from configs.nodes import NODE_TAG
from engine.tokens import (
    AUTOSCALING_GROUP,
    BUCKET,
    DATABASE,
    FILE_SYSTEM,
    FILE_SYSTEM_REPLICATION,
    HEALTH_CHECK,
    INSTANCE,
    LISTENER,
    LOAD_BALANCER,
    TARGET_GROUP,
    TARGET_GROUP_ATTACHMENT,
)
from lab.account import Account
from lab.mirror import BUCKET_POLICY, SECRET, SECRET_VERSION
from offline.cloud import Cloud, Resource

HOME, AWAY = "us-east-1", "us-west-2"
DATABASE_NAME = "mlops-postgres"
BUNDLES = f"mlops-123456789012-{AWAY}-bundles"
SWITCH = f"mlops-123456789012-{AWAY}-failover-switch"
SWITCH_KEY = "region-failed-over"
SOURCE_FILES, REPLICA_FILES = "fs-000000000000source", "fs-00000000000replica"
GROUP_ARN = f"arn:aws:elasticloadbalancing:{AWAY}:123456789012:targetgroup/mlops-https/64d0796ed965fda5"
BALANCER_ARN = f"arn:aws:elasticloadbalancing:{AWAY}:123456789012:loadbalancer/net/mlops-network/9334a383e4e4dd69"
SECRET_ARN = f"arn:aws:secretsmanager:{HOME}:123456789012:secret:mlops/worker-5a6d87"
MACHINE = "i-1305261bc96850b36"

REPLICA = Resource(
    DATABASE,
    "db-replica",
    "urn",
    AWAY,
    {
        "identifier": DATABASE_NAME,
        "replicateSourceDb": f"arn:aws:rds:{HOME}:123456789012:db:{DATABASE_NAME}",
    },
)
WORKERS = Resource(
    AUTOSCALING_GROUP, "mlops-workers", "urn", AWAY, {"name": "mlops-workers", "minSize": 1, "maxSize": 1}
)
REPLICATION = Resource(
    FILE_SYSTEM_REPLICATION,
    SOURCE_FILES,
    "urn",
    HOME,
    {"sourceFileSystemId": SOURCE_FILES, "destination": {"region": AWAY, "fileSystemId": REPLICA_FILES}},
    {"sourceFileSystemArn": f"arn:{SOURCE_FILES}", "originalSourceFileSystemArn": f"arn:{SOURCE_FILES}"},
)
SOURCE = Resource(FILE_SYSTEM, SOURCE_FILES, "urn", HOME, {"creationToken": "mlops-ml-data"})
PRIMARY_SECRET = Resource(SECRET, SECRET_ARN, "urn", HOME, {"name": "mlops/worker", "replicas": [{"region": AWAY}]})

_NOBODY_WITHOUT_TLS = {
    "Effect": "Deny",
    "Principal": "*",
    "Action": ["s3:*"],
    "Resource": ["*"],
    "Condition": {"Bool": {"aws:SecureTransport": "false"}},
}
_EVERYONE_READS_THE_SWITCH = {
    "Effect": "Allow",
    "Principal": "*",
    "Action": ["s3:GetObject"],
    "Resource": [f"arn:aws:s3:::{SWITCH}/{SWITCH_KEY}"],
}


def _policy(bucket: str, statement: dict[str, Any]) -> Resource:
    text = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    return Resource(BUCKET_POLICY, bucket, "urn", AWAY, {"bucket": bucket, "policy": text})


RESOURCES = (
    Resource(BUCKET, BUNDLES, "urn", AWAY),
    Resource(BUCKET, SWITCH, "urn", AWAY),
    _policy(BUNDLES, _NOBODY_WITHOUT_TLS),
    _policy(SWITCH, _EVERYONE_READS_THE_SWITCH),
    Resource(DATABASE, "db-primary", "urn", HOME, {"identifier": DATABASE_NAME}),
    REPLICA,
    SOURCE,
    Resource(
        FILE_SYSTEM,
        REPLICA_FILES,
        "urn",
        AWAY,
        {"creationToken": "mlops-ml-data", "protection": {"replicationOverwrite": "DISABLED"}},
    ),
    REPLICATION,
    WORKERS,
    PRIMARY_SECRET,
    Resource(
        SECRET_VERSION,
        f"{SECRET_ARN}|7c5d",
        "urn",
        HOME,
        {"secretId": SECRET_ARN, "secretString": '{"token": "one"}'},
        {"versionId": "7c5d"},
    ),
    Resource(INSTANCE, MACHINE, "urn", AWAY, {"tags": {NODE_TAG: "load-balancer-haproxy"}}),
    Resource(LOAD_BALANCER, BALANCER_ARN, "urn", AWAY, {"name": "mlops-network", "loadBalancerType": "network"}),
    Resource(
        TARGET_GROUP,
        GROUP_ARN,
        "urn",
        AWAY,
        {"name": "mlops-https", "protocol": "TCP", "port": 443, "targetType": "instance"},
    ),
    Resource(
        LISTENER,
        "listener",
        "urn",
        AWAY,
        {"loadBalancerArn": BALANCER_ARN, "defaultActions": [{"targetGroupArn": GROUP_ARN}]},
    ),
    Resource(TARGET_GROUP_ATTACHMENT, "attachment", "urn", AWAY, {"targetGroupArn": GROUP_ARN, "targetId": MACHINE}),
    Resource(HEALTH_CHECK, "3f0f2f0e-check", "urn", AWAY),
)


def small_cloud(path: Path) -> Cloud:
    """Return the cloud, in a file."""
    cloud = Cloud(path)
    for resource in RESOURCES:
        cloud.put(resource)
    return cloud


def client(account: Account, service: str, region: str = AWAY, *, signed: bool = True) -> Any:
    """Return the SDK's client of a service, which asks once."""
    config = Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=10)
    if not signed:
        config = config.merge(Config(signature_version=UNSIGNED))
    return _session().create_client(
        service,
        region_name=region,
        endpoint_url=account.url,
        aws_access_key_id="lab",
        aws_secret_access_key="lab",
        config=config,
    )


@cache
def _session() -> Any:
    """Return one session for all: each reads the SDK's descriptions of the APIs anew, for a second."""
    return botocore.session.Session()


def code(error: Any) -> str:
    """Return the API's code of an SDK's error."""
    return error.value.response["Error"]["Code"]
