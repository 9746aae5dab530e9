"""The tables: addresses, flows, names, versions and capacity."""

import re
import tomllib
from collections import Counter
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network
from itertools import combinations

import botocore.session
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from configs.settings.fields import BucketPrefix, Domain, VersionNumber
from configs.tables.addresses import FixedAddress, Tier, fixed_address, subnets
from configs.tables.capacity import CAPACITY, INSTANCE_TYPES, InstanceType, Profile, smaller_than
from configs.tables.flows import (
    FLOWS,
    NODES,
    PREFIX_LIST_ENTRIES,
    RULES_PER_GROUP,
    Direction,
    Outside,
    Party,
    Protocol,
    Role,
    Rule,
    rules,
)
from configs.tables.names import (
    ARCHIVE_BUCKET,
    BACKUPS_BUCKET,
    BUNDLES_BUCKET,
    SWITCH_BUCKET,
    Names,
    PublicNames,
    Service,
)
from configs.tables.versions import VERSIONS, Software
from engine.stack_files import ROOT

# Addresses.

PRIVATE = [IPv4Network(block) for block in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")]
SLOTS = 24
"""Fixed addresses of each kind: eight in each of three zones."""


@st.composite
def networks(draw: st.DrawFn, sizes: st.SearchStrategy[int]) -> IPv4Network:
    block = draw(st.sampled_from(PRIVATE))
    address = draw(st.integers(int(block[0]), int(block[-1])))
    return IPv4Network((address, draw(sizes)), strict=False)


region_ranges = networks(st.integers(16, 20))


def kept_by_aws(cidr: IPv4Network) -> set[IPv4Address]:
    """Return the five addresses that AWS keeps of a subnet: the first four and the last.

    https://docs.aws.amazon.com/vpc/latest/userguide/subnet-sizing.html
    """
    return {cidr[0], cidr[1], cidr[2], cidr[3], cidr[-1]}


@given(cidr=region_ranges)
@settings(deadline=None)
def test_subnets_fill_their_places(cidr: IPv4Network) -> None:
    """Subnets that overlap, leave the region's range, or are missing in a zone."""
    plan = subnets(cidr)
    assert sorted((subnet.tier, subnet.zone) for subnet in plan) == sorted(
        (tier, zone) for tier in Tier for zone in range(3)
    )
    assert all(subnet.cidr.subnet_of(cidr) for subnet in plan)
    assert not any(one.cidr.overlaps(other.cidr) for one, other in combinations(plan, 2))
    # AWS takes no subnet smaller than /28; a network load balancer wants 8 free addresses beside the five.
    assert all(subnet.cidr.num_addresses - 5 >= 8 for subnet in plan)


@given(cidr=region_ranges)
@settings(deadline=None)
def test_reservations_lie_in_private_subnets(cidr: IPv4Network) -> None:
    """A reservation that AWS refuses: outside its subnet, or over an address that AWS keeps."""
    for subnet in subnets(cidr):
        assert (subnet.reserved is not None) == (subnet.tier is Tier.PRIVATE)
        if subnet.reserved is not None:
            assert subnet.reserved.subnet_of(subnet.cidr)
            assert not kept_by_aws(subnet.cidr) & set(subnet.reserved)


@given(cidr=region_ranges)
# Every example looks at all addresses there are, and dividing a /16 takes milliseconds.
@settings(max_examples=20, deadline=None)
def test_fixed_addresses(cidr: IPv4Network) -> None:
    """Two machines with one address, or an address that AWS may give to another machine."""
    reserved = {subnet.zone: subnet.reserved for subnet in subnets(cidr) if subnet.reserved is not None}
    fixed = {kind: [fixed_address(cidr, kind, index) for index in range(SLOTS)] for kind in FixedAddress}
    everything = [place for places in fixed.values() for place in places]
    assert all(address in reserved[zone] for zone, address in everything)
    assert len({address for _, address in everything}) == len(everything) == 2 * SLOTS


@pytest.mark.parametrize("kind", FixedAddress)
@given(cidr=region_ranges, index=st.integers(0, SLOTS - 3))
@settings(deadline=None)
def test_three_in_a_row_lie_in_three_zones(kind: FixedAddress, cidr: IPv4Network, index: int) -> None:
    """A quorum that one zone takes down."""
    assert {fixed_address(cidr, kind, index + step)[0] for step in range(3)} == {0, 1, 2}


@given(cidr=networks(st.integers(8, 15) | st.integers(21, 32)))
@settings(deadline=None)
def test_other_sizes_are_refused(cidr: IPv4Network) -> None:
    """A plan with subnets that AWS would refuse one by one."""
    with pytest.raises(ValueError, match=re.escape(f"{cidr} must be between /16 and /20")):
        subnets(cidr)


@pytest.mark.parametrize("kind", FixedAddress)
@given(cidr=region_ranges, index=st.integers(SLOTS, 1000))
@settings(deadline=None)
def test_no_address_beyond_the_last(kind: FixedAddress, cidr: IPv4Network, index: int) -> None:
    """A machine with an address of the other kind, or outside the reservation."""
    with pytest.raises(ValueError, match=f"no fixed address is left for {kind} {index}"):
        fixed_address(cidr, kind, index)


# Flows.

TCP, UDP = Protocol.TCP, Protocol.UDP
PORTS = {
    22: {TCP},
    80: {TCP},
    443: {TCP},
    2049: {TCP},
    3000: {TCP},
    4646: {TCP},
    4647: {TCP},
    4648: {TCP, UDP},
    5432: {TCP},
    6432: {TCP},
    8300: {TCP},
    8301: {TCP, UDP},
    8302: {TCP, UDP},
    8500: {TCP},
    8501: {TCP},
    8502: {TCP},
    8503: {TCP},
    8600: {TCP, UDP},
    9090: {TCP},
    9091: {TCP},
    9093: {TCP},
    9094: {TCP, UDP},
    9095: {TCP, UDP},
    9100: {TCP},
    # Health and metrics of the autoscaler, metrics of the database.
    8080: {TCP},
    9187: {TCP},
    # The health port, the load balancer's own statistics, and alert mail.
    8443: {TCP},
    8404: {TCP},
    587: {TCP},
}
"""Ports that the platform is specified to use. Of 8300 to 8302 only gossip speaks UDP, of 4646 to 4648 likewise
(https://developer.hashicorp.com/consul/docs/reference/architecture/ports)."""

RULES = tuple(rules(edge=False))
EDGE_RULES = tuple(rules(edge=True))
"""The rules while the edge is switched on."""
WITH_AND_WITHOUT_EDGE = pytest.mark.parametrize("found", [RULES, EDGE_RULES], ids=["no edge", "edge"])
IN, OUT = Direction.INGRESS, Direction.EGRESS


def callers(*ports: int) -> set[Party]:
    return {caller for flow in FLOWS if flow.port in ports for caller in flow.callers}


def test_every_port_is_in_the_table() -> None:
    """A port without a rule: a service that nobody can reach; or one more than anybody asked for."""
    found: dict[int, set[Protocol]] = {}
    for flow in FLOWS:
        found.setdefault(flow.port, set()).update(flow.protocols)
    assert found == PORTS


@WITH_AND_WITHOUT_EDGE
def test_names_are_unique(found: tuple[Rule, ...]) -> None:
    """Two rules of one group with one name: Pulumi stops at the second."""
    assert len({flow.name for flow in FLOWS}) == len(FLOWS)
    assert len({(rule.group, rule.name) for rule in found}) == len(found)


@WITH_AND_WITHOUT_EDGE
def test_no_opening_is_declared_twice(found: tuple[Rule, ...]) -> None:
    """Two flows that open the same: AWS refuses the second rule as a duplicate."""
    openings = Counter((rule.direction, rule.group, rule.peer, rule.flow.port, rule.protocol) for rule in found)
    assert [opening for opening, count in openings.items() if count > 1] == []


def test_both_sides_of_a_flow_are_open() -> None:
    """A caller that may send what the listener does not let in, or the reverse."""

    def between_groups(direction: Direction) -> Counter[tuple[Party, Party, str, Protocol]]:
        sides = [rule for rule in RULES if rule.direction is direction and isinstance(rule.peer, Role)]
        return Counter(
            (rule.group, rule.peer, rule.flow.name, rule.protocol)
            if direction is OUT
            else (rule.peer, rule.group, rule.flow.name, rule.protocol)
            for rule in sides
        )

    assert between_groups(IN) == between_groups(OUT)
    assert set(between_groups(IN).values()) == {1}


def test_the_edge_changes_who_comes_from_outside_and_nothing_else() -> None:
    """A way around the edge; operators' commands that reach no region; a rule of the inside that comes and goes."""
    balancer = Role.NETWORK_LOAD_BALANCER

    def public_entry(found: tuple[Rule, ...]) -> set[tuple[int, Party]]:
        return {(rule.flow.port, rule.peer) for rule in found if (rule.group, rule.direction) == (balancer, IN)}

    health = (8443, Outside.HEALTH_CHECKERS)
    assert public_entry(RULES) == {health, (443, Outside.PUBLIC), (80, Outside.PUBLIC)}
    assert public_entry(EDGE_RULES) == {health, (443, Outside.PUBLIC), (443, Outside.ADMINS)}
    elsewhere = [
        [rule for rule in found if (rule.group, rule.direction) != (balancer, IN)] for found in (RULES, EDGE_RULES)
    ]
    assert elsewhere[0] == elsewhere[1]


def openings(direction: Direction, peer: Outside) -> set[tuple[Role, int]]:
    return {(rule.group, rule.flow.port) for rule in RULES if rule.direction is direction and rule.peer is peer}


def test_what_is_open_to_the_outside() -> None:
    """A machine that the internet can reach, or that reaches more of it than it needs."""
    assert openings(IN, Outside.PUBLIC) == {(Role.NETWORK_LOAD_BALANCER, 443), (Role.NETWORK_LOAD_BALANCER, 80)}
    assert openings(IN, Outside.HEALTH_CHECKERS) == {(Role.NETWORK_LOAD_BALANCER, 8443)}
    assert openings(IN, Outside.ADMINS) == {(node, 22) for node in NODES}
    assert openings(IN, Outside.INTERNET) == set()
    assert openings(OUT, Outside.INTERNET) == {*((node, 443) for node in NODES), (Role.CONTROL_PLANE, 587)}
    assert {rule.peer for rule in RULES if rule.direction is OUT and isinstance(rule.peer, Outside)} == {
        Outside.INTERNET
    }


def test_ssh_comes_from_administrators_alone() -> None:
    """A node from which an intruder hops to the next."""
    assert callers(22) == {Outside.ADMINS}


CALLED_BY: dict[Role, set[Party]] = {
    Role.NETWORK_LOAD_BALANCER: {Outside.PUBLIC, Outside.HEALTH_CHECKERS},
    Role.LOAD_BALANCER: {Role.NETWORK_LOAD_BALANCER, *NODES, Outside.ADMINS},
    Role.CONTROL_PLANE: {*NODES, Outside.ADMINS},
    Role.WORKER: {*NODES, Outside.ADMINS},
    Role.DATABASE: {Role.CONTROL_PLANE},
    Role.FILE_SYSTEM: {Role.WORKER},
    Role.ENDPOINTS: set(NODES),
}
"""Who may call a group on any port at all: behind the load balancer nobody from outside but administrators."""


def test_no_group_opens_everything() -> None:
    """A port that stands for all ports (EC2's 0 and -1), or a group that everyone may call."""
    assert all(0 < rule.flow.port < 65536 for rule in RULES)
    assert {role: {rule.peer for rule in RULES if (rule.group, rule.direction) == (role, IN)} for role in Role} == (
        CALLED_BY
    )


def test_data_answers_its_users_alone() -> None:
    """A database or a file system that every machine can reach, or that reaches out itself."""
    inside = {
        (rule.direction, rule.group, rule.peer, rule.flow.port)
        for rule in RULES
        if rule.group in (Role.DATABASE, Role.FILE_SYSTEM)
    }
    assert inside == {
        (IN, Role.DATABASE, Role.CONTROL_PLANE, 5432),
        (IN, Role.FILE_SYSTEM, Role.WORKER, 2049),
    }


def test_flows_without_callers_open_nothing() -> None:
    """A plain-text port that leaves the node."""
    assert {flow.port for flow in FLOWS if not flow.callers} == {8500, 8502, 6432}
    assert not {rule.flow.port for rule in RULES} & {8500, 8502, 6432}


def counted(rule: Rule, edge: bool) -> int:
    """Return what AWS counts a rule as: one, or the size of the prefix list that it names."""
    by_list = {Outside.ADMINS, Outside.HEALTH_CHECKERS, *([Outside.PUBLIC] if edge else [])}
    return PREFIX_LIST_ENTRIES[rule.peer] if isinstance(rule.peer, Outside) and rule.peer in by_list else 1


@pytest.mark.parametrize("edge", [False, True])
def test_rules_stay_within_the_quota(edge: bool) -> None:
    """The 61st rule of a group, which AWS refuses in the middle of the first deployment."""
    sizes = Counter[tuple[Role, Direction]]()
    for rule in rules(edge=edge):
        sizes[rule.group, rule.direction] += counted(rule, edge)
    assert RULES_PER_GROUP == 60
    assert {group: size for group, size in sizes.items() if size > 60} == {}
    # The one that the lists' sizes are cut for: 17 of the edge, 10 of administrators, 25 of health checkers.
    assert sizes[Role.NETWORK_LOAD_BALANCER, IN] == (52 if edge else 27)


# Names.

PREFIXES = st.from_regex(r"[a-z][a-z0-9]{1,11}", fullmatch=True)
REGIONS = botocore.session.get_session().get_available_regions("ec2")
ACCOUNT = "123456789012"


@pytest.mark.parametrize("prefix", ["m", "1mlops", "mlopsplatform", "ml-ops", "Mlops", "", "mlops\n"])
def test_prefixes_that_names_cannot_bear_are_refused(prefix: str) -> None:
    """A prefix that makes names too long, or two platforms' names alike."""
    with pytest.raises(ValidationError, match="2 to 12 lower-case letters and digits"):
        TypeAdapter[str](BucketPrefix).validate_python(prefix)


places = st.tuples(PREFIXES, st.sampled_from(REGIONS))


@given(one=places, other=places)
@settings(deadline=None)
def test_names_never_collide(one: tuple[str, str], other: tuple[str, str]) -> None:
    """Two platforms in one account, or two regions of one, that take each other's role or bucket."""
    assume(one != other)

    def shared_space(place: tuple[str, str]) -> set[str]:
        names = Names(place[0], ACCOUNT, place[1])
        return {
            *(names.account_wide(purpose) for purpose in ("flow-logs", *NODES)),
            *(names.bucket(purpose) for purpose in (SWITCH_BUCKET, BUNDLES_BUCKET, BACKUPS_BUCKET, ARCHIVE_BUCKET)),
        }

    assert not shared_space(one) & shared_space(other)


def test_bucket_is_found_by_its_arn_and_host() -> None:
    """A policy or a health check that names another bucket than the one there is."""
    names = Names("mlops", ACCOUNT, "us-west-2")
    assert names.bucket(SWITCH_BUCKET) == "mlops-123456789012-us-west-2-failover-switch"
    assert names.bucket_arn(SWITCH_BUCKET) == f"arn:aws:s3:::{names.bucket(SWITCH_BUCKET)}"
    assert names.bucket_host(SWITCH_BUCKET) == f"{names.bucket(SWITCH_BUCKET)}.s3.us-west-2.amazonaws.com"


LONGEST_DOMAIN = ".".join(["a" * 63] * 3 + ["b" * 28])


@pytest.mark.parametrize("region", REGIONS)
def test_public_names_fit_into_dns(region: str) -> None:
    """A domain that is itself allowed, but whose names DNS refuses (253 characters, 63 a label: RFC 1035)."""
    assert TypeAdapter[str](Domain).validate_python(LONGEST_DOMAIN) == LONGEST_DOMAIN
    with pytest.raises(ValidationError):
        TypeAdapter[str](Domain).validate_python(f"{LONGEST_DOMAIN}b")
    names = PublicNames(LONGEST_DOMAIN)
    for name in (*names.all_public(), *names.all_regional(region)):
        assert len(name) <= 253
        assert all(0 < len(label) <= 63 for label in name.split("."))


def test_public_names() -> None:
    """A name that is not what people, certificates and load balancers are told."""
    names = PublicNames("mlops.example.com")
    assert names.all_public() == (
        "origin.mlops.example.com",
        *(f"{service}.mlops.example.com" for service in ("consul", "nomad", "prometheus", "grafana")),
    )
    assert names.all_regional("us-west-2") == (
        "origin.us-west-2.mlops.example.com",
        *(names.regional(service, "us-west-2") for service in Service),
    )
    assert names.regional(Service.GRAFANA, "us-west-2") == "grafana.us-west-2.mlops.example.com"


# Versions.


def test_all_software_has_a_version_that_settings_could_name() -> None:
    """Software without a version, or one that the `versions` setting itself would refuse."""
    assert set(VERSIONS) == set(Software)
    for software, version in VERSIONS.items():
        assert TypeAdapter[str](VersionNumber).validate_python(version.version) == version.version, software


def test_sdk_and_engine_are_one_version() -> None:
    """An engine that does not speak the SDK's protocol."""
    pins = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    required = re.findall(
        r"github\.com/pulumi/pulumi/pkg/v3 v(\S+)", (ROOT / "toolchain/pulumi/go.mod").read_text(), re.MULTILINE
    )
    assert [pin for pin in pins if re.match(r"pulumi\b(?!-)", pin)] == [f"pulumi=={version}" for version in required]
    assert len(required) == 1


# Capacity.


@pytest.mark.parametrize("profile", Profile)
def test_machines_of_a_profile_are_known(profile: Profile) -> None:
    """A profile that names a machine of which nothing is known."""
    capacity = CAPACITY[profile]
    assert {capacity.control_plane, capacity.load_balancer, *capacity.workers} <= INSTANCE_TYPES.keys()
    assert len(set(capacity.workers)) == len(capacity.workers) >= 2


def test_types_are_listed_under_their_names() -> None:
    """A type that is looked up and found to be another."""
    assert {name: listed.name for name, listed in INSTANCE_TYPES.items()} == {name: name for name in INSTANCE_TYPES}


@pytest.mark.parametrize("profile", Profile)
def test_fixed_machines_recover(profile: Profile) -> None:
    """A server or a load balancer that stays dead with its hardware: EC2 does not recover an instance store."""
    capacity = CAPACITY[profile]
    assert INSTANCE_TYPES[capacity.control_plane].recovers
    assert INSTANCE_TYPES[capacity.load_balancer].recovers


def nodes(profile: Profile) -> Iterator[tuple[str, InstanceType, int]]:
    """Yield kind, type and gigabytes of storage of every node that a profile may start."""
    capacity = CAPACITY[profile]
    server = INSTANCE_TYPES[capacity.control_plane]
    yield "control plane", server, capacity.data_volume_gigabytes
    for worker in map(INSTANCE_TYPES.__getitem__, capacity.workers):
        yield "worker", worker, worker.instance_store_gigabytes or capacity.data_volume_gigabytes


LEAST = {
    # Cores, memory in GiB, Gbit/s, storage in GB: what the platform is specified to have per node. "2 TB NVMe" is
    # sold as 1,900 GB, the largest instance store of a 32-core type.
    (Profile.MINIMUM, "control plane"): (8, 32, 10, 500),
    (Profile.MINIMUM, "worker"): (8, 32, 10, 500),
    (Profile.RECOMMENDED, "control plane"): (16, 64, 25, 2000),
    (Profile.RECOMMENDED, "worker"): (32, 128, 25, 1900),
}


@pytest.mark.parametrize("profile", Profile)
def test_profiles_are_as_large_as_specified(profile: Profile) -> None:
    """A node that is smaller than what the platform was sized for."""
    for kind, node, gigabytes in nodes(profile):
        cores, memory, gigabits, storage = LEAST[profile, kind]
        assert node.virtual_cpus >= cores, node.name
        assert node.memory_gibibytes >= memory, node.name
        assert node.gigabits >= gigabits, node.name
        assert gigabytes >= storage, node.name


machines = st.builds(InstanceType, st.just("x"), st.integers(2, 64), st.integers(4, 512), st.integers(1, 100))


@given(one=machines, other=machines)
def test_smaller_means_less_of_anything(one: InstanceType, other: InstanceType) -> None:
    """A machine taken for large enough because it has more of something else."""
    larger = InstanceType(
        "y",
        max(one.virtual_cpus, other.virtual_cpus),
        max(one.memory_gibibytes, other.memory_gibibytes),
        max(one.gigabits, other.gigabits),
    )
    assert not smaller_than(larger, one)
    assert not smaller_than(one, one)
    assert smaller_than(one, larger) == (
        (one.virtual_cpus, one.memory_gibibytes, one.gigabits)
        != (larger.virtual_cpus, larger.memory_gibibytes, larger.gigabits)
    )
