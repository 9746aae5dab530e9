"""A file system, as EFS has it: its id, and how it is replicated."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from ops.aws import Region, asked
from ops.problems import Unknown

if TYPE_CHECKING:
    from mypy_boto3_efs.type_defs import ReplicationConfigurationDescriptionTypeDef

_NOT_REPLICATED = "ReplicationNotFound"


class ReplicationRole(StrEnum):
    """Which end of its replication a file system is."""

    SOURCE = "source"
    DESTINATION = "destination"
    """Read-only while the replication is there."""


@dataclass(frozen=True)
class Replication:
    """A replication that a file system is part of.

    ``status`` is EFS's own word, ENABLED when all is well. What was written to the source before ``last_replicated``
    is in the destination; None: EFS does not say, as before the first copy is done. ``source`` is the id of the file
    system that is copied.
    """

    status: str
    last_replicated: datetime | None
    role: ReplicationRole
    source: str


class FileSystem:
    """One file system of a region, found by the token that it was created with."""

    def __init__(self, region: Region, creation_token: str) -> None:
        """Ask nothing yet."""
        self._region = region
        self._creation_token = creation_token

    def identity(self) -> str:
        """Return the file system's id.

        Raises:
            Unknown: EFS did not answer, or refused, or there is no such file system.
        """
        with asked(f"the id of the file system {self._creation_token} in {self._region.name}"):
            found = self._region.efs.describe_file_systems(CreationToken=self._creation_token)["FileSystems"]
        if not found:
            raise Unknown(f"There is no file system {self._creation_token} in {self._region.name}.")
        return found[0]["FileSystemId"]

    def replication(self) -> Replication | None:
        """Return how the file system is replicated, as this region knows it; None when it is not.

        Raises:
            Unknown: EFS did not answer, or refused, or there is no such file system.
        """
        identity = self.identity()
        with asked(f"the replication of the file system {self._creation_token} in {self._region.name}"):
            try:
                found = self._region.efs.describe_replication_configurations(FileSystemId=identity)["Replications"]
            except ClientError as error:
                if error.response.get("Error", {}).get("Code") != _NOT_REPLICATED:
                    raise
                found = []
        return _replication(identity, found)

    def stop_replicating(self, *, everywhere: bool = False) -> None:
        """Ask EFS to end the replication; without one nothing happens.

        Until EFS is done, the replication is there with another status, and a destination is read-only
        (https://docs.aws.amazon.com/efs/latest/ug/API_DeleteReplicationConfiguration.html).

        Args:
            everywhere: at both ends, which both must answer for. Otherwise in this region alone: the other one is not
                asked, and learns nothing: it may be dark.

        Raises:
            Unknown: EFS did not answer, or refused: the replication may be there or not.
        """
        replication = self.replication()
        if replication is None:
            return
        with asked(f"ending the replication of the file system {self._creation_token} in {self._region.name}"):
            try:
                self._region.efs.delete_replication_configuration(
                    SourceFileSystemId=replication.source,
                    DeletionMode="ALL_CONFIGURATIONS" if everywhere else "LOCAL_CONFIGURATION_ONLY",
                )
            except ClientError as error:
                if error.response.get("Error", {}).get("Code") != _NOT_REPLICATED:
                    raise


def _replication(identity: str, found: Iterable[ReplicationConfigurationDescriptionTypeDef]) -> Replication | None:
    # A file system has one replication at most, and a replication one destination
    # (https://docs.aws.amazon.com/efs/latest/ug/efs-replication.html).
    for replication in found:
        for destination in replication["Destinations"]:
            source = replication["SourceFileSystemId"]
            return Replication(
                status=destination["Status"],
                last_replicated=destination.get("LastReplicatedTimestamp"),
                role=ReplicationRole.SOURCE if identity == source else ReplicationRole.DESTINATION,
                source=source,
            )
    return None
