"""What costs money for every hour that it is there, counted: a reviewer sees what a setting changes.

Counts only: prices differ by region and change, and a stale one is worse than none. What lasts is listed, not what
happens: traffic and requests are charged by use, which nobody knows beforehand. Left out as well:

* what is charged by the month, and is little beside the rest: keys, secrets, health checks, alarms;
* what is charged by how much is stored in it: buckets, file systems, logs, backups, images;
* the disks of an Auto Scaling group's machines: they stand in its launch template, which alone costs nothing;
* operations and throughput of storage beyond what its type includes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypedDict

from engine.steps import Step
from engine.tokens import (
    AUTOSCALING_GROUP,
    DATABASE,
    EIP,
    INSTANCE,
    LOAD_BALANCER,
    NAT_GATEWAY,
    VOLUME,
    VPC_ENDPOINT,
)
from offline.checks.common import values_at
from offline.cloud import Inputs

Billed = Iterator[tuple[str, int]]
"""What is billed, and how many of it."""


class Row(TypedDict):
    """So many of something, in one component and region."""

    component: str
    region: str
    what: str
    count: int


def hourly(steps: Sequence[Step]) -> list[Row]:
    """Return what is billed by the hour after the steps: all that is there then, changed or not."""
    counts = Counter[tuple[str, str, str]]()
    for step in steps:
        if step.leaves_something and step.type in _BILLED:
            for what, count in _BILLED[step.type](step.inputs):
                counts[step.component, step.region, what] += count
    return [
        Row(component=component, region=region, what=what, count=count)
        for (component, region, what), count in sorted(counts.items())
    ]


def _one(what: str) -> Callable[[Inputs], Billed]:
    def billed(_: Inputs) -> Billed:
        yield what, 1

    return billed


def _storage(kind: Any, size: Any, of: str = "") -> Billed:
    """Storage is priced by the month and metered by the hour. Without a size it has that of its image or source."""
    if isinstance(size, int | float):
        yield f"GB of {kind or 'default'} storage{of}", int(size)


def _instance(inputs: Inputs) -> Billed:
    """Yield a machine and the disks that it is made with.

    https://aws.amazon.com/ec2/pricing/on-demand/
    """
    yield f"{inputs.get('instanceType')} instance", 1
    for path in ("rootBlockDevice", "ebsBlockDevices[]"):
        for _, disk in values_at(inputs, path):
            yield from _storage(disk.get("volumeType"), disk.get("volumeSize"))


def _autoscaling_group(inputs: Inputs) -> Billed:
    """Yield the fewest machines that the group has: the autoscaler decides how many more."""
    types = values_at(inputs, "mixedInstancesPolicy.launchTemplate.overrides[].instanceType")
    _, first = next(types, ("", "its launch template's type"))
    yield f"instance at least, first choice {first}", int(inputs["minSize"])


def _endpoint(inputs: Inputs) -> Billed:
    """Yield an interface endpoint once a zone; a gateway endpoint is free.

    https://aws.amazon.com/privatelink/pricing/
    """
    if inputs.get("vpcEndpointType") == "Interface":
        yield "interface endpoint in a zone", sum(1 for _ in values_at(inputs, "subnetIds[]"))


def _load_balancer(inputs: Inputs) -> Billed:
    yield f"{inputs.get('loadBalancerType', 'application')} load balancer", 1


def _database(inputs: Inputs) -> Billed:
    """Yield an instance, once with its standby, and its storage; a replica's is as large as its source's.

    https://aws.amazon.com/rds/postgresql/pricing/
    """
    twice = ", Multi-AZ" if inputs.get("multiAz") else ""
    yield f"{inputs.get('instanceClass')} instance{twice}", 1
    if "allocatedStorage" not in inputs and "replicateSourceDb" in inputs:
        yield f"replica's storage, as large as its source's{twice}", 1
    yield from _storage(inputs.get("storageType"), inputs.get("allocatedStorage"), f" of a database{twice}")


def _volume(inputs: Inputs) -> Billed:
    yield from _storage(inputs.get("type"), inputs.get("size"))


_BILLED: dict[str, Callable[[Inputs], Billed]] = {
    AUTOSCALING_GROUP: _autoscaling_group,
    DATABASE: _database,
    # Used or not: https://aws.amazon.com/vpc/pricing/
    EIP: _one("public IPv4 address"),
    INSTANCE: _instance,
    LOAD_BALANCER: _load_balancer,
    NAT_GATEWAY: _one("NAT gateway"),
    VOLUME: _volume,
    VPC_ENDPOINT: _endpoint,
}
"""How each type is billed, by its inputs."""
