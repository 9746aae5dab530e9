"""The settings of a stack file: what is taken, what is refused, and how the refusal reads."""

import json
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from datetime import date
from typing import Any, cast

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from configs.settings.model import Settings
from configs.settings.parse import SECRETS, parse_settings, schema
from configs.settings.problem import BLOCK, NOTHING, Problem, SettingsError
from configs.settings.rules import RULES
from engine.stack_files import ROOT, STACKS, disagreements, stack_config, stack_settings

Path = tuple[str | int, ...]

FILE = "Pulumi.prod.yaml"
GIVEN: dict[str, Any] = stack_config(ROOT, "prod")[BLOCK]
"""The block of the tracked file: what must be given, and the archive's region."""

ARN = "arn:aws:secretsmanager:us-east-1:123456789012:secret:mlops"
OPTIONAL: dict[str, Any] = {
    "capacity": {"controlPlaneType": "m6in.4xlarge", "workerTypes": ["m6in.2xlarge", "m6idn.8xlarge"]},
    "certificates": {"mode": "secret", "primarySecretArn": ARN, "standbySecretArn": ARN},
    "edge": {"zoneId": "0" * 32, "domain": "example.net", "addressRanges": ["198.51.100.0/24", "192.0.2.0/24"]},
    "monitoring": {"remoteWriteUrl": "https://metrics.example.com/api/v1/push"},
    "versions": {"consul": "1.22.3", "postgresql": "15"},
}
"""What is off or left to a profile by default, set to something good."""

NULLABLE = {
    ("capacity", "controlPlaneType"),
    ("capacity", "workerTypes"),
    ("edge",),
    ("monitoring", "remoteWriteUrl"),
}
"""Settings that may be switched off by null."""


def parsed(block: object, secrets_given: Sequence[str] = tuple(SECRETS)) -> Settings:
    return parse_settings(block, secrets_given, FILE)


def problems_of(block: object, secrets_given: Sequence[str] = tuple(SECRETS)) -> tuple[Problem, ...]:
    with pytest.raises(SettingsError) as refused:
        parsed(block, secrets_given)
    return refused.value.problems


def changed(block: Mapping[str, Any], changes: Mapping[Path, Any]) -> dict[str, Any]:
    """Return a copy of a block with some settings changed; NOTHING takes one away."""
    copy: Any = deepcopy(block)
    for (*steps, last), value in changes.items():
        here = copy
        for step in steps:
            here = here[step] if isinstance(step, int) else here.setdefault(step, {})
        if value is NOTHING:
            del here[last]
        else:
            here[last] = value
    return copy


def complete() -> dict[str, Any]:
    """Return a good block in which every setting there is, is given."""
    block: dict[str, Any] = parsed(GIVEN).model_dump(mode="json", by_alias=True)
    return {
        **block,
        **{
            key: {**block[key], **value} if isinstance(block[key], dict) and key != "certificates" else value
            for key, value in OPTIONAL.items()
        },
    }


COMPLETE = complete()


def inside(value: Any) -> Iterable[tuple[str | int, Any]]:
    """Return keys and values of a block, indexes and values of a list, nothing of anything else."""
    match value:
        case dict():
            return cast(dict[str, Any], value).items()
        case list():
            return enumerate(cast(list[Any], value))
        case _:
            return ()


def paths(value: Any, path: Path = ()) -> Iterator[Path]:
    """Yield the path of every block, list and value."""
    if path:
        yield path
    for key, item in inside(value):
        yield from paths(item, (*path, key))


def at(block: Any, path: Path) -> Any:
    for step in path:
        block = block[step]
    return block


def where(path: Path) -> str:
    return "mlops-ha:platform" + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)


# The tracked files.


@pytest.mark.parametrize("stack", STACKS)
def test_tracked_stack_file_is_good(stack: str) -> None:
    """A stack file that nobody can deploy as it is checked in."""
    assert stack_settings(ROOT, stack).role == {"prod": "primary", "dr": "standby"}[stack]


def test_tracked_stack_files_agree() -> None:
    """`dr` looks for prod's things under another name than prod gave them."""
    assert disagreements({stack: stack_settings(ROOT, stack) for stack in STACKS}) == []


