"""What stands in a bundle: the parts of its manifest, and the files.

The form is the boot agent's contract: a change of meaning raises ``FORMAT``.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict

from configs.nodes import NodeRole
from configs.tables.names import Service as ServiceName
from configs.tables.versions import Software

FORMAT = 2
"""Version of the bundle's form. An agent refuses a form that it does not know, and says so in its report."""


class Part(BaseModel):
    """A part of a bundle."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class File(Part):
    """A file, as lines: a change shows as the lines that change. ``mode`` is in octal digits.

    Every file of a bundle belongs to root; secrets, which do not, are no part of it.
    """

    lines: tuple[str, ...]
    mode: str = "0644"

    @classmethod
    def of(cls, text: str, mode: str = "0644") -> File:
        """Return a text as a file. It must end with a line's end, as files do.

        Raises:
            ValueError: it does not.
        """
        if not text.endswith("\n"):
            raise ValueError("a file ends with a line's end")
        return cls(lines=tuple(text[:-1].split("\n")), mode=mode)

    @property
    def text(self) -> str:
        """The file as it lies on the node."""
        return "".join(f"{line}\n" for line in self.lines)


class Peer(Part):
    """A server of the region."""

    name: str
    address: str


class Mount(Part):
    """A disk: a volume by its device, or an EFS file system by its id."""

    kind: Literal["volume", "efs"]
    source: str
    path: str


class Directory(Part):
    """A folder that a service writes to. ``owner`` is an account's name, ``mode`` is in octal digits."""

    path: str
    owner: str
    mode: str = "0750"


class SecretFile(Part):
    """A file made of fields of a secret.

    ``text`` is what goes into it, with ``${field}`` for a field (Python's string.Template, where ``$$`` is a dollar);
    None: the whole secret as it is.
    """

    path: str
    text: str | None
    owner: str = "root"
    mode: str = "0400"


class Secret(Part):
    """A secret, by name or ARN, and what of it is written where.

    A ``certificate`` is exported from AWS Certificate Manager; its fields are ``publicCertificate``, with the chain,
    and ``publicPrivateKey``.
    """

    kind: Literal["secret", "certificate"] = "secret"
    id: str
    files: tuple[SecretFile, ...]


class Metric(Part):
    """A CloudWatch metric."""

    namespace: str
    name: str
    dimensions: dict[str, str]


class HeldCertificate(Part):
    """A certificate on the node, and the metric of the days that it has left."""

    path: str
    metric: Metric


class Probe(Part):
    """How a service says that it is well, on the node itself: an HTTP answer 200, or that it takes a connection.

    ``https`` is asked with the certificate of the node's role; whose certificate answers is not looked at, because
    the answer comes from the node itself.
    """

    kind: Literal["http", "https", "tcp"]
    port: int
    path: str = ""


class ServiceKind(StrEnum):
    """How a service runs."""

    BINARY = "binary"
    """A program of the host, taken out of its image."""
    CONTAINER = "container"
    """A container on the host's network."""


class Service(Part):
    """A service of the node. How it is started stands in its systemd unit, which is one of the files.

    A changed file or secret in ``reloads`` is taken in by ``systemctl reload``, one in ``restarts`` by a restart; the
    unit itself and the program are in neither, and need a restart always.
    """

    name: str
    """Its unit is ``mlops-ha-<name>.service``."""
    kind: ServiceKind
    software: Software
    """What the list of images calls it."""
    version: str
    program: str
    """Of a binary, where it lies in its image; it is put into the folder of programs under its own name."""
    restarts: tuple[str, ...]
    reloads: tuple[str, ...]
    probe: Probe


class Snapshot(Part):
    """A service whose state the server that leads it keeps in S3.

    The service is asked on the node itself, over TLS with the role's own certificate.
    """

    service: ServiceName
    address: str
    port: int
    self_path: str
    """What the service says of itself, as JSON."""
    leader: tuple[str, ...]
    """Where in that it says ``"true"`` when this server leads."""
    path: str
    """The snapshot."""
    header: str
    """Header that the token goes into."""
    token: str
    """File with the token that administers the service: no lesser one may take a snapshot."""
    ca: str
    certificate: str
    private_key: str
    bucket: str
    key: str
    seconds: int
    """Between two snapshots."""


class Fence(Part):
    """The failover switch, and the file that is there while users are let in."""

    url: str
    path: str


class View(Part):
    """What the primary region's users see: health is asked where they ask."""

    url: str


