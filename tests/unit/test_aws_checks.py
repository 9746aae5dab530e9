"""The rules of the offline AWS cloud: every one accepts what AWS accepts and refuses what AWS refuses.

What this does not prove: that the rules are AWS's. Each names the document or source it was read from.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine import tokens
from offline.checks import CHECKS, values_at
from offline.cloud import Cloud, Inputs, Proposal, Resource
from offline.constraints import dependents, problems
from offline.rules.model import TypeRules
from offline.sdk_types import input_types, type_problems
from tests.rule_cases import (
    ACCOUNT,
    BALANCER_NAME,
    BASES,
    CASES,
    COMPANIONS,
    REGION,
    RULES,
    SAMPLES,
    WORLD,
    Case,
    constraints_of,
    existing,
    inputs,
    many_rules,
    record,
    without,
)

NAME_PROBLEMS = {
    "name.length": "characters,",
    "name.pattern": "is not a legal name",
    "name.unique": "is used by taken already",
}


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    """An empty cloud."""
    opened = Cloud(tmp_path / "cloud.sqlite")
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """The cloud in which the cases play; what one adds, it takes away."""
    opened = Cloud(tmp_path_factory.mktemp("world") / "cloud.sqlite")
    _fill(opened, WORLD)
    yield opened
    opened.close()


@contextmanager
def _also(world: Cloud, resources: list[Resource]) -> Generator[None]:
    """Have more exist in the world while the block runs."""
    further = [resource for resource in resources if resource not in WORLD]
    _fill(world, further)
    try:
        yield
    finally:
        for resource in further:
            world.remove(resource)


def _fill(cloud: Cloud, resources: list[Resource]) -> None:
    for resource in resources:
        cloud.put(resource)


def _proposal(
    kind: str, given: Inputs, identity: str | None = None, unknown: frozenset[str] = frozenset()
) -> Proposal:
    return Proposal(kind, f"urn:pulumi:cases::cases::{kind}::new", REGION, ACCOUNT, given, identity, unknown)


def _found(
    kind: str, given: Inputs, cloud: Cloud, identity: str | None = None, rules: TypeRules | None = None
) -> set[str]:
    return set(problems(_proposal(kind, given, identity), rules or RULES[kind], cloud))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_rule(case: Case, world: Cloud) -> None:
    """A rule that refuses what is right, or lets through what is wrong."""
    with _also(world, case.existing):
        accepted = _found(case.type, case.good, world, case.id)
        refused = _found(case.type, case.bad, world, case.id)
        others = _found(case.type, case.bad, world, case.id, without(RULES[case.type], case.rule))
    assert accepted == set()
    # Another rule may object as well, but this one must.
    assert refused > others
    if case.rule in NAME_PROBLEMS:
        assert any(NAME_PROBLEMS[case.rule] in sentence for sentence in refused - others)


def test_every_constraint_has_a_case() -> None:
    """A rule that nobody ever saw refuse anything."""
    constraints = {(kind, rule) for kind, rules in RULES.items() for rule in constraints_of(rules)}
    assert {(case.type, case.rule) for case in CASES} == constraints


def test_every_check_is_used() -> None:
    """A check that no rule file names, or a name of a check that does not exist."""
    assert {name for rules in RULES.values() for name in rules.checks} == set(CHECKS)


def test_every_companion_and_sample_is_used() -> None:
    """A line of the tables of cases that has outlived the rule it was for."""
    paths = {
        (kind, path) for kind, rules in RULES.items() for path in (*rules.references, *rules.values, *rules.needs)
    }
    assert set(COMPANIONS) <= paths
    named = {name for rules in RULES.values() for group in (*rules.exactly_one, *rules.at_most_one) for name in group}
    needs = {name for rules in RULES.values() for needed in rules.needs.items() for name in (needed[0], *needed[1])}
    assert set(SAMPLES) <= named | needs


@pytest.mark.parametrize("case", CASES, ids=str)
def test_cases_are_what_the_sdk_allows(case: Case) -> None:
    """A case that the SDK's own types refuse, so that its rule is never asked."""
    assert list(type_problems(case.type, case.good)) == []
    assert list(type_problems(case.type, case.bad)) == []


