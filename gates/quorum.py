"""No machine of a group is disturbed before the others of its group are whole."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import partial
from hashlib import sha256
from typing import Any

import botocore.session
import pulumi
from botocore.exceptions import ClientError

from configs.nodes import bundle_key, control_plane, load_balancers, report_key
from configs.reports import REPORT_SECONDS, Report
from configs.settings.model import Settings
from configs.tables.names import BUNDLES_BUCKET, Names

POLL_SECONDS = REPORT_SECONDS // 2
"""Half of what lies between two reports: one is seen at most half an interval late."""

LOOKS = 180
"""Fifteen minutes in all: a new machine boots and fetches its images in five, and catches up with a log as large as
its volume's throughput carries in the rest."""


@dataclass(frozen=True)
class Answer:
    """What S3 answered: when, and the object's text and last change, both None when there is no such object.

    Both times are of S3's clock: how wrong ours is does not matter.
    """

    at: datetime
    text: str | None = None
    written: datetime | None = None


def read(client: Any, bucket: str, key: str) -> Answer:
    """Read one object through a botocore client of S3.

    Raises:
        botocore.exceptions.ClientError: S3 refused to answer.
    """
    try:
        found: Mapping[str, Any] = client.get_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") != "NoSuchKey":
            raise
        return Answer(_time_of(error.response))
    return Answer(_time_of(found), found["Body"].read().decode(), found["LastModified"])


def _time_of(response: Mapping[str, Any]) -> datetime:
    return parsedate_to_datetime(response["ResponseMetadata"]["HTTPHeaders"]["date"])


def _report(text: str) -> Report:
    """Read a report; what cannot be read must neither hide that there is a quorum nor count as healthy."""
    try:
        return Report.from_json(text)
    except ValueError as error:
        return Report(
            node="", instance="", bundle="", formed=True, healthy=False, reason=f"its report is none: {error}"
        )


def lacks(answer: Answer, bundle: str | None, began: datetime) -> str | None:
    """Return what a node lacks to be whole, going by its report, or None.

    Args:
        answer: its report.
        bundle: the bundle that it should have applied.
        began: only a report from then on counts. Times of HTTP are whole seconds: that second counts.
    """
    if answer.text is None or answer.written is None:
        return "it has never reported"
    if answer.written < began:
        return f"it has not reported since {answer.written:%Y-%m-%d %H:%M:%S} UTC"
    report = _report(answer.text)
    if not report.healthy:
        return f"it is not healthy: {report.reason}"
    if bundle is None or report.bundle != sha256(bundle.encode()).hexdigest():
        return "it has not applied its bundle"
    return None


def wait_until_others_are_whole(
    client: Any, bucket: str, group: Sequence[str], node: str, *, making: bool = False
) -> None:
    """Return once every other node of a group is healthy and runs what it should.

    The others are those before the node in its chain, and those after it that are there: they have a bundle and
    have reported. Nothing is waited for while no node has ever seen the group whole: there is no quorum to lose.
    Nor before a member is made again (``making``): its absence is what must end.

    Args:
        client: botocore's client of S3.
        bucket: the bundles bucket.
        group: names of the nodes, in the order of their chain.
        node: the one that is to be disturbed; how it is itself does not matter.
        making: whether it is to be made, not changed or deleted.

    Raises:
        TimeoutError: somebody is not whole after ``POLL_SECONDS * LOOKS``.
        botocore.exceptions.ClientError: S3 refused to answer.
    """
    known = {name: read(client, bucket, report_key(name)) for name in group}
    reported = {name: _report(answer.text) for name, answer in known.items() if answer.text is not None}
    if not any(report.formed for report in reported.values()) or (making and node in reported):
        return
    began = known[group[0]].at
    bundles = {other: read(client, bucket, bundle_key(other)).text for other in group if other != node}
    earlier = group[: group.index(node)]
    expected = [other for other in bundles if other in earlier or (other in reported and bundles[other] is not None)]
    lacking = dict[str, str]()
    for look in range(LOOKS):
        if look:
            time.sleep(POLL_SECONDS)
        problems = {name: lacks(read(client, bucket, report_key(name)), bundles[name], began) for name in expected}
        lacking = {name: problem for name, problem in problems.items() if problem is not None}
        if not lacking:
            return
    raise TimeoutError(
        f"{node} was not touched, nor was any machine after it: the others of its group are not whole after"
        f" {POLL_SECONDS * LOOKS} s. "
        + " ".join(f"{name}: {problem}." for name, problem in lacking.items())
        + " Mend them (a broken machine may be changed or replaced itself), then run `up` again."
    )


MOST_SERVERS = 5
"""The most servers that the settings allow."""


def machine_gates(settings: Settings) -> dict[str, pulumi.ResourceHook]:
    """Return the gates of the region's servers and load balancers, by name of the node."""
    region = settings.location.name
    bucket = Names(settings.name, settings.account_id, region).bucket(BUNDLES_BUCKET)
    counted = {"control_plane": settings.control_plane.model_copy(update={"server_count": MOST_SERVERS})}
    servers = [node.name for node in control_plane(settings)]
    most = [node.name for node in control_plane(settings.model_copy(update=counted))]
    active, passive = load_balancers(settings)
    return {
        **quorum_gates(region, bucket, servers, former=most[len(servers) :]),
        **quorum_gates(region, bucket, [passive.name, active.name]),
    }


def quorum_gates(
    region: str, bucket: str, nodes: Sequence[str], former: Sequence[str] = ()
) -> dict[str, pulumi.ResourceHook]:
    """Return, for each node of a group, the hook to run before its bundle or machine is changed, made or deleted.

    Args:
        region: where the bucket is.
        bucket: name of the bundles bucket.
        nodes: names of the group's nodes, in the order of their chain.
        former: names of nodes that the group may have had under other settings. Pulumi would delete the machine of
            such a node before it comes to the volume that is protected; now it stops before either.
    """

    def gate(node: str) -> pulumi.ResourceHook:
        async def hook(arguments: pulumi.ResourceHookArgs) -> None:
            client = botocore.session.get_session().create_client("s3", region_name=region)
            wait = partial(wait_until_others_are_whole, client, bucket, nodes, node, making=not arguments.old_inputs)
            # On a thread: two groups wait at the same time, and the program goes on with what does not wait. Of its
            # own: the loop's threads may all be waiting for resources that wait for this.
            thread = ThreadPoolExecutor(max_workers=1)
            try:
                await asyncio.get_running_loop().run_in_executor(thread, wait)
            finally:
                thread.shutdown(wait=False, cancel_futures=True)

        return pulumi.ResourceHook(_name(node), hook)

    for node in former:
        # In a preview too: it needs no answer of AWS.
        pulumi.ResourceHook(_name(node), _refusal(node), pulumi.ResourceHookOptions(on_dry_run=True))
    return {node: gate(node) for node in nodes}


def _name(node: str) -> str:
    # Kept in the state of whatever it was bound to: under another name, nothing of that could be deleted.
    return f"others-than-{node}-are-whole"


def _refusal(node: str) -> Callable[[pulumi.ResourceHookArgs], None]:
    def hook(_: pulumi.ResourceHookArgs) -> None:
        raise PermissionError(
            f"{node} is no longer in the settings, and its machine and data are protected: nothing was deleted. To"
            " give it up for good, put it back, set mlops-ha:platform.protection to false, run `up`, take it out and"
            " run `up` again; then set protection to true."
        )

    return hook
