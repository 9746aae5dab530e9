"""The platform's own jobs: their files, and how they are registered with Nomad."""

from __future__ import annotations

import re
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from configs.tables.flows import PUSHGATEWAY
from configs.tables.names import Names, PublicNames
from configs.tables.versions import VERSIONS, Software, image
from engine.stack_files import ROOT, stack_settings
from lab.doors import Credentials, Door, HeldJob, ServerCertificate, issued
from ops.entrance import Entrance
from ops.jobs import JOB_IMAGES, JOBS, SUFFIX, JobFile, Outcome, Registration, job_files, register
from ops.problems import Stop, Unknown
from tests.unit.entrances import opened_entrance

SETTINGS = stack_settings(ROOT, "dr")
REGION = SETTINGS.regions.standby.name
PUBLIC = PublicNames(SETTINGS.domain)
NAMES = Names(SETTINGS.name, SETTINGS.account_id, REGION)
CREDENTIALS = Credentials("consul-token", "nomad-token", ("admin", "password"))
TEXT = (JOBS / f"pushgateway{SUFFIX}").read_text()
JOB = JobFile("pushgateway", TEXT, {"image": "registry/pushgateway:v1"})


@pytest.fixture(scope="module")
def certificate() -> ServerCertificate:
    """The region's certificate."""
    return issued(PUBLIC.all_regional(REGION))


def opened(certificate: ServerCertificate) -> AbstractContextManager[tuple[Door, Entrance]]:
    return opened_entrance(PUBLIC, REGION, CREDENTIALS, certificate)


def asked(door: Door) -> list[str]:
    return [f"{one.method} {one.path}" for one in door.received]


PARSED_AND_PLANNED = ["POST /v1/jobs/parse", "POST /v1/job/pushgateway/plan"]


def test_a_job_is_registered_once(certificate: ServerCertificate) -> None:
    """A second run of the command that restarts what runs already."""
    with opened(certificate) as (door, entrance):
        assert register(entrance, "nomad-token", [JOB]) == (Registration("pushgateway", Outcome.ADDED),)
        assert asked(door) == [*PARSED_AND_PLANNED, "POST /v1/jobs"]
        assert door.jobs["pushgateway"].job["Variables"] == {"image": "registry/pushgateway:v1"}
        door.received.clear()
        assert register(entrance, "nomad-token", [JOB]) == (Registration("pushgateway", Outcome.UNCHANGED),)
        assert asked(door) == PARSED_AND_PLANNED
        assert door.index == 1


def test_what_differs_is_registered(certificate: ServerCertificate) -> None:
    """A region that keeps running the image of the region that is lost."""
    with opened(certificate) as (door, entrance):
        register(entrance, "nomad-token", [JOB])
        newer = replace(JOB, variables={"image": "registry/pushgateway:v2"})
        assert register(entrance, "nomad-token", [newer]) == (Registration("pushgateway", Outcome.EDITED),)
        assert door.jobs["pushgateway"].index == 2
        assert door.jobs["pushgateway"].job["Variables"] == {"image": "registry/pushgateway:v2"}


