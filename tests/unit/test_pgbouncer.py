"""PgBouncer: how many connections it may hold, where it runs, and what its files say."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from configs.bundle import services
from configs.context import Context
from configs.database import maximum_connections, memory_gibibytes, pool_size
from configs.grafana.service import CONNECTION_POOLS
from configs.nodes import control_plane
from configs.service import NodeService
from tests.nodes.world import FACTS, NODES, context_of
from tests.unit.mocks import stack_settings

SIZES = ("micro", "small", "medium", "large", "xlarge", "2xlarge", "4xlarge", "12xlarge", "24xlarge", "48xlarge")
FAMILIES = ("c6gd", "m6i", "m7g", "r6g", "t3", "t4g", "x2g", "z1d", "q9")
"""Of the last there is none: one that AWS may add."""


def pgbouncer(instance_class: str = "db.m6i.large", servers: int = 3, **changes: object) -> NodeService:
    settings = stack_settings(
        "prod", database={"instanceClass": instance_class}, controlPlane={"serverCount": servers}, **changes
    )
    context = Context(settings, control_plane(settings)[0], FACTS)
    [found] = [one for one in services(context) if one.name == "pgbouncer"]
    return found


@pytest.mark.parametrize(
    ("instance_class", "memory", "maximum", "of_three", "of_five"),
    [
        ("db.t3.micro", 1, 78, 16, 3),
        ("db.t4g.small", 2, 157, 43, 19),
        ("db.t3.medium", 4, 315, 95, 51),
        ("db.c6gd.large", 4, 315, 95, 51),
        ("db.m6i.large", 8, 630, 100, 60),
        ("db.m6i.xlarge", 16, 1261, 100, 60),
        ("db.r6g.16xlarge", 512, 5000, 100, 60),
        ("db.x2g.large", 32, 2523, 100, 60),
    ],
)
def test_connections_of_a_class(instance_class: str, memory: int, maximum: int, of_three: int, of_five: int) -> None:
    """Guards against an arithmetic that nobody can follow: what each class makes, in figures."""
    assert memory_gibibytes(instance_class) == memory
    assert maximum_connections(instance_class) == maximum
    assert (pool_size(instance_class, 3), pool_size(instance_class, 5)) == (of_three, of_five)


@given(family=st.sampled_from(FAMILIES), size=st.sampled_from(SIZES), poolers=st.sampled_from((3, 5)))
def test_pools_leave_room_for_the_others(family: str, size: str, poolers: int) -> None:
    """Guards against a database that is full of Grafana when an exporter or an administrator calls."""
    instance_class = f"db.{family}.{size}"
    pool = pool_size(instance_class, poolers)
    # By hand: superusers, RDS itself, people, and every exporter asked by every Prometheus at once.
    others = 3 + 2 + 5 + 2 * poolers**2
    assert pool * poolers + others <= maximum_connections(instance_class)
    assert pool * poolers <= 300
    # 0 would mean no bound at all to Grafana.
    assert pool // CONNECTION_POOLS >= 1


@pytest.mark.parametrize("size", ["metal", "xxlarge", "2large", "-2xlarge"])
def test_a_size_that_is_none(size: str) -> None:
    """Guards against a guess where a setting is misspelt."""
    with pytest.raises(ValueError, match=f"^no size of RDS: {size}$"):
        memory_gibibytes(f"db.m6i.{size}")


def test_the_file_follows_the_settings() -> None:
    """Guards against a bound that stays when the database or the number of servers changes."""
    lines = pgbouncer("db.t4g.small", 5).files["/etc/mlops-ha/pgbouncer/pgbouncer.ini"].lines
    assert {"default_pool_size = 19", "max_db_connections = 19", "max_client_conn = 29"} < set(lines)


def test_every_server_has_one_and_they_are_alike() -> None:
    """Guards against a server whose Grafana has no way to the database, and one that is tested less than another."""
    planes = [(stack, node) for stack, node in NODES if node.startswith("control-plane")]
    found = [one for stack, node in planes for one in services(context_of(stack, node)) if one.name == "pgbouncer"]
    assert len(found) == len(planes) == 9
    assert all(one == found[0] for one in found)


def test_a_change_reaches_it_without_a_restart() -> None:
    """Guards against sessions that end because a password or an address changed."""
    service = pgbouncer()
    assert service.manifest.restarts == ("/etc/pgbouncer/pgbouncer.ini",)
    assert service.manifest.reloads == (
        "/etc/mlops-ha/pgbouncer/pgbouncer.ini",
        "/run/mlops-ha/pgbouncer/userlist.txt",
    )
    [users] = service.secrets
    assert (users.text, users.owner, users.mode) == ('"grafana" "${databasePassword}"\n', "pgbouncer", "0400")
    # Nothing that it starts with says a password.
    assert dict(service.environment) == {"AUTH_FILE": "/run/mlops-ha/pgbouncer/userlist.txt"}
