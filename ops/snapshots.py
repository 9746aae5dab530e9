"""The snapshots of Consul and Nomad: what the schedulers knew, for a region that starts with nothing.

A leader takes them on a timer; S3 copies them to the other region. A restore replaces everything that the service
knows: jobs are registered after it, never before, and nodes of the other region stay listed until they count as lost.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus

import httpx
from botocore.exceptions import ClientError

from configs.nodes import snapshot_key
from configs.tables.names import BACKUPS_BUCKET, Names
from configs.tables.schedulers import SCHEDULERS, Scheduler
from ops.aws import CONNECT_SECONDS, Region, asked
from ops.entrance import Entrance, reason
from ops.problems import Unknown

RESTORE_SECONDS = 120.0
"""Time for a restore: the servers load it one after the other, some 100 MB at most."""


@dataclass(frozen=True)
class Snapshot:
    """A service's last snapshot: its key in the backups bucket, and when it was taken."""

    service: Scheduler
    key: str
    taken: datetime


def latest(region: Region, names: Names, of_region: str, service: Scheduler) -> Snapshot | None:
    """Return the last snapshot of a region's service; None when there is none.

    Args:
        region: the region whose backups bucket is asked.
        names: names in that region.
        of_region: the region that the snapshot is of.
        service: what it is of.

    Raises:
        Unknown: S3 does not answer, or refuses.
    """
    key = snapshot_key(of_region, service)
    with asked(f"the last snapshot of {service} of {of_region}"):
        try:
            # Not HeadObject: its 404 does not tell a bucket that is missing from an object that is.
            found = region.s3.get_object(Bucket=names.bucket(BACKUPS_BUCKET), Key=key)
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") != "NoSuchKey":
                raise
            return None
        found["Body"].close()
    # A replica keeps the time of its source
    # (https://docs.aws.amazon.com/AmazonS3/latest/userguide/replication.html#replication-scenario).
    return Snapshot(service, key, found["LastModified"])


def restore(region: Region, names: Names, snapshot: Snapshot, entrance: Entrance, token: str) -> None:
    """Replace all that a service knows by a snapshot. It may be repeated.

    Args:
        region: the region whose backups bucket has the snapshot.
        names: names in that region.
        snapshot: what ``latest`` returned; a newer one that has come since is taken instead.
        entrance: of the region whose service is given it.
        token: the service's management token.

    Raises:
        Unknown: S3 or the service does not answer, or refuses: it may be restored or not.
    """
    with asked(f"the snapshot {snapshot.key}"):
        content = region.s3.get_object(Bucket=names.bucket(BACKUPS_BUCKET), Key=snapshot.key)["Body"].read()
    api = SCHEDULERS[snapshot.service]
    what = f"restoring {snapshot.key}"
    deadlines = httpx.Timeout(RESTORE_SECONDS, connect=CONNECT_SECONDS)
    try:
        with entrance.client(snapshot.service, deadlines) as client:
            response = client.put(api.snapshot_path, content=content, headers={api.token_header: token})
    except httpx.HTTPError as error:
        raise Unknown(f"{what}: {snapshot.service}: {reason(error)}") from error
    if response.status_code != HTTPStatus.OK:
        said = " ".join(response.text.split())
        raise Unknown(f"{what}: {snapshot.service}: HTTP {response.status_code}: {said}")
