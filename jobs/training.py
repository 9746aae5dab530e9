"""Trains a model in steps, and goes on where it was when it is started again: an example for jobs of one's own.

What must not be lost is a checkpoint in a folder that every worker has. A step depends on the checkpoint alone, so a
training that was killed anywhere ends with the same model as one that was not. Finished, it waits to be stopped, as
Nomad starts a service that ends again. Python 3.9 and its standard library are all it needs.
"""

from __future__ import annotations

import fcntl
import json
import math
import operator
import os
import random
import signal
import sys
import threading
import time
import urllib.error
import urllib.request
from dataclasses import asdict, dataclass
from pathlib import Path

SEED = 7
"""Any number: the data are the same each time."""
SAMPLES = 200
WEIGHTS = (0.5, 2.0, -1.0, 0.25)
"""The model that the data were made with; the first weight is of a constant."""
RATE = 0.1
"""Of learning: small enough to come down at every step on data of this size."""
PUSH_SECONDS = 5
"""Longest that a push takes: figures may be lost, the training's time may not."""
INTERRUPTED = 128 + signal.SIGTERM
"""Exit code of a training that was stopped before it was finished, as of any program that the signal ends."""

STEP = "ml_training_step"
LOSS = "ml_training_loss"
PROGRESS = "ml_training_progress_timestamp_seconds"
FINISHED = "ml_training_finished"


@dataclass(frozen=True)
class Task:
    """What is to be done, as the job file says by variables of the environment."""

    job: str
    group: str
    steps: int
    seconds_per_step: float
    steps_per_checkpoint: int
    folder: Path
    """Of the checkpoint and the finished model, on storage that every worker has."""
    pushgateway: Path
    """File with the address of pushgateway, empty while there is none. Read each time: it may move."""

    @classmethod
    def given(cls) -> Task:
        """Return the task of this process.

        Raises:
            KeyError: a variable is missing.
            ValueError: one is no number.
        """
        return cls(
            job=os.environ["NOMAD_JOB_NAME"],
            group=os.environ["NOMAD_GROUP_NAME"],
            steps=int(os.environ["TRAINING_STEPS"]),
            seconds_per_step=float(os.environ["TRAINING_SECONDS_PER_STEP"]),
            steps_per_checkpoint=int(os.environ["TRAINING_STEPS_PER_CHECKPOINT"]),
            folder=Path(os.environ["TRAINING_FOLDER"]),
            pushgateway=Path(os.environ["TRAINING_PUSHGATEWAY_FILE"]),
        )


@dataclass(frozen=True)
class Checkpoint:
    """How far a training is. ``saved`` is when it was written, in seconds since 1970."""

    step: int
    weights: tuple[float, ...]
    saved: float


