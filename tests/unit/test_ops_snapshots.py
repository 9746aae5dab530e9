"""Snapshots of Consul and Nomad: found in the backups bucket, and given back to the services."""

from __future__ import annotations

import ssl
from collections.abc import Generator
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from moto import mock_aws

from configs.tables.names import BACKUPS_BUCKET, Names, PublicNames, Service
from configs.tables.schedulers import Scheduler
from engine.stack_files import ROOT, stack_settings
from lab.doors import Credentials, Door, HeldJob, Received, ServerCertificate, issued
from ops.aws import Region
from ops.dns import Resolvers
from ops.entrance import Entrance
from ops.problems import Unknown
from ops.snapshots import Snapshot, latest, restore
from tests.unit.entrances import opened_entrance

SETTINGS = stack_settings(ROOT, "dr")
REGION = SETTINGS.regions.standby.name
PUBLIC = PublicNames(SETTINGS.domain)
NAMES = Names(SETTINGS.name, SETTINGS.account_id, REGION)
BUCKET = NAMES.bucket(BACKUPS_BUCKET)
CREDENTIALS = Credentials("consul-token", "nomad-token", ("admin", "password"))
TAKEN = datetime(2026, 1, 2, tzinfo=UTC)


@pytest.fixture(scope="module")
def certificate() -> ServerCertificate:
    """The region's certificate."""
    return issued(PUBLIC.all_regional(REGION))


@pytest.fixture
def region() -> Generator[Region]:
    """The standby region with its backups bucket, in which a snapshot of the primary's Nomad lies."""
    with mock_aws():
        region = Region(REGION)
        region.s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
        region.s3.put_object(Bucket=BUCKET, Key="snapshots/us-east-1/nomad.snap", Body=b"\x1f\x8b nomad")
        region.s3.put_object(Bucket=BUCKET, Key="snapshots/us-west-2/consul.snap", Body=b"\x1f\x8b consul")
        yield region


def opened(certificate: ServerCertificate) -> AbstractContextManager[tuple[Door, Entrance]]:
    return opened_entrance(PUBLIC, REGION, CREDENTIALS, certificate)


def test_the_snapshot_of_the_region_asked_for(region: Region) -> None:
    """The empty standby's own snapshot, offered as the one of the region that is lost."""
    found = latest(region, NAMES, "us-east-1", Service.NOMAD)
    assert found is not None
    assert (found.service, found.key) == (Service.NOMAD, "snapshots/us-east-1/nomad.snap")
    assert abs(datetime.now(UTC) - found.taken) < timedelta(minutes=1)
    assert latest(region, NAMES, "us-east-1", Service.CONSUL) is None


def test_without_its_bucket_nothing_is_known(region: Region) -> None:
    """A bucket that may not be read, taken for one in which no snapshot is."""
    elsewhere = Names("other", SETTINGS.account_id, REGION)
    with pytest.raises(Unknown, match=r"^the last snapshot of nomad of us-east-1: .*NoSuchBucket"):
        latest(region, elsewhere, "us-east-1", Service.NOMAD)
    gone = Snapshot(Service.NOMAD, "snapshots/us-east-1/gone.snap", TAKEN)
    with pytest.raises(Unknown, match=r"^the snapshot snapshots/us-east-1/gone\.snap: .*NoSuchKey"):
        restore(region, NAMES, gone, Entrance(PUBLIC, REGION, Resolvers([]), ssl.create_default_context()), "x")


@pytest.mark.parametrize(
    ("service", "key", "token", "received", "content"),
    [
        (
            Service.CONSUL,
            "snapshots/us-west-2/consul.snap",
            "consul-token",
            Received("consul.us-west-2.mlops.example.com", "PUT", "/v1/snapshot"),
            b"\x1f\x8b consul",
        ),
        (
            Service.NOMAD,
            "snapshots/us-east-1/nomad.snap",
            "nomad-token",
            Received("nomad.us-west-2.mlops.example.com", "PUT", "/v1/operator/snapshot"),
            b"\x1f\x8b nomad",
        ),
    ],
)
def test_a_snapshot_is_given_back(
    region: Region,
    certificate: ServerCertificate,
    service: Scheduler,
    key: str,
    token: str,
    received: Received,
    content: bytes,
) -> None:
    """A snapshot given to the other service, or to another region's, or changed on its way."""
    with opened(certificate) as (door, entrance):
        restore(region, NAMES, Snapshot(service, key, TAKEN), entrance, token)
        assert door.received == [received]
        assert door.restored == {service: content}


def test_a_restore_forgets_the_jobs(region: Region, certificate: ServerCertificate) -> None:
    """A stand-in that keeps jobs over a restore, and so hides that they were registered too early."""
    with opened(certificate) as (door, entrance):
        door.jobs["pushgateway"] = HeldJob({"ID": "pushgateway"}, 1)
        snapshot = latest(region, NAMES, "us-east-1", Service.NOMAD)
        assert snapshot is not None
        restore(region, NAMES, snapshot, entrance, "nomad-token")
        assert door.jobs == {}


def test_a_refusal_is_unknown(
    region: Region, certificate: ServerCertificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A restore that was refused, or cut off, reported as done."""
    snapshot = Snapshot(Service.NOMAD, "snapshots/us-east-1/nomad.snap", TAKEN)
    with opened(certificate) as (door, entrance):
        with pytest.raises(Unknown) as refused:
            restore(region, NAMES, snapshot, entrance, "another")
        assert door.restored == {}

        def cut(_: object, request: httpx.Request) -> httpx.Response:
            raise httpx.ReadError("[Errno 104] Connection reset by peer", request=request)

        monkeypatch.setattr("ops.entrance.NamedTransport.handle_request", cut)
        with pytest.raises(Unknown) as lost:
            restore(region, NAMES, snapshot, entrance, "nomad-token")
    what = "restoring snapshots/us-east-1/nomad.snap: nomad"
    assert str(refused.value) == f"{what}: HTTP 403: Permission denied"
    assert str(lost.value) == f"{what}: Connection reset by peer"
