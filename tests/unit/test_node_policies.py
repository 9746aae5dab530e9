"""What nodes may do: every action has a reason here, and nobody reads what is another role's."""

import json
from collections.abc import Iterator
from fnmatch import fnmatchcase
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from configs.node_policies import certificate_arn, node_policy
from configs.nodes import AGENT_KEY, NodeRole, bundle_key, nodes, report_key, snapshot_key
from configs.tables.flows import NODES, Role
from configs.tables.metrics import NAMESPACE
from configs.tables.names import BACKUPS_BUCKET, BUNDLES_BUCKET, IMAGES_INDEX_KEY, Names
from offline.checks.policies import ROLE_POLICY_CHARACTERS
from tests.unit.mocks import REGIONS, stack_settings

ACCOUNT = "123456789012"
FILE_SYSTEM = f"arn:aws:elasticfilesystem:us-west-2:{ACCOUNT}:file-system/fs-1"
CERTIFICATE = f"arn:aws:acm:us-west-2:{ACCOUNT}:certificate/1"
OWN_SECRET = f"arn:aws:secretsmanager:us-west-2:{ACCOUNT}:secret:own-abcdef"

REASONS = {
    "s3:GetObject": "its bundle, the agent, the list of images",
    "s3:PutObject": "its report",
    "secretsmanager:GetSecretValue": "its secret",
    "kms:Decrypt": "bundle, secret and list are encrypted",
    "kms:GenerateDataKey": "the report is encrypted",
    "ecr:GetAuthorizationToken": "signing in to the registry",
    "ecr:BatchCheckLayerAvailability": "pulling an image",
    "ecr:BatchGetImage": "pulling an image",
    "ecr:GetDownloadUrlForLayer": "pulling an image",
    "ssm:UpdateInstanceInformation": "sessions: being known to Systems Manager",
    "ssmmessages:CreateControlChannel": "sessions",
    "ssmmessages:CreateDataChannel": "sessions",
    "ssmmessages:OpenControlChannel": "sessions",
    "ssmmessages:OpenDataChannel": "sessions",
    "ec2messages:AcknowledgeMessage": "sessions, by older agents",
    "ec2messages:DeleteMessage": "sessions, by older agents",
    "ec2messages:FailMessage": "sessions, by older agents",
    "ec2messages:GetEndpoint": "sessions, by older agents",
    "ec2messages:GetMessages": "sessions, by older agents",
    "ec2messages:SendReply": "sessions, by older agents",
    "cloudwatch:PutMetricData": "days until certificates end",
}
"""What every node may do, and why."""

OWN_REASONS = {
    Role.CONTROL_PLANE: {
        "autoscaling:CreateOrUpdateTags": "the autoscaler notes what it did",
        "autoscaling:TerminateInstanceInAutoScalingGroup": "the autoscaler takes a drained worker away",
        "autoscaling:UpdateAutoScalingGroup": "the autoscaler adds workers",
        "autoscaling:DescribeAutoScalingGroups": "the autoscaler counts workers",
        "autoscaling:DescribeInstanceRefreshes": "the autoscaler waits while workers are renewed",
        "autoscaling:DescribeScalingActivities": "the autoscaler waits for what it began",
        "s3:ListBucket": "finding the newest snapshot",
        "s3:DeleteObject": "giving the lock back",
    },
    Role.WORKER: {
        "autoscaling:CompleteLifecycleAction": "a worker has drained",
        "autoscaling:RecordLifecycleActionHeartbeat": "a worker needs longer",
        "elasticfilesystem:ClientMount": "the shared file system",
        "elasticfilesystem:ClientWrite": "the shared file system",
        "elasticfilesystem:ClientRootAccess": "making the first folder in it",
    },
    Role.LOAD_BALANCER: {},
}


def statements(role: Role, region: str = "us-west-2", certificate: str | None = None) -> list[dict[str, Any]]:
    text = node_policy(role, Names("mlops", ACCOUNT, region), certificate, FILE_SYSTEM)
    return json.loads(text)["Statement"]


def granted(role: Role, action: str, certificate: str | None = None) -> Iterator[str]:
    """The resources on which a role may do something."""
    for statement in statements(role, certificate=certificate):
        if action in statement["Action"]:
            yield from statement["Resource"]


