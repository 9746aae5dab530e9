"""Replications of file systems between regions: the part of EFS's API that moto lacks.

https://docs.aws.amazon.com/efs/latest/ug/API_DescribeReplicationConfigurations.html,
https://docs.aws.amazon.com/efs/latest/ug/API_DeleteReplicationConfiguration.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from engine.tokens import FILE_SYSTEM, FILE_SYSTEM_REPLICATION
from lab.calls import ApiCall, ApiRequest
from offline.cloud import Cloud, Resource

Answer = tuple[int, bytes, dict[str, str]]
"""Status, body and headers."""

SYNCHRONISED_AGO = timedelta(minutes=5)
"""How long ago the last synchronisation ended, unless a test says when: AWS keeps it under 15 minutes
(https://docs.aws.amazon.com/efs/latest/ug/efs-replication.html)."""

_FILE_SYSTEMS = "/2015-02-01/file-systems/"
_DESCRIBE = f"{_FILE_SYSTEMS}replication-configurations"
_ONE = re.compile(re.escape(_FILE_SYSTEMS) + r"(?P<source>[^/]+)/replication-configuration")


@dataclass
class Replication:
    """One replication, and in which regions its configuration is still there: both, or after a local deletion one."""

    source: str
    source_region: str
    destination: str
    destination_region: str
    resource: Resource
    created: datetime
    sides: set[str] = field(init=False)

    def __post_init__(self) -> None:
        """Begin with both sides."""
        self.sides = {self.source_region, self.destination_region}

    @property
    def runs(self) -> bool:
        """Whether it replicates: with one side gone it does not."""
        return self.sides == {self.source_region, self.destination_region}


class Replications:
    """The replications of a cloud.

    One is kept when its resource is gone because its region is, its source file system with it: then the replica's
    region still has its side. One that was deleted while its source stayed is gone.
    """

    def __init__(self, cloud: Cloud) -> None:
        """Take what the cloud has."""
        self._cloud = cloud
        self._seen = dict[str, Replication]()
        self.last_replicated: datetime | None = None

    def observe(self, now: datetime) -> None:
        """Take what is new in the cloud, and leave what a program deleted there."""
        existing = {resource.attribute("sourceFileSystemId"): resource for resource in self._existing()}
        file_systems = {resource.id for resource in self._cloud.all(FILE_SYSTEM)}
        for source, replication in list(self._seen.items()):
            deleted = replication.runs and source not in existing and source in file_systems
            if deleted or replication.destination not in file_systems:
                del self._seen[source]
        for source, resource in existing.items():
            # A deletion here removes the resource: one that is there beside a deleted side was made anew.
            if source not in self._seen or not self._seen[source].runs:
                destination: Mapping[str, Any] = resource.attribute("destination")
                self._seen[source] = Replication(
                    source=source,
                    source_region=resource.region,
                    destination=destination["fileSystemId"],
                    destination_region=destination["region"],
                    resource=resource,
                    created=now,
                )

    def protection(self, file_system: Resource) -> str:
        """Return the replication overwrite protection that a file system has.

        A replica is REPLICATING; when its replication is deleted, AWS turns the protection on again.
        """
        for replication in self._seen.values():
            if replication.destination == file_system.id:
                return "REPLICATING" if replication.destination_region in replication.sides else "ENABLED"
        given: Mapping[str, str] = file_system.attribute("protection") or {}
        return given.get("replicationOverwrite", "ENABLED")

    def answer(self, request: ApiRequest, call: ApiCall, dark: Set[str], now: datetime) -> Answer | None:
        """Answer a call about replications, None when the request is about something else."""
        if request.path == _DESCRIBE and request.method == "GET":
            return self._described(request.query.get("FileSystemId"), call.region, now)
        one = _ONE.fullmatch(request.path)
        if one and request.method == "DELETE":
            return self._deleted(one["source"], request.query.get("deletionMode"), call.region, dark)
        return None

    def _existing(self) -> list[Resource]:
        return list(self._cloud.all(FILE_SYSTEM_REPLICATION))

    def _described(self, file_system: str | None, region: str, now: datetime) -> Answer:
        here = [replication for replication in self._seen.values() if region in replication.sides]
        if file_system is None:
            return _json({"Replications": [self._description(replication, now) for replication in here]})
        found = [one for one in here if file_system in (one.source, one.destination)]
        if found:
            return _json({"Replications": [self._description(replication, now) for replication in found]})
        if self._cloud.find(FILE_SYSTEM, value=file_system, region=region) is None:
            return _error(404, "FileSystemNotFound", f"File system '{file_system}' does not exist.")
        return _error(404, "ReplicationNotFound", f"File system '{file_system}' has no replication configuration.")

    def _description(self, replication: Replication, now: datetime) -> dict[str, Any]:
        last = self.last_replicated or now - SYNCHRONISED_AGO
        resource = replication.resource
        return {
            "CreationTime": replication.created.timestamp(),
            "OriginalSourceFileSystemArn": resource.attribute("originalSourceFileSystemArn"),
            "SourceFileSystemArn": resource.attribute("sourceFileSystemArn"),
            "SourceFileSystemId": replication.source,
            "SourceFileSystemRegion": replication.source_region,
            "Destinations": [
                {
                    "FileSystemId": replication.destination,
                    "LastReplicatedTimestamp": last.timestamp(),
                    "Region": replication.destination_region,
                    # The side that is left after a local deletion cannot be recovered, says the API.
                    "Status": "ENABLED" if replication.runs else "ERROR",
                }
            ],
        }

    def _deleted(self, source: str, mode: str | None, region: str, dark: Set[str]) -> Answer:
        replication = self._seen.get(source)
        if replication is None or region not in replication.sides:
            return _error(404, "ReplicationNotFound", f"File system '{source}' has no replication configuration.")
        match mode:
            case "LOCAL_CONFIGURATION_ONLY":
                if replication.source_region == replication.destination_region:
                    return _error(400, "BadRequest", "A replication within a region has no local configuration.")
                replication.sides.discard(region)
            case None | "ALL_CONFIGURATIONS":
                if replication.sides & dark:
                    return _error(500, "InternalServerError", "The other region does not answer.")
                replication.sides.clear()
            case _:
                return _error(400, "BadRequest", f"There is no deletion mode {mode}.")
        self._cloud.remove(replication.resource)
        if not replication.sides:
            del self._seen[source]
        return 204, b"", {}


def _json(content: Mapping[str, Any]) -> Answer:
    return 200, json.dumps(content).encode(), {"Content-Type": "application/json"}


def _error(status: int, code: str, message: str) -> Answer:
    body = json.dumps({"ErrorCode": code, "Message": message}).encode()
    return status, body, {"Content-Type": "application/json", "x-amzn-errortype": code}
