"""Runs the real Pulumi engine on one stack, against the offline cloud.

Everything that it keeps lies in one folder (``.offline`` in the checkout, which git ignores): Pulumi's state, the
cloud, the copies of the stack files. A run that was killed is finished by the next one.
"""

from __future__ import annotations

import fcntl
import importlib
import importlib.metadata
import json
import os
import time
from collections.abc import Callable, Generator, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, cast

import grpc
from pulumi import automation
from pulumi.automation.events import EngineEvent
from pulumi.runtime.proto import provider_pb2_grpc
from semver import VersionInfo

from configs.settings.model import Settings
from configs.settings.parse import SECRETS
from configs.tables.flows import PREFIX_LIST_ENTRIES, Outside
from configs.tables.names import PROJECT
from engine.stack_files import ROOT, lacks_secrets, stack_settings, write_copy
from engine.steps import PACKAGES, SECRET_MARK, Step, Watch
from offline.cloud import GIVEN, Cloud, Resource
from offline.endpoint import aws_endpoint
from offline.language_host import LOOPBACK, program, quick_sdk
from offline.provider import OfflineProvider
from offline.result import OfflineResult
from toolchain.tools import TOOLS, find

SECONDS_TO_END = 20
"""How long an engine whose driver was killed may take to notice that nobody answers it any more; measured: 1."""

OFFLINE_PASSPHRASE = "offline"  # noqa: S105  (there is nothing secret in the offline state)


GARBAGE_PERCENT = 400
"""By how much the engine's memory grows before it looks for garbage (GOGC of Go). It lives for seconds: with Go's own
100 it looks for a twelfth of its time (a preview of `prod`: 2.4 s of processor time instead of 2.2), and with both it
takes less than 0.3 GB."""


class OfflineError(Exception):
    """An offline run cannot start or did not finish; the message says why and what to do."""