def test_disagreement_names_files_and_setting() -> None:
    """Two stacks that differ in what they share, unnoticed or without saying in what."""
    stacks = {"prod": parsed(GIVEN), "dr": parsed(changed(GIVEN, {("role",): "standby", ("name",): "other"}))}
    assert disagreements(stacks) == [
        "Pulumi.prod.yaml and Pulumi.dr.yaml differ in name: both stacks must say the same, one cannot read the other"
    ]


def test_defaults() -> None:
    """A default that drifts away from what the design promises."""
    taken = parsed(GIVEN).model_dump(mode="json", by_alias=True, exclude_none=True)
    assert {key: value for key, value in taken.items() if key not in GIVEN} == {
        "name": "mlops",
        "network": {"natGatewayPerZone": True, "interfaceEndpoints": True, "flowLogDays": 30},
        "capacity": {"profile": "minimum"},
        "controlPlane": {"serverCount": 3},
        "workers": {
            "minimum": 3,
            "maximum": 20,
            "standbyMinimum": 1,
            "spotShare": 0.5,
            "targetPercent": 70,
            "cooldownSeconds": 120,
        },
        "database": {
            "instanceClass": "db.m6i.large",
            "storageGigabytes": 100,
            "maximumStorageGigabytes": 500,
            "primaryGeneration": 1,
            "standbyGeneration": 1,
            "replicaCount": 2,
            "backupWindow": "03:00-04:00",
            "maintenanceWindow": "sun:05:00-sun:06:00",
        },
        "failover": {"mode": "automatic", "checkIntervalSeconds": 10, "failureThreshold": 3},
        "certificates": {"mode": "internal"},
        "monitoring": {"retentionDays": 15, "retentionGigabytes": 50},
        "retention": {
            "databaseDays": 14,
            "archiveDays": 365,
            "lock": {"mode": "governance", "minimumDays": 7, "maximumDays": 400},
        },
        "protection": True,
        "versions": {},
    }


def test_only_what_has_no_default_stands_in_the_tracked_file() -> None:
    """A setting that must be given although it need not, or is missing from the file to start from."""
    optional = {("regions", "archive"), ("regions", "archive", "name")}
    required = {path for path in paths(GIVEN) if not isinstance(path[-1], int)} - optional
    for path in required:
        assert Problem(path, NOTHING, problems_of(changed(GIVEN, {path: NOTHING}))[0].allowed).where == where(path)
    for path in optional:
        parsed(changed(GIVEN, {path: NOTHING}))


def test_complete_block_is_good() -> None:
    """The block that the bad ones below are made from must be good, or they prove nothing."""
    assert parsed(COMPLETE).edge is not None


# Rules that span several settings.


@dataclass(frozen=True)
class Violation:
    """What breaks one rule in the complete block: the changes, and the one problem they lead to."""

    rule: str
    changes: dict[Path, Any]
    problem: Problem


