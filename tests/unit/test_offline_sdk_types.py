"""Wrong properties, as the vendor's own SDK knows them: at every depth, and never with their value."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.stack_files import ROOT
from offline.sdk_types import UNKNOWN, NoSuchType, input_types, type_problems

VPC, GROUP = "aws:ec2/vpc:Vpc", "aws:autoscaling/group:Group"
BALANCER, DATABASE = "aws:lb/loadBalancer:LoadBalancer", "aws:rds/instance:Instance"
POLICY, RECORD = "aws:iam/policy:Policy", "aws:route53/record:Record"
ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm"
SIZE = {"minSize": 0, "maxSize": 1}


WRONG: list[tuple[str, dict[str, Any], list[str]]] = [
    # Numbers: the wire has one kind, AWS two.
    (GROUP, {**SIZE, "maxSize": 1.0}, []),
    (GROUP, {**SIZE, "maxSize": 1.5}, ["maxSize: must be a whole number, not a number"]),
    (GROUP, {**SIZE, "maxSize": "1"}, ["maxSize: must be a whole number, not text"]),
    (GROUP, {**SIZE, "maxSize": True}, ["maxSize: must be a whole number, not true or false"]),
    (ALARM, {"threshold": 1.5, "evaluationPeriods": 1, "comparisonOperator": "GreaterThanThreshold"}, []),
    # True or false is neither a number nor text.
    (VPC, {"enableDnsSupport": 1}, ["enableDnsSupport: must be true or false, not a number"]),
    (VPC, {"enableDnsSupport": "true"}, ["enableDnsSupport: must be true or false, not text"]),
    # Lists, mappings and blocks.
    (GROUP, {**SIZE, "availabilityZones": "us-east-1a"}, ["availabilityZones: must be a list, not text"]),
    (GROUP, {**SIZE, "availabilityZones": ["a", 2]}, ["availabilityZones[1]: must be text, not a number"]),
    (VPC, {"tags": ["Name"]}, ["tags: must be a block, not a list"]),
    (VPC, {"tags": {"Name": {"a": "b"}}}, ["tags.Name: must be text, not a block"]),
    (GROUP, {**SIZE, "launchTemplate": "lt-1"}, ["launchTemplate: must be a block, not text"]),
    (GROUP, {**SIZE, "launchTemplate": [{"id": "lt-1"}]}, ["launchTemplate: must be a block, not a list"]),
    (GROUP, {**SIZE, "launchTemplate": {"id": 1}}, ["launchTemplate.id: must be text, not a number"]),
    # Missing and misspelt, outside and inside a block inside a list.
    (GROUP, {"minSize": 0}, ["maxSize: must be given"]),
    (BALANCER, {"subnetMappings": [{}]}, ["subnetMappings[0].subnetId: must be given"]),
    (
        BALANCER,
        {"subnetMappings": [{"subnetId": "s"}, {"subnetId": "s", "elasticIp": "e"}]},
        [
            "subnetMappings[1].elasticIp: no such property; there are: allocationId, ipv6Address, outpostId,"
            " privateIpv4Address, subnetId"
        ],
    ),
    # An enumeration is open: AWS knows values that the SDK does not yet.
    (RECORD, {"name": "a", "zoneId": "Z1", "type": "HTTPS"}, []),
    # Either of two: text or a document.
    (POLICY, {"policy": "{}"}, []),
    (POLICY, {"policy": {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*"}]}}, []),
    (POLICY, {"policy": 3}, ["policy: must be text or a block, not a number"]),
    (
        POLICY,
        {"policy": {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["s3:*", 3]}]}},
        ["policy.Statement[0].Action[1]: must be text, not a number"],
    ),
    # All at once, the missing first.
    (
        GROUP,
        {"maxSize": "many", "desiredCapacity": []},
        [
            "minSize: must be given",
            "maxSize: must be a whole number, not text",
            "desiredCapacity: must be a whole number, not a list",
        ],
    ),
]
"""A type, what is given, and what is wrong with it."""


@pytest.mark.parametrize(("token", "inputs", "problems"), WRONG)
def test_what_is_wrong_is_said_where_it_is(token: str, inputs: dict[str, Any], problems: list[str]) -> None:
    """A mistake that only AWS would find, or a message that names the whole block instead of the line."""
    assert list(type_problems(token, inputs)) == problems


@given(secret=st.uuids().map(str), data=st.data())
@settings(deadline=None)
def test_a_message_never_repeats_a_value(secret: str, data: st.DataObject) -> None:
    """A password in a log, because it was given where something else belongs."""
    token = data.draw(st.sampled_from([VPC, GROUP, BALANCER, POLICY, RECORD, DATABASE]))
    name = data.draw(st.sampled_from(sorted(input_types(token))))
    value = data.draw(
        st.recursive(
            st.just(secret), lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.just("key"), inner)
        )
    )
    assert not [sentence for sentence in type_problems(token, {name: value}) if secret in sentence]


@pytest.mark.parametrize("token", [VPC, GROUP, BALANCER, POLICY, RECORD, DATABASE])
def test_what_is_unknown_or_absent_breaks_nothing(token: str) -> None:
    """A first preview refused, because hardly any value is known in it."""
    for nothing in (UNKNOWN, None):
        assert list(type_problems(token, dict.fromkeys(input_types(token), nothing))) == []


@pytest.mark.parametrize("token", ["aws:ec2/vpc:Vpcc", "aws:ec2/vpc:Subnet", "aws:ec2/vpc:VpcArgs"])
def test_a_type_that_is_none_is_refused(token: str) -> None:
    """A misspelt type that is looked up as something else and so checked by wrong rules."""
    with pytest.raises(NoSuchType, match=f"{token}: pulumi_aws has no such resource type"):
        list(type_problems(token, {}))


def test_the_sdk_may_be_asked_by_many_at_once() -> None:
    """The first preview of a fresh process: its threads see half of an SDK that is still being imported."""
    script = (
        "from concurrent.futures import ThreadPoolExecutor as Pool; from offline.sdk_types import type_problems;"
        "tokens = ['aws:rds/instance:Instance', 'aws:rds/cluster:Cluster', 'aws:rds/proxy:Proxy'] * 8;"
        "print(sum(len(list(found)) >= 0 for found in Pool(24).map(lambda t: list(type_problems(t, {})), tokens)))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "24\n"
