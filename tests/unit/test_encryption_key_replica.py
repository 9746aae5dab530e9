"""EncryptionKeyReplica: the same key in another region, under the same alias, with a policy of its own."""

import pulumi
import pytest

from components.encryption_key_replica import EncryptionKeyReplica, EncryptionKeyReplicaArgs
from configs.key_policy import key_policy
from configs.tables.names import EncryptionKeyName, Names
from tests.unit.mocks import REGIONS, Run, run_in_region

PRIMARY = "arn:aws:kms:us-east-1:123456789012:key/mrk-1"


def replica(region: str = "us-west-2", protect: bool = True) -> Run:
    def program(opts: pulumi.ResourceOptions) -> None:
        args = EncryptionKeyReplicaArgs(
            Names("mlops", "123456789012", region), EncryptionKeyName.SHARED, PRIMARY, protect=protect
        )
        pulumi.export("arn", EncryptionKeyReplica("copy", args, opts).arn)

    return run_in_region(program, region)


def test_every_resource_is_exactly_the_plan() -> None:
    """Guards against a replica that its own region's services may not use, and one that nobody finds by name."""
    assert replica().inputs_by_type() == {
        "aws:kms/replicaKey:ReplicaKey": {
            "copy-key": {
                "description": "mlops-shared",
                "primaryKeyArn": PRIMARY,
                "deletionWindowInDays": 30,
                "policy": key_policy(Names("mlops", "123456789012", "us-west-2")),
                "tags": {"Name": "copy-key"},
            }
        },
        "aws:kms/alias:Alias": {
            "copy-alias": {"name": "alias/mlops-shared", "targetKeyId": "ReplicaKey copy-key id"}
        },
    }


@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize("protect", [True, False])
def test_exactly_the_key_is_protected_and_all_is_in_its_region(region: str, protect: bool) -> None:
    """Guards against copies that cannot be read any more, and against a replica in the region that may be lost."""
    run = replica(region, protect)
    assert {one.name for one in run.resources if one.protect} == ({"copy-key"} if protect else set())
    assert {(one.parent, one.provider) for one in run.resources} == {("EncryptionKeyReplica copy", f"aws {region}")}
    component = [one for one in run.everything if one.type == "mlops:platform:EncryptionKeyReplica"]
    assert [one.parent for one in component] == [f"Region {region}"]


def test_hands_on_its_own_arn() -> None:
    """Guards against copies that are encrypted with the primary, which is gone with its region."""
    run = replica()
    assert run.outputs["EncryptionKeyReplica copy"] == {"arn": "ReplicaKey copy-key arn"}
    assert run.outputs["Stack mlops-ha-prod"] == {"arn": "ReplicaKey copy-key arn"}
