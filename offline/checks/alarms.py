"""Checks of CloudWatch alarms and of the SNS topics that they notify."""

from __future__ import annotations

import re
from collections.abc import Iterator

from engine.tokens import (
    AUTOSCALING_GROUP,
    DATABASE,
    FILE_SYSTEM,
    INSTANCE,
    LOAD_BALANCER,
    TARGET_GROUP,
    TOPIC,
    VOLUME,
)
from offline.checks.common import Check, is_given, is_missing, is_unknown, known_text, parent, siblings, values_at
from offline.checks.policies import statements_of
from offline.cloud import Cloud, Proposal


def alarm_metric(proposal: Proposal, _: Cloud) -> Iterator[str]:
    """An alarm on a metric says which statistic of it, and every alarm but one on PromQL what it is compared to.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html
    """
    if is_given(proposal, "metricName") and is_missing(proposal, "statistic", "extendedStatistic"):
        yield "statistic: an alarm on a metric needs one, or an extendedStatistic"
    if is_missing(proposal, "threshold", "thresholdMetricId", "evaluationCriteria"):
        yield "threshold: an alarm needs one, or a thresholdMetricId"
    for where, query in values_at(proposal.inputs, "metricQueries[]"):
        if ("metric" in query) == ("expression" in query):
            yield f"{where}: exactly one of metric and expression is allowed"
    queries = list(values_at(proposal.inputs, "metricQueries[]"))
    if queries and sum(bool(query.get("returnData")) for _, query in queries) != 1:
        yield "metricQueries: exactly one of them has returnData"


SHORT_PERIODS = (10, 20, 30)
"""Seconds, for metrics of high resolution."""

HOUR, DAY, WEEK = 3_600, 86_400, 604_800


def alarm_time(proposal: Proposal, _: Cloud) -> Iterator[str]:
    """The period is 10, 20 or 30 s or whole minutes; an alarm looks back a day at most, on hours a week.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html
    """
    period, periods, points = (
        proposal.inputs.get(name) for name in ("period", "evaluationPeriods", "datapointsToAlarm")
    )
    if period is not None and period not in SHORT_PERIODS and (period < 60 or period % 60):
        yield f"period: {period:g} s, only 10, 20, 30 and multiples of 60 are allowed"
    if periods is not None and periods < 1:
        yield f"evaluationPeriods: {periods:g}, at least 1 is needed"
    if periods is not None and period is not None:
        most = WEEK if period >= HOUR else DAY
        if period * periods > most:
            yield f"evaluationPeriods: {periods:g} periods of {period:g} s are more than {most} s"
    if points is not None and periods is not None and not 1 <= points <= periods:
        yield f"datapointsToAlarm: {points:g}, 1 to evaluationPeriods ({periods:g}) are allowed"


_ACTIONS = ("alarmActions", "okActions", "insufficientDataActions")
MOST_ACTIONS = 5
"""The most actions of one state.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html
"""

_MACHINE_ACTION = re.compile(r"arn:aws:automate:([a-z0-9-]+):ec2:(recover|reboot|stop|terminate)")


def alarm_actions(proposal: Proposal, cloud: Cloud) -> Iterator[str]:
    """The topics of the actions exist in the alarm's region; what is done to a machine is done to the alarm's own.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/UsingAlarmActions.html
    """
    topics = {topic.attribute("arn") for topic in cloud.all(TOPIC, region=proposal.region)}
    for name in _ACTIONS:
        actions = list(values_at(proposal.inputs, f"{name}[]"))
        if len(actions) > MOST_ACTIONS:
            yield f"{name}: {len(actions)} actions, {MOST_ACTIONS} are allowed"
        for where, arn in actions:
            service = str(arn).split(":")[2:3]
            if service == ["sns"] and arn not in topics:
                yield f"{where}: {arn} does not exist in {proposal.region}"
            if service != ["automate"]:
                continue
            found = _MACHINE_ACTION.fullmatch(arn)
            if found is None or found[1] != proposal.region:
                yield f"{where}: {arn} is not an action on machines of {proposal.region}"
            known = not is_unknown(proposal, "dimensions") and not is_unknown(proposal, "metricQueries")
            if known and not list(values_at(proposal.inputs, "dimensions.InstanceId")):
                yield f"{where}: {arn} needs the dimension InstanceId, which says on which machine"


