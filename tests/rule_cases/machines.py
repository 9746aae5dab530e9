"""Cases of the checks of instances and launch templates."""

from __future__ import annotations

import base64
from collections.abc import Iterator

from engine import tokens
from offline.checks.machines import USER_DATA_BYTES
from offline.cloud import Inputs
from tests.rule_cases.common import Case, case
from tests.rule_cases.world import LAUNCH_TEMPLATE

_TOO_MUCH = "x" * (USER_DATA_BYTES + 1)
_ENOUGH = "x" * USER_DATA_BYTES


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def cases() -> Iterator[Case]:
    """Yield the cases of this file."""
    yield case("no image", tokens.INSTANCE, "instance_source", {"ami": None})
    yield case("no type", tokens.INSTANCE, "instance_source", {"instanceType": None})
    yield case("too much", tokens.INSTANCE, "user_data", {"userData": _TOO_MUCH}, {"userData": _ENOUGH})
    encoded: Inputs = {"userDataBase64": _encoded(_ENOUGH)}
    yield case("too much encoded", tokens.INSTANCE, "user_data", {"userDataBase64": _encoded(_TOO_MUCH)}, encoded)
    yield case(
        "too much", LAUNCH_TEMPLATE, "user_data", {"userData": _encoded(_TOO_MUCH)}, {"userData": _encoded(_ENOUGH)}
    )
    yield case("plain", LAUNCH_TEMPLATE, "user_data", {"userData": "#!/bin/sh"})
    yield case("reserved", tokens.INSTANCE, "private_address", {"privateIp": "10.0.1.0"}, {"privateIp": "10.0.1.4"})
    yield case("far group", tokens.INSTANCE, "same_vpc", {"vpcSecurityGroupIds": ["sg-far"]})
    attached: Inputs = {"subnetId": None, "primaryNetworkInterface": {"networkInterfaceId": "eni-1"}}
    again: Inputs = {"primaryNetworkInterface": {"networkInterfaceId": "eni-used"}}
    yield case("attached", tokens.INSTANCE, "interface_once", again, attached)