VIOLATIONS = [
    Violation(
        "_regions_differ",
        {("regions", "archive", "name"): "us-west-2"},
        Problem(
            ("regions", "archive", "name"),
            "us-west-2",
            "another region than regions.standby: one loss must not take both",
        ),
    ),
    Violation(
        "_regions_differ",
        {
            ("regions", "standby", "name"): "us-east-1",
            ("regions", "standby", "zones"): ["us-east-1a", "us-east-1b", "us-east-1c"],
        },
        Problem(
            ("regions", "standby", "name"),
            "us-east-1",
            "another region than regions.primary: one loss must not take both",
        ),
    ),
    Violation(
        "_ranges_apart",
        {("regions", "standby", "cidr"): "10.10.128.0/17"},
        Problem(
            ("regions", "standby", "cidr"),
            "10.10.128.0/17",
            "a range that does not overlap regions.primary.cidr (10.10.0.0/16): the regions may be peered",
        ),
    ),
    Violation(
        "_zones_of_their_region",
        {("regions", "primary", "zones", 1): "us-west-2b"},
        Problem(("regions", "primary", "zones", 1), "us-west-2b", "a zone of us-east-1"),
    ),
    Violation(
        "_zones_of_their_region",
        {("regions", "standby", "zones", 2): "us-west-2a"},
        Problem(
            ("regions", "standby", "zones", 2),
            "us-west-2a",
            "a zone that is not listed yet: three different ones",
        ),
    ),
    Violation(
        "_worker_counts",
        {("workers", "minimum"): 30},
        Problem(("workers", "minimum"), 30, "at most workers.maximum (20)"),
    ),
    Violation(
        "_worker_counts",
        {("workers", "standbyMinimum"): 4},
        Problem(
            ("workers", "standbyMinimum"),
            4,
            "at most workers.minimum (3): a standby is smaller than what it stands by for",
        ),
    ),
    Violation(
        "_large_enough_machines",
        {("capacity", "controlPlaneType"): "m6idn.2xlarge"},
        Problem(
            ("capacity", "controlPlaneType"),
            "m6idn.2xlarge",
            "a type without instance store: EC2 does not recover a machine that has one",
        ),
    ),
    Violation(
        "_large_enough_machines",
        {("capacity", "controlPlaneType"): "c6in.2xlarge"},
        Problem(("capacity", "controlPlaneType"), "c6in.2xlarge", "at least m6in.2xlarge, the profile minimum's"),
    ),
    Violation(
        "_large_enough_machines",
        {("capacity", "profile"): "recommended", ("capacity", "workerTypes"): ["m6in.8xlarge", "r6in.4xlarge"]},
        Problem(("capacity", "workerTypes", 1), "r6in.4xlarge", "at least m6idn.8xlarge, the profile recommended's"),
    ),
    Violation(
        "_database_grows",
        {("database", "maximumStorageGigabytes"): 50},
        Problem(("database", "maximumStorageGigabytes"), 50, "at least database.storageGigabytes (100)"),
    ),
    Violation(
        "_returns_with_a_new_database",
        {("role",): "returning"},
        Problem(
            ("database", "primaryGeneration"),
            1,
            "at least 2 with the role returning: no database that was written to becomes a replica, a new one takes"
            " its place; `mlops-ha failback` sets both",
        ),
    ),
    Violation(
        "_within_the_lock",
        {("retention", "lock", "minimumDays"): 401},
        Problem(("retention", "lock", "minimumDays"), 401, "at most retention.lock.maximumDays (400)"),
    ),
    Violation(
        "_within_the_lock",
        {("retention", "archiveDays"): 401},
        Problem(
            ("retention", "archiveDays"),
            401,
            "between 7 and 400, the lock's: AWS Backup fails every job outside",
        ),
    ),
    Violation(
        "_edge_of_its_own",
        {("edge", "domain"): "mlops.example.com"},
        Problem(
            ("edge", "domain"),
            "mlops.example.com",
            "a domain outside mlops.example.com: the edge points at names of that zone and cannot be one of them",
        ),
    ),
    Violation(
        "_edge_of_its_own",
        {("edge", "domain"): "cdn.mlops.example.com"},
        Problem(
            ("edge", "domain"),
            "cdn.mlops.example.com",
            "a domain outside mlops.example.com: the edge points at names of that zone and cannot be one of them",
        ),
    ),
]


@pytest.mark.parametrize("violation", VIOLATIONS, ids=lambda v: f"{v.rule}-{where(v.problem.path)}")
def test_broken_rule_is_this_one_problem(violation: Violation) -> None:
    """A rule that does not see its violation, or says it wrongly."""
    assert problems_of(changed(COMPLETE, violation.changes)) == (violation.problem,)


def test_every_rule_has_an_example() -> None:
    """A rule that no test ever broke."""
    assert {violation.rule for violation in VIOLATIONS} == {rule.__name__ for rule in RULES}


def test_rules_run_beside_wrong_values_elsewhere() -> None:
    """Errors shown in two rounds: first the values, and only then the rules."""
    found = problems_of(
        changed(GIVEN, {("workers",): {"minimum": 30}, ("accountId",): "x", ("retention",): {"archiveDays": 1}}),
        (),
    )
    assert [problem.where for problem in found] == [
        "mlops-ha:platform.accountId",
        "mlops-ha:platform.workers.minimum",
        "mlops-ha:platform.retention.archiveDays",
        "mlops-ha:slackWebhookUrl",
        "mlops-ha:smtpPassword",
    ]


# Generated bad settings.


def examples(count: int) -> settings:
    """Return how many to try; without hypothesis' deadline: a busy machine is no failure."""
    return settings(max_examples=count, deadline=None)


