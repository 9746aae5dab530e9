"""How a region's nodes are, going by what they report into its bundles bucket."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime

from botocore.exceptions import ClientError

from configs.nodes import control_plane, load_balancers, report_key
from configs.reports import REPORT_SECONDS, Report
from configs.settings.model import Settings
from configs.tables.names import BUNDLES_BUCKET, Names
from ops.aws import Region, asked

FRESH_SECONDS = 3 * REPORT_SECONDS
"""How old a report may be to say how a node is now: one that is late, and one that is lost, are no verdict."""


@dataclass(frozen=True)
class NodeState:
    """What is known of a node.

    ``fresh``: whether its report is of now; what an older one says is history. ``report`` is None when there is none,
    or none that can be read. ``detail`` says what is wrong; empty when nothing is.
    """

    fresh: bool
    report: Report | None
    detail: str

    @property
    def healthy(self) -> bool:
        """Whether the node says now that it is healthy."""
        return self.fresh and self.report is not None and self.report.healthy


@dataclass(frozen=True)
class Quorum:
    """How many servers say now that they are healthy, how many must be, and how many there are."""

    healthy: int
    needed: int
    servers: int

    @property
    def holds(self) -> bool:
        """Whether there is a quorum."""
        return self.healthy >= self.needed


def reports(region: Region, names: Names, settings: Settings, now: datetime) -> dict[str, NodeState]:
    """Return what the region's servers and load balancers say of themselves, by name of the node.

    Workers share a name, and so a report: it is not looked at.

    Args:
        region: the region that the nodes are in.
        names: names in that region.
        settings: of the stack that builds that region.
        now: the time that reports must be fresh at.

    Raises:
        Unknown: S3 did not answer, or refused.
    """
    bucket = names.bucket(BUNDLES_BUCKET)
    return {
        node.name: _state(region, bucket, node.name, now)
        for node in (*control_plane(settings), *load_balancers(settings))
    }


def quorum(states: Mapping[str, NodeState], settings: Settings) -> Quorum:
    """Return how the region's servers stand, going by ``reports``. Who says nothing does not count as healthy."""
    servers = [node.name for node in control_plane(settings)]
    healthy = sum(states[server].healthy for server in servers)
    # More than half, of all that there should be (https://developer.hashicorp.com/consul/docs/concept/consensus).
    return Quorum(healthy=healthy, needed=len(servers) // 2 + 1, servers=len(servers))


def _state(region: Region, bucket: str, node: str, now: datetime) -> NodeState:
    with asked(f"the report of {node} in {region.name}"):
        try:
            found = region.s3.get_object(Bucket=bucket, Key=report_key(node))
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") != "NoSuchKey":
                raise
            return NodeState(fresh=False, report=None, detail="it has never reported")
        written, text = found["LastModified"], found["Body"].read()
        # S3's own clock: with ours behind, an old report would pass for one of now.
        if said := found["ResponseMetadata"]["HTTPHeaders"].get("date"):
            now = max(now, parsedate_to_datetime(said))
    fresh = now - written <= timedelta(seconds=FRESH_SECONDS)
    try:
        report = Report.from_json(text.decode())
    except ValueError as error:
        return NodeState(fresh, None, f"its report is none: {' '.join(str(error).split())}")
    if not fresh:
        return NodeState(fresh, report, f"it has not reported since {written:%Y-%m-%d %H:%M:%S} UTC")
    return NodeState(fresh, report, "" if report.healthy else f"it is not healthy: {report.reason}")
