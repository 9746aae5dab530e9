"""Models as files: what a service reads back is what was meant."""

import configparser
import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import UndefinedError

from configs.text import ini_text, template, yaml_text

SCALARS = st.none() | st.booleans() | st.integers() | st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]))
LINES = st.lists(st.text("ab :#-'\"{}%$", max_size=8), min_size=2).map("\n".join)
MODELS = st.recursive(
    SCALARS | LINES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", min_size=1), inner, max_size=3),
    max_leaves=10,
)


@given(MODELS)
def test_yaml_is_read_back_as_it_was(model: object) -> None:
    """Guards against a label or a password that YAML takes for a number, a date or the end of the file."""
    assert yaml.safe_load(yaml_text(model)) == model


def test_yaml_is_written_for_people() -> None:
    """Guards against keys in another order, rules in one escaped line, and references that nobody can follow."""
    labels = {"severity": "critical"}
    model = {"z": {"expr": "a\n> b\n", "labels": labels}, "a": [labels, "ü" * 130, True, "yes", 1.5]}
    assert yaml_text(model) == (
        "z:\n  expr: |\n    a\n    > b\n  labels:\n    severity: critical\n"
        f"a:\n- severity: critical\n- {'ü' * 130}\n- true\n- 'yes'\n- 1.5\n"
    )


def test_ini_keeps_names_and_values() -> None:
    """Guards against a name in lower case, and a percent or dollar sign that something is filled in for."""
    sections = {"pgbouncer": {"auth_type": "scram-sha-256", "Case": "${a} %(b)s $__file{/x}"}, "databases": {}}
    written = ini_text(sections)
    assert written == ("[pgbouncer]\nauth_type = scram-sha-256\nCase = ${a} %(b)s $__file{/x}\n\n[databases]\n\n")
    parser = configparser.RawConfigParser()
    parser.read_string(written)
    assert parser["pgbouncer"]["case"] == "${a} %(b)s $__file{/x}"


def test_a_template_writes_what_hcl_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against values without quotes, lines that a loop leaves behind, and an empty place for a misspelling."""
    package = tmp_path / "templated"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "x.hcl.j2").write_text("{% for one in many %}\n  a = {{ one | hcl }}\n{% endfor %}\n")
    monkeypatch.setattr("sys.path", [str(tmp_path), *sys.path])
    many = [True, 3, 'a "b" <&> ${c}', ["x", "y"]]
    assert template(package.name, "x.hcl.j2", many=many) == (
        '  a = true\n  a = 3\n  a = "a \\"b\\" <&> ${c}"\n  a = ["x", "y"]\n'
    )
    with pytest.raises(UndefinedError, match="'many' is undefined"):
        template(package.name, "x.hcl.j2", few=[])
