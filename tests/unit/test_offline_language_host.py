"""The SDK's final wait, made patient: only while a run lasts, and not beyond the first failure."""

from __future__ import annotations

import asyncio
import importlib
from typing import Any, cast

import pulumi.log
import pulumi.runtime.stack
import pytest

from offline.language_host import patient_wait, quick_sdk

SDK: Any = cast(Any, pulumi.runtime.stack)
RESOURCE: Any = importlib.import_module("pulumi.runtime.resource")


def leave_by_failing() -> None:
    """Use the patient wait, and fail."""
    with patient_wait():
        assert SDK.asyncio is not asyncio
        raise ValueError("inside")


def test_the_wait_is_patient_only_while_the_block_runs() -> None:
    """An SDK that stays changed for whatever else runs in the process, also after a failure."""
    with pytest.raises(ValueError, match="inside"):
        leave_by_failing()
    assert SDK.asyncio is asyncio


def test_the_wait_ends_with_the_first_failure() -> None:
    """A program that failed at once and is reported only when the last of 800 resources is there, or never."""

    async def fail() -> None:
        raise ValueError("first")

    async def waited() -> tuple[int, int]:
        never = asyncio.get_running_loop().create_future()
        wait = SDK.asyncio.wait([asyncio.create_task(fail()), never], return_when=SDK.asyncio.FIRST_COMPLETED)
        done, pending = await asyncio.wait_for(wait, timeout=10)
        assert isinstance(done.pop().exception(), ValueError)
        return len(done), len(pending)

    with patient_wait():
        assert asyncio.run(waited()) == (0, 1)


def test_the_wait_is_for_all_at_once() -> None:
    """57 seconds instead of 9: a wait for any output, then for any of the rest, and so on."""

    async def end_after(turns: int) -> None:
        for _ in range(turns):
            await asyncio.sleep(0)

    async def waited() -> int:
        tasks = [asyncio.create_task(end_after(turns)) for turns in range(20)]
        done, _ = await SDK.asyncio.wait(tasks, return_when=SDK.asyncio.FIRST_COMPLETED)
        return len(done)

    with patient_wait():
        assert asyncio.run(waited()) == 20


def fail_inside() -> None:
    """Use the quick SDK, and fail."""
    with quick_sdk():
        pulumi.log.debug("nobody is told")
        raise ValueError("inside")


def test_the_sdk_is_left_as_it_was() -> None:
    """A patch that outlives its run, and hides the debug messages of somebody who looks for them."""
    before = pulumi.log.debug, SDK.asyncio, RESOURCE._get_stack_trace
    with quick_sdk():
        assert pulumi.log.debug is not before[0]
        assert SDK.asyncio is not before[1]
        assert RESOURCE._get_source_position(RESOURCE._get_stack_trace()) is None
    with pytest.raises(ValueError, match="inside"):
        fail_inside()
    assert (pulumi.log.debug, SDK.asyncio, RESOURCE._get_stack_trace) == before
