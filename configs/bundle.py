"""What a node gets: one text from which its boot agent makes it what it is to be.

Each service is described in its own folder; here stands which of them a role of node runs, in which order, and what
the agent does besides: disks, secrets, access control, snapshots, the fence (docs/adr/0017, docs/adr/0019).

No secret is in a bundle, only where it is to be fetched.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

from configs.alertmanager import service as alertmanager
from configs.consul import access as consul_access
from configs.consul import agent as consul
from configs.context import BundleFacts, Context
from configs.grafana import service as grafana
from configs.haproxy import service as haproxy
from configs.manifest import (
    Access,
    Bundle,
    Directory,
    Drain,
    Fence,
    File,
    HeldCertificate,
    Manifest,
    Metric,
    Mount,
    Peer,
    Quorum,
    Secret,
    SecretFile,
    Snapshot,
    Turn,
    View,
)
from configs.nginx import service as nginx
from configs.node_exporter import service as node_exporter
from configs.node_policies import certificate_arn
from configs.nodes import SNAPSHOT_MINUTES, Node, NodeRole, snapshot_key
from configs.nomad import access as nomad_access
from configs.nomad import agent as nomad
from configs.nomad_autoscaler import service as nomad_autoscaler
from configs.nomad_autoscaler.policy import DRAIN_SECONDS
from configs.pgbouncer import service as pgbouncer
from configs.postgres_exporter import service as postgres_exporter
from configs.prometheus import service as prometheus
from configs.service import NodeService, tls_files
from configs.settings.model import AcmCertificates, InternalCertificates, SecretCertificates, Settings
from configs.tables.accounts import ACCOUNTS, ROOT
from configs.tables.certificates import LOOPBACK_ADDRESS, Certificate
from configs.tables.metrics import CERTIFICATE_DAYS, CERTIFICATE_DIMENSION, NAMESPACE
from configs.tables.names import (
    BACKUPS_BUCKET,
    BUNDLES_BUCKET,
    DRAIN_HOOK,
    HEALTH_PATH,
    IMAGES_INDEX_KEY,
    SWITCH_BUCKET,
    SWITCH_KEY,
    TURN_KEY,
    WORKERS,
    Names,
    PublicNames,
)
from configs.tables.paths import (
    ACCOUNTS_FILE,
    AGENT,
    DATA_DEVICE,
    DATA_PATH,
    FENCE_PATH,
    ML_DATA_PATH,
    secret,
    unit_name,
)
from configs.tables.schedulers import SCHEDULERS
from configs.tables.secrets import PUBLIC_CERTIFICATE, PUBLIC_PRIVATE_KEY

SNAPSHOT_SECONDS = (SNAPSHOT_MINUTES - 1) * 60
"""Between two snapshots by one server: a minute is left for the look that is due, the copy and a second try."""

SERVICES: dict[NodeRole, tuple[Callable[[Context], NodeService | None], ...]] = {
    NodeRole.CONTROL_PLANE: (
        node_exporter.service,
        consul.server,
        nomad.server,
        alertmanager.service,
        prometheus.service,
        postgres_exporter.service,
        pgbouncer.service,
        grafana.service,
        nomad_autoscaler.service,
    ),
    # Users first: Consul's agent waits for a group that may be what is ill.
    NodeRole.HAPROXY: (node_exporter.service, haproxy.service, consul.client),
    NodeRole.NGINX: (node_exporter.service, nginx.service, consul.client),
    NodeRole.WORKER: (node_exporter.service, consul.client, nomad.client),
}
"""What runs on each role of node, in the order in which it starts."""

PACKAGES: dict[NodeRole, tuple[str, ...]] = {
    NodeRole.CONTROL_PLANE: ("docker",),
    NodeRole.HAPROXY: ("docker",),
    NodeRole.NGINX: ("docker",),
    # Jobs pull from the account's own registry, by the helper.
    NodeRole.WORKER: ("amazon-ecr-credential-helper", "amazon-efs-utils", "docker"),
}
"""Packages of Amazon Linux 2023, whose repository is pinned with the image
(https://docs.aws.amazon.com/linux/al2023/ug/deterministic-upgrades.html)."""


def services(context: Context) -> tuple[NodeService, ...]:
    """Return the services of a node, in the order in which they start."""
    return tuple(found for make in SERVICES[context.role] if (found := make(context)) is not None)


def bundle(settings: Settings, node: Node, facts: BundleFacts) -> str:
    """Return a node's bundle: JSON with sorted keys, a value a line, the same bytes every time."""
    context = Context(settings, node, facts)
    names, running = context.names, services(context)
    manifest = Manifest(
        node=node.name,
        role=node.role,
        address=str(node.address) if node.address else None,
        region=names.region,
        datacenter=names.datacenter,
        serving=settings.serves,
        servers=tuple(Peer(name=server.name, address=str(server.address)) for server in context.servers),
        packages=PACKAGES[node.role],
        images=f"s3://{names.bucket(BACKUPS_BUCKET)}/{IMAGES_INDEX_KEY}",
        registry=names.registry_host(),
        mounts=tuple(_mounts(node.role, facts)),
        directories=(
            Directory(path=DATA_PATH, owner=ROOT.name, mode="0755"),
            *(directory for service in running for directory in service.directories),
        ),
        secrets=tuple(_secrets(context, running)),
        certificates=tuple(_certificates(context, running)),
        services=tuple(service.manifest for service in running),
        access=_access(context),
        quorum=tuple(_quorum(node.role)),
        turn=Turn(bucket=names.bucket(BUNDLES_BUCKET), key=TURN_KEY) if _is_server(node.role) else None,
        drain=_drain(node.role, names),
        snapshots=tuple(_snapshots(node.role, names)),
        fence=_fence(settings, node.role),
        watch=_watch(settings, node.role),
    )
    files = {
        ACCOUNTS_FILE: _accounts(running),
        **{path: file for service in running for path, file in (*service.files.items(), service.unit)},
    }
    content = Bundle(manifest=manifest, files=files)
    return json.dumps(content.model_dump(mode="json"), indent=1, sort_keys=True) + "\n"


def _is_server(role: NodeRole) -> bool:
    return role is NodeRole.CONTROL_PLANE


def _accounts(running: tuple[NodeService, ...]) -> File:
    used = {service.account for service in running} - {ROOT}
    lines = [f"u {account.name} {account.number}" for account in ACCOUNTS if account in used]
    return File(lines=tuple(lines))


def _mounts(role: NodeRole, facts: BundleFacts) -> Iterator[Mount]:
    match role:
        case NodeRole.CONTROL_PLANE:
            yield Mount(kind="volume", source=DATA_DEVICE, path=DATA_PATH)
        case NodeRole.WORKER:
            yield Mount(kind="efs", source=facts.file_system_id, path=ML_DATA_PATH)
        case _:
            return


def _own(name: str) -> str:
    return secret(AGENT, name)


def _ends_tls(role: NodeRole) -> bool:
    return role in (NodeRole.HAPROXY, NodeRole.NGINX)


def _token(service: str) -> str:
    return _own(f"{service}-management-token")


def _secrets(context: Context, running: tuple[NodeService, ...]) -> Iterator[Secret]:
    settings, role = context.settings, context.role
    files = [*tls_files(AGENT, ROOT)]
    if _is_server(role):
        files += [
            SecretFile(path=_token(service), text=f"${{{api.token.name}}}") for service, api in SCHEDULERS.items()
        ]
    files += [file for service in running for file in service.secrets]
    public = [file for service in running if (file := service.public_certificate) is not None]
    pem = [file.model_copy(update={"text": f"${{{PUBLIC_CERTIFICATE}}}${{{PUBLIC_PRIVATE_KEY}}}"}) for file in public]
    arn = certificate_arn(settings)
    match settings.certificates:
        case InternalCertificates():
            yield Secret(id=context.names.secret(role.group), files=(*files, *pem))
            return
        case SecretCertificates():
            # One PEM, as the account's owner keeps it.
            brought = Secret(id=str(arn), files=tuple(file.model_copy(update={"text": None}) for file in public))
        case AcmCertificates():
            brought = Secret(kind="certificate", id=str(arn), files=tuple(pem))
    yield Secret(id=context.names.secret(role.group), files=tuple(files))
    if public:
        yield brought


def _certificates(context: Context, running: tuple[NodeService, ...]) -> Iterator[HeldCertificate]:
    held = {Certificate(context.role.group): _own("certificate.pem")}
    # AWS Certificate Manager says itself when its own end.
    if not isinstance(context.settings.certificates, AcmCertificates):
        public = [file.path for service in running if (file := service.public_certificate) is not None]
        held |= dict.fromkeys([Certificate.PUBLIC], *public) if public else {}
    for certificate, path in held.items():
        metric = Metric(namespace=NAMESPACE, name=CERTIFICATE_DAYS, dimensions={CERTIFICATE_DIMENSION: certificate})
        yield HeldCertificate(path=path, metric=metric)


def _access(context: Context) -> Access | None:
    if not _is_server(context.role):
        return None
    return Access(
        consul=consul_access.calls(context),
        nomad=nomad_access.calls(context),
        nomad_tokens=nomad_access.tokens(context),
    )


def _quorum(role: NodeRole) -> Iterator[Quorum]:
    if not _is_server(role):
        return
    for service, api in SCHEDULERS.items():
        yield Quorum(
            service=service,
            port=api.flow.port,
            # Both have it: https://developer.hashicorp.com/nomad/api-docs/operator/autopilot
            path="/v1/operator/autopilot/health",
            header=api.token_header,
            token=_token(service),
        )


def _drain(role: NodeRole, names: Names) -> Drain | None:
    if role is not NodeRole.WORKER:
        return None
    return Drain(group=names.regional(WORKERS), hook=DRAIN_HOOK, unit=unit_name("nomad"), seconds=DRAIN_SECONDS)


def _snapshots(role: NodeRole, names: Names) -> Iterator[Snapshot]:
    if not _is_server(role):
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
            token=_token(service),
            ca=_own("ca.pem"),
            certificate=_own("certificate.pem"),
            private_key=_own("private-key.pem"),
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
    if settings.is_primary or settings.edge or not _is_server(role):
        return None
    origin = PublicNames(settings.domain).regional_origin(settings.regions.primary.name)
    return View(url=f"https://{origin}{HEALTH_PATH}")
