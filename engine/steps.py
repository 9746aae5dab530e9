"""What a run of the engine did, as the engine reports it event by event."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast

from pulumi.automation.events import EngineEvent, StepEventMetadata

PACKAGES = ("aws", "cloudflare", "docker", "random", "tls")
"""The packages that the program may use."""

REPLACEMENTS = ("replace", "create-replacement", "delete-replaced")
"""The engine's names of the parts of a replacement; only the first is counted."""

FORGET = "forget"
"""A deletion of what stays in the cloud: it leaves the state alone."""

BUILDING_BLOCKS = ("EncryptionKeyReplica", "ImageRepositories", "Machine", "PrivateBucket")
"""Components that are parts of others: a reader looks for the control plane, not for five machines."""

PROTECTED = ("cannot be deleted\nbecause it is protected", "currently marked for protection")
"""What the engine says when it would not delete, or not replace, what is protected."""

SECRET_MARK = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105  (what marks one)
"""What stands beside each secret in a state and on the wire: SecretSig in sdk/go/common/resource/sig of Pulumi."""

LOOK_UP_FAILED = "python inline source runtime error: invoke of "
"""How the SDK begins when a look-up is refused."""


@dataclass(frozen=True)
class Change:
    """A property that a step changes: its path, and "add", "delete" or "update", with "-replace" if it replaces."""

    path: str
    kind: str


@dataclass(frozen=True)
class Step:
    """One thing that the engine does, or in a preview would do, to one resource."""

    operation: str
    urn: str
    type: str
    region: str
    provider: str
    protect: bool
    inputs: Mapping[str, Any]
    changes: tuple[Change, ...] = ()
    retain: bool = False

    @property
    def forgotten(self) -> bool:
        """Whether this deletion is none: the resource leaves the state and stays in the cloud."""
        return self.retain and self.operation == "delete"

    @property
    def effect(self) -> str:
        """The operation by what it comes to: the engine's word, or ``FORGET``."""
        return FORGET if self.forgotten else self.operation

    @property
    def name(self) -> str:
        """Name of the resource in the program."""
        return self.urn.rpartition("::")[2]

    @property
    def component(self) -> str:
        """Name of the component type that made the resource; empty for what stands outside of all.

        A building block that several components use counts for the one that uses it.
        """
        types = self.urn.split("::")[2].split("$")
        chain = [part.rpartition(":")[2] for part in types if part.startswith("mlops:")]
        return next((component for component in reversed(chain) if component not in BUILDING_BLOCKS), "")

    @property
    def custom(self) -> bool:
        """Whether this is a resource of a provider, not a component, the stack or a provider itself."""
        return self.type.partition(":")[0] in PACKAGES

    @property
    def leaves_something(self) -> bool:
        """Whether a resource of a provider is there after this step; of a replacement's steps the first says so."""
        return self.custom and self.operation not in ("delete", *REPLACEMENTS[1:])


@dataclass
class Result:
    """What a run did. ``errors`` is empty when it went well."""

    stack: str
    operation: str
    steps: list[Step] = field(default_factory=list[Step])
    outputs: dict[str, Any] = field(default_factory=dict[str, Any])
    errors: list[str] = field(default_factory=list[str])
    finished: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    """Operation and urn of each step in the order in which they ended."""
    seconds: float = 0

    @property
    def ok(self) -> bool:
        """Whether the run went well."""
        return not self.errors

    def changed(self) -> list[Step]:
        """Return the steps on resources of providers that do something."""
        return [step for step in self.steps if step.custom and step.operation != "same"]

    def count(self) -> dict[str, int]:
        """Return the number of provider resources by operation."""
        operations = [step.operation for step in self.steps if step.custom]
        return {operation: operations.count(operation) for operation in sorted(set(operations))}


class Watch:
    """Collects what the engine reports."""

    def __init__(
        self, result: Result, state: Mapping[str, Mapping[str, Any]], on_step: Callable[[Step], None] | None
    ) -> None:
        """Collect into ``result``; ``state`` (resources by urn) tells the regions of providers that stay the same."""
        self._result, self._on_step = result, on_step
        self.errors: list[str] = []
        self._regions = {
            urn: str(resource.get("inputs", {}).get("region", "everywhere"))
            for urn, resource in state.items()
            if resource["type"].startswith("pulumi:providers:")
        }

    def __call__(self, event: EngineEvent) -> None:
        """Take in one event."""
        if event.resource_pre_event is not None:
            self._begun(event.resource_pre_event.metadata)
        elif event.res_outputs_event is not None:
            metadata = event.res_outputs_event.metadata
            self._ended(metadata.op.value, metadata.urn)
        elif event.diagnostic_event is not None and event.diagnostic_event.severity == "error":
            self._failed(event.diagnostic_event.urn or "", _plain_text(event.diagnostic_event.message))

    def _ended(self, operation: str, urn: str) -> None:
        self._result.finished.append((operation, urn))
        if self._result.operation == "refresh" and operation != "same":
            # A refresh begins every step as one, and tells at its end what it found: that a resource is gone.
            self._result.steps = [
                replace(step, operation=operation) if step.urn == urn else step for step in self._result.steps
            ]

    def _failed(self, urn: str, message: str) -> None:
        # The engine closes with a line that says no more than that it failed.
        if message in ("preview failed", "update failed"):
            return
        if message.startswith(LOOK_UP_FAILED):
            # The SDK raises what the provider answers: where in the program helps nobody who deploys.
            message = message.partition(" failed: ")[2].partition(" ()\nTraceback")[0]
        name = urn.rpartition("::")[2]
        about = f"{name}: " if urn and "pulumi:pulumi:Stack" not in urn else ""
        if any(sentence in message for sentence in PROTECTED):
            message += (
                f"\nIn this project the flag is mlops-ha:platform.protection in Pulumi.{self._result.stack}.yaml:"
                ' see "Taking servers away" in README.md.'
            )
        self.errors.append(
            about + message.partition(" has a problem: ")[2] if " has a problem: " in message else about + message
        )

    def _begun(self, metadata: StepEventMetadata) -> None:
        state = metadata.new or metadata.old
        if state is None:
            return
        inputs = cast(Mapping[str, Any], state.inputs or {})
        if metadata.type.startswith("pulumi:providers:"):
            self._regions[metadata.urn] = inputs.get("region", "everywhere")
        provider = (state.provider or "").rpartition("::")[0]
        step = Step(
            operation=metadata.op.value,
            urn=metadata.urn,
            type=metadata.type,
            region=self._regions.get(provider, ""),
            provider=provider,
            protect=bool(state.protect),
            inputs=inputs,
            changes=tuple(
                Change(path, difference.diff_kind.value)
                for path, difference in sorted((metadata.detailed_diff or {}).items())
            ),
            retain=bool(state.retain_on_delete),
        )
        self._result.steps.append(step)
        if self._on_step is not None:
            self._on_step(step)


def _plain_text(message: str) -> str:
    """Return a diagnostic without the colour tags of the engine (``<{%reset%}>``)."""
    parts = message.split("<{%")
    return "".join([parts[0], *(part.partition("%}>")[2] for part in parts[1:])]).strip()
