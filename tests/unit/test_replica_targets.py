"""ReplicaTargets: what the standby region must hold before anything is copied there."""

from collections import Counter

import pytest

from components.replica_targets import ReplicaTargets, ReplicaTargetsArgs
from configs.tables.names import Names
from tests.unit.mocks import REGIONS, Run, run_in_region

KEY = "ReplicaKey copy-key-key arn"
IMAGES = (
    "alertmanager",
    "consul",
    "grafana",
    "haproxy",
    "nginx",
    "node-exporter",
    "postgres-exporter",
    "nomad",
    "nomad-autoscaler",
    "pgbouncer",
    "prometheus",
    "pushgateway",
)


def targets(region: str = "us-west-2", protect: bool = True) -> Run:
    args = ReplicaTargetsArgs(Names("mlops", "123456789012", region), "primary-arn", protect)
    return run_in_region(lambda opts: ReplicaTargets("copy", args, opts), region)


@pytest.mark.parametrize("protect", [True, False])
def test_every_resource_is_exactly_the_plan(protect: bool) -> None:
    """Guards against a target that AWS makes by itself, under another key, or that refuses to be replicated into."""
    run = targets(protect=protect)
    assert run.inputs("FileSystem") == {
        "copy-ml-data": {
            "creationToken": "mlops-ml-data",
            "encrypted": True,
            "kmsKeyId": KEY,
            "throughputMode": "elastic",
            "protection": {"replicationOverwrite": "DISABLED"},
            "tags": {"Name": "copy-ml-data"},
        }
    }
    assert run.inputs("Repository") == {
        f"copy-images-{image}": {
            "name": f"mlops/{image}",
            "imageTagMutability": "IMMUTABLE",
            "imageScanningConfiguration": {"scanOnPush": True},
            "encryptionConfigurations": [{"encryptionType": "KMS", "kmsKey": KEY}],
            "forceDelete": not protect,
            "tags": {"Name": f"copy-images-{image}"},
        }
        for image in IMAGES
    }
    [bucket] = run.inputs("Bucket").values()
    assert bucket["bucket"] == "mlops-123456789012-us-west-2-backups"
    [encryption] = run.inputs("BucketServerSideEncryptionConfiguration").values()
    assert encryption["rules"][0]["applyServerSideEncryptionByDefault"]["kmsMasterKeyId"] == KEY
    [key] = run.inputs("ReplicaKey").values()
    assert key["primaryKeyArn"] == "primary-arn"
    assert list(run.inputs("Alias").values()) == [
        {"name": "alias/mlops-shared", "targetKeyId": "ReplicaKey copy-key-key id"}
    ]
    assert Counter(one.parent for one in run.resources) == {
        "ReplicaTargets copy": 1,
        "EncryptionKeyReplica copy-key": 2,
        "ImageRepositories copy-images": len(IMAGES),
        "PrivateBucket copy-backups": 7,
    }


def test_on_the_way_home_the_file_system_is_not_overwritten() -> None:
    """Guards against a source that a replication may write into: it has what both regions are to have."""
    args = ReplicaTargetsArgs(Names("mlops", "123456789012", "us-west-2"), "primary-arn", True, is_source=True)
    run = run_in_region(lambda opts: ReplicaTargets("copy", args, opts), "us-west-2")
    assert run.inputs("FileSystem")["copy-ml-data"]["protection"] == {"replicationOverwrite": "ENABLED"}


@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize("protect", [True, False])
def test_all_targets_are_protected_and_in_their_region(region: str, protect: bool) -> None:
    """Guards against losing the copies that a failover needs, and against copies in the region that is lost."""
    run = targets(region, protect)
    kept = {"copy-key-key", "copy-backups-bucket", "copy-ml-data", *(f"copy-images-{image}" for image in IMAGES)}
    assert {one.name for one in run.resources if one.protect} == (kept if protect else set())
    assert {one.provider for one in run.resources} == {f"aws {region}"}
    component = [one for one in run.everything if one.type == "mlops:platform:ReplicaTargets"]
    assert [one.parent for one in component] == [f"Region {region}"]
