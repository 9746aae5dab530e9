"""The Pulumi program: one region of the platform, as the stack's settings describe it."""

import pulumi

from components.platform import Platform, PlatformArgs
from components.providers import region_provider
from components.stack_settings import stack_settings
from configs.tables.names import PublicNames
from gates.health_check import health_check_settled

settings = stack_settings()
platform = Platform(
    settings.name,
    PlatformArgs(settings, health_check_settled=health_check_settled()),
    pulumi.ResourceOptions(providers=[region_provider(settings)]),
)

names = PublicNames(settings.domain)
pulumi.export("role", settings.role.value)
pulumi.export("region", settings.location.name)
pulumi.export("publicNames", list(names.all_public()))
pulumi.export("regionalNames", list(names.all_regional(settings.location.name)))
pulumi.export("loadBalancerAddresses", platform.addresses)
pulumi.export("loadBalancerDnsName", platform.dns_name)
