"""The offline provider over its own protocol, without an engine: what it refuses, and what it says of a change."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.struct_pb2 import Struct
from pulumi.runtime import rpc
from pulumi.runtime.proto import provider_pb2
from pulumi.runtime.proto.provider_pb2_grpc import ResourceProviderStub, add_ResourceProviderServicer_to_server

from offline.cloud import Cloud, Resource
from offline.constraints import problems
from offline.engine import offline_providers
from offline.provider import OfflineProvider
from offline.sdk_types import UNKNOWN
from offline.wire import to_plain, to_struct

VPC, SUBNET = "aws:ec2/vpc:Vpc", "aws:ec2/subnet:Subnet"
TOPIC, BALANCER = "aws:sns/topic:Topic", "aws:lb/loadBalancer:LoadBalancer"
GROUP, BUCKET = "aws:ec2/securityGroup:SecurityGroup", "aws:s3/bucket:Bucket"
ACCOUNT = "123456789012"


def urn(token: str, name: str = "it") -> str:
    """Return the URN of a resource of a made-up stack."""
    return f"urn:pulumi:prod::mlops-ha::mlops:index:Part${token}::{name}"


class Provider:
    """One configured provider: a connection of its own, and the engine's calls on it."""

    def __init__(self, address: str, region: str, tags: Mapping[str, str]) -> None:
        # Otherwise two channels of one process share a connection, and look like one provider instance.
        self._channel = grpc.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1)])
        self.stub: Any = ResourceProviderStub(self._channel)
        settings = {
            "region": region,
            "allowedAccountIds": f'["{ACCOUNT}"]',
            "defaultTags": json.dumps({"tags": tags}),
        }
        self.stub.Configure(provider_pb2.ConfigureRequest(args=to_struct(settings)))

    def check(
        self, token: str, olds: Mapping[str, Any] | None = None, /, **inputs: Any
    ) -> provider_pb2.CheckResponse:
        """Check a proposal."""
        request = provider_pb2.CheckRequest(urn=urn(token), olds=to_struct(olds or {}), news=to_struct(inputs))
        return self.stub.Check(request)

    def create(
        self, token: str, inputs: Mapping[str, Any], name: str = "it", preview: bool = False
    ) -> provider_pb2.CreateResponse:
        """Make a resource, or in a preview pretend to."""
        return self.stub.Create(
            provider_pb2.CreateRequest(urn=urn(token, name), properties=to_struct(inputs), preview=preview)
        )

    def diff(
        self,
        token: str,
        old: Mapping[str, Any],
        new: Mapping[str, Any],
        state: Mapping[str, Any] | None = None,
    ) -> provider_pb2.DiffResponse:
        """Compare two versions of a resource's inputs; its state defaults to the first."""
        olds = to_struct(old if state is None else state)
        return self.stub.Diff(
            provider_pb2.DiffRequest(urn=urn(token), olds=olds, old_inputs=to_struct(old), news=to_struct(new))
        )

    def update(self, token: str, identity: str, news: Mapping[str, Any]) -> provider_pb2.UpdateResponse:
        """Change a resource."""
        return self.stub.Update(provider_pb2.UpdateRequest(urn=urn(token), id=identity, news=to_struct(news)))

    def read(self, token: str, identity: str) -> provider_pb2.ReadResponse:
        """Look whether a resource is there."""
        return self.stub.Read(provider_pb2.ReadRequest(urn=urn(token), id=identity))

    def delete(self, token: str, identity: str) -> None:
        """Delete a resource."""
        self.stub.Delete(provider_pb2.DeleteRequest(urn=urn(token), id=identity))

    def close(self) -> None:
        """Hang up."""
        self._channel.close()


Connect = Callable[..., Provider]


@pytest.fixture
def cloud(tmp_path: Path) -> Generator[Cloud, None, None]:
    """An empty cloud."""
    opened = Cloud(tmp_path / "cloud.sqlite")
    yield opened
    opened.close()


