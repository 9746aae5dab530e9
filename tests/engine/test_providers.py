"""The offline providers, as small programs on the real engine meet them: refusals, differences, secrets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pulumi
import pulumi_aws as aws
import pulumi_random as random
import pulumi_tls as tls
import pytest
from cryptography import x509

from offline.engine import OfflineStack
from tests.engine.conftest import succeeded

VPC, SUBNET = "aws:ec2/vpc:Vpc", "aws:ec2/subnet:Subnet"


def stack(home: Path, program: Callable[[], None]) -> OfflineStack:
    """Return a stack that runs a program of the test's own."""
    return OfflineStack("prod", home=home, run=program, checkpoints=False)


def east() -> pulumi.ResourceOptions:
    """Return options with an explicit provider."""
    return pulumi.ResourceOptions(provider=aws.Provider("east", region="us-east-1"))


@pytest.mark.parametrize(
    ("token", "inputs", "message"),
    [
        (VPC, {"cidrBlok": "10.0.0.0/16"}, "cidrBlok: no such property; there are: "),
        (SUBNET, {"cidrBlock": "10.0.0.0/24"}, "vpcId: must be given"),
        (VPC, {"cidrBlock": ["10.0.0.0/16"]}, "cidrBlock: must be text, not a list"),
        (VPC, {"cidrBlock": "10.0.0.0/16", "tags": {"Name": 3}}, "tags.Name: must be text, not a number"),
        (VPC, {"cidrBlock": "10.0.0.0/16", "region": "eu-west-1"}, "region: never set on a resource"),
        (SUBNET, {"cidrBlock": "10.0.0.0/24", "vpcId": "vpc-gone"}, "vpcId: vpc-gone does not exist in us-east-1"),
        ("aws:sqs/queue:Queue", {}, "aws:sqs/queue:Queue: the offline cloud does not know this type"),
        ("aws:ec2/vpc:Vpcc", {}, "aws:ec2/vpc:Vpcc: the offline cloud does not know this type"),
    ],
)
def test_what_the_engine_refuses(token: str, inputs: Mapping[str, Any], message: str, tmp_path: Path) -> None:
    """A mistake that only the first deployment to AWS would show."""
    result = stack(tmp_path, lambda: pulumi.CustomResource(token, "wrong", dict(inputs), east()) and None).preview()
    assert any(error.startswith("wrong: ") and message in error for error in result.errors), result.errors


def test_a_resource_without_a_provider_is_refused(tmp_path: Path) -> None:
    """A resource that lands in the region of whoever runs Pulumi."""

    def program() -> None:
        aws.ec2.Vpc("nowhere", cidr_block="10.0.0.0/16")

    result = stack(tmp_path, program).preview()
    assert any("Default provider for 'aws' disabled" in error for error in result.errors), result.errors


def test_a_look_up_is_refused(tmp_path: Path) -> None:
    """A property that depends on what AWS answers that day."""

    def program() -> None:
        options = pulumi.InvokeOptions(provider=aws.Provider("east", region="us-east-1"))
        pulumi.export("zones", aws.get_availability_zones_output(opts=options).names)

    result = stack(tmp_path, program).preview()
    assert any("look-ups are not answered offline" in error for error in result.errors), result.errors
    assert [call.method for call in result.calls["aws"]] == ["Invoke"]


@pytest.mark.parametrize(
    ("changed", "operation", "paths"),
    [
        ({"tags": {"Name": "new", "Kept": "yes"}}, "update", ["tags.Name"]),
        ({"enableDnsSupport": False}, "update", ["enableDnsSupport"]),
        ({"cidrBlock": "10.1.0.0/16"}, "replace", ["cidrBlock"]),
    ],
)
def test_a_change_updates_or_replaces(
    changed: Mapping[str, Any], operation: str, paths: list[str], tmp_path: Path
) -> None:
    """A preview that promises an update where AWS replaces."""

    def program(**more: Any) -> None:
        inputs: dict[str, Any] = {"cidrBlock": "10.0.0.0/16", "tags": {"Name": "old", "Kept": "yes"}, **more}
        pulumi.CustomResource(VPC, "vpc", inputs, east())

    succeeded(stack(tmp_path, program).up())
    steps = succeeded(stack(tmp_path, lambda: program(**changed)).preview()).changed()
    assert operation in {step.operation for step in steps}
    assert ("replace" in {step.operation for step in steps}) == (operation == "replace")
    assert {change.path for step in steps for change in step.changes} == set(paths)


