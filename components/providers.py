"""One explicit provider for each region and service. Default providers are disabled: what names no provider fails."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws
import pulumi_cloudflare as cloudflare
import pulumi_docker as docker
import pulumi_random as random
import pulumi_tls as tls

from configs.settings.model import Settings
from configs.tables.names import PROJECT, Names


def platform_tags(settings: Settings) -> Mapping[str, str]:
    """Return the tags that everything carries: whose it is, and who changes it."""
    return {
        "Project": PROJECT,
        "Platform": settings.name,
        "Stack": pulumi.get_stack(),
        "ManagedBy": "pulumi",
    }


@dataclass(frozen=True)
class OtherRegions:
    """Providers of the regions that the primary stack replicates into."""

    standby: aws.Provider
    archive: aws.Provider


@dataclass(frozen=True)
class Providers:
    """The providers of a stack: ``own`` are inherited by everything, other regions' are given where they belong."""

    own: list[pulumi.ProviderResource]
    other_regions: OtherRegions | None


def providers(settings: Settings) -> Providers:
    """Return the providers of the stack.

    A stack that is not the primary has its own region's and no other: a provider that cannot be configured, because
    its region is lost, fails every run. Only the primary makes secrets, mirrors images and speaks to the edge.
    """
    own: list[pulumi.ProviderResource] = [_region(settings, settings.location.name)]
    if not settings.is_primary:
        return Providers(own, None)
    registry = Names(settings.name, settings.account_id, settings.location.name).registry_host()
    own += [
        random.Provider(f"{settings.name}-random"),
        tls.Provider(f"{settings.name}-tls"),
        docker.Provider(
            f"{settings.name}-docker",
            # Without a password: it is the docker client's, from its credential helper or `docker login`. A token in
            # here would be in the state, and another one in every preview.
            registry_auth=[docker.ProviderRegistryAuthArgs(address=registry)],
        ),
    ]
    if settings.edge is not None:
        # The token is CLOUDFLARE_API_TOKEN of the environment.
        own.append(cloudflare.Provider(f"{settings.name}-cloudflare"))
    regions = settings.regions
    return Providers(
        own, OtherRegions(_region(settings, regions.standby.name), _region(settings, regions.archive.name))
    )


def _region(settings: Settings, region: str) -> aws.Provider:
    """Return the provider of a region. It refuses to work in any account but the one in the settings."""
    return aws.Provider(
        f"{settings.name}-{region}",
        region=region,
        allowed_account_ids=[settings.account_id],
        default_tags=aws.ProviderDefaultTagsArgs(tags=platform_tags(settings)),
    )
