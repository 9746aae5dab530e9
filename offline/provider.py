"""A resource provider for one package, as the real engine speaks to it (gRPC), over the offline cloud.

One process serves every provider *instance* of a package (one a region): the engine opens a connection for each,
and the connection tells them apart. What the provider knows comes from the SDK (``offline.sdk_types``), from the
rule files (``offline.rules``) and, for values that the real provider computes, from ``offline.generators``.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, cast

import grpc
from google.protobuf.empty_pb2 import Empty
from pulumi.runtime.proto import plugin_pb2, provider_pb2
from pulumi.runtime.proto.provider_pb2_grpc import ResourceProviderServicer

from offline.cloud import Cloud, Inputs, Proposal, Resource
from offline.constraints import dependents, problems
from offline.generators import GENERATORS, SECRET_OUTPUTS
from offline.lookups import NoAnswer, Question, answered
from offline.rules.model import TypeRules, package_rules
from offline.sdk_types import UNKNOWN, NoSuchType, output_names, type_problems
from offline.wire import has_unknown, to_plain, to_struct


class Refused(Exception):
    """The provider refuses a call; the message says why."""


@dataclass(frozen=True)
class Instance:
    """One configured provider: a region of an account, and the tags that everything in it carries."""

    region: str = "everywhere"
    account: str = "000000000000"
    default_tags: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True)
class Call:
    """One call of the engine, for tests to look at."""

    method: str
    token: str
    region: str


class OfflineProvider(ResourceProviderServicer):
    """The provider of one package. Methods are named, and behave, as the engine's protocol says."""

    def __init__(
        self, package: str, version: str, cloud: Cloud, leftovers: Mapping[str, str], adopted: list[str]
    ) -> None:
        """Serve a package, over a cloud.

        ``leftovers`` (urn to id) is what a killed run made and no state knows: it is not made again but adopted,
        and its urn added to ``adopted``.
        """
        self._package, self._version, self._cloud, self._leftovers = package, version, cloud, leftovers
        self._rules = package_rules(package)
        self._instances: dict[str, Instance] = {}
        # Between looking whether a name is free and taking it, nobody else may take it.
        self._changing = threading.Lock()
        # What a preview would make, on top of the cloud: later resources of the same preview refer to it.
        self._draft: Cloud | None = None
        self.calls: list[Call] = []
        self._adopted = adopted

    # The connection, and the instance behind it.

    def Attach(self, request: plugin_pb2.PluginAttach, context: grpc.ServicerContext) -> Empty:
        """Nothing is to be done: the provider does not call the engine."""
        return Empty()

    def Handshake(
        self, request: provider_pb2.ProviderHandshakeRequest, context: grpc.ServicerContext
    ) -> provider_pb2.ProviderHandshakeResponse:
        """Agree on the plainest form of values: no wrapped secrets, resources or outputs."""
        return provider_pb2.ProviderHandshakeResponse()

    def GetPluginInfo(self, request: Empty, context: grpc.ServicerContext) -> plugin_pb2.PluginInfo:
        """Return the version of the SDK, whose provider this stands for."""
        return plugin_pb2.PluginInfo(version=self._version)

    def CheckConfig(
        self, request: provider_pb2.CheckRequest, context: grpc.ServicerContext
    ) -> provider_pb2.CheckResponse:
        """Accept any configuration that the SDK's own types let through."""
        return provider_pb2.CheckResponse(inputs=request.news)

    def DiffConfig(
        self, request: provider_pb2.DiffRequest, context: grpc.ServicerContext
    ) -> provider_pb2.DiffResponse:
        """Another region is another provider; anything else is an update."""
        old, new = to_plain(request.old_inputs), to_plain(request.news)
        changed = sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))
        kind = provider_pb2.DiffResponse.DIFF_SOME if changed else provider_pb2.DiffResponse.DIFF_NONE
        return provider_pb2.DiffResponse(
            changes=kind, diffs=changed, replaces=[key for key in changed if key == "region"]
        )

    def Configure(
        self, request: provider_pb2.ConfigureRequest, context: grpc.ServicerContext
    ) -> provider_pb2.ConfigureResponse:
        """Remember the region, account and default tags of the instance behind this connection."""
        # The SDK sends nested provider settings as JSON text.
        arguments = {key: _parsed(value) for key, value in to_plain(request.args).items()}
        accounts = arguments.get("allowedAccountIds") or [Instance.account]
        self._instances[context.peer()] = Instance(
            region=arguments.get("region", Instance.region),
            account=accounts[0],
            default_tags=arguments.get("defaultTags", {}).get("tags", {}),
        )
        return provider_pb2.ConfigureResponse(acceptSecrets=False, supportsPreview=True, acceptResources=False)

    def Cancel(self, request: Empty, context: grpc.ServicerContext) -> Empty:
        """Nothing is to be done: no call takes long."""
        return Empty()

    def Invoke(
        self, request: provider_pb2.InvokeRequest, context: grpc.ServicerContext
    ) -> provider_pb2.InvokeResponse:
        """Answer the look-ups of ``offline.lookups``, and refuse all others: no lookup decides a property."""
        instance = self._note("Invoke", request.tok, context)
        question = Question(to_plain(request.args), instance.region, instance.account, request.preview)
        try:
            with self._changing:
                answer = answered(request.tok, question, self._drawn_up() if request.preview else self._cloud)
        except NoAnswer as refusal:
            failure = provider_pb2.CheckFailure(reason=f"{request.tok}: {refusal}")
            return provider_pb2.InvokeResponse(failures=[failure])
        response = provider_pb2.InvokeResponse()
        # The field is called as a Python keyword is.
        getattr(response, "return").CopyFrom(to_struct(answer))
        return response

    # Resources.

    def Check(self, request: provider_pb2.CheckRequest, context: grpc.ServicerContext) -> provider_pb2.CheckResponse:
        """Refuse wrong properties, all of them at once."""
        token = _token(request.urn)
        with self._answering("Check", token, context) as instance:
            rules = self._rules_of(token)
            inputs = self._named(rules, request)
            found = [*type_problems(token, inputs), *_forbidden(self._package, inputs)]
            if not found:
                cloud = self._draft or self._cloud
                existing = next(cloud.all(token, urn=request.urn), None)
                proposal = _proposal(token, request.urn, instance, inputs, existing.id if existing else None)
                found = list(problems(proposal, rules, cloud, meant=False))
            if found:
                failures = [provider_pb2.CheckFailure(reason=problem) for problem in found]
                return provider_pb2.CheckResponse(failures=failures)
            return provider_pb2.CheckResponse(inputs=to_struct(inputs))

    def Diff(self, request: provider_pb2.DiffRequest, context: grpc.ServicerContext) -> provider_pb2.DiffResponse:
        """Say what changed, and whether that replaces the resource."""
        token = _token(request.urn)
        with self._answering("Diff", token, context) as instance:
            rules = self._rules_of(token)
            old, new = to_plain(request.old_inputs), to_plain(request.news)
            diff = provider_pb2.DiffResponse(
                hasDetailedDiff=True,
                deleteBeforeReplace=rules.delete_before_replace,
            )
            for name in sorted(old.keys() | new.keys()):
                if old.get(name) == new.get(name):
                    continue
                if name not in rules.update and name not in rules.replace:
                    raise Refused(
                        f"{token}: {name}: replacement not modelled: say in offline/rules/{self._package} whether a"
                        " change of it updates or replaces"
                    )
                replaces = name in rules.replace
                diff.diffs.append(name)
                if replaces:
                    diff.replaces.append(name)
                for path, kind in _differences(old.get(name), new.get(name), name):
                    diff.detailedDiff[path].CopyFrom(
                        # The kinds come in pairs: ADD and ADD_REPLACE, DELETE and DELETE_REPLACE, ...
                        provider_pb2.PropertyDiff(kind=cast(Any, kind + replaces), inputDiff=True)
                    )
            tags = self._tags_all(token, new, instance)
            if tags and tags != {"tagsAll": to_plain(request.olds).get("tagsAll")} and "tags" not in diff.diffs:
                # The provider's default tags changed, not the resource's own.
                diff.diffs.append("tagsAll")
                diff.detailedDiff["tagsAll"].CopyFrom(
                    provider_pb2.PropertyDiff(kind=provider_pb2.PropertyDiff.UPDATE)
                )
            diff.changes = diff.DIFF_SOME if diff.diffs else diff.DIFF_NONE
            return diff

    def Create(
        self, request: provider_pb2.CreateRequest, context: grpc.ServicerContext
    ) -> provider_pb2.CreateResponse:
        """Make the resource. A preview makes it in its draft, and tells no more than was given."""
        token = _token(request.urn)
        with self._answering("Create", token, context) as instance:
            inputs = to_plain(request.properties)
            with self._changing:
                cloud = self._drafted(request.urn) if request.preview else self._undrafted()
                left = self._leftovers.get(request.urn)
                proposal = _proposal(token, request.urn, instance, inputs, left)
                self._refuse_problems(proposal, cloud, meant=not request.preview)
                if left is None:
                    resource = self._made(proposal, instance, cloud)
                else:
                    resource = self._changed(proposal, left, instance)
                    self._adopted.append(request.urn)
                # With what is not known yet, which a proposal leaves out: lacking it would say something else.
                cloud.put(replace(resource, inputs=inputs))
            if request.preview:
                return provider_pb2.CreateResponse(properties=to_struct(inputs))
            return provider_pb2.CreateResponse(id=resource.id, properties=self._state(resource))

    def Read(self, request: provider_pb2.ReadRequest, context: grpc.ServicerContext) -> provider_pb2.ReadResponse:
        """Return what the cloud holds; no id when the resource is gone."""
        token = _token(request.urn)
        with self._answering("Read", token, context) as instance:
            resource = self._found(token, request.id, request.urn, instance)
            if resource is None:
                return provider_pb2.ReadResponse()
            return provider_pb2.ReadResponse(
                id=resource.id, properties=self._state(resource), inputs=to_struct(resource.inputs)
            )

    def Update(
        self, request: provider_pb2.UpdateRequest, context: grpc.ServicerContext
    ) -> provider_pb2.UpdateResponse:
        """Change the resource in place."""
        token = _token(request.urn)
        with self._answering("Update", token, context) as instance:
            inputs = to_plain(request.news)
            if request.preview:
                with self._changing:
                    draft = self._drawn_up()
                    for before in draft.all(token, identity=request.id, region=instance.region, urn=request.urn):
                        draft.put(replace(before, inputs=inputs))
                counted = dict.fromkeys(self._counted(token, to_plain(request.old_inputs), inputs), UNKNOWN)
                return provider_pb2.UpdateResponse(
                    properties=to_struct({**to_plain(request.olds), **inputs, **counted})
                )
            with self._changing:
                proposal = _proposal(token, request.urn, instance, inputs, request.id)
                cloud = self._undrafted()
                self._refuse_problems(proposal, cloud, meant=True)
                changed = self._changed(proposal, request.id, instance)
                cloud.put(changed)
            return provider_pb2.UpdateResponse(properties=self._state(changed))

    def Delete(self, request: provider_pb2.DeleteRequest, context: grpc.ServicerContext) -> Empty:
        """Delete the resource, unless it is protected or something still refers to it."""
        token = _token(request.urn)
        with self._answering("Delete", token, context) as instance:
            with self._changing:
                if self._rules_of(token).deleted_elsewhere and not self._cloud.find(
                    token, value=request.id, region=instance.region
                ):
                    return Empty()
                resource = self._existing(token, request.id, request.urn, instance)
                if token in GENERATORS and not _is_in(resource.outputs, to_plain(request.properties)):
                    # What replaces it has its id, and its place already.
                    return Empty()
                protection = self._rules_of(token).deletion_protection
                if protection is not None and resource.inputs.get(protection):
                    raise Refused(f"{token}: {resource.id} cannot be deleted while {protection} is on")
                users = dependents(resource, self._cloud)
                if users:
                    raise Refused(f"{token}: {resource.id} is still used by {', '.join(user.urn for user in users)}")
                self._undrafted().remove(resource)
            return Empty()

    # What the methods share.

    def _note(self, method: str, token: str, context: grpc.ServicerContext) -> Instance:
        instance = self._instances.get(context.peer(), Instance())
        self.calls.append(Call(method, token, instance.region))
        return instance

    @contextmanager
    def _answering(self, method: str, token: str, context: grpc.ServicerContext) -> Generator[Instance, None, None]:
        """Note the call; turn a refusal into the gRPC error that the engine shows beside the resource."""
        try:
            yield self._note(method, token, context)
        except (Refused, NoSuchType, ValueError) as refusal:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(refusal))

    def _rules_of(self, token: str) -> TypeRules:
        rules = self._rules.get(token)
        if rules is None:
            raise Refused(f"{token}: the offline cloud does not know this type: describe it in offline/rules")
        return rules

    def _named(self, rules: TypeRules, request: provider_pb2.CheckRequest) -> dict[str, Any]:
        """Return the inputs; a resource that needs a name and was given none is named as Pulumi names it."""
        inputs = to_plain(request.news)
        if rules.name is not None and not {rules.name.property, f"{rules.name.property}Prefix"} & inputs.keys():
            old = to_plain(request.olds).get(rules.name.property)
            suffix = hashlib.sha256(request.randomSeed or request.urn.encode()).hexdigest()[:7]
            inputs[rules.name.property] = old or f"{request.urn.rpartition('::')[2]}-{suffix}"
        return inputs

    def _drawn_up(self) -> Cloud:
        """Return the draft."""
        if self._draft is None:
            self._draft = self._cloud.copied()
        return self._draft

    def _drafted(self, urn: str) -> Cloud:
        """Return the draft, without what the resource replaces: its deletion is not announced in a preview."""
        draft = self._drawn_up()
        for replaced in list(draft.all(urn=urn)):
            draft.remove(replaced)
        return draft

    def _undrafted(self) -> Cloud:
        """Return the cloud, for a change that is meant: what a preview drafted before is forgotten."""
        self._draft = None
        return self._cloud

    def _refuse_problems(self, proposal: Proposal, cloud: Cloud, *, meant: bool) -> None:
        found = list(problems(proposal, self._rules_of(proposal.type), cloud, meant=meant))
        if found:
            raise Refused(f"{proposal.type}: " + "; ".join(found))

    def _found(self, token: str, identity: str, urn: str, instance: Instance) -> Resource | None:
        """Return what has the id; of several what has the urn, which is another one after a renaming."""
        found = list(self._cloud.all(token, identity=identity, region=instance.region))
        return next((resource for resource in found if resource.urn == urn), found[0] if found else None)

    def _existing(self, token: str, identity: str, urn: str, instance: Instance) -> Resource:
        resource = self._found(token, identity, urn, instance)
        if resource is None:
            raise Refused(f"{token}: {identity} does not exist in {instance.region}")
        return resource

    def _made(self, proposal: Proposal, instance: Instance, cloud: Cloud) -> Resource:
        rules = self._rules_of(proposal.type)
        generate = GENERATORS.get(proposal.type)
        if generate is not None and proposal.unknown:
            # Only in a preview: a certificate cannot be issued for a key that is not made yet.
            return Resource(
                proposal.type, f"{UNKNOWN} of {proposal.urn}", proposal.urn, proposal.region, proposal.inputs
            )
        if generate is not None:
            generated = generate(proposal.inputs)
            return Resource(
                proposal.type, generated.id, proposal.urn, proposal.region, proposal.inputs, generated.outputs
            )
        values = _template_values(proposal, rules, cloud.count_making(proposal.type, proposal.urn))
        identity = rules.id.format_map(values)
        if UNKNOWN in identity:
            # Of two ids that are not known yet neither is the other.
            identity += f" of {proposal.urn}"
        # Where there are rules for the name, they say what may exist twice: two groups may each have a hook "drain".
        if rules.name is None and cloud.find(proposal.type, value=identity, region=proposal.region) is not None:
            raise Refused(f"{proposal.type}: {identity} exists already")
        values["id"] = identity
        outputs = {
            name: _filled(value, values) for name, value in rules.outputs.items() if name not in proposal.inputs
        }
        for name, by_region in rules.by_region.items():
            if proposal.region not in by_region:
                raise Refused(
                    f"{proposal.type}: offline/rules has no {name} of {proposal.region}: add it, with its source"
                )
            outputs[name] = by_region[proposal.region]
        outputs |= self._tags_all(proposal.type, proposal.inputs, instance)
        return Resource(proposal.type, identity, proposal.urn, proposal.region, proposal.inputs, outputs)

    def _changed(self, proposal: Proposal, identity: str, instance: Instance) -> Resource:
        old = self._existing(proposal.type, identity, proposal.urn, instance)
        outputs = {**old.outputs, **self._tags_all(proposal.type, proposal.inputs, instance)}
        for name in self._counted(proposal.type, old.inputs, proposal.inputs):
            outputs[name] += 1
        return Resource(old.type, old.id, old.urn, old.region, proposal.inputs, outputs)

    def _counted(self, token: str, old: Inputs, new: Inputs) -> list[str]:
        """Return the outputs that count up by this change."""
        changed = {name for name in old.keys() | new.keys() if old.get(name) != new.get(name)}
        return [name for name, ignored in self._rules_of(token).counts.items() if changed - set(ignored)]

    def _tags_all(self, token: str, inputs: Mapping[str, Any], instance: Instance) -> dict[str, Any]:
        # An Auto Scaling group has tags of another form, and gets none of the provider's.
        if "tagsAll" not in output_names(token):
            return {}
        return {"tagsAll": {**instance.default_tags, **inputs.get("tags", {})}}

    def _state(self, resource: Resource) -> Any:
        return to_struct({**resource.outputs, **resource.inputs}, SECRET_OUTPUTS.get(resource.type, ()))


