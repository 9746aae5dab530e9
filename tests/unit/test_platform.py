"""Platform and the program: what a stack file becomes, read off the SDK's own registrations."""

import base64
import gzip
import json
import os
import re
import runpy
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from typing import Any

import pulumi
import pulumi_aws as aws
import pytest

from configs.nodes import NODE_TAG
from configs.tables.names import PROJECT
from engine.tokens import STATEFUL
from offline.rules.model import package_rules
from offline.sdk_types import output_names
from tests.unit.mocks import ROOT, Registered, Run, run, run_in_region, stack_block, stack_config

REGION = {"prod": "us-east-1", "dr": "us-west-2"}
SECRET_KEYS = (f"{PROJECT}:slackWebhookUrl", f"{PROJECT}:smtpPassword")


def main() -> None:
    """Run ``__main__.py`` as the engine would."""
    runpy.run_path(str(ROOT / "__main__.py"), run_name="__main__")


def built(stack: str, **changes: Any) -> Run:
    """Run the program with a tracked stack file, some of its settings changed."""
    return run(main, stack, stack_config(stack_block(stack) | changes), SECRET_KEYS)


@cache
def platform(stack: str) -> Run:
    """Build what the tracked stack file says."""
    return built(stack)


@cache
def changed(stack: str) -> Run:
    """Build with settings of many components at other values than their defaults."""
    return built(
        stack,
        protection=False,
        edge={"zoneId": "0" * 32, "domain": "edge.example.org", "addressRanges": ["198.51.100.0/24"]},
        network={"natGatewayPerZone": False, "interfaceEndpoints": False, "flowLogDays": 7},
        failover={"mode": "operator", "checkIntervalSeconds": 30, "failureThreshold": 5},
        capacity={"profile": "recommended"},
        controlPlane={"serverCount": 5},
        workers={"minimum": 4, "maximum": 9, "standbyMinimum": 2, "spotShare": 0.25},
        database={"instanceClass": "db.m6i.xlarge", "replicaCount": 3},
    )


USER_DATA_BYTES = 14 * 1024
"""Of EC2's 16 KiB; cloud-init unpacks what is compressed
(https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/user-data.html)."""


@pytest.mark.parametrize("stack", ["prod", "dr"])
def test_user_data_is_small_in_the_worst_case(stack: str) -> None:
    """Guards against a machine that EC2 refuses to start once there are five servers and every option is on."""
    found = changed(stack)
    machines = [one.inputs for one in found.resources if one.type == "aws:ec2/instance:Instance"]
    servers = [str(inputs["userData"]) for inputs in machines]
    [workers] = [base64.b64decode(one["userData"]).decode() for one in found.inputs("LaunchTemplate").values()]
    assert len(servers) == 7
    size = max(len(gzip.compress(text.encode())) for text in (*servers, workers))
    assert size <= USER_DATA_BYTES, f"user data has {size} bytes of {USER_DATA_BYTES}, compressed"


def components(one: Run) -> dict[str, str]:
    """The components below the platform, by name."""
    return {
        component.name: component.type.rpartition(":")[2]
        for component in one.everything
        if component.type.startswith("mlops:") and component.parent == "Platform mlops"
    }


COMMON = {
    "mlops-key": "EncryptionKey",
    "mlops-network": "Network",
    "mlops-groups": "SecurityGroups",
    "mlops-endpoints": "Endpoints",
    "mlops-postgres": "Postgres",
    "mlops-ml-data": "MlData",
    "mlops-identity": "Identity",
    "mlops-nodes": "NodeStore",
    "mlops-control-plane": "ControlPlane",
    "mlops-balancer": "LoadBalancerPair",
    "mlops-workers": "WorkerPool",
    "mlops-dns": "FailoverDns",
    "mlops-monitoring": "Monitoring",
}


