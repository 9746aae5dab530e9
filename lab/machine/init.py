"""Starts and keeps a node's services as systemd would, and answers the program that stands in for ``systemctl``.

A service's processes are those of its session: there are no control groups to count them by. Each keeps a journal,
a file of what it wrote.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lab.machine.commands import CONTROL, open_files
from lab.machine.units import Command, Unit, UnitProblem, environment_of, filled, read_unit

PLACES = (("/usr/local/lib/mlops-ha-lab", "*.service"), ("/etc/systemd/system", "mlops-ha-*.service"))
"""Where units are looked for: the lab's own, for what packages bring, and the platform's: the machine's are not."""

WANTED = "/etc/systemd/system/multi-user.target.wants"
"""Links to the units that start by themselves."""

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""systemd's default."""

LOOK_SECONDS = 0.02
"""How often processes are looked at that nobody is told of: what is left of a session that was told to end."""

NO_SUCH_UNIT, NOT_ACTIVE = 5, 3
"""Exit codes of systemctl (https://refspecs.linuxbase.org/LSB_3.0.0/LSB-PDA/LSB-PDA/iniscrptact.html)."""


class Processes:
    """Starts processes, and buries those that lost their parents: the first process of a machine does both."""

    def __init__(self) -> None:
        """Know of none."""
        self._own: set[int] = set()
        self._lock = threading.Lock()

    def start(self, words: list[str], **given: Any) -> subprocess.Popen[bytes]:
        """Start a process in a session of its own."""
        with self._lock:
            process = subprocess.Popen[bytes](words, start_new_session=True, **given)
            self._own.add(process.pid)
        urge(process.pid)
        return process

    def wait(self, process: subprocess.Popen[bytes]) -> int:
        """Wait until a process ends; return its code."""
        code = process.wait()
        with self._lock:
            self._own.discard(process.pid)
        return code

    def bury(self) -> None:
        """Bury what has ended and is nobody's, for ever."""
        while True:
            try:
                found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
            except ChildProcessError:
                time.sleep(LOOK_SECONDS)
                continue
            if found is None:
                continue
            with self._lock:
                if found.si_pid not in self._own:
                    with contextlib.suppress(ChildProcessError):
                        os.waitpid(found.si_pid, 0)
                    continue
            # Who started it is about to take its code.
            time.sleep(LOOK_SECONDS)


def urge(leader: int) -> None:
    """Make a session as urgent as this process is.

    Where the kernel groups processes by session, niceness counts within a session only, and a new one has none
    (autogroup in sched(7)).
    """
    # The process may have ended, and the kernel may not group.
    with contextlib.suppress(OSError):
        Path(f"/proc/{leader}/autogroup").write_text(str(os.getpriority(os.PRIO_PROCESS, 0)))


def session_of(leader: int) -> list[int]:
    """Return the processes of a session."""
    found: list[int] = []
    for place in Path("/proc").iterdir():
        if place.name.isdigit():
            try:
                fields = (place / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[3]) == leader and fields[0] != "Z":
                found.append(int(place.name))
    return found


