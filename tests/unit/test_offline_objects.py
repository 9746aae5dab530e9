"""The bundles and reports that the offline cloud answers with, asked by the SDK that the gate uses."""

from __future__ import annotations

from collections.abc import Generator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.exceptions import ClientError

from configs.reports import Report
from engine.tokens import BUCKET, INSTANCE
from offline import objects
from offline.cloud import Cloud, Resource
from offline.endpoint import aws_endpoint
from offline.objects import OBJECT

REGION = "us-west-2"
PAIR = ("load-balancer-haproxy", "load-balancer-nginx")
SERVERS = ("control-plane-1", "control-plane-2", "control-plane-3")


def machine(node: str, region: str = REGION) -> Resource:
    return Resource(INSTANCE, f"i-{node}", f"urn {node}", region, {"tags": {"Node": node}})


@pytest.fixture
def cloud(tmp_path: Path) -> Generator[Cloud, None, None]:
    """A cloud with a bucket, the bundle of one server, and a machine that is no node."""
    cloud = Cloud(tmp_path / "cloud.sqlite")
    cloud.put(Resource(BUCKET, "bundles", "urn", REGION))
    cloud.put(
        Resource(
            OBJECT, "bundles/bundles/control-plane-1.json", "urn", REGION, {"content": "bündle", "bucket": "bundles"}
        )
    )
    cloud.put(Resource(INSTANCE, "i-other", "urn", REGION))
    yield cloud
    cloud.close()


@pytest.fixture
def s3(cloud: Cloud) -> Generator[Any, None, None]:
    """The SDK's client of S3 in that cloud."""
    with aws_endpoint(cloud) as address:
        yield botocore.session.Session().create_client(
            "s3", region_name=REGION, endpoint_url=address, aws_access_key_id="x", aws_secret_access_key="x"
        )


def read(s3: Any, key: str) -> str:
    return s3.get_object(Bucket="bundles", Key=key)["Body"].read().decode()


def report(s3: Any, node: str) -> Report:
    return Report.from_json(read(s3, f"reports/{node}.json"))


def test_a_bundle_is_read_as_it_was_put(s3: Any) -> None:
    """A gate that compares the digest of another text than the node applied."""
    assert read(s3, "bundles/control-plane-1.json") == "bündle"


@pytest.mark.parametrize("key", ["bundles/control-plane-2.json", "reports/control-plane-1.json"])
def test_what_is_not_there_is_the_sdks_own_error(s3: Any, key: str) -> None:
    """A machine that reports before it exists, or a gate that fails on a node which has never reported."""
    with pytest.raises(ClientError) as refused:
        s3.get_object(Bucket="bundles", Key=key)
    error: Any = refused.value
    assert error.response["Error"]["Code"] == "NoSuchKey"
    assert "date" in error.response["ResponseMetadata"]["HTTPHeaders"]


def test_a_bucket_that_is_not_there_is_not_answered(s3: Any) -> None:
    """A gate that asks the wrong bucket and hears that nobody has reported yet."""
    with pytest.raises(ClientError, match="501"):
        s3.get_object(Bucket="others", Key="reports/control-plane-1.json")


def test_a_machine_reports_now_what_it_has_applied(s3: Any, cloud: Cloud) -> None:
    """A roll-out that waits for ever offline, because a machine's report is old or about another bundle."""
    cloud.put(machine("control-plane-1"))
    answer = s3.get_object(Bucket="bundles", Key="reports/control-plane-1.json")
    now = parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])
    assert now - answer["LastModified"] <= timedelta(seconds=1)
    assert abs(now - datetime.now(UTC)) < timedelta(minutes=1)
    assert Report.from_json(answer["Body"].read().decode()) == Report(
        node="control-plane-1",
        instance="i-control-plane-1",
        bundle=sha256("bündle".encode()).hexdigest(),
        formed=False,
        healthy=True,
    )


def test_a_machine_without_a_bundle_has_applied_none(s3: Any, cloud: Cloud) -> None:
    """A server whose bundle was never put and that counts as whole."""
    cloud.put(machine("control-plane-2"))
    assert report(s3, "control-plane-2").bundle == ""


@pytest.mark.parametrize("group", [SERVERS, PAIR])
def test_a_group_is_formed_when_all_of_it_is_there(s3: Any, cloud: Cloud, group: tuple[str, ...]) -> None:
    """A first deployment that waits for its own next machine, or a group that has never a quorum to lose."""
    for count, node in enumerate(group, start=1):
        # Machines of another group or region are none of this group.
        for other in (machine("load-balancer-haproxy"), machine(group[-1], "us-east-1")):
            if group is SERVERS or other.region != REGION:
                cloud.put(other)
        cloud.put(machine(node))
        assert report(s3, group[0]).formed is (count == len(group))


def test_tests_can_silence_a_node_and_make_one_ill(s3: Any, cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """A test of the gate that passes because no node is ever ill offline."""
    for node in SERVERS:
        cloud.put(machine(node))
    monkeypatch.setattr(objects, "SILENT", frozenset({"control-plane-1"}))
    monkeypatch.setattr(objects, "ILL", {"control-plane-2": "no leader"})
    written = [
        s3.get_object(Bucket="bundles", Key=f"reports/{node}.json")["LastModified"]
        < datetime.now(UTC) - timedelta(minutes=59)
        for node in SERVERS
    ]
    assert written == [True, False, False]
    assert [(report(s3, node).healthy, report(s3, node).reason) for node in SERVERS] == [
        (True, ""),
        (False, "no leader"),
        (True, ""),
    ]
