"""States of earlier releases, as the engine wrote them, and how one is recorded.

Record the current one with ``python -m tests.recorded 0.1.0``. A recorded release is never changed again: it stands
for what is deployed somewhere. The secrets in it are generated offline, encrypted like any other, and guard nothing.
"""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path
from typing import Any, cast

import yaml

from configs.tables.names import PROJECT
from engine.stack_files import ROOT, STACKS
from offline.cloud import Cloud, Resource
from offline.engine import OfflineStack

FOLDER = Path(__file__).parent

LEFT_OUT = ("created", "modified", "sourcePosition", "stackTrace")
"""What says when, and in whose checkout, a resource was made."""


def releases() -> list[str]:
    """Return the releases that are recorded."""
    return sorted({path.parent.name for path in FOLDER.glob("*/*.json.gz")})


def record(release: str, home: Path) -> None:
    """Deploy both stacks of the checkout into an empty folder, and record their states.

    Raises:
        FileExistsError: the release is recorded already.
        RuntimeError: a deployment failed.
    """
    folder = FOLDER / release
    folder.mkdir()
    for stack in STACKS:
        done = OfflineStack(stack, home=home, checkpoints=False).up()
        if not done.ok:
            raise RuntimeError("\n".join(done.errors))
        checkpoint: dict[str, Any] = json.loads(state_file(home, stack).read_text())
        for resource in checkpoint["checkpoint"]["latest"]["resources"]:
            for name in LEFT_OUT:
                resource.pop(name, None)
        checkpoint["checkpoint"]["latest"].pop("manifest")
        shutil.copy(ROOT / f"Pulumi.{stack}.yaml", folder)
        # Without a time in it, the same state is the same bytes.
        text = json.dumps(checkpoint, sort_keys=True).encode()
        (folder / f"{stack}.json.gz").write_bytes(gzip.compress(text, mtime=0))


def state_file(home: Path, stack: str) -> Path:
    """Return where the engine keeps a stack's state."""
    return home / "state" / ".pulumi" / "stacks" / PROJECT / f"{stack}.json"


def restore(release: str, home: Path) -> Path:
    """Put a recorded release into an empty folder, as if it were deployed; return its stack files' folder.

    The cloud is made of what the states know: a state has everything but the secrets in the clear.
    """
    project = home / "project"
    project.mkdir(parents=True)
    shutil.copy(ROOT / "Pulumi.yaml", project)
    cloud = Cloud(home / "cloud.sqlite")
    for stack in STACKS:
        shutil.copy(FOLDER / release / f"Pulumi.{stack}.yaml", project)
        text = gzip.decompress((FOLDER / release / f"{stack}.json.gz").read_bytes()).decode()
        target = state_file(home, stack)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        latest = json.loads(text)["checkpoint"]["latest"]
        for resource in latest["resources"]:
            if resource["custom"] and not resource["type"].startswith("pulumi:"):
                cloud.put(_existing(resource, latest["resources"]))
        # The engine reads the secrets with the salt that they were written with.
        work = home / "work" / stack
        work.mkdir(parents=True)
        salt = {"encryptionsalt": latest["secrets_providers"]["state"]["salt"]}
        (work / f"Pulumi.{stack}.yaml").write_text(yaml.safe_dump(salt))
    cloud.close()
    return project


def _existing(resource: dict[str, Any], resources: list[dict[str, Any]]) -> Resource:
    provider = resource["provider"].rpartition("::")[0]
    inputs = next(other["inputs"] for other in resources if other["urn"] == provider)
    region = cast(str, inputs.get("region", "everywhere"))
    outputs = {name: value for name, value in resource["outputs"].items() if name not in resource["inputs"]}
    return Resource(resource["type"], resource["id"], resource["urn"], region, resource["inputs"], outputs)
