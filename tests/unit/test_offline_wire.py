"""Values on their way from the engine and back: none is lost, rounded, or takes another type."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, cast

from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.struct_pb2 import Struct
from hypothesis import given
from hypothesis import strategies as st
from pulumi.runtime import rpc

from offline.sdk_types import UNKNOWN
from offline.wire import has_unknown, to_plain, to_struct

SIGNATURE: str = rpc._special_sig_key  # pyright: ignore[reportPrivateUsage]  (the protocol's constant)
SECRET: str = rpc._special_secret_sig  # pyright: ignore[reportPrivateUsage]  (the protocol's constant)

# The wire's numbers are doubles: whole ones are exact up to 2^53.
whole = st.integers(-(2**53), 2**53)
fractions = st.floats(allow_nan=False, allow_infinity=False).filter(lambda number: not number.is_integer())
leaves = st.none() | st.booleans() | whole | fractions | st.text() | st.just(UNKNOWN)
keys = st.text().filter(lambda key: key != SIGNATURE)
values = st.recursive(leaves, lambda inner: st.lists(inner) | st.dictionaries(keys, inner), max_leaves=12)
blocks = st.dictionaries(keys, values)


def all_secret(value: object) -> object:
    """Return a JSON value as the engine sends it when everything in it, at every depth, is secret."""
    if isinstance(value, dict):
        value = {key: all_secret(item) for key, item in cast(dict[str, object], value).items()}
    elif isinstance(value, list):
        value = [all_secret(item) for item in cast(list[object], value)]
    return {SIGNATURE: SECRET, "value": value}


def hidden(value: object) -> Iterator[object]:
    """Yield every leaf of a JSON value."""
    if isinstance(value, dict):
        for item in cast(dict[str, object], value).values():
            yield from hidden(item)
    elif isinstance(value, list):
        for item in cast(list[object], value):
            yield from hidden(item)
    else:
        yield value


def exactly(value: object) -> str:
    """Return a value as text in which 1, 1.0 and True differ, as they do not to Python."""
    return json.dumps(value, sort_keys=True)


@given(blocks)
def test_values_come_back_as_they_were(block: dict[str, Any]) -> None:
    """A number that turns into text or a fraction, an empty list that is lost, a true that becomes 1."""
    back = to_plain(to_struct(block))
    assert exactly({key: back[key] for key in block}) == exactly(block)


@given(blocks)
def test_secrets_are_unwrapped_at_every_depth(block: dict[str, Any]) -> None:
    """A rule that looks at a wrapper instead of at the value, so that a secret breaks every rule or none."""
    sent = ParseDict({key: all_secret(value) for key, value in block.items()}, Struct())
    assert to_plain(sent) == block


@given(blocks, st.data())
def test_exactly_what_is_named_is_marked_secret(block: dict[str, Any], data: st.DataObject) -> None:
    """A key in the clear in the state, or everything secret so that no preview shows anything."""
    named = data.draw(st.sets(st.sampled_from(sorted(block)))) if block else set[str]()
    sent = MessageToDict(to_struct(block, (*named, "not there")))
    assert sent == {
        key: {SIGNATURE: SECRET, "value": value} if key in named else value for key, value in block.items()
    }


@given(values)
def test_an_unknown_is_found_at_every_depth(value: Any) -> None:
    """A rule applied to a value that nobody knows yet, or to none because something else is unknown."""
    assert has_unknown(value) == (UNKNOWN in hidden(value))
