"""Runs a program on Pulumi's mocks and records what it registers: parents, providers, protection and hooks too."""

import asyncio
import contextvars
import gc
import json
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, NoReturn, cast

import pulumi
import pulumi_aws as aws
import pulumi_cloudflare as cloudflare
import pulumi_docker as docker
import pulumi_random as random
import pulumi_tls as tls
import yaml
from google.protobuf.empty_pb2 import Empty
from google.protobuf.json_format import MessageToDict
from google.protobuf.struct_pb2 import Struct
from pulumi.runtime.mocks import MockEngine, MockMonitor
from pulumi.runtime.proto import provider_pb2, resource_pb2
from pulumi.runtime.settings import SETTINGS
from typing_extensions import override

from configs.settings.model import Settings
from configs.settings.parse import SECRETS, parse_settings
from configs.settings.problem import BLOCK
from configs.tables.names import PROJECT
from engine.steps import SECRET_MARK
from offline.language_host import quick_sdk

ROOT = Path(__file__).parents[2]
REGIONS = ("us-east-1", "us-west-2")
STACK_TYPE = "pulumi:pulumi:Stack"
LOOKUP = "aws:efs/getFileSystem:getFileSystem"  # The one that is allowed, see ADR 8.
# All that the components read beside ids, inputs and the random values.
COMPUTED = (
    *(
        "address",
        "arn",
        "arnSuffix",
        "dnsName",
        "zoneId",
        "publicIp",
        "latestVersion",
        "sha256Digest",
        "backupVaultArn",
    ),
    *("privateKeyPem", "certPem", "certRequestPem", "validityEndTime"),
)


@dataclass(frozen=True)
class Registered:
    """One resource as the program registered it; others are named by kind and name: ``Vpc net-vpc``."""

    type: str
    name: str
    inputs: Mapping[str, Any]
    parent: str
    provider: str
    protect: bool
    waits_for: frozenset[str]
    depends_on: frozenset[str]
    """What it waits for by an option, not by an input."""
    hooks: Mapping[str, Sequence[str]]
    delete_before_replace: bool
    ignores: Sequence[str]
    """Properties whose changes are not the program's to make."""

    @property
    def kind(self) -> str:
        return self.type.rpartition(":")[2]


@dataclass
class Run:
    """What one run of a program registered."""

    everything: list[Registered] = field(default_factory=list[Registered])
    outputs: dict[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])
    """Outputs of the components, and of the stack."""
    hooks: dict[str, pulumi.ResourceHook] = field(default_factory=dict[str, pulumi.ResourceHook])
    lookups: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list[tuple[str, Mapping[str, Any]]])
    """The look-ups, each with its provider and arguments."""

    @property
    def resources(self) -> list[Registered]:
        """What a provider makes: no components, no providers."""
        return [one for one in self.everything if one.type.startswith("aws:")]

    def of(self, kind: str) -> dict[str, Registered]:
        """The resources of one kind, by name."""
        return {one.name: one for one in self.resources if one.kind == kind}

    def inputs(self, kind: str) -> dict[str, Mapping[str, Any]]:
        """The inputs of the resources of one kind, by name."""
        return {name: one.inputs for name, one in self.of(kind).items()}

    def inputs_by_type(self) -> dict[str, dict[str, Mapping[str, Any]]]:
        """The inputs of all resources, by type and name."""
        return {one.type: self.inputs(one.kind) for one in self.resources}


class Recorder(MockMonitor):
    """Stands for the engine. The SDK's own mocks keep no parent, provider, protection, dependency or hook."""

    def __init__(self) -> None:
        self.run = Run()

    @override
    def RegisterResource(
        self, request: resource_pb2.RegisterResourceRequest
    ) -> resource_pb2.RegisterResourceResponse:
        urn = self.make_urn(request.parent, request.type, request.name)
        if request.type == STACK_TYPE:
            return resource_pb2.RegisterResourceResponse(urn=urn)
        one = _registered(request)
        if any((other.type, other.name) == (one.type, one.name) for other in self.run.everything):
            raise AssertionError(f"{one.kind} {one.name} was registered twice")
        self.run.everything.append(one)
        state = Struct()
        state.update(_computed(one, request.additionalSecretOutputs) | dict(one.inputs))
        return resource_pb2.RegisterResourceResponse(urn=urn, id=f"{one.kind} {one.name} id", object=state)

    @override
    def RegisterResourceOutputs(self, request: resource_pb2.RegisterResourceOutputsRequest) -> Empty:
        self.run.outputs[_known_as(request.urn)] = MessageToDict(request.outputs)
        return Empty()

    @override
    def Invoke(self, request: resource_pb2.ResourceInvokeRequest) -> provider_pb2.InvokeResponse:
        if request.tok != LOOKUP:
            raise AssertionError(f"{request.tok} was called: no lookup decides a property")
        arguments = MessageToDict(request.args)
        self.run.lookups.append((_known_as(request.provider.rpartition("::")[0]), arguments))
        identity = f"fs of {arguments['creationToken']}"
        response = provider_pb2.InvokeResponse()
        # The field is called as a Python keyword is.
        getattr(response, "return").update({"id": identity, "fileSystemId": identity, "arn": f"{identity} arn"})
        return response

    @override
    def ReadResource(self, request: resource_pb2.ReadResourceRequest) -> NoReturn:
        raise AssertionError(f"{request.type} {request.name} was read: a lookup, or another stack's state")

    def register_resource_hook(self, hook: pulumi.ResourceHook) -> None:
        """Stand for the server that the engine calls hooks on."""
        self.run.hooks[hook.name] = hook