class OfflineStack:
    """One stack on the offline cloud."""

    def __init__(
        self,
        stack: str,
        project: Path = ROOT,
        home: Path | None = None,
        run: Callable[[], None] = program,
        checkpoints: bool = True,
    ) -> None:
        """Prepare a stack; nothing is started or written yet.

        Args:
            stack: name of the stack.
            project: folder with the project file and the stack files.
            home: folder to keep state in; ``.offline`` in the project when None.
            run: the program.
            checkpoints: whether the state is written after every step. Off, a killed run cannot be resumed, and
                a run of 400 resources takes 7 s instead of 11.
        """
        self.stack, self._project, self._run = stack, project, run
        self.home = home or project / ".offline"
        self._work = self.home / "work" / stack
        self._checkpoints = checkpoints

    # What can be done with it.

    def preview(self, on_step: Callable[[Step], None] | None = None) -> OfflineResult:
        """Say what ``up`` would do."""
        return self._operate("preview", lambda stack, on_event: stack.preview(on_event=on_event), on_step)

    def up(self, on_step: Callable[[Step], None] | None = None) -> OfflineResult:
        """Deploy."""
        return self._operate("up", lambda stack, on_event: stack.up(on_event=on_event), on_step)

    def refresh(self, on_step: Callable[[Step], None] | None = None) -> OfflineResult:
        """Compare the state with the cloud, and take over what changed there."""
        return self._operate("refresh", lambda stack, on_event: stack.refresh(on_event=on_event), on_step)

    def destroy(self, on_step: Callable[[Step], None] | None = None) -> OfflineResult:
        """Delete everything, in reverse order.

        Raises:
            OfflineError: something is protected; nothing was deleted.
        """
        protected = [resource["urn"] for resource in self.state_resources() if resource.get("protect")]
        if protected:
            names = "\n  ".join(urn.rpartition("::")[2] for urn in protected)
            raise OfflineError(
                f"{self.stack}: nothing was deleted. {len(protected)} resources are protected:\n  {names}\n"
                f"To delete them for good, set mlops-ha:platform.protection to false in Pulumi.{self.stack}.yaml, "
                "run `up`, then `destroy` again."
            )
        return self._operate("destroy", lambda stack, on_event: stack.destroy(on_event=on_event), on_step)

    def export(self) -> dict[str, Any]:
        """Return the state, secrets encrypted, as ``pulumi stack export`` gives it; empty before the first run."""
        path = self._state_file()
        return json.loads(path.read_text())["checkpoint"]["latest"] or {} if path.is_file() else {}

    def state_resources(self) -> list[dict[str, Any]]:
        """Return the resources of the state."""
        return cast(list[dict[str, Any]], self.export().get("resources", []))

    def cloud(self) -> Cloud:
        """Open the cloud that this stack shares with the others of its home."""
        return Cloud(self.home / "cloud.sqlite")

    # How.

    def _state_file(self) -> Path:
        return self.home / "state" / ".pulumi" / "stacks" / PROJECT / f"{self.stack}.json"

    @contextmanager
    def _alone(self) -> Generator[None, None, None]:
        """Hold the stack: the lock goes with the process, however that ends."""
        self.home.mkdir(parents=True, exist_ok=True)
        with (self.home / f"{self.stack}.lock").open("a+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                lock.seek(0)
                holder = lock.read().strip() or "?"
                raise OfflineError(
                    f"{self.stack}: process {holder} is working on this stack. Wait for it, or end it."
                ) from None
            lock.truncate(0)
            lock.write(str(os.getpid()))
            lock.flush()
            yield

    def _locks(self) -> list[Path]:
        """Return the engine's own locks on the stack; we hold ours, so that they are those of a killed run."""
        return list((self.home / "state" / ".pulumi" / "locks").glob(f"*/{PROJECT}/{self.stack}/*.json"))

    def _await_orphaned_engines(self) -> None:
        """Wait until no engine of a killed run is left."""
        deadline = time.monotonic() + SECONDS_TO_END
        for path in self._locks():
            pid = json.loads(path.read_text())["pid"]
            while _runs(pid) and path.exists():
                if time.monotonic() > deadline:
                    raise OfflineError(f"{self.stack}: a Pulumi engine (process {pid}) still works on it. End it.")
                time.sleep(0.1)

    def _operate(
        self,
        operation: str,
        action: Callable[[automation.Stack, Callable[[EngineEvent], None]], object],
        on_step: Callable[[Step], None] | None,
    ) -> OfflineResult:
        settings = stack_settings(self._project, self.stack)
        started = time.monotonic()
        result = OfflineResult(self.stack, operation)
        with ExitStack() as held:
            held.enter_context(self._alone())
            cloud = self.cloud()
            held.callback(cloud.close)
            bring(settings, cloud)
            self._await_orphaned_engines()
            self._repair()
            # Before anything is forgotten, so that a run that is killed does not turn it into a leftover.
            before = self.state_resources()
            cloud.note_retained(
                (resource["urn"], resource["id"]) for resource in before if resource.get("retainOnDelete")
            )
            orphans, _ = self._unknown(cloud, before)
            leftovers = {resource.urn: resource.id for resource in orphans}
            stack = self._opened(held, cloud, leftovers, result)
            watch = Watch(result, {resource["urn"]: resource for resource in before}, on_step)
            try:
                action(stack, watch)
            except automation.CommandError as failure:
                result.errors = watch.errors or [str(failure)]
            after = self.state_resources()
            if result.ok and operation == "up":
                result.outputs = _plain_outputs(after)
            orphans, kept = self._unknown(cloud, after)
            result.orphans, result.kept = [one.urn for one in orphans], [one.urn for one in kept]
        result.seconds = time.monotonic() - started
        return result

    def _opened(
        self, held: ExitStack, cloud: Cloud, leftovers: Mapping[str, str], result: OfflineResult
    ) -> automation.Stack:
        providers = offline_providers(cloud, leftovers, result.adopted)
        result.calls = {package: provider.calls for package, provider in providers.items()}
        variables = {"PULUMI_HOME": str(self.home / "pulumi"), "GOGC": str(GARBAGE_PERCENT)}
        if not self._checkpoints:
            variables |= {"PULUMI_EXPERIMENTAL": "true", "PULUMI_SKIP_CHECKPOINTS": "true"}
        held.enter_context(offline_environment(cloud, providers, self.home / "state", variables))
        write_copy(self._project, self.stack, self._work)
        held.enter_context(quick_sdk())
        _forget_callbacks()
        stack = automation.create_or_select_stack(
            self.stack,
            project_name=PROJECT,
            program=self._run,
            opts=automation.LocalWorkspaceOptions(work_dir=str(self._work), pulumi_command=_Engine()),
        )
        _ask_nothing(stack)
        if self._locks():
            stack.cancel()
        if lacks_secrets(self.stack, self._work):
            stack.set_all_config({name: automation.ConfigValue(f"offline-{name}", secret=True) for name in SECRETS})
        return stack

    def _repair(self) -> None:
        """Remove what a killed engine left half written: the attributes that the file backend keeps beside a file.

        The state itself is written aside and renamed, and is always whole.
        """
        for path in (self.home / "state" / ".pulumi").glob("**/*.attrs"):
            if self.stack not in path.parts and not path.name.startswith(f"{self.stack}."):
                continue
            try:
                json.loads(path.read_text())
            except json.JSONDecodeError:
                path.unlink()

    def _unknown(self, cloud: Cloud, known: Iterable[Mapping[str, Any]]) -> tuple[list[Resource], list[Resource]]:
        """Return what exists of this stack and its state does not know: what a killed run made, and what was kept."""
        identities = {(resource["urn"], resource.get("id")) for resource in known}
        retained, prefix = cloud.retained(), f"urn:pulumi:{self.stack}::"
        orphans, kept = list[Resource](), list[Resource]()
        for one in cloud.all():
            if one.urn.startswith(prefix) and (one.urn, one.id) not in identities:
                (kept if (one.urn, one.id) in retained else orphans).append(one)
        return orphans, kept


def _plain_outputs(resources: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the stack's outputs as its state has them, without those that hold a secret."""
    [stack] = [resource for resource in resources if resource["type"] == "pulumi:pulumi:Stack"]
    return {name: value for name, value in stack.get("outputs", {}).items() if SECRET_MARK not in json.dumps(value)}


class _Engine(automation.PulumiCommand):
    """The engine that was found, of which is known that it is no older than this: to ask it would take 0.2 s."""

    def __init__(self) -> None:
        """Find it."""
        self.command = str(find("pulumi"))
        self.version = VersionInfo.parse(TOOLS["pulumi"].version)


def _ask_nothing(stack: automation.Stack) -> None:
    """Keep the SDK from asking for outputs and history after a run, which takes 1 s: both are in the state's file."""
    unasked: Any = stack
    unasked.outputs, unasked.info = dict, _no_summary


def _no_summary(_show_secrets: bool) -> str:
    """Stand for what the history says of a run."""
    return ""


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def bring(settings: Settings, cloud: Cloud) -> None:
    """Put into the cloud what the owner of the account brings, and what AWS itself keeps there."""
    zone = "aws:route53/zone:Zone"
    cloud.put(Resource(zone, settings.hosted_zone_id, GIVEN, "everywhere", {"name": settings.domain}))
    for location in (settings.regions.primary, settings.regions.standby):
        cloud.put(Resource("aws:ec2/ami:Ami", location.image_id, GIVEN, location.name))
        cloud.put(
            Resource(
                "aws:ec2/managedPrefixList:ManagedPrefixList",
                location.health_checkers_prefix_list_id,
                GIVEN,
                location.name,
                {
                    "name": f"com.amazonaws.{location.name}.route53-healthchecks",
                    "maxEntries": PREFIX_LIST_ENTRIES[Outside.HEALTH_CHECKERS],
                },
            )
        )


def offline_providers(cloud: Cloud, leftovers: Mapping[str, str], adopted: list[str]) -> dict[str, OfflineProvider]:
    """Return the providers of all packages over one cloud, see ``OfflineProvider``."""
    return {
        package: OfflineProvider(package, importlib.metadata.version(f"pulumi-{package}"), cloud, leftovers, adopted)
        for package in PACKAGES
    }


@contextmanager
def offline_environment(
    cloud: Cloud, providers: Mapping[str, OfflineProvider], state: Path, variables: Mapping[str, str]
) -> Generator[None, None, None]:
    """Serve the cloud while the block runs, and make this process' environment point the engine and the SDKs at it.

    Args:
        cloud: the cloud.
        providers: its providers, by package.
        state: folder of the file backend; made when missing.
        variables: what is to be in the environment besides.
    """
    state.mkdir(parents=True, exist_ok=True)
    before = dict(os.environ)
    with ExitStack() as held:
        ports = [f"{package}:{held.enter_context(_served(provider))}" for package, provider in providers.items()]
        # An engineer's own account, profile or proxy has no part in this.
        for name in [name for name in before if name.startswith("AWS_")]:
            del os.environ[name]
        os.environ.update(
            {
                "AWS_ACCESS_KEY_ID": "offline",
                "AWS_CONFIG_FILE": os.devnull,
                "AWS_EC2_METADATA_DISABLED": "true",
                "AWS_ENDPOINT_URL": held.enter_context(aws_endpoint(cloud)),
                "AWS_SECRET_ACCESS_KEY": "offline",
                "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
                "NO_PROXY": "127.0.0.1",
                "no_proxy": "127.0.0.1",
                "PATH": f"{find('pulumi').parent}{os.pathsep}{before.get('PATH', '')}",
                "PULUMI_BACKEND_URL": state.as_uri(),
                "PULUMI_CONFIG_PASSPHRASE": OFFLINE_PASSPHRASE,
                "PULUMI_DEBUG_PROVIDERS": ",".join(ports),
                # Otherwise an operation on an existing state first tries to fetch plugins, for seconds.
                "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
                "PULUMI_SKIP_UPDATE_CHECK": "true",
                **variables,
            }
        )
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)


@contextmanager
def _served(provider: OfflineProvider) -> Generator[int, None, None]:
    """Serve a provider while the block runs; gives its port."""
    # The engine asks for as many resources at once as do not wait for each other.
    server = grpc.server(ThreadPoolExecutor(max_workers=16))
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(provider, server)
    port = server.add_insecure_port(LOOPBACK)
    server.start()
    try:
        yield port
    finally:
        server.stop(grace=None).wait()


def _forget_callbacks() -> None:
    """Forget the callback servers of earlier runs in this process.

    The SDK shuts them down at the end of a run, and would do so again in the next, in the wrong loop.
    """
    callbacks: Any = importlib.import_module("pulumi.runtime._callbacks")
    callbacks._CallbackServicer._servicers.clear()
