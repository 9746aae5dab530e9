"""What each role of machine may do: its own things and nothing else, as policy documents that never change by run.

Keys are named by their alias, not by their ARN: a key's id is AWS's to choose, and in the standby region the shared
key is a replica that another stack made. What cannot be narrowed carries its reason
(https://docs.aws.amazon.com/service-authorization/latest/reference/reference.html says what can).
"""

from __future__ import annotations

from configs.nodes import AGENT_KEY, SNAPSHOTS, bundle_key, report_key
from configs.policies import EVERYTHING, Statement, document
from configs.settings.model import AcmCertificates, SecretCertificates, Settings
from configs.tables.flows import Role
from configs.tables.metrics import NAMESPACE
from configs.tables.names import (
    BACKUPS_BUCKET,
    BUNDLES_BUCKET,
    IMAGES_INDEX_KEY,
    WORKERS,
    EncryptionKeyName,
    Names,
)


def node_policy(role: Role, names: Names, certificate_arn: str | None = None, file_system_arn: str = "") -> str:
    """Return the policy of a role of machine.

    Args:
        role: one of ``configs.tables.flows.NODES``.
        names: the names of the machine's region.
        certificate_arn: the public certificate that the account's owner keeps, see ``certificate_arn``; a load
            balancer reads it. If it is a secret under a key of the owner's own, that key must let this role use it.
        file_system_arn: the file system that workers mount.
    """
    statements = [*_every_node(role, names)]
    match role:
        case Role.CONTROL_PLANE:
            statements += _control_plane(names)
        case Role.WORKER:
            statements += _worker(names, file_system_arn)
        case _:
            statements += _certificate(certificate_arn)
    return document(*statements)


def certificate_arn(settings: Settings) -> str | None:
    """Return the ARN of the public certificate in the stack's region; None when the platform issues it itself."""
    match settings.certificates:
        case AcmCertificates() as given:
            return given.primary_certificate_arn if settings.is_primary else given.standby_certificate_arn
        case SecretCertificates() as given:
            return given.primary_secret_arn if settings.is_primary else given.standby_secret_arn
        case _:
            return None


def _every_node(role: Role, names: Names) -> list[Statement]:
    bundles, backups = names.bucket_arn(BUNDLES_BUCKET), names.bucket_arn(BACKUPS_BUCKET)
    return [
        Statement(
            "ReadOwnBundle",
            ["s3:GetObject"],
            [f"{bundles}/{bundle_key(f'{role}*')}", f"{bundles}/{AGENT_KEY}", f"{backups}/{IMAGES_INDEX_KEY}"],
        ),
        Statement("ReportOwnHealth", ["s3:PutObject"], [f"{bundles}/{report_key(f'{role}*')}"]),
        Statement("ReadOwnSecret", ["secretsmanager:GetSecretValue"], [names.secret_arn(role)]),
        # Bundles and reports lie under the region's key. S3 asks for a data key for each object that it writes.
        _keys("UseRegionsKey", names, EncryptionKeyName.REGION, "kms:Decrypt", "kms:GenerateDataKey"),
        # The secret and the list of images lie under the shared one.
        _keys("ReadWithSharedKey", names, EncryptionKeyName.SHARED, "kms:Decrypt"),
        Statement(
            "SignInToRegistry",
            ["ecr:GetAuthorizationToken"],
            [EVERYTHING],
            why="the token is for the whole registry; which images it opens is said by the next statement",
        ),
        Statement(
            "PullImages",
            ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
            [names.arn("ecr", f"repository/{names.repository('*')}")],
        ),
        Statement(
            "SessionManager",
            # What AmazonSSMManagedInstanceCore has for sessions alone, without parameters, inventory and patches
            # (https://docs.aws.amazon.com/systems-manager/latest/userguide/getting-started-create-iam-instance-profile.html).
            [
                "ssm:UpdateInstanceInformation",
                "ssmmessages:CreateControlChannel",
                "ssmmessages:CreateDataChannel",
                "ssmmessages:OpenControlChannel",
                "ssmmessages:OpenDataChannel",
                "ec2messages:AcknowledgeMessage",
                "ec2messages:DeleteMessage",
                "ec2messages:FailMessage",
                "ec2messages:GetEndpoint",
                "ec2messages:GetMessages",
                "ec2messages:SendReply",
            ],
            [EVERYTHING],
            why="the message channels know no resources: an instance opens its own, by its own credentials",
        ),
        Statement(
            "PublishMetrics",
            ["cloudwatch:PutMetricData"],
            [EVERYTHING],
            condition={"StringEquals": {"cloudwatch:namespace": NAMESPACE}},
            why="metrics are no resources: the condition narrows it to the platform's namespace",
        ),
    ]


