"""Images: what is pushed is what runs, in both regions, and an older version can be run again."""

import json

import pulumi
import pytest

from components.archive import Archive, ArchiveArgs
from components.images import Images, ImagesArgs
from components.private_bucket import PrivateBucket, PrivateBucketArgs
from components.replica_targets import ReplicaTargets, ReplicaTargetsArgs
from components.replication import Replication, ReplicationArgs
from configs.settings.model import RetentionSettings
from configs.tables.names import Names
from configs.tables.versions import VERSIONS, Software, image, images
from tests.unit.mocks import REGIONS, Run, run_in_region

VERSION = {software: VERSIONS[software].version for software in Software}
UPSTREAM = {
    "consul": ("hashicorp/consul", "1.22.3", "1.22.3"),
    "nomad": ("hashicorp/nomad", "1.11.3", "1.11.3"),
    "nomad-autoscaler": ("hashicorp/nomad-autoscaler", "0.5.0", "0.5.0"),
    "prometheus": ("prom/prometheus", "3.9.1", "v3.9.1"),
    "alertmanager": ("prom/alertmanager", "0.30.0", "v0.30.0"),
    "pushgateway": ("prom/pushgateway", "1.11.1", "v1.11.1"),
    "node-exporter": ("prom/node-exporter", "1.9.1", "v1.9.1"),
    "postgres-exporter": ("prometheuscommunity/postgres-exporter", "0.17.1", "v0.17.1"),
    "grafana": ("grafana/grafana", "12.4.1", "12.4.1"),
    "haproxy": ("haproxy", "2.6.12", "2.6.12"),
    "nginx": ("nginx", "1.22.1", "1.22.1"),
    "pgbouncer": ("edoburu/pgbouncer", "1.18.0", "1.18.0"),
}
"""By the name of the repository: upstream, version, tag."""


def mirrored(region: str = "us-east-1", protect: bool = True, **versions: str) -> Run:
    names = Names("mlops", "123456789012", region)

    def program(opts: pulumi.ResourceOptions) -> None:
        backups = PrivateBucket("source", PrivateBucketArgs(names, "backups", "key-arn", True), opts)
        targets = ReplicaTargets("standby", ReplicaTargetsArgs(names, "primary-arn", True), opts)
        archive = Archive("archive", ArchiveArgs(names, "primary-arn", RetentionSettings(), "db-arn", True), opts)
        replication = Replication("copy", ReplicationArgs(names, backups, targets, archive, "fs-1"), opts)
        run = VERSION | {Software(software): version for software, version in versions.items()}
        Images("images", ImagesArgs(names, run, "key-arn", backups.id, replication, protect), opts)

    return run_in_region(program, region)


def of_docker(run: Run, kind: str) -> dict[str, object]:
    return {one.name: one.inputs for one in run.everything if one.type.endswith(f":{kind}")}


@pytest.mark.parametrize("region", REGIONS)
def test_every_image_is_pulled_tagged_and_pushed(region: str) -> None:
    """Guards against an image of another version, platform or registry, and against one deleted by an upgrade."""
    run = mirrored(region)
    host = f"123456789012.dkr.ecr.{region}.amazonaws.com"
    labels = {name: f"images-{name}-{version}" for name, (_, version, _) in UPSTREAM.items()}
    assert of_docker(run, "RemoteImage") == {
        labels[name]: {"name": f"{source}:{tag}", "platform": "linux/amd64", "keepLocally": True}
        for name, (source, _, tag) in UPSTREAM.items()
    }
    assert of_docker(run, "Tag") == {
        labels[name]: {"sourceImage": f"{source}:{tag}", "targetImage": f"{host}/mlops/{name}:{tag}"}
        for name, (source, _, tag) in UPSTREAM.items()
    }
    assert of_docker(run, "RegistryImage") == {
        labels[name]: {"name": f"{host}/mlops/{name}:{tag}", "keepRemotely": True}
        for name, (_, _, tag) in UPSTREAM.items()
    }
    assert {one.provider for one in run.everything if one.type.startswith("docker:")} == {"docker docker"}
    assert {one.parent for one in run.everything if one.type.startswith("docker:")} == {"Images images"}


