"""The settings block ``mlops-ha:platform`` of a stack file.

Only what has no sane default must be given. Each default carries its reason. Rules that span several fields
stand in ``configs.settings.rules``.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from configs.settings.fields import (
    AccountId,
    AvailabilityZone,
    BackupWindow,
    Block,
    BucketPrefix,
    CallerCidr,
    CertificateArn,
    CloudflareZoneId,
    DatabaseClass,
    Domain,
    EmailAddress,
    HostedZoneId,
    HttpsUrl,
    ImageId,
    InstanceTypeName,
    MaintenanceWindow,
    PrefixListId,
    RegionCidr,
    RegionName,
    SecretArn,
    SlackChannel,
    UserName,
    VersionNumber,
    WholeNumber,
)
from configs.tables.addresses import ZONES
from configs.tables.capacity import Profile
from configs.tables.flows import PREFIX_LIST_ENTRIES, Outside
from configs.tables.versions import VERSIONS, Software


class StackRole(StrEnum):
    """What a stack is for."""

    PRIMARY = "primary"
    STANDBY = "standby"
    ACTIVE = "active"
    """A standby that has taken over. One way: going home is the failback procedure."""
    RETURNING = "returning"
    """The primary region while the standby region serves: its database is a new replica of the standby region's."""
    LEAVING = "leaving"
    """A standby region that no longer serves; its database stays as it is until the primary's has caught up."""


class Location(Block):
    """A region that runs the platform. Everything AWS would have to be asked for is pinned."""

    name: RegionName
    """Name of the region."""
    zones: Annotated[tuple[AvailabilityZone, ...], Field(min_length=ZONES, max_length=ZONES)]
    """Three availability zones of the region: a quorum of three survives the loss of one."""
    cidr: RegionCidr
    """Address range of the region's VPC, between /16 and /20; regions must not overlap."""
    image_id: ImageId
    """Amazon Linux 2023 image (x86-64) that machines start from; pinned, so that no release replaces one."""
    health_checkers_prefix_list_id: PrefixListId
    """Id in this region of the prefix list com.amazonaws.<region>.route53-healthchecks."""


class ArchiveLocation(Block):
    """The region that only keeps copies."""

    name: RegionName = "eu-west-1"
    """Name of the region; another continent than the two that serve."""


class Regions(Block):
    """Where the platform runs, where it stands by, and where copies are kept."""

    primary: Annotated[
        Location,
        Field(
            json_schema_extra={
                "x-allowed": "the region that serves: every stack needs it, a standby to know whom it stands by for"
            }
        ),
    ]
    """The region that serves."""
    standby: Location
    """The region that takes over."""
    archive: ArchiveLocation = ArchiveLocation()
    """The region that keeps backups out of reach of either."""


class NetworkSettings(Block):
    """How the network is built."""

    nat_gateway_per_zone: bool = True
    """One NAT gateway a zone: with a single one, its zone's loss takes every zone's way out. Off saves two."""
    interface_endpoints: bool = True
    """AWS APIs reached without the NAT gateways: a node starts although they are down. Off saves seven."""
    flow_log_days: Annotated[Literal[1, 3, 5, 7, 14, 30, 60, 90, 180, 365], WholeNumber] = 30
    """Days that flow logs are kept: a month, to look back over one billing period."""


class CapacitySettings(Block):
    """How large the machines are."""

    profile: Profile = Profile.MINIMUM
    """minimum (8 cores, 32 GB a node) or recommended (16/64 servers, 32/128 workers)."""
    control_plane_type: InstanceTypeName | None = None
    """EC2 type of the servers instead of the profile's; never one with an instance store."""
    worker_types: Annotated[tuple[InstanceTypeName, ...], Field(min_length=1)] | None = None
    """EC2 types of the workers instead of the profile's, in order of preference."""


class ControlPlaneSettings(Block):
    """The quorum of Consul and Nomad servers."""

    server_count: Annotated[Literal[3, 5], WholeNumber] = 3
    """3 survives the loss of one server, 5 of two; an even count adds a server but no tolerance."""


