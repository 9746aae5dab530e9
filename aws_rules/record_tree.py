"""Who answers for a name, second by second: declared records and health checks, and what the checkers see.

Each rule that is not in ``failover`` and ``health_checks`` has its source where it is applied. Nothing here was
measured on AWS.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from aws_rules.failover import (
    ALIAS_TIME_TO_LIVE_SECONDS,
    ASSUMED_PROPAGATION_SECONDS,
    FailoverRecord,
    FailoverRole,
    SwitchOver,
    answer,
    switch_over,
)
from aws_rules.health_checks import (
    SILENT_REQUEST_SECONDS,
    CalculatedHealthCheck,
    EndpointHealthCheck,
    HealthCheck,
    checker_status,
    endpoint_status,
    is_healthy,
)

SWITCH: Final = "the failover switch"
"""What a check asks that looks for the switch's object, in place of a name."""

CHECKERS: Final = 100
"""Checkers that look at each endpoint: so many that one is a percent. AWS does not say how many it has."""


@dataclass(frozen=True, kw_only=True)
class AliasRecord:
    """One alias record. ``target`` is the name of another record or of a load balancer; ``role`` None is simple."""

    name: str
    target: str
    role: FailoverRole | None = None
    health_check_id: str | None = None
    evaluate_target_health: bool = False


@dataclass(frozen=True, kw_only=True)
class RecordTree:
    """Records and health checks as declared.

    ``asks`` holds what each endpoint check asks, by its id: a name, or ``SWITCH``. ``load_balancers`` holds the
    region of each load balancer, by its DNS name.
    """

    records: tuple[AliasRecord, ...]
    checks: Mapping[str, HealthCheck]
    asks: Mapping[str, str]
    load_balancers: Mapping[str, str]

    @property
    def failover_names(self) -> tuple[str, ...]:
        """The names that have failover records, in order."""
        return tuple(sorted({record.name for record in self.records if record.role is not None}))

    def answer(
        self, name: str, statuses: Mapping[str, bool], load_balancers_healthy: Mapping[str, bool] | None = None
    ) -> str:
        """Return the region whose load balancer answers for a name.

        ``statuses`` are endpoint statuses by check id, as ``health_checks.is_healthy`` takes them.
        ``load_balancers_healthy`` is needed where a failover record evaluates its target: health by DNS name.
        Raises ValueError where a name has no record, aliases go in a circle, or needed health is not given.
        Source: https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/dns-failover-complex-configs.html
        """
        return self.load_balancers[self._followed(name, statuses, load_balancers_healthy or {}, frozenset())]

    def region(self, name: str) -> str:
        """Return the region that a name always answers with. ValueError if it moves with the failover."""
        for record in self._path(name):
            if record.role is not None:
                raise ValueError(f"{name} moves with the failover of {record.name}")
        return self.answer(name, {})

    def region_of(self, name: str, role: FailoverRole) -> str:
        """Return the region that the failover record with the role points to. ValueError if there is none."""
        for record in self._path(name):
            if record.role is not None:
                targets = [other.target for other in self._of(record.name) if other.role is role]
                if targets:
                    target = targets[0]
                    return self.load_balancers[target] if target in self.load_balancers else self.region(target)
        raise ValueError(f"{name} has no {role} record")

    def without(self, role: FailoverRole) -> RecordTree:
        """Return the tree without the records of one role: as while one of the two stacks is not deployed."""
        return replace(self, records=tuple(record for record in self.records if record.role is not role))

    def _of(self, name: str) -> list[AliasRecord]:
        return [record for record in self.records if record.name == name]

    def _path(self, name: str) -> list[AliasRecord]:
        """Return a record of each name that simple aliases lead through, up to a failover name if there is one."""
        path = list[AliasRecord]()
        while name not in self.load_balancers:
            records = self._of(name)
            if not records:
                raise ValueError(f"{name} has no record")
            if records[0] in path:
                raise ValueError(f"{name} is an alias of itself")
            path.append(records[0])
            if records[0].role is not None:
                break
            name = records[0].target
        return path

    def _followed(
        self, name: str, statuses: Mapping[str, bool], balancers: Mapping[str, bool], seen: frozenset[str]
    ) -> str:
        if name in self.load_balancers:
            return name
        if name in seen:
            raise ValueError(f"{name} is an alias of itself")
        records = self._of(name)
        if not records:
            raise ValueError(f"{name} has no record")
        if len(records) == 1:
            # Alone it answers in any state, with a routing policy or without: see failover.answer.
            return self._followed(records[0].target, statuses, balancers, seen | {name})
        failover = [self._failover(record, statuses, balancers, seen | {name}) for record in records]
        chosen = answer(failover, lambda check: is_healthy(check, self.checks, statuses))
        return self._followed(chosen.target, statuses, balancers, seen | {name})

    def _failover(
        self, record: AliasRecord, statuses: Mapping[str, bool], balancers: Mapping[str, bool], seen: frozenset[str]
    ) -> FailoverRecord:
        if record.role is None:
            raise ValueError(f"{record.name} has several records, one of them without a failover role")
        return FailoverRecord(
            role=record.role,
            target=record.target,
            health_check_id=record.health_check_id,
            evaluate_target_health=record.evaluate_target_health,
            target_healthy=(
                self._target_healthy(record.target, statuses, balancers, seen)
                if record.evaluate_target_health
                else None
            ),
        )

    def _target_healthy(
        self, target: str, statuses: Mapping[str, bool], balancers: Mapping[str, bool], seen: frozenset[str]
    ) -> bool | None:
        """Return what evaluate-target-health finds: a group of records is healthy while one of them is.

        Source: https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/dns-failover-complex-configs.html
        """
        if target in self.load_balancers:
            return balancers.get(target)
        if target in seen:
            raise ValueError(f"{target} is an alias of itself")
        healthy = list[bool | None]()
        for record in self._of(target):
            check = record.health_check_id
            passes = check is None or is_healthy(check, self.checks, statuses)
            if passes and record.evaluate_target_health:
                healthy.append(self._target_healthy(record.target, statuses, balancers, seen | {target}))
            else:
                healthy.append(passes)
        if not healthy:
            raise ValueError(f"{target} has no record")
        return True if True in healthy else None if None in healthy else False


