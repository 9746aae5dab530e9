"""The settings of the way home: what the engine and the program refuse of them, and what they leave alone.

The way itself is walked by its command, in ``test_failback``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pulumi
import pulumi_aws as aws

from configs.settings.model import StackRole
from offline.engine import OfflineStack
from tests.engine.conftest import stack_of, succeeded, write_project


def at(folder: Path, prod: StackRole, dr: StackRole, primary: int, standby: int) -> Path:
    """Write the project with a role for each stack and the generations of both databases, and return its folder."""

    def change(block: dict[str, Any]) -> None:
        block["role"] = prod.value if block["role"] == StackRole.PRIMARY else dr.value
        block["database"] = {"primaryGeneration": primary, "standbyGeneration": standby}

    return write_project(folder, change)


def test_stale_databases_are_not_deleted_by_a_setting(deployed: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    """The transactions that were never replicated, gone with a role that somebody typed."""
    project = at(tmp_path / "b", StackRole.RETURNING, StackRole.ACTIVE, 2, 1)
    refused = stack_of("prod", deployed[0], project).preview()
    assert refused.errors
    assert all("cannot be deleted\nbecause it is protected" in error for error in refused.errors), refused.errors


def test_what_was_forgotten_is_neither_an_orphan_nor_adopted(tmp_path: Path) -> None:
    """A stale database that is taken for the leftover of a killed run, and taken back by whatever has its name."""

    def topics(*labels: str) -> OfflineStack:
        def build() -> None:
            region = aws.Provider("east", region="us-east-1")
            for label in labels:
                options = pulumi.ResourceOptions(provider=region, retain_on_delete=True)
                aws.sns.Topic(label, name="kept", opts=options)

        return OfflineStack("prod", home=tmp_path, run=build, checkpoints=False)

    succeeded(topics("first").up())
    done = succeeded(topics().up())
    assert [(step.operation, step.name, step.forgotten) for step in done.changed()] == [("delete", "first", True)]
    assert ([urn.rpartition("::")[2] for urn in done.kept], done.orphans) == (["first"], [])
    for label in ("first", "second"):
        again = topics(label).up()
        assert any("kept is used by arn:aws:sns:us-east-1:" in error for error in again.errors), again.errors
        assert again.adopted == []
