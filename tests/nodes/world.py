"""Every node of both stacks, in both roles of `dr`, as it lies on the node."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from configs.bundle import bundle
from configs.context import BundleFacts, Context
from configs.manifest import Bundle
from configs.nodes import Node, nodes
from configs.settings.model import Settings
from lab.documents import Document, documents
from lab.namespaces import WITH_PARENT
from lab.tree import NODE_PROGRAMS, command, entries, write
from tests.unit.mocks import stack_settings
from toolchain import tools

FACTS = BundleFacts("database.example.com", "fs-0123456789abcdef0")

STACKS: dict[str, tuple[str, str]] = {
    "prod": ("prod", "primary"),
    "dr-standby": ("dr", "standby"),
    "dr-active": ("dr", "active"),
}
"""Stack and role, by what the tests call them."""

SECONDS = 60
"""Longest that a validator takes: the slowest loads a binary of 150 MB, on a busy machine."""


@cache
def settings_of(stack: str) -> Settings:
    name, role = STACKS[stack]
    return stack_settings(name, role=role)


@cache
def documents_of(stack: str) -> dict[str, Document]:
    """The secrets of a stack, by the id that bundles name."""
    prefix = settings_of(stack).name
    return {f"{prefix}/{role}": document for role, document in documents(settings_of(stack)).items()}


@cache
def bundle_of(stack: str, node: str) -> Bundle:
    return Bundle.model_validate_json(bundle(settings_of(stack), node_of(stack, node), FACTS))


def node_of(stack: str, node: str) -> Node:
    return {one.name: one for one in nodes(settings_of(stack))}[node]


def context_of(stack: str, node: str) -> Context:
    return Context(settings_of(stack), node_of(stack, node), FACTS)


NODES: list[tuple[str, str]] = [(stack, node.name) for stack in STACKS for node in nodes(settings_of(stack))]
"""Every node: of which stack, and its name."""


@dataclass(frozen=True)
class Laid:
    """A node whose files lie in a folder."""

    folder: Path

    def command(self, *arguments: str, network: bool = True) -> list[str]:
        """A command that runs another one where the files lie; by default in an empty network of its own."""
        return command(self.folder, arguments, network=network)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """What a command says there."""
        return subprocess.run(
            [*WITH_PARENT, *self.command(*arguments)], capture_output=True, text=True, timeout=SECONDS, check=False
        )


def laid(folder: Path, stack: str, node: str, changed: Bundle | None = None) -> Laid:
    """Lay a node's files: its bundle, or a changed one."""
    found = changed or bundle_of(stack, node)
    programs = {name: tools.find(tool) for name, tool in NODE_PROGRAMS.items()}
    write(folder, entries(found, documents_of(stack), programs))
    return Laid(folder)
