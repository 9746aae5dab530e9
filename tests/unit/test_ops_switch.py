"""The failover switch, on moto's S3."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from configs.tables.names import SWITCH_BUCKET, SWITCH_KEY, Names
from ops.aws import Region
from ops.problems import Unknown
from ops.switch import FailoverSwitch

NAMES = Names("mlops", "123456789012", "us-west-2")
BUCKET = NAMES.bucket(SWITCH_BUCKET)


@pytest.fixture
def region() -> Iterator[Region]:
    with mock_aws():
        region = Region("us-west-2")
        region.s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
        yield region


def test_the_switch_is_written_and_deleted(region: Region) -> None:
    """A switch that does not say what it is, or that cannot be thrown twice by a run that is taken up again."""
    switch = FailoverSwitch(region, NAMES)
    assert switch.written() is False
    for _ in range(2):
        switch.write()
        assert switch.written() is True
    for _ in range(2):
        switch.delete()
        assert switch.written() is False


def test_what_lies_there_may_be_read_by_all(region: Region) -> None:
    """An object that checkers cannot decrypt, that a cache keeps after its deletion, or that tells who wrote it."""
    FailoverSwitch(region, NAMES).write()
    found = region.s3.get_object(Bucket=BUCKET, Key=SWITCH_KEY)
    assert found["ServerSideEncryption"] == "AES256"
    assert (found["CacheControl"], found["ContentType"]) == ("no-store", "text/plain")
    assert found["Metadata"] == {}
    written = datetime.fromisoformat(found["Body"].read().decode())
    assert abs(datetime.now(UTC) - written) < timedelta(minutes=1)


def test_without_its_bucket_it_is_not_written_and_cannot_be(region: Region) -> None:
    """A primary region that cannot be verified before the other one is deployed; a switch taken for written."""
    region.s3.delete_bucket(Bucket=BUCKET)
    switch = FailoverSwitch(region, NAMES)
    assert switch.written() is False
    with pytest.raises(Unknown, match=r"^writing the failover switch: .*NoSuchBucket"):
        switch.write()
    with pytest.raises(Unknown, match=r"^deleting the failover switch: .*NoSuchBucket"):
        switch.delete()


def test_a_refusal_is_no_answer(region: Region, monkeypatch: pytest.MonkeyPatch) -> None:
    """A 403, which S3 gives for a missing object to those who may not list, taken for a switch not written."""

    def refuse(**_: object) -> None:
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": "Access Denied"}}, "GetObject")

    monkeypatch.setattr(region.s3, "get_object", refuse)
    with pytest.raises(Unknown, match="AccessDenied"):
        FailoverSwitch(region, NAMES).written()
