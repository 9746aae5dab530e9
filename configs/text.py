"""Models as files: HCL and cfg from templates, YAML, INI and JSON from serialisers. Never from pasted strings."""

from __future__ import annotations

import configparser
import io
import json
from collections.abc import Mapping
from functools import cache
from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined


@cache
def _environment(package: str) -> Environment:
    environment = Environment(  # noqa: S701  (configuration files, no pages)
        loader=PackageLoader(package, "."),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["hcl"] = json.dumps
    return environment


def template(package: str, name: str, **values: Any) -> str:
    """Fill a template that lies in a package of ``configs``.

    In it, ``{{ value | hcl }}`` writes a string, a number, a boolean or a list of them as HCL. ``${`` in a string
    stays: agents read HCL 1, which fills nothing in (https://github.com/hashicorp/hcl/tree/hcl1).

    Raises:
        jinja2.UndefinedError: the template asks for what is not given.
    """
    return _environment(package).get_template(name).render(**values)


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002  (the base class gives it)
        # What is said twice is written twice: people look for it where it belongs.
        return True


def _represent(_dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    # Several lines as several lines: a rule or a template is read by people.
    return yaml.ScalarNode("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Dumper.add_representer(str, _represent)


def yaml_text(model: object) -> str:
    """Write plain dictionaries, lists and scalars as YAML, keys in the order given."""
    return yaml.dump(model, Dumper=_Dumper, sort_keys=False, width=118, allow_unicode=True)


def ini_text(sections: Mapping[str, Mapping[str, str]]) -> str:
    """Write sections as INI. Nothing in a value is interpolated."""
    parser = configparser.RawConfigParser()
    parser.optionxform = str  # type: ignore[method-assign,assignment]  # names keep their case
    parser.read_dict(sections)
    text = io.StringIO()
    parser.write(text)
    return text.getvalue()
