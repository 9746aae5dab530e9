"""From the raw block of a stack file to settings, or to every problem in it at once."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from functools import cache
from typing import Any, cast

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from configs.settings.allowed import allowed_at, instead_of, value_at
from configs.settings.model import Settings, StackRole
from configs.settings.problem import BLOCK, NOTHING, Problem, SettingsError
from configs.settings.rules import cross_field_problems

SECRETS: dict[str, str] = {
    "slackWebhookUrl": "the Slack webhook that alerts are posted to",
    "smtpPassword": "the password of alerts.email.user",
}
"""Secrets of the primary stack: their own keys, encrypted by Pulumi, never part of the settings block."""


def parse_settings(raw: object, secrets_given: Collection[str], stack_file: str) -> Settings:
    """Return the settings of one stack.

    Args:
        raw: the value of ``mlops-ha:platform``, plain data as YAML or JSON gave it; None when it is missing.
        secrets_given: names of the secrets that are set, of those in ``SECRETS``.
        stack_file: what messages call the file.

    Raises:
        SettingsError: with every problem, cross-field rules included.
    """
    block = _plain(raw)
    problems = [*_problems(block), *_missing_secrets(block, secrets_given, stack_file)]
    if problems:
        raise SettingsError(stack_file, problems)
    return Settings.model_validate_json(json.dumps(block), strict=True)


_DEEPEST = 16
"""Far deeper than any setting: what lies deeper, or is an alias of what holds it, is wrong further up already."""


def _plain(value: Any, depth: int = 0) -> Any:
    """Return a value as JSON has it. YAML also knows dates, keys that are no text, and halves of characters."""
    if depth > _DEEPEST:
        return "..."
    if isinstance(value, Mapping):
        items = cast(Mapping[object, object], value).items()
        return {_text(key): _plain(item, depth + 1) for key, item in items}
    if isinstance(value, list):
        return [_plain(item, depth + 1) for item in cast(list[object], value)]
    return value if value is None or isinstance(value, bool | int | float) else _text(value)


def _text(value: object) -> str:
    return str(value).encode(errors="backslashreplace").decode()


def _problems(block: object) -> Iterator[Problem]:
    if not isinstance(block, Mapping):
        least = ", ".join(field.alias or "" for field in Settings.model_fields.values() if field.is_required())
        yield Problem(
            (),
            NOTHING if block is None else block,
            f"a block of settings, at least {least}: copy one from a stack file of this project",
        )
        return
    settings = cast(Mapping[str, Any], block)
    wrong: set[str] = set()
    try:
        # Strict JSON: "3" is no number and 1 is no text, but a list may fill a tuple and a text name a member.
        Settings.model_validate_json(json.dumps(settings), strict=True)
    except ValidationError as error:
        for detail in error.errors():
            wrong.add(str(detail["loc"][0]))
            if not _follows_from_another(detail):
                yield _translated(detail, settings)
    yield from cross_field_problems(_valid_blocks(settings, wrong))


def _valid_blocks(settings: Mapping[str, Any], wrong: set[str]) -> dict[str, Any]:
    valid: dict[str, Any] = {}
    for name, field in Settings.model_fields.items():
        key = field.alias or name
        if key in wrong:
            continue
        if key in settings:
            valid[name] = _adapter(name).validate_json(json.dumps(settings[key]), strict=True)
        else:
            valid[name] = field.get_default(call_default_factory=True)
    return valid


@cache
def _adapter(name: str) -> TypeAdapter[Any]:
    return TypeAdapter(Settings.model_fields[name].rebuild_annotation())


def _missing_secrets(block: object, given: Collection[str], stack_file: str) -> Iterator[Problem]:
    """Yield what the primary stack is not given. It alone keeps secrets: the standby's machines read the replicas."""
    if value_at(("role",), block) in (StackRole.STANDBY, StackRole.ACTIVE, StackRole.LEAVING):
        return
    stack = stack_file.removeprefix("Pulumi.").removesuffix(".yaml")
    for name, purpose in SECRETS.items():
        if name not in given:
            yield Problem(
                (),
                NOTHING,
                f"{purpose}: pulumi config set --secret {name} --stack {stack}",
                root=f"mlops-ha:{name}",
            )


def _follows_from_another(detail: ErrorDetails) -> bool:
    """Say whether a list is only "too short" because its items, reported by themselves, are wrong."""
    return detail["type"] == "too_short" and len(detail["input"]) >= detail.get("ctx", {})["min_length"]


def _translated(detail: ErrorDetails, settings: Mapping[str, Any]) -> Problem:
    path = _path_in_file(detail, settings)
    match detail["type"]:
        case "value_error":
            allowed = detail["msg"].removeprefix("Value error, ")
        case "extra_forbidden":
            allowed = instead_of(path, settings)
        case "enum" if _is_key(detail):
            allowed = instead_of(path, settings)
        case _:
            allowed = allowed_at(path, settings)
    return Problem(path, value_at(path, settings), allowed)


def _is_key(detail: ErrorDetails) -> bool:
    """Say whether it is the key of a mapping that is wrong: pydantic adds a step of its own for that."""
    return detail["type"] == "enum" and detail["loc"][-1] == "[key]"


_VARIANT = "mode"
"""The key that names the variant of a block that has several."""


def _path_in_file(detail: ErrorDetails, settings: Mapping[str, Any]) -> tuple[str | int, ...]:
    """Return the path as the file has it: pydantic also names the variant that a block has chosen."""
    *steps, last = detail["loc"][:-1] if _is_key(detail) else detail["loc"]
    path: list[str | int] = []
    for step in steps:
        if step != value_at((*path, _VARIANT), settings):
            path.append(step)
    path.append(last)
    return (*path, _VARIANT) if detail["type"].startswith("union_tag_") else tuple(path)


def schema() -> dict[str, Any]:
    """Return the JSON schema of a whole stack file: editors complete and check it by this."""
    block = Settings.model_json_schema(by_alias=True, ref_template="#/$defs/{model}")
    definitions = block.pop("$defs")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Stack file of mlops-ha",
        "type": "object",
        "properties": {"config": {"type": "object", "properties": {BLOCK: block}, "required": [BLOCK]}},
        "required": ["config"],
        "$defs": definitions,
    }