@dataclass(frozen=True)
class Mutation:
    """Something done to the complete block, what it is done to, and the paths that the message must name."""

    claims: tuple[Path, ...]
    changes: Mapping[Path, Any]
    named: tuple[Path, ...]

    def touches(self, other: "Mutation") -> bool:
        """Say whether one may hide the other: a wrong block hides what is in it."""
        return any(
            mine[: len(theirs)] == theirs or theirs[: len(mine)] == mine
            for mine in self.claims
            for theirs in other.claims
        )


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
plain = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3), max_leaves=6
)


def of_another_kind(*kinds: type) -> st.SearchStrategy[Any]:
    return plain.filter(lambda value: type(value) not in kinds)


def wrong_value(path: Path) -> st.SearchStrategy[Any]:
    """Return what is wrong at a path whatever the rest says: another kind, out of range, bad text."""
    match at(COMPLETE, path):
        case bool():
            wrong = of_another_kind(bool) | st.sampled_from([0, 1, "true", "no"])
        case int():
            # The largest number that any setting takes is 65,536, the smallest 0.
            wrong = (
                of_another_kind(int)
                | st.sampled_from(["3", 3.0, True])
                | st.integers(max_value=-1)
                | st.integers(min_value=65_537)
            )
        case float():
            wrong = of_another_kind(int, float) | st.sampled_from([-0.01, 1.01, 2, -1, float("nan"), float("inf")])
        case str():
            # No text of ours is empty, ends in a space or leaves the alphabet of ASCII.
            wrong = of_another_kind(str) | st.text().map(lambda text: text + " ") | st.just("") | st.just("nö")
        case list():
            wrong = of_another_kind(list) | st.just([])
        case _:
            wrong = of_another_kind(dict)
    return wrong.filter(lambda value: value is not None) if path in NULLABLE else wrong


CERTIFICATES = ("certificates",)


def claim(path: Path) -> Path:
    # Without a good mode nobody knows which other keys belong to the block.
    return CERTIFICATES if path[:1] == CERTIFICATES else path


def wrong_at(path: Path) -> st.SearchStrategy[Mutation]:
    return wrong_value(path).map(lambda value: Mutation((claim(path),), {path: value}, (path,)))


EVERY_PATH = tuple(paths(COMPLETE))
BLOCKS = tuple(path for path in EVERY_PATH if isinstance(at(COMPLETE, path), dict))
REQUIRED = tuple(
    path
    for path in EVERY_PATH
    if not isinstance(path[-1], int)
    and (path in set(paths(GIVEN)) or (len(path) == 2 and path[0] in ("edge", "certificates")))
    and path[:2] != ("regions", "archive")
)
# Without its mode, which is what is reported, a block's other keys cannot be judged.
MISSPELT = tuple(path for path in EVERY_PATH if not isinstance(path[-1], int) and path != ("certificates", "mode"))

wrong_values = st.sampled_from(EVERY_PATH).flatmap(wrong_at)
missing_keys = st.sampled_from(REQUIRED).map(lambda path: Mutation((claim(path),), {path: NOTHING}, (path,)))


@st.composite
def unknown_keys(draw: st.DrawFn) -> Mutation:
    block = draw(st.sampled_from([(), *BLOCKS]))
    key = draw(st.text(st.characters(codec="utf-8")).map(lambda text: f"{text}?"))
    path = (*block, key)
    return Mutation((claim(path),), {path: draw(plain)}, (path,))


@st.composite
def misspelt_keys(draw: st.DrawFn) -> Mutation:
    """A known key with one letter left out, doubled or in the other case."""
    path = draw(st.sampled_from(MISSPELT))
    key = str(path[-1])
    index = draw(st.integers(0, len(key) - 1))
    letter = draw(st.sampled_from(["", key[index] * 2, key[index].swapcase()]))
    wrong = f"{key[:index]}{letter}{key[index + 1 :]}"
    assume(wrong not in at(COMPLETE, path[:-1]))
    other = (*path[:-1], wrong)
    named = (path, other) if path in REQUIRED else (other,)
    return Mutation(tuple(map(claim, (path, other))), {path: NOTHING, other: at(COMPLETE, path)}, named)


def breaks(violation: Violation) -> Mutation:
    # A rule speaks up once the blocks that it reads are good by themselves.
    reads: set[Path] = {path[:1] for path in (*violation.changes, violation.problem.path)}
    if violation.rule == "_edge_of_its_own":
        reads.add(("domain",))
    return Mutation(tuple(reads), violation.changes, (violation.problem.path,))


