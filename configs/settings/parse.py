"""From the raw block of a stack file to settings, or to every problem in it at once."""

from __future__ import annotations

import difflib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, cast

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from configs.settings.model import Settings
from configs.settings.problem import BLOCK, NOTHING, Problem, SettingsError
from configs.settings.rules import cross_field_problems

SECRETS: dict[str, str] = {
    "slackWebhookUrl": "the Slack webhook that alerts are posted to",
    "smtpPassword": "the password of alerts.email.user",
}
"""Secrets of the program: their own keys, encrypted by Pulumi, never part of the settings block."""


def parse_settings(raw: object, secrets_given: Collection[str], stack_file: str) -> Settings:
    """Return the settings of one stack.

    Args:
        raw: the value of ``mlops-ha:platform``, plain data as YAML or JSON gave it; None when it is missing.
        secrets_given: names of the secrets that are set, of those in ``SECRETS``.
        stack_file: what messages call the file.

    Raises:
        SettingsError: with every problem, cross-field rules included.
    """
    problems = [*_problems(raw), *_missing_secrets(secrets_given, stack_file)]
    if problems:
        raise SettingsError(stack_file, problems)
    return Settings.model_validate_json(_json(raw), strict=True)


def _json(raw: object) -> str:
    # Strict JSON: "3" is no number and 1 is no text, but a list may fill a tuple and a text name a member.
    return json.dumps(raw, default=str)


def _problems(raw: object) -> Iterator[Problem]:
    if raw is None:
        yield Problem((), NOTHING, "a block with at least role, accountId, domain, hostedZoneId, adminCidrs,"
                      " regions and alerts: copy one from a stack file of this project")  # fmt: skip
        return
    wrong: set[str] = set()
    try:
        Settings.model_validate_json(_json(raw), strict=True)
    except ValidationError as error:
        for detail in error.errors():
            wrong.add(str(detail["loc"][0]) if detail["loc"] else "")
            if not _follows_from_another(detail):
                yield _translated(detail, raw)
    if isinstance(raw, Mapping):
        yield from cross_field_problems(_valid_blocks(cast(Mapping[str, Any], raw), wrong))


def _valid_blocks(raw: Mapping[str, Any], wrong: set[str]) -> dict[str, Any]:
    valid: dict[str, Any] = {}
    for name, field in Settings.model_fields.items():
        key = field.alias or name
        if key in wrong:
            continue
        if key in raw:
            adapter = TypeAdapter[Any](field.rebuild_annotation())
            valid[name] = adapter.validate_json(_json(raw[key]), strict=True)
        elif not field.is_required():
            valid[name] = field.get_default(call_default_factory=True)
    return valid


def _missing_secrets(given: Collection[str], stack_file: str) -> Iterator[Problem]:
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


def _translated(detail: ErrorDetails, raw: object) -> Problem:
    path, block = _path_in_file(detail["loc"], raw)
    match detail["type"]:
        case "missing":
            return Problem(path, NOTHING, _description(path))
        case "extra_forbidden":
            return Problem(path, detail["input"], _known_keys(path, block))
        case "union_tag_not_found":
            return Problem((*path, "mode"), NOTHING, detail.get("ctx", {}).get("expected_tags", ""))
        case "string_type":
            return Problem(path, detail["input"], _description(path))
        case _:
            return Problem(path, detail["input"], _plain(detail))


def _path_in_file(location: Sequence[str | int], raw: object) -> tuple[tuple[str | int, ...], object]:
    """Return the path as the file has it, and the block that holds its last step.

    Pydantic also names the variant of a union it took and the ``[key]`` of a mapping: those are no keys.
    """
    path: list[str | int] = []
    block: Any = raw
    here: Any = raw
    for index, step in enumerate(location):
        last = index == len(location) - 1
        if step == "[key]" or (not last and _lacks(here, step)):
            continue
        path.append(step)
        block = here
        if not last:
            here = here[step]
    return tuple(path), block


def _lacks(block: Any, key: object) -> bool:
    return isinstance(block, dict) and key not in block


def _plain(detail: ErrorDetails) -> str:
    message = detail["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    return message.replace("greater than or equal to", "at least").replace("less than or equal to", "at most")


def _schema_at(path: Sequence[str | int]) -> Mapping[str, Any]:
    """Return the JSON schema of the setting at a path; empty where there is none."""
    root = Settings.model_json_schema(by_alias=True)
    here: Mapping[str, Any] = root
    for step in path:
        here = _resolved(here, root)
        here = here.get("items", {}) if isinstance(step, int) else here.get("properties", {}).get(step, {})
    return here


def _resolved(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Mapping[str, Any]:
    merged: dict[str, Any] = {}
    for variant in schema.get("oneOf", schema.get("anyOf", [schema])):
        target = variant
        if "$ref" in variant:
            target = root["$defs"][variant["$ref"].removeprefix("#/$defs/")]
        merged.setdefault("properties", {}).update(target.get("properties", {}))
        if "items" in target:
            merged["items"] = target["items"]
    return merged


def _description(path: Sequence[str | int]) -> str:
    schema = _schema_at(path)
    if path == ("regions", "primary"):
        return "the region that serves: every stack needs it, a standby to know whom it stands by for"
    return schema.get("x-allowed") or " ".join(schema.get("description", "a value").split())


def _known_keys(path: Sequence[str | int], block: object) -> str:
    root = Settings.model_json_schema(by_alias=True)
    known = list(_resolved(_schema_at(path[:-1]), root).get("properties", {}))
    close = difflib.get_close_matches(str(path[-1]), known, n=1)
    if close:
        return f"no such setting; did you mean {close[0]}?"
    free = [key for key in known if not (isinstance(block, dict) and key in block)]
    return f"no such setting; there are: {', '.join(free or known)}"


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
