"""The objects that the program reads while it deploys: bundles as they were put, and reports as nodes write them.

Every machine of the offline cloud boots, applies its bundle and is healthy at once; but for those that a test names
in ``SILENT`` or ``ILL``.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256

from configs.nodes import NODE_TAG, NodeRole, bundle_key, report_key
from configs.reports import Report
from engine.tokens import BUCKET, INSTANCE, OBJECT
from offline.cloud import Cloud, Resource

SILENT: frozenset[str] = frozenset()
"""Names of the nodes that stopped reporting an hour ago."""

ILL: Mapping[str, str] = {}
"""Names of the nodes that report that they are not healthy, with the reason that they give."""

PRIMARY_ANSWERS: bool | None = None
"""What servers of the standby region report of the primary; None: they do not look."""

SERVERS = 3
"""How many servers make a quorum: the fewest that the settings allow."""


@dataclass(frozen=True)
class Stored:
    """An object of S3."""

    text: str
    written: datetime


def find_object(cloud: Cloud, bucket: str, key: str, now: datetime) -> Stored | None:
    """Return an object, None when there is none.

    Raises:
        LookupError: there is no such bucket.
    """
    place = cloud.find(BUCKET, value=bucket)
    if place is None:
        raise LookupError(bucket)
    machines = _machines(cloud, place.region)
    for node, machine in machines.items():
        if key == report_key(node):
            written = now - timedelta(hours=1) if node in SILENT else now
            return Stored(_report(cloud, bucket, node, machine, machines.keys()).to_json(), written)
    found = cloud.find(OBJECT, value=f"{bucket}/{key}", region=place.region)
    return Stored(found.attribute("content"), now) if found else None


def _machines(cloud: Cloud, region: str) -> dict[str, Resource]:
    """Return the machines of a region by name of the node."""
    machines = dict[str, Resource]()
    for machine in cloud.all(INSTANCE, region=region):
        tags: Mapping[str, str] = machine.attribute("tags") or {}
        if NODE_TAG in tags:
            machines[tags[NODE_TAG]] = machine
    return machines


def _formed(node: str, there: Set[str]) -> bool:
    """Say whether enough nodes of the node's group are there: three servers, or both load balancers."""
    balancers = {NodeRole.HAPROXY, NodeRole.NGINX}
    if node in balancers:
        return balancers <= there
    return sum(other.startswith(NodeRole.CONTROL_PLANE) for other in there) >= SERVERS


def _report(cloud: Cloud, bucket: str, node: str, machine: Resource, there: Set[str]) -> Report:
    bundle = cloud.find(OBJECT, value=f"{bucket}/{bundle_key(node)}", region=machine.region)
    return Report(
        node=node,
        instance=machine.id,
        bundle=sha256(bundle.attribute("content").encode()).hexdigest() if bundle else "",
        formed=_formed(node, there),
        healthy=node not in ILL,
        reason=ILL.get(node, ""),
        primary_answers=PRIMARY_ANSWERS if node.startswith(NodeRole.CONTROL_PLANE) else None,
    )
