"""How the platform is: what is asked, what is known, and how it is shown."""

import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from threading import Event
from typing import Any

import pytest
from moto import mock_aws
from rich.console import Console

from configs.nodes import control_plane, load_balancers, report_key
from configs.reports import Report
from configs.settings.model import Settings, StackRole
from configs.tables.certificates import Certificate
from configs.tables.names import BUNDLES_BUCKET, SWITCH_BUCKET, Names
from ops import status as module
from ops.aws import ATTEMPTS, CONNECT_SECONDS, Region
from ops.database import DatabaseState
from ops.file_system import Replication, ReplicationRole
from ops.nodes import NodeState, Quorum
from ops.problems import Unknown
from ops.record import FailoverRecord
from ops.status import (
    DatabaseStatus,
    Line,
    NodesStatus,
    PlatformStatus,
    RegionStatus,
    platform_lines,
    region_lines,
    render,
    status,
)
from ops.switch import FailoverSwitch
from ops.targets import Targets
from ops.workers import Workers
from tests.unit.mocks import stack_settings

NOW = datetime.now(UTC)
AT = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)
PRIMARY, STANDBY = stack_settings("prod"), stack_settings("dr")
ADDRESSES = {
    "origin.mlops.example.com": frozenset({"192.0.2.2", "192.0.2.1"}),
    "origin.us-east-1.mlops.example.com": frozenset({"192.0.2.1", "192.0.2.2", "192.0.2.3"}),
    "origin.us-west-2.mlops.example.com": frozenset({"198.51.100.1"}),
}
REPORT = Report(node="a", instance="i-1", bundle="0" * 64, formed=True, healthy=True)


class Resolvers:
    """Stands for DNS; what it does not know, it is silent about."""

    def addresses(self, name: str) -> frozenset[str]:
        if name not in ADDRESSES:
            raise Unknown(f"what DNS answers for {name}: timed out")
        return ADDRESSES[name]


@pytest.fixture
def aws() -> Iterator[None]:
    with mock_aws():
        yield


@pytest.fixture
def dark(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Endpoints that take connections and never answer."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.getsockname()[1]}")
        yield


def names(settings: Settings) -> Names:
    return Names(settings.name, settings.account_id, settings.location.name)


def deploy(settings: Settings, source: str | None) -> str:
    """Make what of a region can be asked for, but no file system; return the ARN of its database."""
    name = settings.location.name
    region, here = Region(name), names(settings)
    place: Any = {} if name == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": name}}
    for purpose in (BUNDLES_BUCKET, SWITCH_BUCKET):
        region.s3.create_bucket(Bucket=here.bucket(purpose), **place)
    for node in (*control_plane(settings), *load_balancers(settings)):
        report = REPORT.model_copy(update={"node": node.name})
        region.s3.put_object(
            Bucket=here.bucket(BUNDLES_BUCKET), Key=report_key(node.name), Body=report.to_json().encode()
        )
    if source is not None:
        region.rds.create_db_instance_read_replica(
            DBInstanceIdentifier="mlops-postgres", SourceDBInstanceIdentifier=source
        )
        return ""
    made = region.rds.create_db_instance(
        DBInstanceIdentifier="mlops-postgres", DBInstanceClass="db.m6i.large", Engine="postgres"
    )
    return made["DBInstance"].get("DBInstanceArn", "")


@pytest.mark.usefixtures("aws")
def test_both_regions_are_asked() -> None:
    """A region that is told the other's answers, or a switch that is looked for in the wrong one."""
    source = deploy(PRIMARY, None)
    deploy(STANDBY, source)
    standby = Region("us-west-2")
    FailoverSwitch(standby, names(STANDBY)).write()
    standby.cloudwatch.put_metric_data(
        Namespace="MlopsHa",
        MetricData=[
            {
                "MetricName": "CertificateDaysToExpiry",
                "Dimensions": [{"Name": "Certificate", "Value": "worker"}],
                "Timestamp": NOW - timedelta(minutes=5),
                "Value": 200,
            }
        ],
    )
    found = status(PRIMARY, STANDBY, Resolvers(), datetime.now(UTC))
    assert (found.switch, found.failover) == (True, None)
    assert found.origin == ADDRESSES["origin.mlops.example.com"]
    east, west = found.regions
    assert (east.region, east.role) == ("us-east-1", StackRole.PRIMARY)
    assert (west.region, west.role) == ("us-west-2", StackRole.STANDBY)
    for region in (east, west):
        assert isinstance(region.nodes, NodesStatus)
        assert region.nodes.quorum == Quorum(healthy=3, needed=2, servers=3)
        assert len(region.nodes.nodes) == 5
        assert str(region.replication) == f"There is no file system mlops-ml-data in {region.region}."
        assert str(region.workers) == f"There is no Auto Scaling group mlops-workers in {region.region}."
        assert region.addresses == ADDRESSES[f"origin.{region.region}.mlops.example.com"]
        assert list(region.certificates) == list(Certificate)
    assert east.database == DatabaseStatus(DatabaseState("available", None), None)
    assert isinstance(west.database, DatabaseStatus)
    assert west.database.state == DatabaseState("available", source)
    assert isinstance(west.database.replayed, Unknown)
    assert west.certificates[Certificate.WORKER] == 200
    assert isinstance(east.certificates[Certificate.WORKER], Unknown)


