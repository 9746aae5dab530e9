"""One region of the platform, whatever its role."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi

from aws_rules.failover import FailoverRole
from components.control_plane import ControlPlane, ControlPlaneArgs
from components.copies import Copies, CopiesArgs
from components.edge import Edge, EdgeArgs
from components.encryption_key import EncryptionKey, EncryptionKeyArgs
from components.endpoints import Endpoints, EndpointsArgs
from components.failover_dns import FailoverDns, FailoverDnsArgs
from components.failover_switch import FailoverSwitch, FailoverSwitchArgs
from components.identity import Identity, IdentityArgs
from components.load_balancer_pair import LoadBalancerPair, LoadBalancerPairArgs
from components.machine import Launch
from components.ml_data import MlData, MlDataArgs
from components.monitoring import Monitoring, MonitoringArgs
from components.network import Network, NetworkArgs
from components.node_store import NodeStore, NodeStoreArgs
from components.postgres import Postgres, PostgresArgs
from components.providers import OtherRegions, platform_tags
from components.security_groups import SecurityGroups, SecurityGroupsArgs
from components.shared_assets import SharedAssets, SharedAssetsArgs
from components.worker_pool import WorkerPool, WorkerPoolArgs
from configs.database import database_identifier
from configs.node_policies import certificate_arn
from configs.nodes import WORKER, control_plane, load_balancers
from configs.settings.model import Settings, StackRole
from configs.tables.addresses import Tier
from configs.tables.capacity import CAPACITY
from configs.tables.certificates import Certificate
from configs.tables.flows import Role
from configs.tables.names import EncryptionKeyName, Names, PublicNames
from configs.tables.versions import Software
from configs.user_data import user_data


@dataclass(frozen=True)
class Gates:
    """What `up` waits for, or stops at, between two steps.

    ``health_check_settled``: see ``FailoverDnsArgs.settled``. ``role_switch`` refuses to make a database a replica
    again that was promoted. ``others_are_whole``, by node: before a machine is touched, the others of its group are
    healthy.
    """

    health_check_settled: pulumi.ResourceHook
    role_switch: pulumi.ResourceHook
    others_are_whole: Mapping[str, pulumi.ResourceHook]


@dataclass(frozen=True)
class PlatformArgs:
    """What a region is made from. ``other_regions`` and ``external_secrets`` are the primary stack's alone."""

    settings: Settings
    gates: Gates
    boot_agent: str
    """Text of the program that runs on every node."""
    other_regions: OtherRegions | None
    external_secrets: Mapping[str, pulumi.Input[str]]


