"""A region that has served never takes the other one's data into the same database: it cannot be a replica again."""

from __future__ import annotations

import pulumi

_SOURCE = "replicateSourceDb"


def _refuse_new_source(arguments: pulumi.ResourceHookArgs) -> None:
    old, new = arguments.old_inputs or {}, arguments.new_inputs or {}
    if new.get(_SOURCE) and not old.get(_SOURCE):
        raise RuntimeError(
            f"{arguments.name}: this database has been promoted and cannot be made a replica again: promotion is"
            ' one-way, AWS refuses it ("cannot elect new source database for replication"). It was not changed.'
            " Set the role back to what it was; the way home is `mlops-ha failback`, which makes a new replica beside"
            " this database."
        )


def role_switch_guard() -> pulumi.ResourceHook:
    """Return the hook to run before a database is changed; it runs in previews too, so that they say so already.

    AWS says so only in the middle of an `up`, when other resources have been turned back already.
    """
    return pulumi.ResourceHook("role-switch", _refuse_new_source, pulumi.ResourceHookOptions(on_dry_run=True))