@pytest.mark.parametrize("kind", RULES)
def test_every_property_updates_or_replaces(kind: str) -> None:
    """A property whose change is an error ("replacement not modelled"), or is said to do both."""
    rules = RULES[kind]
    assert sorted((*rules.update, *rules.replace)) == sorted(input_types(kind).keys() - {"region"})


@pytest.mark.parametrize("kind", RULES)
def test_rules_name_properties_that_exist(kind: str) -> None:
    """A misspelt property in a rule, which would then never apply."""
    rules = RULES[kind]
    groups = [name for group in (*rules.exactly_one, *rules.at_most_one) for name in group]
    needs = [name for needed in rules.needs.items() for name in (needed[0], *needed[1])]
    names = [rules.name.property, *rules.name.per] if rules.name else []
    paths = [*rules.references, *rules.values, *groups, *needs, *names]
    assert {path.split(".")[0].replace("[]", "") for path in paths} <= input_types(kind).keys()


@pytest.mark.parametrize("case", CASES, ids=str)
def test_nothing_is_refused_for_what_is_unknown(case: Case, world: Cloud) -> None:
    """A preview that fails because the engine does not know a value yet."""
    unknowns = [{name} for name in case.good] + [set(case.good)]
    with _also(world, case.existing):
        found = {
            sentence
            for unknown in unknowns
            for sentence in problems(
                _proposal(
                    case.type,
                    {name: value for name, value in case.good.items() if name not in unknown},
                    case.id,
                    frozenset(f"{name}[0].inner" for name in unknown),
                ),
                RULES[case.type],
                world,
            )
        }
    assert found == set()


# The checks whose very question is whether something exists.
EXISTENCE = (
    *("alarm_actions", "alarm_dimensions", "attached_policy", "far_source", "flow_log", "record_alias"),
    "replica_source",
)


@pytest.mark.parametrize("case", [case for case in CASES if case.rule.startswith("checks.")], ids=str)
def test_checks_are_silent_about_parents_that_do_not_exist(case: Case, cloud: Cloud) -> None:
    """A second message about a missing parent, or a crash, where the reference alone should speak."""
    name = case.rule.removeprefix("checks.")
    if name not in EXISTENCE:
        assert list(CHECKS[name](_proposal(case.type, case.good), cloud)) == []


@pytest.mark.parametrize("kind", RULES)
def test_a_resource_does_not_collide_with_itself(kind: str, world: Cloud) -> None:
    """An update that is refused because the resource itself has the name, address or place already."""
    with _also(world, [existing(kind, "itself", **BASES[kind])]):
        assert _found(kind, BASES[kind], world, "itself") == set()