@pytest.mark.usefixtures("aws")
def test_the_database_of_the_settings_is_asked() -> None:
    """After a way home, the database that was replaced, which nobody writes to any more."""
    settings = stack_settings("prod", database={"primaryGeneration": 2})
    deploy(settings, None)
    east, _ = status(settings, STANDBY, Resolvers(), NOW).regions
    assert str(east.database) == "There is no database mlops-postgres-2 in us-east-1."


@pytest.mark.usefixtures("dark")
def test_a_dark_region_is_unknown_in_time() -> None:
    """A command that waits for minutes for what is lost, when minutes count, or that stops at the first silence."""
    began = time.monotonic()
    found = status(PRIMARY, STANDBY, Resolvers(), NOW, seconds=1.5)
    # Far less than one read that is tried three times takes, whatever else the machine does.
    assert time.monotonic() - began < 10
    assert str(found.switch) == "whether the failover switch is written: no answer within 1.5 s"
    assert found.origin == ADDRESSES["origin.mlops.example.com"]
    for region in found.regions:
        unknown = [line for line in region_lines(region, NOW) if line.text.startswith("unknown: ")]
        assert [line.label for line in unknown] == [
            *("quorum", "database", "ML data", "workers", "targets"),
            *(f"certificate {one}" for one in Certificate),
        ]
        assert all(line.text.endswith("no answer within 1.5 s") and line.good is False for line in unknown)


def test_the_deadline_leaves_time_for_the_tries() -> None:
    """A region of which is told that it did not answer, while a lost packet is still being made good."""
    # Between tries botocore waits up to a second, and then up to two.
    assert ATTEMPTS * CONNECT_SECONDS + 1 + 2 < module.ANSWER_SECONDS < 30


@pytest.mark.usefixtures("aws")
def test_questions_are_asked_at_once() -> None:
    """Twenty-one questions one after the other: the first that hangs takes the time of all."""
    let_go, waiting = Event(), list[str]()

    class Slow:
        def addresses(self, name: str) -> frozenset[str]:
            waiting.append(name)
            if len(waiting) == len(ADDRESSES):
                let_go.set()
            if not let_go.wait(timeout=20):
                raise AssertionError("the others were not asked meanwhile")
            return ADDRESSES[name]

    found = status(PRIMARY, STANDBY, Slow(), NOW)
    assert sorted(waiting) == sorted(ADDRESSES)
    assert found.origin == ADDRESSES["origin.mlops.example.com"]


@pytest.mark.usefixtures("aws")
def test_errors_of_the_program_stay_errors() -> None:
    """A mistake in the program that is shown as something that is unknown."""

    class Broken:
        def addresses(self, name: str) -> frozenset[str]:
            raise KeyError(name)

    with pytest.raises(KeyError):
        status(PRIMARY, STANDBY, Broken(), NOW)


EAST = RegionStatus(
    region="us-east-1",
    role=StackRole.PRIMARY,
    nodes=NodesStatus(
        Quorum(healthy=2, needed=2, servers=3),
        {
            "control-plane-1": NodeState(True, REPORT, ""),
            "control-plane-2": NodeState(False, None, "it has never reported"),
        },
    ),
    database=DatabaseStatus(DatabaseState("available", None), None),
    replication=Replication("ENABLED", AT - timedelta(seconds=700), ReplicationRole.SOURCE, "fs-1"),
    workers=Workers(minimum=3, maximum=20, desired=5, in_service=4),
    targets={"https": Targets(healthy=1, registered=2), "http": Targets(healthy=0, registered=2)},
    certificates={Certificate.WORKER: 200.4, Certificate.PUBLIC: Unknown("nothing [was] published")},
    addresses=ADDRESSES["origin.us-east-1.mlops.example.com"],
)
WEST = replace(
    EAST,
    region="us-west-2",
    role=StackRole.STANDBY,
    database=DatabaseStatus(DatabaseState("backing-up", "arn:source"), AT - timedelta(seconds=90)),
    replication=None,
    certificates={Certificate.WORKER: 21.0},
    addresses=ADDRESSES["origin.us-west-2.mlops.example.com"],
)
FOUND = PlatformStatus(
    at=AT, switch=False, failover=None, origin=ADDRESSES["origin.mlops.example.com"], regions=(EAST, WEST)
)


