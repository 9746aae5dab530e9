"""The AWS calls that are answered offline, asked by the SDK that the program uses."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Generator
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.exceptions import ClientError

from engine.tokens import HEALTH_CHECK
from offline.cloud import Cloud, Resource
from offline.endpoint import CHECKERS, aws_endpoint

CHECK = Resource(HEALTH_CHECK, "3f0f2f0e-check", "urn", "us-west-2")


@pytest.fixture
def address(tmp_path: Path) -> Generator[str, None, None]:
    """Where a cloud with one health check answers."""
    cloud = Cloud(tmp_path / "cloud.sqlite")
    cloud.put(CHECK)
    with aws_endpoint(cloud) as url:
        yield url
    cloud.close()


@pytest.fixture
def route53(address: str) -> Any:
    """The SDK's client of that address."""
    return botocore.session.Session().create_client(
        "route53", region_name="us-east-1", endpoint_url=address, aws_access_key_id="x", aws_secret_access_key="x"
    )


def test_the_sdk_reads_what_each_checker_saw(route53: Any) -> None:
    """A gate that waits for ever offline, because it finds no verdict in the answer."""
    seen = route53.get_health_check_status(HealthCheckId=CHECK.id)["HealthCheckObservations"]
    assert seen == [
        {
            "Region": region,
            "IPAddress": address,
            "StatusReport": {"Status": "Failure: HTTP Status Code 403, Forbidden"},
        }
        for region, address in CHECKERS.items()
    ]
    # Route 53 decides by a majority of its checkers: three are the fewest of which one may be wrong.
    assert len({one["IPAddress"] for one in seen}) == 3


def test_a_check_that_is_gone_is_the_sdks_own_error(route53: Any) -> None:
    """A gate that takes a deleted check for one that has not been looked at yet."""
    with pytest.raises(ClientError) as refused:
        route53.get_health_check_status(HealthCheckId="gone")
    error: Any = refused.value
    assert error.response["Error"]["Code"] == "NoSuchHealthCheck"
    assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 404


@pytest.mark.parametrize(
    "path", ["/", "/2013-04-01/healthcheck/3f0f2f0e-check", "/2013-04-01/hostedzone/3f0f2f0e-check/status"]
)
def test_another_call_is_not_answered(path: str, address: str) -> None:
    """A look-up that the program should not make, answered with nothing as if all were well."""
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(address + path)
    assert refused.value.code == 501
    refused.value.close()


def test_nothing_answers_when_the_run_is_over(tmp_path: Path) -> None:
    """A server that stays behind with every run, over a cloud that is closed."""
    cloud = Cloud(tmp_path / "cloud.sqlite")
    with aws_endpoint(cloud) as url:
        pass
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(url, timeout=5)
    cloud.close()
