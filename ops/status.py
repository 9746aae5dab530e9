"""How the platform is, in both regions: what is known, and what is not, with the reason."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from threading import Thread
from typing import Protocol, TypeVar

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from configs.database import database_identifier
from configs.settings.model import Settings, StackRole
from configs.tables.certificates import ALARM_DAYS, Certificate
from configs.tables.names import ML_DATA, Names, PublicNames
from ops.aws import Region
from ops.certificates import days_left, published
from ops.database import Database, DatabaseState
from ops.file_system import FileSystem, Replication
from ops.nodes import NodeState, Quorum, quorum, reports
from ops.problems import Unknown
from ops.record import FailoverRecord, Records
from ops.switch import FailoverSwitch
from ops.targets import Targets, targets
from ops.workers import Workers, workers

ANSWER_SECONDS = 25.0
"""Time for all answers together. Whoever looks at a lost region wants to know within half a minute; a connection that
is tried three times takes 18 s to be given up."""

T = TypeVar("T")


class Addresses(Protocol):
    """Who knows what DNS answers."""

    def addresses(self, name: str) -> frozenset[str]:
        """Return the IPv4 addresses of a name.

        Raises:
            Unknown: nobody answered.
        """
        ...


@dataclass(frozen=True)
class DatabaseStatus:
    """A database, and the time of the last transaction that it has of its source: None where it has none."""

    state: DatabaseState
    replayed: datetime | Unknown | None


@dataclass(frozen=True)
class NodesStatus:
    """A region's quorum, and its nodes by name."""

    quorum: Quorum
    nodes: dict[str, NodeState]


@dataclass(frozen=True)
class RegionStatus:
    """One region; each answer is known or not. ``replication`` is None when nothing is replicated.

    ``addresses`` are those of the load balancer, as DNS has them.
    """

    region: str
    role: StackRole
    nodes: NodesStatus | Unknown
    database: DatabaseStatus | Unknown
    replication: Replication | Unknown | None
    workers: Workers | Unknown
    targets: dict[str, Targets] | Unknown
    certificates: dict[Certificate, float | Unknown]
    addresses: frozenset[str] | Unknown


@dataclass(frozen=True)
class PlatformStatus:
    """The platform at a time: the failover switch, the failover that is not over, what the public name answers."""

    at: datetime
    switch: bool | Unknown
    failover: FailoverRecord | Unknown | None
    origin: frozenset[str] | Unknown
    regions: tuple[RegionStatus, RegionStatus]