_MEASURED = {
    "InstanceId": (INSTANCE, "id"),
    "VolumeId": (VOLUME, "id"),
    "DBInstanceIdentifier": (DATABASE, "identifier"),
    "FileSystemId": (FILE_SYSTEM, "id"),
    "AutoScalingGroupName": (AUTOSCALING_GROUP, "name"),
    "LoadBalancer": (LOAD_BALANCER, "arnSuffix"),
    "TargetGroup": (TARGET_GROUP, "arnSuffix"),
}
"""Which resource a dimension names, by which of its attributes."""


def alarm_dimensions(proposal: Proposal, cloud: Cloud) -> Iterator[str]:
    """What an alarm measures exists in its region.

    AWS takes any dimension. An alarm on something that does not exist has no data, and so never goes off.
    """
    for path in ("dimensions", "metricQueries[].metric.dimensions"):
        for name, (kind, attribute) in _MEASURED.items():
            for where, value in values_at(proposal.inputs, f"{path}.{name}"):
                if cloud.find(kind, attribute=attribute, value=value, region=proposal.region) is None:
                    yield f"{where}: {value} does not exist in {proposal.region}, so that there is nothing to measure"


def topic_policy(proposal: Proposal, _: Cloud) -> Iterator[str]:
    """The policy of a topic is JSON that says who may do what, on this topic.

    https://docs.aws.amazon.com/sns/latest/dg/sns-access-policy-language-api-permissions-reference.html
    """
    document, arn = proposal.inputs.get("policy"), known_text(proposal, "arn")
    if document is None:
        return
    statements, problems = statements_of("policy", document, "Principal", "Action", "Resource")
    yield from problems
    for index, statement in enumerate(statements):
        resource = statement.get("Resource")
        if arn is not None and isinstance(resource, str) and resource not in (arn, "*"):
            yield f"policy: statement {index} names {resource}, which is not this topic ({arn})"


_ENDPOINTS = {
    "email": re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+"),
    "email-json": re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+"),
    "http": re.compile(r"http://\S+"),
    "https": re.compile(r"https://\S+"),
    "sms": re.compile(r"\+\d{8,15}"),
    **{protocol: re.compile(r"arn:\S+") for protocol in ("sqs", "lambda", "firehose", "application")},
}


def subscription_endpoint(proposal: Proposal, cloud: Cloud) -> Iterator[str]:
    """The endpoint is one of the protocol, new on its topic, and no person's when the topic keeps the order.

    https://docs.aws.amazon.com/sns/latest/api/API_Subscribe.html
    """
    protocol, endpoint = known_text(proposal, "protocol"), known_text(proposal, "endpoint")
    if protocol is None:
        return
    if endpoint is not None and protocol in _ENDPOINTS and not _ENDPOINTS[protocol].fullmatch(endpoint):
        yield f"endpoint: {endpoint} is not an endpoint of the protocol {protocol}"
    topic = parent(proposal, cloud, "topic", TOPIC)
    if topic is not None and topic.attribute("fifoTopic") and protocol != "sqs":
        yield f"protocol: {topic.id} keeps the order, its subscribers are queues (sqs) only"
    for other in siblings(proposal, cloud, "topic", "protocol", "endpoint"):
        yield f"endpoint: {endpoint} is subscribed to {other.attribute('topic')} already, {other.id}"


CHECKS: tuple[Check, ...] = (
    alarm_metric,
    alarm_time,
    alarm_actions,
    alarm_dimensions,
    topic_policy,
    subscription_endpoint,
)
