"""What a setting may be, in plain words, read off the JSON schema of the block: each limit is said once."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, cast

from configs.settings.model import Settings
from configs.settings.problem import NOTHING

Steps = Sequence[str | int]
Schema = Mapping[str, Any]


def value_at(path: Steps, block: object) -> object:
    """Return what a block holds at a path, ``NOTHING`` where it ends before."""
    here: Any = block
    for step in path:
        try:
            here = here[step]
        except (IndexError, KeyError, TypeError):
            return NOTHING
    return here


def allowed_at(path: Steps, block: object) -> str:
    """Say what the setting at a path of the block may be."""
    return _words(_schema_at(path, block))


def instead_of(path: Steps, block: object) -> str:
    """Say what is allowed in the place of an unknown key: the known one that it resembles, or those still free."""
    known = _keys(_schema_at(path[:-1], block))
    close = difflib.get_close_matches(str(path[-1]), known, n=1)
    if close:
        return f"no such setting; did you mean {close[0]}?"
    free = [key for key in known if value_at((*path[:-1], key), block) is NOTHING]
    return f"no such setting; there are: {', '.join(free or known)}"


@cache
def _root() -> Schema:
    return Settings.model_json_schema(by_alias=True)


def _schema_at(path: Steps, block: object) -> Schema:
    """Return the schema of the setting at a path; empty where there is none."""
    schema = _resolved(_root(), block)
    for index, step in enumerate(path):
        if isinstance(step, int):
            inner = schema.get("items")
        else:
            inner = schema.get("properties", {}).get(step) or schema.get("additionalProperties")
        schema = _resolved(inner or {}, value_at(path[: index + 1], block))
    return schema


def _resolved(schema: Schema, value: object) -> Schema:
    """Return a schema with what it refers to in its place; of several, what is not null or what the value names."""
    if "anyOf" in schema:
        return {**_resolved(schema["anyOf"][0], value), **schema}
    if "oneOf" in schema:
        key, variants = schema["discriminator"]["propertyName"], schema["discriminator"]["mapping"]
        chosen = value_at((key,), value)
        if isinstance(chosen, str) and chosen in variants:
            return _resolved({"$ref": variants[chosen]}, value)
        return {"type": "object", "properties": {key: {"enum": list(variants)}}}
    if "$ref" in schema:
        return {**_root()["$defs"][schema["$ref"].removeprefix("#/$defs/")], **schema}
    return schema


def _keys(schema: Schema) -> list[str]:
    if "propertyNames" in schema:
        return _resolved(schema["propertyNames"], None)["enum"]
    return list(schema.get("properties", {}))


def _words(schema: Schema) -> str:
    match schema:
        case {"x-allowed": text}:
            return cast(str, text)
        case {"enum": [*choices, last]}:
            return f"{', '.join(map(str, choices))} or {last}"
        case {"type": "boolean"}:
            return "true or false"
        case {"type": "integer", "minimum": least, "maximum": most}:
            return f"a whole number from {least} to {most}"
        case {"type": "number", "minimum": least, "maximum": most}:
            return f"a number from {least} to {most}"
        case {"type": "object"}:
            return f"a block of settings: {', '.join(_keys(schema))}"
        case {"type": "array", "minItems": least, "maxItems": most}:
            shape = f"a list of {least}" if least == most else f"a list of {least} to {most}"
        case {"type": "array", "minItems": least}:
            shape = f"a list of at least {least}"
        case _:
            shape = "text"
    return ". ".join([shape, *([" ".join(schema["description"].split())] if "description" in schema else [])])
