"""Policy documents: the same bytes every time, and no wildcard without a reason."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from configs.policies import Statement, document, trust


@given(st.permutations(["s3:GetObject", "s3:PutObject", "kms:Decrypt"]))
def test_order_never_shows(actions: list[str]) -> None:
    """Guards against a policy that differs in every preview because a set was listed in another order."""
    assert document(Statement("Use", actions, ["b", "a"])) == document(
        Statement("Use", ["kms:Decrypt", "s3:GetObject", "s3:PutObject"], ["a", "b"])
    )


def test_a_document_is_what_iam_reads() -> None:
    """Guards against a statement that IAM refuses, or reads as something else."""
    statement = Statement(
        "OnlyOverTls",
        ["s3:*"],
        ["arn:aws:s3:::one", "arn:aws:s3:::one/*"],
        condition={"Bool": {"aws:SecureTransport": "false"}},
        principal="*",
        deny=True,
    )
    assert json.loads(document(statement)) == {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "OnlyOverTls",
                "Effect": "Deny",
                "Principal": "*",
                "Action": ["s3:*"],
                "Resource": ["arn:aws:s3:::one", "arn:aws:s3:::one/*"],
                "Condition": {"Bool": {"aws:SecureTransport": "false"}},
            }
        ],
    }


def test_everything_needs_a_reason() -> None:
    """Guards against a role that may do something to everything because nobody thought about it."""
    with pytest.raises(ValueError, match="Login: a resource \\* of a role needs a reason"):
        Statement("Login", ["ecr:GetAuthorizationToken"], ["*"])
    with pytest.raises(ValueError, match="Login"):
        Statement("Login", ["ecr:GetAuthorizationToken"], ["arn:one"], why="a token has no resource")
    assert Statement("Login", ["ecr:GetAuthorizationToken"], ["*"], why="a token has no resource")
    # The policy of a resource speaks of that resource.
    assert Statement("Owner", ["kms:*"], ["*"], principal={"AWS": "arn:aws:iam::123456789012:root"})


def test_the_reason_is_not_in_the_document() -> None:
    """Guards against a document that IAM refuses for an unknown element."""
    told = Statement("Login", ["ecr:GetAuthorizationToken"], ["*"], why="a token has no resource")
    assert json.loads(document(told))["Statement"][0].keys() == {"Sid", "Effect", "Action", "Resource"}


def test_trust_is_in_a_service() -> None:
    """Guards against a role that a service would assume for a stranger."""
    assert json.loads(trust("backup.amazonaws.com", "123456789012"))["Statement"] == [
        {
            "Sid": "Assume",
            "Effect": "Allow",
            "Principal": {"Service": "backup.amazonaws.com"},
            "Action": ["sts:AssumeRole"],
            "Condition": {"StringEquals": {"aws:SourceAccount": "123456789012"}},
        }
    ]
    assert "Condition" not in trust("ec2.amazonaws.com")