def test_primary_is_primary_and_holds_no_switch() -> None:
    """Guards against a switch in the region that may be lost, and against two primaries."""
    one = platform("prod")
    assert components(one) == COMMON | {"mlops-shared": "SharedAssets", "mlops-copies": "Copies"}
    origin = one.inputs("Record")["mlops-dns-origin.mlops.example.com-primary"]
    assert origin["failoverRoutingPolicies"] == [{"type": "PRIMARY"}]
    # The switch lies in the standby region: a name, not a look at the other stack.
    assert one.inputs("HealthCheck")["mlops-dns-switch"]["fqdn"] == (
        "mlops-123456789012-us-west-2-failover-switch.s3.us-west-2.amazonaws.com"
    )


def test_standby_is_secondary_and_holds_the_switch() -> None:
    """Guards against a switch that is not where the primary's check looks, and against two primaries."""
    one = platform("dr")
    assert components(one) == COMMON | {"mlops-switch": "FailoverSwitch"}
    origin = one.inputs("Record")["mlops-dns-origin.mlops.example.com-secondary"]
    assert origin["failoverRoutingPolicies"] == [{"type": "SECONDARY"}]
    assert one.inputs("Bucket")["mlops-switch-bucket"]["bucket"] == "mlops-123456789012-us-west-2-failover-switch"


def test_standby_makes_no_secret_and_reads_no_state() -> None:
    """Guards against two clusters that know different tokens, and against a standby that needs what is lost."""
    one = platform("dr")
    assert {registered.type.partition(":")[0] for registered in one.everything} == {"aws", "mlops", "pulumi"}
    assert one.lookups == [("aws mlops-us-west-2", {"creationToken": "mlops-ml-data"})]
    assert platform("prod").lookups == []


def graph(one: Run) -> dict[tuple[str, str], Registered]:
    return {(resource.type, resource.name): resource for resource in one.everything}


def test_activating_touches_the_database_the_workers_the_bundles_and_the_alarms() -> None:
    """Guards against a failover that changes names, rights or networks, or makes and deletes what holds anything."""
    standby, active = graph(platform("dr")), graph(built("dr", role="active"))
    touched = {key for key in standby.keys() | active.keys() if standby.get(key) != active.get(key)}
    assert {name for kind, name in touched if not kind.endswith(":MetricAlarm")} == {
        "mlops-postgres-database",
        "mlops-workers-group",
        *(f"mlops-control-plane-{number}-bundle" for number in (1, 2, 3)),
        *(f"mlops-balancer-load-balancer-{kind}-bundle" for kind in ("haproxy", "nginx")),
        "mlops-workers-bundle",
    }
    assert {name for kind, name in touched if kind.endswith(":MetricAlarm")} == {
        "mlops-monitoring-workers-too-few",
        *(f"mlops-monitoring-postgres-{purpose}" for purpose in ("free-storage", "lag", "slot-lag", "log-usage")),
    }
    assert standby.keys() ^ active.keys() <= touched


def database_of(**generations: int) -> dict[str, Any]:
    """Return the settings of databases of these generations."""
    return {"database": generations}


def test_returning_replicates_what_serves_and_changes_no_name_and_no_right() -> None:
    """Guards against a way home that moves traffic, serves from a stale database, or lets ML data be overwritten."""
    primary = graph(platform("prod"))
    built_home = built("prod", role="returning", **database_of(primaryGeneration=2, standbyGeneration=3))
    returning = graph(built_home)
    touched = {key for key in primary.keys() | returning.keys() if primary.get(key) != returning.get(key)}
    assert not [kind for kind, _ in touched if kind.startswith(("aws:route53", "aws:iam", "aws:secretsmanager"))]
    database = built_home.inputs("Instance")["mlops-postgres-database-2"]
    assert database["replicateSourceDb"] == "arn:aws:rds:us-west-2:123456789012:db:mlops-postgres-3"
    assert not {"engine", "username", "passwordWo"} & database.keys()
    files = built_home.inputs("FileSystem")
    assert files["mlops-ml-data-files"]["protection"] == {"replicationOverwrite": "DISABLED"}
    assert files["mlops-shared-replicas-ml-data"]["protection"] == {"replicationOverwrite": "ENABLED"}
    copied = built_home.of("ReplicationConfiguration")["mlops-copies-replication-ml-data"]
    assert copied.inputs["sourceFileSystemId"] == "FileSystem mlops-shared-replicas-ml-data id"
    assert copied.provider == "aws mlops-us-west-2"
    [group] = built_home.inputs("Group").values()
    assert (group["minSize"], group["maxSize"]) == (1, 1)
    # The metrics of that copying are in the other region: an alarm here would never speak.
    assert not [name for name in built_home.inputs("MetricAlarm") if name.startswith("mlops-monitoring-ml-data")]
    assert [name for name in platform("prod").inputs("MetricAlarm") if name.startswith("mlops-monitoring-ml-data")]
    # The archive's copy of a replica's backups is nothing that RDS promises.
    assert built_home.inputs("InstanceAutomatedBackupsReplication") == {}


