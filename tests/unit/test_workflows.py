"""The pipelines on GitHub: that GitHub will read them, what they may do, what their scripts do with their input."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from engine.stack_files import ROOT
from offline.review import MARKER
from toolchain import tools

FOLDER = ROOT / ".github" / "workflows"
WORKFLOWS = sorted(FOLDER.glob("*.yml"))
SHELLCHECK = Path(sys.executable).with_name("shellcheck")
SHA = "0123456789abcdef0123456789abcdef01234567"


def content(name: str) -> dict[Any, Any]:
    """Return a workflow as plain data; YAML takes its key `on` for True."""
    return yaml.safe_load((FOLDER / f"{name}.yml").read_text())


def jobs(path: Path) -> dict[str, dict[str, Any]]:
    return content(path.stem)["jobs"]


def steps(path: Path) -> list[dict[str, Any]]:
    return [step for job in jobs(path).values() for step in job["steps"]]


def linted(*paths: Path) -> list[str]:
    """Return what the real actionlint says, with shellcheck's findings in the scripts."""
    command = [tools.find("actionlint"), "-shellcheck", SHELLCHECK, "-pyflakes=", "-oneline", "-no-color", *paths]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)  # it takes a second
    assert done.returncode in (0, 1), done.stderr
    return done.stdout.splitlines()


def test_all_are_known() -> None:
    """A workflow that no test below looks at, as its name ends otherwise."""
    assert [path.name for path in sorted(FOLDER.iterdir())] == [
        "comment.yml",
        "deploy.yml",
        "drift.yml",
        "preview.yml",
        "pull-request.yml",
    ]


def test_github_will_read_them() -> None:
    """A workflow that never runs, for a misspelt key, an unknown job, or a script that fails at its first word."""
    assert linted(*WORKFLOWS) == []


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ("needs: preview", "needs: previews", 'needs job "previews" which does not exist'),
        ("timeout-minutes", "timeout-hours", 'unexpected key "timeout-hours"'),
        ("vars.AWS_READ_ROLE", "var.AWS_READ_ROLE", 'undefined variable "var"'),
        ('losses "$RUNNER_TEMP/prod.json"', "losses $RUNNER_TEMP/prod.json", "SC2086"),
    ],
)
def test_what_is_wrong_is_seen(tmp_path: Path, right: str, wrong: str, said: str) -> None:
    """A lint that passes whatever the workflows say."""
    text = (FOLDER / "deploy.yml").read_text()
    assert right in text
    broken = tmp_path / "deploy.yml"
    broken.write_text(text.replace(right, wrong))
    assert any(said in line for line in linted(broken))


PERMISSIONS = {
    ("comment", "comment"): {"actions": "read", "contents": "read", "pull-requests": "write"},
    ("deploy", "preview"): {"contents": "read", "id-token": "write"},
    ("deploy", "deploy"): {"contents": "read", "id-token": "write"},
    ("drift", "check"): {"contents": "read", "id-token": "write"},
    ("drift", "report"): {"actions": "read", "issues": "write"},
    ("preview", "preview"): {"contents": "read", "id-token": "write", "pull-requests": "write"},
    ("pull-request", "test"): {"contents": "read"},
    ("pull-request", "preview"): {"contents": "read"},
}


def test_each_job_may_do_what_it_needs() -> None:
    """A token that can push, lent to the code of a pull request."""
    given = {
        (path.stem, name): job.get("permissions", content(path.stem)["permissions"])
        for path in WORKFLOWS
        for name, job in jobs(path).items()
    }
    assert given == PERMISSIONS


def test_a_stranger_gets_no_secret() -> None:
    """Secrets or a role in a run of a stranger's code."""
    assert "secrets." not in (FOLDER / "pull-request.yml").read_text()
    assert "secrets." not in (FOLDER / "comment.yml").read_text()
    # The trigger that runs a stranger's code with the repository's secrets.
    assert all("pull_request_target" not in content(path.stem)[True] for path in WORKFLOWS)
    assert (
        "github.event.pull_request.head.repo.full_name == github.repository"
        in jobs(FOLDER / "preview.yml")["preview"]["if"]
    )