broken_rules = st.sampled_from(VIOLATIONS).map(breaks)
mutations = st.one_of(wrong_values, missing_keys, unknown_keys(), misspelt_keys(), broken_rules)


def assert_all_named(block: object, named: Sequence[Path]) -> None:
    with pytest.raises(SettingsError) as refused:
        parsed(block)
    message = str(refused.value)
    assert {where(path) for path in named} <= {problem.where for problem in refused.value.problems}
    for path in named:
        assert f"  {where(path)}\n    given:   " in message
    for problem in refused.value.problems:
        assert problem.allowed.strip()
        # The words of the library below say nothing to someone who edits a stack file.
        assert not re.search(r"Input|Tuple|String|valid (integer|number|boolean|array)|validation", problem.allowed)


@given(mutation=wrong_values)
@examples(300)
def test_wrong_value_is_named(mutation: Mutation) -> None:
    """A wrong type, a number out of range or a bad text that is taken, or ends in a traceback."""
    assert_all_named(changed(COMPLETE, mutation.changes), mutation.named)


@given(mutation=st.one_of(missing_keys, unknown_keys(), misspelt_keys()))
@examples(200)
def test_wrong_key_is_named(mutation: Mutation) -> None:
    """A missing, unknown or misspelt key that is passed over in silence."""
    assert_all_named(changed(COMPLETE, mutation.changes), mutation.named)


@given(mutation=misspelt_keys())
@examples(100)
def test_misspelt_key_gets_a_suggestion(mutation: Mutation) -> None:
    """Someone who mistyped a key has to look the right one up."""
    meant, wrong = list(mutation.changes)
    found = next(p for p in problems_of(changed(COMPLETE, mutation.changes)) if p.path == wrong)
    assert found.allowed == f"no such setting; did you mean {meant[-1]}?"


@given(several=st.lists(mutations, min_size=2, max_size=6))
@examples(200)
def test_several_mistakes_are_shown_in_one_go(several: list[Mutation]) -> None:
    """One mistake that hides another: an engineer who corrects and tries, again and again."""
    independent: list[Mutation] = []
    for mutation in several:
        if not any(mutation.touches(other) for other in independent):
            independent.append(mutation)
    changes = {path: value for mutation in independent for path, value in mutation.changes.items()}
    assert_all_named(changed(COMPLETE, changes), [path for mutation in independent for path in mutation.named])


@given(block=plain)
@examples(100)
def test_anything_in_place_of_the_block_is_a_settings_error(block: object) -> None:
    """A traceback, because the whole block is something else."""
    assert_all_named(block, [] if isinstance(block, dict) else [()])


@given(key=st.sampled_from(list(Settings.model_json_schema(by_alias=True)["properties"])), value=plain)
@examples(300)
def test_anything_in_place_of_a_key_is_good_or_a_settings_error(key: str, value: object) -> None:
    """A traceback, because one setting is something that nobody thought of."""
    try:
        parsed({**GIVEN, key: value})
    except SettingsError as error:
        named = {problem.path[0] for problem in error.problems}
    else:
        named: set[str | int] = set()
    assert named <= {key}


def endless() -> list[Any]:
    """Return a list that holds itself, as the YAML ``&a [*a]`` does."""
    endless: list[Any] = []
    endless.append(endless)
    return endless


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({("domain",): date(2020, 1, 1)}, ("domain",)),
        ({("domain",): "half a character: \ud800"}, ("domain",)),
        ({("adminCidrs",): endless()}, ("adminCidrs", 0)),
        ({("protection",): float("nan")}, ("protection",)),
        ({("versions",): {1: "1.22.3"}}, ("versions", "1")),
        ({("workers",): {date(2020, 1, 1): 3}}, ("workers", "2020-01-01")),
        ({("certificates",): {"mode": "secret", "secret": {"secret": 1}}}, ("certificates", "secret")),
    ],
    ids=str,
)
def test_what_only_yaml_can_say_is_a_settings_error(changes: dict[Path, Any], path: Path) -> None:
    """A traceback, because YAML knows values that JSON does not; or a path that is not in the file."""
    assert_all_named(changed(GIVEN, changes), [path])


# Messages.


