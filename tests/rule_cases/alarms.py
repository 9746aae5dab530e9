"""Cases of the checks of alarms and topics."""

from __future__ import annotations

from collections.abc import Iterator

from engine import tokens
from offline.cloud import Inputs
from tests.rule_cases.common import Case, case
from tests.rule_cases.workloads import COMPANIONS, PUBLISH
from tests.rule_cases.world import REGION, TOPIC_ARN, existing, policy

_QUERIES = COMPANIONS[tokens.ALARM, "metricQueries"]
_RECOVER = f"arn:aws:automate:{REGION}:ec2:recover"


def cases() -> Iterator[Case]:
    """Yield the cases of this file."""
    kind = tokens.ALARM
    yield case("no statistic", kind, "alarm_metric", {"statistic": None})
    yield case("no threshold", kind, "alarm_metric", {"threshold": None})
    expression: Inputs = {"id": "one", "expression": "1", "returnData": True}
    metric = {"metricName": "CPUUtilization", "period": 60, "stat": "Sum"}
    yield case("both", kind, "alarm_metric", {"metricQueries": [{**expression, "metric": metric}]}, _QUERIES)
    yield case("none returned", kind, "alarm_metric", {"metricQueries": [{"id": "one", "expression": "1"}]}, _QUERIES)
    yield case("odd period", kind, "alarm_time", {"period": 90}, {"period": 120})
    yield case("short period", kind, "alarm_time", {"period": 15}, {"period": 10})
    yield case("no periods", kind, "alarm_time", {"evaluationPeriods": 0})
    yield case("more than a day", kind, "alarm_time", {"evaluationPeriods": 1_441}, {"evaluationPeriods": 1_440})
    hourly: Inputs = {"period": 3_600, "evaluationPeriods": 168}
    yield case("more than a week", kind, "alarm_time", {"evaluationPeriods": 169}, hourly)
    yield case("more points", kind, "alarm_time", {"datapointsToAlarm": 4}, {"datapointsToAlarm": 3})
    yield case("no topic", kind, "alarm_actions", {"okActions": [f"{TOPIC_ARN}-missing"]})
    topics = [existing(tokens.TOPIC, f"{TOPIC_ARN}-{number}", arn=f"{TOPIC_ARN}-{number}") for number in range(6)]
    arns = [topic.id for topic in topics]
    yield case("six", kind, "alarm_actions", {"alarmActions": arns}, {"alarmActions": arns[:5]}, topics)
    recover: Inputs = {"alarmActions": [_RECOVER]}
    yield case("no machine", kind, "alarm_actions", {"dimensions": None}, recover)
    elsewhere = _RECOVER.replace(REGION, "us-west-2")
    yield case("machine elsewhere", kind, "alarm_actions", {"alarmActions": [elsewhere]}, recover)
    yield case("nothing", kind, "alarm_dimensions", {"dimensions": {"InstanceId": "i-missing"}})
    yield case(
        "no database",
        kind,
        "alarm_dimensions",
        {"dimensions": {"DBInstanceIdentifier": "missing"}},
        {"dimensions": {"DBInstanceIdentifier": "source"}},
    )
    yield from _topic_cases()


def _topic_cases() -> Iterator[Case]:
    nobody = policy(None, "sns:Publish", TOPIC_ARN)
    yield case("nobody", tokens.TOPIC, "topic_policy", {"policy": nobody}, {"policy": PUBLISH})
    another = policy({"Service": "cloudwatch.amazonaws.com"}, "sns:Publish", f"{TOPIC_ARN}-2")
    yield case("another topic", tokens.TOPIC_POLICY, "topic_policy", {"policy": another})
    kind = tokens.TOPIC_SUBSCRIPTION
    yield case("no address", kind, "subscription_endpoint", {"endpoint": "https://example.com"})
    https: Inputs = {"protocol": "https", "endpoint": "https://example.com"}
    yield case("plain", kind, "subscription_endpoint", {"endpoint": "http://example.com"}, https)
    ordered = existing(tokens.TOPIC, f"{TOPIC_ARN}.fifo", arn=f"{TOPIC_ARN}.fifo", fifoTopic=True)
    yield case("ordered", kind, "subscription_endpoint", {"topic": f"{TOPIC_ARN}.fifo"}, also=[ordered])
    there = existing(kind, "subscription-1", topic=TOPIC_ARN, protocol="email", endpoint="first@example.com")
    yield case("twice", kind, "subscription_endpoint", {"endpoint": "first@example.com"}, also=[there])