def _registered(request: resource_pb2.RegisterResourceRequest) -> Registered:
    through_inputs = {urn for dependencies in request.propertyDependencies.values() for urn in dependencies.urns}
    return Registered(
        type=request.type,
        name=request.name,
        inputs=MessageToDict(request.object),
        parent=_known_as(request.parent),
        provider=_known_as(request.provider.rpartition("::")[0]),
        protect=request.protect,
        waits_for=frozenset(_known_as(urn) for urn in request.dependencies),
        depends_on=frozenset(_known_as(urn) for urn in set(request.dependencies) - through_inputs),
        hooks=MessageToDict(request.hooks, preserving_proto_field_name=True),
        delete_before_replace=request.deleteBeforeReplace,
        ignores=tuple(request.ignoreChanges),
    )


def secret(value: object) -> dict[str, Any]:
    """What a value that is marked as secret looks like on the wire."""
    return {"4dabf18193072939515e22adb298388d": SECRET_MARK, "value": value}


def _computed(one: Registered, secrets: Sequence[str]) -> dict[str, Any]:
    computed = {name: f"{one.kind} {one.name} {name}" for name in COMPUTED}
    if one.kind == "RandomPassword":
        # Hexadecimal, whatever it is to be made of: some are decoded.
        computed["result"] = sha256(one.name.encode()).hexdigest()[: int(one.inputs["length"])]
    return {name: secret(value) if name in secrets else value for name, value in computed.items()}


def _known_as(urn: str) -> str:
    *_, types, name = urn.split("::") if urn else ("", "")
    return f"{types.rpartition(':')[2]} {name}".strip()


@contextmanager
def no_collection() -> Generator[None, None, None]:
    """Collect no garbage while the block runs: what a run makes stays, and each search goes through all of it."""
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()


def run(
    program: Callable[[], object],
    stack: str = "prod",
    config: Mapping[str, str] | None = None,
    secrets: Sequence[str] = (),
) -> Run:
    """Run a program to its end, every output awaited; what fails in it fails here."""
    recorder = Recorder()

    def body() -> None:
        program()

    async def deployment() -> None:
        engine = MockEngine(None)
        pulumi.runtime.configure(pulumi.runtime.Settings(PROJECT, stack, monitor=recorder, engine=engine))
        cast(Any, SETTINGS).callbacks = recorder
        pulumi.runtime.set_all_config(dict(config or {}), list(secrets))
        await pulumi.runtime.run_in_stack(body)

    # The SDK keeps its state in context variables: a context of its own sees nothing of another run, and leaves
    # nothing behind. Quick: a run of `prod` takes 0.6 s instead of 3.7.
    with quick_sdk(), no_collection():
        contextvars.Context().run(lambda: asyncio.run(deployment()))
    return recorder.run


def run_in_region(build: Callable[[pulumi.ResourceOptions], object], region: str = "us-west-2") -> Run:
    """Run a program that builds something under a parent in one region, with the other's provider beside it.

    The providers that know no region are called as their package is.
    """

    def program() -> None:
        providers = {name: aws.Provider(name, region=name) for name in REGIONS}
        others = (
            cloudflare.Provider("cloudflare"),
            docker.Provider("docker"),
            random.Provider("random"),
            tls.Provider("tls"),
        )
        parent = pulumi.ComponentResource(
            "test:index:Region", region, None, pulumi.ResourceOptions(providers=[providers[region], *others])
        )
        build(pulumi.ResourceOptions(parent=parent))

    return run(program)


def stack_file(stack: str) -> Path:
    return ROOT / f"Pulumi.{stack}.yaml"


def stack_block(stack: str) -> dict[str, Any]:
    """The settings block of a tracked stack file."""
    return yaml.safe_load(stack_file(stack).read_text())["config"][BLOCK]


def stack_settings(stack: str, **changes: Any) -> Settings:
    """The settings of a tracked stack file, with top-level blocks changed."""
    return parse_settings(stack_block(stack) | changes, SECRETS, stack_file(stack).name)


def stack_config(block: object) -> dict[str, str]:
    """The configuration of a stack as the engine hands it over, secrets given."""
    return {BLOCK: json.dumps(block)} | {f"{PROJECT}:{name}": "a secret" for name in SECRETS}
