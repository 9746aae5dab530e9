"""The edge: Cloudflare in front of the failover name, with its web application firewall."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pulumi
import pulumi_cloudflare as cloudflare

from configs.settings.model import EdgeSettings
from configs.tables.names import PublicNames, Service

MANAGED_RULESETS = {
    "Cloudflare Managed Ruleset": "efb7b8c949ac4650a09736fc376e9aee",
    "Cloudflare OWASP Core Ruleset": "4814384a9e5d4991b9815dcfc25d2f1f",
}
"""The firewall rules that Cloudflare writes, by name: the same ids for every customer, paid plans only (Pro and up).

https://developers.cloudflare.com/waf/managed-rules/
"""

AUTOMATIC = 1
"""The only time to live of a proxied record: Cloudflare answers with its own addresses, and chooses (300 s).

https://developers.cloudflare.com/dns/manage-dns-records/reference/ttl/
"""


@dataclass(frozen=True)
class EdgeArgs:
    """What the edge is made from. ``public_names`` are the platform's, which the records at Cloudflare point at."""

    settings: EdgeSettings
    public_names: PublicNames
    certificates_mode: Literal["internal", "secret", "acm"]


class Edge(pulumi.ComponentResource):
    """A proxied record for each service, the firewall before them, and how Cloudflare speaks to both sides.

    Of one stack only, the primary: the records point at the failover names, so that a failover changes nothing here.
    Cloudflare shows the origin no client certificate: load balancers that require one are a later step. Until then
    the origin is guarded by its address ranges alone.
    """

    def __init__(self, name: str, args: EdgeArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Create the records, the firewall's entry point and the settings of the zone."""
        super().__init__("mlops:platform:Edge", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        zone_id, names = args.settings.zone_id, PublicNames(args.settings.domain)
        for service in Service:
            cloudflare.DnsRecord(
                f"{name}-{service}",
                zone_id=zone_id,
                name=names.service(service),
                type="CNAME",
                content=args.public_names.service(service),
                proxied=True,
                ttl=AUTOMATIC,
                opts=child,
            )
        cloudflare.Ruleset(
            f"{name}-firewall",
            zone_id=zone_id,
            name="managed rules",
            kind="zone",
            phase="http_request_firewall_managed",
            rules=[
                cloudflare.RulesetRuleArgs(
                    action="execute",
                    action_parameters=cloudflare.RulesetRuleActionParametersArgs(id=ruleset_id),
                    description=ruleset,
                    # Every request.
                    expression="true",
                    enabled=True,
                )
                for ruleset, ruleset_id in MANAGED_RULESETS.items()
            ],
            # A zone has one ruleset a phase: a second one is refused while the first is there.
            opts=pulumi.ResourceOptions(parent=self, delete_before_replace=True),
        )
        # Cloudflare does not know the platform's own authority: with its certificates the way to the origin is
        # encrypted, but who answers is not proven. "strict" takes a certificate for the record's name or its target's
        # (https://developers.cloudflare.com/ssl/origin-configuration/ssl-modes/full-strict/).
        origin = "full" if args.certificates_mode == "internal" else "strict"
        for setting, value in (("ssl", origin), ("min_tls_version", "1.2"), ("always_use_https", "on")):
            cloudflare.ZoneSetting(
                f"{name}-{setting.replace('_', '-')}", zone_id=zone_id, setting_id=setting, value=value, opts=child
            )
        self.register_outputs({})
