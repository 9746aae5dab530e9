"""Whether the primary region answers, seen from a machine, by DNS and by the standby region's servers."""

from __future__ import annotations

import socket
from collections.abc import Collection, Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import httpx
import pytest

from configs.reports import Report
from configs.settings.model import FailoverMode, FailoverSettings, Settings
from configs.tables.names import PublicNames
from engine.stack_files import ROOT, stack_settings
from lab.doors import Credentials, Door, ServerCertificate, issued, open_door
from lab.names import name_server
from ops import vantage
from ops.dns import NameServer, Resolvers
from ops.nodes import NodeState
from ops.problems import Stop
from ops.vantage import Finding, Verdict, findings, judge

SETTINGS = stack_settings(ROOT, "dr")
NAMES = PublicNames(SETTINGS.domain)
PRIMARY, STANDBY = SETTINGS.regions.primary.name, SETTINGS.regions.standby.name
CREDENTIALS = Credentials("consul-token", "nomad-token", ("admin", "password"))
STANDBY_ADDRESS = "127.0.0.2"


@pytest.fixture(scope="module")
def certificate() -> ServerCertificate:
    """A certificate that nobody here trusts, of names that nobody here asks for."""
    return issued(["elsewhere.example.com"])


@dataclass
class World:
    """Both regions' entrances, on one port, and what DNS says."""

    primary: Door
    standby: Door
    standby_serving: ExitStack
    """Closed: nothing answers in the standby region any more."""
    zone: dict[str, tuple[str, ...]]
    resolvers: Resolvers
    servers: dict[str, NodeState] = field(default_factory=dict[str, NodeState])

    def found(self, settings: Settings = SETTINGS, switch_written: bool = False) -> tuple[Finding, ...]:
        return findings(settings, self.resolvers, switch_written, self.servers, self.primary.https_port)


def zone(*origin: str) -> dict[str, tuple[str, ...]]:
    """What DNS says of the regions' load balancers, and of the failover name."""
    return {
        NAMES.regional_origin(PRIMARY): ("127.0.0.1",),
        NAMES.regional_origin(STANDBY): (STANDBY_ADDRESS,),
        NAMES.origin: origin,
    }


@contextmanager
def opened(certificate: ServerCertificate, *origin: str) -> Generator[World]:
    with ExitStack() as stack:
        primary = stack.enter_context(open_door(Door(NAMES, PRIMARY, CREDENTIALS), certificate))
        # What a standby's load balancer says: it serves nobody.
        standby = Door(NAMES, STANDBY, CREDENTIALS, serving=False, address=STANDBY_ADDRESS)
        serving = stack.enter_context(ExitStack())
        serving.enter_context(open_door(standby, certificate, primary.https_port))
        answers = zone(*origin)
        server = stack.enter_context(name_server(answers.get))
        yield World(primary, standby, serving, answers, Resolvers([NameServer(*server)]))


def report(primary_answers: bool | None, fresh: bool = True) -> NodeState:
    said = Report(node="n", instance="i", bundle="b", formed=True, healthy=True, primary_answers=primary_answers)
    return NodeState(fresh, said, "")


def verdicts(found: Collection[Finding]) -> list[tuple[str, Verdict]]:
    return [(finding.place, finding.verdict) for finding in found]


def test_a_region_that_answers_is_seen_from_everywhere(certificate: ServerCertificate) -> None:
    """A region given up because its certificate ran out, or is not of its name: whoever answers, answers."""
    with opened(certificate, "127.0.0.1") as world:
        world.servers["control-plane-1"] = report(True)
        found = world.found()
    assert found == (
        Finding(place="this machine", verdict=Verdict.ANSWERS, detail="127.0.0.1: HTTP 200"),
        Finding(
            place="Route 53's health checkers",
            verdict=Verdict.ANSWERS,
            detail=f"origin.mlops.example.com answers with {PRIMARY}: 127.0.0.1",
        ),
        Finding(place="control-plane-1", verdict=Verdict.ANSWERS, detail="its report says: answers"),
    )
    assert [(one.host, one.method, one.path) for one in world.primary.received] == [
        (f"origin.{PRIMARY}.mlops.example.com", "GET", "/healthz")
    ]


def test_a_region_that_says_it_does_not_serve_is_silent(certificate: ServerCertificate) -> None:
    """A fenced region, or one whose load balancer has no service left, taken for one that serves."""
    with opened(certificate, STANDBY_ADDRESS) as world:
        world.primary.fenced = True
        world.servers["control-plane-1"] = report(False)
        found = world.found()
    assert [(finding.place, finding.verdict, finding.detail) for finding in found] == [
        ("this machine", Verdict.SILENT, "127.0.0.1: HTTP 503"),
        (
            "Route 53's health checkers",
            Verdict.SILENT,
            f"origin.mlops.example.com answers with {STANDBY}: {STANDBY_ADDRESS}",
        ),
        ("control-plane-1", Verdict.SILENT, "its report says: silent"),
    ]
    judge(found)


