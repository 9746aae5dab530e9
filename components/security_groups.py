"""One security group a role, one rule a flow: all of it read off the table of flows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import TypedDict

import pulumi
import pulumi_aws as aws

from configs.tables.flows import PREFIX_LIST_ENTRIES, Direction, Outside, Party, Role, Rule, rules
from configs.tables.names import Names

EVERYWHERE = "0.0.0.0/0"


@dataclass(frozen=True)
class SecurityGroupsArgs:
    """What security groups are made from."""

    vpc_id: pulumi.Input[str]
    names: Names
    admin_ranges: Sequence[IPv4Network]
    edge_ranges: Sequence[IPv4Network]
    """Address ranges of the edge; empty when the public comes by itself."""
    health_checkers_prefix_list_id: str


class _Peer(TypedDict, total=False):
    """The one property of a rule that says whom it is about."""

    cidr_ipv4: str
    prefix_list_id: pulumi.Input[str]
    referenced_security_group_id: pulumi.Input[str]


class SecurityGroups(pulumi.ComponentResource):
    """A group for every role. Groups name groups, never addresses, except for those outside the platform."""

    ids: dict[Role, pulumi.Output[str]]

    def __init__(self, name: str, args: SecurityGroupsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Create the groups and their rules."""
        super().__init__("mlops:platform:SecurityGroups", name, None, opts)
        self._name, self._args = name, args
        self._child = pulumi.ResourceOptions(parent=self)
        self.ids = {role: self._group(role).id for role in Role}
        self._outside: dict[Outside, _Peer] = {
            Outside.INTERNET: {"cidr_ipv4": EVERYWHERE},
            Outside.PUBLIC: {"cidr_ipv4": EVERYWHERE},
            Outside.HEALTH_CHECKERS: {"prefix_list_id": args.health_checkers_prefix_list_id},
            Outside.ADMINS: {"prefix_list_id": self._prefix_list(Outside.ADMINS, args.admin_ranges)},
        }
        if args.edge_ranges:
            self._outside[Outside.PUBLIC] = {"prefix_list_id": self._prefix_list(Outside.PUBLIC, args.edge_ranges)}
        for rule in rules(edge=bool(args.edge_ranges)):
            self._rule(rule)
        self.register_outputs({role.value: identity for role, identity in self.ids.items()})

    def _group(self, role: Role) -> aws.ec2.SecurityGroup:
        label = f"{self._name}-{role}"
        return aws.ec2.SecurityGroup(
            label,
            name=self._args.names.regional(role),
            # A changed description replaces the group: it says nothing that could change.
            description=role,
            vpc_id=self._args.vpc_id,
            tags={"Name": label},
            opts=self._child,
        )

    def _prefix_list(self, party: Outside, ranges: Sequence[IPv4Network]) -> pulumi.Output[str]:
        label = f"{self._name}-{party}"
        return aws.ec2.ManagedPrefixList(
            label,
            name=self._args.names.regional(party),
            address_family="IPv4",
            # Always the most there may be: AWS cannot change the size and the entries in one call.
            max_entries=PREFIX_LIST_ENTRIES[party],
            entries=[
                aws.ec2.ManagedPrefixListEntryArgs(cidr=cidr, description=party)
                for cidr in sorted({str(cidr) for cidr in ranges})
            ],
            tags={"Name": label},
            opts=self._child,
        ).id

    def _peer(self, party: Party) -> _Peer:
        if isinstance(party, Role):
            return {"referenced_security_group_id": self.ids[party]}
        return self._outside[party]

    def _rule(self, rule: Rule) -> None:
        kind = (
            aws.vpc.SecurityGroupIngressRule
            if rule.direction is Direction.INGRESS
            else aws.vpc.SecurityGroupEgressRule
        )
        label = f"{self._name}-{rule.group}-{rule.name}"
        kind(
            label,
            security_group_id=self.ids[rule.group],
            ip_protocol=rule.protocol,
            from_port=rule.flow.port,
            to_port=rule.flow.port,
            description=rule.flow.name,
            tags={"Name": label},
            opts=self._child,
            **self._peer(rule.peer),
        )
