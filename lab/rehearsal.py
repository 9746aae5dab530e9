"""A bad day rehearsed on one machine: the commands of `ops/` typed in a checkout, against stand-ins for both regions.

The engine, its command line, the program and the commands are the real ones. What stands in: the offline providers
over the offline cloud, AWS's APIs by moto over the same cloud, a load balancer a region that answers what the
commands ask, and a name server that follows the records and health checks that the stacks declare.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any, cast

import botocore.session

from aws_rules.record_tree import SWITCH
from configs.nodes import NodeRole, bundle_key
from configs.tables.flows import Role
from configs.tables.names import BUNDLES_BUCKET, SWITCH_BUCKET, SWITCH_KEY, Names, PublicNames
from configs.tables.secrets import (
    CA_CERTIFICATE,
    CONSUL_MANAGEMENT_TOKEN,
    NOMAD_MANAGEMENT_TOKEN,
    PROMETHEUS_PASSWORD,
    PROMETHEUS_USER,
    PUBLIC_CERTIFICATE,
    PUBLIC_PRIVATE_KEY,
)
from engine.stack_files import ROOT, STACKS, stack_settings, write_copy
from engine.tokens import OBJECT
from lab.account import Account, account
from lab.doors import Credentials, Door, ServerCertificate, open_door
from lab.names import name_server
from offline import objects
from offline.cloud import Cloud
from offline.declared import declared_tree
from offline.engine import offline_environment, offline_providers
from offline.language_host import language_host
from offline.provider import Call

Calls = Mapping[str, Sequence[Call]]

LEFT_OUT = (".*", "tests", "bench", "docs", "__pycache__", "*.egg-info")
"""What a checkout does not need for its commands."""

ADDRESSES = ("127.0.1.1", "127.0.2.1")
"""Loopback addresses of the primary and of the standby region's load balancer: one port serves both."""


class Rehearsal:
    """The stage. Whatever is changed takes effect with the next question.

    Attributes:
        checkout: where the commands are typed.
        home: the offline cloud and the states of both stacks.
        account: AWS's APIs.
        doors: the load balancers, the primary region's first, by region.
        calls: what the engine asked of each package's provider.
    """

    def __init__(self, checkout: Path, home: Path, cloud: Cloud, served: Account, calls: Calls) -> None:
        """Read the names, the certificate and the declared records; open nothing yet."""
        self.checkout, self.home, self.account, self.calls = checkout, home, served, calls
        settings = stack_settings(checkout, STACKS[0])
        self._cloud, self._tree = cloud, declared_tree(cloud)
        self._public_names = PublicNames(settings.domain)
        regions = (settings.regions.primary.name, settings.regions.standby.name)
        self._primary, self._standby = (Names(settings.name, settings.account_id, region) for region in regions)
        balancer, server = (
            _document(served, self._standby, role) for role in (Role.LOAD_BALANCER, Role.CONTROL_PLANE)
        )
        self._certificate = ServerCertificate(
            authority=balancer[CA_CERTIFICATE],
            certificate=balancer[PUBLIC_CERTIFICATE],
            private_key=balancer[PUBLIC_PRIVATE_KEY],
        )
        credentials = Credentials(
            consul_token=server[CONSUL_MANAGEMENT_TOKEN.name],
            nomad_token=server[NOMAD_MANAGEMENT_TOKEN.name],
            prometheus=(PROMETHEUS_USER, balancer[PROMETHEUS_PASSWORD.name]),
        )
        self.doors = {
            region: Door(
                self._public_names,
                region,
                credentials,
                address=address,
                look=self._look,
            )
            for region, address in zip(regions, ADDRESSES, strict=True)
        }
        self._open = dict[str, ExitStack]()

    def cloud(self) -> Cloud:
        """Open the offline cloud, to change it."""
        return Cloud(self.home / "cloud.sqlite")

    def open(self, region: str) -> None:
        """Let a region's load balancer answer, on the port that they all have."""
        ports = {door.https_port for door in self.doors.values()} - {0}
        held = ExitStack()
        held.enter_context(open_door(self.doors[region], self._certificate, max(ports, default=0)))
        self._open[region] = held

    def close(self, region: str) -> None:
        """Let a region's load balancer refuse every connection."""
        if region in self._open:
            self._open.pop(region).close()

    def lose_the_primary(self) -> None:
        """Take the primary region away: its APIs, its load balancer, and what the standby's servers see of it."""
        self.account.dark_regions.add(self._primary.region)
        self.close(self._primary.region)
        objects.PRIMARY_ANSWERS = False

    def give_the_primary_back(self) -> None:
        """Let the primary region return by itself, as it was."""
        self.account.dark_regions.discard(self._primary.region)
        self.open(self._primary.region)
        objects.PRIMARY_ANSWERS = True

    @property
    def switch_written(self) -> bool:
        """Whether the failover switch is written."""
        return self.account.holds(self._standby.bucket(SWITCH_BUCKET), SWITCH_KEY)

    def addresses(self, name: str) -> Sequence[str] | None:
        """Return what DNS answers: by Route 53's rules, from the declared tree and what its checkers would see."""
        for region, door in self.doors.items():
            if name in self._public_names.all_regional(region):
                return (door.address,)
        if name not in self._public_names.all_public():
            return None
        statuses = {
            check: self.switch_written if asked == SWITCH else self._healthy(asked)
            for check, asked in self._tree.asks.items()
        }
        return (self.doors[self._tree.answer(name, statuses)].address,)

    def _healthy(self, name: str) -> bool:
        [region] = [region for region in self.doors if name in self._public_names.all_regional(region)]
        return region in self._open and not self._fenced(region)

    def _look(self, door: Door) -> None:
        door.serving, door.fenced = self._serves(door.region), self._fenced(door.region)

    def _serves(self, region: str) -> bool:
        """Say whether a region's load balancers are told to serve, by the bundle that they have."""
        names = self._primary if region == self._primary.region else self._standby
        key = f"{names.bucket(BUNDLES_BUCKET)}/{bundle_key(NodeRole.HAPROXY)}"
        found = self._cloud.find(OBJECT, value=key, region=region)
        return bool(found and json.loads(found.attribute("content"))["manifest"]["serving"])

    def _fenced(self, region: str) -> bool:
        return region == self._primary.region and self.switch_written


