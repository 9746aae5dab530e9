"""How a region's nodes are, by their reports on moto's S3."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from moto import mock_aws

from configs.nodes import control_plane, report_key
from configs.reports import Report
from configs.tables.names import BUNDLES_BUCKET, Names
from ops.aws import Region
from ops.nodes import FRESH_SECONDS, NodeState, Quorum, quorum, reports
from ops.problems import Unknown
from tests.unit.mocks import stack_settings

NAMES = Names("mlops", "123456789012", "us-west-2")
BUCKET = NAMES.bucket(BUNDLES_BUCKET)
SETTINGS = stack_settings("dr")
SERVERS = ("control-plane-1", "control-plane-2", "control-plane-3")
BALANCERS = ("load-balancer-haproxy", "load-balancer-nginx")
NEVER = NodeState(False, None, "it has never reported")


@pytest.fixture
def region() -> Iterator[Region]:
    with mock_aws():
        region = Region("us-west-2")
        region.s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
        yield region


def say(region: Region, node: str, **changes: Any) -> tuple[Report, datetime]:
    """Let a node report, all well unless something is changed; return the report and when S3 took it."""
    report = Report(node=node, instance="i-1", bundle="0" * 64, formed=True, healthy=True).model_copy(update=changes)
    region.s3.put_object(Bucket=BUCKET, Key=report_key(node), Body=report.to_json().encode())
    return report, region.s3.head_object(Bucket=BUCKET, Key=report_key(node))["LastModified"]


def test_every_node_with_an_address_is_looked_at(region: Region) -> None:
    """A node that nobody looks at, or a region without reports that looks whole."""
    assert reports(region, NAMES, SETTINGS, datetime.now().astimezone()) == dict.fromkeys(
        (*SERVERS, *BALANCERS), NEVER
    )


def test_a_report_is_fresh_for_three_intervals(region: Region) -> None:
    """A server that died a minute ago and still counts, or one whose report came a second late and does not."""
    report, written = say(region, SERVERS[0])
    last = written + timedelta(seconds=30)
    assert reports(region, NAMES, SETTINGS, last)[SERVERS[0]] == NodeState(True, report, "")
    late = reports(region, NAMES, SETTINGS, last + timedelta(seconds=1))[SERVERS[0]]
    assert late == NodeState(False, report, f"it has not reported since {written:%Y-%m-%d %H:%M:%S} UTC")
    assert not late.healthy
    assert FRESH_SECONDS == 30


def test_what_is_wrong_is_told(region: Region) -> None:
    """An unhealthy node without its reason, or an unreadable report that stops the command."""
    report, written = say(region, SERVERS[0], healthy=False, reason="consul is not a member")
    region.s3.put_object(Bucket=BUCKET, Key=report_key(SERVERS[1]), Body=b"\xff{")
    found = reports(region, NAMES, SETTINGS, written)
    assert found[SERVERS[0]] == NodeState(True, report, "it is not healthy: consul is not a member")
    assert found[SERVERS[1]].report is None
    assert found[SERVERS[1]].detail.startswith("its report is none: 'utf-8' codec can't decode")
    assert not any(state.healthy for state in found.values())


@pytest.mark.parametrize(
    ("healthy", "expected", "holds"),
    [
        (SERVERS, Quorum(healthy=3, needed=2, servers=3), True),
        (SERVERS[:2], Quorum(healthy=2, needed=2, servers=3), True),
        ((SERVERS[0], *BALANCERS), Quorum(healthy=1, needed=2, servers=3), False),
    ],
)
def test_a_quorum_is_more_than_half_of_all_servers(
    region: Region, healthy: tuple[str, ...], expected: Quorum, holds: bool
) -> None:
    """A quorum of those that report, or one that load balancers are counted in."""
    now = max(say(region, node)[1] for node in healthy)
    found = quorum(reports(region, NAMES, SETTINGS, now), SETTINGS)
    assert found == expected
    assert found.holds is holds


def test_of_five_servers_three_are_a_quorum() -> None:
    """A quorum of two, which stays two whatever the settings say."""
    settings = stack_settings("dr", controlPlane={"serverCount": 5})
    states = {node.name: NEVER for node in control_plane(settings)}
    assert len(states) == 5
    assert quorum(states, settings) == Quorum(healthy=0, needed=3, servers=5)


def test_without_its_bucket_nothing_is_known(region: Region) -> None:
    """A bucket that is missing taken for a region in which no node has ever reported."""
    region.s3.delete_bucket(Bucket=BUCKET)
    with pytest.raises(Unknown, match=r"^the report of control-plane-1 in us-west-2: .*NoSuchBucket"):
        reports(region, NAMES, SETTINGS, datetime.now().astimezone())
