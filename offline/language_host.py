"""A language host: what the engine asks to run the program, when the Pulumi CLI does not bring its own.

The official language host ships with the official CLI only. This one is the SDK's own server for inline programs,
made complete: it lets a plain ``pulumi up --stack prod`` run here.
"""

from __future__ import annotations

import asyncio
import importlib
import runpy
import sys
import types
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import grpc
import pulumi.log
import pulumi.runtime.stack
from google.protobuf import empty_pb2
from pulumi.automation._server import LanguageServer
from pulumi.runtime.proto import language_pb2, language_pb2_grpc, source_pb2

from engine.stack_files import ROOT

LOOPBACK = "127.0.0.1:0"
"""Only this machine may connect, on a port that is free: none can be taken already."""


def program(root: Path = ROOT) -> None:
    """Run ``__main__.py`` as Pulumi would."""
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    runpy.run_path(str(root / "__main__.py"), run_name="__main__")


class _PatientAsyncio(types.ModuleType):
    """asyncio, as the SDK's final wait is to see it: it waits for all outputs at once, or the first failure.

    The SDK waits for *any* output, then for any of the rest, and so on: quadratic in their number
    (800 resources: 57 s instead of 9 s). Only this wait is meant; nothing else of the SDK is changed.
    """

    FIRST_COMPLETED = asyncio.FIRST_EXCEPTION

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio, name)


@contextmanager
def patient_wait() -> Generator[None, None, None]:
    """Make the SDK wait for all outputs at once while the block runs, see ``_PatientAsyncio``."""
    module = cast(Any, pulumi.runtime.stack)
    before = module.asyncio
    module.asyncio = _PatientAsyncio("asyncio")
    try:
        yield
    finally:
        module.asyncio = before


def _say_nothing(*_: object) -> None:
    """Stand for a debug message."""


def _no_stack_trace() -> source_pb2.StackTrace:
    """Stand for the trace of a resource that was made elsewhere than in a constructor: it has no frames."""
    return source_pb2.StackTrace()


@contextmanager
def quick_sdk() -> Generator[None, None, None]:
    """Make the SDK faster while the block runs, in three places that change nothing of what it deploys.

    The wait, see ``patient_wait``; debug messages, which nobody reads here: each is a call to the engine that the
    program waits for, several a resource (a preview of `prod`: 4.6 s instead of 5.7); and the stack trace of each
    resource, from which the engine keeps its place in the source: nothing reads it here (0.25 s of 3.1 s).
    """
    resource: Any = importlib.import_module("pulumi.runtime.resource")
    before = pulumi.log.debug, resource._get_stack_trace
    pulumi.log.debug, resource._get_stack_trace = _say_nothing, _no_stack_trace
    try:
        with patient_wait():
            yield
    finally:
        pulumi.log.debug, resource._get_stack_trace = before


class LanguageHost(LanguageServer):
    """The SDK's server, and the handshake that a host attached by its port must answer."""

    def Handshake(
        self, request: language_pb2.LanguageHandshakeRequest, context: grpc.ServicerContext
    ) -> language_pb2.LanguageHandshakeResponse:
        """Return nothing: there is nothing to agree on."""
        return language_pb2.LanguageHandshakeResponse()

    def Cancel(self, request: empty_pb2.Empty, context: grpc.ServicerContext) -> empty_pb2.Empty:
        """Let the program run: it ends by itself when the engine answers no more."""
        return empty_pb2.Empty()


@contextmanager
def language_host() -> Generator[int, None, None]:
    """Serve a language host while the block runs; gives its port."""
    server = grpc.server(ThreadPoolExecutor(max_workers=4))
    language_pb2_grpc.add_LanguageRuntimeServicer_to_server(LanguageHost(program), server)
    port = server.add_insecure_port(LOOPBACK)
    server.start()
    try:
        with quick_sdk():
            yield port
    finally:
        server.stop(grace=None).wait()
