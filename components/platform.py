"""One region of the platform, whatever its role."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi

from aws_rules.failover import FailoverRole
from components.endpoints import Endpoints, EndpointsArgs
from components.failover_dns import FailoverDns, FailoverDnsArgs
from components.failover_switch import FailoverSwitch, FailoverSwitchArgs
from components.load_balancer_pair import LoadBalancerPair, LoadBalancerPairArgs
from components.network import Network, NetworkArgs
from components.security_groups import SecurityGroups, SecurityGroupsArgs
from configs.settings.model import Settings, StackRole
from configs.tables.addresses import Tier
from configs.tables.flows import Role
from configs.tables.names import Names, PublicNames


@dataclass(frozen=True)
class PlatformArgs:
    """What a region is made from. ``health_check_settled``: see ``FailoverDnsArgs.settled``."""

    settings: Settings
    health_check_settled: pulumi.ResourceHook


class Platform(pulumi.ComponentResource):
    """Everything of one region, built in the region of the provider it is given."""

    addresses: list[pulumi.Output[str]]
    """Public addresses of the load balancer, one a zone."""
    dns_name: pulumi.Output[str]
    """Name that AWS gave the load balancer."""

    def __init__(self, name: str, args: PlatformArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Create the region."""
        super().__init__("mlops:platform:Platform", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        settings, location = args.settings, args.settings.location
        names = Names(settings.name, settings.account_id, location.name)
        primary = settings.role is StackRole.PRIMARY

        network = Network(
            f"{name}-network", NetworkArgs(location, settings.network, names, protect=settings.protection), child
        )
        groups = SecurityGroups(
            f"{name}-groups",
            SecurityGroupsArgs(
                vpc_id=network.vpc_id,
                names=names,
                admin_ranges=settings.admin_cidrs,
                edge_ranges=settings.edge.address_ranges if settings.edge else (),
                health_checkers_prefix_list_id=location.health_checkers_prefix_list_id,
            ),
            child,
        )
        Endpoints(
            f"{name}-endpoints",
            EndpointsArgs(
                region=location.name,
                vpc_id=network.vpc_id,
                subnet_ids=network.subnet_ids[Tier.PRIVATE],
                route_table_ids=network.route_table_ids,
                security_group_id=groups.ids[Role.ENDPOINTS],
                interface_endpoints=settings.network.interface_endpoints,
            ),
            child,
        )
        balancer = LoadBalancerPair(
            f"{name}-balancer",
            LoadBalancerPairArgs(
                names=names,
                zones=location.zones,
                public_subnet_ids=network.subnet_ids[Tier.PUBLIC],
                security_group_id=groups.ids[Role.NETWORK_LOAD_BALANCER],
                internet_gateway=network.internet_gateway,
                protect=settings.protection,
            ),
            child,
        )
        if not primary:
            FailoverSwitch(f"{name}-switch", FailoverSwitchArgs(names, protect=settings.protection), child)
        FailoverDns(
            f"{name}-dns",
            FailoverDnsArgs(
                role=FailoverRole.PRIMARY if primary else FailoverRole.SECONDARY,
                region=location.name,
                hosted_zone_id=settings.hosted_zone_id,
                public_names=PublicNames(settings.domain),
                load_balancer=balancer.endpoint,
                settings=settings.failover,
                switch_names=Names(settings.name, settings.account_id, settings.regions.standby.name),
                settled=args.health_check_settled,
            ),
            child,
        )
        self.addresses, self.dns_name = balancer.addresses, balancer.endpoint.dns_name
        self.register_outputs({"addresses": self.addresses, "dnsName": self.dns_name})
