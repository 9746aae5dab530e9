"""The record of a failover, on moto's S3."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone

import pytest
from moto import mock_aws
from pydantic import ValidationError

from configs.tables.names import BUNDLES_BUCKET, Names
from ops.aws import Region
from ops.problems import Unknown
from ops.record import RECORD_KEY, FailoverRecord, Records
from ops.vantage import Finding, Verdict

NAMES = Names("mlops", "123456789012", "us-west-2")
BUCKET = NAMES.bucket(BUNDLES_BUCKET)
STARTED = datetime(2026, 11, 24, 12, 0, 7, tzinfo=UTC)
ARCHIVED = "failover/2026-11-24T12:00:07Z.json"
RECORD = FailoverRecord(
    started=STARTED,
    reason="region lost",
    forced=True,
    findings=(
        Finding(place="this machine", verdict=Verdict.SILENT, detail="connection refused"),
        Finding(place="health checkers", verdict=Verdict.UNKNOWN, detail="no answer"),
    ),
    lost_after=STARTED - timedelta(seconds=90),
    finished=None,
)


@pytest.fixture
def region() -> Iterator[Region]:
    with mock_aws():
        region = Region("us-west-2")
        region.s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
        yield region


def keys(region: Region) -> list[str]:
    return [found.get("Key", "") for found in region.s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])]


def test_a_record_is_read_as_it_was_written(region: Region) -> None:
    """A run that is taken up again with other times, findings or reasons than the first one wrote down."""
    records = Records(region, NAMES)
    assert records.read() is None
    records.write(RECORD)
    assert records.read() == RECORD
    later = RECORD.model_copy(update={"promoted": True, "finished": STARTED + timedelta(minutes=20)})
    records.write(later)
    assert records.read() == later
    assert keys(region) == [RECORD_KEY]


def test_a_closed_record_is_kept(region: Region) -> None:
    """A failover that is over and is taken up again, or of which nothing is left to look back on."""
    records = Records(region, NAMES)
    records.write(RECORD)
    for _ in range(2):
        records.close()
        assert records.read() is None
        assert keys(region) == [ARCHIVED]
    kept = region.s3.get_object(Bucket=BUCKET, Key=ARCHIVED)["Body"].read()
    assert FailoverRecord.model_validate_json(kept) == RECORD


def test_closing_may_be_taken_up_again(region: Region) -> None:
    """A close that was killed between its two steps and cannot be repeated."""
    records = Records(region, NAMES)
    records.write(RECORD)
    region.s3.copy_object(Bucket=BUCKET, Key=ARCHIVED, CopySource={"Bucket": BUCKET, "Key": RECORD_KEY})
    records.close()
    assert keys(region) == [ARCHIVED]


def test_records_are_kept_by_universal_time(region: Region) -> None:
    """The records of two failovers under keys in the clocks of two engineers."""
    records = Records(region, NAMES)
    records.write(RECORD.model_copy(update={"started": STARTED.astimezone(timezone(timedelta(hours=2)))}))
    records.close()
    assert keys(region) == [ARCHIVED]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "the whole: Invalid JSON"),
        (RECORD.model_dump_json().replace('"forced":true', '"forced":true,"step":3'), "step: Extra inputs"),
        (RECORD.model_dump_json().replace('"forced":true,', ""), "forced: Field required"),
        (json.dumps({**json.loads(RECORD.model_dump_json()), "started": "2026-11-24T12:00:00"}), "started: Input"),
    ],
)
def test_what_is_no_record_is_unknown(region: Region, text: str, reason: str) -> None:
    """A damaged record, or one of a newer version, taken for none, or silently shortened."""
    region.s3.put_object(Bucket=BUCKET, Key=RECORD_KEY, Body=text.encode())
    records = Records(region, NAMES)
    for step in (records.read, records.close):
        with pytest.raises(Unknown, match=reason):
            step()
    assert keys(region) == [RECORD_KEY]


def test_without_its_bucket_nothing_is_known(region: Region) -> None:
    """A bucket that is missing taken for a failover that never was."""
    region.s3.delete_bucket(Bucket=BUCKET)
    records = Records(region, NAMES)
    with pytest.raises(Unknown, match=r"^whether a failover is recorded: .*NoSuchBucket"):
        records.read()
    with pytest.raises(Unknown, match=r"^writing the failover's record: .*NoSuchBucket"):
        records.write(RECORD)


def test_a_record_has_no_time_without_a_zone() -> None:
    """Times that mean another moment on the machine that takes the run up."""
    with pytest.raises(ValidationError, match="lost_after"):
        FailoverRecord.model_validate(RECORD.model_dump() | {"lost_after": datetime(2026, 11, 24)})
