"""Where images lie in one region: the same repositories in each that holds them, under that region's key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from configs.tables.names import Names
from configs.tables.versions import VERSIONS, Software, image, images


@dataclass(frozen=True)
class ImageRepositoriesArgs:
    """What the repositories are made from."""

    names: Names
    key_arn: pulumi.Input[str]
    protect: bool


class ImageRepositories(pulumi.ComponentResource):
    """One repository an image. Old images are kept: an older version can be run again at any time."""

    by_software: Mapping[Software, aws.ecr.Repository]

    def __init__(self, name: str, args: ImageRepositoriesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Create the repositories."""
        super().__init__("mlops:platform:ImageRepositories", name, None, opts)

        def repository(purpose: str) -> aws.ecr.Repository:
            return aws.ecr.Repository(
                f"{name}-{purpose}",
                name=args.names.repository(purpose),
                image_tag_mutability="IMMUTABLE",
                image_scanning_configuration=aws.ecr.RepositoryImageScanningConfigurationArgs(scan_on_push=True),
                encryption_configurations=[
                    aws.ecr.RepositoryEncryptionConfigurationArgs(encryption_type="KMS", kms_key=args.key_arn)
                ],
                force_delete=not args.protect,
                tags={"Name": f"{name}-{purpose}"},
                # Images can be pushed again, but until they are no new node starts.
                opts=pulumi.ResourceOptions(parent=self, protect=args.protect),
            )

        self.by_software = {
            software: repository(image(software, VERSIONS[software].version).name) for software in images()
        }
        self.register_outputs({})
