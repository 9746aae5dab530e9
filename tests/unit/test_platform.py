"""Platform and the program: one region, whatever its role, from the tracked stack files."""

import runpy
from functools import cache

import pulumi
import pulumi_aws as aws
import pytest

from components.platform import Platform, PlatformArgs
from configs.settings.model import Settings
from configs.tables.names import PROJECT
from offline.sdk_types import input_types
from tests.unit.mocks import ROOT, Registered, Run, run, run_in_region, stack_block, stack_config, stack_settings

REGION = {"prod": "us-east-1", "dr": "us-west-2"}
SECRET_KEYS = (f"{PROJECT}:slackWebhookUrl", f"{PROJECT}:smtpPassword")


def built(settings: Settings) -> Run:
    """Build the platform of some settings in their region."""

    def settled(_: pulumi.ResourceHookArgs) -> None:
        """Stands for the gate."""

    def build(opts: pulumi.ResourceOptions) -> None:
        Platform("mlops", PlatformArgs(settings, pulumi.ResourceHook("settled", settled)), opts)

    return run_in_region(build, settings.location.name)


@cache
def platform(stack: str) -> Run:
    """Build what the tracked stack file says."""
    return built(stack_settings(stack))


@cache
def changed(stack: str) -> Run:
    """Build with every setting of a built component set to another value than its default."""
    return built(
        stack_settings(
            stack,
            protection=False,
            edge={"zoneId": "0" * 32, "domain": "edge.example.org", "addressRanges": ["198.51.100.0/24"]},
            network={"natGatewayPerZone": False, "interfaceEndpoints": False, "flowLogDays": 7},
            failover={"mode": "operator", "checkIntervalSeconds": 30, "failureThreshold": 5},
        )
    )


def main() -> None:
    """Run ``__main__.py`` as the engine would."""
    runpy.run_path(str(ROOT / "__main__.py"), run_name="__main__")


def components(one: Run) -> dict[str, str]:
    return {component.type: component.name for component in one.everything if component.type.startswith("mlops:")}


COMMON = {
    "mlops:platform:Platform": "mlops",
    "mlops:platform:Network": "mlops-network",
    "mlops:platform:SecurityGroups": "mlops-groups",
    "mlops:platform:Endpoints": "mlops-endpoints",
    "mlops:platform:LoadBalancerPair": "mlops-balancer",
    "mlops:platform:FailoverDns": "mlops-dns",
}


def test_primary_is_primary_and_holds_no_switch() -> None:
    """Guards against a switch in the region that may be lost, and against two primaries."""
    one = platform("prod")
    assert components(one) == COMMON
    origin = one.inputs("Record")["mlops-dns-origin.mlops.example.com-primary"]
    assert origin["failoverRoutingPolicies"] == [{"type": "PRIMARY"}]
    # The switch lies in the standby region: a name, not a look at the other stack.
    assert one.inputs("HealthCheck")["mlops-dns-switch"]["fqdn"] == (
        "mlops-123456789012-us-west-2-failover-switch.s3.us-west-2.amazonaws.com"
    )


def test_standby_is_secondary_and_holds_the_switch() -> None:
    """Guards against a switch that is not where the primary's check looks, and against two primaries."""
    one = platform("dr")
    assert components(one) == COMMON | {"mlops:platform:FailoverSwitch": "mlops-switch"}
    origin = one.inputs("Record")["mlops-dns-origin.mlops.example.com-secondary"]
    assert origin["failoverRoutingPolicies"] == [{"type": "SECONDARY"}]
    assert [bucket["bucket"] for bucket in one.inputs("Bucket").values()] == [
        "mlops-123456789012-us-west-2-failover-switch"
    ]


def test_activating_changes_nothing_yet() -> None:
    """Guards against a failover that replaces or deletes: there is nothing yet that an active region has more of."""

    def graph(one: Run) -> dict[tuple[str, str], Registered]:
        return {(resource.type, resource.name): resource for resource in one.everything}

    assert graph(built(stack_settings("dr", role="active"))) == graph(platform("dr"))


