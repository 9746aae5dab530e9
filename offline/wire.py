"""Between the engine's protobuf structs and plain JSON values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from google.protobuf import json_format
from google.protobuf.struct_pb2 import Struct
from pulumi.runtime import rpc

from offline.sdk_types import UNKNOWN

# https://github.com/pulumi/pulumi/blob/master/sdk/go/common/resource/properties.go
_SIGNATURE = rpc._special_sig_key  # pyright: ignore[reportPrivateUsage]  (the protocol's constant, kept private)
_SECRET = rpc._special_secret_sig  # pyright: ignore[reportPrivateUsage]  (the protocol's constant, kept private)


def to_plain(struct: Struct) -> dict[str, Any]:
    """Return a struct as plain values: secrets unwrapped, whole numbers as int, unknowns as ``UNKNOWN``."""
    return {key: _plain(value) for key, value in json_format.MessageToDict(struct).items()}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        block = cast(dict[str, Any], value)
        if block.get(_SIGNATURE) == _SECRET:
            return _plain(block["value"])
        return {key: _plain(item) for key, item in block.items()}
    if isinstance(value, list):
        return [_plain(item) for item in cast(list[Any], value)]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def to_struct(values: Mapping[str, Any], secret: tuple[str, ...] = ()) -> Struct:
    """Return plain values as a struct, those named in ``secret`` marked so that the engine encrypts them."""
    marked = {key: {_SIGNATURE: _SECRET, "value": value} if key in secret else value for key, value in values.items()}
    return json_format.ParseDict(marked, Struct())


def has_unknown(value: Any) -> bool:
    """Say whether a value, or anything in it, is not known yet."""
    if isinstance(value, dict):
        return any(has_unknown(item) for item in cast(dict[str, Any], value).values())
    if isinstance(value, list):
        return any(has_unknown(item) for item in cast(list[Any], value))
    return value == UNKNOWN
