"""Small programs of what lies between the public and the machines, where the whole platform would take longer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pulumi
import pulumi_aws as aws

from aws_rules.failover import FailoverRole
from components.edge import Edge, EdgeArgs
from components.failover_dns import FailoverDns, FailoverDnsArgs
from components.load_balancer_pair import LoadBalancerEndpoint
from components.network import Network, NetworkArgs
from components.providers import providers
from components.security_groups import SecurityGroups, SecurityGroupsArgs
from components.stack_settings import stack_settings
from configs.settings.model import Settings, StackRole
from configs.tables.names import Names, PublicNames
from engine.stack_files import ROOT
from gates.health_check import health_check_settled
from offline.engine import OfflineStack


def network() -> None:
    """Build the network of the region of the stack's settings, protected as they say."""
    settings = stack_settings()
    child = pulumi.ResourceOptions(provider=providers(settings).own[0])
    names = Names(settings.name, settings.account_id, settings.location.name)
    key = aws.kms.Key("key", opts=child)
    Network("network", NetworkArgs(settings.location, settings.network, names, key.arn, settings.protection), child)


def failover_names() -> None:
    """Build what the region of the stack's settings answers for, before a load balancer of no use."""
    settings = stack_settings()
    child = pulumi.ResourceOptions(provider=providers(settings).own[0])
    balancer = _load_balancer(settings, child)
    FailoverDns(
        f"{settings.name}-dns",
        FailoverDnsArgs(
            role=FailoverRole.PRIMARY if settings.role is StackRole.PRIMARY else FailoverRole.SECONDARY,
            region=settings.location.name,
            hosted_zone_id=settings.hosted_zone_id,
            public_names=PublicNames(settings.domain),
            load_balancer=LoadBalancerEndpoint(balancer.dns_name, balancer.zone_id),
            settings=settings.failover,
            switch_names=Names(settings.name, settings.account_id, settings.regions.standby.name),
            settled=health_check_settled(),
        ),
        child,
    )


def _load_balancer(settings: Settings, opts: pulumi.ResourceOptions) -> aws.lb.LoadBalancer:
    location = settings.location
    vpc = aws.ec2.Vpc("vpc", cidr_block=str(location.cidr), opts=opts)
    subnet = aws.ec2.Subnet(
        "subnet",
        vpc_id=vpc.id,
        cidr_block=str(next(location.cidr.subnets(new_prefix=24))),
        availability_zone=location.zones[0],
        opts=opts,
    )
    return aws.lb.LoadBalancer(
        "balancer", name="balancer", load_balancer_type="network", internal=True, subnets=[subnet.id], opts=opts
    )


def edge() -> None:
    """Build the security groups of the region, and the edge where the stack's settings ask for one."""
    settings = stack_settings()
    own = providers(settings).own
    opts = pulumi.ResourceOptions(provider=own[0])
    vpc = aws.ec2.Vpc("vpc", cidr_block=str(settings.location.cidr), opts=opts)
    SecurityGroups(
        f"{settings.name}-groups",
        SecurityGroupsArgs(
            vpc_id=vpc.id,
            names=Names(settings.name, settings.account_id, settings.location.name),
            admin_ranges=settings.admin_cidrs,
            edge_ranges=settings.edge.address_ranges if settings.edge else (),
            health_checkers_prefix_list_id=settings.location.health_checkers_prefix_list_id,
        ),
        opts,
    )
    if settings.edge is not None:
        Edge(
            f"{settings.name}-edge",
            EdgeArgs(settings.edge, PublicNames(settings.domain), settings.certificates.mode),
            pulumi.ResourceOptions(providers=own),
        )


def small_stack(stack: str, home: Path, program: Callable[[], None], project: Path = ROOT) -> OfflineStack:
    """Return a stack of a small program: its runs happen in this process, and are never killed."""
    return OfflineStack(stack, project=project, home=home, run=program, checkpoints=False)
