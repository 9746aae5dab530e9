"""The offline cloud's one file: shared by stacks that run at the same time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from engine.stack_files import ROOT
from offline.cloud import Cloud, Resource

WRITE = (
    "import sys; from pathlib import Path; from offline.cloud import Cloud, Resource;"
    "cloud = Cloud(Path(sys.argv[1]));"
    "[cloud.put(Resource('t', f'{sys.argv[2]}-{i}', 'urn', 'r')) for i in range(50)]"
)


def test_two_stacks_may_open_a_new_cloud_at_once(tmp_path: Path) -> None:
    """`make preview` on a fresh machine, which starts both stacks together: "database is locked"."""
    for attempt in range(5):
        path = tmp_path / str(attempt) / "cloud.sqlite"
        writers = [
            subprocess.Popen([sys.executable, "-c", WRITE, str(path), name], cwd=ROOT, stderr=subprocess.PIPE)
            for name in ("prod", "dr", "more")
        ]
        for writer in writers:
            _, errors = writer.communicate(timeout=60)
            assert writer.returncode == 0, errors.decode()
        cloud = Cloud(path)
        assert len(list(cloud.all())) == 150
        cloud.close()


def test_a_draft_leaves_the_cloud_as_it_was(tmp_path: Path) -> None:
    """A preview that deploys."""
    cloud = Cloud(tmp_path / "cloud.sqlite")
    cloud.put(Resource("t", "kept", "urn", "r"))
    draft = cloud.copied()
    draft.put(Resource("t", "drafted", "urn", "r"))
    assert [resource.id for resource in draft.all()] == ["kept", "drafted"]
    assert [resource.id for resource in cloud.all()] == ["kept"]
    cloud.close()
    draft.close()


def test_the_same_id_lives_once_a_region(tmp_path: Path) -> None:
    """A replica that overwrites what it replicates, because AWS gives both the same name."""
    cloud = Cloud(tmp_path / "cloud.sqlite")
    for region in ("us-east-1", "us-west-2"):
        cloud.put(Resource("t", "same", "urn", region))
    assert [resource.region for resource in cloud.all("t")] == ["us-east-1", "us-west-2"]
    assert cloud.find("t", value="same", region="us-west-2") == Resource("t", "same", "urn", "us-west-2")
    cloud.remove(Resource("t", "same", "urn", "us-east-1"))
    assert [resource.region for resource in cloud.all("t")] == ["us-west-2"]
    cloud.close()
