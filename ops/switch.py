"""The failover switch: while its object exists, traffic goes to the standby region."""

from __future__ import annotations

from datetime import UTC, datetime

from botocore.exceptions import ClientError

from configs.tables.names import SWITCH_BUCKET, SWITCH_KEY, Names
from ops.aws import Region, asked


class FailoverSwitch:
    """The switch in the standby region. Writing it and deleting it may be repeated."""

    def __init__(self, region: Region, names: Names) -> None:
        """Look at the bucket that ``names`` has; region and names are the standby region's."""
        self._region, self._names = region, names
        self._bucket = names.bucket(SWITCH_BUCKET)

    def written(self) -> bool:
        """Say whether the switch is written.

        Raises:
            Unknown: S3 did not answer, or refused: also when it does not say whether the object is missing, which it
                does not to those who may not list the bucket (403).
        """
        with asked("whether the failover switch is written"):
            try:
                self._region.s3.get_object(Bucket=self._bucket, Key=SWITCH_KEY)["Body"].close()
            except ClientError as error:
                # Before the standby region is deployed there is no bucket either.
                if error.response.get("Error", {}).get("Code") not in ("NoSuchKey", "NoSuchBucket"):
                    raise
                return False
        return True

    def write(self) -> None:
        """Write the switch: traffic goes to the standby region, and stays there.

        Raises:
            Unknown: S3 did not answer, or refused: the switch may be written or not.
        """
        with asked("writing the failover switch"):
            self._region.s3.put_object(
                Bucket=self._bucket,
                Key=SWITCH_KEY,
                # Everyone may read it: it says nothing but when.
                Body=datetime.now(UTC).isoformat(timespec="seconds").encode(),
                ContentType="text/plain",
                CacheControl="no-store",
                # Not a KMS key: the health checkers are anonymous and could not decrypt with it.
                ServerSideEncryption="AES256",
            )

    def delete(self) -> None:
        """Delete the switch: traffic goes back to the primary region as soon as that is healthy.

        Raises:
            Unknown: S3 did not answer, or refused: the switch may be written or not.
        """
        with asked("deleting the failover switch"):
            self._region.s3.delete_object(Bucket=self._bucket, Key=SWITCH_KEY)