def test_home_again_is_home_but_for_the_generation() -> None:
    """Guards against a platform that after its first way home lacks what it had before."""
    before = graph(platform("prod"))
    after = graph(built("prod", **database_of(primaryGeneration=2, standbyGeneration=2)))
    kinds = {
        kind.rpartition(":")[2]
        for kind, name in before.keys() | after.keys()
        if before.get((kind, name)) != after.get((kind, name))
    }
    assert kinds == {
        "Instance",
        "LogGroup",
        "MetricAlarm",
        "FileSystem",
        "InstanceAutomatedBackupsReplication",
        "Selection",
        "BucketObjectv2",
    }  # fmt: skip
    count = [
        sum(kind.endswith(f":{name}") for kind, _ in graph_of)
        for graph_of in (before, after)
        for name in ("Instance", "MetricAlarm", "InstanceAutomatedBackupsReplication")
    ]
    assert count[:3] == count[3:]


def test_leaving_has_the_active_database_and_the_standby_scale() -> None:
    """Guards against a region that loses its database, or still serves, before the other one has caught up."""
    active, leaving = graph(built("dr", role="active")), graph(built("dr", role="leaving"))
    touched = {
        name for kind, name in active.keys() | leaving.keys() if active.get((kind, name)) != leaving.get((kind, name))
    }
    assert touched == {
        "mlops-workers-group",
        "mlops-monitoring-workers-too-few",
        *(f"mlops-control-plane-{number}-bundle" for number in (1, 2, 3)),
        *(f"mlops-balancer-load-balancer-{kind}-bundle" for kind in ("haproxy", "nginx")),
        "mlops-workers-bundle",
    }


def test_a_standby_replicates_the_primary_of_the_generation() -> None:
    """Guards against a standby that replicates a database which nobody writes to any more."""
    one = built("dr", **database_of(primaryGeneration=4, standbyGeneration=2))
    assert one.inputs("Instance")["mlops-postgres-database-2"]["replicateSourceDb"] == (
        "arn:aws:rds:us-east-1:123456789012:db:mlops-postgres-4"
    )


