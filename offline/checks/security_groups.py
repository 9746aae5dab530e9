"""Checks of security groups, their rules and prefix lists.

https://docs.aws.amazon.com/vpc/latest/userguide/security-group-rules.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from configs.tables.flows import RULES_PER_GROUP
from engine.tokens import DEFAULT_SECURITY_GROUP, EGRESS_RULE, INGRESS_RULE, PREFIX_LIST, SECURITY_GROUP
from offline.checks.addresses import FAMILIES, family_problems
from offline.checks.common import Check, is_given, is_unknown, known_text, parent, siblings, values_at
from offline.cloud import Cloud, Inputs, Proposal

_DIRECTIONS = {INGRESS_RULE: "ingress", EGRESS_RULE: "egress"}
_DESCRIPTION = re.compile(r"[A-Za-z0-9 ._:/()#,@\[\]+=&;{}!$*-]{0,255}")
_PROTOCOLS = {"1": "icmp", "6": "tcp", "17": "udp", "58": "icmpv6", "all": "-1"}
_SOURCES = ("cidrIpv4", "cidrIpv6", "prefixListId", "referencedSecurityGroupId")


def description_text(proposal: Proposal, _: Cloud) -> Iterator[str]:
    """A description of a group or rule has at most 255 characters of a small alphabet.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateSecurityGroup.html
    """
    text = known_text(proposal, "description")
    if text is not None and not _DESCRIPTION.fullmatch(text):
        yield (
            f"description: {text!r} is not allowed: at most 255 letters, digits, spaces and ._-:/()#,@[]+=&;{{}}!$*"
        )


def inline_security_group_rules(proposal: Proposal, cloud: Cloud) -> Iterator[str]:
    """The rules of a group are either inside the group or resources of their own.

    https://github.com/hashicorp/terraform-provider-aws/blob/main/website/docs/r/security_group.html.markdown
    """
    if proposal.type in _DIRECTIONS:
        direction = _DIRECTIONS[proposal.type]
        group = parent(proposal, cloud, "securityGroupId", SECURITY_GROUP, DEFAULT_SECURITY_GROUP)
        if group and group.inputs.get(direction):
            yield f"securityGroupId: {group.id} has inline {direction} rules, which a separate one would fight with"
        return
    for kind, direction in _DIRECTIONS.items():
        for rule in cloud.all(kind, region=proposal.region) if is_given(proposal, direction) else ():
            if rule.attribute("securityGroupId") == proposal.id:
                yield f"{direction}: {rule.id} is a separate rule of this group, which inline ones would fight with"


def _protocol(inputs: Inputs) -> str:
    text = str(inputs.get("ipProtocol")).lower()
    return _PROTOCOLS.get(text, text)


def rule_ports(proposal: Proposal, _: Cloud) -> Iterator[str]:
    """TCP and UDP rules have a range of ports, rules for every protocol have none.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_IpPermission.html
    """
    names = ("fromPort", "toPort")
    if any(is_unknown(proposal, name) for name in names):
        return
    protocol = _protocol(proposal.inputs)
    first, last = (proposal.inputs.get(name) for name in names)
    if protocol == "-1":
        for name in names:
            if is_given(proposal, name):
                yield f"{name}: a rule for every protocol (-1) is for every port: leave it out"
    elif first is None or last is None:
        if protocol in ("tcp", "udp", "icmp", "icmpv6"):
            yield f"fromPort: a rule for {protocol} needs fromPort and toPort"
    elif protocol in ("tcp", "udp") and first > last:
        yield f"fromPort: {first:g} is above toPort, {last:g}"


def rule_addresses(proposal: Proposal, _: Cloud) -> Iterator[str]:
    """A rule's addresses are a block whose host bits are zero.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_IpRange.html
    """
    for name, family in (("cidrIpv4", "IPv4"), ("cidrIpv6", "IPv6")):
        text = known_text(proposal, name)
        if text is not None:
            yield from family_problems(name, text, family)


def _traffic(inputs: Inputs) -> tuple[object, ...]:
    """Return what tells rules apart: everything but the description."""
    return _protocol(inputs), *(inputs.get(name) for name in ("fromPort", "toPort", *_SOURCES))


def rule_duplicate(proposal: Proposal, cloud: Cloud) -> Iterator[str]:
    """A group has a rule once: AWS answers InvalidPermission.Duplicate, whatever the descriptions say.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
    """
    if any(is_unknown(proposal, source) for source in _SOURCES):
        return
    for rule in siblings(proposal, cloud, "securityGroupId"):
        if _traffic(rule.inputs) == _traffic(proposal.inputs):
            yield f"securityGroupId: {rule.attribute('securityGroupId')} has this rule already, {rule.id}"


def rule_count(proposal: Proposal, cloud: Cloud) -> Iterator[str]:
    """A group has at most 60 rules a direction; a prefix list counts as its maximum of entries.

    https://docs.aws.amazon.com/vpc/latest/userguide/managed-prefix-lists.html
    """
    if any(is_unknown(proposal, name) for name in _SOURCES):
        return
    lists = {item.id: item for item in cloud.all(PREFIX_LIST, region=proposal.region)}
    counts = dict.fromkeys(FAMILIES, 0)
    for inputs in (proposal.inputs, *(rule.inputs for rule in siblings(proposal, cloud, "securityGroupId"))):
        source = lists.get(str(inputs.get("prefixListId")))
        weight = int(source.attribute("maxEntries")) if source else 1
        only = source.attribute("addressFamily") if source else None
        if inputs.get("cidrIpv4") is not None:
            only = "IPv4"
        elif inputs.get("cidrIpv6") is not None:
            only = "IPv6"
        for family in counts:
            counts[family] += weight if only in (family, None) else 0
    group, direction = proposal.inputs.get("securityGroupId"), _DIRECTIONS[proposal.type]
    for family, count in counts.items():
        if count > RULES_PER_GROUP:
            yield (
                f"securityGroupId: {group} would have {count} {direction} rules for {family},"
                f" prefix lists counted by their maximum of entries; AWS allows {RULES_PER_GROUP}"
            )


def prefix_list_entries(proposal: Proposal, _: Cloud) -> Iterator[str]:
    """The entries are blocks of the list's family, each once, and no more than the list's maximum.

    https://docs.aws.amazon.com/vpc/latest/userguide/managed-prefix-lists.html
    """
    entries = [(where, str(value)) for where, value in values_at(proposal.inputs, "entries[].cidr")]
    maximum = proposal.inputs.get("maxEntries")
    if isinstance(maximum, int | float) and len(entries) > maximum:
        yield f"entries: {len(entries)} entries are more than maxEntries, {maximum:g}"
    family = str(proposal.inputs.get("addressFamily"))
    seen = set[str]()
    for where, text in entries:
        if family in FAMILIES:
            yield from family_problems(where, text, family)
        if text in seen:
            yield f"{where}: {text} is given twice"
        seen.add(text)


CHECKS: tuple[Check, ...] = (
    description_text,
    inline_security_group_rules,
    rule_ports,
    rule_addresses,
    rule_duplicate,
    rule_count,
    prefix_list_entries,
)