def test_comments_are_made_by_the_main_branch() -> None:
    """A comment written by the code that it is about, with a token that may write."""
    checkouts = [
        step for step in steps(FOLDER / "comment.yml") if step.get("uses", "").startswith("actions/checkout")
    ]
    assert [step["with"] for step in checkouts] == [{"persist-credentials": False}]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_no_script_is_written_by_who_opens_a_pull_request(path: Path) -> None:
    """A branch's name or a title that runs as a command: what comes from outside goes through the environment."""
    assert [step["run"] for step in steps(path) if "${{" in step.get("run", "")] == []


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_each_job_ends_and_runs_alone(path: Path) -> None:
    """A job that hangs for the six hours that GitHub gives it, and two that write at the same time."""
    for name, job in jobs(path).items():
        assert job["timeout-minutes"] <= 240, name
        assert job.get("concurrency") or content(path.stem).get("concurrency"), name


def test_actions_are_pinned() -> None:
    """An action that is another one tomorrow, as tags can be moved; one action at two commits."""
    lines = [line.strip() for path in WORKFLOWS for line in path.read_text().splitlines() if "uses:" in line]
    pinned = {re.sub("^- ", "", line) for line in lines}
    assert [line for line in pinned if not re.fullmatch(r"uses: [\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line)] == []
    assert len({line.partition("@")[0] for line in pinned}) == len(pinned) == 5


def test_checkouts_leave_no_token_behind() -> None:
    """A token in the checkout's settings, for whatever runs there afterwards."""
    found = [s for path in WORKFLOWS for s in steps(path) if s.get("uses", "").startswith("actions/checkout@")]
    assert len(found) == 7
    assert all(step["with"]["persist-credentials"] is False for step in found)


def test_the_engine_is_the_projects() -> None:
    """A pipeline that deploys with another engine than the tests ran on."""
    used = [s["with"] for path in WORKFLOWS for s in steps(path) if s.get("uses", "").startswith("pulumi/actions@")]
    assert [options["pulumi-version"] for options in used] == [tools.TOOLS["pulumi"].version] * 4


def test_what_would_be_lost_stops_a_deployment() -> None:
    """An `up` that nobody looked at, or of `dr` before `prod` is seen to work."""
    scripts = [step["run"] for step in jobs(FOLDER / "deploy.yml")["deploy"]["steps"] if "run" in step]
    order = re.findall(r"(mlops-ha losses|pulumi up|mlops-ha verify).*?(prod|dr)\b", "\n".join(scripts))
    assert order == [
        (command, stack)
        for stack in ("prod", "dr")
        for command in ("mlops-ha losses", "pulumi up", "mlops-ha verify")
    ]
    assert jobs(FOLDER / "deploy.yml")["deploy"]["environment"] == "production"
    assert jobs(FOLDER / "deploy.yml")["deploy"]["needs"] == "preview"


def test_prod_is_never_refreshed() -> None:
    """A difference each night that is none: AWS reports prod's replicated file system in another form."""
    checks = jobs(FOLDER / "drift.yml")["check"]["strategy"]["matrix"]["include"]
    assert [check["stack"] for check in checks if check["against"] == "AWS"] == ["dr"]
    assert [check["stack"] for check in checks if check["against"] != "AWS"] == ["prod", "dr"]


# Answers what the scripts ask GitHub, from files beside it, and notes what they write.
GH = """
import json, pathlib, sys
here = pathlib.Path(__file__).parent
request = " ".join(sys.argv[1:])
with (here / "asked").open("a") as asked:
    asked.write(request + "\\n")
for part, answer in json.loads((here / "answers.json").read_text()).items():
    if part in request:
        sys.stdout.buffer.write(bytes.fromhex(answer))
        break
else:
    sys.exit("nothing is known of " + request)
"""


class GitHub:
    """Runs a step's script as GitHub does, with a made-up `gh`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.answers: dict[str, bytes] = {}
        program = folder / "gh"
        program.write_text(f"#!{sys.executable}\n{GH}")
        program.chmod(0o755)

    def run(self, workflow: str, job: str, step: str, **variables: str) -> subprocess.CompletedProcess[str]:
        (self.folder / "answers.json").write_text(json.dumps({part: a.hex() for part, a in self.answers.items()}))
        script = next(s["run"] for s in content(workflow)["jobs"][job]["steps"] if s.get("name") == step)
        environment = {
            "PATH": f"{self.folder}:{os.environ['PATH']}",
            "RUNNER_TEMP": str(self.folder),
            "GITHUB_OUTPUT": str(self.folder / "output"),
            **variables,
        }
        command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)

    def read(self, name: str) -> str:
        path = self.folder / name
        return path.read_text() if path.exists() else ""


@pytest.fixture
def github(tmp_path: Path) -> GitHub:
    return GitHub(tmp_path)


def artifact(number: str) -> bytes:
    """Return an archive as a pull request's run leaves it."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        archive.writestr("number", number)
        archive.writestr("report.json", "[]")
    return held.getvalue()


def fetched(github: GitHub, number: str, head: str = SHA) -> subprocess.CompletedProcess[str]:
    github.answers = {
        "actions/runs/7/artifacts": b"9\n",
        "actions/artifacts/9/zip": artifact(number),
        "pulls/": f"{head}\n".encode(),
    }
    return github.run("comment", "comment", "Fetch the report", REPOSITORY="o/r", RUN="7", HEAD_SHA=SHA)


def test_a_report_is_taken_for_its_own_pull_request(github: GitHub) -> None:
    """A comment that never appears."""
    assert fetched(github, "12\n").returncode == 0
    assert github.read("output") == "number=12\n"
    assert github.read("report.json") == "[]"


@pytest.mark.parametrize("number", ["", "0", "-1", "12345678901", "1/../2", "12\nx=y", "1; id", "$(id)"])
def test_a_number_that_is_none_is_refused(github: GitHub, number: str) -> None:
    """A request that a stranger has written, or a second line in the step's outputs."""
    done = fetched(github, number)
    assert (done.returncode, done.stdout) == (1, "The report has no number of a pull request.\n")
    assert github.read("output") == ""
    assert "pulls/" not in github.read("asked")


@pytest.mark.parametrize("head", ["f" * 40, ""], ids=["another", "closed"])
def test_another_pull_request_is_left_alone(github: GitHub, head: str) -> None:
    """A comment that a stranger puts on somebody else's pull request."""
    assert fetched(github, "12", head).returncode == 0
    assert github.read("output") == ""


def test_a_run_without_a_report_is_no_failure(github: GitHub) -> None:
    """A red mark on the main branch for each pull request whose run was over at once."""
    github.answers = {"actions/runs/7/artifacts": b"\n"}
    done = github.run("comment", "comment", "Fetch the report", REPOSITORY="o/r", RUN="7", HEAD_SHA=SHA)
    assert done.returncode == 0
    assert github.read("output") == ""


def test_a_comment_is_written_once_and_then_rewritten(github: GitHub) -> None:
    """A new comment at every push; or one that rewrites what a person said."""
    (github.folder / "comment.md").write_text(f"{MARKER}\n## text\n")
    robot, person = {"login": "github-actions[bot]"}, {"login": "person"}
    written = [
        {"id": 1, "user": person, "body": f"{MARKER}\n"},
        {"id": 2, "user": robot, "body": "something else"},
        {"id": 3, "user": robot, "body": f"{MARKER}\nolder"},
    ]
    for there, request in (
        (written[:2], "-X POST repos/o/r/issues/12/comments"),
        (written, "-X PATCH repos/o/r/issues/comments/3"),
    ):
        github.answers = {"--paginate": json.dumps([there[:1], there[1:]]).encode(), "-X": b""}
        done = github.run("comment", "comment", "Write the comment", REPOSITORY="o/r", NUMBER="12")
        assert done.returncode == 0, done.stderr
        said = github.read("asked").splitlines()[-1]
        assert said == f"api {request} -F body=@{github.folder}/comment.md --silent"


@pytest.mark.parametrize(("there", "asked"), [("", "issue create --title Drift"), ("5", "issue comment 5")])
def test_a_drift_has_one_issue(github: GitHub, there: str, asked: str) -> None:
    """An issue a night for one and the same difference."""
    step = "Open an issue, or go on in the one that is open"
    github.answers = {"/jobs": b"- dr against AWS\n", "issue list": f"{there}\n".encode(), "label": b"", "issue": b""}
    done = github.run("drift", "report", step, GH_REPO="o/r", RUN="7", LOG="https://example.com/7")
    assert done.returncode == 0, done.stderr
    assert asked in github.read("asked")
    assert "- dr against AWS\n\nThe log says which: https://example.com/7" in github.read("asked")
