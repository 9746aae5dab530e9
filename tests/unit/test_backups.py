"""Backups: everything that cannot be made again, every day, and a copy out of reach."""

import json

import pytest

from components.backups import Backups, BackupsArgs
from configs.settings.model import RetentionSettings
from configs.tables.names import Names
from tests.unit.mocks import REGIONS, Run, run_in_region


def backups(region: str = "us-west-2", protect: bool = True) -> Run:
    args = BackupsArgs(
        names=Names("mlops", "123456789012", region),
        key_arn="key-arn",
        archive_vault_arn="archive-arn",
        resources=("file-system-arn", "database-arn"),
        retention=RetentionSettings.model_validate({"archiveDays": 300}),
        protect=protect,
    )
    return run_in_region(lambda opts: Backups("safe", args, opts), region)


@pytest.mark.parametrize("protect", [True, False])
def test_every_resource_is_exactly_the_plan(protect: bool) -> None:
    """Guards against what nobody backs up or may restore, and a copy that the archive's lock refuses at night."""
    registered = backups(protect=protect).inputs_by_type()
    trust = registered["aws:iam/role:Role"]["safe-role"]["assumeRolePolicy"]
    assert json.loads(trust) == {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "Assume",
                "Effect": "Allow",
                "Principal": {"Service": "backup.amazonaws.com"},
                "Action": ["sts:AssumeRole"],
            }
        ],
    }
    assert registered == {
        "aws:backup/vault:Vault": {
            "safe-vault": {
                "name": "mlops-backups",
                "kmsKeyArn": "key-arn",
                "forceDestroy": not protect,
                "tags": {"Name": "safe-vault"},
            }
        },
        "aws:backup/plan:Plan": {
            "safe-plan": {
                "name": "mlops-backups",
                "rules": [
                    {
                        "ruleName": "daily",
                        "targetVaultName": "mlops-backups",
                        "schedule": "cron(0 9 * * ? *)",
                        "startWindow": 60,
                        "lifecycle": {"deleteAfter": 35},
                        "copyActions": [
                            {"destinationVaultArn": "archive-arn", "lifecycle": {"deleteAfter": 300}},
                        ],
                    }
                ],
                "tags": {"Name": "safe-plan"},
            }
        },
        "aws:iam/role:Role": {
            "safe-role": {
                "name": "mlops-us-west-2-backups",
                "assumeRolePolicy": trust,
                "tags": {"Name": "safe-role"},
            },
            "safe-restore": {
                "name": "mlops-us-west-2-restore",
                "assumeRolePolicy": trust,
                "tags": {"Name": "safe-restore"},
            },
        },
        "aws:iam/rolePolicyAttachment:RolePolicyAttachment": {
            "safe-role": {
                "role": "mlops-us-west-2-backups",
                "policyArn": "arn:aws:iam::aws:policy/service-role/AWSBackupServiceRolePolicyForBackup",
            },
            "safe-restore": {
                "role": "mlops-us-west-2-restore",
                "policyArn": "arn:aws:iam::aws:policy/service-role/AWSBackupServiceRolePolicyForRestores",
            },
        },
        "aws:backup/selection:Selection": {
            "safe-selection": {
                "name": "mlops-stateful",
                "planId": "Plan safe-plan id",
                "iamRoleArn": "Role safe-role arn",
                "resources": ["file-system-arn", "database-arn"],
            }
        },
    }


def test_nothing_is_selected_before_the_role_may_back_it_up() -> None:
    """Guards against a first night whose jobs all fail."""
    assert {one.name: one.depends_on for one in backups().resources if one.depends_on} == {
        "safe-selection": {"RolePolicyAttachment safe-role"}
    }


@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize("protect", [True, False])
def test_exactly_the_vault_is_protected_and_all_is_in_its_region(region: str, protect: bool) -> None:
    """Guards against deleting every backup by mistake, and against a plan in another region than its resources."""
    run = backups(region, protect)
    assert {one.name for one in run.resources if one.protect} == ({"safe-vault"} if protect else set())
    assert {(one.parent, one.provider) for one in run.resources} == {("Backups safe", f"aws {region}")}
    component = [one for one in run.everything if one.type == "mlops:platform:Backups"]
    assert [one.parent for one in component] == [f"Region {region}"]
