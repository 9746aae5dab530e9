"""Prometheus's rules, by promtool: each alert fires when it should, and is silent when it should be."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from configs.bundle import bundle
from configs.context import Context
from configs.manifest import Bundle
from configs.nodes import control_plane
from configs.prometheus.rules import PATTERN, Alert, Recording, alerts, groups
from engine.stack_files import ROOT
from tests.nodes.rule_cases import CASES, Case, Labels
from tests.nodes.world import FACTS, NODES, Laid, bundle_of, laid
from tests.unit.mocks import stack_settings
from toolchain import tools

VALIDATED = (PATTERN,)

SETTINGS = stack_settings("prod", monitoring={"remoteWriteUrl": "https://metrics.example.com/api/v1/write"})
"""With every alert that there is."""

NODE = control_plane(SETTINGS)[0]
CONTEXT = Context(SETTINGS, NODE, FACTS)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Laid:
    everything = Bundle.model_validate_json(bundle(SETTINGS, NODE, FACTS))
    return laid(tmp_path_factory.mktemp("node"), "prod", NODE.name, everything)


def rules_of(found: Bundle) -> dict[str, str]:
    return {path: file.text for path, file in found.files.items() if Path(path).match(PATTERN)}


def promtool(where: Laid, *arguments: str) -> subprocess.CompletedProcess[str]:
    return where.run(str(tools.find("promtool")), *arguments)


def test_rules_are_rules(tmp_path: Path) -> None:
    """A rule that Prometheus refuses, with its whole configuration: it does not start."""
    wrong: list[str] = []
    seen: set[str] = set()
    for stack, name in NODES:
        found = rules_of(bundle_of(stack, name))
        assert bool(found) == name.startswith("control-plane")
        # Every server of a stack has the same.
        if (text := repr(found)) in seen:
            continue
        seen.add(text)
        done = promtool(laid(tmp_path / f"{stack}-{name}", stack, name), "check", "rules", "--lint-fatal", *found)
        wrong += [] if done.returncode == 0 else [f"{stack} {name}: {done.stdout}{done.stderr}"]
    assert wrong == []
    assert len([one for one in seen if one != "{}"]) == 2, (
        "rules differ by whether users are served, and by nothing else"
    )


def test_alerts_fire_when_they_should(node: Laid, tmp_path: Path) -> None:
    """An alert that does not fire when it should, or fires when it should not."""
    files: list[str] = []
    for name, rules in groups(CONTEXT).items():
        own = {rule.name for rule in rules if isinstance(rule, Alert)}
        # Its own group alone: each case evaluates all that is loaded, every minute.
        content = {
            "rule_files": [PATTERN.replace("*", name)],
            "evaluation_interval": "1m",
            "tests": [test(case) for case in CASES if case.alert in own],
        }
        file = tmp_path / f"{name}.yaml"
        file.write_text(yaml.safe_dump(content))
        files.append(str(file))
    done = promtool(node, "test", "rules", *files)
    assert (done.returncode, (done.stdout + done.stderr).split()) == (0, ["SUCCESS"] * len(files))


def test(case: Case) -> dict[str, object]:
    firing = f'{{alertname="{case.alert}", alertstate="firing"}}'
    moments = {**dict.fromkeys(case.silent, ()), **case.fires}
    return {
        "name": case.alert,
        "interval": "1m",
        "input_series": [{"series": series, "values": values} for series, values in case.series.items()],
        "promql_expr_test": [
            {
                "expr": f"ALERTS{firing}",
                "eval_time": f"{minute}m",
                "exp_samples": [
                    {"labels": f"ALERTS{firing[:-1]}, {labels(expected)}}}", "value": 1} for expected in found
                ],
            }
            for minute, found in sorted(moments.items())
        ],
    }


test.__test__ = False  # type: ignore[attr-defined]  # no test of pytest's, one of promtool's


def labels(expected: Labels) -> str:
    return ", ".join(f'{name}="{value}"' for name, value in expected.items())


def test_every_alert_has_a_case() -> None:
    """An alert that nobody has ever seen fire, or seen silent."""
    names = {alert.name for alert in alerts(CONTEXT)}
    assert {case.alert for case in CASES if case.fires} == names
    # The watchdog is never silent.
    assert {case.alert for case in CASES if case.silent} == names - {"Watchdog"}


def test_every_alert_tells_what_to_do() -> None:
    """A message at night that leads nowhere."""
    found = alerts(CONTEXT)
    assert [alert.name for alert in found if not (alert.summary and alert.description)] == []
    pages = {alert.runbook for alert in found}
    assert [page for page in pages if not (ROOT / "docs" / "runbooks" / f"{page}.md").is_file()] == []
    # The page says the alert's name, so that it is found by it.
    texts = {page: (ROOT / "docs" / "runbooks" / f"{page}.md").read_text() for page in pages}
    assert [alert.name for alert in found if f"`{alert.name}`" not in texts[alert.runbook]] == []


def test_recordings_come_first() -> None:
    """A recording that is evaluated after the alert that reads it: the alert is one evaluation late."""
    for rules in groups(CONTEXT).values():
        kinds = [isinstance(rule, Recording) for rule in rules]
        assert kinds == sorted(kinds, reverse=True)
        known = {rule.record for rule in rules if isinstance(rule, Recording)}
        used = {
            name
            for rule in rules
            if isinstance(rule, Alert)
            for name in re.findall(r"mlops:[a-z_:]+", rule.expression)
        }
        assert used <= known
