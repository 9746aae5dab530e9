"""The names: those that follow the failover, and those of one region."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from aws_rules.failover import FailoverRole
from components.load_balancer_pair import LoadBalancerEndpoint
from configs.settings.model import FailoverMode, FailoverSettings
from configs.tables.flows import HEALTH, HTTPS
from configs.tables.names import (
    HEALTH_PATH,
    SWITCH_BUCKET,
    SWITCH_FAILURE_THRESHOLD,
    SWITCH_KEY,
    Names,
    PublicNames,
    Service,
)


@dataclass(frozen=True)
class FailoverDnsArgs:
    """What the names are made from.

    ``switch_names`` are the names in the standby region, where the failover switch lies. ``settled`` is run
    before the deciding check takes others in: it returns once Route 53's checkers have looked at those.
    """

    role: FailoverRole
    region: str
    hosted_zone_id: str
    public_names: PublicNames
    load_balancer: LoadBalancerEndpoint
    settings: FailoverSettings
    switch_names: Names
    settled: pulumi.ResourceHook


class FailoverDns(pulumi.ComponentResource):
    """Alias records, and in the primary region the health checks behind them.

    Target health is never evaluated: losing a load-balancer node is the load balancer's business, not the
    region's. The secondary answer has no health check: it is the last resort.
    """

    def __init__(self, name: str, args: FailoverDnsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Create the records."""
        super().__init__("mlops:platform:FailoverDns", name, None, opts)
        self._name, self._args = name, args
        self._child = pulumi.ResourceOptions(parent=self)
        balancer = args.load_balancer
        regional = [
            self._alias(record, balancer.dns_name, balancer.zone_id)
            for record in args.public_names.all_regional(args.region)
        ]
        origin = aws.route53.Record(
            f"{name}-{args.public_names.origin}-{args.role.lower()}",
            zone_id=args.hosted_zone_id,
            name=args.public_names.origin,
            type="A",
            set_identifier=args.role.lower(),
            failover_routing_policies=[aws.route53.RecordFailoverRoutingPolicyArgs(type=args.role)],
            health_check_id=self._region_check(regional).id if args.role is FailoverRole.PRIMARY else None,
            aliases=[
                aws.route53.RecordAliasArgs(
                    name=balancer.dns_name, zone_id=balancer.zone_id, evaluate_target_health=False
                )
            ],
            opts=self._child,
        )
        if args.role is FailoverRole.PRIMARY:
            for service in Service:
                self._alias(args.public_names.service(service), origin.name, args.hosted_zone_id)
        self.register_outputs({"origin": args.public_names.origin})

    def _alias(self, record: str, target: pulumi.Input[str], zone_id: pulumi.Input[str]) -> aws.route53.Record:
        return aws.route53.Record(
            f"{self._name}-{record}",
            zone_id=self._args.hosted_zone_id,
            name=record,
            type="A",
            aliases=[aws.route53.RecordAliasArgs(name=target, zone_id=zone_id, evaluate_target_health=False)],
            opts=self._child,
        )

    def _region_check(self, names: list[aws.route53.Record]) -> aws.route53.HealthCheck:
        """Return the check that decides: two of two, the region is up *and* the switch is not written."""
        endpoint = aws.route53.HealthCheck(
            f"{self._name}-endpoint",
            type="HTTPS",
            fqdn=self._args.public_names.regional_origin(self._args.region),
            port=HEALTH.port,
            resource_path=HEALTH_PATH,
            enable_sni=True,
            request_interval=self._args.settings.check_interval_seconds,
            failure_threshold=self._args.settings.failure_threshold,
            tags={"Name": f"{self._name}-endpoint"},
            # A name that is asked for before it exists is remembered as missing, by every checker's resolver.
            opts=pulumi.ResourceOptions(parent=self, depends_on=names),
        )
        switch = aws.route53.HealthCheck(
            f"{self._name}-switch",
            type="HTTPS",
            fqdn=self._args.switch_names.bucket_host(SWITCH_BUCKET),
            port=HTTPS.port,
            resource_path=f"/{SWITCH_KEY}",
            enable_sni=True,
            # The object's absence is what is healthy.
            invert_healthcheck=True,
            request_interval=self._args.settings.check_interval_seconds,
            failure_threshold=SWITCH_FAILURE_THRESHOLD,
            tags={"Name": f"{self._name}-switch"},
            opts=self._child,
        )
        deciding = [switch] if self._args.settings.mode is FailoverMode.OPERATOR else [endpoint, switch]
        return aws.route53.HealthCheck(
            f"{self._name}-region",
            type="CALCULATED",
            child_healthchecks=[check.id for check in deciding],
            child_health_threshold=len(deciding),
            tags={"Name": f"{self._name}-region"},
            # A new inverted check starts unhealthy. Attached at once it would send everyone to the standby. The
            # hook runs before this check, not after that one: then a run that failed is stopped again the next time.
            opts=pulumi.ResourceOptions(
                parent=self,
                hooks=pulumi.ResourceHookBinding(
                    before_create=[self._args.settled], before_update=[self._args.settled]
                ),
            ),
        )
