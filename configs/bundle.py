"""What a node gets: one text from which its boot agent makes it what it is to be.

First version. A bundle names the node's disks, its certificates and one service, node exporter, which needs no
configuration; a control-plane node also gets the autoscaler's policy. The other services of a node come with a later
release, and nothing here pretends otherwise: what nobody uses yet is left out.

What a failover needs of a node is in it (docs/adr/0017): the servers keep snapshots, those of the standby region look
whether the primary serves, and the primary's load balancers ask for the failover switch.

No secret is in a bundle, only where it is to be fetched.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict

from configs.node_policies import certificate_arn
from configs.nodes import SNAPSHOT_MINUTES, Node, NodeRole, control_plane, snapshot_key
from configs.nomad_autoscaler.policy import POLICY_FILE, worker_policy
from configs.settings.model import InternalCertificates, SecretCertificates, Settings
from configs.tables.certificates import LOOPBACK_ADDRESS, Certificate
from configs.tables.flows import NODE_EXPORTER
from configs.tables.metrics import CERTIFICATE_DAYS, CERTIFICATE_DIMENSION, NAMESPACE
from configs.tables.names import (
    BACKUPS_BUCKET,
    HEALTH_PATH,
    SWITCH_BUCKET,
    SWITCH_KEY,
    Names,
    PublicNames,
)
from configs.tables.names import Service as ServiceName
from configs.tables.schedulers import SCHEDULERS
from configs.tables.secrets import (
    CA_CERTIFICATE,
    CERTIFICATE,
    CONSUL_MANAGEMENT_TOKEN,
    NOMAD_MANAGEMENT_TOKEN,
    PRIVATE_KEY,
    PUBLIC_CERTIFICATE,
    PUBLIC_PRIVATE_KEY,
)
from configs.tables.versions import Software

FORMAT = 1
"""Version of the bundle's form. An agent refuses a form that it does not know, and says so in its report."""

SECRETS = "/run/mlops-ha"
"""Folder of secrets on a node. ``/run`` is memory: what is in there is gone with the machine."""

DATA_DEVICE = "/dev/sdf"
"""The data volume of a server: the first name that EC2 recommends for one
(https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/device_naming.html)."""

DATA_PATH = "/opt/data"
"""Where the data volume is mounted."""

ML_DATA_PATH = "/opt/ml-data"
"""Where workers mount the shared file system."""

FENCE_PATH = "/run/mlops-ha-fence"
"""Where a load balancer reads whether users are kept away, ``fenced`` or ``open``. Outside of the folder of secrets:
HAProxy and Nginx read it as users of their own."""

SNAPSHOT_SECONDS = (SNAPSHOT_MINUTES - 1) * 60
"""Between two snapshots by one server: a minute is left for the look that is due, the copy and a second try."""


@dataclass(frozen=True)
class BundleFacts:
    """What only AWS knows. The database's address is for PgBouncer, which comes with a later release."""

    database_address: str
    file_system_id: str


class Part(BaseModel):
    """A part of a bundle."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class File(Part):
    """A file, as lines: a change shows as the lines that change. ``mode`` is in octal digits."""

    lines: tuple[str, ...]
    mode: str = "0644"


class Peer(Part):
    """A server of the region."""

    name: str
    address: str


class Mount(Part):
    """A disk: a volume by its device, or an EFS file system by its id."""

    kind: Literal["volume", "efs"]
    source: str
    path: str


class SecretFile(Part):
    """A field of a secret and the file it goes into; without a field, the whole secret."""

    field: str | None
    path: str
    owner: str = "root"
    mode: str = "0400"


class Secret(Part):
    """A secret, by name or ARN, and what of it is written where."""

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
    """How a service says that it is well: an HTTP answer 200 on the node itself."""

    port: int
    path: str


class ServiceKind(StrEnum):
    """How a service runs."""

    BINARY = "binary"
    """A program of the host, taken out of its image."""
    CONTAINER = "container"
    """A container on the host's network."""


class Service(Part):
    """A program that runs on the node. ``software`` is what the list of images calls it."""

    name: str
    kind: ServiceKind
    software: Software
    version: str
    arguments: tuple[str, ...] = ()
    mounts: tuple[str, ...] = ()
    """Paths of the host that it sees; a binary sees all."""
    capabilities: tuple[str, ...] = ()
    """Linux capabilities beyond those of any program, like CAP_NET_BIND_SERVICE."""
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
    """The failover switch, and the file that says to the load balancer what it says."""

    url: str
    path: str


class View(Part):
    """What the primary region's users see: health is asked where they ask."""

    url: str


class Manifest(Part):
    """What the node is, and what runs on it."""

    format: Literal[1] = FORMAT
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
    mounts: tuple[Mount, ...]
    secrets: tuple[Secret, ...]
    certificates: tuple[HeldCertificate, ...]
    services: tuple[Service, ...]
    """In the order in which they start."""
    snapshots: tuple[Snapshot, ...]
    fence: Fence | None
    """None but for the primary region's load balancers: where the switch sends users, nobody is kept away."""
    watch: View | None
    """None but for the standby region's servers; and with the edge on, which lets in only administrators besides."""


class Bundle(Part):
    """A manifest, and the files by path."""

    manifest: Manifest
    files: dict[str, File]