def test_another_default_tag_shows_on_every_resource(tmp_path: Path) -> None:
    """Tags of the provider that change in silence."""

    def program(owner: str) -> None:
        tags = aws.ProviderDefaultTagsArgs(tags={"Owner": owner})
        provider = aws.Provider("east", region="us-east-1", default_tags=tags)
        aws.ec2.Vpc("vpc", cidr_block="10.0.0.0/16", opts=pulumi.ResourceOptions(provider=provider))

    succeeded(stack(tmp_path, lambda: program("one")).up())
    after = stack(tmp_path, lambda: program("two"))
    shown = [
        (step.name, step.operation, [change.path for change in step.changes]) for step in after.preview().changed()
    ]
    assert shown == [("vpc", "update", ["tagsAll"])]
    succeeded(after.up())
    assert {r["urn"].rpartition("::")[2]: r.get("outputs", {}).get("tagsAll") for r in after.state_resources()}[
        "vpc"
    ] == {"Owner": "two"}


def test_a_changed_launch_template_rolls_its_group(tmp_path: Path) -> None:
    """A group that stays on the old version, because nothing counts its launch template's versions."""

    def program(size: str) -> None:
        options = east()
        template = aws.ec2.LaunchTemplate("template", name="workers", instance_type=size, opts=options)
        aws.autoscaling.Group(
            "group",
            name="workers",
            min_size=0,
            max_size=1,
            availability_zones=["us-east-1a"],
            launch_template=aws.autoscaling.GroupLaunchTemplateArgs(
                id=template.id, version=template.latest_version.apply(str)
            ),
            opts=options,
        )

    succeeded(stack(tmp_path, lambda: program("m6in.2xlarge")).up())
    after = stack(tmp_path, lambda: program("r6in.2xlarge"))
    shown = {step.name: step.operation for step in succeeded(after.preview()).changed()}
    assert shown == {"template": "update", "group": "update"}
    succeeded(after.up())
    outputs = {r["urn"].rpartition("::")[2]: r.get("outputs", {}) for r in after.state_resources()}
    assert (outputs["template"]["latestVersion"], outputs["group"]["launchTemplate"]["version"]) == (2, "2")


def test_what_replaces_gets_another_id(tmp_path: Path) -> None:
    """A replacement that keeps its id, so that what refers to it shows no change; also when it is deleted first."""

    def program(ports: str) -> None:
        options = east()
        group = aws.ec2.SecurityGroup("group", name="fixed", description=ports, opts=options)
        aws.vpc.SecurityGroupIngressRule(
            "rule", security_group_id=group.id, ip_protocol="-1", cidr_ipv4="10.0.0.0/8", opts=options
        )

    succeeded(stack(tmp_path, lambda: program("before")).up())
    after = stack(tmp_path, lambda: program("after"))
    assert "replace" in {step.operation for step in succeeded(after.preview()).changed() if step.name == "rule"}
    before = {r["urn"]: r.get("id") for r in after.state_resources()}
    succeeded(after.up())
    changed = {r["urn"].rpartition("::")[2] for r in after.state_resources() if before[r["urn"]] != r.get("id")}
    assert changed == {"group", "rule"}


def test_secrets_are_real_and_encrypted_and_stay(tmp_path: Path) -> None:
    """A key in the clear in the state, or another one with every run."""

    def program() -> None:
        options = {
            package: pulumi.ResourceOptions(provider=provider)
            for package, provider in (("random", random.Provider("random")), ("tls", tls.Provider("tls")))
        }
        password = random.RandomPassword("password", length=40, opts=options["random"])
        uuid = random.RandomUuid("uuid", opts=options["random"])
        key = tls.PrivateKey("key", algorithm="ECDSA", ecdsa_curve="P256", opts=options["tls"])
        authority = tls.SelfSignedCert(
            "authority",
            private_key_pem=key.private_key_pem,
            allowed_uses=["cert_signing"],
            validity_period_hours=24,
            is_ca_certificate=True,
            subject=tls.SelfSignedCertSubjectArgs(common_name="authority"),
            opts=options["tls"],
        )
        # In the clear on purpose, for the test to compare with what the state shows.
        pulumi.export("password", pulumi.Output.unsecret(password.result))
        pulumi.export("key", pulumi.Output.unsecret(key.private_key_pem))
        pulumi.export("uuid", uuid.result)
        pulumi.export("certificate", authority.cert_pem)

    offline = stack(tmp_path, program)
    outputs = succeeded(offline.up()).outputs
    assert len(outputs["password"]) == 40
    assert x509.load_pem_x509_certificate(outputs["certificate"].encode()).subject.rfc4514_string() == "CN=authority"
    kept = {r["urn"].rpartition("::")[2]: r for r in offline.state_resources() if r["urn"].count("::") == 3}
    for name in ("password", "key", "authority"):
        clear = str({part: value for part, value in kept[name].items() if part != "propertyDependencies"})
        assert outputs["password"] not in clear
        assert outputs["key"].splitlines()[1] not in clear
    # Where the real provider's id carries the value, in the clear, this one's does.
    assert kept["uuid"]["id"] == outputs["uuid"]
    assert kept["password"]["id"] == "none"
    again = succeeded(offline.up())
    assert set(again.count()) == {"same"}
    assert again.outputs == outputs
