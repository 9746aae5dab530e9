"""The real engine on the real program: projects with changed settings, and a deployed pair of stacks to look at."""

from __future__ import annotations

import fcntl
import gc
import pickle
import shutil
import tempfile
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest
import yaml

from configs.settings.model import StackRole
from configs.settings.problem import BLOCK
from engine.stack_files import ROOT, STACKS
from lab.rehearsal import Rehearsal, rehearsal
from offline.engine import OfflineStack
from offline.result import OfflineResult
from tests.engine.isolated import IsolatedStack, isolated_language_host

Change = Callable[[dict[str, Any]], None]


def write_project(folder: Path, change: Change) -> Path:
    """Write the project's files with changed settings (in both stacks) into a folder, and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / "Pulumi.yaml", folder)
    for stack in STACKS:
        content = yaml.safe_load((ROOT / f"Pulumi.{stack}.yaml").read_text())
        change(content["config"][BLOCK])
        (folder / f"Pulumi.{stack}.yaml").write_text(yaml.safe_dump(content))
    return folder


def write_role(folder: Path, stack: str, role: StackRole) -> Path:
    """Write the project's files with another role for one stack, and return the folder."""
    write_project(folder, lambda _: None)
    path = folder / f"Pulumi.{stack}.yaml"
    content = yaml.safe_load(path.read_text())
    content["config"][BLOCK]["role"] = role.value
    path.write_text(yaml.safe_dump(content))
    return folder


def stack_of(stack: str, home: Path, project: Path = ROOT) -> OfflineStack:
    """Return a stack whose runs are processes of their own."""
    return IsolatedStack(stack, project, home)


def succeeded(result: OfflineResult) -> OfflineResult:
    """Return the result of a run, which must have gone well."""
    assert result.errors == []
    return result


def lose_the_primary(home: Path) -> None:
    """Take away all of us-east-1, and `prod`'s state with it: what still needs them fails."""
    cloud = stack_of("dr", home).cloud()
    for resource in list(cloud.all(region="us-east-1")):
        cloud.remove(resource)
    cloud.close()
    for path in (home / "state" / ".pulumi" / "stacks" / "mlops-ha").glob("prod.*"):
        path.unlink()


@pytest.fixture(scope="session", autouse=True)
def _temporary_files(tmp_path_factory: pytest.TempPathFactory) -> Generator[None]:  # pyright: ignore[reportUnusedFunction]
    """Have what is temporary in a folder of pytest: a killed process leaves it, as the forkserver does its socket."""
    with pytest.MonkeyPatch.context() as patch:
        # A short name: what a socket is called has room for 107 characters (unix(7)).
        patch.setenv("TMPDIR", str(tmp_path_factory.mktemp("tmp")))
        patch.setattr(tempfile, "tempdir", None)
        yield


@pytest.fixture(autouse=True)
def _no_leftovers() -> Generator[None, None, None]:  # pyright: ignore[reportUnusedFunction]
    """Collect what a failed program left behind while no other code runs: see ``tests.parsing``.

    What is left is there to stay, the SDKs' modules above all. It is not searched again: each time took 0.4 s.
    """
    gc.disable()
    yield
    gc.enable()
    gc.collect()
    gc.freeze()


def _deployed_once(shared: Path) -> tuple[Path, dict[str, OfflineResult]]:
    """Return a folder with both stacks and what their deployments did; the first process that asks deploys them.

    The others wait; how long, the time limit of a test says. A deployment that failed is begun anew by the next.
    """
    home, results = shared / "deployed", shared / "deployed.pickle"
    with (shared / "deployed.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not results.is_file():
            shutil.rmtree(home, ignore_errors=True)
            done = {stack: succeeded(stack_of(stack, home).up()) for stack in STACKS}
            unfinished = results.with_suffix(".unfinished")
            unfinished.write_bytes(pickle.dumps(done))
            unfinished.rename(results)
    return home, pickle.loads(results.read_bytes())


@pytest.fixture(scope="session")
def deployed(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> tuple[Path, dict[str, OfflineResult]]:
    """Both stacks, deployed in their order from an empty cloud: the folder, which no test may change."""
    own = tmp_path_factory.getbasetemp()
    # The workers of one session have folders side by side; alone, the folder beside is another session's.
    shared = own.parent if hasattr(request.config, "workerinput") else own
    home, results = _deployed_once(shared)
    # Each worker has a copy: a preview holds its stack, and one in another worker would be refused.
    return shutil.copytree(home, tmp_path_factory.mktemp("copy") / "deployed"), results


@pytest.fixture
def home(deployed: tuple[Path, dict[str, OfflineResult]], tmp_path: Path) -> Path:
    """A copy of the deployed folder, to change."""
    return shutil.copytree(deployed[0], tmp_path / "a home with spaces")


@pytest.fixture
def stage(home: Path, tmp_path: Path) -> Generator[Rehearsal]:
    """Both regions, deployed, and a checkout to type in."""
    with rehearsal(home, tmp_path / "checkout", isolated_language_host) as stage:
        yield stage


@pytest.fixture
def dark(stage: Rehearsal) -> Rehearsal:
    """The same with us-east-1 gone: its APIs, its load balancer, all that it had, and the state of `prod`."""
    stage.lose_the_primary()
    stage.account.refused_services |= {"route53", "iam"}
    lose_the_primary(stage.home)
    return stage
