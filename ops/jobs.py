"""The platform's own Nomad jobs, registered so often as one likes: what a region runs already stays as it is.

The protocol is https://developer.hashicorp.com/nomad/api-docs/jobs: Nomad parses the file, plans it, and is given it
only where the plan finds a difference, and only if nobody else has changed the job since that plan.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from pathlib import Path
from typing import Any, cast

import httpx

from configs.settings.model import Settings
from configs.tables.names import Names, Service
from configs.tables.schedulers import SCHEDULERS
from configs.tables.versions import Software, image
from engine.stack_files import ROOT
from ops.entrance import Entrance, reason
from ops.problems import Stop, Unknown

JOBS = ROOT / "jobs"
"""Where the job files are."""

SUFFIX = ".nomad.hcl"
"""What the name of a job file ends with; before it stands the job's id."""

JOB_IMAGES = {"pushgateway": Software.PUSHGATEWAY}
"""The platform's own jobs, and what each one's variable ``image`` is an image of. Other files are examples: who
started one knows when it is to run again."""

INDEX_CONFLICT = "Enforcing job modify index"
"""How Nomad begins, with status 500, when a job is no longer what was planned for (api/jobs.go,
RegisterEnforceIndexErrPrefix)."""


class Outcome(StrEnum):
    """What became of a job file."""

    ADDED = "added"
    EDITED = "edited"
    UNCHANGED = "unchanged"


@dataclass(frozen=True)
class JobFile:
    """A job: its id, its text in Nomad's language, and the values of its variables."""

    name: str
    text: str
    variables: Mapping[str, str]


@dataclass(frozen=True)
class Registration:
    """What became of a job; ``warnings`` are Nomad's own, empty when it has none."""

    name: str
    outcome: Outcome
    warnings: str = ""


def job_files(settings: Settings, names: Names, folder: Path = JOBS) -> tuple[JobFile, ...]:
    """Return the platform's jobs, by name, with the images that the region's own registry has of them.

    Args:
        settings: of the stack, for the versions.
        names: names in the region that runs the jobs.
        folder: where the job files are.

    Raises:
        FileNotFoundError: a job of JOB_IMAGES has no file.
    """
    return tuple(
        JobFile(name, (folder / f"{name}{SUFFIX}").read_text(), {"image": _image(name, settings, names)})
        for name in sorted(JOB_IMAGES)
    )


def _image(job: str, settings: Settings, names: Names) -> str:
    software = JOB_IMAGES[job]
    mirrored = image(software, settings.version(software))
    return f"{names.registry_host()}/{names.repository(mirrored.name)}:{mirrored.tag}"


def register(entrance: Entrance, token: str, jobs: Iterable[JobFile]) -> tuple[Registration, ...]:
    """Register what differs from what Nomad has; a second run finds nothing to do.

    Args:
        entrance: of the region.
        token: Nomad's management token.
        jobs: what is to run.

    Raises:
        Unknown: Nomad does not answer as documented: jobs may be registered or not; run it again.
        Stop: Nomad refuses a job file, or somebody else changed a job at this moment.
    """
    with entrance.client(Service.NOMAD) as nomad:
        nomad.headers[SCHEDULERS[Service.NOMAD].token_header] = token
        return tuple(_register(nomad, job) for job in jobs)


def _register(nomad: httpx.Client, file: JobFile) -> Registration:
    # JSON's strings are strings of HCL too, but for what begins a template.
    variables = "".join(f"{name} = {_quoted(value)}\n" for name, value in file.variables.items())
    request = {"JobHCL": file.text, "Variables": variables, "Canonicalize": True}
    job = _asked(nomad, file, "/v1/jobs/parse", request)
    if job.get("ID") != file.name:
        raise Stop(f"jobs/{file.name}{SUFFIX} is of the job {job.get('ID')}: file and job must have the same name")
    plan = _asked(nomad, file, f"/v1/job/{file.name}/plan", {"Job": job, "Diff": True})
    with _documented(file):
        difference, index = str(plan["Diff"]["Type"]), int(plan["JobModifyIndex"])
    if difference == "None":
        return Registration(file.name, Outcome.UNCHANGED)
    answer = _asked(nomad, file, "/v1/jobs", {"Job": job, "EnforceIndex": True, "JobModifyIndex": index})
    outcome = Outcome.ADDED if difference == "Added" else Outcome.EDITED
    return Registration(file.name, outcome, str(answer.get("Warnings") or ""))


def _quoted(value: str) -> str:
    return json.dumps(value).replace("${", "$${").replace("%{", "%%{")


def _asked(nomad: httpx.Client, file: JobFile, path: str, request: object) -> dict[str, Any]:
    try:
        response = nomad.post(path, json=request)
    except httpx.HTTPError as error:
        raise Unknown(f"whether the job {file.name} runs: Nomad: {reason(error)}") from error
    said = " ".join(response.text.split())
    if INDEX_CONFLICT in said:
        raise Stop(f"somebody else changed the job {file.name} at this moment ({said}): look, then run it again")
    if response.status_code == HTTPStatus.BAD_REQUEST:
        raise Stop(f"Nomad refuses jobs/{file.name}{SUFFIX}: {said}")
    if response.status_code != HTTPStatus.OK:
        raise Unknown(f"whether the job {file.name} runs: Nomad: {path}: HTTP {response.status_code}: {said}")
    with _documented(file):
        return dict(cast(dict[str, Any], response.json()))


@contextmanager
def _documented(file: JobFile) -> Generator[None]:
    try:
        yield
    except (ValueError, TypeError, KeyError) as error:
        raise Unknown(f"whether the job {file.name} runs: Nomad's answer is not as documented ({error!r})") from error