def kill(pids: list[int], number: int) -> None:
    """Send a signal to those that still are."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


class Service:
    """One unit, and what runs of it."""

    def __init__(self, unit: Unit, manager: Manager) -> None:
        """Describe a service that does not run."""
        self.unit = unit
        self._manager = manager
        self._changed = threading.Condition()
        self.state = "inactive"
        self.restarts = 0
        """How often it was started again by itself since it was last told to start or to restart."""
        self._attempts = 0
        self._stopping = False
        self._hurry = False
        self._keeper: threading.Thread | None = None
        self._main: subprocess.Popen[bytes] | None = None
        self._jobs = threading.Lock()

    def start(self) -> bool:
        """Start it; return whether it did. One that runs already is left alone."""
        with self._jobs:
            return self._start()

    def _start(self) -> bool:
        with self._changed:
            if self.state == "active":
                return True
            before = self._attempts
            self._stopping, self._hurry = False, True
            if self._keeper is None or not self._keeper.is_alive():
                self.state, self.restarts = "activating", 0
                self._keeper = threading.Thread(target=self._keep, daemon=True)
                self._keeper.start()
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._attempts > before)
            return self.state == "active"

    def stop(self) -> None:
        """Stop it, by force when it takes too long."""
        with self._jobs:
            self._stop()

    def _stop(self, number: str | None = None) -> None:
        with self._changed:
            keeper, main, was = self._keeper, self._main, self.state
            self._stopping = True
            self._changed.notify_all()
            if keeper is None or not keeper.is_alive():
                self.state = "inactive"
                return
            self.state = "deactivating"
        ends = time.monotonic() + self.unit.stop_seconds
        if was == "active" and main is not None:
            for command in self.unit.stop:
                self._run(command, main.pid, max(0.1, ends - time.monotonic()))
            self._signal(main, signal.Signals[number or self.unit.kill_signal], mixed=self.unit.kill_mode == "mixed")
        keeper.join(max(0, ends - time.monotonic()))
        if keeper.is_alive():
            self._manager.say(self.unit.name, "does not stop in time, is killed")
            if main is not None:
                self._signal(main, signal.SIGKILL)
            keeper.join()

    def restart(self) -> bool:
        """Stop it and start it, with the unit as it was last read."""
        with self._jobs:
            unit = self._manager.units.get(self.unit.name, self.unit)
            self._stop(unit.restart_signal)
            self.unit = unit
            return self._start()

    def reload(self) -> str:
        """Have it read its files again; return what went wrong."""
        with self._jobs:
            if self.state != "active" or self._main is None:
                return f"{self.unit.name} is not active, cannot reload."
            if not self.unit.reload:
                return f"Job type reload is not applicable for unit {self.unit.name}."
            for command in self.unit.reload:
                if self._run(command, self._main.pid, self.unit.stop_seconds) and not command.lenient:
                    return f"Job for {self.unit.name} failed."
            return ""

    def _signal(self, main: subprocess.Popen[bytes], number: int, *, mixed: bool = False) -> None:
        alone = mixed or self.unit.kill_mode == "process"
        kill([main.pid] if alone else session_of(main.pid), number)

    def _keep(self) -> None:
        """Run it, and again when it ends, until it is stopped or is not to run again."""
        while True:
            with self._changed:
                self.state, self._hurry = "activating", False
            process = self._begin()
            with self._changed:
                self._main = process
                self._attempts += 1
                self.state = "active" if process is not None else "failed"
                self._changed.notify_all()
                stopping = self._stopping
            if stopping and process is not None:
                # It was told to stop while it began.
                self._signal(process, signal.SIGTERM)
            code = self._manager.processes.wait(process) if process is not None else 1
            if process is not None:
                self._manager.say(self.unit.name, f"ended with {code}")
                if self.unit.kill_mode != "process":
                    self._bring_down(process.pid)
            with self._changed:
                self._main = None
                again = self.unit.restart == "always" or (self.unit.restart == "on-failure" and code != 0)
                if self._stopping or not again:
                    self.state = "inactive" if self._stopping or code == 0 else "failed"
                    self._changed.notify_all()
                    return
                self.state = "activating"
                self._changed.wait_for(lambda: self._stopping or self._hurry, self.unit.restart_seconds)
                if self._stopping:
                    self.state = "inactive"
                    return
                self.restarts += 1
                self.unit = self._manager.units.get(self.unit.name, self.unit)

    def _bring_down(self, leader: int) -> None:
        ends = time.monotonic() + self.unit.stop_seconds
        number = signal.SIGTERM
        while left := session_of(leader):
            kill(left, number)
            if time.monotonic() > ends:
                number = signal.SIGKILL
            time.sleep(LOOK_SECONDS)

    def _begin(self) -> subprocess.Popen[bytes] | None:
        unit = self.unit
        try:
            for root, names, mode in (
                ("/var/lib", unit.state_directories, unit.state_mode),
                ("/run", unit.runtime_directories, unit.runtime_mode),
            ):
                for name in names:
                    place = Path(root, name)
                    place.mkdir(parents=True, exist_ok=True)
                    place.chmod(int(mode, 8))
                    if unit.user:
                        shutil.chown(place, unit.user, unit.group or unit.user)
            for command in unit.before:
                if self._run(command, None, unit.stop_seconds) and not command.lenient:
                    return None
            return self._spawn(unit.start, None)
        except (OSError, LookupError) as error:
            self._manager.say(unit.name, f"cannot be started: {error}")
            return None

    def _run(self, command: Command, main: int | None, timeout: float) -> int:
        """Run one of the commands beside the service; return its code."""
        try:
            process = self._spawn(command, main)
        except (OSError, LookupError) as error:
            self._manager.say(self.unit.name, f"{command.words[0]}: {error}")
            return 1
        timer = threading.Timer(timeout, lambda: kill(session_of(process.pid), signal.SIGKILL))
        timer.start()
        try:
            return self._manager.processes.wait(process)
        finally:
            timer.cancel()

    def _spawn(self, command: Command, main: int | None) -> subprocess.Popen[bytes]:
        unit = self.unit
        given = {"LANG": "C.UTF-8", "PATH": PATH, **self._manager.environment}
        if unit.user:
            given |= {"USER": unit.user, "LOGNAME": unit.user, "HOME": "/", "SHELL": "/usr/sbin/nologin"}
        environment = environment_of(unit, given)
        if main is not None:
            environment["MAINPID"] = str(main)
        words = filled(command, environment)
        if shutil.which(words[0]) is None:
            raise FileNotFoundError(f"{words[0]} cannot be executed")
        with Path(self._manager.journal, f"{unit.name}.log").open("ab") as journal:
            return self._manager.processes.start(
                [*limits(unit), *words],
                cwd=unit.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=journal,
                stderr=journal,
            )


def limits(unit: Unit) -> list[str]:
    """Return what becomes a unit's command within its limits: account, capabilities, open files."""
    words: list[str] = []
    if unit.nofile is not None:
        words += ["/usr/bin/prlimit", f"--nofile={open_files(unit.nofile)}"]
    options: list[str] = []
    if unit.bounding is not None:
        options.append(f"--bounding-set={','.join(['-all', *map(_capability, unit.bounding)])}")
    if unit.ambient:
        inherited = ",".join(["-all", *map(_capability, unit.ambient)])
        options += [f"--inh-caps={inherited}", f"--ambient-caps={inherited}"]
    if unit.user:
        options += [f"--reuid={unit.user}", f"--regid={unit.group or unit.user}", "--clear-groups"]
    if unit.no_new_privileges:
        options.append("--no-new-privs")
    return [*words, "/usr/bin/setpriv", *options] if options else words