def allows(role: Role, action: str, arn: str) -> bool:
    return any(fnmatchcase(arn, pattern) for pattern in granted(role, action))


@pytest.mark.parametrize("role", NODES)
def test_every_action_has_a_reason(role: Role) -> None:
    """Guards against a right that nobody needs, and one that was taken away without noticing."""
    actions = {action for statement in statements(role) for action in statement["Action"]}
    assert actions == REASONS.keys() | OWN_REASONS[role].keys()


@pytest.mark.parametrize(("role", "region"), list(product(NODES, REGIONS)))
def test_resources_are_exactly_the_plan(role: Role, region: str) -> None:
    """Guards against a right on more than the node's own things, in its own region."""
    bundles, backups = (f"arn:aws:s3:::mlops-{ACCOUNT}-{region}-{purpose}" for purpose in ("bundles", "backups"))
    group = f"arn:aws:autoscaling:{region}:{ACCOUNT}:autoScalingGroup:*:autoScalingGroupName/mlops-workers"
    keys = f"arn:aws:kms:{region}:{ACCOUNT}:key/*"
    own = {
        Role.CONTROL_PLANE: {
            "ScaleWorkers": [group],
            "WatchWorkers": ["*"],
            "KeepSnapshots": [f"{backups}/snapshots/{region}/*"],
            "RestoreSnapshots": [f"{backups}/snapshots/*"],
            "ListSnapshots": [backups],
            "WriteSnapshots": [keys],
            "TakeTurns": [f"{bundles}/locks/*"],
        },
        Role.WORKER: {"EndOwnDrain": [group], "MountMlData": [FILE_SYSTEM]},
        Role.LOAD_BALANCER: {},
    }
    assert {statement["Sid"]: statement["Resource"] for statement in statements(role, region)} == {
        "ReadOwnBundle": sorted(
            [f"{bundles}/bundles/{role}*.json", f"{bundles}/boot-agent/agent.py", f"{backups}/images/index.json"]
        ),
        "ReportOwnHealth": [f"{bundles}/reports/{role}*.json"],
        "ReadOwnSecret": [f"arn:aws:secretsmanager:{region}:{ACCOUNT}:secret:mlops/{role}-??????"],
        "UseRegionsKey": [keys],
        "ReadWithSharedKey": [keys],
        "SignInToRegistry": ["*"],
        "PullImages": [f"arn:aws:ecr:{region}:{ACCOUNT}:repository/mlops/*"],
        "SessionManager": ["*"],
        "PublishMetrics": ["*"],
        **own[role],
    }


@pytest.mark.parametrize("role", NODES)
def test_conditions_are_exactly_the_plan(role: Role) -> None:
    """Guards against a right on every key of the account, every metric, and the names of all objects."""
    region, shared = (
        {"ForAnyValue:StringEquals": {"kms:ResourceAliases": f"alias/mlops-{name}"}} for name in ("region", "shared")
    )
    snapshots = {"StringLike": {"s3:prefix": "snapshots/*"}}
    control_plane = {"ListSnapshots": snapshots, "WriteSnapshots": shared}
    assert {one["Sid"]: one["Condition"] for one in statements(role) if "Condition" in one} == {
        "UseRegionsKey": region,
        "ReadWithSharedKey": shared,
        "PublishMetrics": {"StringEquals": {"cloudwatch:namespace": NAMESPACE}},
        **(control_plane if role is Role.CONTROL_PLANE else {}),
    }


NAMES = Names("mlops", ACCOUNT, "us-west-2")


@pytest.mark.parametrize(("reader", "owner"), list(product(NODES, NODES)))
def test_nobody_reads_what_is_anothers(reader: Role, owner: Role) -> None:
    """Guards against a worker, on which anyone's job runs, that reads the tokens of the servers."""
    bundles = NAMES.bucket_arn(BUNDLES_BUCKET)
    settings = stack_settings("dr", controlPlane={"serverCount": 5})
    secret = NAMES.secret_arn(owner).replace("??????", "a1B2c3")
    assert allows(reader, "secretsmanager:GetSecretValue", secret) is (reader is owner)
    named = [node.name for node in nodes(settings) if node.role.group is owner]
    assert named
    for name in named:
        assert allows(reader, "s3:GetObject", f"{bundles}/{bundle_key(name)}") is (reader is owner)
        assert allows(reader, "s3:PutObject", f"{bundles}/{report_key(name)}") is (reader is owner)
        assert not allows(reader, "s3:PutObject", f"{bundles}/{bundle_key(name)}")
    assert allows(reader, "s3:GetObject", f"{bundles}/{AGENT_KEY}")
    assert allows(reader, "s3:GetObject", f"{NAMES.bucket_arn(BACKUPS_BUCKET)}/{IMAGES_INDEX_KEY}")
    assert not allows(reader, "s3:PutObject", f"{bundles}/{AGENT_KEY}")


