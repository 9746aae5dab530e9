"""No secret of the deployed platform stands anywhere in the clear: their values are searched for everywhere."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from configs.settings.parse import SECRETS
from engine.stack_files import STACKS
from offline.cloud import Cloud
from offline.result import OfflineResult
from tests.engine.conftest import stack_of

Deployed = tuple[Path, dict[str, OfflineResult]]

PASSWORD, PRIVATE_KEY = "random:index/randomPassword:RandomPassword", "tls:index/privateKey:PrivateKey"
OBJECT = "aws:s3/bucketObjectv2:BucketObjectv2"
VERSION = "aws:secretsmanager/secretVersion:SecretVersion"
PUBLIC = ("caCertificate", "certificate", "publicCertificate")
"""Parts of the documents that everyone may read."""


def secrets_of(cloud: Cloud) -> set[str]:
    """Return every secret there is: as it was made, and as the nodes read it. Of a PEM a line that is its own."""
    values = {str(made.outputs["result"]) for made in cloud.all(PASSWORD)}
    values |= {str(made.outputs["privateKeyPem"]) for made in cloud.all(PRIVATE_KEY)}
    for version in cloud.all(VERSION):
        document: dict[str, str] = json.loads(version.inputs["secretString"])
        values |= {value for name, value in document.items() if name not in PUBLIC}
    values |= {f"offline-{name}" for name in SECRETS}
    return {value.splitlines()[1] if value.startswith("-----BEGIN") else value for value in values}


def places(home: Path, results: dict[str, OfflineResult]) -> Iterator[tuple[str, str]]:
    """Yield where a secret might stand, and the text that stands there."""
    cloud = stack_of("prod", home).cloud()
    for resource in cloud.all():
        yield f"id of {resource.urn}", resource.id
        for name in ("userData", "userDataBase64", "content"):
            if name in resource.inputs:
                yield f"{name} of {resource.urn}", str(resource.inputs[name])
    cloud.close()
    for stack in STACKS:
        yield f"outputs of {stack}", json.dumps(results[stack].outputs)
        yield f"state of {stack}", json.dumps(stack_of(stack, home).export())
        yield f"steps of {stack}", json.dumps([dict(step.inputs) for step in results[stack].steps], default=str)


def leaks(home: Path, results: dict[str, OfflineResult], secrets: set[str]) -> list[str]:
    """Return where a secret stands in the clear."""
    return [place for place, text in places(home, results) if any(secret in text for secret in secrets)]


@pytest.fixture(scope="module")
def secrets(deployed: Deployed) -> set[str]:
    """Every secret of the deployed platform."""
    cloud = stack_of("prod", deployed[0]).cloud()
    found = secrets_of(cloud)
    cloud.close()
    return found


def test_no_secret_is_in_the_clear(deployed: Deployed, secrets: set[str]) -> None:
    """A token in user data, in a bundle, in an id, in an output or in the exported state."""
    # All of both stacks, and every kind of secret: not a search for nothing in two empty clouds.
    assert len(secrets) > 20
    assert len(list(places(*deployed))) > 700
    assert leaks(*deployed, secrets) == []


def test_a_planted_secret_is_found(
    deployed: Deployed, home: Path, secrets: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A scan that looks past what it is to find: in a bundle, in user data, in an id, an output, the state."""
    one, *_ = secrets
    cloud = stack_of("prod", home).cloud()
    bundle, machine = (next(cloud.all(kind)) for kind in (OBJECT, "aws:ec2/instance:Instance"))
    cloud.put(replace(bundle, inputs={**bundle.inputs, "content": f"token: {one}"}))
    cloud.put(replace(machine, inputs={**machine.inputs, "userData": f"export TOKEN={one}"}))
    cloud.put(replace(machine, id=one, urn="named by its secret", inputs={}))
    cloud.close()
    state = home / "state" / ".pulumi" / "stacks" / "mlops-ha" / "dr.json"
    state.write_text(state.read_text().replace("mlops-balancer-network", one, 1))
    monkeypatch.setitem(deployed[1]["prod"].outputs, "planted", one)
    assert set(leaks(home, deployed[1], secrets)) == {
        f"content of {bundle.urn}",
        f"userData of {machine.urn}",
        "id of named by its secret",
        "outputs of prod",
        "state of dr",
    }
