"""A program of some 40 resources, the network: where the whole platform would only take longer."""

from __future__ import annotations

import pulumi
import pulumi_aws as aws

from components.network import Network, NetworkArgs
from components.providers import providers
from components.stack_settings import stack_settings
from configs.tables.names import Names


def ground() -> None:
    """Build the ground of the region that the stack's settings name."""
    settings = stack_settings()
    child = pulumi.ResourceOptions(provider=providers(settings).own[0])
    names = Names(settings.name, settings.account_id, settings.location.name)
    key = aws.kms.Key("key", opts=child)
    Network("network", NetworkArgs(settings.location, settings.network, names, key.arn, protect=False), child)