@dataclass(frozen=True, kw_only=True)
class View:
    """How many percent of the checkers an endpoint answers as it should, and whether it is silent to the others.

    What is not silent fails at once: a refused connection, or a status other than 2xx or 3xx. Raises ValueError
    if ``percent`` is not 0 to 100.
    """

    percent: int
    silent: bool = False

    def __post_init__(self) -> None:
        """Refuse what is no percentage."""
        if not 0 <= self.percent <= 100:
            raise ValueError(f"{self.percent} % of the checkers: it must be 0 to 100")


UP: Final = View(percent=100)
"""Answers as it should. Of the switch: its object is there."""
REFUSING: Final = View(percent=0)
"""Fails at once."""
SILENT: Final = View(percent=0, silent=True)
"""Does not answer at all, as a region does that is gone."""
WRITTEN: Final = UP
ABSENT: Final = REFUSING


@dataclass(frozen=True, kw_only=True)
class World:
    """What the checkers see of the health pages of both regions, and of the switch's object."""

    primary: View = UP
    standby: View = UP
    switch: View = ABSENT


@dataclass(frozen=True, kw_only=True)
class Answer:
    """From ``second`` on the name servers are to answer with ``region``; ``by`` are the checks that changed then."""

    second: int
    region: str
    by: frozenset[str] = frozenset()