def test_parts_are_wired_to_each_other() -> None:
    """Guards against parts that are given another part's subnets, group, tables or addresses."""
    one = platform("dr")
    zones = ("us-west-2a", "us-west-2b", "us-west-2c")
    balancer = one.of("LoadBalancer")["mlops-balancer-network"]
    assert balancer.inputs["securityGroups"] == ["SecurityGroup mlops-groups-network-load-balancer id"]
    assert balancer.inputs["subnetMappings"] == [
        {
            "subnetId": f"Subnet mlops-network-public-{zone} id",
            "allocationId": f"Eip mlops-balancer-{zone} id",
        }
        for zone in zones
    ]
    assert balancer.depends_on == {"InternetGateway mlops-network-internet"}
    endpoints = one.inputs("VpcEndpoint")
    assert endpoints["mlops-endpoints-s3"]["routeTableIds"] == [
        "RouteTable mlops-network-data id",
        *(f"RouteTable mlops-network-private-{zone} id" for zone in zones),
    ]
    assert endpoints["mlops-endpoints-ssm"]["subnetIds"] == [
        f"Subnet mlops-network-private-{zone} id" for zone in zones
    ]
    assert endpoints["mlops-endpoints-ssm"]["securityGroupIds"] == ["SecurityGroup mlops-groups-endpoints id"]
    assert endpoints["mlops-endpoints-ssm"]["serviceName"] == "com.amazonaws.us-west-2.ssm"
    assert {group["vpcId"] for group in one.inputs("SecurityGroup").values()} == {"Vpc mlops-network-vpc id"}
    assert one.inputs("Record")["mlops-dns-grafana.us-west-2.mlops.example.com"]["aliases"] == [
        {
            "name": "LoadBalancer mlops-balancer-network dnsName",
            "zoneId": "LoadBalancer mlops-balancer-network zoneId",
            "evaluateTargetHealth": False,
        }
    ]
    assert one.outputs["Platform mlops"] == {
        "addresses": [f"Eip mlops-balancer-{zone} publicIp" for zone in zones],
        "dnsName": "LoadBalancer mlops-balancer-network dnsName",
    }


def test_edge_settings_close_the_way_around_the_edge() -> None:
    """Guards against an edge whose ranges never reach the security groups."""
    one = changed("dr")
    assert one.inputs("ManagedPrefixList")["mlops-groups-public"]["entries"] == [
        {"cidr": "198.51.100.0/24", "description": "public"}
    ]
    assert not any("cidrIpv4" in rule for rule in one.inputs("SecurityGroupIngressRule").values())


def test_network_settings_reach_the_network_and_the_endpoints() -> None:
    """Guards against switches in the stack file that switch nothing."""
    one = changed("dr")
    assert one.of("NatGateway").keys() == {"mlops-network-nat-us-west-2a"}
    assert one.of("VpcEndpoint").keys() == {"mlops-endpoints-s3"}
    assert one.inputs("LogGroup")["mlops-network-flow-logs"]["retentionInDays"] == 7


def test_failover_settings_reach_the_checks() -> None:
    """Guards against a failover mode or timing in the stack file that decides nothing."""
    checks = changed("prod").inputs("HealthCheck")
    endpoint = checks["mlops-dns-endpoint"]
    assert checks["mlops-dns-region"]["childHealthchecks"] == ["HealthCheck mlops-dns-switch id"]
    assert (endpoint["requestInterval"], endpoint["failureThreshold"]) == (30, 5)


@pytest.mark.parametrize("stack", REGION)
def test_all_that_holds_state_is_protected(stack: str) -> None:
    """Guards against a `destroy` that takes what cannot be had again, and against one that can take nothing."""
    zones = [f"{REGION[stack]}{letter}" for letter in "abc"]
    one = platform(stack)
    assert {(resource.kind, resource.name) for resource in one.everything if resource.protect} == {
        *(("Eip", f"mlops-network-nat-{zone}") for zone in zones),
        *(("Eip", f"mlops-balancer-{zone}") for zone in zones),
        ("LoadBalancer", "mlops-balancer-network"),
        *([("Bucket", "mlops-switch-bucket")] if stack == "dr" else []),
    }
    assert one.inputs("LoadBalancer")["mlops-balancer-network"]["enableDeletionProtection"] is True


@pytest.mark.parametrize("stack", REGION)
def test_nothing_is_protected_when_protection_is_off(stack: str) -> None:
    """Guards against a platform that cannot be taken down for good."""
    one = changed(stack)
    assert not [resource.name for resource in one.everything if resource.protect]
    assert one.inputs("LoadBalancer")["mlops-balancer-network"]["enableDeletionProtection"] is False


@pytest.mark.parametrize("stack", REGION)
def test_every_resource_is_in_the_region_of_the_provider_it_is_given(stack: str) -> None:
    """Guards against both ways a resource gets into another region: another provider, and the region property."""
    one = platform(stack)
    assert {resource.provider for resource in one.resources} == {f"aws {REGION[stack]}"}
    assert not [resource.name for resource in one.resources if "region" in resource.inputs]
    assert {component.parent for component in one.everything if component.type.startswith("mlops:")} == {
        f"Region {REGION[stack]}",
        "Platform mlops",
    }
    owners = {f"{kind.rpartition(':')[2]} {name}" for kind, name in components(one).items()} - {"Platform mlops"}
    assert {resource.parent for resource in one.resources} == owners


@pytest.mark.parametrize("stack", REGION)
def test_whatever_can_have_a_tag_is_named_by_it(stack: str) -> None:
    """Guards against things in the console that nobody can tell apart."""
    taggable = [resource for resource in platform(stack).resources if "tags" in input_types(resource.type)]
    assert len(taggable) > 150  # Most of what there is: an empty list would prove nothing.
    assert {resource.name: resource.inputs.get("tags") for resource in taggable} == {
        resource.name: {"Name": resource.name} for resource in taggable
    }