class Training:
    """One training."""

    def __init__(self, task: Task) -> None:
        """Begin, or go on from the checkpoint, once no other process does."""
        self._task = task
        self._stop = threading.Event()
        self._samples = samples()
        task.folder.mkdir(parents=True, exist_ok=True)
        # One checkpoint has one writer: whoever is still saving it on another worker is waited for. The shared file
        # system takes the lock from a machine that is gone (NFS leases: https://www.rfc-editor.org/rfc/rfc8881#section-8.3).
        self._lock = (task.folder / "lock").open("w")
        fcntl.lockf(self._lock, fcntl.LOCK_EX)
        self._file = task.folder / "checkpoint.json"
        self._reached = self._read() or Checkpoint(0, (0.0,) * len(WEIGHTS), 0)
        if not self._reached.saved:
            self._save()

    def stop(self, *_: object) -> None:
        """End after the step that is being done; takes whatever a signal brings."""
        self._stop.set()

    def run(self) -> int:
        """Do what is left, wait to be stopped and return the exit code."""
        say(f"at step {self._reached.step} of {self._task.steps}")
        self._push()
        while self._reached.step < self._task.steps:
            if self._stop.wait(self._task.seconds_per_step):
                self._save()
                say(f"interrupted, saved at step {self._reached.step}")
                return INTERRUPTED
            weights = improved(self._reached.weights, self._samples)
            self._reached = Checkpoint(self._reached.step + 1, weights, self._reached.saved)
            if self._reached.step % self._task.steps_per_checkpoint == 0:
                self._save()
                self._push()
        self._save()
        write(self._task.folder / "model.json", {"weights": self._reached.weights})
        self._push()
        say(f"finished, loss {loss(self._reached.weights, self._samples):.4f}")
        self._stop.wait()
        return 0

    def _read(self) -> Checkpoint | None:
        if not self._file.exists():
            return None
        kept = json.loads(self._file.read_text())
        return Checkpoint(kept["step"], tuple(kept["weights"]), kept["saved"])

    def _save(self) -> None:
        self._reached = Checkpoint(self._reached.step, self._reached.weights, time.time())
        write(self._file, asdict(self._reached))

    def _push(self) -> None:
        """Tell Prometheus; who does not answer is not waited for."""
        figures = {
            STEP: self._reached.step,
            LOSS: loss(self._reached.weights, self._samples),
            PROGRESS: self._reached.saved,
            FINISHED: int(self._reached.step >= self._task.steps),
        }
        text = "".join(f"# TYPE {name} gauge\n{name} {value}\n" for name, value in figures.items())
        try:
            address = self._task.pushgateway.read_text().split()[0]
            # Replaces what was pushed under the same job and group before, by whichever worker.
            url = f"{address}/metrics/job/{self._task.job}/group/{self._task.group}"
            request = urllib.request.Request(url, text.encode(), method="PUT")  # noqa: S310  (an address from Consul)
            with urllib.request.urlopen(request, timeout=PUSH_SECONDS):  # noqa: S310
                pass
        except IndexError:
            say("no pushgateway is known yet")
        except (OSError, urllib.error.URLError) as error:
            say(f"not pushed: {error}")


def samples() -> list[tuple[tuple[float, ...], int]]:
    """Return what is learned from: points, each with a constant in front, and the class of each."""
    chance = random.Random(SEED)  # noqa: S311  (no secret)
    points = [(1.0, *(chance.gauss(0, 1) for _ in WEIGHTS[1:])) for _ in range(SAMPLES)]
    return [(point, int(chance.random() < probability(WEIGHTS, point))) for point in points]


def probability(weights: tuple[float, ...], point: tuple[float, ...]) -> float:
    """Return how likely a point is of class 1 (logistic regression)."""
    return 1 / (1 + math.exp(-sum(map(operator.mul, weights, point))))


def loss(weights: tuple[float, ...], known: list[tuple[tuple[float, ...], int]]) -> float:
    """Return the mean cross entropy."""
    return -sum(math.log(abs(1 - kind - probability(weights, point))) for point, kind in known) / len(known)


def improved(weights: tuple[float, ...], known: list[tuple[tuple[float, ...], int]]) -> tuple[float, ...]:
    """Return the weights after a step of gradient descent."""
    slope = [0.0] * len(weights)
    for point, kind in known:
        wrong = probability(weights, point) - kind
        for index, value in enumerate(point):
            slope[index] += wrong * value / len(known)
    return tuple(weight - RATE * slope[index] for index, weight in enumerate(weights))


def write(path: Path, content: object) -> None:
    """Write a file whole or not at all: a machine may be gone at any moment."""
    aside = path.with_name(f"{path.name}.{os.environ.get('NOMAD_ALLOC_ID', 'new')}")
    with aside.open("w") as file:
        json.dump(content, file)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)


def say(text: str) -> None:
    """Write to the log of the task."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> None:
    """Train until it is done or stopped."""
    training = Training(Task.given())
    signal.signal(signal.SIGTERM, training.stop)
    sys.exit(training.run())


if __name__ == "__main__":
    main()
