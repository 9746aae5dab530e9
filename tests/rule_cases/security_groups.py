"""Cases of the checks of security groups, their rules and prefix lists."""

from __future__ import annotations

from collections.abc import Iterator

from engine import tokens
from offline.checks.security_groups import RULES_PER_GROUP
from tests.rule_cases.bases import RULE, inputs
from tests.rule_cases.common import Case, case, many_rules
from tests.rule_cases.companions import INLINE_RULE
from tests.rule_cases.world import WORLD, existing


def cases() -> Iterator[Case]:
    """Yield the cases of this file."""
    yield case("apostrophe", tokens.SECURITY_GROUP, "description_text", {"description": "the platform's"})
    yield case("too long", tokens.SECURITY_GROUP, "description_text", {"description": "x" * 256})
    for group in (tokens.SECURITY_GROUP, tokens.DEFAULT_SECURITY_GROUP):
        for kind, direction in ((tokens.INGRESS_RULE, "ingress"), (tokens.EGRESS_RULE, "egress")):
            separate = existing(kind, "sgr-1", **{**RULE, "securityGroupId": "sg-2"})
            yield Case(
                f"{direction} beside separate",
                group,
                "checks.inline_security_group_rules",
                inputs(group),
                inputs(group, {direction: [INLINE_RULE]}),
                [*WORLD, separate],
                id="sg-2",
            )
    for kind in (tokens.INGRESS_RULE, tokens.EGRESS_RULE):
        yield case("apostrophe", kind, "description_text", {"description": "the platform's"})
        yield case("beside inline", kind, "inline_security_group_rules", {"securityGroupId": "sg-inline"})
        yield case("reversed", kind, "rule_ports", {"fromPort": 444})
        yield case("no last", kind, "rule_ports", {"toPort": None})
        yield case("no first", kind, "rule_ports", {"fromPort": None})
        everything = {"ipProtocol": "-1", "fromPort": None, "toPort": None}
        yield case("ports of all", kind, "rule_ports", {"fromPort": 0, "toPort": 0}, everything)
        yield case("unaligned", kind, "rule_addresses", {"cidrIpv4": "192.0.2.1/24"})
        yield case(
            "not IPv6", kind, "rule_addresses", {"cidrIpv6": "192.0.2.0/24"}, {"cidrIpv4": None, "cidrIpv6": "::/0"}
        )
        same = existing(kind, "sgr-1", **{**RULE, "ipProtocol": "6", "description": "another"})
        yield case("again", kind, "rule_duplicate", {"fromPort": 443}, {"fromPort": 442}, [same])
        full = many_rules(kind, RULES_PER_GROUP)
        yield case(
            "one more", kind, "rule_count", {"cidrIpv4": "192.0.2.0/24"}, {"cidrIpv4": None, "cidrIpv6": "::/0"}, full
        )
        # 36 rules and a list of 25 are 61.
        listed = {"cidrIpv4": None, "prefixListId": "pl-1"}
        yield case("list counts", kind, "rule_count", listed, also=many_rules(kind, 36))
        yield case("far peer", kind, "same_vpc", {"referencedSecurityGroupId": "sg-far", "cidrIpv4": None})
    yield case(
        "too many",
        tokens.PREFIX_LIST,
        "prefix_list_entries",
        {"maxEntries": 1},
        {"entries": [{"cidr": "192.0.2.0/24"}, {"cidr": "198.51.100.0/24"}]},
    )
    yield case("family", tokens.PREFIX_LIST, "prefix_list_entries", {"addressFamily": "IPv6"})
    yield case("twice", tokens.PREFIX_LIST, "prefix_list_entries", {"entries": [{"cidr": "192.0.2.0/24"}] * 2})
