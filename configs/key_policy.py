"""Who may use the platform's encryption keys: the policy of every key, and of every replica in its own region."""

from __future__ import annotations

from configs.policies import Statement, document
from configs.tables.names import Names

_THIS_KEY = ("*",)
"""In the policy of a key, "*" is that key
(https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-overview.html)."""

_WHOLE_OBJECTS = ("kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*")
"""What a service does that keeps objects of ours encrypted."""


def key_policy(names: Names) -> str:
    """Return the policy of an encryption key in the region of ``names``.

    The account owns the key, so that IAM policies decide who uses it
    (https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-default.html). Secrets Manager, RDS, EFS, S3,
    ECR, AWS Backup and SNS use it by the rights of who calls them. Three services act on their own and are named:

    EC2, for volumes, in the form that AWS gives its own key aws/ebs: for every principal of this account who may use
    EC2, and through EC2 only (https://docs.aws.amazon.com/kms/latest/developerguide/conditions-kms.html,
    kms:CallerAccount and kms:ViaService). Auto Scaling's service-linked role is one of them; a policy that named
    it would be refused in an account that has never used Auto Scaling, because the role does not exist there yet
    (https://docs.aws.amazon.com/autoscaling/ec2/userguide/key-policy-requirements-EBS-encryption.html).

    CloudWatch Logs, for log groups of this account
    (https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/encrypt-log-data-kms.html).

    CloudWatch, for alarms of this account that publish to an encrypted topic
    (https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html#compatibility-with-aws-services).
    """
    return document(
        Statement("Owner", ["kms:*"], _THIS_KEY, principal={"AWS": f"arn:aws:iam::{names.account}:root"}),
        Statement(
            "Volumes",
            [*_WHOLE_OBJECTS, "kms:CreateGrant", "kms:DescribeKey"],
            _THIS_KEY,
            principal={"AWS": "*"},
            condition={
                "StringEquals": {
                    "kms:CallerAccount": names.account,
                    "kms:ViaService": f"ec2.{names.region}.amazonaws.com",
                }
            },
        ),
        Statement(
            "Logs",
            [*_WHOLE_OBJECTS, "kms:Describe*"],
            _THIS_KEY,
            principal={"Service": f"logs.{names.region}.amazonaws.com"},
            condition={"ArnLike": {"kms:EncryptionContext:aws:logs:arn": names.arn("logs", "log-group:*")}},
        ),
        Statement(
            "Alarms",
            ["kms:Decrypt", "kms:GenerateDataKey*"],
            _THIS_KEY,
            principal={"Service": "cloudwatch.amazonaws.com"},
            condition={"StringEquals": {"aws:SourceAccount": names.account}},
        ),
    )


DELETION_DAYS = 30
"""Days in which the deletion of a key can be taken back; KMS allows no more. What is encrypted goes with its key."""
