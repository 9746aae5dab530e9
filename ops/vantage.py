"""Whether the primary region answers, seen from several places: a broken network must not look like a lost region."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from http import HTTPStatus

import httpx
from pydantic import BaseModel, ConfigDict

from configs.nodes import control_plane
from configs.settings.model import FailoverMode, Settings
from configs.tables.flows import HTTPS
from configs.tables.names import HEALTH_PATH, PublicNames
from ops.dns import Resolvers
from ops.entrance import DEADLINES, NamedTransport, reason
from ops.nodes import NodeState
from ops.problems import Stop, Unknown

THIS_MACHINE = "this machine"
HEALTH_CHECKERS = "Route 53's health checkers"
"""Places that a finding is from; the standby region's servers are called by their names."""

SILENT_PLACES = 2
"""Places that must find the primary silent: a single one may itself be cut off."""


class Verdict(StrEnum):
    """What a place finds of the primary region."""

    ANSWERS = "answers"
    SILENT = "silent"
    """It does not answer, or says itself that it does not serve."""
    UNKNOWN = "unknown"


class Finding(BaseModel):
    """What one place finds: several findings of one place are still one place."""

    model_config = ConfigDict(frozen=True, strict=True)

    place: str
    """Who looked."""
    verdict: Verdict
    """What was found."""
    detail: str
    """What exactly, for people."""


def findings(
    settings: Settings,
    resolvers: Resolvers,
    switch_written: bool,
    servers: Mapping[str, NodeState],
    https_port: int = HTTPS.port,
) -> tuple[Finding, ...]:
    """Return what each place finds of the primary region. Nothing is raised: what is not known is a finding.

    This machine proves its own network first: where nothing answers in the standby region either, silence says
    nothing of the primary. With an edge, the standby's servers cannot tell and are left out: port 443 lets in the
    edge and the administrators' ranges alone. While the switch is written, or in mode operator, Route 53's answer
    says nothing of the region's health.

    Args:
        settings: of the standby region's stack.
        resolvers: whoever knows both regions' addresses.
        switch_written: whether the failover switch is.
        servers: the reports of the standby region's nodes, by name.
        https_port: where load balancers listen; another one only where one machine stands in for both regions.
    """
    by_checkers = settings.failover.mode is FailoverMode.AUTOMATIC and not switch_written
    return (
        *_of_this_machine(settings, resolvers, https_port),
        *((_of_health_checkers(settings, resolvers),) if by_checkers else ()),
        *(_of_servers(settings, servers) if settings.edge is None else ()),
    )


def judge(found: Sequence[Finding]) -> None:
    """Let a failover pass that the findings agree with: the primary is silent from at least two places.

    Raises:
        Stop: the primary answers somewhere, something is unknown, or too few places have looked.
    """
    if answers := [_line(finding) for finding in found if finding.verdict is Verdict.ANSWERS]:
        raise Stop(
            f"the primary region answers: {'; '.join(answers)}."
            " Nothing was changed. If it must be left all the same: --force --reason"
        )
    advice = "Find out first, or take it upon you: --force --reason"
    if unknown := [_line(finding) for finding in found if finding.verdict is Verdict.UNKNOWN]:
        raise Stop(f"it is unknown whether the primary region answers: {'; '.join(unknown)}. {advice}")
    places = {finding.place for finding in found}
    if len(places) < SILENT_PLACES:
        raise Stop(
            f"it is unknown whether the primary region answers: {len(places)} place(s) looked,"
            f" {SILENT_PLACES} must agree. {advice}"
        )


def _line(finding: Finding) -> str:
    return f"{finding.place} ({finding.detail})"


