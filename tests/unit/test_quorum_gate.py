"""The machines' gate: the others of a group are whole, going by what they report into the bucket."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from hashlib import sha256
from io import BytesIO
from types import SimpleNamespace
from typing import Any

import pulumi
import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from configs.nodes import bundle_key, report_key
from configs.reports import Report
from gates import quorum
from gates.quorum import machine_gates, quorum_gates, wait_until_others_are_whole
from tests.unit.mocks import Run, run, stack_settings

BUCKET, GROUP = "bundles", ("one", "two", "three")
START = datetime(2026, 11, 24, 12, tzinfo=UTC)
LONG_AGO = START - timedelta(hours=1)


class Store:
    """Stands for S3 and its clock; ``after`` pauses of the gate something happens."""

    def __init__(self) -> None:
        self.now = START
        self.objects = dict[str, tuple[str, datetime | None]]()
        self.pauses: list[float] = []
        self.after = dict[int, Any]()
        self.reads: list[str] = []

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += timedelta(seconds=seconds)
        self.after.get(len(self.pauses), lambda: None)()

    def get_object(self, **arguments: str) -> dict[str, Any]:
        assert arguments.pop("Bucket") == BUCKET
        key = arguments.pop("Key")
        assert not arguments
        self.reads.append(key)
        metadata = {"HTTPHeaders": {"date": format_datetime(self.now, usegmt=True)}}
        if key not in self.objects:
            response: Any = {"Error": {"Code": "NoSuchKey"}, "ResponseMetadata": metadata}
            raise ClientError(response, "GetObject")
        text, written = self.objects[key]
        # None: whoever writes it never stops.
        return {
            "Body": BytesIO(text.encode()),
            "LastModified": written or self.now,
            "ResponseMetadata": metadata,
        }

    def bundle(self, node: str, text: str) -> None:
        self.objects[bundle_key(node)] = (text, LONG_AGO)

    def report(self, node: str, written: datetime | None = None, **changes: Any) -> None:
        """Let a node report, all well unless something is changed."""
        well = Report(node=node, instance="i-1", bundle=digest(f"bundle of {node}"), formed=True, healthy=True)
        self.objects[report_key(node)] = (well.model_copy(update=changes).to_json(), written)

    def join(self, node: str, **changes: Any) -> None:
        self.bundle(node, f"bundle of {node}")
        self.report(node, **changes)


def digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Store:
    store = Store()
    monkeypatch.setattr(quorum, "time", store)
    return store


@pytest.fixture
def whole(store: Store) -> Store:
    """A group of three that has formed and is well."""
    for node in GROUP:
        store.join(node)
    return store


def wait(store: Store, node: str = "two", making: bool = False) -> None:
    wait_until_others_are_whole(store, BUCKET, GROUP, node, making=making)


def refused(store: Store, node: str = "two", making: bool = False) -> str:
    with pytest.raises(TimeoutError) as raised:
        wait(store, node, making)
    assert store.pauses == [5] * 179
    return str(raised.value)


@pytest.mark.parametrize("node", GROUP)
@pytest.mark.parametrize("making", [True, False])
def test_a_whole_group_is_not_waited_for(whole: Store, node: str, making: bool) -> None:
    """Guards against a roll-out that waits for nothing, or looks at the node that is to be changed."""
    wait(whole, node, making)
    assert whole.pauses == []


def test_the_node_itself_may_be_broken(whole: Store) -> None:
    """Guards against a broken server that cannot be replaced because it is broken."""
    whole.report("two", LONG_AGO, healthy=False, reason="its disk is gone")
    wait(whole, "two")
    assert whole.pauses == []


def test_nothing_is_waited_for_before_there_is_a_quorum(store: Store) -> None:
    """Guards against a first deployment that waits for servers which wait for the next one to be made."""
    wait(store, making=True)
    store.join("one", formed=False, healthy=False)
    wait(store, making=True)
    wait(store)
    assert store.pauses == []


ILL: dict[str, Any] = {"healthy": False, "reason": "no leader"}
BEFORE = "it has not reported since 2026-11-24 11:00:00 UTC"


@pytest.mark.parametrize(
    ("written", "changes", "lack"),
    [
        (None, ILL, "it is not healthy: no leader"),
        (LONG_AGO, {}, BEFORE),
        (START - timedelta(seconds=1), {}, "it has not reported since 2026-11-24 11:59:59 UTC"),
        (LONG_AGO, ILL, BEFORE),
        (None, {"bundle": digest("an old one")}, "it has not applied its bundle"),
    ],
    ids=["ill", "silent", "just-before", "was-ill", "old-bundle"],
)
@pytest.mark.parametrize("other", ["one", "three"])
def test_stops_when_another_is_not_whole(
    whole: Store, other: str, written: datetime | None, changes: dict[str, Any], lack: str
) -> None:
    """Guards against a second server in flight, a dead one's last report, and a message without a next step."""
    whole.report(other, written, **changes)
    assert refused(whole) == (
        "two was not touched, nor was any machine after it: the others of its group are not whole after 900 s."
        f" {other}: {lack}. Mend them (a broken machine may be changed or replaced itself), then run `up` again."
    )