def test_somebody_elses_change_is_not_overwritten(
    certificate: ServerCertificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job that somebody repaired between plan and registration, set back to what was planned."""
    with opened(certificate) as (door, entrance):
        send = httpx.Client.post

        def post(self: httpx.Client, url: str, *, json: object) -> httpx.Response:
            if url == "/v1/jobs":
                door.jobs["pushgateway"] = HeldJob({"ID": "pushgateway"}, 7)
            return send(self, url, json=json)

        monkeypatch.setattr(httpx.Client, "post", post)
        with pytest.raises(Stop) as stop:
            register(entrance, "nomad-token", [JOB])
        assert door.jobs["pushgateway"].index == 7
    assert str(stop.value) == (
        "somebody else changed the job pushgateway at this moment"
        " (Enforcing job modify index 0: job already exists): look, then run it again"
    )


@pytest.mark.parametrize(
    ("job", "why"),
    [
        (
            replace(JOB, text="# nothing"),
            "Nomad refuses jobs/pushgateway.nomad.hcl: error parsing job file: no job block found",
        ),
        (
            replace(JOB, variables={"picture": "x"}),
            "Nomad refuses jobs/pushgateway.nomad.hcl: Undefined variable: picture",
        ),
        (
            replace(JOB, name="other"),
            "jobs/other.nomad.hcl is of the job pushgateway: file and job must have the same name",
        ),
    ],
)
def test_a_bad_job_file_is_told(job: JobFile, why: str, certificate: ServerCertificate) -> None:
    """A job file that is passed over, or registered under another file's name."""
    with opened(certificate) as (door, entrance):
        with pytest.raises(Stop) as stop:
            register(entrance, "nomad-token", [job])
        assert door.jobs == {}
    assert str(stop.value) == why


def test_a_refusal_is_unknown(certificate: ServerCertificate) -> None:
    """A wrong token, or a region that still stands by, taken for jobs that run."""
    with opened(certificate) as (door, entrance):
        with pytest.raises(Unknown) as refused:
            register(entrance, "another", [JOB])
        door.serving = False
        with pytest.raises(Unknown) as standing_by:
            register(entrance, "nomad-token", [JOB])
    assert str(refused.value) == (
        "whether the job pushgateway runs: Nomad: /v1/jobs/parse: HTTP 403: Permission denied"
    )
    assert str(standing_by.value) == (
        "whether the job pushgateway runs: Nomad: /v1/jobs/parse: HTTP 503: us-west-2 stands by: it serves nobody"
    )
    with pytest.raises(Unknown) as gone:
        register(entrance, "nomad-token", [JOB])
    assert str(gone.value).startswith("what DNS answers for nomad.us-west-2.mlops.example.com: ")


@pytest.mark.parametrize("content", ["<html>", "[]", '{"ID": "pushgateway"}'])
def test_another_answer_is_unknown(
    content: str, certificate: ServerCertificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page of somebody else's, taken for Nomad's word that nothing differs."""

    def page(_: object, request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, text=content, request=request)

    with opened(certificate) as (_, entrance):
        monkeypatch.setattr("ops.entrance.NamedTransport.handle_request", page)
        with pytest.raises((Unknown, Stop)):
            register(entrance, "nomad-token", [JOB])


def test_a_value_stays_as_it_is(certificate: ServerCertificate) -> None:
    """An image name that Nomad takes for a template, or that ends the line it is written in."""
    job = replace(JOB, variables={"image": 'a"\n${b}%{c}'})
    with opened(certificate) as (door, entrance):
        register(entrance, "nomad-token", [job])
        # The stand-in reads JSON: it leaves what HCL escapes.
        assert door.jobs["pushgateway"].job["Variables"] == {"image": 'a"\n$${b}%%{c}'}


def test_the_files_of_a_region(tmp_path: Path) -> None:
    """A region that fetches its images from the internet, or from the region that is dark."""
    assert job_files(SETTINGS, NAMES) == (
        JobFile(
            "pushgateway",
            TEXT,
            {"image": "123456789012.dkr.ecr.us-west-2.amazonaws.com/mlops/pushgateway:v1.11.1"},
        ),
    )
    older = SETTINGS.model_copy(update={"versions": {Software.PUSHGATEWAY: "1.10.0"}})
    assert job_files(older, NAMES)[0].variables["image"].endswith("/mlops/pushgateway:v1.10.0")
    # An example beside them is no job of the platform's own.
    (tmp_path / f"example{SUFFIX}").write_text('job "example" {}')
    with pytest.raises(FileNotFoundError, match=f"pushgateway{SUFFIX}"):
        job_files(SETTINGS, NAMES, tmp_path)


def test_files_and_tables_agree() -> None:
    """A port that no security group opens, or a version that was raised in one of two places."""
    files = {path.name.removesuffix(SUFFIX) for path in JOBS.glob(f"*{SUFFIX}")}
    assert files == {*JOB_IMAGES, "training"}
    assert re.findall(r"static\s*=\s*(\d+)", TEXT) == [str(PUSHGATEWAY.port)]
    mirrored = image(Software.PUSHGATEWAY, VERSIONS[Software.PUSHGATEWAY].version)
    assert re.findall(r'default\s*=\s*"([^"]+)"', TEXT) == [mirrored.reference, "docker"]
    assert re.findall(r'^job "([^"]+)"', TEXT, re.MULTILINE) == ["pushgateway"]
