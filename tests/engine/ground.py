"""A program of some 170 resources: network and security groups, where the whole platform would only take longer."""

from __future__ import annotations

import pulumi
import pulumi_aws as aws

from components.network import Network, NetworkArgs
from components.providers import providers
from components.security_groups import SecurityGroups, SecurityGroupsArgs
from components.stack_settings import stack_settings
from configs.tables.names import Names


def ground() -> None:
    """Build the ground of the region that the stack's settings name."""
    settings = stack_settings()
    child = pulumi.ResourceOptions(provider=providers(settings).own[0])
    names = Names(settings.name, settings.account_id, settings.location.name)
    key = aws.kms.Key("key", opts=child)
    network = Network(
        "network", NetworkArgs(settings.location, settings.network, names, key.arn, protect=False), child
    )
    SecurityGroups(
        "groups",
        SecurityGroupsArgs(
            vpc_id=network.vpc_id,
            names=names,
            admin_ranges=settings.admin_cidrs,
            edge_ranges=(),
            health_checkers_prefix_list_id=settings.location.health_checkers_prefix_list_id,
        ),
        child,
    )