def _keys(sid: str, names: Names, key: EncryptionKeyName, *actions: str) -> Statement:
    # https://docs.aws.amazon.com/kms/latest/developerguide/conditions-kms.html#conditions-kms-resource-aliases
    aliases = {"ForAnyValue:StringEquals": {"kms:ResourceAliases": names.key_alias(key)}}
    return Statement(sid, actions, [names.arn("kms", "key/*")], condition=aliases)


def _workers_arn(names: Names) -> str:
    group = f"autoScalingGroup:*:autoScalingGroupName/{names.regional(WORKERS)}"
    return names.arn("autoscaling", group)


def _control_plane(names: Names) -> list[Statement]:
    bundles, backups = names.bucket_arn(BUNDLES_BUCKET), names.bucket_arn(BACKUPS_BUCKET)
    return [
        # The calls of Nomad's autoscaler, plugins/builtin/target/aws-asg/plugin in its source.
        Statement(
            "ScaleWorkers",
            [
                "autoscaling:CreateOrUpdateTags",
                "autoscaling:TerminateInstanceInAutoScalingGroup",
                "autoscaling:UpdateAutoScalingGroup",
            ],
            [_workers_arn(names)],
        ),
        Statement(
            "WatchWorkers",
            [
                "autoscaling:DescribeAutoScalingGroups",
                "autoscaling:DescribeInstanceRefreshes",
                "autoscaling:DescribeScalingActivities",
            ],
            [EVERYTHING],
            why="Auto Scaling's Describe calls know no resources",
        ),
        Statement("KeepSnapshots", ["s3:PutObject"], [f"{backups}/{SNAPSHOTS}/{names.region}/*"]),
        # The other region's too: after a failover its last snapshot is what there is to restore.
        Statement("RestoreSnapshots", ["s3:GetObject"], [f"{backups}/{SNAPSHOTS}/*"]),
        Statement(
            "ListSnapshots",
            ["s3:ListBucket"],
            [backups],
            condition={"StringLike": {"s3:prefix": f"{SNAPSHOTS}/*"}},
        ),
        _keys("WriteSnapshots", names, EncryptionKeyName.SHARED, "kms:GenerateDataKey"),
        # Taken by a conditional write, which needs no right of its own; given back by deleting it.
        Statement("TakeTurns", ["s3:DeleteObject", "s3:GetObject", "s3:PutObject"], [f"{bundles}/locks/*"]),
    ]


def _worker(names: Names, file_system_arn: str) -> list[Statement]:
    return [
        # A worker that is to go says when it has drained, or that it needs longer.
        Statement(
            "EndOwnDrain",
            ["autoscaling:CompleteLifecycleAction", "autoscaling:RecordLifecycleActionHeartbeat"],
            [_workers_arn(names)],
        ),
        Statement(
            "MountMlData",
            [
                "elasticfilesystem:ClientMount",
                "elasticfilesystem:ClientWrite",
                # A new file system belongs to root: without this nobody could make the first folder.
                "elasticfilesystem:ClientRootAccess",
            ],
            [file_system_arn],
        ),
    ]


def _certificate(arn: str | None) -> list[Statement]:
    if arn is None:
        return []
    action = "acm:ExportCertificate" if arn.startswith("arn:aws:acm:") else "secretsmanager:GetSecretValue"
    return [Statement("ReadPublicCertificate", [action], [arn])]
