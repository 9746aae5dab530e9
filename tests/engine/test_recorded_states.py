"""What is deployed of an earlier release, previewed by the program as it is now."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.stack_files import STACKS
from engine.tokens import STATEFUL
from tests.engine.conftest import stack_of, succeeded
from tests.recorded import releases, restore
from tests.stateful import destroyed

NEW = ("-repositories-postgres-exporter", "-images-postgres-exporter")
"""Ends of the names of what later releases have besides: images that earlier ones did not run."""


def test_a_release_is_recorded() -> None:
    """A check of upgrades that checks nothing because there is nothing to upgrade from."""
    assert releases() != []


@pytest.mark.parametrize("release", releases())
@pytest.mark.parametrize("stack", STACKS)
def test_an_upgrade_loses_nothing_that_holds_state(release: str, stack: str, tmp_path: Path) -> None:
    """A release that replaces or deletes a database, a volume, a key or an address: renamed, moved or set anew."""
    project = restore(release, tmp_path)
    result = succeeded(stack_of(stack, tmp_path, project).preview())
    kept = [step for step in result.steps if step.type in STATEFUL and step.operation in ("same", "update")]
    assert len(kept) > 15
    assert destroyed(result) == []
    # What would be made instead of what is there shows as a creation.
    made = [step.name for step in result.steps if step.operation == "create" and step.type in STATEFUL]
    assert [name for name in made if not name.endswith(NEW)] == []
