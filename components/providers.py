"""One explicit provider a region. Default providers are disabled: what names no provider fails."""

from __future__ import annotations

import pulumi
import pulumi_aws as aws

from configs.settings.model import Settings
from configs.tables.names import PROJECT


def region_provider(settings: Settings) -> aws.Provider:
    """Return the provider of the region that the stack builds.

    Every resource inherits its tags. It refuses to work in any account but the one in the settings.
    """
    region = settings.location.name
    return aws.Provider(
        f"{settings.name}-{region}",
        region=region,
        allowed_account_ids=[settings.account_id],
        default_tags=aws.ProviderDefaultTagsArgs(
            tags={"Project": PROJECT, "Platform": settings.name, "Stack": pulumi.get_stack(), "ManagedBy": "pulumi"}
        ),
    )
