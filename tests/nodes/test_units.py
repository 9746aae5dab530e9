"""Units and accounts of every node, as systemd itself reads them."""

import os
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from configs.manifest import Bundle, File
from configs.tables.accounts import ACCOUNTS, ROOT
from configs.tables.paths import ACCOUNTS_FILE, UNITS
from configs.user_data import ENVIRONMENT_FILE, SERVICE, UNIT
from lab.namespaces import GROUND
from tests.nodes.world import NODES, SECONDS, bundle_of, laid
from tests.unit.test_service import BINARY

VALIDATED = (f"{UNITS}/mlops-ha-*.service", ACCOUNTS_FILE)

STAND_IN = File(lines=("#!/bin/sh", "exit 1"), mode="0755")
"""Of a program that a machine has and this one may lack."""


def with_agent(bundle: Bundle, unit: str) -> Bundle:
    """The bundle of a node with what its user data wrote before: the boot agent's unit."""
    agent = {
        f"{UNITS}/{SERVICE}": File.of(unit),
        ENVIRONMENT_FILE: File.of("BUNDLES_BUCKET=x\n"),
        "/usr/bin/aws": STAND_IN,
    }
    return bundle.model_copy(update={"files": bundle.files | agent})


def complaints(folder: Path, stack: str, node: str, changed: Bundle) -> list[str]:
    """What systemd says of a node's units. It answers success whatever it finds, and says it twice."""
    units = sorted(path for path in changed.files if path.startswith(f"{UNITS}/"))
    done = laid(folder, stack, node, changed).run("systemd-analyze", "verify", "--man=no", *units)
    return sorted({line for line in done.stderr.splitlines() if "mlops-ha" in line})


@pytest.mark.parametrize(("stack", "node"), NODES)
def test_systemd_understands_every_unit(stack: str, node: str, tmp_path: Path) -> None:
    """Guards against a misspelt setting, one in the wrong section, and a program or an account that is not there."""
    bundle = bundle_of(stack, node)
    assert complaints(tmp_path, stack, node, with_agent(bundle, UNIT)) == []


def test_a_wrong_unit_is_seen(tmp_path: Path) -> None:
    """Guards against a look at units that finds nothing wrong with anything."""
    bundle = bundle_of("prod", "worker")
    path = f"{UNITS}/mlops-ha-node-exporter.service"
    text = bundle.files[path].text.replace("RestartSec=", "RestartSecs=").replace("bin/node_exporter", "bin/nothing")
    wrong = bundle.model_copy(update={"files": bundle.files | {path: File.of(text)}})
    [agent, misspelt, missing] = complaints(
        tmp_path, "prod", "worker", with_agent(wrong, UNIT.replace("IntervalSec=", "IntervalSecs="))
    )
    assert "Unknown key 'RestartSecs' in section [Service]" in misspelt
    assert "bin/nothing is not executable" in missing
    assert "Unknown key 'StartLimitIntervalSecs' in section [Unit]" in agent


NASTY = (
    *(
        "a b",
        "",
        "  ",
        "'single'",
        'double "quotes"',
        "back\\slash",
        "\\x41",
        "100%",
        "%n",
        ";",
        "a;b",
        "&",
        "|",
        "*",
    ),
    *("{{ x }}", "[a]=1", "$", "a#", "ü€😀", "`ls`", "-", "--env=A", "a~", "a\\", "=", "!", "@"),
)
"""Arguments that lose something with whoever reads them carelessly."""


MANAGER = ("/lib/systemd/systemd", "--test", "--user", "--unit=nasty.service", "--log-target=console")
"""systemd that reads units, prints what it has read and starts nothing."""


def test_systemd_reads_the_arguments_that_were_meant(tmp_path: Path) -> None:
    """Guards against a reading of systemd's rules that systemd does not share."""
    # Another account reads and writes it, but may not enter the folder that it is in.
    tmp_path.chmod(0o777)
    elsewhere = ["unshare", "--mount", "sh", "-c", f'mount --bind "$0" {GROUND} && exec "$@"', str(tmp_path)]
    program = f"{GROUND}/program"
    (tmp_path / "program").write_text("#!/bin/sh\n")
    (tmp_path / "program").chmod(0o755)
    text = replace(BINARY, arguments=NASTY).unit[1].text
    # A user's manager, which any account may run, changes to no other account. Here it has this one unit.
    lines = [line for line in text.splitlines() if not line.startswith(("User=", "Group="))]
    unit = "\n".join(lines).replace("/opt/mlops-ha/bin/prometheus", program)
    unit = unit.replace("[Unit]", "[Unit]\nDefaultDependencies=no")
    (tmp_path / "nasty.service").write_text(unit)
    done = subprocess.run(
        [*elsewhere, "setpriv", "--reuid=65534", "--clear-groups", *MANAGER],
        env={"PATH": os.environ["PATH"]} | dict.fromkeys(("XDG_RUNTIME_DIR", "SYSTEMD_UNIT_PATH"), GROUND),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    [command] = re.findall(rf"Command Line: ({re.escape(program)} .*)", done.stdout)
    # It prints words so that a shell reads them back.
    words = subprocess.run(["bash", "-c", f"printf '%s\\0' {command}"], capture_output=True, text=True, check=True)
    assert words.stdout.split("\0") == [program, *NASTY, ""]


@pytest.mark.parametrize("node", ["control-plane-1", "load-balancer-haproxy", "load-balancer-nginx", "worker"])
def test_accounts_are_made_as_the_table_says(node: str, tmp_path: Path) -> None:
    """Guards against an account that is missing, or has another number than its containers run as."""
    bundle = bundle_of("prod", node)
    etc = tmp_path / "etc"
    etc.mkdir()
    (etc / "passwd").write_text("root:x:0:0::/:/bin/sh\n")
    (etc / "group").write_text("root:x:0:\n")
    given = tmp_path / "mlops-ha.conf"
    given.write_text(bundle.files[ACCOUNTS_FILE].text)
    subprocess.run(["systemd-sysusers", f"--root={tmp_path}", str(given)], check=True, capture_output=True)
    made = {line.split(":")[0]: tuple(line.split(":")[2:4]) for line in (etc / "passwd").read_text().splitlines()[1:]}
    numbers = {account.name: str(account.number) for account in ACCOUNTS}
    assert made == {name: (numbers[name], numbers[name]) for name in made}
    owners = {file.owner for secret in bundle.manifest.secrets for file in secret.files}
    owners |= {directory.owner for directory in bundle.manifest.directories}
    assert owners - {ROOT.name} <= set(made)
