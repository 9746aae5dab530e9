"""FailoverSwitch: a bucket of which the world may read one key and nothing else."""

import json

import pytest

from components.failover_switch import FailoverSwitch, FailoverSwitchArgs
from configs.tables.names import Names
from tests.unit.mocks import REGIONS, Run, run_in_region

BUCKET_ID = "Bucket hold-bucket id"


def switch(region: str = "us-west-2", protect: bool = True) -> Run:
    args = FailoverSwitchArgs(Names("mlops", "123456789012", region), protect)
    return run_in_region(lambda opts: FailoverSwitch("hold", args, opts), region)


def test_every_resource_is_exactly_the_plan() -> None:
    """Guards against a switch object made by `up`, against encryption the checkers cannot read, and open ACLs."""
    registered = switch().inputs_by_type()
    policy = registered.pop("aws:s3/bucketPolicy:BucketPolicy")
    assert registered == {
        "aws:s3/bucket:Bucket": {
            "hold-bucket": {
                "bucket": "mlops-123456789012-us-west-2-failover-switch",
                "forceDestroy": False,
                "tags": {"Name": "hold-bucket"},
            }
        },
        "aws:s3/bucketOwnershipControls:BucketOwnershipControls": {
            "hold-owner": {"bucket": BUCKET_ID, "rule": {"objectOwnership": "BucketOwnerEnforced"}}
        },
        "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": {
            "hold-encryption": {
                "bucket": BUCKET_ID,
                "rules": [{"applyServerSideEncryptionByDefault": {"sseAlgorithm": "AES256"}}],
            }
        },
        "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": {
            "hold-access": {
                "bucket": BUCKET_ID,
                "blockPublicAcls": True,
                "ignorePublicAcls": True,
                "blockPublicPolicy": False,
                "restrictPublicBuckets": False,
            }
        },
    }
    assert policy["hold-policy"]["bucket"] == BUCKET_ID


def test_the_world_may_read_one_key_and_nothing_else() -> None:
    """Guards against checkers that cannot see the switch, and against a policy that opens more than the switch."""
    ((_, policy),) = switch().inputs("BucketPolicy").items()
    assert json.loads(policy["policy"]) == {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "HealthCheckersReadTheSwitch",
                "Effect": "Allow",
                "Principal": "*",
                "Action": ["s3:GetObject"],
                "Resource": ["arn:aws:s3:::mlops-123456789012-us-west-2-failover-switch/region-failed-over"],
            }
        ],
    }


def test_policy_waits_until_public_policies_are_allowed() -> None:
    """Guards against a first deployment that S3 refuses: a public policy while public policies are blocked."""
    assert {one.name: one.depends_on for one in switch().resources if one.depends_on} == {
        "hold-policy": {"BucketPublicAccessBlock hold-access"}
    }


@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize("protect", [True, False])
def test_exactly_the_bucket_is_protected_and_all_is_in_its_region(region: str, protect: bool) -> None:
    """Guards against deleting the switch by mistake, and against a bucket in the region that may be lost."""
    run = switch(region, protect)
    assert {one.name for one in run.resources if one.protect} == ({"hold-bucket"} if protect else set())
    assert {(one.parent, one.provider) for one in run.resources} == {("FailoverSwitch hold", f"aws {region}")}
    component = [one for one in run.everything if one.type == "mlops:platform:FailoverSwitch"]
    assert [one.parent for one in component] == [f"Region {region}"]
