"""Identity: one role, one policy and one instance profile for each role of machine, and no policy of AWS."""

import pulumi
import pytest

from components.identity import Identity, IdentityArgs
from configs.node_policies import node_policy
from configs.policies import trust
from configs.tables.flows import NODES, Role
from configs.tables.names import Names
from tests.unit.mocks import REGIONS, Run, run_in_region, stack_settings

FILE_SYSTEM = "arn:aws:elasticfilesystem:us-west-2:123456789012:file-system/fs-1"
ACM = {
    "mode": "acm",
    "primaryCertificateArn": "arn:aws:acm:us-east-1:123456789012:certificate/1",
    "standbyCertificateArn": "arn:aws:acm:us-west-2:123456789012:certificate/2",
}


def names(region: str = "us-west-2") -> Names:
    return Names("mlops", "123456789012", region)


def identity(region: str = "us-west-2") -> Run:
    def program(opts: pulumi.ResourceOptions) -> None:
        built = Identity(
            "who",
            IdentityArgs(
                names(region), stack_settings("dr", certificates=ACM), pulumi.Output.from_input(FILE_SYSTEM)
            ),
            opts,
        )
        pulumi.export("profiles", built.instance_profiles)

    return run_in_region(program, region)


def test_every_resource_is_exactly_the_plan() -> None:
    """Guards against a machine with another role's rights, or with a policy whose content AWS changes."""
    policies = {
        Role.CONTROL_PLANE: node_policy(Role.CONTROL_PLANE, names()),
        Role.WORKER: node_policy(Role.WORKER, names(), file_system_arn=FILE_SYSTEM),
        Role.LOAD_BALANCER: node_policy(Role.LOAD_BALANCER, names(), ACM["standbyCertificateArn"]),
    }
    assert identity().inputs_by_type() == {
        "aws:iam/role:Role": {
            f"who-{role}": {
                "name": f"mlops-us-west-2-{role}",
                "assumeRolePolicy": trust("ec2.amazonaws.com"),
                "tags": {"Name": f"who-{role}"},
            }
            for role in NODES
        },
        "aws:iam/rolePolicy:RolePolicy": {
            f"who-{role}": {"name": "node", "role": f"mlops-us-west-2-{role}", "policy": policies[role]}
            for role in NODES
        },
        "aws:iam/instanceProfile:InstanceProfile": {
            f"who-{role}": {
                "name": f"mlops-us-west-2-{role}",
                "role": f"mlops-us-west-2-{role}",
                "tags": {"Name": f"who-{role}"},
            }
            for role in NODES
        },
    }


@pytest.mark.parametrize("region", REGIONS)
def test_all_of_it_is_made_by_its_regions_provider(region: str) -> None:
    """Guards against a stack that cannot run without the other region."""
    run = identity(region)
    assert {(one.parent, one.provider, one.protect) for one in run.resources} == {
        ("Identity who", f"aws {region}", False)
    }
    assert [one.parent for one in run.everything if one.type == "mlops:platform:Identity"] == [f"Region {region}"]


def test_no_machine_starts_before_its_policy() -> None:
    """Guards against a first boot that begins with refusals: what machines are given waits for the policy."""
    profiles = identity().of("InstanceProfile")
    assert {name: one.depends_on for name, one in profiles.items()} == {
        f"who-{role}": {f"RolePolicy who-{role}"} for role in NODES
    }


def test_hands_on_the_profiles() -> None:
    """Guards against a machine that is given the profile of another role."""
    run, expected = identity(), {role.value: f"mlops-us-west-2-{role}" for role in NODES}
    assert run.outputs["Stack mlops-ha-prod"] == {"profiles": expected}
    assert run.outputs["Identity who"] == expected