@pytest.mark.parametrize("protect", [True, False])
def test_repositories_and_list_are_exactly_the_plan(protect: bool) -> None:
    """Guards against a tag that comes to mean another image, and against a list that nodes cannot run from."""
    run = mirrored(protect=protect)
    here = {name: one for name, one in run.of("Repository").items() if name.startswith("images-")}
    assert {name: one.inputs for name, one in here.items()} == {
        f"images-repositories-{name}": {
            "name": f"mlops/{name}",
            "imageTagMutability": "IMMUTABLE",
            "imageScanningConfiguration": {"scanOnPush": True},
            "encryptionConfigurations": [{"encryptionType": "KMS", "kmsKey": "key-arn"}],
            "forceDelete": not protect,
            "tags": {"Name": f"images-repositories-{name}"},
        }
        for name in UPSTREAM
    }
    assert {one.protect for one in here.values()} == {protect}
    index = dict(run.inputs("BucketObjectv2")["images-index"])
    entries = json.loads(index.pop("content"))
    assert index == {
        "bucket": "Bucket source-bucket id",
        "key": "images/index.json",
        "contentType": "application/json",
        "serverSideEncryption": "aws:kms",
        "kmsKeyId": "key-arn",
        "tags": {"Name": "images-index"},
    }
    assert set(entries) == set(images())
    assert {entry["repository"]: (entry["tag"], entry["digest"]) for entry in entries.values()} == {
        f"mlops/{name}": (tag, f"RegistryImage images-{name}-{version} sha256Digest")
        for name, (_, version, tag) in UPSTREAM.items()
    }


def test_list_is_the_same_every_time() -> None:
    """Guards against a list whose order shows as a change in every preview."""
    first, second = (mirrored().inputs("BucketObjectv2")["images-index"]["content"] for _ in range(2))
    assert first == second == json.dumps(json.loads(first), indent=2, sort_keys=True)


def test_a_new_version_comes_beside_the_old_one() -> None:
    """Guards against an upgrade that replaces the image that a rollback needs."""
    old, new = (set(of_docker(run, "RegistryImage")) for run in (mirrored(), mirrored(prometheus="3.10.0")))
    assert old - new == {"images-prometheus-3.9.1"}
    assert new - old == {"images-prometheus-3.10.0"}


def test_nothing_is_pushed_before_it_is_replicated() -> None:
    """Guards against images and a list that never reach the standby region: what was there before is not copied."""
    run = mirrored()
    pushed = {one.name: one.depends_on for one in run.everything if one.kind == "RegistryImage"}
    assert pushed == {
        f"images-{name}-{version}": {
            f"Repository images-repositories-{name}",
            "ReplicationConfiguration copy-images",
        }
        for name, (_, version, _) in UPSTREAM.items()
    }
    assert run.of("BucketObjectv2")["images-index"].depends_on == {"BucketReplicationConfig copy-backups"}


@pytest.mark.parametrize("region", REGIONS)
def test_all_of_it_is_in_its_region(region: str) -> None:
    """Guards against images that lie where no node looks for them."""
    run = mirrored(region)
    own = [one for one in run.resources if one.parent in ("Images images", "ImageRepositories images-repositories")]
    assert {one.provider for one in own} == {f"aws {region}"}
    assert {one.name for one in own if one.protect} == {f"images-repositories-{name}" for name in UPSTREAM}
    component = [one for one in run.everything if one.type == "mlops:platform:Images"]
    assert [one.parent for one in component] == [f"Region {region}"]


def test_what_is_managed_has_no_image() -> None:
    """Guards against a database that is pulled from somewhere."""
    assert set(Software) - set(images()) == {Software.POSTGRESQL}
    with pytest.raises(ValueError, match="postgresql is no image"):
        image(Software.POSTGRESQL, "15")


def test_no_two_images_share_a_repository() -> None:
    """Guards against two publishers' images of one name, pushed over each other."""
    found = [image(software, VERSIONS[software].version).name for software in images()]
    assert sorted(found) == sorted(set(found))