def _as_sent(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _as_sent(item) for key, item in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [_as_sent(item) for item in cast("list[Any]", value)]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


@pytest.mark.parametrize("case", CASES, ids=str)
def test_numbers_of_the_wire(case: Case, world: Cloud) -> None:
    """A rule that knows 443 but not 443.0: the engine's protocol has floats only."""
    with _also(world, case.existing):
        accepted = _found(case.type, _as_sent(case.good), world, case.id)
        refused = _found(case.type, _as_sent(case.bad), world, case.id)
    assert accepted == set()
    assert refused


@pytest.mark.parametrize(
    ("kind", "changes", "sentence"),
    [
        (tokens.NETWORK_INTERFACE, {"subnetId": "subnet-123"}, "subnetId: subnet-123 does not exist in us-east-1"),
        (
            tokens.NETWORK_INTERFACE,
            {"securityGroups": ["sg-1", "sg-2"]},
            "securityGroups[1]: sg-2 does not exist in us-east-1",
        ),
        (tokens.RECORD, {"zoneId": "Z2"}, "zoneId: Z2 does not exist"),
        (tokens.HEALTH_CHECK, {"requestInterval": 20}, "requestInterval: 20 is not allowed, only 10, 30"),
        (tokens.HEALTH_CHECK, {"failureThreshold": 11}, "failureThreshold: 11 is not allowed, only 1 to 10"),
        (
            tokens.INGRESS_RULE,
            {"cidrIpv6": "::/0"},
            "cidrIpv4 | cidrIpv6 | prefixListId | referencedSecurityGroupId: exactly one of them is allowed,"
            " 2 are given",
        ),
        (
            LAUNCH := "aws:ec2/launchTemplate:LaunchTemplate",
            {"namePrefix": "worker"},
            "name | namePrefix: at most one of them is allowed, 2 are given",
        ),
        (tokens.RECORD, {"ttl": None}, "records: needs ttl as well"),
        (
            tokens.RECORD,
            {"aliases": [{"name": "b.example.com", "zoneId": "Z1"}], "records": None, "ttl": None},
            "aliases[0].name: b.example.com is neither a load balancer nor a record of type A in this zone",
        ),
        (tokens.RECORD, {"name": "old.example.com"}, "name: old.example.com has a record of type A already, old"),
        (
            tokens.SECURITY_GROUP,
            {"name": "one"},
            "name: one is used by sg-1 already and must be unique in us-east-1",
        ),
        (
            LAUNCH,
            {"name": "ab"},
            "name: ab has 2 characters, 3 to 128 are allowed"
            " (https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateLaunchTemplate.html)",
        ),
    ],
)
def test_sentences(kind: str, changes: Inputs, sentence: str, world: Cloud) -> None:
    """A refusal that does not say where, what was given and what is allowed."""
    with _also(world, [record("old", name="old.example.com")]):
        assert _found(kind, inputs(kind, changes), world) == {sentence}


def test_rules_are_counted_by_family(world: Cloud) -> None:
    """An IPv6 rule counted as an IPv4 one, or a group as neither."""
    with _also(
        world,
        [
            *many_rules(tokens.EGRESS_RULE, 60),
            existing(tokens.EGRESS_RULE, "sgr-six", securityGroupId="sg-1", cidrIpv6="::/0"),
        ],
    ):
        peer = inputs(tokens.EGRESS_RULE, {"cidrIpv4": None, "referencedSecurityGroupId": "sg-1"})
        assert _found(tokens.EGRESS_RULE, peer, world) == {
            "securityGroupId: sg-1 would have 61 egress rules for IPv4, prefix lists counted by their maximum of"
            " entries; AWS allows 60"
        }


def test_a_name_is_free_where_its_scope_ends(cloud: Cloud) -> None:
    """A security group refused for a namesake in another VPC, or a balancer for one in another region."""
    _fill(cloud, WORLD)
    assert _found(tokens.SECURITY_GROUP, inputs(tokens.SECURITY_GROUP, {"vpcId": "vpc-2"}), cloud) == set()
    cloud.put(Resource(tokens.LOAD_BALANCER, "elsewhere", "urn", "us-west-2", {"name": "edge"}))
    assert _found(tokens.LOAD_BALANCER, BASES[tokens.LOAD_BALANCER], cloud) == set()
    cloud.put(Resource(tokens.BUCKET, "elsewhere", "urn", "us-west-2", {"bucket": "logs-of-the-platform"}))
    cloud.put(existing(tokens.ZONE, "Z2", name="example.org"))
    assert _found(tokens.ZONE, BASES[tokens.ZONE], cloud) == set()
    assert _found(tokens.BUCKET, BASES[tokens.BUCKET], cloud) == {
        "bucket: logs-of-the-platform is used by elsewhere already and must be unique"
    }


def test_a_regional_reference_ends_at_the_region(cloud: Cloud) -> None:
    """A subnet of the other region, or a zone that is refused because it is of no region."""
    _fill(cloud, [resource for resource in WORLD if resource.id not in ("subnet-a", "Z1")])
    cloud.put(Resource(tokens.SUBNET, "subnet-a", "urn", "us-west-2", {"vpcId": "vpc-1"}))
    assert _found(tokens.NETWORK_INTERFACE, BASES[tokens.NETWORK_INTERFACE], cloud) == {
        "subnetId: subnet-a does not exist in us-east-1"
    }
    cloud.put(Resource(tokens.ZONE, "Z1", "given", "everywhere", {"name": "example.com"}))
    assert _found(tokens.RECORD, BASES[tokens.RECORD], cloud) == set()


def test_a_record_may_be_overwritten_on_purpose(cloud: Cloud) -> None:
    """``allowOverwrite`` that is refused all the same."""
    _fill(cloud, [*WORLD, record("first")])
    assert _found(tokens.RECORD, inputs(tokens.RECORD, {"allowOverwrite": True}), cloud) == set()


def test_dual_stack_names_are_names_of_the_balancer(world: Cloud) -> None:
    """The console's own form of an alias target, refused."""
    alias = [{"name": f"dualstack.{BALANCER_NAME}.", "zoneId": "ZLB", "evaluateTargetHealth": True}]
    assert (
        _found(tokens.RECORD, inputs(tokens.RECORD, {"aliases": alias, "records": None, "ttl": None}), world) == set()
    )


NETWORK = IPv4Network("10.0.1.0/24")
TAKEN = {"10.0.1.10", "10.0.1.11"}


@given(offset=st.integers(0, NETWORK.num_addresses - 1))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_fixed_addresses(world: Cloud, offset: int) -> None:
    """An address that AWS keeps, or that is in use, given to a machine; or a free one refused."""
    address = str(NETWORK[offset])
    free = 4 <= offset < NETWORK.num_addresses - 1 and address not in TAKEN
    found = _found(tokens.NETWORK_INTERFACE, inputs(tokens.NETWORK_INTERFACE, {"privateIps": [address]}), world)
    assert (found == set()) is free


# The VPC's block and as much again beside it.
@given(prefix=st.integers(12, 30), offset=st.integers(0, 2**17 - 1))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_subnets(world: Cloud, prefix: int, offset: int) -> None:
    """A subnet of a size, place or overlap that AWS refuses, or a free block refused."""
    block = IPv4Network((0x0A000000 + offset, prefix), strict=False)
    siblings = (IPv4Network(f"10.0.{third}.0/24") for third in (1, 2, 3))
    free = (
        16 <= prefix <= 28
        and block.subnet_of(IPv4Network("10.0.0.0/16"))
        and not any(block.overlaps(sibling) for sibling in siblings)
    )
    found = _found(tokens.SUBNET, inputs(tokens.SUBNET, {"cidrBlock": str(block)}), world)
    assert (found == set()) is free


def test_values_at() -> None:
    """A path that misses a nested value, or stumbles over what is absent or of another shape."""
    given: Inputs = {"a": {"b": [{"c": 1}, {}, {"c": None}, {"c": 4}]}, "d": ["x", ["y"]], "e": "text", "f": [["z"]]}
    found = {path: list(values_at(given, path)) for path in ("a.b[].c", "d[]", "e[]", "e.g", "f[][]", "h.i[].j")}
    assert found == {
        "a.b[].c": [("a.b[0].c", 1), ("a.b[3].c", 4)],
        "d[]": [("d[0]", "x"), ("d[1]", ["y"])],
        "e[]": [],
        "e.g": [],
        "f[][]": [("f[0][0]", "z")],
        "h.i[].j": [],
    }


def test_dependents(cloud: Cloud) -> None:
    """A deletion that AWS would refuse, or one refused for something that does not depend on it."""
    _fill(cloud, WORLD)
    group = existing(tokens.SECURITY_GROUP, "sg-9", vpcId="vpc-1")
    here = existing(tokens.NETWORK_INTERFACE, "eni-9", subnetId="subnet-a", securityGroups=["sg-1", "sg-9"])
    rule = existing(tokens.EGRESS_RULE, "sgr-9", securityGroupId="sg-1", referencedSecurityGroupId="sg-9")
    own_rule = existing(tokens.SECURITY_GROUP, "sg-9", vpcId="vpc-1", ingress=[{"securityGroups": ["sg-9"]}])
    elsewhere = Resource(tokens.NETWORK_INTERFACE, "eni-8", "urn", "us-west-2", {"securityGroups": ["sg-9"]})
    _fill(cloud, [group, here, rule, elsewhere])
    assert {user.id for user in dependents(group, cloud)} == {"eni-9", "sgr-9"}
    cloud.put(own_rule)
    assert {user.id for user in dependents(own_rule, cloud)} == {"eni-9", "sgr-9"}
    balancer = next(resource for resource in WORLD if resource.type == tokens.LOAD_BALANCER)
    cloud.put(existing(tokens.LISTENER, "listener-9", loadBalancerArn=balancer.inputs["arn"]))
    assert [user.id for user in dependents(balancer, cloud)] == ["listener-9"]
    zone = Resource(tokens.ZONE, "Z9", "given", "everywhere", {"name": "example.net"})
    _fill(cloud, [zone, Resource(tokens.RECORD, "record-9", "urn", "us-west-2", {"zoneId": "Z9"})])
    assert [user.id for user in dependents(zone, cloud)] == ["record-9"]
    assert dependents(next(resource for resource in WORLD if resource.id == "lt-1"), cloud) == []
