"""What the machines are to AWS: for each role of machine one IAM role with one policy, and an instance profile."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from configs.node_policies import certificate_arn, node_policy
from configs.policies import trust
from configs.settings.model import Settings
from configs.tables.flows import NODES, Role
from configs.tables.names import Names


@dataclass(frozen=True)
class IdentityArgs:
    """What the identities are made from. ``file_system_arn`` is the file system that workers mount."""

    names: Names
    settings: Settings
    file_system_arn: pulumi.Input[str]


class Identity(pulumi.ComponentResource):
    """Roles with a policy of their own: no managed policy, whose content AWS changes, is attached."""

    instance_profiles: dict[Role, pulumi.Output[str]]
    """Names, by role of machine."""

    def __init__(self, name: str, args: IdentityArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Create the roles."""
        super().__init__("mlops:platform:Identity", name, None, opts)
        self._name, self._args = name, args
        self._child = pulumi.ResourceOptions(parent=self)
        self.instance_profiles = {role: self._instance_profile(role) for role in NODES}
        self.register_outputs({role.value: profile for role, profile in self.instance_profiles.items()})

    def _instance_profile(self, role: Role) -> pulumi.Output[str]:
        label, own_name = f"{self._name}-{role}", self._args.names.account_wide(role)
        identity = aws.iam.Role(
            label,
            name=own_name,
            assume_role_policy=trust("ec2.amazonaws.com"),
            tags={"Name": label},
            opts=self._child,
        )
        policy = aws.iam.RolePolicy(
            label, name="node", role=identity.name, policy=self._policy(role), opts=self._child
        )
        return aws.iam.InstanceProfile(
            label,
            name=own_name,
            role=identity.name,
            tags={"Name": label},
            # Otherwise a machine may start before its policy is there, and begin with refusals.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[policy]),
        ).name

    def _policy(self, role: Role) -> pulumi.Input[str]:
        names = self._args.names
        match role:
            case Role.WORKER:
                file_system = pulumi.Output.from_input(self._args.file_system_arn)
                return file_system.apply(lambda arn: node_policy(role, names, file_system_arn=arn))
            case _:
                return node_policy(role, names, certificate_arn(self._args.settings))