class Call(Part):
    """A call of a service's API that makes what is to be there: done until what is there is what is to be.

    The API is asked on the node itself, over TLS with the role's own certificate and the management token.

    1. ``read`` is got. 404 says that nothing is there, and of Consul 403 with ``ACL not found`` too (any other 403
       is a fault). A list in answer is searched for those whose ``Description`` is the body's: the one with the
       lowest ``CreateIndex`` is what is there, the others are deleted at ``write``/``<id>`` (several servers made
       them at once; 404 says that another has deleted it already).
    2. If nothing is there, ``body`` goes to ``write``.
    3. If all of ``compared`` is there, it is done: no write. Objects may have more keys in what is there than in the
       body, lists are as long as the body's and in its order.
    4. Otherwise ``body`` goes to ``write`` for Nomad, and for Consul to ``write``/``<id>``, where the id is what is
       there's ``AccessorID``, ``ID`` or ``Name``: the first that it has. Consul never changes the ``SecretID`` of a
       token: where that differs, ``write``/``<id>`` is deleted and the token is made anew, as by 2.

    An answer other than 200 to a write, as when another server was first, is no end: all is done again from 1.
    """

    service: Literal[ServiceName.CONSUL, ServiceName.NOMAD]
    name: str
    """What it makes, for messages: ``policy worker``."""
    read: str
    """Path that answers what is there now."""
    write: str
    """Path that is given ``body`` by PUT (Consul) or POST (Nomad)."""
    body: str
    """JSON, with ``${field}`` for a field of the role's secret (Python's string.Template, where ``$$`` is a dollar).

    All fields stand within strings: a value is filled in as JSON writes it there, ``json.dumps(value)[1:-1]``,
    because a certificate has several lines.
    """
    compared: tuple[str, ...]
    """Keys of the body that must be the same in what is there."""


class NamedToken(Part):
    """A token of Nomad, which gives tokens their secret itself: the oldest of its name counts, the others go.

    Its secret is written into a file.
    """

    name: str
    policies: tuple[str, ...]
    path: str
    owner: str
    mode: str = "0400"
    text: str = "${secret}"
    """What goes into the file."""


class Access(Part):
    """What a server does for the region's access control, together with the others and in this order.

    Nomad's management token is made valid first (``acl bootstrap`` with the secret that is known already), Consul's
    is by its own configuration.
    """

    consul: tuple[Call, ...]
    nomad: tuple[Call, ...]
    nomad_tokens: tuple[NamedToken, ...]


class Quorum(Part):
    """What says that the group is whole: autopilot of each scheduler, asked on the node itself.

    Both answer with ``Healthy`` and ``Servers``, each with ``Healthy`` and ``Voter``.
    """

    service: Literal[ServiceName.CONSUL, ServiceName.NOMAD]
    port: int
    path: str
    header: str
    token: str
    """File with a token that may ask."""


class Turn(Part):
    """The lock that a server holds while it restarts something: an object of S3, written only if it is not there."""

    bucket: str
    key: str


class Drain(Part):
    """How a worker that Auto Scaling takes away ends.

    Stopping ``unit`` drains it. Meanwhile the lifecycle hook of the group is kept waiting, then completed.
    """

    group: str
    hook: str
    unit: str
    seconds: int
    """Longest that the drain takes."""


class Manifest(Part):
    """What the node is, and what runs on it."""

    format: Literal[2] = FORMAT
    node: str
    role: NodeRole
    address: str | None
    """None for workers, whose bundle is one for all."""
    region: str
    datacenter: str
    """Consul's."""
    serving: bool
    """Whether users are served here: the load balancers of a standby answer with their health and a 503 page."""
    servers: tuple[Peer, ...]
    packages: tuple[str, ...]
    """Packages of the distribution that must be there."""
    images: str
    """Where the list of images is, as a URL of S3."""
    registry: str
    """Host of the account's image registry in the region."""
    mounts: tuple[Mount, ...]
    directories: tuple[Directory, ...]
    secrets: tuple[Secret, ...]
    certificates: tuple[HeldCertificate, ...]
    services: tuple[Service, ...]
    """In the order in which they start."""
    access: Access | None
    """None but for servers."""
    quorum: tuple[Quorum, ...]
    """Empty but for servers: other nodes are healthy when their services are."""
    turn: Turn | None
    """None but for servers: what others do is no quorum's business."""
    drain: Drain | None
    """None but for workers."""
    snapshots: tuple[Snapshot, ...]
    fence: Fence | None
    """None but for the primary region's load balancers: where the switch sends users, nobody is kept away."""
    watch: View | None
    """None but for the standby region's servers; and with the edge on, which lets in only administrators besides."""


class Bundle(Part):
    """A manifest, and the files by path."""

    manifest: Manifest
    files: dict[str, File]