def test_parts_are_wired_to_each_other() -> None:
    """Guards against parts that are given another part's subnets, group, tables, key or addresses."""
    one = platform("dr")
    zones = ("us-west-2a", "us-west-2b", "us-west-2c")
    key = "Key mlops-key-key arn"
    private = [f"Subnet mlops-network-private-{zone} id" for zone in zones]
    data = [f"Subnet mlops-network-data-{zone} id" for zone in zones]
    balancer = one.of("LoadBalancer")["mlops-balancer-network"]
    assert balancer.inputs["securityGroups"] == ["SecurityGroup mlops-groups-network-load-balancer id"]
    assert balancer.depends_on == {"InternetGateway mlops-network-internet"}
    endpoints = one.inputs("VpcEndpoint")
    assert endpoints["mlops-endpoints-ssm"]["subnetIds"] == private
    assert endpoints["mlops-endpoints-ssm"]["securityGroupIds"] == ["SecurityGroup mlops-groups-endpoints id"]
    assert endpoints["mlops-endpoints-ssm"]["serviceName"] == "com.amazonaws.us-west-2.ssm"
    assert {group["vpcId"] for group in one.inputs("SecurityGroup").values()} == {"Vpc mlops-network-vpc id"}
    interfaces = one.inputs("NetworkInterface")
    for name, subnet, group in (
        ("mlops-control-plane-2-interface", private[1], "control-plane"),
        ("mlops-balancer-load-balancer-nginx-interface", private[1], "load-balancer"),
    ):
        assert interfaces[name]["subnetId"] == subnet
        assert interfaces[name]["securityGroups"] == [f"SecurityGroup mlops-groups-{group} id"]
    (database,) = one.inputs("Instance").keys() & {"mlops-postgres-database"}
    assert one.inputs("Instance")[database]["kmsKeyId"] == key
    assert [group["subnetIds"] for group in one.inputs("SubnetGroup").values()] == [data]
    assert [mount["subnetId"] for mount in one.inputs("MountTarget").values()] == data
    assert {volume["kmsKeyId"] for volume in one.inputs("Volume").values()} == {key}
    assert [group["vpcZoneIdentifiers"] for group in one.inputs("Group").values()] == [private]
    assert one.inputs("LogGroup")["mlops-network-flow-logs"]["kmsKeyId"] == key
    assert one.outputs["Platform mlops"] == {
        "addresses": [f"Eip mlops-balancer-{zone} publicIp" for zone in zones],
        "dnsName": "LoadBalancer mlops-balancer-network dnsName",
    }


def test_edge_settings_close_the_way_around_the_edge() -> None:
    """Guards against an edge whose ranges never reach the security groups, and against two stacks that own it."""
    for stack in REGION:
        one = changed(stack)
        assert one.inputs("ManagedPrefixList")["mlops-groups-public"]["entries"] == [
            {"cidr": "198.51.100.0/24", "description": "public"}
        ]
        assert not any("cidrIpv4" in rule for rule in one.inputs("SecurityGroupIngressRule").values())
        records = [other.name for other in one.everything if other.type == "cloudflare:index/dnsRecord:DnsRecord"]
        assert len(records) == (4 if stack == "prod" else 0)


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


@pytest.mark.parametrize(("stack", "bounds"), [("prod", (4, 9)), ("dr", (2, 2))])
def test_capacity_settings_reach_the_machines(stack: str, bounds: tuple[int, int]) -> None:
    """Guards against a profile, a count or a scale in the stack file that nothing is made by."""
    one = changed(stack)
    machines = {
        instance.name: instance.inputs["instanceType"]
        for instance in one.everything
        if instance.type == "aws:ec2/instance:Instance"
    }
    assert len(machines) == 7
    assert set(machines.values()) == {"m6in.4xlarge", "c6in.2xlarge"}
    assert [volume["size"] for volume in one.inputs("Volume").values()] == [2000] * 5
    (group,) = one.inputs("Group").values()
    assert (group["minSize"], group["maxSize"]) == bounds
    databases = [one for one in one.everything if one.type == "aws:rds/instance:Instance"]
    assert {database.inputs["instanceClass"] for database in databases} == {"db.m6i.xlarge"}
    assert len(databases) == (4 if stack == "prod" else 1)


@pytest.mark.parametrize("stack", REGION)
def test_all_that_holds_state_is_protected(stack: str) -> None:
    """Guards against a `destroy` that takes what cannot be had again."""
    one = platform(stack)
    holding = {(resource.type, resource.name) for resource in one.everything if resource.type in STATEFUL}
    protected = {(resource.type, resource.name) for resource in one.everything if resource.protect}
    assert len(holding) > 18
    assert holding <= protected
    # Besides: the authority's own key and certificate, without which no certificate could be renewed.
    assert {kind.partition(":")[0] for kind, _ in protected - holding} <= {"tls"}
    for resource in one.resources:
        if resource.type == "aws:rds/instance:Instance":
            assert resource.inputs["deletionProtection"] is True, resource.name
    assert one.inputs("LoadBalancer")["mlops-balancer-network"]["enableDeletionProtection"] is True