class _Questions:
    """Questions that are asked at the same time and have one deadline.

    Their threads are daemons: one that still waits for a dark region does not keep the command from ending.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._deadline = time.monotonic() + seconds

    def ask(self, what: str, question: Callable[[], T]) -> Callable[[], T | Unknown]:
        """Begin with a question; what is returned waits for its answer. Errors of the program are raised there."""
        future = Future[T]()

        def run() -> None:
            try:
                future.set_result(question())
            except BaseException as error:
                future.set_exception(error)

        Thread(target=run, name=what, daemon=True).start()
        return partial(self._answer, what, future)

    def _answer(self, what: str, future: Future[T]) -> T | Unknown:
        wait([future], timeout=max(0.0, self._deadline - time.monotonic()))
        if not future.done():
            return Unknown(f"{what}: no answer within {self._seconds:g} s")
        try:
            return future.result()
        except Unknown as unknown:
            return unknown


def status(
    primary: Settings, standby: Settings, resolvers: Addresses, now: datetime, seconds: float = ANSWER_SECONDS
) -> PlatformStatus:
    """Ask everything at once, and return what is known by the deadline. Nothing is raised for what is not.

    Args:
        primary: settings of the stack that builds the primary region.
        standby: settings of the stack that builds the standby region.
        resolvers: who is asked for addresses.
        now: the time that reports must be fresh at, and that measurements are looked for before.
        seconds: time for all answers together.
    """
    questions = _Questions(seconds)
    regions = [(settings, Region(settings.location.name)) for settings in (primary, standby)]
    region, names = regions[1][1], _names(standby)
    origin = PublicNames(standby.domain).origin
    # All are begun before the first is waited for.
    switch = questions.ask("whether the failover switch is written", FailoverSwitch(region, names).written)
    failover = questions.ask("whether a failover is recorded", Records(region, names).read)
    answer = questions.ask(f"what DNS answers for {origin}", partial(resolvers.addresses, origin))
    first, second = (_ask_region(questions, settings, one, resolvers, now) for settings, one in regions)
    return PlatformStatus(now, switch(), failover(), answer(), (first(), second()))


def _names(settings: Settings) -> Names:
    return Names(settings.name, settings.account_id, settings.location.name)


def _ask_region(
    questions: _Questions, settings: Settings, region: Region, resolvers: Addresses, now: datetime
) -> Callable[[], RegionStatus]:
    names, here = _names(settings), f"in {region.name}"
    database = Database(region, database_identifier(names, settings.database_generation))
    files = FileSystem(region, names.regional(ML_DATA))
    name = PublicNames(settings.domain).regional_origin(region.name)
    its_nodes = questions.ask(f"the reports of the nodes {here}", partial(_nodes, region, names, settings, now))
    its_database = questions.ask(f"the database {here}", partial(_database, database, now))
    replication = questions.ask(f"the replication of the file system {here}", files.replication)
    its_workers = questions.ask(f"the workers {here}", partial(workers, region, names))
    its_targets = questions.ask(f"the targets {here}", partial(targets, region, names))
    addresses = questions.ask(f"what DNS answers for {name}", partial(resolvers.addresses, name))
    certificates = {
        one.certificate: questions.ask(
            f"the certificate {one.certificate} {here}", partial(days_left, region, one, now)
        )
        for one in published(settings)
    }
    return lambda: RegionStatus(
        region=region.name,
        role=settings.role,
        nodes=its_nodes(),
        database=its_database(),
        replication=replication(),
        workers=its_workers(),
        targets=its_targets(),
        certificates={certificate: days() for certificate, days in certificates.items()},
        addresses=addresses(),
    )


def _nodes(region: Region, names: Names, settings: Settings, now: datetime) -> NodesStatus:
    states = reports(region, names, settings, now)
    return NodesStatus(quorum(states, settings), states)


def _database(database: Database, now: datetime) -> DatabaseStatus:
    state = database.state()
    if state.source is None:
        return DatabaseStatus(state, None)
    try:
        return DatabaseStatus(state, database.replayed(now))
    except Unknown as unknown:
        return DatabaseStatus(state, unknown)


@dataclass(frozen=True)
class Line:
    """One line of what is shown. ``good`` is None for what is neither good nor bad; what is unknown is not good."""

    label: str
    text: str
    good: bool | None = None


def platform_lines(found: PlatformStatus) -> tuple[Line, ...]:
    """Return what is shown of the platform as a whole."""
    return (
        _line(
            "failover switch", found.switch, lambda written: ("written", None) if written else ("not written", True)
        ),
        _line("failover", found.failover, _failover),
        _line("the public names lead to", found.origin, lambda addresses: _leads_to(addresses, found.regions)),
    )


def region_lines(found: RegionStatus, at: datetime) -> tuple[Line, ...]:
    """Return what is shown of a region; ``at`` is the time that ages are counted to."""
    return (
        _line("quorum", found.nodes, _quorum),
        *_node_lines(found.nodes),
        _line("database", found.database, lambda database: (_database_text(database.state), _available(database))),
        *_replayed_lines(found.database, at),
        _line("ML data", found.replication, lambda replication: _replication(replication, at)),
        _line("workers", found.workers, _workers),
        *_target_lines(found.targets),
        *(
            _line(f"certificate {certificate}", days, lambda left: (f"{left:.0f} days left", left > ALARM_DAYS))
            for certificate, days in found.certificates.items()
        ),
        _line("load balancer", found.addresses, lambda addresses: (_listed(addresses), bool(addresses))),
    )


def render(found: PlatformStatus) -> RenderableType:
    """Return the tables to print: the platform's, then one for each region."""
    at = f"{found.at:%Y-%m-%d %H:%M:%S %Z}"
    return Group(
        _table(f"Platform, {at}", platform_lines(found)),
        *(_table(f"{region.region}, {region.role}", region_lines(region, found.at)) for region in found.regions),
    )


