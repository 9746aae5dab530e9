"""Checks of flow logs."""

from __future__ import annotations

from collections.abc import Iterator

from engine.tokens import BUCKET, LOG_GROUP
from offline.checks.common import Check, is_given, is_missing, is_unknown, known_text
from offline.cloud import Cloud, Proposal


def flow_log(proposal: Proposal, cloud: Cloud) -> Iterator[str]:
    """A flow log says which traffic, and its destination exists and is of the type it says.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateFlowLogs.html
    """
    for name in ("eniId", "subnetId", "vpcId"):
        if is_given(proposal, name) and is_missing(proposal, "trafficType"):
            yield f"trafficType: a flow log of {name} says which traffic: ACCEPT, REJECT or ALL"
    if is_unknown(proposal, "logDestinationType"):
        return
    kind = proposal.inputs.get("logDestinationType", "cloud-watch-logs")
    if kind == "cloud-watch-logs":
        if is_missing(proposal, "iamRoleArn"):
            yield "iamRoleArn: delivery to CloudWatch Logs needs a role"
    elif is_given(proposal, "iamRoleArn"):
        yield f"iamRoleArn: only delivery to CloudWatch Logs has a role, this one goes to {kind}"
    destination = known_text(proposal, "logDestination")
    target = {"cloud-watch-logs": LOG_GROUP, "s3": BUCKET}.get(str(kind))
    if destination is None or target is None:
        return
    # A bucket may be in another region, and may be followed by a folder.
    region = None if kind == "s3" else proposal.region
    arns = {resource.attribute("arn") for resource in cloud.all(target, region=region)}
    if (destination.partition("/")[0] if kind == "s3" else destination.removesuffix(":*")) not in arns:
        yield f"logDestination: {destination} is no existing destination of type {kind}"


CHECKS: tuple[Check, ...] = (flow_log,)
