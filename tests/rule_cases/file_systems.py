"""Cases of the checks of file systems."""

from __future__ import annotations

from collections.abc import Iterator

from engine import tokens
from offline.cloud import Inputs
from tests.rule_cases.common import Case, case
from tests.rule_cases.world import FAR_KEY_ARN, KEY_ARN, WORLD, elsewhere, existing, policy


def _to(**destination: str) -> Inputs:
    return {"destination": destination}


def _replication_cases() -> Iterator[Case]:
    kind, check = tokens.FILE_SYSTEM_REPLICATION, "file_system_replication"
    new = _to(region="us-west-2", kmsKeyId=FAR_KEY_ARN)
    yield case("no region", kind, check, _to(kmsKeyId=FAR_KEY_ARN), _to(availabilityZoneName="us-west-2a"))
    yield case("key of the source", kind, check, _to(region="us-west-2", kmsKeyId=KEY_ARN), new)
    yield case(
        "key of what exists", kind, check, _to(fileSystemId="fs-far", region="us-west-2", kmsKeyId=FAR_KEY_ARN)
    )
    yield case("wrong region", kind, check, _to(fileSystemId="fs-far", region="eu-west-1"))
    closed = elsewhere(tokens.FILE_SYSTEM, "fs-closed", encrypted=True)
    yield case("protected", kind, check, _to(fileSystemId="fs-closed", region="us-west-2"), also=[closed])
    plain = elsewhere(tokens.FILE_SYSTEM, "fs-plain", protection={"replicationOverwrite": "DISABLED"})
    yield case("unencrypted", kind, check, _to(fileSystemId="fs-plain", region="us-west-2"), also=[plain])
    used = [
        existing(tokens.FILE_SYSTEM, "fs-2", encrypted=True),
        existing(kind, "fs-2", sourceFileSystemId="fs-2", destination={"region": "us-west-2"}),
    ]
    yield case("source again", kind, check, {"sourceFileSystemId": "fs-2"}, also=used)
    target = [
        elsewhere(tokens.FILE_SYSTEM, "fs-3", encrypted=True, protection={"replicationOverwrite": "DISABLED"}),
        existing(kind, "fs-4", sourceFileSystemId="fs-4", destination={"fileSystemId": "fs-3"}),
    ]
    yield case("target again", kind, check, _to(fileSystemId="fs-3", region="us-west-2"), also=target)


def _protection_cases() -> Iterator[Case]:
    kind, now = tokens.FILE_SYSTEM, {"creationToken": "now", "encrypted": True}
    closed, opened = ({**now, "protection": {"replicationOverwrite": to}} for to in ("ENABLED", "DISABLED"))
    here, replication = existing(kind, "fs-now", **closed), tokens.FILE_SYSTEM_REPLICATION
    for name, source, target in (("source", "fs-now", "fs-far"), ("target", "fs-far", "fs-now")):
        held = existing(replication, source, sourceFileSystemId=source, destination={"fileSystemId": target})
        rule = "checks.file_system_protection"
        yield Case(f"changed as {name}", kind, rule, closed, opened, [*WORLD, here, held], "fs-now")


def cases() -> Iterator[Case]:
    """Yield the cases of this file."""
    kind, check = tokens.FILE_SYSTEM, "file_system_settings"
    provisioned: Inputs = {"throughputMode": "provisioned", "provisionedThroughputInMibps": 10}
    yield case("no throughput", kind, check, {"provisionedThroughputInMibps": None}, provisioned)
    yield case("throughput", kind, check, {"throughputMode": "elastic"}, provisioned)
    yield case("elastic", kind, check, {"performanceMode": "maxIO"}, {"throughputMode": "elastic"})
    yield case("needless key", kind, check, {"encrypted": False}, {"kmsKeyId": KEY_ARN})
    cold = {"transitionToIa": "AFTER_30_DAYS"}
    warm = {"transitionToPrimaryStorageClass": "AFTER_1_ACCESS"}
    yield case(
        "two at once", kind, check, {"lifecyclePolicies": [{**cold, **warm}]}, {"lifecyclePolicies": [cold, warm]}
    )
    yield from _mount_target_cases()
    yield from _replication_cases()
    yield from _protection_cases()
    point = tokens.ACCESS_POINT
    yield case("relative", point, "access_point_directory", {"rootDirectory": {"path": "jobs"}})
    yield case(
        "too deep",
        point,
        "access_point_directory",
        {"rootDirectory": {"path": "/a/b/c/d/e"}},
        {"rootDirectory": {"path": "/a/b/c/d"}},
    )
    creation = {"ownerUid": 1000, "ownerGid": 1000, "permissions": "rwxr-xr-x"}
    yield case("no number", point, "access_point_directory", {"rootDirectory": {"creationInfo": creation}})
    nobody = policy(None, "elasticfilesystem:ClientMount")
    yield case("nobody", tokens.FILE_SYSTEM_POLICY, "file_system_policy", {"policy": nobody})


def _mount_target_cases() -> Iterator[Case]:
    kind = tokens.MOUNT_TARGET
    groups = [existing(tokens.SECURITY_GROUP, f"sg-{number}", vpcId="vpc-1") for number in range(10, 16)]
    five = [group.id for group in groups[:5]]
    yield case(
        "six groups",
        kind,
        "mount_target_zone",
        {"securityGroups": [group.id for group in groups]},
        {"securityGroups": five},
        groups,
    )
    there = existing(kind, "fsmt-1", fileSystemId="fs-1", subnetId="subnet-a2")
    yield case("same zone", kind, "mount_target_zone", {"subnetId": "subnet-a"}, {"subnetId": "subnet-b"}, [there])
    beside: Inputs = {"subnetId": "subnet-b", "securityGroups": None}
    yield case("another VPC", kind, "mount_target_zone", {"subnetId": "subnet-far"}, beside, [there])
    yield case("far group", kind, "same_vpc", {"securityGroups": ["sg-far"]})
    yield case("taken", kind, "private_address", {"ipAddress": "10.0.1.10"}, {"ipAddress": "10.0.1.30"})
