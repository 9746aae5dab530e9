"""Where nodes find what they are to be: the bucket with the boot agent and, made from the settings, every bundle."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.private_bucket import PrivateBucket, PrivateBucketArgs
from configs.bundle import bundle
from configs.context import BundleFacts
from configs.nodes import AGENT_KEY, Node, nodes
from configs.settings.model import Settings
from configs.tables.names import BUNDLES_BUCKET, Names


@dataclass(frozen=True)
class NodeStoreArgs:
    """What the store is made from; the last two are what only AWS knows."""

    settings: Settings
    names: Names
    key_arn: pulumi.Input[str]
    boot_agent: str
    database_address: pulumi.Input[str]
    file_system_id: pulumi.Input[str]


class NodeStore(pulumi.ComponentResource):
    """The bucket. The bundles are texts: each machine puts its own there, in its turn."""

    bucket_id: pulumi.Output[str]
    bundles: dict[str, pulumi.Output[str]]
    """By name of the node."""

    def __init__(self, name: str, args: NodeStoreArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Create the bucket and put the boot agent into it."""
        super().__init__("mlops:platform:NodeStore", name, None, opts)
        bucket = PrivateBucket(
            f"{name}-bundles",
            PrivateBucketArgs(args.names, BUNDLES_BUCKET, args.key_arn, args.settings.protection),
            pulumi.ResourceOptions(parent=self),
        )
        self.bucket_id = bucket.id
        aws.s3.BucketObjectv2(
            f"{name}-boot-agent",
            bucket=bucket.id,
            key=AGENT_KEY,
            content=args.boot_agent,
            content_type="text/x-python",
            server_side_encryption="aws:kms",
            kms_key_id=args.key_arn,
            tags={"Name": f"{name}-boot-agent"},
            opts=pulumi.ResourceOptions(parent=self),
        )
        facts = pulumi.Output.all(database=args.database_address, file_system=args.file_system_id)

        def text(node: Node) -> pulumi.Output[str]:
            return facts.apply(
                lambda known: bundle(args.settings, node, BundleFacts(known["database"], known["file_system"]))
            )

        self.bundles = {node.name: text(node) for node in nodes(args.settings)}
        self.register_outputs({"bucket": bucket.id})
