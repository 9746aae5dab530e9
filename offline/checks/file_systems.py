"""Checks of EFS file systems, their mount targets, access points and replication."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import cast

from engine.tokens import FILE_SYSTEM, FILE_SYSTEM_REPLICATION, SUBNET
from offline.checks.common import Check, is_given, is_missing, is_unknown, others, parent, siblings, values_at
from offline.checks.policies import statements_of
from offline.cloud import Cloud, Inputs, Proposal


def _block(inputs: Inputs, name: str) -> Inputs:
    value = inputs.get(name)
    return cast("Inputs", value) if isinstance(value, Mapping) else {}


def file_system_settings(proposal: Proposal, _: Cloud) -> Iterator[str]:
    """Throughput is given for the provisioned mode only, a key for an encrypted file system only.

    https://docs.aws.amazon.com/efs/latest/ug/API_CreateFileSystem.html
    """
    inputs = proposal.inputs
    mode = inputs.get("throughputMode")
    if mode == "provisioned" and is_missing(proposal, "provisionedThroughputInMibps"):
        yield "provisionedThroughputInMibps: the throughput mode provisioned needs it"
    if mode not in (None, "provisioned") and is_given(proposal, "provisionedThroughputInMibps"):
        yield f"provisionedThroughputInMibps: the throughput mode {mode} has none"
    if mode == "elastic" and inputs.get("performanceMode") == "maxIO":
        yield "performanceMode: maxIO cannot be had with elastic throughput"
    if inputs.get("encrypted") is False and is_given(proposal, "kmsKeyId"):
        yield "kmsKeyId: a file system that is not encrypted has none"
    for where, policy in values_at(inputs, "lifecyclePolicies[]"):
        if len(policy) != 1:
            yield f"{where}: {len(policy)} transitions, each entry of the list has one"


def file_system_protection(proposal: Proposal, cloud: Cloud) -> Iterator[str]:
    """Whether a file system may be overwritten is not changed while it is in a replication.

    Not for previews: on the way home the replication is deleted between the preview and the change.
    https://docs.aws.amazon.com/efs/latest/ug/API_UpdateFileSystemProtection.html (ReplicationAlreadyExists)
    """
    before = cloud.find(FILE_SYSTEM, value=proposal.id, region=proposal.region) if proposal.id else None
    if before is None or is_unknown(proposal, "protection"):
        return
    if _block(before.inputs, "protection") == _block(proposal.inputs, "protection"):
        return
    for replication in cloud.all(FILE_SYSTEM_REPLICATION):
        source, target = replication.attribute("sourceFileSystemId"), _block(replication.inputs, "destination")
        if proposal.id in (source, target.get("fileSystemId")):
            yield f"protection: {proposal.id} is in a replication: delete {replication.id} first"


SECURITY_GROUPS = 5
"""The most security groups of a mount target. https://docs.aws.amazon.com/efs/latest/ug/limits.html"""


def mount_target_zone(proposal: Proposal, cloud: Cloud) -> Iterator[str]:
    """A file system has one mount target a zone, all in one VPC, each with at most five security groups.

    https://docs.aws.amazon.com/efs/latest/ug/API_CreateMountTarget.html
    """
    groups = list(values_at(proposal.inputs, "securityGroups[]"))
    if len(groups) > SECURITY_GROUPS:
        yield f"securityGroups: {len(groups)} groups, {SECURITY_GROUPS} are allowed"
    subnet = parent(proposal, cloud, "subnetId", SUBNET)
    if subnet is None:
        return
    for other in siblings(proposal, cloud, "fileSystemId"):
        beside = cloud.find(SUBNET, value=other.attribute("subnetId"), region=proposal.region)
        if beside is None:
            continue
        if beside.attribute("availabilityZone") == subnet.attribute("availabilityZone"):
            zone = subnet.attribute("availabilityZone")
            yield f"subnetId: {other.attribute('fileSystemId')} has a mount target in {zone} already, {other.id}"
        vpc, theirs = subnet.attribute("vpcId"), beside.attribute("vpcId")
        if theirs != vpc:
            yield f"subnetId: {subnet.id} is in {vpc}, but the mount target {other.id} is in {theirs}"


