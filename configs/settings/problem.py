"""What is wrong with a setting, in a form that people and programs read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

BLOCK = "mlops-ha:platform"
"""Key of the settings block in a stack file."""

_LONGEST = 80
"""Given values are cut after one line of a terminal."""


class NothingGiven:
    """Stands for a value that was not given."""

    def __repr__(self) -> str:
        """Say so."""
        return "nothing"


NOTHING = NothingGiven()


@dataclass(frozen=True)
class Problem:
    """One wrong setting: where (path in the settings block), what was given, what is allowed."""

    path: tuple[str | int, ...]
    given: object
    allowed: str
    root: str = BLOCK

    @property
    def where(self) -> str:
        """Path in the stack file, like ``mlops-ha:platform.regions.primary.zones[2]``."""
        return self.root + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in self.path)

    def __str__(self) -> str:
        """Three lines: path, given, allowed."""
        given = "nothing" if self.given is NOTHING else json.dumps(self.given, default=str)
        if len(given) > _LONGEST:
            given = given[:_LONGEST] + " ..."
        return f"  {self.where}\n    given:   {given}\n    allowed: {self.allowed}"


class SettingsError(Exception):
    """The stack file's settings are wrong. The message shows every problem at once."""

    def __init__(self, stack_file: str, problems: Sequence[Problem]) -> None:
        """Collect the problems of one stack file."""
        self.problems = tuple(problems)
        count = "1 setting is" if len(problems) == 1 else f"{len(problems)} settings are"
        super().__init__("\n".join([f"{stack_file}: {count} wrong", *map(str, problems)]))
