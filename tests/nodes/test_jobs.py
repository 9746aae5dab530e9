"""Job files as Nomad reads them, and the training as it is killed, stopped, watched and finished."""

import contextlib
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from configs.nomad_autoscaler.policy import NODE_CLASS
from configs.tables import metrics
from configs.tables.flows import PUSHGATEWAY
from configs.tables.paths import ML_DATA_PATH
from engine.stack_files import ROOT
from lab.namespaces import WITH_PARENT
from tests.nodes.started import ENVIRONMENT, SECONDS, Network, network
from toolchain import packages, tools

JOBS = sorted((ROOT / "jobs").glob("*.nomad.hcl"))
TRAINING = ROOT / "jobs/training.nomad.hcl"
PROGRAM = ROOT / "jobs/training.py"
NOMAD = str(tools.find("nomad"))
PYTHON = str(packages.python39() or sys.executable)
"""The oldest that the training is for, as a machine of Amazon Linux 2023 has it, where there is one."""


def wait(condition: Callable[[], object], what: str) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {SECONDS} s"
        time.sleep(0.05)


@contextlib.contextmanager
def running(command: list[str], log: Path, **environment: str) -> Generator[subprocess.Popen[bytes]]:
    """A process that ends with the block."""
    with log.open("ab") as file:
        process = subprocess.Popen([*WITH_PARENT, *command], env=ENVIRONMENT | environment, stdout=file, stderr=file)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


# Nomad.