@pytest.mark.parametrize("role", NODES)
def test_servers_alone_keep_snapshots(role: Role) -> None:
    """Guards against a server whose snapshot S3 refuses, and a worker that reads the tokens in one, or writes one."""
    backups, server = NAMES.bucket_arn(BACKUPS_BUCKET), role is Role.CONTROL_PLANE
    for service in ("consul", "nomad"):
        own, other = (f"{backups}/{snapshot_key(region, service)}" for region in ("us-west-2", "us-east-1"))
        assert (allows(role, "s3:PutObject", own), allows(role, "s3:PutObject", other)) == (server, False)
        assert (allows(role, "s3:GetObject", own), allows(role, "s3:GetObject", other)) == (server, server)


@given(st.sampled_from(NODES), st.text("abc-/", max_size=12), st.sampled_from(list(NodeRole)))
def test_no_name_leads_into_anothers_bundles(reader: Role, rest: str, owner: NodeRole) -> None:
    """Guards against a pattern that fits more than the roles there are."""
    arn = f"{NAMES.bucket_arn(BUNDLES_BUCKET)}/{bundle_key(f'{owner}{rest}')}"
    assert allows(reader, "s3:GetObject", arn) is (owner.group is reader)


@pytest.mark.parametrize(
    ("arn", "action"), [(CERTIFICATE, "acm:ExportCertificate"), (OWN_SECRET, "secretsmanager:GetSecretValue")]
)
def test_a_certificate_of_the_owners_is_the_load_balancers_alone(arn: str, action: str) -> None:
    """Guards against a load balancer that cannot serve, and others that read the key of the public names."""
    readers = [role for role in NODES if arn in granted(role, action, certificate=arn)]
    assert readers == [Role.LOAD_BALANCER]


def arns(kind: str, noun: str) -> dict[str, str]:
    return {f"primary{noun}Arn": f"{kind}1", f"standby{noun}Arn": f"{kind}2"}


@pytest.mark.parametrize(
    ("stack", "role", "number"),
    [
        ("prod", "primary", "1"),
        ("prod", "returning", "1"),
        ("dr", "standby", "2"),
        ("dr", "active", "2"),
        ("dr", "leaving", "2"),
    ],
)
def test_the_certificate_is_the_regions(stack: str, role: str, number: str) -> None:
    """Guards against a region that depends on the other, whatever the failover made of either."""
    # The role returning asks for it, the others allow it.
    returned = {"primaryGeneration": 2}
    assert certificate_arn(stack_settings(stack, role=role, database=returned)) is None
    acm = CERTIFICATE.removesuffix("1")
    brought = {"mode": "acm", **arns(acm, "Certificate")}
    # The role returning asks for it, the others allow it.
    returned = {"primaryGeneration": 2}
    assert (
        certificate_arn(stack_settings(stack, role=role, database=returned, certificates=brought)) == f"{acm}{number}"
    )
    own = f"{OWN_SECRET}-"
    brought = {"mode": "secret", **arns(own, "Secret")}
    # The role returning asks for it, the others allow it.
    returned = {"primaryGeneration": 2}
    assert (
        certificate_arn(stack_settings(stack, role=role, database=returned, certificates=brought)) == f"{own}{number}"
    )


@pytest.mark.parametrize("role", NODES)
def test_fits_into_a_role(role: Role) -> None:
    """Guards against a policy that IAM refuses for its size, with the longest names there may be."""
    names = Names("abcdefghijkl", ACCOUNT, "ap-southeast-1")
    assert len(node_policy(role, names, CERTIFICATE, FILE_SYSTEM)) < ROLE_POLICY_CHARACTERS / 2
