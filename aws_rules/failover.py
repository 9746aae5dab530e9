"""Which failover record Route 53 answers with, and how long a switch-over takes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from aws_rules.health_checks import detection_seconds

# An alias record has the TTL of the load balancer that it points to, and that is 60 s:
# https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/resource-record-sets-choosing-alias-non-alias.html
# https://docs.aws.amazon.com/elasticloadbalancing/latest/userguide/how-elastic-load-balancing-works.html
ALIAS_TIME_TO_LIVE_SECONDS: Final = 60

# An assumption: AWS documents no figure for a health status to reach every name server. This is its figure
# for a changed record, which goes the longer way, through the control plane. Statuses are sent constantly.
# https://docs.aws.amazon.com/Route53/latest/APIReference/API_ChangeResourceRecordSets.html
# https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/dns-failover-problems.html
ASSUMED_PROPAGATION_SECONDS: Final = 60


class FailoverRole(StrEnum):
    """The two roles of a failover record, as the API spells them."""

    PRIMARY = "PRIMARY"
    SECONDARY = "SECONDARY"


@dataclass(frozen=True, kw_only=True)
class FailoverRecord:
    """One failover record. `target_healthy` is its alias target's health, None where nothing evaluates it.

    Raises ValueError if target health is to be evaluated but not given.
    """

    role: FailoverRole
    target: str
    health_check_id: str | None = None
    evaluate_target_health: bool = False
    target_healthy: bool | None = None

    def __post_init__(self) -> None:
        """Refuse a record whose health nobody could tell."""
        if self.evaluate_target_health and self.target_healthy is None:
            raise ValueError(f"{self.role} evaluates the health of {self.target}, which is not given")


@dataclass(frozen=True, kw_only=True)
class SwitchOver:
    """The parts of a switch-over's duration, which follow one another, in seconds."""

    detection: int
    time_to_live: int
    propagation: int

    @property
    def total(self) -> int:
        """The whole duration in seconds."""
        return self.detection + self.time_to_live + self.propagation


def answer(records: Sequence[FailoverRecord], health: Callable[[str], bool]) -> FailoverRecord:
    """Return the record that answers a query. `health` tells the status of a health check by its id.

    A healthy primary answers, else a healthy secondary; when both are unhealthy, the primary.
    A record is healthy if its check and its evaluated target both are; with neither it always is.
    A record that is alone answers in any state: where none is healthy, all count as healthy.
    Raises ValueError if there is no record, or two have the same role.
    Sources: https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/health-checks-how-route-53-chooses-records.html
    https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/resource-record-sets-values-failover-alias.html
    """
    by_role = {record.role: record for record in records}
    if not records or len(by_role) != len(records):
        roles = ", ".join(record.role for record in records) or "none"
        raise ValueError(f"failover records {roles}: there must be one PRIMARY, one SECONDARY or both")
    if len(records) == 1:
        return records[0]
    primary, secondary = by_role[FailoverRole.PRIMARY], by_role[FailoverRole.SECONDARY]
    return secondary if not _healthy(primary, health) and _healthy(secondary, health) else primary


def switch_over(
    interval_seconds: int,
    failure_threshold: int,
    time_to_live_seconds: int = ALIAS_TIME_TO_LIVE_SECONDS,
    propagation_seconds: int = ASSUMED_PROPAGATION_SECONDS,
) -> SwitchOver:
    """Return the parts of the time from a failure until every resolver has asked again, in seconds.

    Not in it: what `detection_seconds` leaves out, and resolvers that keep an answer longer than its TTL.
    Raises ValueError if a value is out of range.
    Source: https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/best-practices-dns.html
    """
    if not 0 <= time_to_live_seconds < 2**31:  # API_ResourceRecordSet.html (TTL), next to the pages above.
        raise ValueError(f"time to live {time_to_live_seconds} s: it must be 0 to 2147483647")
    if propagation_seconds < 0:
        raise ValueError(f"propagation {propagation_seconds} s: it cannot be negative")
    return SwitchOver(
        detection=detection_seconds(interval_seconds, failure_threshold),
        time_to_live=time_to_live_seconds,
        propagation=propagation_seconds,
    )


def _healthy(record: FailoverRecord, health: Callable[[str], bool]) -> bool:
    check_passes = record.health_check_id is None or health(record.health_check_id)
    return check_passes and (not record.evaluate_target_health or record.target_healthy is True)
