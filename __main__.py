"""The Pulumi program: one region of the platform, as the stack's settings describe it."""

import pulumi

from boot_agent import agent_text
from components.platform import Gates, Platform, PlatformArgs
from components.providers import providers
from components.stack_settings import stack_secrets, stack_settings
from configs.tables.names import PublicNames
from gates.health_check import health_check_settled
from gates.quorum import machine_gates
from gates.role_switch import role_switch_guard

settings = stack_settings()
region = settings.location.name
gates = Gates(health_check_settled(), role_switch_guard(), machine_gates(settings))
available = providers(settings)
platform = Platform(
    settings.name,
    PlatformArgs(settings, gates, agent_text(), available.other_regions, stack_secrets()),
    pulumi.ResourceOptions(providers=available.own),
)

names = PublicNames(settings.domain)
pulumi.export("role", settings.role.value)
pulumi.export("region", region)
pulumi.export("publicNames", list(names.all_public()))
pulumi.export("regionalNames", list(names.all_regional(region)))
pulumi.export("loadBalancerAddresses", platform.addresses)
pulumi.export("loadBalancerDnsName", platform.dns_name)
pulumi.export("databaseAddress", platform.database_address)
pulumi.export("certificateExpiry", platform.certificate_expiry)