def simulate(
    tree: RecordTree,
    name: str,
    before: World,
    changes: Mapping[int, World],
    *,
    new_checks: bool = False,
    phases: Sequence[int] | None = None,
    seconds: int = 600,
) -> tuple[Answer, ...]:
    """Return who answers for a name, from second 0 on; a change at second 0 comes after what was before.

    ``phases`` are the seconds that each checker waits before its first request, 1 to the interval, on top of the
    silent request that it is in. The default is the longest wait for all of them: each has just asked when the
    change comes. A checker asks again one interval after it had an answer, or after 6 s of silence. With
    ``new_checks`` no checker has looked before second 0, otherwise all are settled. ``seconds`` is how long to go
    on: ten minutes are more than any detection takes (360 s).

    Raises ValueError if a check asks for a name that has no fixed region, there are not 100 phases, or a phase is
    out of range.
    Source: https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/dns-failover-determining-health-of-endpoints.html
    """
    primary = tree.region_of(name, FailoverRole.PRIMARY)
    worlds = [(second, changes[second]) for second in sorted(changes)]
    statuses = dict[str, bool]()
    flips = dict[int, dict[str, bool]]()
    for identity, check in tree.checks.items():
        if isinstance(check, CalculatedHealthCheck):
            continue
        asked = tree.asks[identity]
        place = SWITCH if asked == SWITCH else tree.region(asked)
        views = [(second, _view(world, place, primary)) for second, world in worlds]
        initial = UP if new_checks else _view(before, place, primary)
        settled = endpoint_status([number < initial.percent for number in range(CHECKERS)])
        statuses[identity] = settled
        for second, status in _verdicts(check, initial, views, phases, seconds, new_checks):
            flips.setdefault(second, {})[identity] = status
    answers = [Answer(second=0, region=tree.answer(name, statuses))]
    for second in sorted(flips):
        statuses |= flips[second]
        region = tree.answer(name, statuses)
        if region != answers[-1].region:
            answers.append(Answer(second=second, region=region, by=frozenset(flips[second])))
    return tuple(answers)


def heard(answers: Sequence[Answer], second: int) -> frozenset[str]:
    """Return the regions that some client may still be told, or told already, at a second after the start.

    A resolver may keep what it heard for the time to live, from a name server that had not been told yet.
    """
    stale = ALIAS_TIME_TO_LIVE_SECONDS + ASSUMED_PROPAGATION_SECONDS
    ends = [*(following.second + stale for following in answers[1:]), second + 1]
    return frozenset(given.region for given, end in zip(answers, ends, strict=True) if given.second <= second < end)


def worst_case(tree: RecordTree, answers: Sequence[Answer]) -> SwitchOver | None:
    """Return the longest time until the last answer is everybody's; None where the answer never changed.

    The slowest of the checks that decided counts.
    """
    if len(answers) == 1:
        return None
    deciding = [tree.checks[identity] for identity in answers[-1].by]
    return max(
        (
            switch_over(check.interval_seconds, check.failure_threshold)
            for check in deciding
            if isinstance(check, EndpointHealthCheck)
        ),
        key=lambda parts: parts.total,
    )


def _view(world: World, place: str, primary: str) -> View:
    if place == SWITCH:
        return world.switch
    return world.primary if place == primary else world.standby


def _verdicts(
    check: EndpointHealthCheck,
    initial: View,
    views: Sequence[tuple[int, View]],
    phases: Sequence[int] | None,
    seconds: int,
    new: bool,
) -> list[tuple[int, bool]]:
    """Return when the status of a check changes, and to what, before any inversion."""
    interval = check.interval_seconds
    starts = [interval] * CHECKERS if phases is None else list(phases)
    if len(starts) != CHECKERS or not all(1 <= start <= interval for start in starts):
        raise ValueError(f"{len(starts)} phases: there must be {CHECKERS}, each of 1 to {interval} s")
    changed = dict[int, list[tuple[int, bool]]]()
    for number, start in enumerate(starts):
        status, observations = number < initial.percent, list[bool]()
        second = start + (0 if new else _silence(initial, status))
        while second < seconds:
            # What was before holds up to the first change, and a change counts from its own second on.
            view = next((view for since, view in reversed(views) if since <= second), initial)
            seen = number < view.percent
            second += _silence(view, seen)
            observations = [*observations, seen][-check.failure_threshold :]
            now = checker_status(observations, check.failure_threshold, status)
            if now is not status:
                changed.setdefault(second, []).append((number, now))
                status = now
            second += interval
    reports = [number < initial.percent for number in range(CHECKERS)]
    verdict, verdicts = endpoint_status(reports), list[tuple[int, bool]]()
    for second in sorted(changed):
        for number, now in changed[second]:
            reports[number] = now
        if endpoint_status(reports) is not verdict:
            verdict = not verdict
            verdicts.append((second, verdict))
    return verdicts


