"""One region's APIs: they answer, or what was asked is unknown, within seconds."""

import socket
import threading
from collections.abc import Iterator

import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError

from ops import aws
from ops.aws import Region, asked
from ops.problems import Unknown

CLIENTS = ("s3", "efs", "rds", "autoscaling", "cloudwatch", "elbv2", "secrets", "sts")


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An endpoint that takes connections and never answers, as a region that is half dead does."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        yield url


def test_clients_have_deadlines(silent: str) -> None:
    """A client that waits for a dark region for minutes, or that asks the real one while the lab is meant."""
    region = Region("us-west-2")
    for name in CLIENTS:
        client = getattr(region, name)
        config = client.meta.config
        assert (config.connect_timeout, config.read_timeout) == (5, 10), name
        assert config.retries == {"mode": "standard", "total_max_attempts": 3}, name
        assert (client.meta.region_name, client.meta.endpoint_url) == ("us-west-2", silent), name
        assert getattr(region, name) is client, name


def test_no_client_leaves_its_region(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client in the standby region that signs in at an endpoint in the primary one, which is dark."""
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_STS_REGIONAL_ENDPOINTS", "legacy")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    region = Region("us-west-2")
    assert [name for name in CLIENTS if ".us-west-2." not in getattr(region, name).meta.endpoint_url] == []


def test_clients_are_made_on_several_threads(silent: str) -> None:
    """A status that asks everything at once and trips over a session that is made ready twice."""
    region = Region("us-east-1")
    ready, failed = threading.Barrier(len(CLIENTS)), list[BaseException]()

    def make(name: str) -> None:
        ready.wait(timeout=10)
        try:
            assert getattr(region, name).meta.endpoint_url == silent
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=make, args=(name,)) for name in CLIENTS]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert failed == []


@pytest.mark.usefixtures("silent")
def test_silence_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """A region that takes the connection and says nothing, told as a program error."""
    monkeypatch.setattr(aws, "READ_SECONDS", 0.1)
    monkeypatch.setattr(aws, "ATTEMPTS", 1)
    with pytest.raises(Unknown, match=r"^who asks: Read timeout on endpoint URL: "), asked("who asks"):
        Region("us-east-1").sts.get_caller_identity()


@pytest.mark.parametrize(
    "error",
    [
        ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "GetObject"),
        ConnectTimeoutError(endpoint_url="https://example"),
    ],
)
def test_what_aws_does_not_say_is_unknown(error: Exception) -> None:
    """A refusal or a timeout that passes for an answer, or whose reason is lost."""
    with pytest.raises(Unknown) as unknown, asked("the switch"):
        raise error
    assert str(unknown.value) == f"the switch: {error}"
    assert unknown.value.__cause__ is error


def test_errors_of_the_program_stay_errors() -> None:
    """A mistake in the program that is shown as something AWS did not say."""
    with pytest.raises(KeyError), asked("the switch"):
        raise KeyError("Body")