def test_names_everybody_who_is_not_whole(whole: Store) -> None:
    """Guards against an engineer who mends one node, only to hear of the next one fifteen minutes later."""
    whole.report("one", LONG_AGO)
    whole.report("three", **ILL)
    assert f"one: {BEFORE}. three: it is not healthy: no leader. Mend" in refused(whole)


def test_goes_on_as_soon_as_the_last_one_is_whole(whole: Store) -> None:
    """Guards against waiting for the deadline, and against a gate that opens while one of two is still out."""
    whole.report("one", LONG_AGO)
    whole.report("three", **ILL)
    whole.after = {1: lambda: whole.report("one"), 2: lambda: whole.report("three")}
    wait(whole)
    assert whole.pauses == [5, 5]


def test_a_report_counts_from_the_second_the_wait_began_on_s3s_clock(whole: Store) -> None:
    """Guards against a wait for a second report, and against a laptop whose clock is an hour off."""
    whole.report("one", START)
    wait(whole)
    assert whole.pauses == []


def test_earlier_ones_are_expected_and_later_ones_when_they_are_there(store: Store) -> None:
    """Guards against a third server made beside a second that never came up, and a wait for one not made yet."""
    store.join("one")
    wait(store, "one")
    store.bundle("two", "bundle of two")
    assert "two: it has never reported." in refused(store, "three", making=True)


@pytest.mark.parametrize("left", ["report", "bundle"])
def test_what_a_given_up_server_left_is_not_waited_for(whole: Store, left: str) -> None:
    """Guards against growing from three servers to five again, held up by reports of two that went a year ago."""
    del whole.objects[report_key("three") if left == "bundle" else bundle_key("three")]
    wait(whole)
    assert whole.pauses == []


def test_a_missing_bundle_of_an_earlier_one_is_not_applied(whole: Store) -> None:
    """Guards against a crash, or a pass, when somebody deleted a bundle by hand."""
    del whole.objects[bundle_key("one")]
    assert "one: it has not applied its bundle." in refused(whole)


def test_a_member_is_made_again_whatever_the_others_do(whole: Store) -> None:
    """Guards against a lost quorum that cannot be had back: of two lost servers, neither may be made."""
    whole.report("one", LONG_AGO)
    wait(whole, "two", making=True)
    assert whole.pauses == []
    refused(whole, "two", making=False)


def test_a_new_member_waits_for_the_others(whole: Store) -> None:
    """Guards against a fourth server that joins three of which one is out: the quorum grows, and is lost."""
    del whole.objects[report_key("two")]
    whole.report("one", **ILL)
    assert "one: it is not healthy: no leader." in refused(whole, "two", making=True)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"node": "one", "formed": false}'])
def test_what_is_no_report_neither_hides_a_quorum_nor_counts_as_healthy(whole: Store, text: str) -> None:
    """Guards against a changed form of reports, taken for a group that has never formed."""
    for node in GROUP:
        whole.objects[report_key(node)] = (text, None)
    assert "one: it is not healthy: its report is none" in refused(whole)


