"""Answers to look-ups: what a program asks the cloud for, without making it.

The platform has one (ADR 8): what stands in no row of ``_LOOKUPS`` is refused.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from engine.tokens import FILE_SYSTEM
from offline.cloud import GIVEN, Cloud, Inputs, Resource


class NoAnswer(Exception):
    """A look-up is refused, or finds nothing; the message says why, and what to do."""


@dataclass(frozen=True)
class Question:
    """A look-up as the engine sends it: its arguments, and where it is asked.

    ``preview``: nothing is changed, so that what is missing may be made up.
    """

    arguments: Inputs
    region: str
    account: str
    preview: bool


def answered(token: str, question: Question, cloud: Cloud) -> Mapping[str, Any]:
    """Return what the function ``token`` finds in the cloud, by wire names.

    Raises:
        NoAnswer: there is nothing to be found, or the look-up is not one of the platform's.
    """
    look_up = _LOOKUPS.get(token)
    if look_up is None:
        raise NoAnswer("look-ups are not answered offline; pin the value")
    if "region" in question.arguments:
        raise NoAnswer("region: never set on a look-up: the region is the provider's")
    return look_up(question, cloud)


def _file_system(question: Question, cloud: Cloud) -> Mapping[str, Any]:
    """Return the file system with a creation token or an id.

    A preview may come before the stack that makes the file system was ever deployed: it is shown with a made-up file
    system, which is put into ``cloud`` so that what refers to it holds.
    """
    asked = {"creationToken": question.arguments.get("creationToken"), "id": question.arguments.get("fileSystemId")}
    asked = {name: value for name, value in asked.items() if value is not None}
    if not asked:
        raise NoAnswer("creationToken | fileSystemId: one of them is needed")
    for found in cloud.all(FILE_SYSTEM, region=question.region):
        if all(found.attribute(name) == value for name, value in asked.items()):
            return _told(found)
    if "creationToken" not in asked or not question.preview:
        described = " and ".join(f"{name} {value}" for name, value in asked.items())
        raise NoAnswer(f"no file system with {described} in {question.region}: deploy the primary stack first")
    made_up = _made_up(question, asked["creationToken"])
    cloud.put(made_up)
    return _told(made_up)


def _made_up(question: Question, creation_token: str) -> Resource:
    identity = f"fs-{hashlib.sha256(f'{question.region} {creation_token}'.encode()).hexdigest()[:17]}"
    region, account = question.region, question.account
    return Resource(
        FILE_SYSTEM,
        identity,
        GIVEN,
        region,
        {"creationToken": creation_token, "encrypted": True},
        {
            "arn": f"arn:aws:elasticfilesystem:{region}:{account}:file-system/{identity}",
            "dnsName": f"{identity}.efs.{region}.amazonaws.com",
        },
    )


_COPIED = (
    *("arn", "availabilityZoneName", "creationToken", "dnsName", "encrypted", "kmsKeyId"),
    *("performanceMode", "provisionedThroughputInMibps", "throughputMode"),
)
"""What the answer has under the same name as the resource."""


def _told(found: Resource) -> dict[str, Any]:
    """Return a file system as the real look-up answers (``pulumi_aws.efs.GetFileSystemResult``)."""
    protection: object = found.attribute("protection")
    tags: dict[str, str] = found.attribute("tags") or {}
    answer: dict[str, Any] = {
        **{name: found.attribute(name) for name in _COPIED},
        "id": found.id,
        "fileSystemId": found.id,
        "lifecyclePolicies": found.attribute("lifecyclePolicies") or [],
        "name": tags.get("Name"),
        "protections": [protection] if protection else [],
        "region": found.region,
        "sizeInBytes": 0,
        "tags": tags,
    }
    return {name: value for name, value in answer.items() if value is not None}


_LOOKUPS: dict[str, Callable[[Question, Cloud], Mapping[str, Any]]] = {
    "aws:efs/getFileSystem:getFileSystem": _file_system,
}
"""The look-ups that are answered, by the token of their function."""
