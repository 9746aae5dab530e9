"""Daily backups of what cannot be made again, and their copies in the archive."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from configs.policies import trust
from configs.settings.model import RetentionSettings
from configs.tables.names import Names

SCHEDULE = "cron(0 9 * * ? *)"
"""Every day at 09:00 UTC: night on both coasts, and hours after the database's own windows by default (backup at
03:00, maintenance on Sunday at 05:00), in which RDS takes no snapshot."""

START_WINDOW_MINUTES = 60
"""AWS Backup starts a job within this time; it allows no less."""

BACKUP_DAYS = 35
"""Days that backups stay in the region: five weeks, as far as RDS itself goes back. The archive has what is older."""

BACKUP_POLICY = "arn:aws:iam::aws:policy/service-role/AWSBackupServiceRolePolicyForBackup"
"""What AWS Backup needs; AWS keeps it up to date."""

RESTORE_POLICY = "arn:aws:iam::aws:policy/service-role/AWSBackupServiceRolePolicyForRestores"
"""What it needs to restore, in whichever region; AWS keeps it up to date too."""


@dataclass(frozen=True)
class BackupsArgs:
    """What backups are made from; ``resources`` are the ARNs of what is backed up."""

    names: Names
    key_arn: pulumi.Input[str]
    archive_vault_arn: pulumi.Input[str]
    resources: Sequence[pulumi.Input[str]]
    retention: RetentionSettings
    protect: bool


class Backups(pulumi.ComponentResource):
    """A vault in the region and one plan: a backup a day, and a copy of each in the archive's locked vault."""

    def __init__(self, name: str, args: BackupsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Create vault and plan."""
        super().__init__("mlops:platform:Backups", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        vault = aws.backup.Vault(
            f"{name}-vault",
            name=args.names.regional("backups"),
            kms_key_arn=args.key_arn,
            force_destroy=not args.protect,
            tags={"Name": f"{name}-vault"},
            opts=pulumi.ResourceOptions(parent=self, protect=args.protect),
        )
        plan = aws.backup.Plan(
            f"{name}-plan",
            name=args.names.regional("backups"),
            rules=[
                aws.backup.PlanRuleArgs(
                    rule_name="daily",
                    target_vault_name=vault.name,
                    schedule=SCHEDULE,
                    start_window=START_WINDOW_MINUTES,
                    lifecycle=aws.backup.PlanRuleLifecycleArgs(delete_after=BACKUP_DAYS),
                    copy_actions=[
                        aws.backup.PlanRuleCopyActionArgs(
                            destination_vault_arn=args.archive_vault_arn,
                            lifecycle=aws.backup.PlanRuleCopyActionLifecycleArgs(
                                delete_after=args.retention.archive_days
                            ),
                        )
                    ],
                )
            ],
            tags={"Name": f"{name}-plan"},
            opts=child,
        )
        role, allowed = self._role(f"{name}-role", args.names.account_wide("backups"), BACKUP_POLICY)
        # Made before it is needed: when a region is lost, nothing can be changed in IAM.
        self._role(f"{name}-restore", args.names.account_wide("restore"), RESTORE_POLICY)
        aws.backup.Selection(
            f"{name}-selection",
            name=args.names.regional("stateful"),
            plan_id=plan.id,
            iam_role_arn=role.arn,
            resources=args.resources,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[allowed]),
        )
        self.register_outputs({})

    def _role(self, label: str, name: str, policy_arn: str) -> tuple[aws.iam.Role, aws.iam.RolePolicyAttachment]:
        """Return a role that AWS Backup may take, and what must be there before it can do anything."""
        child = pulumi.ResourceOptions(parent=self)
        role = aws.iam.Role(
            label,
            name=name,
            # Whoever starts a job must be allowed to pass the role: no other account can.
            assume_role_policy=trust("backup.amazonaws.com"),
            tags={"Name": label},
            opts=child,
        )
        return role, aws.iam.RolePolicyAttachment(label, role=role.name, policy_arn=policy_arn, opts=child)