@contextmanager
def rehearsal(
    home: Path, checkout: Path, host: Callable[[], AbstractContextManager[int]] = language_host
) -> Generator[Rehearsal]:
    """Set the stage while the block runs; commands that are started meanwhile find it by the environment.

    Args:
        home: a folder of the offline engine in which both stacks are deployed.
        checkout: a folder to make, which becomes the checkout that commands are typed in.
        host: serves the language host that runs the program, with the environment of when it is called.
    """
    _write_checkout(home, checkout)
    before = objects.PRIMARY_ANSWERS
    with ExitStack() as held:
        cloud = Cloud(home / "cloud.sqlite")
        held.callback(cloud.close)
        served = held.enter_context(account(cloud))
        providers = offline_providers(cloud, {}, [])
        variables = {
            "AWS_ENDPOINT_URL": served.url,
            "HOME": str(home),
            # The state is not written after every step: it would take most of the time.
            "PULUMI_EXPERIMENTAL": "true",
            "PULUMI_SKIP_CHECKPOINTS": "true",
        }
        held.enter_context(offline_environment(cloud, providers, home / "state", variables))
        os.environ["PULUMI_DEBUG_LANGUAGES"] = f"python:{held.enter_context(host())}"
        stage = Rehearsal(checkout, home, cloud, served, {name: one.calls for name, one in providers.items()})
        address, dns_port = held.enter_context(name_server(stage.addresses))
        for region in stage.doors:
            stage.open(region)
            held.callback(stage.close, region)
        os.environ["MLOPS_HA_RESOLVER"] = f"{address}:{dns_port}"
        os.environ["MLOPS_HA_HTTPS_PORT"] = str(max(door.https_port for door in stage.doors.values()))
        objects.PRIMARY_ANSWERS = True
        try:
            yield stage
        finally:
            objects.PRIMARY_ANSWERS = before


def _document(served: Account, names: Names, reader: Role) -> dict[str, str]:
    client: Any = cast(Any, botocore.session.Session()).create_client(
        "secretsmanager", region_name=names.region, endpoint_url=served.url
    )
    return json.loads(client.get_secret_value(SecretId=names.secret(reader))["SecretString"])


def _write_checkout(home: Path, checkout: Path) -> None:
    shutil.copytree(ROOT, checkout, ignore=shutil.ignore_patterns(*LEFT_OUT))
    for stack in STACKS:
        # The stack file as it is, with the salt and the secrets of the state: other settings may lie there.
        shutil.copy(home / "work" / stack / f"Pulumi.{stack}.yaml", checkout)
        write_copy(ROOT, stack, checkout)