def test_message_in_full() -> None:
    """A message that does not read well, or is not what an engineer finds in the documentation."""
    wrong = changed(
        GIVEN,
        {
            ("role",): "primry",
            ("accountId",): 123456789012,
            ("adminCidrs",): ["0.0.0.0/0"],
            ("regions", "primary", "zones", 1): "us-east-1",
            ("regions", "standby"): NOTHING,
            ("workers",): {"minimun": 3, "spotShare": 2, "targetPercent": 70.5},
            ("database",): {"maximumStorageGigabytes": 50},
        },
    )
    with pytest.raises(SettingsError) as refused:
        parsed(wrong, ["slackWebhookUrl"])
    assert (
        str(refused.value)
        == """\
Pulumi.prod.yaml: 10 settings are wrong
  mlops-ha:platform.role
    given:   "primry"
    allowed: primary, standby, active, returning or leaving
  mlops-ha:platform.accountId
    given:   123456789012
    allowed: an account id: 12 digits in quotes, like "123456789012"
  mlops-ha:platform.adminCidrs[0]
    given:   "0.0.0.0/0"
    allowed: a range of your own, /8 or smaller, like 203.0.113.0/24: never the whole internet
  mlops-ha:platform.regions.primary.zones[1]
    given:   "us-east-1"
    allowed: an availability zone, like us-east-1a
  mlops-ha:platform.regions.standby
    given:   nothing
    allowed: a block of settings: name, zones, cidr, imageId, healthCheckersPrefixListId
  mlops-ha:platform.workers.spotShare
    given:   2
    allowed: a number from 0 to 1
  mlops-ha:platform.workers.targetPercent
    given:   70.5
    allowed: a whole number from 10 to 95
  mlops-ha:platform.workers.minimun
    given:   3
    allowed: no such setting; did you mean minimum?
  mlops-ha:platform.database.maximumStorageGigabytes
    given:   50
    allowed: at least database.storageGigabytes (100)
  mlops-ha:smtpPassword
    given:   nothing
    allowed: the password of alerts.email.user: pulumi config set --secret smtpPassword --stack prod"""
    )


START = (
    "a block of settings, at least role, accountId, domain, hostedZoneId, adminCidrs, regions, alerts:"
    " copy one from a stack file of this project"
)
MODES = "acm, internal or secret"
SECRET_ARN = "an ARN of secretsmanager, like arn:aws:secretsmanager:us-east-1:123456789012:..."
ADMINS = (
    "a list of 1 to 10. Ranges that may reach SSH, through your VPN: no machine has a public address."
    " Also HTTPS past an edge."
)
WORKER_KEYS = "minimum, maximum, standbyMinimum, spotShare, targetPercent, cooldownSeconds"
KNOWN_TYPES = (
    "an EC2 type that is known here: c6in.xlarge, c6in.2xlarge, m6in.2xlarge, m6in.4xlarge, m6in.8xlarge,"
    " m6idn.2xlarge, m6idn.8xlarge, r6in.2xlarge, r6in.4xlarge, r6idn.8xlarge"
)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({("certificates",): {}}, Problem(("certificates", "mode"), NOTHING, MODES)),
        ({("certificates",): {"mode": "self"}}, Problem(("certificates", "mode"), "self", MODES)),
        ({("certificates",): None}, Problem(("certificates",), None, "a block of settings: mode")),
        (
            {("certificates",): {"mode": "secret", "primarySecretArn": ARN}},
            Problem(("certificates", "standbySecretArn"), NOTHING, SECRET_ARN),
        ),
        (
            {("certificates",): {"primarySecretArn": ARN, "mode": "internal"}},
            Problem(("certificates", "primarySecretArn"), ARN, "no such setting; there are: mode"),
        ),
        ({("controlPlane",): {"serverCount": 4}}, Problem(("controlPlane", "serverCount"), 4, "3 or 5")),
        (
            {("network",): {"flowLogDays": True}},
            Problem(("network", "flowLogDays"), True, "1, 3, 5, 7, 14, 30, 60, 90, 180 or 365"),
        ),
        ({("protection",): "no"}, Problem(("protection",), "no", "true or false")),
        ({("adminCidrs",): []}, Problem(("adminCidrs",), [], ADMINS)),
        (
            {("adminCidrs",): ["10.0.0.1/8"]},
            Problem(
                ("adminCidrs", 0),
                "10.0.0.1/8",
                "an IPv4 range that begins at its first address, like 10.10.0.0/16",
            ),
        ),
        (
            {("regions", "primary", "cidr"): "127.0.0.0/16"},
            Problem(
                ("regions", "primary", "cidr"),
                "127.0.0.0/16",
                "a private range between /16 and /20, like 10.10.0.0/16",
            ),
        ),
        (
            {("regions", "primary", "zones"): ["us-east-1a"]},
            Problem(
                ("regions", "primary", "zones"),
                ["us-east-1a"],
                "a list of 3. Three availability zones of the region: a quorum of three survives the loss of one.",
            ),
        ),
        (
            {("regions", "primary"): NOTHING},
            Problem(
                ("regions", "primary"),
                NOTHING,
                "the region that serves: every stack needs it, a standby to know whom it stands by for",
            ),
        ),
        ({("workers",): None}, Problem(("workers",), None, f"a block of settings: {WORKER_KEYS}")),
        (
            {("capacity",): {"workerTypes": ["t2.nano"]}},
            Problem(("capacity", "workerTypes", 0), "t2.nano", KNOWN_TYPES),
        ),
        (
            {("accountId",): "١٢٣٤٥٦٧٨٩٠١٢"},
            Problem(("accountId",), "١٢٣٤٥٦٧٨٩٠١٢", 'an account id: 12 digits in quotes, like "123456789012"'),
        ),
        (
            {("versions",): {"consul": 1.22}},
            Problem(("versions", "consul"), 1.22, 'a version in quotes, like "1.22.3"'),
        ),
        (
            {("versions",): {"konsul": "1.22.3"}},
            Problem(("versions", "konsul"), "1.22.3", "no such setting; did you mean consul?"),
        ),
        (
            {("retention",): {"forever": True}},
            Problem(("retention", "forever"), True, "no such setting; there are: databaseDays, archiveDays, lock"),
        ),
        (
            {("alerts", "email", "user"): ""},
            Problem(("alerts", "email", "user"), "", "a user name: printable characters without a space, like mlops"),
        ),
    ],
    ids=str,
)
def test_one_problem(changes: dict[Path, Any], problem: Problem) -> None:
    """A message that names another place, or leaves open what is allowed there."""
    assert problems_of(changed(GIVEN, changes)) == (problem,)