def test_a_refusal_is_shown_as_what_it_is(whole: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against a missing permission that is taken for an empty bucket, and so for a first deployment."""

    def deny(**_: str) -> None:
        response: Any = {"Error": {"Code": "AccessDenied"}, "ResponseMetadata": {"HTTPHeaders": {}}}
        raise ClientError(response, "GetObject")

    monkeypatch.setattr(whole, "get_object", deny)
    with pytest.raises(ClientError, match="AccessDenied"):
        wait(whole)
    assert whole.pauses == []


def test_asks_each_bundle_once_and_each_report_once_a_look(whole: Store) -> None:
    """Guards against megabytes of bundles fetched 180 times."""
    whole.report("one", LONG_AGO)
    whole.after = {3: lambda: whole.report("one")}
    wait(whole)
    looks = 1 + 1 + 3  # to know who is there, at once, and after each pause
    assert {key: whole.reads.count(key) for key in set(whole.reads)} == {
        report_key("one"): looks,
        report_key("two"): 1,
        report_key("three"): looks,
        bundle_key("one"): 1,
        bundle_key("three"): 1,
    }


@given(
    st.builds(
        Report,
        node=st.text(),
        instance=st.text(),
        bundle=st.text(),
        formed=st.booleans(),
        healthy=st.booleans(),
        reason=st.text(),
    )
)
def test_a_report_is_read_as_it_was_written(report: Report) -> None:
    """Guards against a reason whose quotes or lines break the report that names it."""
    assert Report.from_json(report.to_json()) == report


def test_a_newer_agent_may_say_more() -> None:
    """Guards against a roll-out of the agent that stops at its own first node."""
    report = Report(node="one", instance="i-1", bundle="", formed=True, healthy=True)
    assert Report.from_json(report.to_json()[:-1] + ', "mood": "good"}') == report


# The hooks.


def hooks_of(*former: str) -> Run:
    return run(lambda: quorum_gates("us-west-2", BUCKET, GROUP, former))


@pytest.mark.parametrize(("old_inputs", "passes"), [({"some": "thing"}, False), ({}, True), (None, True)])
def test_each_node_has_its_hook(
    whole: Store, monkeypatch: pytest.MonkeyPatch, old_inputs: dict[str, Any] | None, passes: bool
) -> None:
    """Guards against a hook that looks at another node, region or bucket, or takes making for changing."""
    asked: list[tuple[str, str]] = []

    def create_client(service: str, region_name: str) -> Store:
        asked.append((service, region_name))
        return whole

    session = SimpleNamespace(create_client=create_client)
    monkeypatch.setattr(quorum.botocore.session, "get_session", lambda: session)
    whole.report("one", LONG_AGO)
    hooks = hooks_of().hooks
    assert list(hooks) == [f"others-than-{node}-are-whole" for node in GROUP]
    arguments = pulumi.ResourceHookArgs("urn", "", "name", "type", old_inputs=old_inputs)

    async def call(node: str) -> None:
        await hooks[f"others-than-{node}-are-whole"](arguments)  # pyright: ignore[reportGeneralTypeIssues]  (a coroutine: the SDK's type also allows None)

    asyncio.run(call("one"))
    if passes:
        asyncio.run(call("two"))
    else:
        with pytest.raises(TimeoutError, match="two was not touched"):
            asyncio.run(call("two"))
    assert asked == [("s3", "us-west-2")] * 2


SERVERS, PAIR = (
    [f"control-plane-{number}" for number in range(1, 6)],
    ["load-balancer-nginx", "load-balancer-haproxy"],
)


@pytest.mark.parametrize("count", [3, 5])
def test_every_machine_with_an_address_has_a_gate_in_its_group(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against a machine without a gate, an order that is not the chain's, and a deleted server."""
    groups: list[Any] = []

    def no_gates(region: str, bucket: str, nodes: list[str], former: Sequence[str] = ()) -> dict[str, None]:
        groups.append((region, bucket, nodes, list(former)))
        return dict.fromkeys(nodes)

    monkeypatch.setattr(quorum, "quorum_gates", no_gates)
    settings = stack_settings("dr", controlPlane={"serverCount": count})
    assert list(machine_gates(settings)) == SERVERS[:count] + PAIR
    place = ("us-west-2", f"mlops-{settings.account_id}-us-west-2-bundles")
    assert groups == [(*place, SERVERS[:count], SERVERS[count:]), (*place, PAIR, [])]


def test_a_former_server_is_not_deleted_while_it_is_protected() -> None:
    """Guards against going from five servers to three: two machines deleted before their volumes refuse to go."""
    hooks = hooks_of("four").hooks
    hook = hooks["others-than-four-are-whole"]
    assert hook.opts is not None
    assert hook.opts.on_dry_run
    with pytest.raises(PermissionError, match=r"four is no longer in the settings, .* put it back, set .*protection"):
        hook(pulumi.ResourceHookArgs("urn", "", "name", "type"))