def test_a_region_is_told_line_by_line() -> None:
    """A bad line that looks good, an unknown one that looks bad for another reason, or one that is left out."""
    assert region_lines(EAST, AT) == (
        Line("quorum", "2 of 3 servers healthy, 2 needed", False),
        Line("control-plane-1", "healthy", True),
        Line("control-plane-2", "it has never reported", False),
        Line("database", "available, its own", True),
        Line("ML data", "source of a replication, ENABLED, copied 2026-11-24 11:48:20 UTC, 700 s ago", True),
        Line("workers", "4 of 5 in service, 3 to 20 allowed", False),
        Line("targets of https", "1 of 2 healthy", True),
        Line("targets of http", "0 of 2 healthy", False),
        Line("certificate worker", "200 days left", True),
        Line("certificate public", "unknown: nothing [was] published", False),
        Line("load balancer", "192.0.2.1, 192.0.2.2, 192.0.2.3", True),
    )
    west = {line.label: line for line in region_lines(WEST, AT)}
    assert west["database"] == Line("database", "backing-up, replica of arn:source", False)
    assert west["last transaction"] == Line("last transaction", "2026-11-24 11:58:30 UTC, 90 s ago")
    assert west["ML data"] == Line("ML data", "not replicated")
    assert west["certificate worker"] == Line("certificate worker", "21 days left", False)


@pytest.mark.parametrize(
    ("changes", "label", "expected"),
    [
        ({"replication": Replication("ENABLING", None, ReplicationRole.DESTINATION, "fs-1")}, "ML data", False),
        ({"addresses": frozenset[str]()}, "load balancer", False),
        ({"database": DatabaseStatus(DatabaseState("available", "a"), Unknown("no lag"))}, "last transaction", False),
        ({"workers": Workers(1, 1, desired=1, in_service=1)}, "workers", True),
    ],
)
def test_what_is_not_as_it_should_be_is_bad(changes: dict[str, Any], label: str, expected: bool) -> None:
    """A copy that was never made, a name without addresses, or a lag that is not known, shown as well."""
    lines = {line.label: line for line in region_lines(replace(WEST, **changes), AT)}
    assert lines[label].good is expected


RUNNING = FailoverRecord(
    started=AT - timedelta(minutes=5), reason=None, forced=False, findings=(), lost_after=None, finished=None
)


@pytest.mark.parametrize(
    ("changes", "label", "text", "good"),
    [
        ({}, "failover switch", "not written", True),
        ({"switch": True}, "failover switch", "written", None),
        ({"switch": Unknown("S3 refused")}, "failover switch", "unknown: S3 refused", False),
        ({}, "failover", "none", True),
        ({"failover": RUNNING}, "failover", "started 2026-11-24 11:55:00 UTC, not finished", None),
        (
            {"failover": RUNNING.model_copy(update={"finished": AT})},
            "failover",
            "started 2026-11-24 11:55:00 UTC, finished 2026-11-24 12:00:00 UTC",
            None,
        ),
        ({}, "the public names lead to", "us-east-1 (192.0.2.1, 192.0.2.2)", None),
        ({"origin": WEST.addresses}, "the public names lead to", "us-west-2 (198.51.100.1)", None),
        (
            {"origin": frozenset({"203.0.113.9"})},
            "the public names lead to",
            "203.0.113.9, which is no region's",
            False,
        ),
        ({"origin": frozenset[str]()}, "the public names lead to", "nothing: the name has no address", False),
        (
            {"regions": (replace(EAST, addresses=Unknown("timed out")), WEST)},
            "the public names lead to",
            "unknown: whose 192.0.2.1, 192.0.2.2 is (timed out)",
            False,
        ),
    ],
)
def test_the_platform_is_told_line_by_line(changes: dict[str, Any], label: str, text: str, good: bool | None) -> None:
    """A region guessed from an address that is nobody's, or a failover that is not over and not shown."""
    lines = {line.label: line for line in platform_lines(replace(FOUND, **changes))}
    assert lines[label] == Line(label, text, good)


def test_everything_is_printed() -> None:
    """A region that is left out, or a reason with brackets in it of which half is swallowed as markup."""
    console = Console(width=120)
    with console.capture() as capture:
        console.print(render(FOUND))
    printed = capture.get()
    for title in ("Platform, 2026-11-24 12:00:00 UTC", "us-east-1, primary", "us-west-2, standby"):
        assert title in printed
    assert "unknown: nothing [was] published" in printed
    lines = [*platform_lines(FOUND), *region_lines(EAST, AT), *region_lines(WEST, AT)]
    assert [line for line in lines if line.text not in printed] == []