@pytest.mark.parametrize(("block", "shown"), [(None, NOTHING), ([], []), ("role: primary", "role: primary")])
def test_missing_block(block: object, shown: object) -> None:
    """A new stack whose file is empty: someone who does not know where to begin."""
    assert problems_of(block) == (Problem((), shown, START),)


def test_missing_secrets_come_with_their_command() -> None:
    """Secrets that are found missing one by one, half-way through a deployment."""
    assert [(problem.where, problem.allowed) for problem in problems_of(GIVEN, ())] == [
        (
            "mlops-ha:slackWebhookUrl",
            "the Slack webhook that alerts are posted to: pulumi config set --secret slackWebhookUrl --stack prod",
        ),
        (
            "mlops-ha:smtpPassword",
            "the password of alerts.email.user: pulumi config set --secret smtpPassword --stack prod",
        ),
    ]


@pytest.mark.parametrize(
    ("role", "region", "is_primary", "serves", "generation", "bounds"),
    [
        ("primary", "us-east-1", True, True, 2, (3, 20)),
        ("returning", "us-east-1", True, False, 2, (1, 1)),
        ("standby", "us-west-2", False, False, 3, (1, 1)),
        ("active", "us-west-2", False, True, 3, (3, 20)),
        ("leaving", "us-west-2", False, False, 3, (1, 1)),
    ],
)
def test_what_a_role_means(
    role: str, region: str, is_primary: bool, serves: bool, generation: int, bounds: tuple[int, int]
) -> None:
    """A region that is built, scaled or served from by the wrong role, or that counts the other one's databases."""
    taken = parsed({**GIVEN, "role": role, "database": {"primaryGeneration": 2, "standbyGeneration": 3}})
    assert (taken.location.name, taken.is_primary, taken.serves) == (region, is_primary, serves)
    assert (taken.database_generation, taken.worker_bounds) == (generation, bounds)


@pytest.mark.parametrize("role", ["standby", "active", "leaving"])
def test_only_the_primary_keeps_secrets(role: str) -> None:
    """A standby that asks, in a disaster, for passwords that it reads from its replicas anyway."""
    assert parsed({**GIVEN, "role": role}, ()).role == role