def bundle(settings: Settings, node: Node, facts: BundleFacts) -> str:
    """Return a node's bundle: JSON with sorted keys, a value a line, the same bytes every time."""
    names = Names(settings.name, settings.account_id, settings.location.name)
    manifest = Manifest(
        node=node.name,
        role=node.role,
        address=str(node.address) if node.address else None,
        region=names.region,
        datacenter=names.datacenter,
        serving=settings.serves,
        servers=tuple(Peer(name=server.name, address=str(server.address)) for server in control_plane(settings)),
        mounts=tuple(_mounts(node.role, facts)),
        secrets=tuple(_secrets(settings, node.role, names)),
        certificates=tuple(_certificates(settings, node.role)),
        services=(
            Service(
                name="node-exporter",
                kind=ServiceKind.BINARY,
                software=Software.NODE_EXPORTER,
                version=settings.version(Software.NODE_EXPORTER),
                arguments=(f"--web.listen-address=:{NODE_EXPORTER.port}",),
                probe=Probe(port=NODE_EXPORTER.port, path="/metrics"),
            ),
        ),
        snapshots=tuple(_snapshots(node.role, names)),
        fence=_fence(settings, node.role),
        watch=_watch(settings, node.role),
    )
    content = Bundle(manifest=manifest, files=dict(_files(settings, node.role, names)))
    return json.dumps(content.model_dump(mode="json"), indent=1, sort_keys=True) + "\n"


def _mounts(role: NodeRole, facts: BundleFacts) -> Iterator[Mount]:
    match role:
        case NodeRole.CONTROL_PLANE:
            yield Mount(kind="volume", source=DATA_DEVICE, path=DATA_PATH)
        case NodeRole.WORKER:
            yield Mount(kind="efs", source=facts.file_system_id, path=ML_DATA_PATH)
        case _:
            return


_OWN = {CA_CERTIFICATE: "ca.pem", CERTIFICATE: "certificate.pem", PRIVATE_KEY: "private-key.pem"}
_PUBLIC = {PUBLIC_CERTIFICATE: "public-certificate.pem", PUBLIC_PRIVATE_KEY: "public-private-key.pem"}
_TOKENS = {
    CONSUL_MANAGEMENT_TOKEN.name: "consul-management-token",
    NOMAD_MANAGEMENT_TOKEN.name: "nomad-management-token",
}
_BROUGHT = "public.pem"
"""Certificate and key in one, as the account's owner keeps them."""


def _ends_tls(role: NodeRole) -> bool:
    return role in (NodeRole.HAPROXY, NodeRole.NGINX)


def _secrets(settings: Settings, role: NodeRole, names: Names) -> Iterator[Secret]:
    fields = dict(_OWN)
    if _ends_tls(role) and isinstance(settings.certificates, InternalCertificates):
        fields |= _PUBLIC
    if role is NodeRole.CONTROL_PLANE:
        fields |= _TOKENS
    files = tuple(SecretFile(field=field, path=f"{SECRETS}/{name}") for field, name in fields.items())
    yield Secret(id=names.secret(role.group), files=files)
    if _ends_tls(role) and isinstance(settings.certificates, SecretCertificates):
        arn = certificate_arn(settings)
        yield Secret(id=str(arn), files=(SecretFile(field=None, path=f"{SECRETS}/{_BROUGHT}"),))


def _certificates(settings: Settings, role: NodeRole) -> Iterator[HeldCertificate]:
    held = {Certificate(role.group): _OWN[CERTIFICATE]}
    if _ends_tls(role):
        match settings.certificates:
            case InternalCertificates():
                held[Certificate.PUBLIC] = _PUBLIC[PUBLIC_CERTIFICATE]
            case SecretCertificates():
                held[Certificate.PUBLIC] = _BROUGHT
            case _:
                # AWS Certificate Manager says itself when its own end.
                pass
    for certificate, name in held.items():
        metric = Metric(namespace=NAMESPACE, name=CERTIFICATE_DAYS, dimensions={CERTIFICATE_DIMENSION: certificate})
        yield HeldCertificate(path=f"{SECRETS}/{name}", metric=metric)


def _snapshots(role: NodeRole, names: Names) -> Iterator[Snapshot]:
    if role is not NodeRole.CONTROL_PLANE:
        return
    for service, api in SCHEDULERS.items():
        yield Snapshot(
            service=service,
            address=LOOPBACK_ADDRESS,
            port=api.flow.port,
            # Both have it: https://developer.hashicorp.com/nomad/api-docs/agent
            self_path="/v1/agent/self",
            leader=api.leader,
            path=api.snapshot_path,
            header=api.token_header,
            token=f"{SECRETS}/{_TOKENS[api.token.name]}",
            ca=f"{SECRETS}/{_OWN[CA_CERTIFICATE]}",
            certificate=f"{SECRETS}/{_OWN[CERTIFICATE]}",
            private_key=f"{SECRETS}/{_OWN[PRIVATE_KEY]}",
            bucket=names.bucket(BACKUPS_BUCKET),
            key=snapshot_key(names.region, service),
            seconds=SNAPSHOT_SECONDS,
        )


def _fence(settings: Settings, role: NodeRole) -> Fence | None:
    if not (settings.is_primary and _ends_tls(role)):
        return None
    standby = Names(settings.name, settings.account_id, settings.regions.standby.name)
    return Fence(url=f"https://{standby.bucket_host(SWITCH_BUCKET)}/{SWITCH_KEY}", path=FENCE_PATH)


def _watch(settings: Settings, role: NodeRole) -> View | None:
    if settings.is_primary or settings.edge or role is not NodeRole.CONTROL_PLANE:
        return None
    origin = PublicNames(settings.domain).regional_origin(settings.regions.primary.name)
    return View(url=f"https://{origin}{HEALTH_PATH}")


def _files(settings: Settings, role: NodeRole, names: Names) -> Iterator[tuple[str, File]]:
    if role is NodeRole.CONTROL_PLANE:
        policy = worker_policy(names, settings.workers, settings.worker_bounds)
        yield POLICY_FILE, File(lines=tuple(policy.splitlines()))