def _silence(view: View, seen: bool) -> int:
    return SILENT_REQUEST_SECONDS if view.silent and not seen else 0


PRIMARY, SECONDARY = FailoverRole.PRIMARY, FailoverRole.SECONDARY


@dataclass(frozen=True, kw_only=True)
class Situation:
    """What happens to the platform, and who must answer, in turn: first before it, last in the end.

    ``operator`` is a tree in which the switch alone decides.
    """

    name: str
    before: World = field(default_factory=World)
    changes: Mapping[int, World] = field(default_factory=dict[int, World])
    operator: bool = False
    new_checks: bool = False
    standby_deployed: bool = True
    expected: tuple[FailoverRole, ...]
    why: str

    def answers(self, tree: RecordTree, name: str, phases: Sequence[int] | None = None) -> tuple[Answer, ...]:
        """Simulate the situation on a tree, which must be one of its mode."""
        declared = tree if self.standby_deployed else tree.without(SECONDARY)
        return simulate(declared, name, self.before, self.changes, new_checks=self.new_checks, phases=phases)


_LOST = World(primary=SILENT)
_WRITTEN = World(switch=WRITTEN)
_WEST_LOST = World(standby=SILENT, switch=SILENT)

SHORT_OUTAGE: Final = 19
"""Seconds. Less than (threshold - 1) x interval, so that no checker finds three failures in it, whenever it asks."""
SHORT_PAUSE: Final = 16
"""Seconds. Interval + silence: each checker has a success in it."""

