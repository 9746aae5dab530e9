"""Checks of instances and launch templates."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator

from engine.tokens import INSTANCE
from offline.checks.common import Check, is_missing, known_text, others, values_at
from offline.cloud import Cloud, Proposal

USER_DATA_BYTES = 16_384
"""What EC2 allows before base64. https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-add-user-data.html"""


def user_data(proposal: Proposal, _: Cloud) -> Iterator[str]:
    """User data has at most 16,384 bytes, counted before base64."""
    for name in ("userData", "userDataBase64"):
        text = known_text(proposal, name)
        if text is None:
            continue
        raw = text.encode()
        if name == "userDataBase64" or proposal.type != INSTANCE:
            try:
                raw = base64.b64decode(raw, validate=True)
            except binascii.Error:
                yield f"{name}: is not base64"
                continue
        if len(raw) > USER_DATA_BYTES:
            yield f"{name}: {len(raw)} bytes are more than the {USER_DATA_BYTES} that EC2 allows"


def instance_source(proposal: Proposal, _: Cloud) -> Iterator[str]:
    """An instance has an image and a type, of its own or from a launch template.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RunInstances.html
    """
    for name in ("ami", "instanceType"):
        if is_missing(proposal, name, "launchTemplate"):
            yield f"{name}: an instance needs it, of its own or from a launchTemplate"


_INTERFACE_PATHS = ("primaryNetworkInterface.networkInterfaceId", "networkInterfaces[].networkInterfaceId")


def interface_once(proposal: Proposal, cloud: Cloud) -> Iterator[str]:
    """A network interface is attached to one instance.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_AttachNetworkInterface.html
    """
    mine = [found for path in _INTERFACE_PATHS for found in values_at(proposal.inputs, path)]
    for other in others(proposal, cloud, INSTANCE) if mine else ():
        theirs = {value for path in _INTERFACE_PATHS for _, value in values_at(other.inputs, path)}
        for where, identity in mine:
            if identity in theirs:
                yield f"{where}: {identity} is attached to {other.id} already"


CHECKS: tuple[Check, ...] = (user_data, instance_source, interface_once)
