"""How Route 53 decides whether a health check is healthy.

Sources: https://docs.aws.amazon.com/Route53/latest/APIReference/API_HealthCheckConfig.html (the API page) and
https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/dns-failover-determining-health-of-endpoints.html
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

# The Developer Guide says 255. The API page allows 256: the smaller one is safe under both.
MAXIMUM_CHILDREN: Final = 255

# The Developer Guide: 4 s to connect, 2 s to answer.
SILENT_REQUEST_SECONDS: Final = 6

# The Developer Guide: with 18 % of the checkers or fewer an endpoint is unhealthy. AWS may change the value.
UNHEALTHY_CHECKERS_PERCENT: Final = 18


@dataclass(frozen=True, kw_only=True)
class EndpointHealthCheck:
    """A check that sends requests to an endpoint. ValueError if a value is not one the API page allows."""

    interval_seconds: int
    failure_threshold: int
    inverted: bool = False
    disabled: bool = False

    def __post_init__(self) -> None:
        """Refuse what the API refuses."""
        _validate(self.interval_seconds, self.failure_threshold)


@dataclass(frozen=True, kw_only=True)
class CalculatedHealthCheck:
    """A check that counts the healthy ones among its children, which are ids of other checks.

    A threshold of 0 is always healthy, one above the number of children never is (the API page).
    Raises ValueError for more than 255 children, and for a threshold that is not 0 to 256.
    """

    children: tuple[str, ...]
    threshold: int
    inverted: bool = False
    disabled: bool = False

    def __post_init__(self) -> None:
        """Refuse what the API refuses."""
        if len(self.children) > MAXIMUM_CHILDREN:
            raise ValueError(f"{len(self.children)} children: the maximum is {MAXIMUM_CHILDREN}")
        if not 0 <= self.threshold <= 256:  # The API page, HealthThreshold.
            raise ValueError(f"health threshold {self.threshold}: it must be 0 to 256")


HealthCheck = EndpointHealthCheck | CalculatedHealthCheck


def checker_status(observations: Sequence[bool], threshold: int, initial: bool = True) -> bool:
    """Return what one checker reports after its observations, oldest first, before any inversion.

    The status flips once `threshold` observations in a row contradict it (the Developer Guide).
    A new check is healthy until there is enough data: `initial`. A new inverted check is therefore
    unhealthy, because `is_healthy` inverts last. Raises ValueError if the threshold is not 1 to 10.
    """
    _validate_threshold(threshold)
    status, contrary_in_a_row = initial, 0
    for observation in observations:
        contrary_in_a_row = 0 if observation == status else contrary_in_a_row + 1
        if contrary_in_a_row == threshold:
            status, contrary_in_a_row = observation, 0
    return status


def endpoint_status(checkers: Sequence[bool]) -> bool:
    """Return whether more than 18 % of the checkers report the endpoint healthy, before any inversion.

    Without any report the check is new, so healthy (both: the Developer Guide).
    """
    return not checkers or sum(checkers) * 100 > UNHEALTHY_CHECKERS_PERCENT * len(checkers)


def is_healthy(check_id: str, checks: Mapping[str, HealthCheck], endpoint_statuses: Mapping[str, bool]) -> bool:
    """Return the final status of a check, the one that DNS answers depend on.

    `endpoint_statuses` holds `endpoint_status` by check id. A check that is not in it is new, so healthy.
    A disabled check is healthy. Inversion comes last: a disabled inverted check is unhealthy.
    Raises ValueError if a check is not in `checks`, or a calculated check monitors a calculated one.
    Source: https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/health-checks-creating-values.html
    """
    check = _find(check_id, checks)
    if check.disabled:
        healthy = True
    elif isinstance(check, EndpointHealthCheck):
        healthy = endpoint_statuses.get(check_id, True)
    else:
        for child in check.children:
            if isinstance(_find(child, checks), CalculatedHealthCheck):
                raise ValueError(f"{check_id} monitors {child}: a calculated check cannot monitor another")
        healthy_children = [child for child in check.children if is_healthy(child, checks, endpoint_statuses)]
        healthy = len(healthy_children) >= check.threshold
    return healthy != check.inverted


def detection_seconds(interval_seconds: int, failure_threshold: int) -> int:
    """Return the longest time until a check has failed, in seconds: threshold x (interval + a silent request).

    The interval runs from a response to the next request (the API page, RequestInterval), so the requests' own
    time comes on top. Raises ValueError if the API page does not allow a value.
    """
    _validate(interval_seconds, failure_threshold)
    return failure_threshold * (interval_seconds + SILENT_REQUEST_SECONDS)


def _find(check_id: str, checks: Mapping[str, HealthCheck]) -> HealthCheck:
    if check_id not in checks:
        raise ValueError(f"there is no health check {check_id}")
    return checks[check_id]


def _validate(interval_seconds: int, failure_threshold: int) -> None:
    if interval_seconds not in (10, 30):  # The API page, RequestInterval.
        raise ValueError(f"request interval {interval_seconds} s: it must be 10 or 30")
    _validate_threshold(failure_threshold)


def _validate_threshold(failure_threshold: int) -> None:
    if not 1 <= failure_threshold <= 10:  # The API page, FailureThreshold.
        raise ValueError(f"failure threshold {failure_threshold}: it must be 1 to 10")