class Platform(pulumi.ComponentResource):
    """Everything of one region, built in the region of the provider it is given."""

    def __init__(self, name: str, args: PlatformArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Create the region."""
        super().__init__("mlops:platform:Platform", name, None, opts)
        self._name, self._args, self._settings = name, args, args.settings
        self._child = pulumi.ResourceOptions(parent=self)
        self._names = self._names_in(self._settings.location.name)
        self._ground()
        self._data()
        self._machines()
        self._ways_in()
        self._watch()
        self.addresses, self.dns_name = self._balancer.addresses, self._balancer.endpoint.dns_name
        """Public addresses of the load balancer, one a zone, and the name that AWS gave it."""
        self.database_address = self._database.address
        self.certificate_expiry = self._shared.certificate_expiry if self._shared else {}
        """When each certificate that the platform issued ends, by certificate (RFC 3339)."""
        self.register_outputs({"addresses": self.addresses, "dnsName": self.dns_name})

    def _names_in(self, region: str) -> Names:
        return Names(self._settings.name, self._settings.account_id, region)

    def _ground(self) -> None:
        """Create the key, the network, and who may speak to whom."""
        name, settings, location = self._name, self._settings, self._settings.location
        self._key = EncryptionKey(
            f"{name}-key",
            EncryptionKeyArgs(self._names, EncryptionKeyName.REGION, multi_region=False, protect=settings.protection),
            self._child,
        )
        self._network = Network(
            f"{name}-network",
            NetworkArgs(location, settings.network, self._names, self._key.arn, protect=settings.protection),
            self._child,
        )
        self._groups = SecurityGroups(
            f"{name}-groups",
            SecurityGroupsArgs(
                vpc_id=self._network.vpc_id,
                names=self._names,
                admin_ranges=settings.admin_cidrs,
                edge_ranges=settings.edge.address_ranges if settings.edge else (),
                health_checkers_prefix_list_id=location.health_checkers_prefix_list_id,
            ),
            self._child,
        )
        Endpoints(
            f"{name}-endpoints",
            EndpointsArgs(
                region=location.name,
                vpc_id=self._network.vpc_id,
                subnet_ids=self._network.subnet_ids[Tier.PRIVATE],
                route_table_ids=self._network.route_table_ids,
                security_group_id=self._groups.ids[Role.ENDPOINTS],
                interface_endpoints=settings.network.interface_endpoints,
            ),
            self._child,
        )

    def _data(self) -> None:
        """Create what holds data, and in the primary stack what is copied of it."""
        name, settings, regions = self._name, self._settings, self._settings.regions
        elsewhere = self._args.other_regions
        self._shared = (
            SharedAssets(
                f"{name}-shared",
                SharedAssetsArgs(
                    settings,
                    self._names,
                    self._names_in(regions.standby.name),
                    elsewhere.standby,
                    self._args.external_secrets,
                ),
                self._child,
            )
            if elsewhere
            else None
        )
        self._database = Postgres(
            f"{name}-postgres",
            PostgresArgs(
                names=self._names,
                settings=settings.database,
                role=settings.role,
                generation=settings.database_generation,
                version=settings.version(Software.POSTGRESQL),
                retention_days=settings.retention.database_days,
                zones=settings.location.zones,
                subnet_ids=self._network.subnet_ids[Tier.DATA],
                security_group_id=self._groups.ids[Role.DATABASE],
                key_arn=self._key.arn,
                password=self._shared.database_password if self._shared else None,
                source_arn=self._source_arn(),
                protect=settings.protection,
                role_switch=self._args.gates.role_switch,
            ),
            self._child,
        )
        self._ml_data = MlData(
            f"{name}-ml-data",
            MlDataArgs(
                names=self._names,
                key_arn=self._shared.key_arn if self._shared else None,
                subnet_ids=self._network.subnet_ids[Tier.DATA],
                security_group_id=self._groups.ids[Role.FILE_SYSTEM],
                protect=settings.protection,
                replication_overwrite=self._replication_overwrite(),
            ),
            self._child,
        )
        if elsewhere and self._shared:
            Copies(
                f"{name}-copies",
                CopiesArgs(
                    settings,
                    self._names,
                    self._names_in(regions.archive.name),
                    elsewhere.archive,
                    elsewhere.standby,
                    self._shared,
                    self._database,
                    self._ml_data,
                ),
                self._child,
            )

    def _source_arn(self) -> str:
        """Return the ARN of the other region's database: known by its name, nothing is read of the other stack."""
        settings = self._settings
        other, generation = (
            (settings.regions.standby, settings.database.standby_generation)
            if settings.is_primary
            else (settings.regions.primary, settings.database.primary_generation)
        )
        names = self._names_in(other.name)
        return names.arn("rds", f"db:{database_identifier(names, generation)}")

    def _replication_overwrite(self) -> str | None:
        """Return whether the file system is protected from being replicated into: not while ML data comes home."""
        if self._settings.role is StackRole.RETURNING:
            return "DISABLED"
        # What was never overwritten is left at AWS's default. Afterwards EFS protects it itself: said, so that the
        # next time finds a change to make.
        return "ENABLED" if self._settings.database.primary_generation > 1 else None

    def _machines(self) -> None:
        """Create the nodes, and where they find what they are to be."""
        name, settings, capacity = self._name, self._settings, CAPACITY[self._settings.capacity.profile]
        private = self._network.subnet_ids[Tier.PRIVATE]
        identity = Identity(
            f"{name}-identity", IdentityArgs(self._names, settings, self._ml_data.file_system_arn), self._child
        )
        store = NodeStore(
            f"{name}-nodes",
            NodeStoreArgs(
                settings=settings,
                names=self._names,
                key_arn=self._key.arn,
                boot_agent=self._args.boot_agent,
                database_address=self._database.address,
                file_system_id=self._ml_data.file_system_id,
            ),
            self._child,
        )

        def launch(role: Role) -> Launch:
            return Launch(
                image_id=settings.location.image_id,
                instance_profile=identity.instance_profiles[role],
                key_arn=self._key.arn,
                user_data=user_data(self._names),
                bundles_bucket=store.bucket_id,
            )

        self._servers = ControlPlane(
            f"{name}-control-plane",
            ControlPlaneArgs(
                nodes=control_plane(settings),
                bundles=store.bundles,
                launch=launch(Role.CONTROL_PLANE),
                instance_type=settings.capacity.control_plane_type or capacity.control_plane,
                data_volume_gigabytes=capacity.data_volume_gigabytes,
                zones=settings.location.zones,
                subnet_ids=private,
                security_group_id=self._groups.ids[Role.CONTROL_PLANE],
                gates=self._args.gates.others_are_whole,
                protect=settings.protection,
            ),
            self._child,
        )
        self._balancer = LoadBalancerPair(
            f"{name}-balancer",
            LoadBalancerPairArgs(
                names=self._names,
                zones=settings.location.zones,
                public_subnet_ids=self._network.subnet_ids[Tier.PUBLIC],
                security_group_id=self._groups.ids[Role.NETWORK_LOAD_BALANCER],
                internet_gateway=self._network.internet_gateway,
                vpc_id=self._network.vpc_id,
                nodes=load_balancers(settings),
                bundles=store.bundles,
                launch=launch(Role.LOAD_BALANCER),
                instance_type=capacity.load_balancer,
                node_subnet_ids=private,
                node_security_group_id=self._groups.ids[Role.LOAD_BALANCER],
                gates=self._args.gates.others_are_whole,
                protect=settings.protection,
            ),
            self._child,
        )
        self._workers = WorkerPool(
            f"{name}-workers",
            WorkerPoolArgs(
                names=self._names,
                bounds=settings.worker_bounds,
                spot_share=settings.workers.spot_share,
                instance_types=settings.capacity.worker_types or capacity.workers,
                launch=launch(Role.WORKER),
                bundle=store.bundles[WORKER.name],
                root_volume_gigabytes=capacity.data_volume_gigabytes,
                subnet_ids=private,
                security_group_id=self._groups.ids[Role.WORKER],
                tags=platform_tags(settings),
                protect=settings.protection,
            ),
            self._child,
        )

    def _ways_in(self) -> None:
        """Create the names, and what stands before and beside them."""
        name, settings = self._name, self._settings
        primary = settings.is_primary
        public_names = PublicNames(settings.domain)
        if not primary:
            FailoverSwitch(
                f"{name}-switch", FailoverSwitchArgs(self._names, protect=settings.protection), self._child
            )
        FailoverDns(
            f"{name}-dns",
            FailoverDnsArgs(
                role=FailoverRole.PRIMARY if primary else FailoverRole.SECONDARY,
                region=settings.location.name,
                hosted_zone_id=settings.hosted_zone_id,
                public_names=public_names,
                load_balancer=self._balancer.endpoint,
                settings=settings.failover,
                switch_names=self._names_in(settings.regions.standby.name),
                settled=self._args.gates.health_check_settled,
            ),
            self._child,
        )
        if settings.edge is not None and primary:
            Edge(f"{name}-edge", EdgeArgs(settings.edge, public_names, settings.certificates.mode), self._child)

    def _watch(self) -> None:
        """Create the alarms."""
        settings = self._settings
        fewest, _ = settings.worker_bounds
        in_acm = settings.certificates.mode == "acm"
        Monitoring(
            f"{self._name}-monitoring",
            MonitoringArgs(
                names=self._names,
                alerts=settings.alerts,
                key_arn=self._key.arn,
                database_settings=settings.database,
                worker_minimum=fewest,
                instances=self._servers.instance_ids | self._balancer.instance_ids,
                databases=self._database.identifiers,
                replicas=self._database.replica_identifiers,
                load_balancer_suffix=self._balancer.load_balancer_suffix,
                target_groups=self._balancer.target_group_suffixes,
                worker_group=self._workers.group_name,
                file_system_id=self._ml_data.file_system_id,
                # On the way home the standby region's file system is the source, and its metrics are in that region.
                file_system_copy_id=self._shared.replicas.file_system_id
                if self._shared and settings.role is StackRole.PRIMARY
                else None,
                certificate_arn=certificate_arn(settings) if in_acm else None,
                # Of what lies in ACM, ACM itself says when it ends.
                certificates=[one for one in Certificate if not (in_acm and one is Certificate.PUBLIC)],
            ),
            self._child,
        )