def _token(urn: str) -> str:
    """Return the type of a resource: the last of the types that its URN chains with "$"."""
    return urn.split("::")[2].rpartition("$")[2]


def _is_in(part: Mapping[str, Any], whole: Mapping[str, Any]) -> bool:
    """Say whether every value of the one is a value of the other."""
    return all(whole.get(name) == value for name, value in part.items())


def _parsed(value: Any) -> Any:
    if isinstance(value, str) and value[:1] in ("{", "["):
        return json.loads(value)
    return value


def _forbidden(package: str, inputs: Mapping[str, Any]) -> Iterator[str]:
    if package == "aws" and "region" in inputs:
        yield "region: never set on a resource: the region is the provider's, so that one look at it is enough"


def _proposal(
    token: str, urn: str, instance: Instance, inputs: Mapping[str, Any], identity: str | None = None
) -> Proposal:
    unknown = frozenset(name for name, value in inputs.items() if has_unknown(value))
    known = {name: value for name, value in inputs.items() if name not in unknown}
    return Proposal(token, urn, instance.region, instance.account, known, identity, unknown)


class _Values(dict[str, Any]):
    """What templates are filled with: inputs, what is made up, and the outputs that stand in for missing inputs."""

    def __init__(self, proposal: Proposal, rules: TypeRules, values: Mapping[str, Any]) -> None:
        super().__init__(values)
        self._proposal, self._rules = proposal, rules

    def __missing__(self, name: str) -> Any:
        if name in self._proposal.unknown:
            return UNKNOWN
        if name in self._rules.outputs:
            return _filled(self._rules.outputs[name], self)
        raise Refused(f"{self._proposal.type}: {name} is needed and was not given")


