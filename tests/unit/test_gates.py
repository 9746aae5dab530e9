"""Gates: nothing is attached to a health check that nobody has looked at."""

from collections.abc import Generator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

import botocore.session
import botocore.waiter
import pulumi
import pytest
from botocore.exceptions import WaiterError
from botocore.stub import Stubber

from gates import health_check
from gates.health_check import health_check_settled, wait_until_settled
from tests.unit.mocks import run

if TYPE_CHECKING:
    from mypy_boto3_route53 import Route53Client

OK, DOWN, SILENT = "Success: HTTP Status Code 200, OK", "Failure: HTTP Status Code 403, Forbidden", None
STATUS = "get_health_check_status"


class Clock:
    """Stands for the time module in the waiter: notes the pauses and makes none."""

    def __init__(self) -> None:
        self.pauses: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(botocore.waiter, "time", clock)
    return clock


@pytest.fixture(scope="module")
def client() -> Any:
    return botocore.session.Session().create_client(
        "route53", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x"
    )


@pytest.fixture
def route53(client: Any) -> Generator[Stubber, None, None]:
    """Route 53 with its answers written down; it fails on a call that is not the next one written."""
    with Stubber(client) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


def client_of(route53: Stubber) -> "Route53Client":
    return cast("Route53Client", cast(Any, route53).client)


def answer(route53: Stubber, *statuses: str | None, check: str = "check-1") -> None:
    """Write down one answer with an observation of each checker; SILENT: it has no verdict yet."""
    observations: list[dict[str, Any]] = []
    for number, status in enumerate(statuses):
        observation: dict[str, Any] = {"Region": "us-east-1", "IPAddress": f"15.177.2.{number}"}
        if status is not SILENT:
            observation["StatusReport"] = {"Status": status, "CheckedTime": datetime(2025, 1, 1, tzinfo=UTC)}
        observations.append(observation)
    route53.add_response(STATUS, {"HealthCheckObservations": observations}, {"HealthCheckId": check})


@pytest.mark.parametrize("statuses", [(OK,), (DOWN,), (OK, DOWN, OK)])
def test_settled_once_every_checker_has_a_verdict(route53: Stubber, clock: Clock, statuses: Sequence[str]) -> None:
    """Guards against waiting for health: a verdict is what settles a check, whichever it is."""
    answer(route53, *statuses)
    wait_until_settled("check-1", client_of(route53))
    assert clock.pauses == []


@pytest.mark.parametrize(
    "unsettled",
    [
        pytest.param((), id="no checker knows it"),
        pytest.param((OK, SILENT), id="a checker has not reported"),
        pytest.param((DOWN, "Unknown"), id="a checker has no verdict"),
        pytest.param((DOWN, ""), id="an empty verdict"),
    ],
)
def test_asks_again_until_it_is_settled(route53: Stubber, clock: Clock, unsettled: Sequence[str | None]) -> None:
    """Guards against a check that is attached before all checkers have looked, and against a crash while they do."""
    answer(route53, *unsettled)
    answer(route53, *unsettled)
    answer(route53, OK, DOWN)
    wait_until_settled("check-1", client_of(route53))
    assert clock.pauses == [5, 5]


def test_asks_again_while_route_53_does_not_know_the_check(route53: Stubber, clock: Clock) -> None:
    """Guards against failing on a check that was made a second ago."""
    route53.add_client_error(STATUS, "NoSuchHealthCheck", http_status_code=404)
    answer(route53)
    answer(route53, OK)
    wait_until_settled("check-1", client_of(route53))
    assert clock.pauses == [5, 5]


@pytest.mark.parametrize("known", [True, False])
def test_gives_up_after_five_minutes(route53: Stubber, clock: Clock, known: bool) -> None:
    """Guards against waiting for ever, and against a message that leaves an engineer without a next step."""
    for _ in range(60):
        if known:
            answer(route53, OK, SILENT)
        else:
            route53.add_client_error(STATUS, "NoSuchHealthCheck", http_status_code=404)
    with pytest.raises(TimeoutError) as raised:
        wait_until_settled("check-1", client_of(route53))
    assert str(raised.value) == (
        "health check check-1 has no verdict of all checkers after 300 s; it is not attached,"
        " traffic is where it was. Look at it in the Route 53 console, then run `up` again."
    )
    assert clock.pauses == [5] * 59


def test_a_refusal_is_shown_as_what_it_is(route53: Stubber, clock: Clock) -> None:
    """Guards against a missing permission that is reported as a check that never settled."""
    route53.add_client_error(STATUS, "AccessDenied", "not authorized to perform: route53:GetHealthCheckStatus")
    with pytest.raises(WaiterError) as raised:
        wait_until_settled("check-1", client_of(route53))
    assert str(raised.value) == (
        "Waiter Settled failed: An error occurred (AccessDenied):"
        " not authorized to perform: route53:GetHealthCheckStatus"
    )
    assert clock.pauses == []


def test_hook_waits_for_every_check_that_is_counted(
    route53: Stubber, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guards against a hook that looks at another check than those that the new one counts."""
    for check in ("endpoint", "switch"):
        answer(route53, check=check)
        answer(route53, DOWN, check=check)
    asked: list[tuple[str, str]] = []

    class Session:
        def create_client(self, service: str, region_name: str) -> object:
            asked.append((service, region_name))
            return client_of(route53)

    monkeypatch.setattr(health_check.botocore.session, "get_session", Session)
    hooks = run(health_check_settled).hooks
    assert hooks.keys() == {"health-check-settled"}
    arguments = pulumi.ResourceHookArgs(
        "urn", "", "region", "type", new_inputs={"childHealthchecks": ["endpoint", "switch"]}
    )
    assert hooks["health-check-settled"](arguments) is None
    assert asked == [("route53", "us-east-1")]
    assert clock.pauses == [5, 5]