_STYLES = {True: "green", False: "red", None: ""}
_UNKNOWN = "unknown: "


def _table(title: str, lines: Sequence[Line]) -> Table:
    table = Table("", "", title=Text(title), title_justify="left", show_header=False)
    for line in lines:
        style = "yellow" if line.text.startswith(_UNKNOWN) else _STYLES[line.good]
        # Text, so that brackets in what AWS says are not taken for markup.
        table.add_row(Text(line.label), Text(line.text, style=style))
    return table


def _line(label: str, found: T | Unknown, tell: Callable[[T], tuple[str, bool | None]]) -> Line:
    if isinstance(found, Unknown):
        return Line(label, f"{_UNKNOWN}{found}", good=False)
    return Line(label, *tell(found))


def _failover(record: FailoverRecord | None) -> tuple[str, bool | None]:
    if record is None:
        return "none", True
    state = "not finished" if record.finished is None else f"finished {record.finished:%Y-%m-%d %H:%M:%S %Z}"
    return f"started {record.started:%Y-%m-%d %H:%M:%S %Z}, {state}", None


def _leads_to(addresses: frozenset[str], regions: Sequence[RegionStatus]) -> tuple[str, bool | None]:
    if not addresses:
        return "nothing: the name has no address", False
    leads = [
        region.region
        for region in regions
        if not isinstance(region.addresses, Unknown) and addresses <= region.addresses
    ]
    if len(leads) != 1:
        reasons = [str(region.addresses) for region in regions if isinstance(region.addresses, Unknown)]
        if reasons:
            return f"{_UNKNOWN}whose {_listed(addresses)} is ({'; '.join(reasons)})", False
        return f"{_listed(addresses)}, which is no region's", False
    return f"{leads[0]} ({_listed(addresses)})", None


def _listed(addresses: frozenset[str]) -> str:
    return ", ".join(sorted(addresses)) or "no address"


def _quorum(found: NodesStatus) -> tuple[str, bool | None]:
    its = found.quorum
    return f"{its.healthy} of {its.servers} servers healthy, {its.needed} needed", its.healthy == its.servers


def _node_lines(found: NodesStatus | Unknown) -> Iterator[Line]:
    if isinstance(found, Unknown):
        return
    for name, state in found.nodes.items():
        # The passive load balancer is healthy as a node: its report tells what its health check does not.
        yield Line(name, state.detail or "healthy", state.healthy)


def _database_text(state: DatabaseState) -> str:
    return f"{state.status}, {'its own' if state.source is None else f'replica of {state.source}'}"


def _available(database: DatabaseStatus) -> bool:
    return database.state.status == "available"


def _replayed_lines(found: DatabaseStatus | Unknown, at: datetime) -> Iterator[Line]:
    if isinstance(found, Unknown) or found.replayed is None:
        return
    yield _line("last transaction", found.replayed, lambda replayed: (_age(replayed, at), None))


def _replication(found: Replication | None, at: datetime) -> tuple[str, bool | None]:
    if found is None:
        return "not replicated", None
    age = "never copied whole" if found.last_replicated is None else f"copied {_age(found.last_replicated, at)}"
    return f"{found.role} of a replication, {found.status}, {age}", found.status == "ENABLED"


def _age(time_of: datetime, at: datetime) -> str:
    seconds = (at - time_of) // timedelta(seconds=1)
    return f"{time_of:%Y-%m-%d %H:%M:%S %Z}, {seconds} s ago"


def _workers(found: Workers) -> tuple[str, bool | None]:
    return (
        f"{found.in_service} of {found.desired} in service, {found.minimum} to {found.maximum} allowed",
        found.in_service >= found.desired,
    )


def _target_lines(found: dict[str, Targets] | Unknown) -> Iterator[Line]:
    if isinstance(found, Unknown):
        yield Line("targets", f"{_UNKNOWN}{found}", good=False)
        return
    for flow, its in found.items():
        yield Line(f"targets of {flow}", f"{its.healthy} of {its.registered} healthy", its.healthy > 0)
