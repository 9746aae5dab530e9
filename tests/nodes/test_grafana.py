"""Grafana's files: against what is documented, because no program of it is to be had here that would read them."""

import configparser
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from configs.bundle import services
from configs.grafana.dashboards import dashboards
from configs.service import NodeService
from tests.nodes.world import NODES, context_of, settings_of
from toolchain import tools

VALIDATED = (
    "/etc/mlops-ha/grafana/grafana.ini",
    "/etc/mlops-ha/grafana/provisioning/*/platform.yaml",
    "/etc/mlops-ha/grafana/dashboards/*.json",
)

SETTINGS: dict[str, Any] = yaml.safe_load((Path(__file__).parent / "grafana_settings.yaml").read_text())

SERVING = [(stack, node) for stack, node in NODES if node.startswith("control-plane") and settings_of(stack).serves]

SECONDS = 60
"""Longest that promtool takes."""


def grafana_of(stack: str, node: str) -> NodeService:
    [found] = [one for one in services(context_of(stack, node)) if one.name == "grafana"]
    return found


def sections_of(service: NodeService) -> dict[str, dict[str, str]]:
    parser = configparser.RawConfigParser()
    parser.read_string(service.files["/etc/mlops-ha/grafana/grafana.ini"].text)
    return {name: dict(parser[name]) for name in parser.sections()}


def models_of(service: NodeService) -> Iterator[dict[str, Any]]:
    for path, file in service.files.items():
        if path.endswith(".json"):
            yield json.loads(file.text)


@pytest.mark.parametrize(("stack", "node"), SERVING)
def test_every_setting_is_documented(stack: str, node: str) -> None:
    """Guards against a misspelt key, which Grafana passes over in silence, and what it no longer knows."""
    sections = sections_of(grafana_of(stack, node))
    unknown = {
        f"{name}.{key}"
        for name, section in sections.items()
        for key in section
        if key not in SETTINGS["known"].get(name, ())
    }
    assert unknown == set()
    assert not {*SETTINGS["removed"], "feature_toggles"} & set(sections)
    # Variables: a whole value is one of a file, and no other kind is meant.
    assert {value for section in sections.values() for value in section.values() if "$" in value or "%" in value} == {
        f"$__file{{/run/mlops-ha/grafana/{name}}}"
        for name in (
            "administrator-password",
            "database-password",
            "metrics-password",
            "secret-key",
        )
    }


@pytest.mark.parametrize(("stack", "node"), SERVING)
def test_what_it_names_is_there(stack: str, node: str) -> None:
    """Guards against a file, a folder or a data source that a setting names and nobody makes."""
    service = grafana_of(stack, node)
    made = {*service.files, *(file.path for file in service.secrets)}
    folders = {str(Path(path).parent) for path in made} | {directory.path for directory in service.directories}
    everything = [file.text for file in service.files.values()] + list(service.environment.values())
    named = {found for text in everything for found in re.findall(r"/(?:etc|run)/mlops-ha/[\w./-]+", text)}
    assert named - made - folders - {"/etc/mlops-ha/grafana/provisioning"} == set()
    provisioning = service.environment["GF_PATHS_PROVISIONING"]
    assert {path for path in service.files if path.startswith(provisioning)} == {
        f"{provisioning}/datasources/platform.yaml",
        f"{provisioning}/dashboards/platform.yaml",
    }
    sources = yaml.safe_load(service.files[f"{provisioning}/datasources/platform.yaml"].text)["datasources"]
    uids = {one["uid"] for one in sources}
    models = list(models_of(service))
    asked = {
        target["datasource"]["uid"] for model in models for panel in model["panels"] for target in panel["targets"]
    }
    assert (asked, uids) == ({"prometheus"}, {"prometheus", "alertmanager"})
    assert len({model["uid"] for model in models}) == len(models) == 5
    # Grafana replaces what looks like a variable in these files.
    assert "$" not in "".join(file.text for path, file in service.files.items() if path.startswith(provisioning))


@pytest.mark.parametrize(("stack", "node"), SERVING[:1])
def test_panels_lie_side_by_side(stack: str, node: str) -> None:
    """Guards against panels that lie over one another, and ids that Grafana would take for the same panel."""
    for model in models_of(grafana_of(stack, node)):
        cells = [
            (x, y)
            for panel in model["panels"]
            for place in [panel["gridPos"]]
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        ]
        assert len(cells) == len(set(cells))
        assert max(x for x, _ in cells) == 23
        ids = [panel["id"] for panel in model["panels"]]
        assert ids == list(range(1, len(ids) + 1))


def test_prometheus_understands_every_query(tmp_path: Path) -> None:
    """Guards against a panel that shows an error in place of a curve."""
    found = dashboards(target=70, least=3, most=20)
    queries = [query.expression for one in found for panel in one.panels() for query in panel.queries]
    rules = [
        {"record": f"query:{number}", "expr": query.replace("$__rate_interval", "5m")}
        for number, query in enumerate(queries)
    ]
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboards", "rules": rules}]}))
    checked = subprocess.run(
        [tools.find("promtool"), "check", "rules", file], capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert f"{len(queries)} rules found" in checked.stdout
