"""Reads systemd's units: the part of the syntax that the project's own units use, and refuses the rest.

systemd.unit(5), systemd.service(5) and systemd.exec(5) say what is meant.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

SECONDS = 90.0
"""What systemd gives a service to stop unless it says otherwise (DefaultTimeoutStopSec)."""

RESTART_SECONDS = 0.1
"""What systemd waits before it starts a service again unless it says otherwise (RestartSec)."""


class UnitProblem(ValueError):
    """A unit that systemd would not take, or that uses what is not read here; the message says which line."""


READ = frozenset(
    {
        "Service.AmbientCapabilities",
        "Service.CapabilityBoundingSet",
        "Service.Environment",
        "Service.EnvironmentFile",
        "Service.ExecReload",
        "Service.ExecStart",
        "Service.ExecStartPre",
        "Service.ExecStop",
        "Service.Group",
        "Service.KillMode",
        "Service.KillSignal",
        "Service.RestartKillSignal",
        "Service.LimitNOFILE",
        "Service.NoNewPrivileges",
        "Service.Restart",
        "Service.RestartSec",
        "Service.RuntimeDirectory",
        "Service.RuntimeDirectoryMode",
        "Service.StateDirectory",
        "Service.StateDirectoryMode",
        "Service.TimeoutStartSec",
        "Service.TimeoutStopSec",
        "Service.Type",
        "Service.User",
        "Service.WorkingDirectory",
        "Install.WantedBy",
    }
)
"""What has an effect here, by section and key."""

UNHEEDED = frozenset(
    {
        # For people, or for the order of a boot in which everything that a unit can wait for is there already.
        *("Unit.After", "Unit.Before", "Unit.Description", "Unit.Documentation", "Unit.Requires", "Unit.Wants"),
        # A start that fails is tried again for ever, as the units say: a limit is not kept here.
        *("Unit.StartLimitBurst", "Unit.StartLimitIntervalSec"),
        # Walls around a service: whether it works inside them is not what is looked at here.
        *("Service.LockPersonality", "Service.MemoryDenyWriteExecute", "Service.PrivateDevices"),
        *("Service.PrivateTmp", "Service.ProtectClock", "Service.ProtectControlGroups", "Service.ProtectHome"),
        *("Service.ProtectHostname", "Service.ProtectKernelLogs", "Service.ProtectKernelModules"),
        *("Service.ProtectKernelTunables", "Service.ProtectSystem", "Service.ReadOnlyPaths"),
        *("Service.ReadWritePaths", "Service.RestrictAddressFamilies", "Service.RestrictNamespaces"),
        *("Service.RestrictRealtime", "Service.RestrictSUIDSGID", "Service.SystemCallArchitectures"),
        *("Service.SystemCallFilter", "Service.UMask"),
        # Limits of the machine, which is shared by all nodes here.
        *("Service.Delegate", "Service.LimitCORE", "Service.LimitMEMLOCK", "Service.LimitNPROC"),
        *("Service.OOMScoreAdjust", "Service.Slice", "Service.TasksMax"),
    }
)
"""What is passed over, each with its reason."""


@dataclass(frozen=True)
class Command:
    """A command line. ``lenient``: its failure is none (the prefix ``-``)."""

    words: tuple[str, ...]
    lenient: bool


@dataclass(frozen=True)
class Unit:
    """A service's unit.

    ``environment`` are assignments in their order, ``environment_files`` are paths with whether one may be missing.
    Times are in seconds; ``nofile`` is None where the system's own limit stays. ``bounding`` is None where nothing is
    said about capabilities.
    """

    name: str
    type: str = "simple"
    environment: tuple[tuple[str, str], ...] = ()
    environment_files: tuple[tuple[str, bool], ...] = ()
    before: tuple[Command, ...] = ()
    start: Command = field(default_factory=lambda: Command((), lenient=False))
    reload: tuple[Command, ...] = ()
    stop: tuple[Command, ...] = ()
    user: str = ""
    group: str = ""
    kill_mode: str = "control-group"
    kill_signal: str = "SIGTERM"
    restart_signal: str = "SIGTERM"
    stop_seconds: float = SECONDS
    restart: str = "no"
    restart_seconds: float = RESTART_SECONDS
    nofile: int | None = None
    no_new_privileges: bool = False
    ambient: tuple[str, ...] = ()
    bounding: tuple[str, ...] | None = None
    state_directories: tuple[str, ...] = ()
    state_mode: str = "0755"
    runtime_directories: tuple[str, ...] = ()
    runtime_mode: str = "0755"
    folder: str = "/"
    wanted: bool = False


def read_unit(name: str, text: str) -> Unit:
    """Read a service's unit.

    Raises:
        UnitProblem: systemd would not take it, or it uses what is not read here.
    """
    values = _values(name, text)

    def last(key: str, default: str = "") -> str:
        found = values.get(f"Service.{key}", [])
        return found[-1] if found else default

    def commands(key: str) -> tuple[Command, ...]:
        return tuple(_command(name, line) for line in values.get(f"Service.{key}", []))

    starts = commands("ExecStart")
    if len(starts) != 1:
        raise UnitProblem(f"{name}: {len(starts)} lines ExecStart=, and one is needed")
    kind = last("Type", "simple")
    if kind not in ("exec", "simple"):
        raise UnitProblem(f"{name}: Type={kind} is not known here")
    restart = last("Restart", "no")
    if restart not in ("no", "always", "on-failure"):
        raise UnitProblem(f"{name}: Restart={restart} is not known here")
    kill_mode = last("KillMode", "control-group")
    if kill_mode not in ("control-group", "mixed", "process"):
        raise UnitProblem(f"{name}: KillMode={kill_mode} is not known here")
    limit = last("LimitNOFILE")
    return Unit(
        name=name,
        type=kind,
        environment=tuple(
            _assignment(name, word) for line in values.get("Service.Environment", []) for word in _words(name, line)
        ),
        environment_files=tuple(
            (path.removeprefix("-"), path.startswith("-")) for path in values.get("Service.EnvironmentFile", [])
        ),
        before=commands("ExecStartPre"),
        start=starts[0],
        reload=commands("ExecReload"),
        stop=commands("ExecStop"),
        user=last("User"),
        group=last("Group"),
        kill_mode=kill_mode,
        kill_signal=last("KillSignal", "SIGTERM"),
        restart_signal=last("RestartKillSignal", last("KillSignal", "SIGTERM")),
        stop_seconds=seconds(last("TimeoutStopSec", f"{SECONDS:.0f}")),
        restart=restart,
        restart_seconds=seconds(last("RestartSec", str(RESTART_SECONDS))),
        nofile=int(limit.partition(":")[0]) if limit else None,
        no_new_privileges=last("NoNewPrivileges") in ("1", "on", "true", "yes"),
        ambient=tuple(" ".join(values.get("Service.AmbientCapabilities", [])).split()),
        bounding=(
            tuple(" ".join(values["Service.CapabilityBoundingSet"]).split())
            if "Service.CapabilityBoundingSet" in values
            else None
        ),
        state_directories=tuple(last("StateDirectory").split()),
        state_mode=last("StateDirectoryMode", "0755"),
        runtime_directories=tuple(last("RuntimeDirectory").split()),
        runtime_mode=last("RuntimeDirectoryMode", "0755"),
        folder=last("WorkingDirectory", "/"),
        wanted=bool(values.get("Install.WantedBy")),
    )


def _values(name: str, text: str) -> dict[str, list[str]]:
    """Return the values of each key; an empty one takes back what was there before (systemd.unit(5))."""
    values: dict[str, list[str]] = {}
    section = ""
    for line in _lines(text):
        if line.startswith("["):
            section = line.strip("[]")
            continue
        key, equals, value = line.partition("=")
        place = f"{section}.{key.strip()}"
        if not equals or place not in READ | UNHEEDED:
            raise UnitProblem(f"{name}: {line!r} is not known here")
        value = value.strip()
        if value:
            values.setdefault(place, []).append(value)
        else:
            values[place] = []
    return values


def _lines(text: str) -> list[str]:
    """Return the lines, those that a backslash continues as one: comments between them are left out."""
    lines: list[str] = []
    open_line = ""
    for line in text.splitlines():
        if line.lstrip().startswith(("#", ";")):
            continue
        open_line += line
        if open_line.endswith("\\"):
            open_line = f"{open_line[:-1]} "
            continue
        if open_line.strip():
            lines.append(open_line.strip())
        open_line = ""
    if open_line.strip():
        lines.append(open_line.strip())
    return lines


_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "s": " ", "\\": "\\", '"': '"', "'": "'"}


def _words(name: str, line: str) -> list[str]:
    """Split a line as systemd does: quotes, backslashes, and a doubled percent sign (systemd.service(5))."""
    words: list[str] = []
    word: str | None = None
    quote = ""
    characters = iter(line)
    for character in characters:
        if character == "\\":
            following = next(characters, "")
            if following not in _ESCAPES:
                raise UnitProblem(f"{name}: the escape \\{following} in {line!r} is not known here")
            word = (word or "") + _ESCAPES[following]
        elif character == "%":
            if next(characters, "") != "%":
                raise UnitProblem(f"{name}: a specifier in {line!r} is not known here")
            word = (word or "") + "%"
        elif quote:
            if character == quote:
                quote = ""
            else:
                word = (word or "") + character
        elif character in "\"'" and word is None:
            quote, word = character, ""
        elif character.isspace():
            if word is not None:
                words.append(word)
            word = None
        else:
            word = (word or "") + character
    if quote:
        raise UnitProblem(f"{name}: an open quote in {line!r}")
    return words if word is None else [*words, word]


def _command(name: str, line: str) -> Command:
    lenient = line.startswith("-")
    words = _words(name, line.removeprefix("-"))
    if not words or not words[0].startswith("/"):
        raise UnitProblem(f"{name}: {line!r} names no program by its whole path")
    return Command(tuple(words), lenient)


def _assignment(name: str, word: str) -> tuple[str, str]:
    key, equals, value = word.partition("=")
    if not equals:
        raise UnitProblem(f"{name}: {word!r} assigns nothing")
    return key, value


_VARIABLE = re.compile(r"\$(?:\$|\{(?P<braced>\w+)\}|(?P<plain>\w+))")


def filled(command: Command, environment: Mapping[str, str]) -> list[str]:
    """Return a command's words with its variables: ``$NAME`` alone becomes as many words as it has.

    One that is not set is nothing, as for systemd.
    """
    words: list[str] = []
    for word in command.words:
        alone = re.fullmatch(r"\$(\w+)", word)
        if alone:
            words += environment.get(alone[1], "").split()
            continue

        def value(found: re.Match[str]) -> str:
            if found["braced"]:
                return environment.get(found["braced"], "")
            # Inside of a word, a variable without braces is none.
            return "$" if found[0] == "$$" else found[0]

        words.append(_VARIABLE.sub(value, word))
    return words


def environment_of(unit: Unit, given: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a unit's commands: what is given, then its own lines, then its files.

    Raises:
        OSError: a file that must be there is not.
    """
    environment = {**given, **dict(unit.environment)}
    for path, optional in unit.environment_files:
        if optional and not Path(path).exists():
            continue
        for line in Path(path).read_text().splitlines():
            stripped = line.strip()
            if stripped and not stripped.startswith(("#", ";")):
                key, _, value = stripped.partition("=")
                quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "\"'"
                environment[key] = value[1:-1] if quoted else value
    return environment


_UNITS = {"": 1.0, "s": 1.0, "sec": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0, "ms": 0.001}


def seconds(text: str) -> float:
    """Return a span of time in seconds: ``90``, ``5min``, ``1min 30s``, ``infinity``.

    Raises:
        UnitProblem: it is none.
    """
    if text == "infinity":
        return float("inf")
    found = re.findall(r"(\d+(?:\.\d+)?)\s*([a-z]*)", text)
    try:
        return sum(float(number) * _UNITS[unit] for number, unit in found)
    except KeyError as error:
        raise UnitProblem(f"{text!r} is no span of time that is known here") from error