def served(provider: OfflineProvider) -> tuple[grpc.Server, str]:
    """Start a provider; return its server and address."""
    server = grpc.server(ThreadPoolExecutor(max_workers=8))
    add_ResourceProviderServicer_to_server(provider, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return server, f"127.0.0.1:{port}"


@pytest.fixture
def connect(cloud: Cloud) -> Generator[Connect, None, None]:
    """How to connect to a package's provider; every connection is an instance of its own."""
    providers = offline_providers(cloud, {}, [])
    running: dict[str, tuple[grpc.Server, str]] = {}
    opened: list[Provider] = []

    def connected(region: str = "us-east-1", package: str = "aws", **tags: str) -> Provider:
        if package not in running:
            running[package] = served(providers[package])
        opened.append(Provider(running[package][1], region, tags))
        return opened[-1]

    yield connected
    for provider in opened:
        provider.close()
    for server, _ in running.values():
        server.stop(grace=None).wait()


@pytest.fixture
def east(connect: Connect) -> Provider:
    """A provider of us-east-1."""
    return connect()


def refusal(call: Callable[[], object]) -> str:
    """Return the sentence with which a call is refused."""
    with pytest.raises(grpc.RpcError) as refused:
        call()
    error: Any = refused.value
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    return error.details()


@pytest.mark.parametrize(
    ("kind", "protection"),
    [
        (BALANCER, "enableDeletionProtection"),
        ("aws:rds/instance:Instance", "deletionProtection"),
        ("aws:ec2/instance:Instance", "disableApiTermination"),
        ("aws:cloudwatch/logGroup:LogGroup", "deletionProtectionEnabled"),
    ],
)
def test_what_protects_itself_is_not_deleted(kind: str, protection: str, east: Provider, cloud: Cloud) -> None:
    """A `destroy` that goes through offline and stops half-way on AWS."""
    cloud.put(Resource(kind, "kept", urn(kind), "us-east-1", {protection: True}))
    assert refusal(lambda: east.delete(kind, "kept")) == f"{kind}: kept cannot be deleted while {protection} is on"
    assert cloud.find(kind, value="kept") is not None
    cloud.put(Resource(kind, "kept", urn(kind), "us-east-1", {protection: False}))
    east.delete(kind, "kept")
    assert cloud.find(kind, value="kept") is None


def test_what_a_template_protects_is_not_the_template(east: Provider, cloud: Cloud) -> None:
    """A `destroy` that stops at a launch template: what it says of its machines taken for its own protection."""
    template = "aws:ec2/launchTemplate:LaunchTemplate"
    cloud.put(Resource(template, "lt-1", urn(template), "us-east-1", {"disableApiTermination": True}))
    east.delete(template, "lt-1")
    assert list(cloud.all()) == []


def test_what_is_used_is_not_deleted(east: Provider, cloud: Cloud) -> None:
    """A wrong order of deletion that only AWS would refuse."""
    vpc = east.create(VPC, {"cidrBlock": "10.0.0.0/16"}).id
    subnet = east.create(SUBNET, {"cidrBlock": "10.0.0.0/24", "vpcId": vpc}).id
    assert refusal(lambda: east.delete(VPC, vpc)) == f"{VPC}: {vpc} is still used by {urn(SUBNET)}"
    east.delete(SUBNET, subnet)
    east.delete(VPC, vpc)
    assert list(cloud.all()) == []


def test_what_is_gone_is_neither_changed_nor_deleted(east: Provider) -> None:
    """A change of nothing, reported as done."""
    absent = f"{TOPIC}: gone does not exist in us-east-1"
    assert refusal(lambda: east.delete(TOPIC, "gone")) == absent
    assert refusal(lambda: east.update(TOPIC, "gone", {"name": "it"})) == absent
    assert east.read(TOPIC, "gone").id == ""


def test_what_somebody_else_may_delete_is_taken_for_deleted(east: Provider, cloud: Cloud) -> None:
    """A way home that stops because its own command has deleted a replication already, as it must."""
    east.delete("aws:efs/replicationConfiguration:ReplicationConfiguration", "fs-gone")
    assert list(cloud.all()) == []


def test_a_preview_knows_what_it_would_change(connect: Connect, cloud: Cloud) -> None:
    """A preview of a replication refused for the protection that the same preview takes off its target."""
    token, closed, opened = (
        "aws:efs/fileSystem:FileSystem",
        *({"creationToken": "files", "protection": {"replicationOverwrite": to}} for to in ("ENABLED", "DISABLED")),
    )
    east, west = connect("us-east-1"), connect("us-west-2")
    ours, theirs = east.create(token, {"creationToken": "ours"}, name="ours"), west.create(token, closed)
    replication = {
        "sourceFileSystemId": ours.id,
        "destination": {"fileSystemId": theirs.id, "region": "us-west-2"},
    }
    kind = "aws:efs/replicationConfiguration:ReplicationConfiguration"
    assert "refuses to be overwritten" in refusal(lambda: east.create(kind, replication, preview=True))
    request = provider_pb2.UpdateRequest(
        urn=urn(token),
        id=theirs.id,
        olds=theirs.properties,
        old_inputs=to_struct(closed),
        news=to_struct(opened),
        preview=True,
    )
    west.stub.Update(request)
    east.create(kind, replication, preview=True)
    assert [one.inputs.get("protection") for one in cloud.all(token)] == [None, closed["protection"]]
    assert list(cloud.all(kind)) == []


def test_each_connection_is_its_own_region(connect: Connect, cloud: Cloud) -> None:
    """Two regions of one program mixed up: a resource made, tagged, read or deleted in the other one."""
    east, west = connect("us-east-1", Region="east"), connect("us-west-2", Region="west")
    made = {region: provider.create(TOPIC, {"name": region}) for region, provider in (("e", east), ("w", west))}
    assert [(one.inputs["name"], one.region, one.outputs["tagsAll"]) for one in cloud.all(TOPIC)] == [
        ("e", "us-east-1", {"Region": "east"}),
        ("w", "us-west-2", {"Region": "west"}),
    ]
    assert made["w"].id == f"arn:aws:sns:us-west-2:{ACCOUNT}:w"
    assert west.read(TOPIC, made["e"].id).id == ""
    assert refusal(lambda: west.delete(TOPIC, made["e"].id)).endswith("does not exist in us-west-2")
    assert east.read(TOPIC, made["e"].id).id == made["e"].id


def test_another_region_is_another_provider(east: Provider) -> None:
    """A region that changes in place: everything in it would be taken for what lies in the other."""

    def compared(**new: str) -> provider_pb2.DiffResponse:
        old = {"region": "us-east-1", "defaultTags": "{}"}
        return east.stub.DiffConfig(
            provider_pb2.DiffRequest(old_inputs=to_struct(old), news=to_struct({**old, **new}))
        )

    moved, tagged, same = compared(region="us-west-2"), compared(defaultTags='{"tags": {}}'), compared()
    assert (list(moved.diffs), list(moved.replaces)) == (["region"], ["region"])
    assert (list(tagged.diffs), list(tagged.replaces)) == (["defaultTags"], [])
    assert (moved.changes, tagged.changes, same.changes) == (
        provider_pb2.DiffResponse.DIFF_SOME,
        provider_pb2.DiffResponse.DIFF_SOME,
        provider_pb2.DiffResponse.DIFF_NONE,
    )


def test_a_change_in_no_rule_is_refused(east: Provider) -> None:
    """A guess whether a change replaces: nobody wrote down what AWS does."""
    assert refusal(lambda: east.diff(VPC, {"arn": "one"}, {"arn": "two"})) == (
        f"{VPC}: arn: replacement not modelled: say in offline/rules/aws whether a change of it updates or replaces"
    )


def test_a_difference_says_where_and_what_it_does(east: Provider) -> None:
    """A review that shows another property than the one that replaces, or an addition as a change."""
    old = {"name": "old", "tags": {"Gone": "x", "Kept": "x", "Other": "x"}}
    new = {"name": "new", "displayName": "shown", "tags": {"Kept": "x", "New": "x", "Other": "y"}}
    diff = east.diff(TOPIC, old, new)
    kinds = provider_pb2.PropertyDiff
    assert {path: part.kind for path, part in diff.detailedDiff.items()} == {
        "name": kinds.UPDATE_REPLACE,
        "displayName": kinds.ADD,
        "tags.Gone": kinds.DELETE,
        "tags.New": kinds.ADD,
        "tags.Other": kinds.UPDATE,
    }
    assert list(diff.replaces) == ["name"]
    assert list(diff.diffs) == ["displayName", "name", "tags"]
    # A topic's name is the program's own: the old one must be gone before the new one comes.
    assert diff.deleteBeforeReplace
    assert not east.diff(VPC, {"cidrBlock": "10.0.0.0/16"}, {"cidrBlock": "10.1.0.0/16"}).deleteBeforeReplace


def test_items_of_a_list_differ_one_by_one(east: Provider) -> None:
    """A list that shows as changed as a whole, so that nobody sees which entry was added."""
    entries = [{"cidr": "10.0.0.0/8"}, {"cidr": "172.16.0.0/12"}]
    diff = east.diff(
        "aws:ec2/managedPrefixList:ManagedPrefixList",
        {"entries": entries},
        {"entries": [{"cidr": "10.0.0.0/9"}, entries[1], {"cidr": "192.168.0.0/16"}]},
        {"tagsAll": {}},
    )
    assert {path: part.kind for path, part in diff.detailedDiff.items()} == {
        "entries[0].cidr": provider_pb2.PropertyDiff.UPDATE,
        "entries[2]": provider_pb2.PropertyDiff.ADD,
    }


def test_default_tags_show_once(connect: Connect) -> None:
    """A change of the resource's own tags shown twice, or one of the provider's tags not at all."""
    provider, own = connect(Owner="ops"), {"name": "it", "tags": {"Name": "it"}}
    state = {**own, "tagsAll": {"Owner": "ops", "Name": "it"}}
    assert provider.diff(TOPIC, own, own, state).changes == provider_pb2.DiffResponse.DIFF_NONE
    assert list(connect(Owner="dev").diff(TOPIC, own, own, state).diffs) == ["tagsAll"]
    assert list(provider.diff(TOPIC, own, {"name": "it", "tags": {"Name": "new"}}, state).diffs) == ["tags"]


def test_a_resources_own_tag_wins(connect: Connect) -> None:
    """A default tag that overwrites what the resource says of itself, and a default tag that changed in vain."""
    made = connect(Owner="ops", Name="default").create(TOPIC, {"name": "it", "tags": {"Name": "own"}})
    assert to_plain(made.properties)["tagsAll"] == {"Owner": "ops", "Name": "own"}
    assert connect(Owner="dev").update(TOPIC, made.id, {"name": "it"}).properties["tagsAll"] == {"Owner": "dev"}


def test_a_list_of_tags_is_left_alone(connect: Connect) -> None:
    """A default tag on an Auto Scaling group, whose tags say of themselves whether its machines get them."""
    group = "aws:autoscaling/group:Group"
    tags = [{"key": "Name", "value": "it", "propagateAtLaunch": True}]
    size = {"minSize": 1, "maxSize": 1, "availabilityZones": ["us-east-1a"], "launchConfiguration": "it"}
    inputs = {"name": "it", "tags": tags, **size}
    provider = connect(Owner="ops")
    assert "tagsAll" not in to_plain(provider.create(group, inputs).properties)
    assert provider.diff(group, inputs, inputs, inputs).changes == provider_pb2.DiffResponse.DIFF_NONE


def test_a_given_name_stays_and_a_missing_one_is_kept(east: Provider) -> None:
    """A resource that gets another name, and so is replaced, with every run."""
    first = to_plain(east.check(TOPIC).inputs)["name"]
    assert first.startswith("it-")
    assert len(first) == len("it-") + 7  # as many characters as Pulumi appends itself
    assert to_plain(east.check(TOPIC, {"name": "before"}).inputs)["name"] == "before"
    assert to_plain(east.check(TOPIC, name="given").inputs)["name"] == "given"
    assert "name" not in to_plain(east.check(TOPIC, namePrefix="given").inputs)


def test_all_that_is_wrong_is_said_at_once(east: Provider) -> None:
    """An engineer who mends one mistake a run."""
    failures = [failure.reason for failure in east.check(SUBNET, cidrBlock=1, region="us-east-1").failures]
    assert failures == [
        "vpcId: must be given",
        "cidrBlock: must be text, not a number",
        "region: never set on a resource: the region is the provider's, so that one look at it is enough",
    ]


def test_an_identity_is_taken_once(east: Provider, cloud: Cloud) -> None:
    """Two resources that are one: the second overwrites the first, and deleting it deletes both."""
    token = "aws:efs/backupPolicy:BackupPolicy"
    cloud.put(Resource("aws:efs/fileSystem:FileSystem", "fs-1", "given", "us-east-1"))
    inputs = {"fileSystemId": "fs-1", "backupPolicy": {"status": "ENABLED"}}
    east.create(token, inputs, name="one")
    assert refusal(lambda: east.create(token, inputs, name="two")) == f"{token}: fs-1 exists already"
    assert [one.urn for one in cloud.all(token)] == [urn(token, "one")]


def test_what_is_made_again_is_another(east: Provider) -> None:
    """A replacement that keeps its id, so that what refers to it shows no change."""
    made: list[str] = []
    for _ in range(3):
        made.append(east.create(VPC, {"cidrBlock": "10.0.0.0/16"}).id)
        east.delete(VPC, made[-1])
    assert len(set(made)) == 3


def test_a_resource_does_not_stand_in_its_own_way(east: Provider) -> None:
    """A second deployment refused, because every name is taken: by the resource itself."""
    east.create(TOPIC, {"name": "other"}, name="other")
    east.create(TOPIC, {"name": "mine"})
    assert not east.check(TOPIC, name="mine").failures
    assert [failure.reason.partition(" is used by ")[0] for failure in east.check(TOPIC, name="other").failures] == [
        "name: other"
    ]


def test_versions_count_up_and_a_preview_does_not_guess(east: Provider, cloud: Cloud) -> None:
    """A group that stays on the old version of its launch template, or shows a version that it will not have."""
    template = "aws:ec2/launchTemplate:LaunchTemplate"
    before, after = {"name": "nodes", "ebsOptimized": False}, {"name": "nodes", "ebsOptimized": True}
    made = east.create(template, before)
    versions = [to_plain(made.properties)["latestVersion"]]
    for news in (after, after, {**after, "description": "said"}, before):
        request = provider_pb2.UpdateRequest(
            urn=urn(template),
            id=made.id,
            olds=made.properties,
            old_inputs=to_struct(next(cloud.all(template)).inputs),
            news=to_struct(news),
        )
        versions.append(to_plain(east.stub.Update(request).properties)["latestVersion"])
    assert versions == [1, 2, 2, 2, 3]
    request = provider_pb2.UpdateRequest(
        urn=urn(template),
        id=made.id,
        olds=made.properties,
        old_inputs=to_struct(before),
        news=to_struct(after),
        preview=True,
    )
    promised = to_plain(east.stub.Update(request).properties)
    assert (promised["latestVersion"], promised["ebsOptimized"]) == (UNKNOWN, True)
    assert next(cloud.all(template)).outputs["latestVersion"] == 3


def test_what_became_wrong_since_the_check_is_refused(east: Provider, cloud: Cloud) -> None:
    """Inputs that were unknown when they were checked: what they turn out to be is looked at as well."""
    assert not east.check(SUBNET, cidrBlock="10.0.0.0/24", vpcId=UNKNOWN).failures
    wrong = {"cidrBlock": "10.0.0.0/24", "vpcId": "vpc-gone"}
    sentence = f"{SUBNET}: vpcId: vpc-gone does not exist in us-east-1"
    assert refusal(lambda: east.create(SUBNET, wrong)) == sentence
    cloud.put(Resource(SUBNET, "subnet-1", urn(SUBNET), "us-east-1"))
    assert refusal(lambda: east.update(SUBNET, "subnet-1", wrong)) == sentence


def test_a_preview_makes_nothing_and_is_forgotten(east: Provider, cloud: Cloud) -> None:
    """What `pulumi up` shows first standing in the way of what it then does."""
    first = east.create(TOPIC, {"name": "first"}, name="first", preview=True)
    assert (first.id, to_plain(first.properties)) == ("", {"name": "first"})
    assert list(cloud.all()) == []
    assert "is used by" in refusal(lambda: east.create(TOPIC, {"name": "first"}, name="second", preview=True))
    made = east.create(TOPIC, {"name": "second"}, name="second")
    assert [one.id for one in cloud.all()] == [made.id]
    assert not east.check(TOPIC, name="first").failures
    # A later preview starts from what is there by then.
    assert "is used by" in refusal(lambda: east.create(TOPIC, {"name": "second"}, name="third", preview=True))


def test_a_preview_knows_what_it_would_make_and_replace(east: Provider, cloud: Cloud) -> None:
    """A first preview that misses what it just planned, or a replacement that its own predecessor blocks."""
    grant = {"role": "nodes", "policyArn": "arn:aws:iam::aws:policy/ReadOnlyAccess"}
    attachment = "aws:iam/rolePolicyAttachment:RolePolicyAttachment"
    assert east.check(attachment, **grant).failures
    trust = (
        '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}'
    )
    east.create(
        "aws:iam/role:Role",
        {"name": "nodes", "assumeRolePolicy": trust + ', "Action": "sts:AssumeRole"}]}'},
        preview=True,
    )
    assert not east.check(attachment, **grant).failures
    cloud.put(Resource(TOPIC, "old", urn(TOPIC), "us-east-1", {"name": "it"}))
    east.update(TOPIC, "old", {"name": "it"})
    east.create(TOPIC, {"name": "it"}, preview=True)


def test_two_unknowns_are_not_the_same(east: Provider) -> None:
    """The first preview refused, because two VPCs or groups that do not exist yet look equal."""
    rule = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
    versioning = {"versioningConfiguration": {"status": "Enabled"}}
    for name in ("one", "two"):
        for token, inputs in (
            # Its name is its own within its VPC.
            (GROUP, {"name": "nodes", "vpcId": UNKNOWN}),
            (rule, {"securityGroupId": UNKNOWN, "ipProtocol": "-1", "cidrIpv4": "10.0.0.0/8"}),
            # Its id is the bucket's.
            ("aws:s3/bucketVersioning:BucketVersioning", {"bucket": UNKNOWN, **versioning}),
        ):
            answer = east.create(token, inputs, name=name, preview=True)
            assert to_plain(answer.properties) == inputs


def test_only_one_of_many_takes_a_name(east: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two resources of one name, made at the same moment: between looking and taking, both see it free."""
    together = threading.Barrier(2)

    def slow(*arguments: Any, **named: Any) -> list[str]:
        found = list(problems(*arguments, **named))
        with suppress(threading.BrokenBarrierError):
            together.wait(timeout=0.5)  # Long enough for the other to look as well, if nothing keeps it out.
        return found

    monkeypatch.setattr("offline.provider.problems", slow)

    def take(name: str) -> bool:
        try:
            east.create(BUCKET, {"bucket": "a-name-of-the-world"}, name=name)
        except grpc.RpcError:
            return False
        return True

    with ThreadPoolExecutor() as pool:
        assert sorted(pool.map(take, ["one", "two"])) == [False, True]


def test_a_secret_is_marked_for_the_engine_and_stays_when_read(connect: Connect) -> None:
    """A password that the engine writes into the state in the clear, at once or after a refresh."""
    token = "random:index/randomPassword:RandomPassword"
    provider = connect(package="random")
    made = provider.create(token, {"length": 20})
    for properties in (made.properties, provider.read(token, made.id).properties):
        result: Any = properties["result"]
        assert isinstance(result, Struct)
        assert result[rpc._special_sig_key] == rpc._special_secret_sig  # pyright: ignore[reportPrivateUsage]


def test_resources_of_one_id_are_several(connect: Connect, cloud: Cloud) -> None:
    """Twenty passwords that are one: all have the id "none", and the last one made takes the place of the others."""
    token = "random:index/randomPassword:RandomPassword"
    provider = connect(package="random")
    made = {name: provider.create(token, {"length": 32}, name=name) for name in ("one", "two")}
    assert {password.id for password in made.values()} == {"none"}
    assert len({resource.outputs["result"] for resource in cloud.all(token)}) == 2

    def delete(state: Struct) -> None:
        provider.stub.Delete(provider_pb2.DeleteRequest(urn=urn(token, "two"), id="none", properties=state))

    # A replacement is made before the old one goes: the old one's deletion leaves the new one where it is.
    new = provider.create(token, {"length": 40}, name="two")
    delete(made["two"].properties)
    assert len(list(cloud.all(token))) == 2
    delete(new.properties)
    assert [resource.urn for resource in cloud.all(token)] == [urn(token, "one")]


def test_two_groups_may_each_have_a_hook_of_one_name(east: Provider, cloud: Cloud) -> None:
    """Two platforms in one account, of which the second cannot be deployed."""
    hook = "aws:autoscaling/lifecycleHook:LifecycleHook"
    transition = {"lifecycleTransition": "autoscaling:EC2_INSTANCE_TERMINATING"}
    for group in ("one", "two"):
        cloud.put(Resource("aws:autoscaling/group:Group", group, urn("group", group), "us-east-1", {"name": group}))
        east.create(hook, {"name": "drain", "autoscalingGroupName": group, **transition}, name=group)
    assert len(list(cloud.all(hook))) == 2
    again = {"name": "drain", "autoscalingGroupName": "two", **transition}
    assert "is used by drain already" in refusal(lambda: east.create(hook, again, name="three"))
