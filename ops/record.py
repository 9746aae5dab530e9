"""What is written down of a failover while it runs, so that a run that was killed can be taken up again."""

from __future__ import annotations

from datetime import UTC

from botocore.exceptions import ClientError
from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from configs.tables.names import BUNDLES_BUCKET, Names
from ops.aws import Region, asked
from ops.problems import Unknown
from ops.vantage import Finding

RECORD_KEY = "failover/record.json"
"""Key of the record of the failover that is not over, in the bundles bucket of the standby region."""


class FailoverRecord(BaseModel):
    """One failover. What another version wrote besides is refused: writing the record back would lose it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    started: AwareDatetime
    """When the command was started for the first time."""
    reason: str | None
    """What was given as the reason; only a forced failover must have one."""
    forced: bool
    """Whether it was started although the primary region may serve."""
    findings: tuple[Finding, ...]
    """What was seen of the primary region before traffic was moved."""
    lost_after: AwareDatetime | None
    """Time of the last transaction that the replica had; later ones are lost. None: not known."""
    promoted: bool = False
    """Whether the replica has been promoted."""
    finished: AwareDatetime | None
    """When the standby region was seen to serve; None while the failover runs."""
    left: AwareDatetime | None = None
    """When it stopped serving again, on the way home."""


def archive_key(record: FailoverRecord) -> str:
    """Return the key that a record of a failover that is over is kept under."""
    return f"failover/{record.started.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}.json"


class Records:
    """The record, and those of earlier failovers. Everything may be repeated."""

    def __init__(self, region: Region, names: Names) -> None:
        """Look at the bundles bucket that ``names`` has; region and names are the standby region's."""
        self._region = region
        self._bucket = names.bucket(BUNDLES_BUCKET)

    def read(self) -> FailoverRecord | None:
        """Return the record of the failover that is not over; None when there is none.

        Raises:
            Unknown: S3 did not answer, or refused, or what lies there is no record.
        """
        with asked("whether a failover is recorded"):
            try:
                text = self._region.s3.get_object(Bucket=self._bucket, Key=RECORD_KEY)["Body"].read()
            except ClientError as error:
                if error.response.get("Error", {}).get("Code") != "NoSuchKey":
                    raise
                return None
        try:
            return FailoverRecord.model_validate_json(text)
        except ValidationError as error:
            problems = "; ".join(f"{_path(one['loc'])}: {one['msg']}" for one in error.errors(include_url=False))
            raise Unknown(
                f"what s3://{self._bucket}/{RECORD_KEY} says of a failover: another version wrote it, or it is"
                f" damaged ({problems})"
            ) from error

    def write(self, record: FailoverRecord) -> None:
        """Write the record, in place of the one that is there.

        Raises:
            Unknown: S3 did not answer, or refused: the record may be written or not.
        """
        with asked("writing the failover's record"):
            self._region.s3.put_object(
                Bucket=self._bucket,
                Key=RECORD_KEY,
                Body=record.model_dump_json(indent=2).encode(),
                ContentType="application/json",
            )

    def close(self) -> None:
        """Put the record among those of earlier failovers; without one nothing happens.

        Raises:
            Unknown: S3 did not answer, or refused: the record is in its old place, in the new one, or in both.
        """
        record = self.read()
        if record is None:
            return
        with asked("putting the failover's record away"):
            self._region.s3.copy_object(
                Bucket=self._bucket,
                Key=archive_key(record),
                CopySource={"Bucket": self._bucket, "Key": RECORD_KEY},
            )
            self._region.s3.delete_object(Bucket=self._bucket, Key=RECORD_KEY)


def _path(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in location) or "the whole"
