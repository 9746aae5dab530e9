"""A new health check is not attached before Route 53's checkers have looked once."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import botocore.session
import pulumi
from botocore.exceptions import WaiterError
from botocore.waiter import WaiterModel, create_waiter_with_client

if TYPE_CHECKING:
    from mypy_boto3_route53 import Route53Client

POLL_SECONDS = 5
"""Half of the fast check interval: seen at most half an interval late."""

ATTEMPTS = 60
"""Five minutes in all: ten slow check intervals. A check that nobody has run by then is broken."""

_NOT_KNOWN_YET = "NoSuchHealthCheck"

_WAITER = WaiterModel(
    {
        "version": 2,
        "waiters": {
            "Settled": {
                "operation": "GetHealthCheckStatus",
                "delay": POLL_SECONDS,
                "maxAttempts": ATTEMPTS,
                "acceptors": [
                    {
                        # Every checker has come to a verdict, whichever: "Success: ..." or "Failure: ...".
                        "state": "success",
                        "matcher": "path",
                        "argument": (
                            "length(HealthCheckObservations) > `0` && length(HealthCheckObservations[?!("
                            "starts_with(StatusReport.Status || '', 'Success') ||"
                            " starts_with(StatusReport.Status || '', 'Failure'))]) == `0`"
                        ),
                        "expected": True,
                    },
                    # Route 53 does not know a new check everywhere at once.
                    {"state": "retry", "matcher": "error", "expected": _NOT_KNOWN_YET},
                ],
            }
        },
    }
)


def wait_until_settled(health_check_id: str, client: Route53Client) -> None:
    """Return once every checker has reported on a check.

    Raises:
        TimeoutError: no verdict of all checkers within ``POLL_SECONDS * ATTEMPTS``.
        botocore.exceptions.WaiterError: Route 53 refused to answer.
    """
    try:
        create_waiter_with_client("Settled", _WAITER, client).wait(HealthCheckId=health_check_id)
    except WaiterError as error:
        if error.last_response.get("Error", {}).get("Code", _NOT_KNOWN_YET) != _NOT_KNOWN_YET:
            raise
        raise TimeoutError(
            f"health check {health_check_id} has no verdict of all checkers after {POLL_SECONDS * ATTEMPTS} s;"
            " it is not attached, traffic is where it was. Look at it in the Route 53 console, then run `up` again."
        ) from error


def health_check_settled() -> pulumi.ResourceHook:
    """Return the hook to run before a calculated health check is made from others, or changed."""

    def hook(arguments: pulumi.ResourceHookArgs) -> None:
        # Route 53 is one service for all regions; its requests are signed for the region it lives in.
        client = botocore.session.get_session().create_client("route53", region_name="us-east-1")
        for health_check_id in (arguments.new_inputs or {})["childHealthchecks"]:
            wait_until_settled(health_check_id, cast("Route53Client", client))

    return pulumi.ResourceHook("health-check-settled", hook)
