"""Look-ups in the offline cloud: what is found, what is made up for a preview, and what is refused."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pulumi_aws as aws
import pytest
from pulumi._types import output_type_types

from engine.tokens import FILE_SYSTEM
from offline.cloud import Cloud, Resource
from offline.lookups import NoAnswer, Question, answered

TOKEN, ACCOUNT = "aws:efs/getFileSystem:getFileSystem", "123456789012"
BY_TOKEN = {"creationToken": "mlops-ml-data"}
EXISTS = Resource(
    FILE_SYSTEM,
    "fs-1",
    "urn",
    "us-west-2",
    {
        "creationToken": "mlops-ml-data",
        "encrypted": True,
        "kmsKeyId": "key",
        "throughputMode": "elastic",
        "tags": {"Name": "it"},
        "protection": {"replicationOverwrite": "DISABLED"},
    },
    {"arn": "the arn", "dnsName": "fs-1.efs", "performanceMode": "generalPurpose"},
)


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    """A cloud with one file system."""
    opened = Cloud(tmp_path / "cloud.sqlite")
    opened.put(EXISTS)
    yield opened
    opened.close()


def ask(
    cloud: Cloud, asked: dict[str, str], region: str = "us-west-2", preview: bool = False, token: str = TOKEN
) -> Any:
    return answered(token, Question(asked, region, ACCOUNT, preview), cloud)


@pytest.mark.parametrize(
    "asked",
    [
        {"creationToken": "mlops-ml-data"},
        {"fileSystemId": "fs-1"},
        {"creationToken": "mlops-ml-data", "fileSystemId": "fs-1"},
    ],
)
@pytest.mark.parametrize("preview", [True, False])
def test_what_exists_is_found(cloud: Cloud, asked: dict[str, str], preview: bool) -> None:
    """Guards against a standby that mounts something made up although the replica is there."""
    assert ask(cloud, asked, preview=preview) == {
        "id": "fs-1",
        "fileSystemId": "fs-1",
        "arn": "the arn",
        "creationToken": "mlops-ml-data",
        "dnsName": "fs-1.efs",
        "encrypted": True,
        "kmsKeyId": "key",
        "lifecyclePolicies": [],
        "name": "it",
        "performanceMode": "generalPurpose",
        "protections": [{"replicationOverwrite": "DISABLED"}],
        "region": "us-west-2",
        "sizeInBytes": 0,
        "tags": {"Name": "it"},
        "throughputMode": "elastic",
    }


def test_answers_have_the_names_that_the_sdk_reads(cloud: Cloud) -> None:
    """Guards against an answer that the program cannot see, because the SDK calls it otherwise."""
    answer = ask(cloud, BY_TOKEN)
    assert answer.keys() <= output_type_types(aws.efs.GetFileSystemResult).keys() | {"id"}


@pytest.mark.parametrize(
    ("region", "asked", "described"),
    [
        ("us-west-2", {"creationToken": "other"}, "creationToken other in us-west-2"),
        ("us-east-1", {"creationToken": "mlops-ml-data"}, "creationToken mlops-ml-data in us-east-1"),
        ("us-west-2", {"creationToken": "mlops-ml-data", "fileSystemId": "fs-2"}, "mlops-ml-data and id fs-2"),
    ],
)
def test_what_does_not_exist_is_refused(cloud: Cloud, region: str, asked: dict[str, str], described: str) -> None:
    """Guards against a deployment onto a file system that is not there, or in another region."""
    with pytest.raises(NoAnswer, match=f"{described}.*: deploy the primary stack first"):
        ask(cloud, asked, region)


def test_a_preview_makes_it_up_once(cloud: Cloud) -> None:
    """Guards against a standby that cannot be previewed before its primary, and references that do not hold."""
    first = ask(cloud, BY_TOKEN, "us-east-1", preview=True)
    assert first == ask(cloud, BY_TOKEN, "us-east-1", preview=True)
    made_up = cloud.find(FILE_SYSTEM, value=first["fileSystemId"], region="us-east-1")
    assert made_up is not None
    assert first["arn"] == f"arn:aws:elasticfilesystem:us-east-1:{ACCOUNT}:file-system/{made_up.id}"
    assert ask(cloud, BY_TOKEN, "us-west-1", preview=True)["id"] != made_up.id


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ({}, "one of them is needed"),
        ({"fileSystemId": "fs-2"}, "no file system with id fs-2"),
        ({"creationToken": "mlops-ml-data", "region": "us-west-2"}, "region: never set"),
    ],
)
def test_a_preview_makes_up_nothing_else(cloud: Cloud, asked: dict[str, str], reason: str) -> None:
    """Guards against a look-up that nobody has allowed, and an answer for what cannot be known."""
    with pytest.raises(NoAnswer, match=reason):
        ask(cloud, asked, preview=True)


def test_other_look_ups_are_refused(cloud: Cloud) -> None:
    """Guards against a property that depends on what AWS answers that day."""
    with pytest.raises(NoAnswer, match="look-ups are not answered offline"):
        ask(cloud, BY_TOKEN, preview=True, token="aws:ec2/getAmi:getAmi")