def _of_this_machine(settings: Settings, resolvers: Resolvers, https_port: int) -> Sequence[Finding]:
    fault = _own_fault(settings, resolvers, https_port)
    name = PublicNames(settings.domain).regional_origin(settings.regions.primary.name)
    try:
        addresses = resolvers.addresses(name)
    except Unknown as unknown:
        return [Finding(place=THIS_MACHINE, verdict=Verdict.UNKNOWN, detail=str(unknown))]
    if not addresses:
        return [Finding(place=THIS_MACHINE, verdict=Verdict.UNKNOWN, detail=f"{name} has no address")]
    found = [_found_at(name, address, https_port) for address in sorted(addresses)]
    if fault is None:
        return found
    # An answer is one whatever else is silent.
    answers = [finding for finding in found if finding.verdict is Verdict.ANSWERS]
    return answers or [Finding(place=THIS_MACHINE, verdict=Verdict.UNKNOWN, detail=fault)]


def _own_fault(settings: Settings, resolvers: Resolvers, https_port: int) -> str | None:
    """Return why silence may be this machine's own: nothing answers in the standby region. None: something does."""
    region = settings.regions.standby.name
    name = PublicNames(settings.domain).regional_origin(region)
    silent: list[str] = []
    try:
        for address in sorted(resolvers.addresses(name)):
            try:
                # Whatever it says: only the way there is in question.
                _status(name, address, https_port)
            except httpx.TransportError as error:
                silent.append(f"{address}: {reason(error)}")
            else:
                return None
    except Unknown as unknown:
        silent.append(str(unknown))
    return f"does not reach {region} either: {'; '.join(silent) or f'{name} has no address'}"


def _found_at(name: str, address: str, https_port: int) -> Finding:
    try:
        status = _status(name, address, https_port)
    except httpx.TransportError as error:
        verdict, detail = Verdict.SILENT, reason(error)
    else:
        verdict, detail = Verdict.ANSWERS if status == HTTPStatus.OK else Verdict.SILENT, f"HTTP {status}"
    return Finding(place=THIS_MACHINE, verdict=verdict, detail=f"{address}: {detail}")


def _status(name: str, address: str, https_port: int) -> int:
    """Return the status of an answer to the question for health.

    Raises:
        httpx.TransportError: there is no answer.
    """
    # A certificate that ran out must not pass for a region that is lost: whoever answers, answers.
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    transport = NamedTransport(lambda _: (address,), context, https_port)
    with (
        httpx.Client(transport=transport, timeout=DEADLINES, trust_env=False) as client,
        # The status suffices: a body that never ends keeps nobody waiting.
        client.stream("GET", f"https://{name}{HEALTH_PATH}") as response,
    ):
        return response.status_code


def _of_health_checkers(settings: Settings, resolvers: Resolvers) -> Finding:
    names, regions = PublicNames(settings.domain), settings.regions
    try:
        answer = resolvers.addresses(names.origin)
        primary = resolvers.addresses(names.regional_origin(regions.primary.name))
        standby = resolvers.addresses(names.regional_origin(regions.standby.name))
    except Unknown as unknown:
        return Finding(place=HEALTH_CHECKERS, verdict=Verdict.UNKNOWN, detail=str(unknown))
    shown = ", ".join(sorted(answer)) or "no address"
    # Subsets: a resolver may still know a load balancer's addresses of before a zone was taken out.
    if answer and not primary & standby:
        if answer <= primary:
            detail = f"{names.origin} answers with {regions.primary.name}: {shown}"
            return Finding(place=HEALTH_CHECKERS, verdict=Verdict.ANSWERS, detail=detail)
        if answer <= standby:
            detail = f"{names.origin} answers with {regions.standby.name}: {shown}"
            return Finding(place=HEALTH_CHECKERS, verdict=Verdict.SILENT, detail=detail)
    detail = f"{names.origin} answers with {shown}, neither region's"
    return Finding(place=HEALTH_CHECKERS, verdict=Verdict.UNKNOWN, detail=detail)


def _of_servers(settings: Settings, servers: Mapping[str, NodeState]) -> Iterator[Finding]:
    """Yield what the servers say that report: one that does not is no place to look from."""
    verdicts = {True: Verdict.ANSWERS, False: Verdict.SILENT, None: Verdict.UNKNOWN}
    for node in control_plane(settings):
        state = servers.get(node.name)
        if state is not None and state.fresh and state.report is not None:
            verdict = verdicts[state.report.primary_answers]
            yield Finding(place=node.name, verdict=verdict, detail=f"its report says: {verdict}")
