"""Runs of the engine in a process of their own each.

The SDKs keep servers and loops beyond a run. A process that has seen some hundred of them dies in gRPC now and then;
one that is forked for a single run has seen none.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from typing_extensions import override

from engine.stack_files import stack_settings
from engine.steps import Step
from offline.engine import OfflineError, OfflineStack
from offline.language_host import language_host
from offline.result import OfflineResult

_FORKING = multiprocessing.get_context("forkserver")
_FORKING.set_forkserver_preload(["tests.engine.preloaded"])


class IsolatedStack(OfflineStack):
    """A stack whose runs are processes. What a test replaces in its own process, they do not see."""

    def __init__(self, stack: str, project: Path, home: Path) -> None:
        """Prepare a stack. Its runs are never killed: the state need not be written after every step."""
        super().__init__(stack, project=project, home=home, checkpoints=False)

    @override
    def _operate(
        self, operation: str, action: Callable[..., Any], on_step: Callable[[Step], None] | None
    ) -> OfflineResult:
        # Wrong settings are refused here, as they are.
        stack_settings(self._project, self.stack)
        ours, theirs = _FORKING.Pipe()
        process = _FORKING.Process(target=_run, args=(theirs, self.stack, self._project, self.home, operation))
        process.start()
        theirs.close()
        try:
            result: OfflineResult | str = ours.recv()
        finally:
            process.join()
        if isinstance(result, str):
            raise OfflineError(result)
        return result


@contextmanager
def isolated_language_host() -> Generator[int]:
    """Serve a language host in a process of its own while the block runs; gives its port.

    It is forked, and has the environment that this process has now.
    """
    ours, theirs = _FORKING.Pipe()
    process = _FORKING.Process(target=_serve, args=(theirs, dict(os.environ)))
    process.start()
    theirs.close()
    try:
        yield ours.recv()
    finally:
        ours.close()
        process.join()


def _serve(connection: Connection, environment: Mapping[str, str]) -> None:
    os.environ.clear()
    os.environ.update(environment)
    with language_host() as port:
        connection.send(port)
        with suppress(EOFError):
            connection.recv()


def _run(connection: Connection, stack: str, project: Path, home: Path, operation: str) -> None:
    # The process ends with its run, and has the memory for it: searching it for garbage only takes time.
    gc.disable()
    try:
        result = getattr(OfflineStack(stack, project=project, home=home, checkpoints=False), operation)()
    except OfflineError as error:
        result = str(error)
    connection.send(result)
    connection.close()
