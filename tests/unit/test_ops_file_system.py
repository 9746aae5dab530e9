"""A file system: moto's EFS, and for its replication, which moto has not, what EFS answers."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from moto import mock_aws
from moto.core.responses import BaseResponse
from moto.efs.responses import EFSResponse

from ops.aws import Region
from ops.file_system import FileSystem, Replication, ReplicationRole
from ops.problems import Unknown

TOKEN = "mlops-ml-data"
SYNCED = datetime(2026, 11, 24, 12, tzinfo=UTC)
PATH = "/2015-02-01/file-systems"

Answer = tuple[str, dict[str, str | int]]


class Replications:
    """Stands for EFS's replications in one region, on the wire."""

    def __init__(self) -> None:
        self.found: list[dict[str, Any]] = []
        self.asked: list[str] = []
        self.deletion: Answer | None = None

    def add(self, source: str, destination: str, **changes: Any) -> None:
        target = {
            "Status": "ENABLED",
            "FileSystemId": destination,
            "Region": "us-west-2",
            "LastReplicatedTimestamp": SYNCED.timestamp(),
        }
        self.found.append(
            {
                "SourceFileSystemId": source,
                "SourceFileSystemRegion": "us-east-1",
                "SourceFileSystemArn": f"arn:aws:elasticfilesystem:us-east-1:123456789012:file-system/{source}",
                "OriginalSourceFileSystemArn": "",
                "CreationTime": SYNCED.timestamp(),
                "Destinations": [{key: value for key, value in (target | changes).items() if value is not None}],
            }
        )

    def describe(self, request: BaseResponse) -> Answer:
        self.note(request)
        return answer(200, {"Replications": self.found}) if self.found else refusal(404, "ReplicationNotFound")

    def delete(self, request: BaseResponse) -> Answer:
        self.note(request)
        if self.deletion is not None:
            return self.deletion
        self.found = []
        return answer(204, {})

    def note(self, request: BaseResponse) -> None:
        url = urlsplit(request.uri)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        self.asked.append(f"{request.method} {url.path} {query}")


def answer(status: int, content: dict[str, Any], **headers: str) -> Answer:
    return json.dumps(content), {"status": status, **headers}


def refusal(status: int, code: str) -> Answer:
    return answer(status, {"ErrorCode": code, "Message": "so it is"}, **{"x-amzn-errortype": code})


@pytest.fixture
def region() -> Iterator[Region]:
    with mock_aws():
        yield Region("us-west-2")


@pytest.fixture
def replications(monkeypatch: pytest.MonkeyPatch) -> Replications:
    stand_in = Replications()

    def describe(request: BaseResponse) -> Answer:
        return stand_in.describe(request)

    def delete(request: BaseResponse) -> Answer:
        return stand_in.delete(request)

    # moto looks for a function of the class by the name of what is asked.
    monkeypatch.setattr(EFSResponse, "describe_replication_configurations", describe, raising=False)
    monkeypatch.setattr(EFSResponse, "delete_replication_configuration", delete, raising=False)
    return stand_in


def make(region: Region, token: str = TOKEN) -> str:
    return region.efs.create_file_system(CreationToken=token)["FileSystemId"]


def test_a_file_system_is_found_by_its_token(region: Region) -> None:
    """Another file system of the account, whose replication the failover would then end."""
    other, identity = make(region, "another"), make(region)
    assert FileSystem(region, TOKEN).identity() == identity != other


def test_a_missing_file_system_is_unknown(region: Region, replications: Replications) -> None:
    """A wrong name taken for a file system that is not replicated any more."""
    system = FileSystem(region, TOKEN)
    for question in (system.identity, system.replication, system.stop_replicating):
        with pytest.raises(Unknown) as unknown:
            question()
        assert str(unknown.value) == "There is no file system mlops-ml-data in us-west-2."
    assert replications.asked == []


def test_both_ends_of_a_replication_are_told_apart(region: Region, replications: Replications) -> None:
    """A failback that takes the source, which is written to, for the copy."""
    identity = make(region)
    replications.add("fs-source", identity)
    system = FileSystem(region, TOKEN)
    assert system.replication() == Replication("ENABLED", SYNCED, ReplicationRole.DESTINATION, "fs-source")
    replications.found = []
    replications.add(identity, "fs-copy", Status="ENABLING", LastReplicatedTimestamp=None)
    assert system.replication() == Replication("ENABLING", None, ReplicationRole.SOURCE, identity)
    assert replications.asked == [f"GET {PATH}/replication-configurations {{'FileSystemId': '{identity}'}}"] * 2


def test_a_replication_is_ended_here_alone(region: Region, replications: Replications) -> None:
    """A deletion that waits for the region that is dark, or that names the copy instead of its source."""
    identity = make(region)
    replications.add("fs-source", identity)
    system = FileSystem(region, TOKEN)
    system.stop_replicating()
    assert replications.asked[1:] == [
        f"DELETE {PATH}/fs-source/replication-configuration {{'deletionMode': 'LOCAL_CONFIGURATION_ONLY'}}"
    ]
    assert system.replication() is None
    system.stop_replicating()
    assert [question.partition(" ")[0] for question in replications.asked] == ["GET", "DELETE", "GET", "GET"]


def test_a_replication_may_end_while_it_is_ended(region: Region, replications: Replications) -> None:
    """A second run that fails because the first one's deletion has just taken effect."""
    replications.add("fs-source", make(region))
    replications.deletion = refusal(404, "ReplicationNotFound")
    FileSystem(region, TOKEN).stop_replicating()


def test_a_refused_deletion_is_unknown(region: Region, replications: Replications) -> None:
    """A copy that stays read-only while the failover goes on."""
    replications.add("fs-source", make(region))
    replications.deletion = refusal(403, "AccessDeniedException")
    with pytest.raises(Unknown, match=r"^ending the replication of the file system mlops-ml-data .*AccessDenied"):
        FileSystem(region, TOKEN).stop_replicating()