SITUATIONS: Final = (
    Situation(name="Nothing is wrong", expected=(PRIMARY,), why="The region is up and the switch is not written."),
    Situation(
        name="The primary region is lost",
        changes={0: _LOST},
        expected=(PRIMARY, SECONDARY),
        why="Three silent requests in a row, then the time to live and the propagation.",
    ),
    Situation(
        name="The primary region returns, the switch was never written",
        before=_LOST,
        changes={0: World()},
        expected=(SECONDARY, PRIMARY),
        why="Nothing holds traffic at the standby: `make failover` writes the switch first, for this reason.",
    ),
    Situation(
        name="The standby region's load balancer is down",
        changes={0: World(standby=SILENT)},
        expected=(PRIMARY,),
        why="No check asks the standby, and the primary is healthy.",
    ),
    Situation(
        name="Both regions' load balancers are down",
        changes={0: World(primary=SILENT, standby=SILENT)},
        expected=(PRIMARY, SECONDARY),
        why="The SECONDARY record has no check and so counts as healthy; nobody is served.",
    ),
    Situation(
        name="The switch is written, the primary is up",
        changes={0: _WRITTEN},
        expected=(PRIMARY, SECONDARY),
        why="The switch's check decides at the first look, and one of two is not two of two.",
    ),
    Situation(
        name="The switch is written after the primary was lost",
        before=_LOST,
        changes={0: World(primary=SILENT, switch=WRITTEN)},
        expected=(SECONDARY,),
        why="The standby answers already; the switch makes it stay so.",
    ),
    Situation(
        name="The switch is written in the second in which the primary is lost",
        changes={0: World(primary=SILENT, switch=WRITTEN)},
        expected=(PRIMARY, SECONDARY),
        why="The switch's check is the faster of the two, and one is enough.",
    ),
    Situation(
        name="us-west-2 is unreachable, and the switch's bucket with it",
        changes={0: _WEST_LOST},
        expected=(PRIMARY,),
        why="Silence is not the object: the inverted check stays healthy.",
    ),
    Situation(
        name="us-west-2 is unreachable and the primary is lost",
        changes={0: World(primary=SILENT, standby=SILENT, switch=SILENT)},
        expected=(PRIMARY, SECONDARY),
        why="As with both down: the last resort answers with a region that is gone.",
    ),
    Situation(
        name="us-west-2 is lost while the switch holds traffic there, the primary is up",
        before=_WRITTEN,
        changes={0: _WEST_LOST},
        expected=(SECONDARY, PRIMARY),
        why="Without the object the primary counts again; the other choice would be a region that is gone.",
    ),
    Situation(
        name="First deployment, the standby is not deployed yet",
        new_checks=True,
        changes={0: World()},
        standby_deployed=False,
        expected=(PRIMARY,),
        why="A record that is alone answers in any state.",
    ),
    Situation(
        name="First deployment, the new checks attached at once",
        new_checks=True,
        changes={0: World()},
        expected=(SECONDARY, PRIMARY),
        why="A new check counts as healthy, a new inverted one so as unhealthy, until the checkers have looked.",
    ),
    Situation(
        name="First deployment, the checks attached once settled",
        changes={0: World()},
        expected=(PRIMARY,),
        why="What `up` does: a hook waits for a verdict before the deciding check takes the others in.",
    ),
    Situation(
        name="18 % of the checkers reach the primary",
        changes={0: World(primary=View(percent=18, silent=True))},
        expected=(PRIMARY, SECONDARY),
        why="Healthy is more than 18 %.",
    ),
    Situation(
        name="19 % of the checkers reach the primary",
        changes={0: World(primary=View(percent=19, silent=True))},
        expected=(PRIMARY,),
        why="More than 18 % are enough, though most of the internet may not reach the region.",
    ),
    Situation(
        name="18 % of the checkers see the switch",
        changes={0: World(switch=View(percent=18))},
        expected=(PRIMARY,),
        why="Not more than 18 %: the object counts as absent.",
    ),
    Situation(
        name="19 % of the checkers see the switch",
        changes={0: World(switch=View(percent=19))},
        expected=(PRIMARY, SECONDARY),
        why="More than 18 % see the object: the inverted check is unhealthy.",
    ),
    Situation(
        name=f"The primary is down for {SHORT_OUTAGE} s, again and again",
        changes={
            second: world
            for start in range(0, 10 * (SHORT_OUTAGE + SHORT_PAUSE), SHORT_OUTAGE + SHORT_PAUSE)
            for second, world in ((start, World(primary=REFUSING)), (start + SHORT_OUTAGE, World()))
        },
        expected=(PRIMARY,),
        why="Each success starts the count of three again: people see the outages, DNS does not.",
    ),
    Situation(
        name="The primary is down for 60 s, up for 60 s, and down again",
        changes={0: _LOST, 60: World(), 120: _LOST},
        expected=(PRIMARY, SECONDARY, PRIMARY, SECONDARY),
        why="Each spell is longer than the detection: traffic goes to and fro until the switch is written.",
    ),
    Situation(
        name="Mode `operator`: the primary region is lost",
        changes={0: _LOST},
        operator=True,
        expected=(PRIMARY,),
        why="The switch alone decides, and nobody wrote it.",
    ),
    Situation(
        name="Mode `operator`: the switch is written after the primary was lost",
        before=_LOST,
        changes={0: World(primary=SILENT, switch=WRITTEN)},
        operator=True,
        expected=(PRIMARY, SECONDARY),
        why="It counts from the moment the switch is written, not from the loss.",
    ),
    Situation(
        name="The primary returns while the switch is written",
        before=World(primary=SILENT, switch=WRITTEN),
        changes={0: _WRITTEN},
        expected=(SECONDARY,),
        why="One of two is healthy: the switch holds until failback.",
    ),
    Situation(
        name="Failback: the switch is deleted, the primary is up",
        before=_WRITTEN,
        changes={0: World()},
        expected=(SECONDARY, PRIMARY),
        why="The object is gone at the first look, and the region was healthy before.",
    ),
    Situation(
        name="The switch is deleted while the primary is still down",
        before=World(primary=SILENT, switch=WRITTEN),
        changes={0: _LOST},
        expected=(SECONDARY,),
        why="The region's own check still fails.",
    ),
    Situation(
        name="Only the health port of the primary's load balancer is broken",
        changes={0: World(primary=REFUSING)},
        expected=(PRIMARY, SECONDARY),
        why="The checkers see that port alone: a region that still serves is given up.",
    ),
)
"""Every situation that the design has an answer for. The document, the unit tests and the engine's tests share it."""