def _capability(name: str) -> str:
    return f"+{name.removeprefix('CAP_').lower()}"


class Manager:
    """All units of a node."""

    def __init__(self, journal: str, environment: Mapping[str, str]) -> None:
        """Have no units yet; ``journal`` is the folder of the journals."""
        self.journal, self.environment = journal, dict(environment)
        self.processes = Processes()
        self.units: dict[str, Unit] = {}
        self.services: dict[str, Service] = {}
        self._lock = threading.Lock()

    def say(self, unit: str, line: str) -> None:
        """Write a line into a unit's journal, as systemd does."""
        with Path(self.journal, f"{unit}.log").open("a") as journal:
            journal.write(f"systemd: {time.strftime('%H:%M:%S')} {line}\n")

    def read(self) -> None:
        """Read the units anew; those that cannot be read are told of in the journal, and are none."""
        units: dict[str, Unit] = {}
        for folder, pattern in PLACES:
            for place in sorted(Path(folder).glob(pattern)):
                try:
                    units[place.name] = read_unit(place.name, place.read_text())
                except (OSError, UnitProblem) as error:
                    self.say(place.name, str(error))
        self.units = units

    def service(self, name: str) -> Service | None:
        """Return a unit's service; None when there is no such unit."""
        with self._lock:
            if name in self.units and name not in self.services:
                self.services[name] = Service(self.units[name], self)
            found = self.services.get(name)
            if found is not None and found.state in ("inactive", "failed"):
                if name not in self.units:
                    return None
                found.unit = self.units[name]
            return found

    def start_wanted(self) -> None:
        """Start what is enabled."""
        for link in sorted(Path(WANTED).glob("*.service")):
            found = self.service(link.name)
            if found is not None:
                threading.Thread(target=found.start, daemon=True).start()

    def stop_all(self) -> None:
        """Stop everything at once, as a machine that is shut down."""
        threads = [threading.Thread(target=service.stop) for service in self.services.values()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def serve(self) -> None:
        """Answer ``systemctl``, for ever."""
        place = Path(CONTROL)
        place.parent.mkdir(parents=True, exist_ok=True)
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(place))
            place.chmod(0o600)
            listening.listen(16)
            while True:
                connection, _ = listening.accept()
                threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rw") as file:
            try:
                code, out, err = self.control(json.loads(file.readline()))
            except Exception as error:  # Whatever it is, who asked must not wait for ever.
                code, out, err = 1, "", f"{type(error).__name__}: {error}"
            with contextlib.suppress(OSError):
                file.write(json.dumps([code, out, err]) + "\n")
                file.flush()

    def control(self, words: list[str]) -> tuple[int, str, str]:
        """Do what ``systemctl`` was told; return its code, its output and its errors.

        Raises:
            ValueError: it is not known here.
        """
        # Of a unit's properties there is one.
        if words[:4] == ["show", "--property", "NRestarts", "--value"]:
            words = ["show", *words[4:]]
        options = {word for word in words if word.startswith("-")}
        verb, *names = [word for word in words if not word.startswith("-")]
        names = [name if "." in name else f"{name}.service" for name in names]
        unknown = options - {"--now", "--no-block", "--quiet", "-q", "--no-pager"}
        if unknown:
            raise ValueError(f"systemctl {' '.join(sorted(unknown))} is not known here")
        if verb == "daemon-reload":
            self.read()
            return 0, "", ""
        verbs: dict[str, Callable[[str, set[str]], tuple[int, str, str]]] = {
            "start": self._start,
            "stop": self._stop,
            "restart": self._restart,
            "reload": self._reload,
            "enable": self._enable,
            "disable": self._disable,
            "is-active": self._is_active,
            "is-enabled": self._is_enabled,
            "show": self._show,
            "reset-failed": self._reset_failed,
        }
        if verb not in verbs:
            raise ValueError(f"systemctl {verb} is not known here")
        results = [verbs[verb](name, options) for name in names]
        codes, outs, errs = (
            [result[0] for result in results],
            [one[1] for one in results],
            [one[2] for one in results],
        )
        return max(codes, default=0), "".join(outs), "".join(errs)

    def _start(self, name: str, options: set[str]) -> tuple[int, str, str]:
        found = self.service(name)
        if found is None:
            return NO_SUCH_UNIT, "", f"Failed to start {name}: Unit {name} not found.\n"
        if "--no-block" in options:
            threading.Thread(target=found.start, daemon=True).start()
            return 0, "", ""
        return (0, "", "") if found.start() else (1, "", f"Job for {name} failed.\n")

    def _stop(self, name: str, options: set[str]) -> tuple[int, str, str]:
        found = self.service(name)
        if found is None:
            return NO_SUCH_UNIT, "", f"Failed to stop {name}: Unit {name} not loaded.\n"
        if "--no-block" in options:
            threading.Thread(target=found.stop, daemon=True).start()
        else:
            found.stop()
        return 0, "", ""

    def _restart(self, name: str, options: set[str]) -> tuple[int, str, str]:
        found = self.service(name)
        if found is None:
            return NO_SUCH_UNIT, "", f"Failed to restart {name}: Unit {name} not found.\n"
        if "--no-block" in options:
            threading.Thread(target=found.restart, daemon=True).start()
            return 0, "", ""
        return (0, "", "") if found.restart() else (1, "", f"Job for {name} failed.\n")

    def _reload(self, name: str, _: set[str]) -> tuple[int, str, str]:
        found = self.service(name)
        if found is None:
            return NO_SUCH_UNIT, "", f"Failed to reload {name}: Unit {name} not found.\n"
        # A reload takes the unit's lines as they were last read.
        found.unit = self.units.get(name, found.unit)
        wrong = found.reload()
        return (1, "", f"{wrong}\n") if wrong else (0, "", "")

    def _enable(self, name: str, options: set[str]) -> tuple[int, str, str]:
        if name not in self.units:
            return 1, "", f"Failed to enable unit: Unit file {name} does not exist.\n"
        if self.units[name].wanted:
            Path(WANTED).mkdir(parents=True, exist_ok=True)
            link = Path(WANTED, name)
            if not link.is_symlink():
                link.symlink_to(Path("/etc/systemd/system", name))
        return self._start(name, options) if "--now" in options else (0, "", "")

    def _disable(self, name: str, options: set[str]) -> tuple[int, str, str]:
        Path(WANTED, name).unlink(missing_ok=True)
        return self._stop(name, options) if "--now" in options else (0, "", "")

    def _is_active(self, name: str, _: set[str]) -> tuple[int, str, str]:
        found = self.service(name)
        state = "inactive" if found is None else found.state
        return 0 if state == "active" else NOT_ACTIVE, f"{state}\n", ""

    def _is_enabled(self, name: str, _: set[str]) -> tuple[int, str, str]:
        enabled = Path(WANTED, name).is_symlink()
        return int(not enabled), "enabled\n" if enabled else "disabled\n", ""

    def _show(self, name: str, _: set[str]) -> tuple[int, str, str]:
        found = self.service(name)
        return 0, f"{0 if found is None else found.restarts}\n", ""

    def _reset_failed(self, name: str, _: set[str]) -> tuple[int, str, str]:
        found = self.service(name)
        if found is None:
            return 1, "", f"Failed to reset failed state of unit {name}: Unit {name} not loaded.\n"
        if found.state == "failed":
            found.state = "inactive"
        return 0, "", ""
