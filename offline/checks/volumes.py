"""Checks of EBS volumes and their attachments."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from engine.tokens import INSTANCE, NETWORK_INTERFACE, SUBNET, VOLUME, VOLUME_ATTACHMENT
from offline.checks.common import (
    Check,
    is_given,
    is_missing,
    is_unknown,
    known_text,
    others,
    parent,
    siblings,
    values_at,
)
from offline.cloud import Cloud, Proposal, Resource


class Limits(NamedTuple):
    """The bounds of a volume type: size in GiB, operations per second (None when not adjustable) and per GiB."""

    smallest: int
    largest: int
    fewest: int | None = None
    most: int = 0
    per_gib: int = 0


GP3_OPERATIONS = 3_000
"""Operations per second that every gp3 volume has, however small."""

LIMITS = {
    "gp3": Limits(1, 16_384, GP3_OPERATIONS, 16_000, 500),
    "gp2": Limits(1, 16_384),
    "io1": Limits(4, 16_384, 100, 64_000, 50),
    "io2": Limits(4, 65_536, 100, 256_000, 1_000),
    "st1": Limits(125, 16_384),
    "sc1": Limits(125, 16_384),
    "standard": Limits(1, 1_024),
}
"""https://docs.aws.amazon.com/ebs/latest/userguide/ebs-volume-types.html

AWS has since raised the bounds of gp3 for new volumes; the provider still refuses more throughput.
"""

OPERATIONS_PER_THROUGHPUT = 4
"""A gp3 volume has at least four operations per second for each MiB/s."""


def volume_size(proposal: Proposal, cloud: Cloud) -> Iterator[str]:
    """A volume has a size of its own or of its snapshot, inside the bounds of its type, and never shrinks.

    https://docs.aws.amazon.com/ebs/latest/userguide/modify-volume-requirements.html
    """
    if is_missing(proposal, "size", "snapshotId"):
        yield "size: needed, unless the volume is made from a snapshot (snapshotId)"
    size, kind = proposal.inputs.get("size"), str(proposal.inputs.get("type"))
    if size is None:
        return
    limits = LIMITS.get(kind)
    if limits is not None and not limits.smallest <= size <= limits.largest:
        yield f"size: {size:g} GiB of {kind}, {limits.smallest} to {limits.largest} are allowed"
    before = cloud.find(VOLUME, value=proposal.id, region=proposal.region) if proposal.id else None
    old = before.attribute("size") if before else None
    if isinstance(old, int | float) and size < old:
        yield f"size: {size:g} GiB are less than the {old:g} that {proposal.id} has, which cannot shrink"


def volume_performance(proposal: Proposal, _: Cloud) -> Iterator[str]:
    """Operations per second and throughput are in the bounds of the type, and fit each other and the size.

    https://docs.aws.amazon.com/ebs/latest/userguide/general-purpose.html
    """
    kind, iops, size, throughput = (proposal.inputs.get(name) for name in ("type", "iops", "size", "throughput"))
    limits = LIMITS.get(str(kind))
    if limits is None:
        return
    if kind in ("io1", "io2") and is_missing(proposal, "iops"):
        yield f"iops: a volume of type {kind} needs it"
    if iops is not None and limits.fewest is None:
        yield f"iops: a volume of type {kind} has none"
    elif iops is not None and limits.fewest is not None:
        if not limits.fewest <= iops <= limits.most:
            yield f"iops: {iops:g} on {kind}, {limits.fewest} to {limits.most} are allowed"
        elif size is not None and iops > max(limits.fewest, size * limits.per_gib):
            yield f"iops: {iops:g} are more than {limits.per_gib} for each of {size:g} GiB"
    if throughput is not None and kind != "gp3":
        yield f"throughput: a volume of type {kind} has none, only gp3 has"
    elif throughput is not None and not is_unknown(proposal, "iops"):
        needed = throughput * OPERATIONS_PER_THROUGHPUT
        if needed > (GP3_OPERATIONS if iops is None else iops):
            yield f"throughput: {throughput:g} MiB/s need {needed:g} iops"
    if proposal.inputs.get("multiAttachEnabled") and kind not in ("io1", "io2"):
        yield f"multiAttachEnabled: a volume of type {kind} is attached once"


def volume_encryption(proposal: Proposal, _: Cloud) -> Iterator[str]:
    """Only an encrypted volume has a key.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateVolume.html
    """
    if proposal.inputs.get("encrypted") is False and is_given(proposal, "kmsKeyId"):
        yield "kmsKeyId: a volume that is not encrypted has none"


_INTERFACES = ("primaryNetworkInterface.networkInterfaceId", "networkInterfaces[].networkInterfaceId")


def _zone_of(instance: Resource, cloud: Cloud) -> object:
    """Return the zone of an instance: its own, that of its subnet, or that of its interface's subnet."""
    subnet = instance.attribute("subnetId")
    for path in _INTERFACES:
        for _, identity in values_at(instance.inputs, path):
            interface = cloud.find(NETWORK_INTERFACE, value=identity, region=instance.region)
            subnet = interface.attribute("subnetId") if interface else subnet
    home = cloud.find(SUBNET, value=subnet, region=instance.region) if subnet is not None else None
    return home.attribute("availabilityZone") if home else instance.attribute("availabilityZone")


def volume_zone(proposal: Proposal, cloud: Cloud) -> Iterator[str]:
    """A volume is attached to an instance of its own zone.

    https://docs.aws.amazon.com/ebs/latest/userguide/ebs-attaching-volume.html
    """
    instance = parent(proposal, cloud, "instanceId", INSTANCE)
    volume = parent(proposal, cloud, "volumeId", VOLUME)
    if instance is None or volume is None:
        return
    zones = _zone_of(instance, cloud), volume.attribute("availabilityZone")
    if None not in zones and zones[0] != zones[1]:
        yield f"volumeId: {volume.id} is in {zones[1]}, but {instance.id} is in {zones[0]}"


_DEVICE = re.compile(r"/dev/(sd[b-z]|xvd([b-z]|[b-d][a-z]))")


def volume_device(proposal: Proposal, cloud: Cloud) -> Iterator[str]:
    """A device name is one for data volumes, and used once on its instance.

    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/device_naming.html
    """
    name = known_text(proposal, "deviceName")
    if name is None:
        return
    if not _DEVICE.fullmatch(name):
        yield f"deviceName: {name} is not a name for a data volume, such as /dev/sdf"
    for other in siblings(proposal, cloud, "instanceId", "deviceName"):
        yield f"deviceName: {name} is used by {other.attribute('volumeId')} of the same instance already"
    instance = parent(proposal, cloud, "instanceId", INSTANCE)
    if instance is None:
        return
    for where, taken in values_at(instance.inputs, "ebsBlockDevices[].deviceName"):
        if taken == name:
            yield f"deviceName: {name} is used by {where} of {instance.id} already"


def volume_once(proposal: Proposal, cloud: Cloud) -> Iterator[str]:
    """A volume is attached to one instance, unless it is made for several.

    https://docs.aws.amazon.com/ebs/latest/userguide/ebs-volumes-multi.html
    """
    volume = parent(proposal, cloud, "volumeId", VOLUME)
    if volume is None or volume.attribute("multiAttachEnabled"):
        return
    for other in others(proposal, cloud, VOLUME_ATTACHMENT):
        if other.attribute("volumeId") == volume.id:
            yield f"volumeId: {volume.id} is attached to {other.attribute('instanceId')} already"


CHECKS: tuple[Check, ...] = (
    volume_size,
    volume_performance,
    volume_encryption,
    volume_zone,
    volume_device,
    volume_once,
)