def test_program_reads_like_the_diagram() -> None:
    """Guards against an entry point that grows logic."""
    assert len((ROOT / "__main__.py").read_text().splitlines()) < 40


PUBLIC_NAMES = [f"{name}.mlops.example.com" for name in ("origin", "consul", "nomad", "prometheus", "grafana")]


@pytest.mark.parametrize(("stack", "role"), [("prod", "primary"), ("dr", "standby")])
def test_program_runs_with_the_tracked_settings(stack: str, role: str) -> None:
    """Guards against stack files that do not fit the program, and against outputs that programs rely on."""
    one = run(main, stack, stack_config(stack_block(stack)), SECRET_KEYS)
    region = REGION[stack]
    assert one.outputs[f"Stack mlops-ha-{stack}"] == {
        "role": role,
        "region": region,
        "publicNames": PUBLIC_NAMES,
        "regionalNames": [name.replace(".mlops.", f".{region}.mlops.") for name in PUBLIC_NAMES],
        "loadBalancerAddresses": [f"Eip mlops-balancer-{region}{letter} publicIp" for letter in "abc"],
        "loadBalancerDnsName": "LoadBalancer mlops-balancer-network dnsName",
    }
    assert one.hooks.keys() == {"health-check-settled"}
    # What the program builds is what the platform is, and a provider that refuses every other account.
    assert {(r.type, r.name): r.inputs for r in one.resources} == {
        (r.type, r.name): r.inputs for r in platform(stack).resources
    }
    assert {resource.provider for resource in one.resources} == {f"aws mlops-{region}"}
    (provider,) = [resource for resource in one.everything if resource.type == "pulumi:providers:aws"]
    assert (provider.name, provider.inputs["region"]) == (f"mlops-{region}", region)
    assert provider.inputs["allowedAccountIds"] == '["123456789012"]'
    assert provider.inputs["defaultTags"] == (
        f'{{"tags": {{"Project": "mlops-ha", "Platform": "mlops", "Stack": "{stack}", "ManagedBy": "pulumi"}}}}'
    )


def test_bad_settings_are_all_shown_and_nothing_is_registered() -> None:
    """Guards against a half-built region, a traceback, and mistakes that come to light one at a time."""
    messages: list[str] = []

    def wrong() -> None:
        with pytest.raises(pulumi.RunError) as raised:
            main()
        messages.append(str(raised.value))

    config = stack_config(stack_block("dr") | {"domain": "Example", "workers": {"minimum": 9, "maximum": 8}})
    del config[f"{PROJECT}:smtpPassword"]
    assert run(wrong, "dr", config, SECRET_KEYS).everything == []
    assert messages == [WRONG]


WRONG = """Pulumi.dr.yaml: 3 settings are wrong
  mlops-ha:platform.domain
    given:   "Example"
    allowed: a domain name in lower case without a final dot, like mlops.example.com
  mlops-ha:platform.workers.minimum
    given:   9
    allowed: at most workers.maximum (8)
  mlops-ha:smtpPassword
    given:   nothing
    allowed: the password of alerts.email.user: pulumi config set --secret smtpPassword --stack dr"""


def test_missing_settings_are_one_message() -> None:
    """Guards against a traceback on the very first run, before anything is configured."""
    with pytest.raises(pulumi.RunError) as raised:
        run(main, "prod")
    assert [line for line in str(raised.value).splitlines() if not line.startswith("    allowed: ")] == [
        "Pulumi.prod.yaml: 3 settings are wrong",
        "  mlops-ha:platform",
        "    given:   nothing",
        "  mlops-ha:slackWebhookUrl",
        "    given:   nothing",
        "  mlops-ha:smtpPassword",
        "    given:   nothing",
    ]


def test_a_lookup_fails_the_test() -> None:
    """Guards the other tests: what asks AWS while it is planned must not pass unseen."""
    with pytest.raises(AssertionError, match="aws:ec2/getAmi:getAmi was called: no lookup decides a property"):
        run_in_region(lambda opts: aws.ec2.get_ami_output(opts=pulumi.InvokeOptions(parent=opts.parent)))


def test_a_stack_reference_fails_the_test() -> None:
    """Guards the other tests: what reads another stack's state must not pass unseen."""
    with pytest.raises(AssertionError, match="another stack's state"):
        run(lambda: pulumi.StackReference("prod"))


def test_a_failing_output_fails_the_test() -> None:
    """Guards the other tests: an error in an output that nobody waits for must not pass unseen."""

    def program() -> None:
        aws.Provider("us-east-1", region="us-east-1").urn.apply(lambda _: 1 / 0)

    with pytest.raises(ZeroDivisionError):
        run(program)