def file_system_replication(proposal: Proposal, cloud: Cloud) -> Iterator[str]:
    """A file system is in one replication; one that is replicated into exists in the region and lets itself be so.

    https://docs.aws.amazon.com/efs/latest/ug/API_CreateReplicationConfiguration.html
    """
    destination, source = _block(proposal.inputs, "destination"), proposal.inputs.get("sourceFileSystemId")
    if not destination:
        return
    target, region = destination.get("fileSystemId"), destination.get("region")
    if region is None and destination.get("availabilityZoneName") is None:
        yield "destination.region: needed, unless destination.availabilityZoneName is given"
    key = destination.get("kmsKeyId")
    if target is not None and key is not None:
        yield "destination.kmsKeyId: a file system that exists has its key already: leave it out"
    if isinstance(key, str) and region is not None and key.startswith("arn:") and key.split(":")[3] != region:
        yield f"destination.kmsKeyId: {key} is not a key of {region}"
    for other in others(proposal, cloud, FILE_SYSTEM_REPLICATION, everywhere=True):
        ends = (other.attribute("sourceFileSystemId"), _block(other.inputs, "destination").get("fileSystemId"))
        for where, end in (("sourceFileSystemId", source), ("destination.fileSystemId", target)):
            if end is not None and end in ends:
                yield f"{where}: {end} is in a replication already, {other.id}"
    if target is None:
        return
    here = cloud.find(FILE_SYSTEM, value=target)
    if here is None:
        return
    if region is not None and here.region != region:
        yield f"destination.fileSystemId: {target} is in {here.region}, not in {region}"
    if _block(here.inputs, "protection").get("replicationOverwrite") != "DISABLED":
        yield f"destination.fileSystemId: {target} refuses to be overwritten: set protection.replicationOverwrite"
    origin = cloud.find(FILE_SYSTEM, value=source, region=proposal.region) if source is not None else None
    if origin is not None and origin.attribute("encrypted") and not here.attribute("encrypted"):
        yield f"destination.fileSystemId: {target} is not encrypted, but {source} is"


_PATH = re.compile(r"/|(/[^/]+){1,4}")
_PERMISSIONS = re.compile(r"[0-7]{3,4}")
PATH_CHARACTERS = 100
"""The longest path. https://docs.aws.amazon.com/efs/latest/ug/API_RootDirectory.html"""


def access_point_directory(proposal: Proposal, _: Cloud) -> Iterator[str]:
    """The directory of an access point is absolute and at most four deep, its permissions are octal.

    https://docs.aws.amazon.com/efs/latest/ug/API_RootDirectory.html and API_CreationInfo.html
    """
    for where, path in values_at(proposal.inputs, "rootDirectory.path"):
        if not _PATH.fullmatch(path) or len(path) > PATH_CHARACTERS:
            yield (
                f"{where}: {path} is not allowed: absolute, at most four directories deep and"
                f" {PATH_CHARACTERS} characters long"
            )
    for where, permissions in values_at(proposal.inputs, "rootDirectory.creationInfo.permissions"):
        if not _PERMISSIONS.fullmatch(permissions):
            yield f"{where}: {permissions} is not an octal number such as 0755"


def file_system_policy(proposal: Proposal, _: Cloud) -> Iterator[str]:
    """The policy of a file system is JSON that says who may do what.

    https://docs.aws.amazon.com/efs/latest/ug/iam-access-control-nfs-efs.html
    """
    document = proposal.inputs.get("policy")
    if document is not None:
        yield from statements_of("policy", document, "Principal", "Action")[1]


CHECKS: tuple[Check, ...] = (
    file_system_settings,
    file_system_protection,
    mount_target_zone,
    file_system_replication,
    access_point_directory,
    file_system_policy,
)