class WorkerSettings(Block):
    """The autoscaled ML workers."""

    minimum: Annotated[int, Field(ge=1, le=100)] = 3
    """Fewest workers: one in each zone."""
    maximum: Annotated[int, Field(ge=1, le=100)] = 20
    """Most workers: caps what a runaway queue can cost."""
    standby_minimum: Annotated[int, Field(ge=0, le=100)] = 1
    """Workers while the region stands by: one proves that a worker still boots."""
    spot_share: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Share of spot above the minimum; the minimum itself is on demand, so that a spot shortage stops nothing."""
    target_percent: Annotated[int, Field(ge=10, le=95)] = 70
    """Allocated CPU that the autoscaler aims at: room for one lost worker in three."""
    cooldown_seconds: Annotated[int, Field(ge=30, le=3600)] = 120
    """Pause between two scalings: a worker needs about that long to join."""


class DatabaseSettings(Block):
    """PostgreSQL for Grafana."""

    instance_class: DatabaseClass = "db.m6i.large"
    """RDS class: two cores serve the 300 connections that three Grafanas open at most."""
    storage_gigabytes: Annotated[int, Field(ge=20, le=65536)] = 100
    """Storage at the start: RDS gives gp3 its base performance from 20 GB, replicas start with as much."""
    maximum_storage_gigabytes: Annotated[int, Field(ge=20, le=65536)] = 500
    """Storage that RDS may grow to by itself."""
    # A database lives through many a failover, and nobody wants its name to outgrow RDS's 63 characters.
    primary_generation: Annotated[int, Field(ge=1, le=999)] = 1
    """How many databases the primary region has had: the way home puts a new one in place of a stale one."""
    standby_generation: Annotated[int, Field(ge=1, le=999)] = 1
    """How many databases the standby region has had; the way home counts both up, by hand they stay."""
    replica_count: Annotated[int, Field(ge=1, le=5)] = 2
    """Readable replicas within the region, one in each zone that the primary is not in."""
    backup_window: BackupWindow = "03:00-04:00"
    """When backups are taken, in UTC: night on both coasts."""
    maintenance_window: MaintenanceWindow = "sun:05:00-sun:06:00"
    """When AWS may patch, in UTC: after the backup, when the week is quietest."""


class FailoverMode(StrEnum):
    """Who decides that a region is lost."""

    AUTOMATIC = "automatic"
    """Health checks decide; the switch forces and holds."""
    OPERATOR = "operator"
    """The switch alone decides."""


class FailoverSettings(Block):
    """When traffic leaves the primary region."""

    mode: FailoverMode = FailoverMode.AUTOMATIC
    """automatic (health checks and switch) or operator (the switch alone)."""
    check_interval_seconds: Annotated[Literal[10, 30], WholeNumber] = 10
    """Route 53 knows only these two; the fast one halves the outage for a dollar a month."""
    failure_threshold: Annotated[int, Field(ge=1, le=10)] = 3
    """Failed checks in a row until a region is down: rides out one lost packet and one restart."""


class InternalCertificates(Block):
    """Certificates of the platform's own authority: browsers must be told to trust it."""

    mode: Literal["internal"] = "internal"
    """Issued by the platform's own authority."""


class SecretCertificates(Block):
    """A certificate and its key that you keep in Secrets Manager as PEM, one secret a region."""

    mode: Literal["secret"]
    """Read from Secrets Manager."""
    primary_secret_arn: SecretArn
    """Secret in the primary region."""
    standby_secret_arn: SecretArn
    """Secret in the standby region."""


class AcmCertificates(Block):
    """An exportable certificate of AWS Certificate Manager, one a region."""

    mode: Literal["acm"]
    """Exported from AWS Certificate Manager."""
    primary_certificate_arn: CertificateArn
    """Certificate in the primary region."""
    standby_certificate_arn: CertificateArn
    """Certificate in the standby region."""


Certificates = Annotated[InternalCertificates | SecretCertificates | AcmCertificates, Field(discriminator="mode")]


class EdgeSettings(Block):
    """Cloudflare in front: proxied records in a zone of its own, web application firewall, fixed ingress."""

    zone_id: CloudflareZoneId
    """Zone at Cloudflare that holds the public records."""
    domain: Domain
    """Domain of that zone; another one than the platform's, whose names it points at."""
    address_ranges: Annotated[
        tuple[CallerCidr, ...], Field(min_length=1, max_length=PREFIX_LIST_ENTRIES[Outside.PUBLIC])
    ]
    """Cloudflare's IPv4 ranges (https://www.cloudflare.com/ips/), pinned."""


class EmailSettings(Block):
    """Alerts by mail, over submission with STARTTLS (port 587)."""

    smarthost: Domain
    """Mail server that takes the alerts."""
    user: UserName
    """User to sign in with; the password is the secret mlops-ha:smtpPassword."""
    sender: EmailAddress
    """From."""
    default_recipient: EmailAddress
    """Who gets what is not critical."""
    critical_recipient: EmailAddress
    """Who is woken."""


class SlackSettings(Block):
    """Alerts by Slack; the webhook's address is the secret mlops-ha:slackWebhookUrl."""

    critical_channel: SlackChannel = "#mlops-alerts"
    """Where critical alerts go."""
    training_channel: SlackChannel = "#ml-training"
    """Where alerts of training jobs go."""


class AlertSettings(Block):
    """Whom alerts reach, and how."""

    email: EmailSettings
    """By mail."""
    slack: SlackSettings = SlackSettings()
    """By Slack."""


