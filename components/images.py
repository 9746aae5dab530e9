"""Container images: copied from their publishers into the account's own registry, and listed by digest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws
import pulumi_docker as docker

from components.image_repositories import ImageRepositories, ImageRepositoriesArgs
from components.replication import Replication
from configs.tables.names import IMAGES_INDEX_KEY, Names
from configs.tables.versions import Image, Software, image, images

PLATFORM = "linux/amd64"
"""What nodes are (their AMI is x86-64), whatever the machine is that deploys."""


@dataclass(frozen=True)
class ImagesArgs:
    """What the images are made from; ``names`` are those of the primary region.

    ``replication`` must be there first: neither ECR nor S3 copies what was there before it
    (https://docs.aws.amazon.com/AmazonECR/latest/userguide/replication.html).
    """

    names: Names
    versions: Mapping[Software, str]
    key_arn: pulumi.Input[str]
    backups_bucket: pulumi.Input[str]
    replication: Replication
    protect: bool


class Images(pulumi.ComponentResource):
    """Every image of the platform, and the list of what was pushed.

    Nodes of either region run ``repository@digest`` of the list: no tag decides, and nothing has to be asked.
    """

    repositories: Mapping[Software, aws.ecr.Repository]
    index: aws.s3.BucketObjectv2
    """The list: when it is there, all images are."""

    def __init__(self, name: str, args: ImagesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Mirror the images."""
        super().__init__("mlops:platform:Images", name, None, opts)
        self._name, self._args = name, args
        self.repositories = ImageRepositories(
            f"{name}-repositories",
            ImageRepositoriesArgs(args.names, args.key_arn, args.protect),
            pulumi.ResourceOptions(parent=self),
        ).by_software
        entries = {software: self._mirror(software, args.versions[software]) for software in images()}
        self.index = aws.s3.BucketObjectv2(
            f"{name}-index",
            bucket=args.backups_bucket,
            key=IMAGES_INDEX_KEY,
            content=pulumi.Output.json_dumps(entries, indent=2, sort_keys=True),
            content_type="application/json",
            server_side_encryption="aws:kms",
            kms_key_id=args.key_arn,
            tags={"Name": f"{name}-index"},
            opts=pulumi.ResourceOptions(parent=self, depends_on=[args.replication.objects]),
        )
        self.register_outputs({})

    def _mirror(self, software: Software, version: str) -> Mapping[str, pulumi.Input[str]]:
        """Copy an image; return its entry in the list."""
        source = image(software, version)
        repository = self._args.names.repository(source.name)
        pushed = self._push(software, source, f"{self._name}-{source.name}-{version}", repository)
        return {"repository": repository, "tag": source.tag, "digest": pushed.sha256_digest}

    def _push(self, software: Software, source: Image, label: str, repository: str) -> docker.RegistryImage:
        # The version is in the label: a new one comes beside the old one, which stays where it is.
        child = pulumi.ResourceOptions(parent=self)
        pulled = docker.RemoteImage(label, name=source.reference, platform=PLATFORM, keep_locally=True, opts=child)
        tagged = docker.Tag(
            label,
            source_image=pulled.name,
            target_image=f"{self._args.names.registry_host()}/{repository}:{source.tag}",
            opts=child,
        )
        return docker.RegistryImage(
            label,
            name=tagged.target_image,
            keep_remotely=True,
            opts=pulumi.ResourceOptions(
                parent=self, depends_on=[self.repositories[software], self._args.replication.images]
            ),
        )
