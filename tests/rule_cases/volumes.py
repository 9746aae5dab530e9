"""Cases of the checks of volumes."""

from __future__ import annotations

from collections.abc import Iterator

from engine import tokens
from offline.cloud import Inputs
from tests.rule_cases.bases import inputs
from tests.rule_cases.common import Case, case
from tests.rule_cases.world import KEY_ARN, WORLD, existing


def cases() -> Iterator[Case]:
    """Yield the cases of this file."""
    kind = tokens.VOLUME
    yield case("elsewhere", kind, "subnet_zone", {"availabilityZone": "us-west-2a"})
    yield case("none", kind, "volume_size", {"size": None})
    yield case("too large", kind, "volume_size", {"size": 16_385}, {"size": 16_384})
    now = existing(kind, "vol-now", **inputs(kind))
    yield Case(
        "shrunk",
        kind,
        "checks.volume_size",
        inputs(kind, {"size": 101}),
        inputs(kind, {"size": 99}),
        [*WORLD, now],
        id="vol-now",
    )
    fast: Inputs = {"iops": 16_000, "throughput": 1_000}
    yield case("too many", kind, "volume_performance", {"iops": 16_001}, fast)
    yield case("too few", kind, "volume_performance", {"iops": 2_999}, {"iops": 3_000})
    yield case("for the size", kind, "volume_performance", {"iops": 5_001, "size": 10}, {"iops": 5_000, "size": 10})
    yield case("too slow", kind, "volume_performance", {"iops": 3_999}, {"iops": 4_000, "throughput": 1_000})
    yield case("too slow by default", kind, "volume_performance", {"throughput": 751}, {"throughput": 750})
    io2: Inputs = {"type": "io2", "iops": 1_000, "multiAttachEnabled": True}
    yield case("io2 without", kind, "volume_performance", {"iops": None}, io2)
    yield case("throughput of io2", kind, "volume_performance", {"throughput": 125}, io2)
    yield case("iops of gp2", kind, "volume_performance", {"iops": 3_000}, {"type": "gp2"})
    yield case("shared gp3", kind, "volume_performance", {"multiAttachEnabled": True})
    yield case("needless key", kind, "volume_encryption", {"encrypted": False}, {"kmsKeyId": KEY_ARN})
    yield from _attachment_cases()


def _attachment_cases() -> Iterator[Case]:
    kind = tokens.VOLUME_ATTACHMENT
    other_zone = existing(tokens.VOLUME, "vol-b", availabilityZone="us-east-1b")
    machines = [
        existing(tokens.INSTANCE, "i-subnet", subnetId="subnet-a"),
        existing(tokens.INSTANCE, "i-zone", availabilityZone="us-east-1a"),
        existing(tokens.INSTANCE, "i-old", networkInterfaces=[{"networkInterfaceId": "eni-1", "deviceIndex": 0}]),
    ]
    for machine in ("i-1", "i-subnet", "i-zone", "i-old"):
        there: Inputs = {"instanceId": machine}
        yield case(machine, kind, "volume_zone", {"volumeId": "vol-b"}, there, [other_zone, *machines])
    yield case("root", kind, "volume_device", {"deviceName": "/dev/sda1"}, {"deviceName": "/dev/xvdf"})
    attached = [
        existing(tokens.VOLUME, "vol-2", availabilityZone="us-east-1a"),
        existing(kind, "vai-1", deviceName="/dev/sdg", instanceId="i-1", volumeId="vol-2"),
    ]
    yield case("taken", kind, "volume_device", {"deviceName": "/dev/sdg"}, also=attached)
    of_image = existing(
        tokens.INSTANCE, "i-blocks", subnetId="subnet-a", ebsBlockDevices=[{"deviceName": "/dev/sdh"}]
    )
    yield case(
        "taken by a block", kind, "volume_device", {"deviceName": "/dev/sdh"}, {"instanceId": "i-blocks"}, [of_image]
    )
    yield case("attached", kind, "volume_once", {"volumeId": "vol-2"}, also=attached)
    shared = [
        existing(tokens.VOLUME, "vol-3", availabilityZone="us-east-1a", multiAttachEnabled=True),
        existing(kind, "vai-3", deviceName="/dev/sdg", instanceId="i-2", volumeId="vol-3"),
    ]
    yield case(
        "beside a shared one", kind, "volume_once", {"volumeId": "vol-2"}, {"volumeId": "vol-3"}, attached + shared
    )