class MonitoringSettings(Block):
    """Metrics."""

    remote_write_url: HttpsUrl | None = None
    """Long-term storage that Prometheus writes to; none by default: it is a service you bring."""
    retention_days: Annotated[int, Field(ge=1, le=365)] = 15
    """Days that Prometheus keeps."""
    retention_gigabytes: Annotated[int, Field(ge=1, le=1000)] = 50
    """Size that Prometheus keeps to; a tenth of the smallest data volume."""


class LockMode(StrEnum):
    """How hard the archive is locked."""

    GOVERNANCE = "governance"
    """Those with a special permission may still delete."""
    COMPLIANCE = "compliance"
    """Nobody may, not even the account's root, until the time is up. It cannot be undone."""


class RetentionLock(Block):
    """The lock on the backup vault and the archive bucket."""

    mode: LockMode = LockMode.GOVERNANCE
    """governance, or compliance, which cannot be undone."""
    minimum_days: Annotated[int, Field(ge=1, le=36500)] = 7
    """Shortest retention that the lock lets in: a week to notice a bad backup."""
    maximum_days: Annotated[int, Field(ge=1, le=36500)] = 400
    """Longest retention that the lock lets in: a year and the month that closing its books takes."""


class RetentionSettings(Block):
    """How long copies are kept."""

    # 35 days is RDS's own limit.
    database_days: Annotated[int, Field(ge=1, le=35)] = 14
    """Days of automated database backups: two weeks cover a holiday."""
    archive_days: Annotated[int, Field(ge=1, le=36500)] = 365
    """Days that the archive keeps: a year, for compliance."""
    lock: RetentionLock = RetentionLock()
    """The lock on the archive."""


class Settings(Block):
    """Everything that may be set for one stack."""

    role: StackRole
    """primary or standby; active, returning and leaving on the way through a failover and home again."""
    account_id: AccountId
    """Account that everything lives in; part of bucket names and ARNs."""
    name: BucketPrefix = "mlops"
    """Name of the platform: begins the name of everything, so that two can share an account."""
    domain: Domain
    """Domain of the public names; its hosted zone must exist."""
    hosted_zone_id: HostedZoneId
    """Route 53 hosted zone of the domain."""
    admin_cidrs: Annotated[
        tuple[CallerCidr, ...], Field(min_length=1, max_length=PREFIX_LIST_ENTRIES[Outside.ADMINS])
    ]
    """Ranges that may reach SSH, through your VPN: no machine has a public address. Also HTTPS past an edge."""
    regions: Regions
    """Where the platform runs."""
    network: NetworkSettings = NetworkSettings()
    """How the network is built."""
    capacity: CapacitySettings = CapacitySettings()
    """How large the machines are."""
    control_plane: ControlPlaneSettings = ControlPlaneSettings()
    """The quorum."""
    workers: WorkerSettings = WorkerSettings()
    """The ML workers."""
    database: DatabaseSettings = DatabaseSettings()
    """The database."""
    failover: FailoverSettings = FailoverSettings()
    """When traffic leaves the primary region."""
    certificates: Certificates = InternalCertificates()
    """Where the certificates of the public names come from."""
    edge: EdgeSettings | None = None
    """Cloudflare in front; off by default, on by this block."""
    alerts: AlertSettings
    """Who is told."""
    monitoring: MonitoringSettings = MonitoringSettings()
    """Metrics."""
    retention: RetentionSettings = RetentionSettings()
    """How long copies are kept."""
    protection: bool = True
    """Whether what holds data refuses to be deleted. Off only to take a platform down for good."""
    versions: dict[Software, VersionNumber] = Field(default={}, validate_default=False)
    """Versions to run instead of the tested ones."""

    @property
    def is_primary(self) -> bool:
        """Whether this stack builds the primary region, whether or not it serves."""
        return self.role in (StackRole.PRIMARY, StackRole.RETURNING)

    @property
    def location(self) -> Location:
        """The region that this stack builds."""
        return self.regions.primary if self.is_primary else self.regions.standby

    @property
    def serves(self) -> bool:
        """Whether users are served from this region: another one answers them with a page that says so."""
        return self.role in (StackRole.PRIMARY, StackRole.ACTIVE)

    @property
    def database_generation(self) -> int:
        """How many databases the region that this stack builds has had."""
        return self.database.primary_generation if self.is_primary else self.database.standby_generation

    @property
    def worker_bounds(self) -> tuple[int, int]:
        """Fewest and most workers. Without users a fixed few: nobody submits jobs there, so nothing scales."""
        standby = self.workers.standby_minimum
        return (self.workers.minimum, self.workers.maximum) if self.serves else (standby, standby)

    def version(self, software: Software) -> str:
        """Return the version that runs: the one set, otherwise the tested one."""
        return self.versions.get(software, VERSIONS[software].version)
