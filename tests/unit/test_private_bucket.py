"""PrivateBucket: nobody reads it who is not let in, and nothing in it is lost by one command."""

import json
from dataclasses import replace

import pulumi
import pulumi_aws as aws
import pytest

from components.private_bucket import PrivateBucket, PrivateBucketArgs
from configs.tables.names import Names
from tests.unit.mocks import REGIONS, Run, run_in_region

BUCKET_ID = "Bucket store-bucket id"
NAME = "mlops-123456789012-us-west-2-backups"


def bucket(region: str = "us-west-2", protect: bool = True, locked: bool = False) -> Run:
    args = PrivateBucketArgs(Names("mlops", "123456789012", region), "backups", "key-arn", protect)
    if locked:
        args = replace(args, object_lock=True, expire_noncurrent_days=90)
    return run_in_region(lambda opts: PrivateBucket("store", args, opts), region)


@pytest.mark.parametrize("protect", [True, False])
@pytest.mark.parametrize("locked", [True, False])
def test_every_resource_is_exactly_the_plan(protect: bool, locked: bool) -> None:
    """Guards against a bucket that is open, not encrypted by our key, without a past, or filled with its past."""
    registered = bucket(protect=protect, locked=locked).inputs_by_type()
    policy = registered.pop("aws:s3/bucketPolicy:BucketPolicy")
    assert registered == {
        "aws:s3/bucket:Bucket": {
            "store-bucket": {
                "bucket": NAME,
                "objectLockEnabled": locked,
                "forceDestroy": not protect,
                "tags": {"Name": "store-bucket"},
            }
        },
        "aws:s3/bucketOwnershipControls:BucketOwnershipControls": {
            "store-owner": {"bucket": BUCKET_ID, "rule": {"objectOwnership": "BucketOwnerEnforced"}}
        },
        "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": {
            "store-encryption": {
                "bucket": BUCKET_ID,
                "rules": [
                    {
                        "applyServerSideEncryptionByDefault": {
                            "sseAlgorithm": "aws:kms",
                            "kmsMasterKeyId": "key-arn",
                        },
                        "bucketKeyEnabled": True,
                    }
                ],
            }
        },
        "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": {
            "store-access": {
                "bucket": BUCKET_ID,
                "blockPublicAcls": True,
                "ignorePublicAcls": True,
                "blockPublicPolicy": True,
                "restrictPublicBuckets": True,
            }
        },
        "aws:s3/bucketVersioning:BucketVersioning": {
            "store-versions": {"bucket": BUCKET_ID, "versioningConfiguration": {"status": "Enabled"}}
        },
        "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": {
            "store-lifecycle": {
                "bucket": BUCKET_ID,
                "rules": [
                    {
                        "id": "old-versions",
                        "status": "Enabled",
                        "filter": {},
                        "noncurrentVersionExpiration": {"noncurrentDays": 90 if locked else 35},
                    },
                    {
                        "id": "abandoned-uploads",
                        "status": "Enabled",
                        "filter": {},
                        "abortIncompleteMultipartUpload": {"daysAfterInitiation": 7},
                    },
                ],
            }
        },
    }
    assert policy.keys() == {"store-policy"}
    assert policy["store-policy"]["bucket"] == BUCKET_ID


def test_nothing_goes_over_the_wire_in_the_clear() -> None:
    """Guards against a backup that is read on its way."""
    assert json.loads(bucket().inputs("BucketPolicy")["store-policy"]["policy"]) == {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "OnlyOverTls",
                "Effect": "Deny",
                "Principal": "*",
                "Action": ["s3:*"],
                "Resource": [f"arn:aws:s3:::{NAME}", f"arn:aws:s3:::{NAME}/*"],
                "Condition": {"Bool": {"aws:SecureTransport": "false"}},
            }
        ],
    }


def test_settings_come_in_the_order_that_s3_takes_them() -> None:
    """Guards against a first deployment that fails now and then: two changes of a bucket's access at a time."""
    assert {one.name: one.depends_on for one in bucket().resources if one.depends_on} == {
        "store-policy": {"BucketPublicAccessBlock store-access"},
        "store-lifecycle": {"BucketVersioning store-versions"},
    }


def test_what_is_put_in_waits_for_the_encryption() -> None:
    """Guards against the first object, encrypted by another key because the bucket's was not set yet."""
    args = PrivateBucketArgs(Names("mlops", "123456789012", "us-west-2"), "backups", "key-arn", True)

    def program(opts: pulumi.ResourceOptions) -> None:
        aws.s3.BucketObjectv2("object", bucket=PrivateBucket("store", args, opts).id, key="one", opts=opts)

    [put] = run_in_region(program).of("BucketObjectv2").values()
    assert "BucketServerSideEncryptionConfiguration store-encryption" in put.waits_for


@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize("protect", [True, False])
def test_exactly_the_bucket_is_protected_and_all_is_in_its_region(region: str, protect: bool) -> None:
    """Guards against deleting backups by mistake, and against a bucket in another region than its name says."""
    run = bucket(region, protect)
    assert {one.name for one in run.resources if one.protect} == ({"store-bucket"} if protect else set())
    assert {(one.parent, one.provider) for one in run.resources} == {("PrivateBucket store", f"aws {region}")}
    component = [one for one in run.everything if one.type == "mlops:platform:PrivateBucket"]
    assert [one.parent for one in component] == [f"Region {region}"]
