"""A service of a node as its own folder describes it: its systemd unit and its line in the manifest."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from configs.manifest import Directory, File, Probe, SecretFile, Service, ServiceKind
from configs.tables.accounts import Account
from configs.tables.flows import NODE_HTTP
from configs.tables.paths import (
    CONFIGURATION,
    NODE_ENVIRONMENT,
    PROGRAMS,
    SECRETS,
    image_environment,
    secret,
    unit,
)
from configs.tables.secrets import CA_CERTIFICATE, CERTIFICATE, PRIVATE_KEY
from configs.tables.versions import Software
from configs.text import template

OPEN_FILES = 65536
"""Files and connections that a service may have open: HAProxy's 4,096 connections have two sockets each, Nomad and
Consul ask for tens of thousands (https://developer.hashicorp.com/nomad/docs/deploy/production/requirements)."""

BIND = "CAP_NET_BIND_SERVICE"
"""Capability to listen on ports below 1024."""

_CONTROL = re.compile(r"[\x01-\x1f\x7f]")
"""Characters that would end a line of a unit, or not be seen in it."""

STOP_SECONDS = 30
"""Time that a service has to end before it is killed: longer than a Raft server needs to hand its lead on."""


@dataclass(frozen=True)
class NodeService:
    """One service of one node.

    ``software`` says what runs and ``version`` which; a binary is ``program`` in its image. ``arguments`` are those
    of the program, or of the image's own entry point; ``$`` in them is systemd's: ``${NODE_NAME}`` is filled from the
    node's environment. In the values of ``environment`` it is an ordinary character. ``files`` are by path.

    A container sees the service's own configuration, secrets and ``directories``, and ``mounts`` (read only). It runs
    as ``account``, and a binary too, with no capability but ``capabilities``. Docker gives none to such an account:
    for CAP_NET_BIND_SERVICE, the only one that a container may have, the machine opens its low ports to all of them.

    ``public_certificate`` is where the certificate of the public names goes, with its chain and then its key,
    wherever it comes from; its ``text`` does not matter.

    ``needs`` are files that somebody else leaves: it is not started before they are there, and restarted when they
    change. ``reload`` is the signal by which the service takes in what changed in ``reloads`` (paths of files and
    secrets); everything else restarts it. ``restart_signal`` ends a binary for a restart, where a stop does
    more than that.
    """

    name: str
    software: Software
    version: str
    kind: ServiceKind
    account: Account
    probe: Probe
    program: str = ""
    arguments: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    environment_files: tuple[str, ...] = ()
    files: Mapping[str, File] = field(default_factory=dict[str, File])
    secrets: tuple[SecretFile, ...] = ()
    public_certificate: SecretFile | None = None
    needs: tuple[str, ...] = ()
    directories: tuple[Directory, ...] = ()
    mounts: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    reload: str | None = None
    reloads: tuple[str, ...] = ()
    stop_signal: str = "SIGTERM"
    restart_signal: str | None = None
    stop_seconds: int = STOP_SECONDS

    @property
    def manifest(self) -> Service:
        """Its line in the manifest."""
        everything = sorted([*self.files, *self._secret_paths, *self.needs])
        return Service(
            name=self.name,
            kind=self.kind,
            software=self.software,
            version=self.version,
            program=self.program,
            restarts=tuple(path for path in everything if path not in self.reloads),
            reloads=tuple(sorted(self.reloads)),
            probe=self.probe,
        )

    @property
    def unit(self) -> tuple[str, File]:
        """Path and text of its systemd unit."""
        return unit(self.name), File.of(
            template(
                "configs",
                "unit.service.j2",
                service=self,
                container=self.kind is ServiceKind.CONTAINER,
                command=f"{PROGRAMS}/{self.program.rpartition('/')[2]}",
                arguments=[_quoted(argument) for argument in self.arguments],
                environment=[_quoted(f"{name}={value}") for name, value in self._environment],
                environment_files=(NODE_ENVIRONMENT, *self.environment_files),
                image_environment=image_environment(self.name),
                open_files=OPEN_FILES,
                lowest_port=NODE_HTTP.port if BIND in self.capabilities else None,
                read_only=sorted({*self._own_folders, *self.mounts}),
            )
        )

    @property
    def _environment(self) -> list[tuple[str, str]]:
        """A container's stands in its command line, where a dollar sign is systemd's."""
        dollar = "$$" if self.kind is ServiceKind.CONTAINER else "$"
        return [(name, value.replace("$", dollar)) for name, value in sorted(self.environment.items())]

    @property
    def _secret_paths(self) -> list[str]:
        public = [] if self.public_certificate is None else [self.public_certificate]
        return [file.path for file in (*self.secrets, *public)]

    @property
    def _own_folders(self) -> list[str]:
        folders = (f"{CONFIGURATION}/{self.name}", f"{SECRETS}/{self.name}")
        paths = [*self.files, *self._secret_paths]
        return [folder for folder in folders if any(path.startswith(f"{folder}/") for path in paths)]


def _quoted(text: str) -> str:
    """Return a text as systemd reads it back: a percent sign is its own, a dollar sign stays one to it.

    https://www.freedesktop.org/software/systemd/man/latest/systemd.syntax.html, "Quoting".
    """
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    whole = _CONTROL.sub(lambda found: rf"\x{ord(found[0]):02x}", escaped)
    return f'"{whole}"'


def tls_files(service: str, account: Account) -> tuple[SecretFile, SecretFile, SecretFile]:
    """Return a service's own copy of the authority's certificate, the role's certificate, and the key to it.

    They are ``ca.pem``, ``certificate.pem`` and ``private-key.pem`` among the service's secrets: only its account
    reads them.
    """
    authority, certificate, private_key = (
        SecretFile(path=secret(service, name), text=f"${{{key}}}", owner=account.name)
        for name, key in (
            ("ca.pem", CA_CERTIFICATE),
            ("certificate.pem", CERTIFICATE),
            ("private-key.pem", PRIVATE_KEY),
        )
    )
    return authority, certificate, private_key
