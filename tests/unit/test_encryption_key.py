"""EncryptionKey: rotated, protected, and usable by those services that have to use it, in this account only."""

import json

import pulumi
import pytest

from components.encryption_key import EncryptionKey, EncryptionKeyArgs
from configs.key_policy import key_policy
from configs.tables.names import EncryptionKeyName, Names
from tests.unit.mocks import REGIONS, Run, run_in_region


def key(region: str = "us-west-2", multi_region: bool = True, protect: bool = True) -> Run:
    def program(opts: pulumi.ResourceOptions) -> None:
        args = EncryptionKeyArgs(
            Names("mlops", "123456789012", region),
            EncryptionKeyName.SHARED,
            multi_region=multi_region,
            protect=protect,
        )
        made = EncryptionKey("data", args, opts)
        pulumi.export("arn", made.arn)
        pulumi.export("id", made.id)

    return run_in_region(program, region)


@pytest.mark.parametrize("multi_region", [True, False])
def test_every_resource_is_exactly_the_plan(multi_region: bool) -> None:
    """Guards against a key that is never rotated or gone at once, and against an alias that points elsewhere."""
    assert key(multi_region=multi_region).inputs_by_type() == {
        "aws:kms/key:Key": {
            "data-key": {
                "description": "mlops-shared",
                "enableKeyRotation": True,
                "multiRegion": multi_region,
                "deletionWindowInDays": 30,
                "policy": key_policy(Names("mlops", "123456789012", "us-west-2")),
                "tags": {"Name": "data-key"},
            }
        },
        "aws:kms/alias:Alias": {"data-alias": {"name": "alias/mlops-shared", "targetKeyId": "Key data-key id"}},
    }


@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize("protect", [True, False])
def test_exactly_the_key_is_protected_and_all_is_in_its_region(region: str, protect: bool) -> None:
    """Guards against losing all that a key encrypts by one mistake, and against a key in the wrong region."""
    run = key(region, protect=protect)
    assert {one.name for one in run.resources if one.protect} == ({"data-key"} if protect else set())
    assert {(one.parent, one.provider) for one in run.resources} == {("EncryptionKey data", f"aws {region}")}
    component = [one for one in run.everything if one.type == "mlops:platform:EncryptionKey"]
    assert [one.parent for one in component] == [f"Region {region}"]


def test_hands_on_its_arn_and_its_id() -> None:
    """Guards against things that are encrypted with another key than they should."""
    expected = {"arn": "Key data-key arn", "id": "Key data-key id"}
    run = key()
    assert run.outputs["EncryptionKey data"] == expected
    assert run.outputs["Stack mlops-ha-prod"] == expected


def test_the_policy_names_exactly_who_uses_a_key() -> None:
    """Guards against volumes, logs or alarms that may not use the key, and against other accounts that may."""
    whole = ["kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*"]
    assert json.loads(key_policy(Names("mlops", "123456789012", "us-west-2"))) == {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "Owner",
                "Effect": "Allow",
                "Principal": {"AWS": "arn:aws:iam::123456789012:root"},
                "Action": ["kms:*"],
                "Resource": ["*"],
            },
            {
                "Sid": "Volumes",
                "Effect": "Allow",
                "Principal": {"AWS": "*"},
                "Action": sorted([*whole, "kms:CreateGrant", "kms:DescribeKey"]),
                "Resource": ["*"],
                "Condition": {
                    "StringEquals": {
                        "kms:CallerAccount": "123456789012",
                        "kms:ViaService": "ec2.us-west-2.amazonaws.com",
                    }
                },
            },
            {
                "Sid": "Logs",
                "Effect": "Allow",
                "Principal": {"Service": "logs.us-west-2.amazonaws.com"},
                "Action": sorted([*whole, "kms:Describe*"]),
                "Resource": ["*"],
                "Condition": {
                    "ArnLike": {
                        "kms:EncryptionContext:aws:logs:arn": "arn:aws:logs:us-west-2:123456789012:log-group:*"
                    }
                },
            },
            {
                "Sid": "Alarms",
                "Effect": "Allow",
                "Principal": {"Service": "cloudwatch.amazonaws.com"},
                "Action": ["kms:Decrypt", "kms:GenerateDataKey*"],
                "Resource": ["*"],
                "Condition": {"StringEquals": {"aws:SourceAccount": "123456789012"}},
            },
        ],
    }


def test_whoever_is_not_of_the_account_needs_a_condition() -> None:
    """Guards against a key that the whole world may use: a service acts for every customer, "*" is everyone."""
    statements = json.loads(key_policy(Names("mlops", "123456789012", "eu-west-1")))["Statement"]
    assert [one["Sid"] for one in statements if "Condition" not in one] == ["Owner"]
    assert all("123456789012" in json.dumps(one.get("Condition", one["Principal"])) for one in statements)
