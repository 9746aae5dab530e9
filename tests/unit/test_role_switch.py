"""The guard before a database is changed: a promoted one gets no source."""

from collections.abc import Mapping

import pulumi
import pytest

from gates.role_switch import role_switch_guard
from tests.unit.mocks import run

REPLICA = {"replicateSourceDb": "arn", "multiAz": True}
PROMOTED = {"multiAz": True}


def guard(old: Mapping[str, object] | None, new: Mapping[str, object] | None) -> pulumi.ResourceHook:
    """Run the guard on a change, and return it."""
    hooks: list[pulumi.ResourceHook] = []
    run(lambda: hooks.append(role_switch_guard()))
    arguments = pulumi.ResourceHookArgs("urn", "id", "the-database", "type", new_inputs=new, old_inputs=old)
    hooks[0].callback(arguments)
    return hooks[0]


def test_a_promoted_database_gets_no_source() -> None:
    """Guards against an `up` that AWS stops half way, and against a message that does not say what to do."""
    with pytest.raises(RuntimeError, match=r"the-database.*one-way.*cannot elect new source.*`mlops-ha failback`"):
        guard(PROMOTED, REPLICA)


@pytest.mark.parametrize(
    ("old", "new"),
    [(REPLICA, PROMOTED), (REPLICA, {**REPLICA, "multiAz": False}), (PROMOTED, PROMOTED), (None, None)],
)
def test_every_other_change_passes(old: Mapping[str, object] | None, new: Mapping[str, object] | None) -> None:
    """Guards against a guard that stops the failover itself, or any change of a database."""
    guard(old, new)


def test_it_speaks_in_previews() -> None:
    """Guards against a preview that shows the switch back as if it would happen."""
    options = guard(REPLICA, PROMOTED).opts
    assert options is not None
    assert options.on_dry_run
    assert not options.ignore_errors