@pytest.mark.parametrize("stack", REGION)
def test_nothing_is_protected_when_protection_is_off(stack: str) -> None:
    """Guards against a platform that cannot be taken down for good."""
    one = changed(stack)
    assert not [resource.name for resource in one.everything if resource.protect]
    for resource in one.resources:
        for name in ("deletionProtection", "enableDeletionProtection"):
            assert resource.inputs.get(name, False) is False, resource.name
        if resource.type == "aws:s3/bucket:Bucket" and "switch" not in resource.name:
            assert resource.inputs["forceDestroy"] is True, resource.name
        # A hook before a deletion makes a plain `pulumi destroy` fail.
        assert "before_delete" not in resource.hooks, resource.name


@pytest.mark.parametrize("stack", REGION)
def test_resources_have_components_for_parents(stack: str) -> None:
    """Guards against resources that stand outside of the tree, and against the region property."""
    one = platform(stack)
    assert not [resource.name for resource in one.resources if "region" in resource.inputs]
    components = [other for other in one.everything if other.type.startswith("mlops:")]
    own = {f"{component.type.rpartition(':')[2]} {component.name}" for component in components}
    assert {resource.parent for resource in one.resources} <= own


@pytest.mark.parametrize("stack", REGION)
def test_whatever_can_have_a_tag_is_named_by_it(stack: str) -> None:
    """Guards against things in the console that nobody can tell apart."""
    taggable = [resource for resource in platform(stack).resources if "tagsAll" in output_names(resource.type)]
    assert len(taggable) > 200  # Most of what there is: an empty list would prove nothing.

    def name_tag(tags: Mapping[str, str] | None) -> Mapping[str, str]:
        return {name: value for name, value in (tags or {}).items() if name != NODE_TAG}

    assert {resource.name: name_tag(resource.inputs.get("tags")) for resource in taggable} == {
        resource.name: {"Name": resource.name} for resource in taggable
    }


@pytest.mark.parametrize("stack", REGION)
def test_the_longest_names_fit(stack: str) -> None:
    """Guards against a name that AWS refuses on the first deployment, because someone chose the longest prefix."""
    longest = {
        "primary": {"name": "ap-northeast-1", "zones": [f"ap-northeast-1{letter}" for letter in "abc"]},
        "standby": {"name": "ap-southeast-2", "zones": [f"ap-southeast-2{letter}" for letter in "abc"]},
        "archive": {"name": "ap-northeast-3"},
    }
    regions = {key: {**block, **longest[key]} for key, block in stack_block(stack)["regions"].items()}
    rules = package_rules("aws")
    named = 0
    for resource in built(stack, name="abcdefghijkl", regions=regions).resources:
        name = rules[resource.type].name
        given = resource.inputs.get(name.property) if name else None
        if name and given is not None:
            named += 1
            assert name.minimum <= len(given) <= name.maximum, (resource.type, given)
            assert re.fullmatch(name.pattern, given), (resource.type, given)
    assert named > 70


def rendered() -> str:
    """Return all that the program registers for `prod`, a line each."""
    return "\n".join(
        json.dumps([one.type, one.name, one.protect, one.provider, one.inputs], sort_keys=True)
        for one in sorted(platform("prod").everything, key=lambda one: (one.type, one.name))
    )


def test_two_renders_are_the_same_bytes() -> None:
    """Guards against anything random, or in the order of a set: it would differ in every preview."""
    # Sets have another order where texts have other hashes; the seed of this process is random when none is given.
    seed = "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"
    command = [sys.executable, "-c", "from tests.unit.test_platform import rendered; print(rendered())"]
    environment = {**os.environ, "PYTHONHASHSEED": seed}
    other = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout
    assert other == f"{rendered()}\n"
    assert len(other) > 200_000  # some 500 resources: not two empty renders


