"""How large the machines are: the instance types that are known, and the two profiles made of them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True)
class InstanceType:
    """One EC2 type, as ``DescribeInstanceTypes`` reports it.

    ``gigabits`` is the *baseline* bandwidth (what the type sustains, not the burst that its name advertises);
    ``instance_store_gigabytes`` is 0 for types without one.
    """

    name: str
    virtual_cpus: int
    memory_gibibytes: int
    gigabits: float
    instance_store_gigabytes: int = 0

    @property
    def recovers(self) -> bool:
        """Whether EC2 recovers it on other hardware by itself: not with an instance store.

        https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-configuration-recovery.html
        """
        return self.instance_store_gigabytes == 0


INSTANCE_TYPES: dict[str, InstanceType] = {
    instance_type.name: instance_type
    for instance_type in (
        InstanceType("c6in.xlarge", 4, 8, 6.25),
        InstanceType("c6in.2xlarge", 8, 16, 12.5),
        InstanceType("m6in.2xlarge", 8, 32, 12.5),
        InstanceType("m6in.4xlarge", 16, 64, 25),
        InstanceType("m6in.8xlarge", 32, 128, 50),
        InstanceType("m6idn.2xlarge", 8, 32, 12.5, 474),
        InstanceType("m6idn.8xlarge", 32, 128, 50, 1900),
        InstanceType("r6in.2xlarge", 8, 64, 12.5),
        InstanceType("r6in.4xlarge", 16, 128, 25),
        InstanceType("r6idn.8xlarge", 32, 256, 50, 1900),
    )
}
"""The types that a setting may name: all Intel (the images are x86-64), all with a baseline of their own."""


class Profile(StrEnum):
    """Name of a capacity profile."""

    MINIMUM = "minimum"
    RECOMMENDED = "recommended"


@dataclass(frozen=True)
class Capacity:
    """The machines of a profile, and the least that any machine put in their place must have."""

    control_plane: str
    workers: tuple[str, ...]
    """In order of preference: a spot pool that is taken back is replaced from the next."""
    load_balancer: str
    data_volume_gigabytes: int
    """Size of a server's data volume, and of a worker's root volume where the type has no instance store."""


CAPACITY: dict[Profile, Capacity] = {
    # Per node 8 cores, 32 GB, 500 GB, 10 Gbit/s: the smallest types that sustain 10 Gbit/s.
    Profile.MINIMUM: Capacity(
        control_plane="m6in.2xlarge",
        workers=("m6in.2xlarge", "r6in.2xlarge"),
        load_balancer="c6in.xlarge",
        data_volume_gigabytes=500,
    ),
    # Control plane 16 cores and 64 GB, workers 32 cores and 128 GB, 25 Gbit/s. "2 TB NVMe" is 1,900 GB, the
    # largest instance store of a 32-core type; servers keep theirs on a volume, because EC2 does not recover a
    # machine with an instance store.
    Profile.RECOMMENDED: Capacity(
        control_plane="m6in.4xlarge",
        workers=("m6idn.8xlarge", "r6idn.8xlarge"),
        load_balancer="c6in.2xlarge",
        data_volume_gigabytes=2000,
    ),
}


def smaller_than(candidate: InstanceType, least: InstanceType) -> bool:
    """Say whether the candidate has less of anything than the least that is asked for."""
    return (
        candidate.virtual_cpus < least.virtual_cpus
        or candidate.memory_gibibytes < least.memory_gibibytes
        or candidate.gigabits < least.gigabits
    )
