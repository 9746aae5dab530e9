"""The stack files, read from the checkout and copied out of it: the tracked files stay as they are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import yaml

from configs.settings.model import DatabaseSettings, Settings
from configs.settings.parse import SECRETS, parse_settings
from configs.settings.problem import BLOCK, Problem, SettingsError
from configs.tables.names import PROJECT

ROOT = Path(__file__).parent.parent
"""The checkout."""

STACKS = ("prod", "dr")
"""The stacks, in the order in which they are deployed."""


def stack_config(project: Path, stack: str) -> dict[str, Any]:
    """Return the configuration of a stack file as plain data.

    Raises:
        FileNotFoundError: there is no such file.
        SettingsError: it is not what Pulumi expects of one.
    """
    path = project / f"Pulumi.{stack}.yaml"
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such stack file")
    try:
        content = yaml.safe_load(path.read_text())
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise _malformed(path.name, "", " ".join(str(error).split()), "YAML") from error
    if not isinstance(content, dict | None):
        raise _malformed(path.name, "", content, "a block with the key config")
    config = cast(dict[str, Any], content or {}).get("config")
    if not isinstance(config, dict | None):
        raise _malformed(path.name, "config", config, f"a block with the key {BLOCK}")
    return cast(dict[str, Any], config or {})


def _malformed(stack_file: str, where: str, given: object, allowed: str) -> SettingsError:
    return SettingsError(stack_file, [Problem((), given, allowed, root=where or stack_file)])


def stack_settings(project: Path, stack: str) -> Settings:
    """Return the settings of a stack file; secrets that are missing are taken to be there, as they are offline.

    Raises:
        SettingsError: with every problem in the file.
        FileNotFoundError: there is no such file.
    """
    config = stack_config(project, stack)
    stack_file = f"Pulumi.{stack}.yaml"
    in_the_clear = [
        Problem((), "a value in the clear", f"a secret: pulumi config set --secret {name} --stack {stack}", root=key)
        for name in SECRETS
        if (key := f"{PROJECT}:{name}") in config and not _is_secure(config[key])
    ]
    try:
        settings = parse_settings(config.get(BLOCK), SECRETS, stack_file)
    except SettingsError as error:
        raise SettingsError(stack_file, [*error.problems, *in_the_clear]) from error
    if in_the_clear:
        raise SettingsError(stack_file, in_the_clear)
    return settings


def disagreements(settings: Mapping[str, Settings]) -> list[str]:
    """Return what two stacks must have in common and have not, one sentence each.

    `dr` reads nothing of `prod`'s state: it finds names and addresses by having the same settings.
    """
    names = ("account_id", "name", "domain", "hosted_zone_id", "regions")
    shared = (*names, "failover", "certificates", "edge", "versions")
    first, *others = settings
    primaries = [f"Pulumi.{stack}.yaml" for stack, its in settings.items() if its.is_primary]
    found = (
        []
        if len(primaries) == 1
        else [
            "role must be primary or returning in exactly one of the stack files,"
            f" not in {' and '.join(primaries) or 'none'}"
        ]
    )
    for other in others:
        mine, theirs = settings[first], settings[other]
        # Each region's database is the other one's source: named by its generation, that is all the other knows.
        differing = [
            Settings.model_fields[name].alias for name in shared if getattr(mine, name) != getattr(theirs, name)
        ]
        differing += [
            f"database.{DatabaseSettings.model_fields[name].alias}"
            for name in ("primary_generation", "standby_generation")
            if getattr(mine.database, name) != getattr(theirs.database, name)
        ]
        found += [
            f"Pulumi.{first}.yaml and Pulumi.{other}.yaml differ in {setting}:"
            " both stacks must say the same, one cannot read the other"
            for setting in differing
        ]
    return found


def write_copy(project: Path, stack: str, folder: Path) -> None:
    """Write the project file and a stack file without its secrets into ``folder``, for the engine to change.

    Keys that the engine itself once wrote there (the salt of the offline secrets, and the secrets) are kept.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "Pulumi.yaml").write_text((project / "Pulumi.yaml").read_text())
    target = folder / f"Pulumi.{stack}.yaml"
    before = cast(dict[str, Any], yaml.safe_load(target.read_text())) if target.is_file() else {}
    kept = {key: value for key, value in before.items() if key == "encryptionsalt"}
    secrets = {key: value for key, value in before.get("config", {}).items() if _is_secure(value)}
    config = {key: value for key, value in stack_config(project, stack).items() if not _is_secure(value)}
    target.write_text(yaml.safe_dump({**kept, "config": {**config, **secrets}}))


def lacks_secrets(stack: str, folder: Path) -> bool:
    """Say whether the copied stack file still needs its offline secrets."""
    config = stack_config(folder, stack)
    return any(f"{PROJECT}:{name}" not in config for name in SECRETS)


def _is_secure(value: object) -> bool:
    """Say whether a value is, or holds anywhere, what Pulumi encrypted with somebody's key."""
    if isinstance(value, dict):
        block = cast(dict[str, object], value)
        return "secure" in block or any(_is_secure(item) for item in block.values())
    return isinstance(value, list) and any(_is_secure(item) for item in cast(list[object], value))