def test_long_value_is_cut() -> None:
    """One wrong value that fills the screen and hides the others."""
    (problem,) = problems_of({**GIVEN, "domain": "x" * 1000})
    assert str(problem).splitlines()[1] == f'    given:   "{"x" * 79} ...'


# The JSON schema.


def settings_in(node: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield name and schema of every setting, however deep it lies."""
    for key, inner in inside(node):
        if key == "properties":
            yield from inner.items()
        yield from settings_in(inner)


def test_every_setting_is_described() -> None:
    """A default whose reason nobody wrote down; an editor that shows no help."""
    block = Settings.model_json_schema(by_alias=True)

    def description(setting: dict[str, Any]) -> str:
        # Pydantic leaves it out where it is, word for word, what the referenced block says of itself.
        referenced = block["$defs"].get(setting.get("$ref", "").removeprefix("#/$defs/"), {})
        return setting.get("description") or referenced.get("description", "")

    found = list(settings_in(block))
    # As many as a complete block has, so that the walk cannot come to nothing.
    assert {path[-1] for path in MISSPELT} - COMPLETE["versions"].keys() <= {name for name, _ in found}
    assert [name for name, setting in found if not description(setting)] == []


def test_tracked_schema_is_the_current_one() -> None:
    """Editors that check stack files by the rules of last month (`mlops-ha schema --write`)."""
    tracked = json.loads((ROOT / "configs/settings/stack.schema.json").read_text())
    assert tracked == schema()


def schema_errors(block: object) -> list[str]:
    validator: Any = Draft202012Validator(schema())
    return sorted(error.json_path for error in validator.iter_errors({"config": {BLOCK: block}}))


def test_schema_is_one() -> None:
    """A file that calls itself a JSON schema and is none."""
    Draft202012Validator.check_schema(schema())


@pytest.mark.parametrize("block", [*(stack_config(ROOT, stack)[BLOCK] for stack in STACKS), COMPLETE])
def test_schema_accepts_what_is_good(block: object) -> None:
    """An editor that marks a good file as wrong."""
    assert schema_errors(block) == []


def test_schema_refuses_what_is_bad() -> None:
    """An editor that is silent about a file that the program refuses."""
    bad: dict[Path, Any] = {
        ("accountId",): 123456789012,
        ("controlPlane", "serverCount"): 4,
        ("database", "storageGigabytes"): 1,
        ("regions", "primary", "zones", 1): "us-east-1",
        ("capacity", "controlPlaneType"): "t2.nano",
        ("versions", "consul"): "new",
        ("certificates", "mode"): "self",
    }
    root = f"$.config['{BLOCK}']"
    assert schema_errors(changed(COMPLETE, bad)) == [
        f"{root}.accountId",
        f"{root}.capacity.controlPlaneType",
        f"{root}.certificates",
        f"{root}.controlPlane.serverCount",
        f"{root}.database.storageGigabytes",
        f"{root}.regions.primary.zones[1]",
        f"{root}.versions.consul",
    ]


# Purity.

WATCHER = """
import os, pkgutil, sys
touched = []
def is_data(path):
    # Python itself opens modules, and what says which packages there are.
    return os.path.isfile(path) and not path.startswith((sys.prefix, sys.base_prefix)) and not path.endswith(PYTHON)
PYTHON = (".py", ".pyc")
def watch(event, arguments):
    if event == "open" and is_data(str(arguments[0])):
        touched.append((event, str(arguments[0])))
    elif event.startswith(("socket.", "subprocess.", "os.system", "os.exec", "os.posix_spawn")):
        touched.append((event,))
sys.addaudithook(watch)
import configs
for module in pkgutil.walk_packages(configs.__path__, "configs."):
    __import__(module.name)
from configs.settings.parse import parse_settings
try:
    parse_settings({}, (), "Pulumi.prod.yaml")
except Exception as error:
    print(type(error).__name__)
print(sorted({name.partition(".")[0] for name in sys.modules} & set(sys.argv[1:])), touched)
"""


def test_configs_is_pure() -> None:
    """Settings and tables that need an engine, a cloud or a file: no longer usable by every tool and test."""
    others = ("pulumi", "pulumi_aws", "grpc", "botocore", "boto3", "components", "gates", "offline", "cli")
    done = subprocess.run(
        [sys.executable, "-B", "-c", WATCHER, *others], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "SettingsError\n[] []\n"