def _template_values(proposal: Proposal, rules: TypeRules, generation: int) -> _Values:
    # The same resource gets the same id in every run, so that two runs can be compared.
    seed = hashlib.sha256(f"{proposal.type} {proposal.urn} {generation}".encode()).hexdigest()
    uuid = f"{seed[:8]}-{seed[8:12]}-4{seed[13:16]}-8{seed[17:20]}-{seed[20:32]}"
    address = ".".join(str(int(seed[index : index + 2], 16)) for index in (0, 2))
    made_up = {
        "region": proposal.region,
        "account": proposal.account,
        **{f"hex{length}": seed[:length] for length in range(1, len(seed) + 1)},
        "uuid": uuid,
        # 198.18.0.0/15 is set aside for tests (RFC 2544): no offline address is ever anybody's.
        "address": f"198.18.{address}",
    }
    return _Values(proposal, rules, {**made_up, **proposal.inputs})


def _filled(template: Any, values: Mapping[str, Any]) -> Any:
    if isinstance(template, dict):
        return {key: _filled(item, values) for key, item in cast(dict[str, Any], template).items()}
    if isinstance(template, (list, tuple)):
        return [_filled(item, values) for item in cast(list[Any], template)]
    return template.format_map(values) if isinstance(template, str) else template


def _differences(old: Any, new: Any, path: str) -> Iterator[tuple[str, int]]:
    """Yield the paths at which two values differ, and how: ADD, DELETE or UPDATE."""
    if old == new:
        return
    if isinstance(old, dict) and isinstance(new, dict):
        before, after = cast(dict[str, Any], old), cast(dict[str, Any], new)
        for key in sorted(before.keys() | after.keys()):
            yield from _differences(before.get(key), after.get(key), f"{path}.{key}")
    elif isinstance(old, list) and isinstance(new, list):
        items, others = cast(list[Any], old), cast(list[Any], new)
        for index in range(max(len(items), len(others))):
            pair = [side[index] if index < len(side) else None for side in (items, others)]
            yield from _differences(pair[0], pair[1], f"{path}[{index}]")
    elif old is None:
        yield path, provider_pb2.PropertyDiff.ADD
    else:
        yield path, provider_pb2.PropertyDiff.DELETE if new is None else provider_pb2.PropertyDiff.UPDATE