def test_every_address_is_asked(certificate: ServerCertificate) -> None:
    """A region given up because the first zone's address is silent, while the second one's answers."""
    with opened(certificate, "127.0.0.1") as world:
        # Nobody listens at the other one: the door has its port at 127.0.0.1 alone.
        world.zone[NAMES.regional_origin(PRIMARY)] = ("127.0.0.9", "127.0.0.1")
        here = [finding for finding in world.found() if finding.place == "this machine"]
    assert [(finding.verdict, finding.detail) for finding in here] == [
        (Verdict.ANSWERS, "127.0.0.1: HTTP 200"),
        (Verdict.SILENT, "127.0.0.9: Connection refused"),
    ]


def test_a_region_that_never_answers_is_silent(
    certificate: ServerCertificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A command that hangs on a connection that nobody answers: what a dark region does."""
    monkeypatch.setattr(vantage, "DEADLINES", httpx.Timeout(0.3))
    with (
        opened(certificate, STANDBY_ADDRESS) as world,
        socket.create_server(("127.0.0.3", world.primary.https_port)),
    ):
        world.zone[NAMES.regional_origin(PRIMARY)] = ("127.0.0.3",)
        here = world.found()[0]
    assert (here.verdict, here.detail) == (Verdict.SILENT, "127.0.0.3: no answer in time")


def test_any_answer_of_the_standby_proves_the_network(certificate: ServerCertificate) -> None:
    """A failover that needs force because one zone of the standby is silent, or because it is not well."""
    with opened(certificate, STANDBY_ADDRESS) as world:
        world.zone[NAMES.regional_origin(PRIMARY)] = ("127.0.0.9",)
        world.zone[NAMES.regional_origin(STANDBY)] = ("127.0.0.10", STANDBY_ADDRESS)
        world.standby.fenced = True
        here = world.found()[0]
        asked = [(one.host, one.method, one.path) for one in world.standby.received]
    assert (here.verdict, here.detail) == (Verdict.SILENT, "127.0.0.9: Connection refused")
    assert asked == [(f"origin.{STANDBY}.mlops.example.com", "GET", "/healthz")]


def test_a_machine_that_reaches_neither_region_knows_nothing(certificate: ServerCertificate) -> None:
    """A region given up from a machine whose network lets nothing out, or from an address that nobody lets in."""
    with opened(certificate, STANDBY_ADDRESS) as world:
        world.zone[NAMES.regional_origin(PRIMARY)] = ("127.0.0.8", "127.0.0.9")
        world.standby_serving.close()
        closed = world.found()
        world.zone.pop(NAMES.regional_origin(STANDBY))
        nameless = world.found()[0]
    assert closed[0] == Finding(
        place="this machine",
        verdict=Verdict.UNKNOWN,
        detail=f"does not reach {STANDBY} either: {STANDBY_ADDRESS}: Connection refused",
    )
    assert verdicts(closed) == [("this machine", Verdict.UNKNOWN), ("Route 53's health checkers", Verdict.SILENT)]
    assert nameless.verdict is Verdict.UNKNOWN
    assert nameless.detail == f"does not reach {STANDBY} either: origin.{STANDBY}.mlops.example.com has no address"


def test_a_primary_that_answers_does_so_whatever_the_standby_says(certificate: ServerCertificate) -> None:
    """Users sent to a region that is itself lost, because its silence was taken for the machine's own."""
    with opened(certificate, "127.0.0.1") as world:
        world.zone[NAMES.regional_origin(PRIMARY)] = ("127.0.0.1", "127.0.0.9")
        world.standby_serving.close()
        here = [finding for finding in world.found() if finding.place == "this machine"]
    assert [(finding.verdict, finding.detail) for finding in here] == [(Verdict.ANSWERS, "127.0.0.1: HTTP 200")]


def test_without_dns_nothing_is_known(certificate: ServerCertificate) -> None:
    """A machine without a network, which takes its own silence for the region's."""
    with opened(certificate) as world:
        world.zone.clear()
        nowhere = world.found()
        # A resolver where none is: the port was free a moment ago.
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
            free.bind(("127.0.0.1", 0))
            world.resolvers = Resolvers([NameServer(*free.getsockname())])
        unanswered = world.found()
    expected = [("this machine", Verdict.UNKNOWN), ("Route 53's health checkers", Verdict.UNKNOWN)]
    assert verdicts(nowhere) == expected
    assert [finding.detail for finding in nowhere] == [
        f"origin.{PRIMARY}.mlops.example.com has no address",
        "origin.mlops.example.com answers with no address, neither region's",
    ]
    assert verdicts(unanswered) == expected


@pytest.mark.parametrize(
    ("origin", "verdict"),
    [
        (("127.0.0.1",), Verdict.ANSWERS),
        ((STANDBY_ADDRESS,), Verdict.SILENT),
        # The last is of neither region, and the two are of both.
        (("203.0.113.7",), Verdict.UNKNOWN),
        (("127.0.0.1", STANDBY_ADDRESS), Verdict.UNKNOWN),
        ((), Verdict.UNKNOWN),
    ],
)
def test_what_dns_answers_tells_what_the_checkers_think(
    certificate: ServerCertificate, origin: tuple[str, ...], verdict: Verdict
) -> None:
    """An answer that is of neither region, taken for one that clears the failover."""
    with opened(certificate, *origin) as world:
        assert world.found()[1].verdict is verdict


def test_the_switch_and_the_mode_silence_dns(certificate: ServerCertificate) -> None:
    """The switch's own effect, or a mode in which nobody checks, taken for a lost region."""
    operator = SETTINGS.model_copy(update={"failover": FailoverSettings(mode=FailoverMode.OPERATOR)})
    with opened(certificate, STANDBY_ADDRESS) as world:
        assert verdicts(world.found(switch_written=True)) == [("this machine", Verdict.ANSWERS)]
        assert verdicts(world.found(operator)) == [("this machine", Verdict.ANSWERS)]


def test_only_servers_that_report_now_are_places(certificate: ServerCertificate) -> None:
    """An old report, a load balancer's, or none at all, taken for somebody who looked just now."""
    with opened(certificate, "127.0.0.1") as world:
        world.servers = {
            "control-plane-1": report(True, fresh=False),
            "control-plane-2": NodeState(fresh=True, report=None, detail="its report is none"),
            "control-plane-3": report(None),
            "load-balancer-nginx": report(False),
        }
        assert verdicts(world.found())[2:] == [("control-plane-3", Verdict.UNKNOWN)]


# What an edge consists of does not matter here, only that there is one.
BEHIND = SETTINGS.model_copy(update={"edge": object()})


def test_behind_an_edge_this_machine_and_dns_are_two_places(certificate: ServerCertificate) -> None:
    """A lost region that cannot be left without force, or servers that the edge keeps out taken for witnesses."""
    with opened(certificate, STANDBY_ADDRESS) as world:
        world.servers["control-plane-1"] = report(False)
        answered = world.found(BEHIND)
        world.primary.fenced = True
        silent = world.found(BEHIND)
    dns = ("Route 53's health checkers", Verdict.SILENT)
    assert verdicts(answered) == [("this machine", Verdict.ANSWERS), dns]
    assert verdicts(silent) == [("this machine", Verdict.SILENT), dns]
    judge(silent)


def test_behind_an_edge_a_machine_that_is_not_let_in_knows_nothing(certificate: ServerCertificate) -> None:
    """A region that is taken for lost because it lets in nobody but the edge and the administrators."""
    with opened(certificate, STANDBY_ADDRESS) as world:
        world.zone[NAMES.regional_origin(PRIMARY)] = ("127.0.0.9",)
        world.standby_serving.close()
        found = world.found(BEHIND)
    assert verdicts(found) == [("this machine", Verdict.UNKNOWN), ("Route 53's health checkers", Verdict.SILENT)]
    with pytest.raises(Stop, match=f"unknown .*: this machine \\(does not reach {STANDBY} either: "):
        judge(found)


def finding(place: str, verdict: Verdict) -> Finding:
    return Finding(place=place, verdict=verdict, detail="detail")


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (
            [finding("a", Verdict.SILENT), finding("b", Verdict.ANSWERS), finding("c", Verdict.UNKNOWN)],
            "the primary region answers: b (detail). Nothing was changed. If it must be left all the same:"
            " --force --reason",
        ),
        (
            [finding("a", Verdict.SILENT), finding("b", Verdict.SILENT), finding("c", Verdict.UNKNOWN)],
            "it is unknown whether the primary region answers: c (detail)."
            " Find out first, or take it upon you: --force --reason",
        ),
        (
            # One machine that asks three addresses is one network that may be broken.
            [finding("a", Verdict.SILENT), finding("a", Verdict.SILENT), finding("a", Verdict.SILENT)],
            "it is unknown whether the primary region answers: 1 place(s) looked, 2 must agree."
            " Find out first, or take it upon you: --force --reason",
        ),
        (
            [],
            "it is unknown whether the primary region answers: 0 place(s) looked, 2 must agree."
            " Find out first, or take it upon you: --force --reason",
        ),
    ],
)
def test_doubt_stops_a_failover(found: list[Finding], why: str) -> None:
    """A failover away from a region that serves, or may serve."""
    with pytest.raises(Stop) as stop:
        judge(found)
    assert str(stop.value) == why


def test_two_places_suffice() -> None:
    """A failover that cannot be had without force although nobody hears the primary."""
    judge([finding("a", Verdict.SILENT), finding("b", Verdict.SILENT)])
