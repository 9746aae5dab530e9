"""Commands that may take minutes, run with visible progress and explained in one line when they fail."""

import fcntl
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

TERMINAL_INTERVAL = 1.0  # seconds; a line that is updated in place should look alive
LOG_INTERVAL = 15.0  # seconds; in a log every sign of life is one more line

CAUSES = {
    # What pip and go print, each in its own words, when nothing answers.
    re.compile(
        r"Retrying \(Retry|Max retries exceeded|dial tcp|no such host|i/o timeout|TLS handshake timeout"
        r"|proxyconnect|module lookup disabled"
    ): "no package registry answers: check the network and the registries configured for pip and Go",
    re.compile(r"[Nn]o space left on device"): "the disk is full: free some space",
}


class SetupError(Exception):
    """Something is missing; the message is one line that says what, and what to do."""


class CommandFailed(SetupError):
    """A command ended with a failure."""

    def __init__(self, label: str, command: Sequence[str], output: Sequence[str]) -> None:
        """Explain `output`, the lines of `command`, which did the work called `label`."""
        text = "\n".join(output)
        known = (cause for symptom, cause in CAUSES.items() if symptom.search(text))
        cause = next(known, f"`{' '.join(command[:3])}` failed: correct what it says")
        lines = [line for line in output if line.strip()]
        # pip adds hints below its errors; go's last line is its error.
        last = next((line for line in reversed(lines) if line.startswith("ERROR")), (lines or ["nothing"])[-1])
        super().__init__(f"{label}: {cause}, then run again. It said: {last.strip()}")


def say(text: str) -> None:
    """Write one line for people: to standard error, as standard output belongs to the command that follows."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def answer(command: Sequence[str], folder: Path | None = None) -> str:
    """Return what a short `command`, run in `folder`, writes: to standard error if it writes nothing else.

    postgres_exporter tells its version there.

    Raises:
        CommandFailed: it cannot be run, ends with a failure, or takes too long.
    """
    try:
        finished = subprocess.run(
            command,
            cwd=folder,
            # Asking a program for its version must not make it look for a newer one.
            env={**os.environ, "PULUMI_SKIP_UPDATE_CHECK": "true"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=30,  # seconds; a version takes 0.3 s, a toolchain that Go fetches for itself some more
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CommandFailed(command[0], command, [str(error)]) from error
    if finished.returncode:
        raise CommandFailed(command[0], command, finished.stderr.splitlines())
    return finished.stdout or finished.stderr


def watch(
    command: Sequence[str],
    label: str,
    *,
    folder: Path,
    environment: Mapping[str, str] | None = None,
    units: Mapping[str, str] | None = None,
    draws_progress: bool = False,
) -> None:
    """Run `command` in `folder`, showing the seconds elapsed and how much is done; raises CommandFailed.

    `units` maps what is counted ("packages built") to the pattern of the output lines that count as one.
    `draws_progress` says that the command's standard output is progress worth seeing in a terminal.
    """
    terminal = sys.stderr.isatty()
    draws_progress = draws_progress and terminal and sys.stdout.isatty()
    patterns = {unit: re.compile(pattern) for unit, pattern in (units or {}).items()}
    lines: list[str] = []
    started = time.monotonic()

    def progress() -> str:
        counts = {unit: sum(map(bool, map(pattern.match, lines))) for unit, pattern in patterns.items()}
        done = [f"{count} {unit}" for unit, count in counts.items() if count]
        return ", ".join([f"{label}: {time.monotonic() - started:.0f} s", *done])

    with subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=None if draws_progress else subprocess.PIPE,
        stderr=subprocess.PIPE if draws_progress else subprocess.STDOUT,
        text=True,
        errors="replace",
        close_fds=False,  # the command inherits the lock, see `locked`
    ) as process:
        stream = process.stderr or process.stdout
        reader = threading.Thread(target=lambda: lines.extend(stream or ()), daemon=True)
        reader.start()
        say(f"{label} ...")
        while True:
            try:
                status = process.wait(TERMINAL_INTERVAL if terminal else LOG_INTERVAL)
                break
            except subprocess.TimeoutExpired:
                if terminal and not draws_progress:
                    sys.stderr.write(f"\r{progress()}\x1b[K")  # K: erase what is left of a longer line
                    sys.stderr.flush()
                elif not terminal:
                    say(progress())
        reader.join()
    if terminal and not draws_progress:
        sys.stderr.write("\r\x1b[K")
    if status:
        raise CommandFailed(label, command, lines)
    say(f"{progress()}, done")


@contextmanager
def locked(folder: Path) -> Generator[None]:
    """Hold the existing `folder` for one setup at a time; a second one waits.

    The lock is the kernel's and is inherited by the commands that run under it: it is gone when they are,
    however they ended, and a command that outlives a killed setup is waited for.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    os.set_inheritable(descriptor, True)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"setup: another setup is at work in {folder}, waiting for it")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
