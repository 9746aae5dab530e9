"""`mlops-ha verify` and `restore`, on both regions as they are deployed."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from configs.nodes import snapshot_key
from configs.tables.names import BACKUPS_BUCKET, Service
from lab.rehearsal import Rehearsal
from ops.nodes import reports
from ops.problems import Stop
from ops.verify import verify
from tests.engine.test_failover import HERE, LOST, site


def silently(_: str) -> None:
    """Stand for whoever watches."""


@pytest.mark.parametrize(
    ("stack", "checked"),
    [
        ("prod", "quorum, targets, workers, database, ML data, TLS, services"),
        # A standby serves nobody.
        ("dr", "quorum, targets, workers, database, ML data, TLS"),
    ],
)
def test_what_was_deployed_is_as_it_should_be(stage: Rehearsal, stack: str, checked: str) -> None:
    """An `up` that is called done before the region is well."""
    assert verify(site(stage, stack), silently, timedelta()) == checked


def test_what_is_lacking_is_said_at_the_deadline(stage: Rehearsal) -> None:
    """A replica that fell behind, ill servers, a service that is down, and a command that says all is well."""
    stage.account.lag("mlops-postgres", 3600.0)
    with pytest.raises(Stop, match=r"after 0 s: database: it is 36\d\d s behind its source"):
        verify(site(stage), silently, timedelta())
    stage.account.lag("mlops-postgres", 2.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("offline.objects.SILENT", frozenset({"control-plane-1", "control-plane-2"}))
        with pytest.raises(Stop, match="quorum: 1 of 3 servers are healthy, 2 must be"):
            verify(site(stage), silently, timedelta())
    stage.doors[LOST].consul_leader = ""
    with pytest.raises(Stop, match="services: consul: it has no leader"):
        verify(site(stage, "prod"), silently, timedelta())
    stage.close(HERE)
    with pytest.raises(Stop, match="TLS: "):
        verify(site(stage), silently, timedelta())


def test_a_clock_that_is_behind_makes_no_old_report_new(stage: Rehearsal, monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers that died an hour ago and count as well, on a machine whose clock is an hour behind."""
    monkeypatch.setattr("offline.objects.SILENT", frozenset({"control-plane-1"}))
    one = site(stage)
    behind = datetime.now(UTC) - timedelta(hours=1)
    found = reports(one.region, one.names, one.settings, behind)
    assert {name: state.fresh for name, state in found.items() if name.startswith("control-plane")} == {
        "control-plane-1": False,
        "control-plane-2": True,
        "control-plane-3": True,
    }


def test_a_snapshot_is_put_back_when_somebody_says_so(stage: Rehearsal) -> None:
    """A scheduler that stays empty, or one whose jobs are replaced by a slip of the hand."""

    def restore(*options: str) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-m", "cli", "restore", "nomad", *options],
            cwd=stage.checkout,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, " ".join((done.stdout + done.stderr).split())

    standby = site(stage)
    code, said = restore("--yes")
    assert (code, said) == (1, "there is no snapshot of nomad of us-east-1")
    key = snapshot_key(LOST, Service.NOMAD)
    standby.region.s3.put_object(Bucket=standby.names.bucket(BACKUPS_BUCKET), Key=key, Body=b"a snapshot")
    # Users are served where the stack serves: Nomad answers behind the load balancer of an active region.
    stage.doors[HERE].look = None
    code, said = restore()
    assert code != 0
    assert "Replace all that nomad in us-west-2 knows" in said
    assert stage.doors[HERE].restored == {}
    code, said = restore("--yes")
    assert code == 0, said
    assert f"nomad: restored from {key}" in said
    assert "job pushgateway: added" in said
    assert stage.doors[HERE].restored == {Service.NOMAD: b"a snapshot"}
