"""One stack, driven by the same `pulumi` that an engineer types: `pulumi up --stack dr`, never with a refresh."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn, TextIO, cast

from pulumi.automation.events import EngineEvent

from configs.settings.model import Settings
from configs.settings.problem import BLOCK
from engine.stack_files import ROOT, stack_settings
from engine.steps import Result, Step, Watch
from ops.problems import Stop
from toolchain.tools import find

ANSWER_SECONDS = 120
"""Longest that reading the state or a setting may take: it takes seconds, also from another continent."""

PREVIEW_SECONDS = 600
"""Longest that a preview may take: it takes seconds, and some more for each provider that starts."""

LOOK_SECONDS = 0.5
"""How often the engine's events are read: a line of progress should look alive."""

GOODBYE_SECONDS = 120
"""Time that an interrupted engine has to write its state: it lets the call end that it is in."""


class Engine:
    """One stack of a checkout."""

    def __init__(self, stack: str, project: Path = ROOT) -> None:
        """Start nothing yet."""
        self.stack, self._project = stack, project

    @property
    def stack_file(self) -> Path:
        """The stack file."""
        return self._project / f"Pulumi.{self.stack}.yaml"

    @property
    def settings(self) -> Settings:
        """The stack file's settings as they are now."""
        return stack_settings(self._project, self.stack)

    def resources(self) -> list[dict[str, Any]]:
        """Return the resources of the state, secrets encrypted.

        Raises:
            Stop: the state cannot be read.
        """
        exported = self._answer("stack", "export")
        deployment = cast(dict[str, Any], json.loads(exported).get("deployment") or {})
        return cast(list[dict[str, Any]], deployment.get("resources") or [])

    def check_access(self) -> str:
        """See that the state can be read and its secrets decrypted; return how much is there.

        Raises:
            Stop: one of them cannot.
        """
        # What is decrypted comes into this process' memory and is dropped: what matters is that the key answers. A
        # state without secrets would not ask it, the stack file does.
        self._answer("stack", "export", "--show-secrets")
        self._answer("config", "--show-secrets")
        resources = self.resources()
        if not resources:
            raise Stop(f"{self.stack}: nothing is deployed. `pulumi up --stack {self.stack}` comes before this.")
        return f"{len(resources)} resources"

    def set(self, path: str, value: str) -> None:
        """Set one setting in the stack file, comments and all else as they are.

        Args:
            path: of the setting below ``mlops-ha:platform``, like ``database.primaryGeneration``.
            value: as it is typed.
        """
        self._answer("config", "set", "--path", f"{BLOCK}.{path}", value)

    def unprotect(self, urns: Sequence[str]) -> None:
        """Let the engine forget resources that it keeps on AWS: the flag in the state alone."""
        if urns:
            self._answer("state", "unprotect", "--yes", *urns)

    def preview(self) -> Result:
        """Say what ``up`` would do."""
        return self._operate("preview", (), timedelta(seconds=PREVIEW_SECONDS), None)

    def up(self, deadline: timedelta, on_step: Callable[[Step], None] | None = None) -> Result:
        """Deploy. At the deadline the engine is interrupted as by Ctrl-C, and its state is whole.

        Raises:
            Stop: the deadline was missed.
        """
        return self._operate("up", ("--yes", "--skip-preview"), deadline, on_step)

    def _command(self, *arguments: str) -> list[str]:
        return [str(find("pulumi")), *arguments, "--stack", self.stack, "--non-interactive"]

    def _environment(self) -> dict[str, str]:
        # A refresh asks for everything, in the region that is lost too.
        ours = {name: value for name, value in os.environ.items() if name != "PULUMI_OPTION_REFRESH"}
        # The log of events is a debugging option, as the SDK's own driver uses it.
        return {**ours, "PULUMI_DEBUG_COMMANDS": "true", "PULUMI_SKIP_UPDATE_CHECK": "true"}

    def _answer(self, *arguments: str) -> str:
        command = self._command(*arguments)
        try:
            done = subprocess.run(
                command,
                cwd=self._project,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=ANSWER_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise Stop(f"`pulumi {' '.join(arguments)}` gave no answer in {ANSWER_SECONDS} s") from None
        if done.returncode:
            raise Stop(
                f"`pulumi {' '.join(arguments)} --stack {self.stack}` failed: {done.stderr.strip()}\n"
                "Sign in to the state (`pulumi login`), and see that its secrets key can be used."
            )
        return done.stdout

    def _operate(
        self,
        operation: str,
        options: Sequence[str],
        deadline: timedelta,
        on_step: Callable[[Step], None] | None,
    ) -> Result:
        result = Result(self.stack, operation)
        watch = Watch(result, {resource["urn"]: resource for resource in self.resources()}, on_step)
        with tempfile.TemporaryDirectory() as folder:
            log, errors = Path(folder) / "events.jsonl", Path(folder) / "errors.txt"
            log.touch()
            command = self._command(operation, *options, "--refresh=false", "--event-log", str(log))
            with (
                log.open() as events,
                errors.open("w") as error_output,
                subprocess.Popen(
                    command,
                    cwd=self._project,
                    env=self._environment(),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=error_output,
                ) as process,
            ):
                self._follow(process, events, watch, deadline)
            said = errors.read_text().strip()
        if process.returncode:
            result.errors = watch.errors or [said or f"`pulumi {operation}` ended with status {process.returncode}"]
        return result

    def _follow(self, process: subprocess.Popen[bytes], events: TextIO, watch: Watch, deadline: timedelta) -> None:
        """Hand every event to ``watch`` until the engine ends."""
        ends = time.monotonic() + deadline.total_seconds()
        unfinished = ""
        while True:
            ended = process.poll() is not None
            for line in iter(events.readline, ""):
                unfinished += line
                # A line may be read while it is written.
                if unfinished.endswith("\n"):
                    watch(cast(Any, EngineEvent).from_json(json.loads(unfinished)))
                    unfinished = ""
            if ended:
                return
            if time.monotonic() > ends:
                self._interrupt(process, deadline)
            with suppress(subprocess.TimeoutExpired):
                process.wait(LOOK_SECONDS)

    def _interrupt(self, process: subprocess.Popen[bytes], deadline: timedelta) -> NoReturn:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(GOODBYE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
        raise Stop(
            f"{self.stack}: `pulumi` was not through after {deadline} and was interrupted. The same command goes on"
            " from there; `pulumi cancel` first, if it says that another update runs."
        )
