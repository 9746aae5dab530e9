"""What a resource's properties must look like, read from the vendor's own Python SDK.

The SDK's argument classes carry every property's wire name and type. From them follow unknown, missing and
wrongly typed properties, also deep inside nested blocks. What they do not say (what replaces, what is unique,
what refers to what) stands in the rule files.
"""

from __future__ import annotations

import collections.abc
import importlib
import inspect
import threading
import types
import typing
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import pulumi
from pulumi.runtime import rpc

UNKNOWN = rpc.UNKNOWN
"""What the engine sends in place of a value that is not known before it exists."""

# pulumi offers these under private names only; its own generated SDKs are built on them.
_types = importlib.import_module("pulumi._types")


_importing = threading.Lock()
"""The SDK imports its parts on first use, and shows a second thread the half of it."""


class NoSuchType(Exception):
    """The SDK has no resource type of that name."""


@cache
def _resource_class(token: str) -> type[pulumi.Resource]:
    package, module, name = token.split(":")
    # "ec2/vpc": the Python module is the part before the slash; "index" is the package itself.
    submodule = module.partition("/")[0]
    with _importing:
        sdk = importlib.import_module(f"pulumi_{package}" + ("" if submodule == "index" else f".{submodule}"))
        found = getattr(sdk, name, None)
    if found is None or getattr(found, "pulumi_type", None) != token:
        raise NoSuchType(f"{token}: pulumi_{package} has no such resource type")
    return found


@cache
def _args_class(token: str) -> type:
    resource = _resource_class(token)
    module = importlib.import_module(resource.__module__)
    # Where a nested block already has the plain name, the SDK calls the resource's own arguments "InitArgs".
    return getattr(module, f"{resource.__name__}InitArgs", None) or getattr(module, f"{resource.__name__}Args")


@cache
def input_types(token: str) -> Mapping[str, Any]:
    """Return the type of every input property of a resource type, by wire name.

    Raises:
        NoSuchType: the SDK has no such resource type.
    """
    return _types.input_type_types(_args_class(token))


@cache
def output_names(token: str) -> frozenset[str]:
    """Return the wire names of every output property of a resource type."""
    return frozenset(_types.resource_types(_resource_class(token)))


@cache
def required_inputs(token: str) -> frozenset[str]:
    """Return the wire names of the properties that must be given."""
    return _required(_args_class(token))


@cache
def _required(args_class: type) -> frozenset[str]:
    wire_names: Mapping[str, str] = _types.input_type_py_to_pulumi_names(args_class)
    parameters = inspect.signature(args_class).parameters.values()
    return frozenset(
        wire_names.get(parameter.name, parameter.name)
        for parameter in parameters
        if parameter.default is inspect.Parameter.empty
    )


def type_problems(token: str, inputs: Mapping[str, Any]) -> Iterator[str]:
    """Yield a sentence for every property that is unknown, missing or of the wrong type.

    Raises:
        NoSuchType: the SDK has no such resource type.
    """
    yield from _block_problems(_args_class(token), inputs, "")


def _block_problems(args_class: type, inputs: Mapping[str, Any], path: str) -> Iterator[str]:
    known: Mapping[str, Any] = _types.input_type_types(args_class)
    for name in sorted(_required(args_class) - inputs.keys()):
        yield f"{path}{name}: must be given"
    for name, value in inputs.items():
        if name not in known:
            yield f"{path}{name}: no such property; there are: {', '.join(sorted(known))}"
        else:
            yield from _value_problems(known[name], value, f"{path}{name}")


def _value_problems(annotation: Any, value: Any, path: str) -> Iterator[str]:
    if value is None or value == UNKNOWN:
        return
    variants = list(_variants(annotation))
    if Any in variants:
        return
    nested: list[str] = []
    for variant in variants:
        problems = list(_variant_problems(variant, value, path))
        if not problems:
            return
        if all(not problem.startswith(f"{path}: ") for problem in problems):
            nested = problems
    yield from nested or [f"{path}: must be {' or '.join(dict.fromkeys(map(_called, variants)))}, not {_kind(value)}"]


def _variants(annotation: Any) -> Iterator[Any]:
    """Yield the plain types of an annotation: without Optional, Input, Output and Awaitable."""
    origin = typing.get_origin(annotation)
    if origin in (typing.Union, types.UnionType):
        for argument in typing.get_args(annotation):
            yield from _variants(argument)
    elif origin in (collections.abc.Awaitable, pulumi.Output) or annotation is type(None):
        return
    elif not isinstance(annotation, typing.ForwardRef):
        yield annotation


def _variant_problems(variant: Any, value: Any, path: str) -> Iterator[str]:
    origin = typing.get_origin(variant) or variant
    if origin in (list, collections.abc.Sequence):
        if not isinstance(value, list):
            yield f"{path}: must be a list"
            return
        for index, item in enumerate(typing.cast(list[Any], value)):
            yield from _value_problems(typing.get_args(variant)[0], item, f"{path}[{index}]")
    elif origin in (dict, collections.abc.Mapping):
        if not isinstance(value, dict):
            yield f"{path}: must be a mapping"
            return
        for key, item in typing.cast(dict[str, Any], value).items():
            yield from _value_problems(typing.get_args(variant)[1], item, f"{path}.{key}")
    elif _types.is_input_type(origin):
        if not isinstance(value, dict):
            yield f"{path}: must be a block"
            return
        yield from _block_problems(origin, typing.cast(dict[str, Any], value), f"{path}.")
    elif not _is_a(origin, value):
        yield f"{path}: must be {_called(variant)}"


def _is_a(expected: type, value: object) -> bool:
    if expected is bool:
        return isinstance(value, bool)
    # The wire knows one kind of number.
    if expected in (int, float):
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return is_number and (expected is float or float(typing.cast(float, value)).is_integer())
    return isinstance(value, str)


def _kind(value: object) -> str:
    """Return what kind of value was given: never the value, which may be a secret."""
    names = {"bool": "true or false", "dict": "a block", "list": "a list", "str": "text"}
    return names.get(type(value).__name__, "a number")


def _called(variant: Any) -> str:
    names = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}
    origin = typing.get_origin(variant) or variant
    if origin in (list, collections.abc.Sequence):
        return "a list"
    if origin in (dict, collections.abc.Mapping) or _types.is_input_type(origin):
        return "a block"
    return names.get(variant, "text")
