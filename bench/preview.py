"""How long a preview takes: against a trivial program with as many resources, and as the platform grows.

Every figure is a ratio of runs of the same minute on the same machine; run it with ``make bench``.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pulumi
import pulumi_aws as aws
from rich.console import Console
from rich.table import Table

from boot_agent import agent_text
from components.platform import Gates, Platform, PlatformArgs
from components.providers import providers
from components.stack_settings import stack_secrets, stack_settings
from gates.health_check import health_check_settled
from gates.quorum import machine_gates
from gates.role_switch import role_switch_guard
from offline.engine import OfflineStack
from offline.language_host import program

ROUNDS = 3
"""Runs of each program, in turn; their median counts."""

TIMES = (1, 2, 4, 8)
"""How often the platform is declared."""


def platforms(count: int) -> Callable[[], None]:
    """Return a program that declares the platform ``count`` times, each under a name and in a zone of its own."""

    def declare() -> None:
        settings = stack_settings()
        gates = Gates(health_check_settled(), role_switch_guard(), machine_gates(settings))
        for index in range(count):
            copy = settings.model_copy(
                update={
                    # 5 characters, as the real name has: the names that are derived stay as long.
                    "name": f"mlop{index}",
                    "domain": f"p{index}.{settings.domain}",
                    # An account has one replication of images.
                    "account_id": f"{index:012}",
                }
            )
            available = providers(copy)
            Platform(
                copy.name,
                PlatformArgs(copy, gates, agent_text(), available.other_regions, stack_secrets()),
                pulumi.ResourceOptions(providers=available.own),
            )

    return declare


def trivial(count: int) -> Callable[[], None]:
    """Return a program of ``count`` resources that have one property each and depend on nothing."""

    def declare() -> None:
        settings = stack_settings()
        child = pulumi.ResourceOptions(provider=providers(settings).own[0])
        for index in range(count):
            aws.ec2.Eip(f"address-{index}", domain="vpc", opts=child)

    return declare


def preview(run: Callable[[], None]) -> tuple[float, int]:
    """Preview a program on an empty cloud; return the seconds and the number of provider resources."""
    with tempfile.TemporaryDirectory() as home:
        stack = OfflineStack("prod", home=Path(home), run=run)
        # The first run makes the stack, which is not what is measured.
        stack.preview()
        started = time.perf_counter()
        result = stack.preview()
        seconds = time.perf_counter() - started
    if not result.ok:
        raise SystemExit("\n".join(result.errors))
    return seconds, sum(result.count().values())


def main() -> None:
    """Measure and print."""
    _, resources = preview(program)
    programs: dict[str, Callable[[], None]] = {"prod": program, "trivial": trivial(resources)}
    programs |= {f"platform x {count}": platforms(count) for count in TIMES}
    seconds: dict[str, list[float]] = {name: [] for name in programs}
    counts: dict[str, int] = {}
    for _ in range(ROUNDS):
        for name, run in programs.items():
            taken, counts[name] = preview(run)
            seconds[name].append(taken)
    median = {name: statistics.median(values) for name, values in seconds.items()}
    table = Table("program", "resources", "median s", "min s", "max s", "ms / resource")
    for name, values in seconds.items():
        table.add_row(
            name,
            str(counts[name]),
            f"{median[name]:.2f}",
            f"{min(values):.2f}",
            f"{max(values):.2f}",
            f"{1000 * median[name] / counts[name]:.1f}",
        )
    console = Console(highlight=False)
    console.print(table)
    console.print(f"prod / trivial with as many resources: {median['prod'] / median['trivial']:.2f}")
    console.print(
        f"seconds for each further resource, x {TIMES[2]} to {TIMES[3]} / x {TIMES[1]} to {TIMES[2]} (1 is linear): "
        f"{_slope(median, counts, 2, 3) / _slope(median, counts, 1, 2):.2f}"
    )


def _slope(median: dict[str, float], counts: dict[str, int], start: int, end: int) -> float:
    """Return the seconds for each resource that is added between two of ``TIMES``: the start-up cancels out."""
    fewer, more = (f"platform x {TIMES[index]}" for index in (start, end))
    return (median[more] - median[fewer]) / (counts[more] - counts[fewer])


if __name__ == "__main__":
    main()
