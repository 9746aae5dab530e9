"""Replications of file systems over EFS's API: what the failover ends, and what is left then."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from engine.tokens import FILE_SYSTEM_REPLICATION
from lab.account import Account
from offline.cloud import Cloud
from tests.lab.cloud import AWAY, HOME, REPLICA_FILES, REPLICATION, SOURCE, SOURCE_FILES, client, code

LOCAL = "LOCAL_CONFIGURATION_ONLY"


def described(served: Account, region: str, file_system: str) -> dict[str, Any]:
    efs = client(served, "efs", region)
    [one] = efs.describe_replication_configurations(FileSystemId=file_system)["Replications"]
    return one


def protection(served: Account, region: str) -> str:
    [one] = client(served, "efs", region).describe_file_systems(CreationToken="mlops-ml-data")["FileSystems"]
    return one["FileSystemProtection"]["ReplicationOverwriteProtection"]


def test_both_regions_see_the_replication(served: Account) -> None:
    """A failover that asks in the standby region, the only one that answers, and finds nothing to end."""
    at = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=12)
    served.replicated(at)
    for region, file_system in ((HOME, SOURCE_FILES), (AWAY, REPLICA_FILES)):
        one = described(served, region, file_system)
        assert (one["SourceFileSystemId"], one["SourceFileSystemRegion"]) == (SOURCE_FILES, HOME)
        assert one["Destinations"] == [
            {"Status": "ENABLED", "FileSystemId": REPLICA_FILES, "Region": AWAY, "LastReplicatedTimestamp": at}
        ]
    assert (protection(served, HOME), protection(served, AWAY)) == ("ENABLED", "REPLICATING")


def test_a_local_deletion_frees_the_replica_and_leaves_the_source_its_side(served: Account, cloud: Cloud) -> None:
    """A replica that stays read-only, or a source whose side is gone when its region answers again."""
    served.dark_regions.add(HOME)
    client(served, "efs").delete_replication_configuration(SourceFileSystemId=SOURCE_FILES, DeletionMode=LOCAL)
    assert protection(served, AWAY) == "ENABLED"
    assert list(cloud.all(FILE_SYSTEM_REPLICATION)) == []
    with pytest.raises(ClientError) as gone:
        described(served, AWAY, REPLICA_FILES)
    assert code(gone) == "ReplicationNotFound"
    with pytest.raises(ClientError) as again:
        client(served, "efs").delete_replication_configuration(SourceFileSystemId=SOURCE_FILES, DeletionMode=LOCAL)
    assert code(again) == "ReplicationNotFound"
    served.dark_regions.clear()
    assert described(served, HOME, SOURCE_FILES)["Destinations"][0]["Status"] == "ERROR"
    client(served, "efs", HOME).delete_replication_configuration(SourceFileSystemId=SOURCE_FILES, DeletionMode=LOCAL)
    assert client(served, "efs", HOME).describe_replication_configurations()["Replications"] == []


def test_a_deletion_of_both_sides_needs_both_regions(served: Account, cloud: Cloud) -> None:
    """A failover that forgets the deletion mode, and works in every test."""
    served.dark_regions.add(HOME)
    efs = client(served, "efs")
    with pytest.raises(ClientError) as refused:
        efs.delete_replication_configuration(SourceFileSystemId=SOURCE_FILES)
    assert code(refused) == "InternalServerError"
    assert protection(served, AWAY) == "REPLICATING"
    assert list(cloud.all(FILE_SYSTEM_REPLICATION)) == [REPLICATION]
    served.dark_regions.clear()
    efs.delete_replication_configuration(SourceFileSystemId=SOURCE_FILES)
    assert list(cloud.all(FILE_SYSTEM_REPLICATION)) == []
    for region in (HOME, AWAY):
        assert client(served, "efs", region).describe_replication_configurations()["Replications"] == []


def test_a_replication_outlives_the_region_of_its_source(served: Account, cloud: Cloud) -> None:
    """A drill that removes the region, and with it what the failover is there to end."""
    cloud.remove(REPLICATION)
    cloud.remove(SOURCE)
    assert described(served, AWAY, REPLICA_FILES)["SourceFileSystemId"] == SOURCE_FILES
    client(served, "efs").delete_replication_configuration(SourceFileSystemId=SOURCE_FILES, DeletionMode=LOCAL)
    assert protection(served, AWAY) == "ENABLED"


def test_a_replication_that_the_program_deletes_or_makes_again_shows(served: Account, cloud: Cloud) -> None:
    """A failback that finds the replication of before the failover."""
    cloud.remove(REPLICATION)
    assert client(served, "efs").describe_replication_configurations()["Replications"] == []
    assert protection(served, AWAY) == "DISABLED"
    cloud.put(REPLICATION)
    client(served, "efs").delete_replication_configuration(SourceFileSystemId=SOURCE_FILES, DeletionMode=LOCAL)
    cloud.put(REPLICATION)
    assert described(served, AWAY, REPLICA_FILES)["Destinations"][0]["Status"] == "ENABLED"


def test_wrong_questions_are_the_sdks_own_errors(served: Account, cloud: Cloud) -> None:
    """A command that cannot tell a missing file system from a missing replication."""
    with pytest.raises(ClientError) as missing:
        described(served, AWAY, "fs-missing")
    assert code(missing) == "FileSystemNotFound"
    with pytest.raises(ClientError) as other:
        client(served, "efs").delete_replication_configuration(SourceFileSystemId=REPLICA_FILES)
    assert code(other) == "ReplicationNotFound"
    assert list(cloud.all(FILE_SYSTEM_REPLICATION)) == [REPLICATION]