SERVER = """
data_dir  = "{folder}/data"
bind_addr = "127.0.0.1"
advertise {{
  http = "127.0.0.1"
  rpc  = "127.0.0.1"
  serf = "127.0.0.1"
}}
server {{
  enabled          = true
  bootstrap_expect = 1
}}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Generator[Network]:
    """A Nomad server, alone in a network: offline, its own command overlooks what servers refuse."""
    folder = tmp_path_factory.mktemp("nomad")
    configuration = folder / "server.hcl"
    configuration.write_text(SERVER.format(folder=folder))
    agent = [NOMAD, "agent", f"-config={configuration}"]
    with network() as alone, running(alone.command(*agent), folder / "log"):
        wait(lambda: re.search(r"\Wtrue\W", alone.run(NOMAD, "operator", "raft", "list-peers")), "a leader")
        yield alone


@pytest.mark.parametrize("driver", ["docker", "raw_exec"])
@pytest.mark.parametrize("path", JOBS, ids=lambda path: path.name)
def test_a_server_takes_the_job(path: Path, driver: str, server: Network) -> None:
    """Guards against a job that Nomad refuses at the moment when it is needed."""
    done = subprocess.run(
        server.command(NOMAD, "job", "validate", f"-var=driver={driver}", str(path)),
        cwd=ROOT,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert (done.returncode, done.stdout.strip()) == (0, "Job validation successful"), done.stderr
    assert "not validated" not in done.stderr


def test_job_files_are_in_nomads_style() -> None:
    """Guards against files that the next `nomad fmt` rewrites."""
    assert len(JOBS) == 2
    done = subprocess.run([NOMAD, "fmt", "-check", *JOBS], env=ENVIRONMENT, capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


ASK = """
import sys, urllib.request
print(urllib.request.urlopen(urllib.request.Request(sys.argv[1], sys.stdin.buffer.read())).read().decode())
"""
"""Posts to an address."""


def test_the_training_says_what_it_is(server: Network) -> None:
    """Guards against a training on the wrong machines, in the wrong folder, or with a program that Nomad changed."""
    text = json.dumps(PROGRAM.read_text()).replace("${", "$${").replace("%{", "%%{")
    request = {"JobHCL": TRAINING.read_text(), "Variables": f"program = {text}\nsteps = 7\n", "Canonicalize": True}
    done = subprocess.run(
        server.command(sys.executable, "-c", ASK, "http://127.0.0.1:4646/v1/jobs/parse"),
        input=json.dumps(request),
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=True,
    )
    job = json.loads(done.stdout)
    [group] = job["TaskGroups"]
    [task] = group["Tasks"]
    # A batch job would end with the first drain of its worker.
    assert (job["ID"], job["Type"], group["Name"], task["User"]) == ("training", "service", "training", "nobody")
    assert [(one["LTarget"], one["RTarget"]) for one in group["Constraints"]] == [("${node.class}", NODE_CLASS)]
    assert group["Volumes"]["ml-data"]["Source"] == "ml-data"
    assert [(one["Volume"], one["Destination"]) for one in task["VolumeMounts"]] == [("ml-data", ML_DATA_PATH)]
    assert (group["ReschedulePolicy"]["Unlimited"], task["KillSignal"]) == (True, "SIGTERM")
    assert task["Env"]["TRAINING_FOLDER"] == f"{ML_DATA_PATH}/${{NOMAD_JOB_NAME}}"
    [pushgateway, program] = task["Templates"]
    assert '{{ range service "pushgateway" }}' in pushgateway["EmbeddedTmpl"]
    assert program["EmbeddedTmpl"] == PROGRAM.read_text()
    # Nothing that Nomad would fill in.
    assert not {program["LeftDelim"], program["RightDelim"]} & {"{{", "}}"}
    assert program["LeftDelim"] not in PROGRAM.read_text()
    # What the program asks for is what the job gives.
    asked = set(re.findall(r'environ\["(TRAINING_\w+)"\]', PROGRAM.read_text()))
    assert asked == set(task["Env"])


# The training.

STEPS = 60


def environment(folder: Path, seconds: float = 0.0, pushgateway: str = "") -> dict[str, str]:
    """What Nomad gives the program."""
    address = folder.parent / "pushgateway"
    address.write_text(pushgateway)
    return {
        "NOMAD_JOB_NAME": "training",
        "NOMAD_GROUP_NAME": "train",
        "TRAINING_STEPS": str(STEPS),
        "TRAINING_SECONDS_PER_STEP": str(seconds),
        "TRAINING_STEPS_PER_CHECKPOINT": "5",
        "TRAINING_FOLDER": str(folder),
        "TRAINING_PUSHGATEWAY_FILE": str(address),
    }


def training(
    folder: Path, log: Path, seconds: float = 0.0
) -> contextlib.AbstractContextManager[subprocess.Popen[bytes]]:
    return running([PYTHON, str(PROGRAM)], log, **environment(folder, seconds))


def step(folder: Path) -> int:
    """The step of the checkpoint; 0 when there is none."""
    file = folder / "checkpoint.json"
    return int(json.loads(file.read_text())["step"]) if file.exists() else 0


def finished(folder: Path, log: Path) -> str:
    """The model after a run that nothing disturbs, which then waits to be stopped."""
    with training(folder, log) as process:
        wait((folder / "model.json").exists, "the model")
        assert process.poll() is None
        process.terminate()
        assert process.wait(SECONDS) == 0
    assert step(folder) == STEPS
    return (folder / "model.json").read_text()


def test_a_killed_training_ends_with_the_same_model(tmp_path: Path) -> None:
    """Guards against a training that begins anew, or ends with another model, because a worker was lost."""
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    model = finished(undisturbed, tmp_path / "log")
    weights = json.loads(model)["weights"]
    # It has learned something: signs and order of the weights that the data were made with.
    assert weights[1] > weights[0] > 0 > weights[2]
    reached: list[int] = []
    for number in range(3):
        with training(killed, tmp_path / f"log{number}", seconds=0.05) as process:
            before = reached[-1] if reached else 0
            wait(lambda before=before: step(killed) > before, "another checkpoint")
            # Killed where it happens to be, as by a machine that is gone.
            process.send_signal(signal.SIGKILL)
            assert process.wait(SECONDS) == -signal.SIGKILL
        reached.append(step(killed))
        begun = int(re.findall(r"at step (\d+)", (tmp_path / f"log{number}").read_text())[0])
        assert begun == ([0, *reached][number])
    assert 0 < reached[0] < reached[1] < reached[2] < STEPS
    assert finished(killed, tmp_path / "log3") == model


def test_a_stopped_training_saves_what_it_has(tmp_path: Path) -> None:
    """Guards against a drain that costs the steps since the last checkpoint, and against two writers of one."""
    folder, log = tmp_path / "stopped", tmp_path / "log"
    with training(folder, log, seconds=0.05) as process:
        wait(lambda: step(folder) >= 5, "a checkpoint")
        with training(folder, tmp_path / "other", seconds=0.05):
            # The second one waits for the lock, the first one goes on.
            reached = step(folder)
            wait(lambda: step(folder) > reached, "another checkpoint")
            assert (tmp_path / "other").read_text() == ""
            process.terminate()
            assert process.wait(SECONDS) == 128 + signal.SIGTERM
            [saved] = re.findall(r"interrupted, saved at step (\d+)", log.read_text())
            wait(lambda: (tmp_path / "other").read_text(), "the second one")
            assert (tmp_path / "other").read_text().splitlines()[0] == f"at step {saved} of {STEPS}"
    assert not list(folder.glob("*.new"))


def test_its_figures_reach_pushgateway(tmp_path: Path) -> None:
    """Guards against an alert about figures that are called otherwise, and a training that a lost push ends."""
    folder, log = tmp_path / "pushed", tmp_path / "log"
    address = f"http://127.0.0.1:{PUSHGATEWAY.port}"
    command = [str(tools.find("pushgateway")), f"--web.listen-address=127.0.0.1:{PUSHGATEWAY.port}"]
    with network() as alone, running(alone.command(*command), tmp_path / "pushgateway.log"):

        def shown() -> str:
            return alone.run("curl", "--silent", f"{address}/metrics")

        wait(shown, "pushgateway")
        program = alone.command(PYTHON, str(PROGRAM))
        with running(program, log, **environment(folder, 0.01, f"{address}\n")) as process:
            wait(lambda: "finished" in log.read_text(), "the end")
            assert process.poll() is None
            assert "not pushed" not in log.read_text(), log.read_text()
            lines = shown()
    found = dict(re.findall(r'^(ml_\w+)\{group="train",instance="",job="training"\} (\S+)$', lines, re.MULTILINE))
    saved = json.loads((folder / "checkpoint.json").read_text())["saved"]
    assert float(found.pop(metrics.TRAINING_LOSS)) == pytest.approx(0.5, abs=0.1)
    assert float(found.pop(metrics.TRAINING_PROGRESS)) == pytest.approx(saved)
    assert found == {metrics.TRAINING_STEP: str(STEPS), metrics.TRAINING_FINISHED: "1"}
