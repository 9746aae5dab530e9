"""Archive: locked copies that neither a mistake nor a stolen key deletes."""

from typing import Any

import pytest

from components.archive import Archive, ArchiveArgs
from configs.settings.model import LockMode, RetentionSettings
from configs.tables.names import Names
from tests.unit.mocks import REGIONS, Run, run_in_region

KEY = "ReplicaKey far-key-key arn"


def archive(region: str = "us-west-2", protect: bool = True, mode: LockMode = LockMode.GOVERNANCE) -> Run:
    lock = {"mode": mode, "minimumDays": 5, "maximumDays": 310}
    retention = RetentionSettings.model_validate({"archiveDays": 300, "databaseDays": 20, "lock": lock})
    args = ArchiveArgs(Names("mlops", "123456789012", region), "primary-arn", retention, "database-arn", protect)
    return run_in_region(lambda opts: Archive("far", args, opts), region)


@pytest.mark.parametrize("protect", [True, False])
@pytest.mark.parametrize(("mode", "grace"), [("governance", {}), ("compliance", {"changeableForDays": 3})])
def test_every_resource_is_exactly_the_plan(protect: bool, mode: str, grace: dict[str, Any]) -> None:
    """Guards against an archive that is not locked, is locked for good unasked, or keeps other than it says."""
    run = archive(protect=protect, mode=LockMode(mode))
    own = {one.type: {one.name: one.inputs} for one in run.resources if one.parent == "Archive far"}
    assert own == {
        "aws:s3/bucketObjectLockConfiguration:BucketObjectLockConfiguration": {
            "far-lock": {
                "bucket": "Bucket far-copies-bucket id",
                "rule": {"defaultRetention": {"mode": mode.upper(), "days": 300}},
            }
        },
        "aws:backup/vault:Vault": {
            "far-vault": {
                "name": "mlops-archive",
                "kmsKeyArn": KEY,
                "forceDestroy": not protect,
                "tags": {"Name": "far-vault"},
            }
        },
        "aws:backup/vaultLockConfiguration:VaultLockConfiguration": {
            "far-vault-lock": {
                "backupVaultName": "mlops-archive",
                "minRetentionDays": 5,
                "maxRetentionDays": 310,
                **grace,
            }
        },
        "aws:rds/instanceAutomatedBackupsReplication:InstanceAutomatedBackupsReplication": {
            "far-database": {"sourceDbInstanceArn": "database-arn", "retentionPeriod": 20, "kmsKeyId": KEY}
        },
    }


def test_backups_of_a_replica_are_not_copied() -> None:
    """Guards against a way home that stops at what RDS does not promise of a replica."""
    args = ArchiveArgs(Names("mlops", "123456789012", "us-west-2"), "primary-arn", RetentionSettings(), None, True)
    run = run_in_region(lambda opts: Archive("far", args, opts))
    assert run.inputs("InstanceAutomatedBackupsReplication") == {}
    assert list(run.inputs("VaultLockConfiguration")) == ["far-vault-lock"]


def test_bucket_is_locked_from_birth_and_under_the_replica_key() -> None:
    """Guards against Object Lock that cannot be added later, and against copies under a key of a lost region."""
    run = archive()
    [bucket] = run.inputs("Bucket").values()
    assert (bucket["bucket"], bucket["objectLockEnabled"]) == ("mlops-123456789012-us-west-2-archive", True)
    [encryption] = run.inputs("BucketServerSideEncryptionConfiguration").values()
    assert encryption["rules"][0]["applyServerSideEncryptionByDefault"]["kmsMasterKeyId"] == KEY
    [lifecycle] = run.inputs("BucketLifecycleConfiguration").values()
    assert lifecycle["rules"][0]["noncurrentVersionExpiration"] == {"noncurrentDays": 300}
    [key] = run.inputs("ReplicaKey").values()
    assert key["primaryKeyArn"] == "primary-arn"
    assert list(run.inputs("Alias").values()) == [
        {"name": "alias/mlops-shared", "targetKeyId": "ReplicaKey far-key-key id"}
    ]


def test_what_aws_has_one_of_is_deleted_before_it_is_made_anew() -> None:
    """Guards against a change of retention that ends with no lock at all, or that RDS refuses."""
    replaced_first = {one.name for one in archive().resources if one.delete_before_replace}
    assert replaced_first == {"far-vault-lock", "far-database"}


def test_lock_waits_for_versions() -> None:
    """Guards against a first deployment that S3 refuses: Object Lock before versioning."""
    waits = {one.name: one.depends_on for one in archive().resources if one.parent == "Archive far"}
    assert {name: on for name, on in waits.items() if on} == {"far-lock": {"BucketVersioning far-copies-versions"}}


def test_copies_wait_for_the_lock() -> None:
    """Guards against a copy that is there before the lock, and against one kept longer than the lock allows yet."""
    assert archive().outputs["Archive far"]["vault"] == "VaultLockConfiguration far-vault-lock backupVaultArn"


@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize("protect", [True, False])
def test_what_keeps_copies_is_protected_and_all_is_in_its_region(region: str, protect: bool) -> None:
    """Guards against deleting the last copy by mistake, and against an archive in the region that it archives."""
    run = archive(region, protect)
    kept = {"far-key-key", "far-copies-bucket", "far-vault"}
    assert {one.name for one in run.resources if one.protect} == (kept if protect else set())
    assert {one.provider for one in run.resources} == {f"aws {region}"}
    component = [one for one in run.everything if one.type == "mlops:platform:Archive"]
    assert [one.parent for one in component] == [f"Region {region}"]