def test_program_reads_like_the_diagram() -> None:
    """Guards against an entry point that grows logic."""
    assert len((ROOT / "__main__.py").read_text().splitlines()) < 50


PUBLIC_NAMES = [f"{name}.mlops.example.com" for name in ("origin", "consul", "nomad", "prometheus", "grafana")]


@pytest.mark.parametrize(("stack", "role"), [("prod", "primary"), ("dr", "standby")])
def test_program_says_what_programs_rely_on(stack: str, role: str) -> None:
    """Guards against outputs that are missing or in the clear, and against a provider that takes any account."""
    one = platform(stack)
    region = REGION[stack]
    outputs = dict(one.outputs[f"Stack mlops-ha-{stack}"])
    assert set(outputs.pop("certificateExpiry")) == (
        {"authority", "control-plane", "worker", "load-balancer", "public"} if stack == "prod" else set()
    )
    assert outputs == {
        "role": role,
        "region": region,
        "publicNames": PUBLIC_NAMES,
        "regionalNames": [name.replace(".mlops.", f".{region}.mlops.") for name in PUBLIC_NAMES],
        "loadBalancerAddresses": [f"Eip mlops-balancer-{region}{letter} publicIp" for letter in "abc"],
        "loadBalancerDnsName": "LoadBalancer mlops-balancer-network dnsName",
        "databaseAddress": "Instance mlops-postgres-database address",
    }
    nodes = [*(f"control-plane-{number}" for number in (1, 2, 3)), "load-balancer-haproxy", "load-balancer-nginx"]
    # And of servers four and five, which there may have been.
    gates = {f"others-than-{node}-are-whole" for node in (*nodes, "control-plane-4", "control-plane-5")}
    assert one.hooks.keys() == {"health-check-settled", "role-switch", *gates}
    regions = {"us-east-1", "us-west-2", "eu-west-1"} if stack == "prod" else {"us-west-2"}
    clouds = {other.name: other for other in one.everything if other.type == "pulumi:providers:aws"}
    assert {cloud.inputs["region"] for cloud in clouds.values()} == regions
    for cloud in clouds.values():
        assert cloud.inputs["allowedAccountIds"] == '["123456789012"]'
        assert cloud.inputs["defaultTags"] == (
            f'{{"tags": {{"Project": "mlops-ha", "Platform": "mlops", "Stack": "{stack}", "ManagedBy": "pulumi"}}}}'
        )


def test_no_password_of_a_registry_is_in_the_program() -> None:
    """Guards against a token that is in the state, and another one in every preview."""
    (provider,) = [other for other in platform("prod").everything if other.type == "pulumi:providers:docker"]
    registry = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
    assert json.loads(provider.inputs["registryAuth"]) == [{"address": registry}]


def test_bad_settings_are_all_shown_and_nothing_is_registered() -> None:
    """Guards against a half-built region, a traceback, and mistakes that come to light one at a time."""
    messages: list[str] = []

    def wrong() -> None:
        with pytest.raises(pulumi.RunError) as raised:
            main()
        messages.append(str(raised.value))

    config = stack_config(stack_block("prod") | {"domain": "Example", "workers": {"minimum": 9, "maximum": 8}})
    del config[f"{PROJECT}:smtpPassword"]
    assert run(wrong, "prod", config, SECRET_KEYS).everything == []
    assert messages == [WRONG]


WRONG = """Pulumi.prod.yaml: 3 settings are wrong
  mlops-ha:platform.domain
    given:   "Example"
    allowed: a domain name in lower case without a final dot, like mlops.example.com
  mlops-ha:platform.workers.minimum
    given:   9
    allowed: at most workers.maximum (8)
  mlops-ha:smtpPassword
    given:   nothing
    allowed: the password of alerts.email.user: pulumi config set --secret smtpPassword --stack prod"""


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
