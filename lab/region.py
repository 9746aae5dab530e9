"""One region of the platform on this machine: its nodes boot from their bundles by the real boot agent.

Each node is a machine as far as its processes can tell: files, processes, network, data volume, metadata service and
user data of its own. Around them is the rest of the world, at one address: AWS's APIs (moto), Slack, and a mail
server. What stands in for what is listed in ``lab.machine``. All of it is in namespaces: nothing is left behind,
however the test ends.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from io import BytesIO
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import yaml
from moto.backends import get_backend
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from typing_extensions import override
from werkzeug.serving import make_server
from werkzeug.wrappers import Request, Response

from configs.bundle import PACKAGES, bundle
from configs.context import BundleFacts
from configs.nodes import AGENT_KEY, WORKER, Node, NodeRole, bundle_key, load_balancers, nodes, report_key
from configs.reports import Report
from configs.settings.model import Settings
from configs.tables.accounts import ACCOUNTS
from configs.tables.flows import SMTP_OUT, Role
from configs.tables.names import (
    BACKUPS_BUCKET,
    BUNDLES_BUCKET,
    DRAIN_HOOK,
    IMAGES_INDEX_KEY,
    SWITCH_BUCKET,
    SWITCH_KEY,
    WORKERS,
    Names,
    PublicNames,
)
from configs.tables.secrets import DATABASE_PASSWORD
from configs.tables.versions import VERSIONS, image, images
from configs.user_data import user_data
from lab import autoscaling
from lab.documents import EXTERNAL_VALUES, Authority, Document, documents, load
from lab.doorkeeper import Doorkeeper, Mail, Message, http, mail_server, slack
from lab.machine import aws
from lab.metadata import ADDRESS, SENT_ON, SERVED_PORT, Machine, handler
from lab.mirror import forget
from lab.namespaces import GROUND, World, inner_pid, listening, peer_of, world
from lab.postgres import postgres
from lab.tree import NODE_PROGRAMS
from toolchain import packages, tools

AWS_PORT = 4566
"""Where nodes find AWS's APIs without TLS: the AWS CLI is told to, so that each call costs no handshake."""

HTTPS_PORT, HTTP_PORT = 443, 80

STOP_SECONDS = 0.05
"""How often the server of AWS's APIs looks whether it is to stop."""

LOOK_SECONDS = 0.1
"""How often ``until`` looks."""

BOOT_SECONDS = 30.0
"""Longest that a node's first process takes until services start; measured 0.2 s on an idle machine."""

VOLUME_BYTES = 512 << 20
"""Size of a data volume: above the 300 MB that mkfs.xfs insists on. What is not written takes no memory."""

JOB_PROGRAMS = {"pushgateway": "pushgateway"}
"""Programs that jobs run, and the tool that each is: on workers, in the place of the jobs' images."""

FACTS = BundleFacts("database.example.com", "fs-0123456789abcdef0")

MANIFEST_DIGEST = "sha256:{}"

BOOT = (
    f"import sys\nsys.path.insert(0, {str(Path(__file__).parents[1])!r})\nfrom lab.machine.boot import main\nmain()"
)


class NotThere(Exception):
    """What a test waited for did not come; the message says what, and how things stood."""


@dataclass(frozen=True)
class Socket:
    """A socket that listens on a node: ``process`` is the program's name, of at most 15 characters."""

    protocol: str
    address: str
    port: int
    process: str


class _Handler(MotoRequestHandler):
    """moto's own, but it says nothing."""

    protocol_version = "HTTP/1.1"
    # Otherwise the second packet of an answer waits for the first to be acknowledged, 40 ms.
    disable_nagle_algorithm = True

    @override
    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        pass


@dataclass
class Members:
    """How a node is reached while it runs."""

    process: subprocess.Popen[bytes]
    channel: socket.socket
    pid: int
    """Its first process, as seen from here."""
    link: str
    """Its end of the network in the region."""
    metadata: socket.socket


class NodeMachine:
    """A node as a test sees it. ``machine`` is what its metadata service says."""

    def __init__(self, region: Region, node: Node, name: str, address: IPv4Address, machine: Machine) -> None:
        """Describe a node that does not run yet."""
        self._region = region
        self.node, self.name, self.address, self.machine = node, name, address, machine
        self._members: Members | None = None
        self._switched_on = datetime.max.replace(tzinfo=UTC)
        self._lock = threading.Lock()

    @property
    def folder(self) -> str:
        """Where in the region its files lie: they outlive its start, as a root volume does."""
        return f"{GROUND}/nodes/{self.name}"

    @property
    def runs(self) -> bool:
        """Whether it is switched on."""
        return self._members is not None and self._members.process.poll() is None

    @property
    def pid(self) -> int:
        """Its first process, as seen from here.

        Raises:
            NotThere: it does not run.
        """
        if self._members is None:
            raise NotThere(f"{self.name} does not run")
        return self._members.pid

    def boot(self, *, new: bool = False) -> None:
        """Switch it on. Its files are those of before, and it is the same machine.

        Args:
            new: whether it is another machine in its place, with the same data volume.
        """
        with self._lock:
            if self.runs:
                return
            world = self._region.world
            if new:
                self.machine.instance = f"i-{secrets.token_hex(8)}0"
                world.run("rm", "-rf", f"{self.folder}/root", f"{self.folder}/work")
            world.path(self.folder).mkdir(parents=True, exist_ok=True)
            plan = world.path(f"{self.folder}/plan.json")
            plan.write_text(json.dumps(self._region.plan(self)))
            self._switched_on = datetime.now(UTC)
            self._members = self._region.switch_on(self)

    def kill(self) -> None:
        """Switch it off, as if its power were lost. Its root volume and its data volume stay as they are."""
        with self._lock:
            if self._members is None:
                return
            self._region.switch_off(self._members)
            self._members = None

    def stop(self, seconds: float = 60) -> None:
        """Shut it down: services are stopped first.

        Raises:
            NotThere: it takes longer.
        """
        if self._members is not None:
            self._members.channel.sendall(b"stop")
            try:
                self._members.process.wait(seconds)
            except subprocess.TimeoutExpired:
                raise NotThere(f"{self.name} does not shut down in {seconds} seconds") from None
            self.kill()

    def end(self) -> None:
        """End it as EC2 does what is terminated: it is shut down, and switched off if that takes too long."""
        # Otherwise it stays a member of Consul, whose services are down.
        with suppress(NotThere, OSError):
            self.stop()
        self.kill()

    def cut(self) -> None:
        """Take its network away; its processes go on."""
        self._region.world.run("ip", "link", "set", self._known.link, "down")

    def join(self) -> None:
        """Give its network back."""
        self._region.world.run("ip", "link", "set", self._known.link, "up")

    @property
    def _known(self) -> Members:
        if self._members is None:
            raise NotThere(f"{self.name} does not run")
        return self._members

    def path(self, inside: str) -> Path:
        """Return where from here a file of the node is, while it runs."""
        return Path(f"/proc/{self.pid}/root{inside}")

    def command(self, *words: str) -> list[str]:
        """Return a command that runs another one on the node, as root."""
        target = f"--target={self.pid}"
        environment = [f"{name}={value}" for name, value in self._region.environment.items()]
        path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        clean = ["env", "-i", path, "HOME=/root", "LANG=C.UTF-8", *environment]
        return ["nsenter", target, "--mount", "--net", "--pid", "--uts", "--", *clean, *words]

    def run(self, *words: str, stdin: str = "", seconds: float = 60) -> subprocess.CompletedProcess[str]:
        """Run a command on the node, as root, and return what became of it."""
        return subprocess.run(
            self.command(*words), input=stdin, capture_output=True, text=True, timeout=seconds, check=False
        )

    def popen(self, *words: str, **given: Any) -> subprocess.Popen[bytes]:
        """Start a command on the node, as root. It ends with the node, or as the caller ends it."""
        return subprocess.Popen[bytes](self.command(*words), **given)

    def journal(self, unit: str) -> str:
        """Return what a service wrote since the machine was made: ``mlops-ha-consul.service``, or ``consul``."""
        name = unit if unit.endswith(".service") or unit == "cloud-init" else f"mlops-ha-{unit}.service"
        place = self._region.world.path(f"{self.folder}/journal/{name}.log")
        return place.read_text(errors="replace") if place.exists() else ""

    def sockets(self) -> frozenset[Socket]:
        """Return what listens on the node, but for its metadata service; of UDP what is bound and has no peer."""
        found = set[Socket]()
        for line in self.run(
            "ss", "--no-header", "--numeric", "--listening", "--tcp", "--udp", "--processes"
        ).stdout.splitlines():
            protocol, _, _, _, local, *rest = line.split()
            address, _, port = local.rpartition(":")
            named = re.search(r'\(\("([^"]+)"', " ".join(rest))
            address = address.strip("[]").partition("%")[0]
            if (address, int(port)) != (ADDRESS, SERVED_PORT):
                found.add(Socket(protocol, address, int(port), named[1] if named else ""))
        return frozenset(found)

    def report(self) -> Report | None:
        """Return the node's last report since it was switched on; None when there is none yet."""
        name = self.name if self.node.role is not NodeRole.WORKER else f"{WORKER.name}-{self.machine.instance}"
        with self._region.aws:
            bucket = self._region.names.bucket(BUNDLES_BUCKET)
            found = self._region.backend("s3").get_object(bucket, report_key(name))
            if found is None or found.last_modified.replace(tzinfo=UTC) < self._switched_on:
                return None
            return Report.from_json(found.value.decode())


class Region:
    """The region, while its block runs.

    Attributes:
        settings: of its stack.
        names: in the region.
        world: its namespaces.
        address: where everything is that is no node.
        documents: the secrets, by role.
        slack: what Slack got.
        mail: what the mail server took.
        environment: what every service's environment begins with, as a machine's own does.
    """

    def __init__(self, settings: Settings, facts: BundleFacts, made: World, secret: Mapping[Role, Document]) -> None:
        """Describe a region in which nothing is yet."""
        self.settings, self.facts, self.world, self.documents = settings, facts, made, secret
        self.names = Names(settings.name, settings.account_id, settings.location.name)
        self.address = settings.location.cidr[-2]
        self.slack = list[Message]()
        self.mail = list[Mail]()
        self.environment = {
            "AWS_ENDPOINT_URL": f"http://{self.address}:{AWS_PORT}",
            "AWS_DEFAULT_REGION": self.names.region,
        }
        self.authority = Authority()
        self.hosts = dict[str, IPv4Address]()
        self._nodes = dict[str, NodeMachine]()
        self._links = 0
        self._lock = threading.Lock()
        self._doorkeeper = Doorkeeper()
        self._closing = False
        self._threads = list[threading.Thread]()
        self._index = self._images()
        # moto's backends are plain dictionaries: one request at a time, and a conditional write is one.
        self._aws = threading.RLock()
        self._moto: Any = DomainDispatcherApplication(create_backend_app)

    def node(self, name: str) -> NodeMachine:
        """Return a node: ``control-plane-1``, or a worker by its instance's id."""
        return self._nodes[name]

    @property
    def nodes(self) -> tuple[NodeMachine, ...]:
        """Every node that there is, running or not."""
        return tuple(self._nodes.values())

    def of(self, role: NodeRole) -> tuple[NodeMachine, ...]:
        """Return the nodes of a role."""
        return tuple(node for node in self.nodes if node.node.role is role)

    # AWS.

    def backend(self, service: str) -> Any:
        """Return moto's backend of a service in the region; hold ``aws`` while you use it."""
        find: Any = get_backend
        return find(service)[DEFAULT_ACCOUNT_ID]["aws" if service == "s3" else self.names.region]

    @property
    def aws(self) -> threading.RLock:
        """Lock of everything that AWS's APIs know."""
        return self._aws

    @property
    def group(self) -> Any:
        """The workers' Auto Scaling group, as moto keeps it."""
        return self.backend("autoscaling").autoscaling_groups[self.names.regional(WORKERS)]

    def put_object(self, purpose: str, key: str, text: str) -> None:
        """Write an object into one of the region's buckets."""
        with self._aws:
            self.backend("s3").put_object(self.names.bucket(purpose), key, text.encode())

    def object_of(self, purpose: str, key: str) -> str | None:
        """Return what is in an object; None when there is none."""
        with self._aws:
            found = self.backend("s3").get_object(self.names.bucket(purpose), key)
            return None if found is None else found.value.decode()

    def put_bundle(self, node: str, text: str) -> None:
        """Give a node another bundle; ``worker`` for all workers."""
        self.put_object(BUNDLES_BUCKET, bundle_key(node), text)

    def bundle_of(self, node: str) -> str:
        """Return a node's bundle as it lies in S3."""
        return self.object_of(BUNDLES_BUCKET, bundle_key(node)) or ""

    def put_secret(self, identity: str, document: Document) -> None:
        """Put a secret's document in its place."""
        with self._aws:
            backend = self.backend("secretsmanager")
            text = json.dumps(document)
            if identity in backend.secrets:
                backend.put_secret_value(identity, text, None, secrets.token_hex(16), ["AWSCURRENT"])
                return
            backend.create_secret(
                name=identity,
                secret_string=text,
                secret_binary=None,
                description=None,
                tags=None,
                kms_key_id=None,
                client_request_token=None,
                replica_regions=[],
                force_overwrite=False,
            )

    def _images(self) -> dict[str, dict[str, str]]:
        """Return the list of images: digests of their names, as nothing is pushed."""
        index = dict[str, dict[str, str]]()
        for software in images():
            source = image(software, VERSIONS[software].version)
            digest = MANIFEST_DIGEST.format(sha256(source.reference.encode()).hexdigest())
            index[software] = {
                "repository": self.names.repository(source.name),
                "tag": source.tag,
                "digest": digest,
            }
        return index

    def populate(self, agent: str) -> None:
        """Put in place what a deployment does: buckets, bundles, agent, images, secrets, the workers' group."""
        forget()
        autoscaling.extend()
        s3 = self.backend("s3")
        for purpose in (BUNDLES_BUCKET, BACKUPS_BUCKET):
            s3.create_bucket(self.names.bucket(purpose), self.names.region)
        # The failover switch is in the standby's region, whichever this is.
        standby = Names(self.settings.name, self.settings.account_id, self.settings.regions.standby.name)
        switch = standby.bucket(SWITCH_BUCKET)
        s3.create_bucket(switch, standby.region)
        read = {
            "Effect": "Allow",
            "Principal": "*",
            "Action": "s3:GetObject",
            "Resource": f"arn:aws:s3:::{switch}/{SWITCH_KEY}",
        }
        s3.buckets[switch].policy = json.dumps({"Version": "2012-10-17", "Statement": [read]}).encode()
        self.hosts[standby.bucket_host(SWITCH_BUCKET)] = self.address
        self.put_object(BUNDLES_BUCKET, AGENT_KEY, agent)
        self.put_object(BACKUPS_BUCKET, IMAGES_INDEX_KEY, json.dumps(self._index))
        for node in nodes(self.settings):
            self.put_bundle(node.name, bundle(self.settings, node, self.facts))
        for role, document in self.documents.items():
            self.put_secret(self.names.secret(role), document)

    def make_group(self, least: int, most: int) -> list[str]:
        """Make the workers' group with its hook; return its instances."""
        with self._aws:
            backend = self.backend("autoscaling")
            name = self.names.regional(WORKERS)
            group = autoscaling.make_group(backend, name, least, most)
            backend.create_lifecycle_hook(DRAIN_HOOK, name, autoscaling.TERMINATING, None, "CONTINUE")
            return [state.instance.id for state in group.instance_states]

    def answer(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer one of AWS's APIs (WSGI); then workers boot or end as their group has it."""
        received = Request(environ)
        # moto reads the body again, which can be read once.
        body = received.get_data()
        environ["wsgi.input"], environ["CONTENT_LENGTH"] = BytesIO(body), str(len(body))
        environ.pop("HTTP_TRANSFER_ENCODING", None)
        with self._aws:
            autoscaling.expire(self.names.region)
            response = Response.from_app(self._moto, environ, buffered=True)
            self._follow_group()
        return response(environ, start_response)

    def _follow_group(self) -> None:
        groups = self.backend("autoscaling").autoscaling_groups
        group = groups.get(self.names.regional(WORKERS))
        if group is None or self._closing:
            return
        wanted = {state.instance.id for state in group.instance_states}
        there = {node.name for node in self.of(NodeRole.WORKER)}
        for identity in sorted(wanted - there):
            self._begin(self.add_worker(identity).boot)
        for identity in sorted(there - wanted):
            self._begin(self._nodes.pop(identity).end)

    def _begin(self, work: Callable[[], None]) -> None:
        # In a thread of its own: whoever asked AWS is not kept waiting while a machine boots.
        thread = threading.Thread(target=work, daemon=True)
        self._threads.append(thread)
        thread.start()

    # Nodes.

    def add(self, node: Node) -> NodeMachine:
        """Add a node with a fixed address; it does not run yet."""
        assert node.address is not None
        machine = self._machine(f"i-{secrets.token_hex(8)}0", node, node.address, node.zone or 0)
        self._nodes[node.name] = NodeMachine(self, node, node.name, node.address, machine)
        return self._nodes[node.name]

    def add_worker(self, instance: str) -> NodeMachine:
        """Add a worker that the group has launched; it does not run yet."""
        with self._lock:
            self._workers = getattr(self, "_workers", 0) + 1
            # Behind the blocks of fixed addresses, each worker another one: an address is not used again.
            address = self.settings.location.cidr[256 + self._workers]
        zone = self._workers % 3
        machine = self._machine(instance, WORKER, address, zone)
        machine.lifecycle = lambda: self._lifecycle(instance)
        self._nodes[instance] = NodeMachine(self, WORKER, instance, address, machine)
        return self._nodes[instance]

    def _lifecycle(self, instance: str) -> str | None:
        with self._aws:
            for state in self.group.instance_states:
                if state.instance.id == instance:
                    return "Terminated" if state.lifecycle_state == autoscaling.WAITING else "InService"
        return "Terminated"

    def _machine(self, instance: str, node: Node, address: IPv4Address, zone: int) -> Machine:
        return Machine(
            instance=instance,
            node=node.name,
            address=str(address),
            region=self.names.region,
            zone=self.settings.location.zones[zone],
            account=self.settings.account_id,
            role=self.names.account_wide(node.role.group),
            instance_type=autoscaling.TYPE,
            image=self.settings.location.image_id,
            hostname=f"ip-{str(address).replace('.', '-')}.{self.names.region}.compute.internal",
            hardware_address=_hardware_address(address),
        )

    def plan(self, node: NodeMachine) -> dict[str, Any]:
        """Return what a node's first process is told, see ``lab.machine.boot.main``."""
        volume = None
        if node.node.role is NodeRole.CONTROL_PLANE:
            volume = f"{GROUND}/volumes/{node.name}"
            place = self.world.path(volume)
            if not place.exists():
                place.parent.mkdir(parents=True, exist_ok=True)
                with place.open("wb") as file:
                    file.truncate(VOLUME_BYTES)
        hosts = {**self.hosts, **{other.machine.hostname: other.address for other in self.nodes}}
        lines = ["127.0.0.1 localhost", *(f"{address} {name}" for name, address in sorted(hosts.items()))]
        python, works = packages.python39(), node.node.role is NodeRole.WORKER
        return {
            "name": node.name,
            "folder": node.folder,
            "volume": volume,
            "hosts": "".join(f"{line}\n" for line in lines),
            "images": {entry["repository"]: entry["digest"] for entry in self._index.values()},
            "programs": {name: str(tools.find(tool)) for name, tool in NODE_PROGRAMS.items()},
            "job_programs": {name: str(tools.find(tool)) for name, tool in JOB_PROGRAMS.items()} if works else {},
            "packages": sorted({package for needed in PACKAGES.values() for package in needed}),
            "accounts": sorted(account.name for account in ACCOUNTS if account.number),
            "environment": self.environment,
            "user_data": yaml.safe_load(user_data(self.names)),
            "python": str(python or sys.executable),
            "hostname": node.machine.hostname.partition(".")[0],
            "authority": self.authority.certificate,
        }

    def switch_on(self, node: NodeMachine) -> Members:
        """Start a node's first process and give it a network.

        Raises:
            NotThere: it does not come up.
        """
        ours, theirs = socket.socketpair()
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        ours.settimeout(BOOT_SECONDS)
        inner = ["unshare", "--mount", "--net", "--pid", "--uts", "--fork", "--kill-child", "--mount-proc"]
        first = [sys.executable, "-ISc", BOOT, str(theirs.fileno()), f"{node.folder}/plan.json"]
        with self.world.path(f"{node.folder}/boot.log").open("ab") as log:
            process = subprocess.Popen(
                self.world.command(*inner, *first),
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        theirs.close()
        try:
            said, ancillary, _, _ = ours.recvmsg(16, socket.CMSG_SPACE(12))
            if said != b"here":
                raise NotThere(f"{node.name} does not begin")
            pid = peer_of(ancillary)
            link = self._connect(node, pid)
            [metadata] = listening(pid, [(ADDRESS, SERVED_PORT)])
            self._doorkeeper.add(metadata, http(handler(node.machine)))
            ours.sendall(b"network")
            if ours.recv(16) != b"booted":
                raise NotThere(f"{node.name} does not boot")
        except (OSError, NotThere) as error:
            process.kill()
            process.wait()
            ours.close()
            log = self.world.path(f"{node.folder}/boot.log").read_text(errors="replace")
            raise NotThere(f"{node.name} does not boot: {error}\n{log[-2000:]}") from error
        return Members(process, ours, pid, link, metadata)

    def _connect(self, node: NodeMachine, pid: int) -> str:
        with self._lock:
            self._links += 1
            link = f"node{self._links}"
        prefix = self.settings.location.cidr.prefixlen
        peer = f"name eth0 address {node.machine.hardware_address} netns {inner_pid(pid)}"
        self.world.run(
            *("ip", "-batch", "-"),
            stdin=f"link add {link} type veth peer {peer}\nlink set {link} master region up\n",
        )
        World(pid).run(
            *("ip", "-batch", "-"),
            stdin=f"link set lo up\naddr add {ADDRESS}/32 dev lo\n"
            f"addr add {node.address}/{prefix} dev eth0\nlink set eth0 up\nroute add default via {self.address}\n",
        )
        World(pid).run("nft", "--file", "-", stdin=SENT_ON)
        return link

    def switch_off(self, members: Members) -> None:
        """End a node's first process: the kernel ends the rest."""
        # Ended by itself, perhaps.
        with suppress(ProcessLookupError):
            os.kill(members.pid, signal.SIGKILL)
        members.process.wait()
        members.channel.close()
        # It would keep the node's network.
        self._doorkeeper.remove(members.metadata)
        subprocess.run(self.world.command("ip", "link", "delete", members.link), check=False, capture_output=True)

    # Waiting, and the end.

    def until(self, condition: Callable[[], Any], seconds: float, what: str) -> Any:
        """Wait until a condition holds, and return what it returned.

        Raises:
            NotThere: it does not hold in time.
        """
        ends = time.monotonic() + seconds
        while True:
            found = condition()
            if found:
                return found
            if time.monotonic() > ends:
                raise NotThere(f"after {seconds} seconds: {what}\n{self.state()}")
            time.sleep(LOOK_SECONDS)

    def state(self) -> str:
        """Return how each node is, for messages."""
        lines = list[str]()
        for node in self.nodes:
            report = node.report()
            said = (
                "no report" if report is None else f"healthy={report.healthy} formed={report.formed} {report.reason}"
            )
            lines.append(f"{node.name}: {'runs' if node.runs else 'off'}, {said}")
        return "\n".join(lines)

    def healthy(self) -> bool:
        """Say whether every node that runs has said that it is healthy with the bundle that lies in S3."""
        for node in self.nodes:
            report = node.report()
            digest = sha256(self.bundle_of(node.node.name).encode()).hexdigest()
            if node.runs and not (report is not None and report.healthy and report.bundle == digest):
                return False
        return True

    def close(self) -> None:
        """Switch everything off."""
        self._closing = True
        for thread in self._threads:
            thread.join(BOOT_SECONDS)
        for node in self.nodes:
            node.kill()
        self._doorkeeper.close()


@contextmanager
def region(
    settings: Settings,
    *,
    agent: str,
    only: Sequence[str] | None = None,
    workers: int | None = None,
    facts: BundleFacts = FACTS,
    secret: Mapping[Role, Document] | None = None,
    database: Path | None = None,
    prepare: Callable[[Region], None] | None = None,
) -> Generator[Region]:
    """Run a region while the block runs; its nodes boot at once.

    Args:
        settings: of the stack.
        agent: the boot agent's text.
        only: the nodes that boot, by name; ``worker`` for the group. All unless given; others can be booted later.
        workers: how many workers there are; unless given the fewest that the settings have.
        facts: what only AWS knows.
        secret: the documents of secrets by role; made unless given.
        database: an empty folder for the data of the region's database and its replica; there is none unless given.
        prepare: is called when AWS is filled and nothing boots yet, to change what lies there.

    Raises:
        RuntimeError: this process may not.
        NotThere: a node does not come up.
    """
    known = documents(settings) if secret is None else secret
    with ExitStack() as stack:
        made = stack.enter_context(world())
        running = Region(settings, facts, made, known)
        stack.callback(running.close)
        address = str(running.address)
        made.run(
            "ip",
            "-batch",
            "-",
            # Unless it is given, its hardware address is that of a machine's link, and changes when that machine
            # goes: the others would send to the old one for up to a minute.
            stdin=f"link add region address {_hardware_address(running.address)} type bridge\n"
            f"addr add {address}/{settings.location.cidr.prefixlen} dev region\nlink set region up\n",
        )
        made.path(f"{GROUND}/nodes").mkdir()
        made.path(f"{GROUND}/file-systems/{facts.file_system_id}").mkdir(parents=True)
        stack.enter_context(_aws_calls(running))
        running.populate(agent)
        stack.enter_context(_outside(running))
        if database is not None:
            password = known[Role.CONTROL_PLANE][DATABASE_PASSWORD.name]
            network = ("nsenter", f"--target={made.pid}", "--net", "--")
            names = (facts.database_address,)
            stack.enter_context(
                postgres(database, address, replica=True, password=password, names=names, within=network)
            )
        if prepare is not None:
            prepare(running)
        wanted = {node.name for node in nodes(settings)} if only is None else set(only)
        boots = list[NodeMachine]()
        for node in nodes(settings):
            if node is not WORKER and node.address is not None:
                added = running.add(node)
                boots += [added] if node.name in wanted else []
        least, most = settings.workers.minimum, settings.workers.maximum
        if WORKER.name in wanted:
            boots += [
                running.add_worker(instance)
                for instance in running.make_group(least if workers is None else workers, most)
            ]
        running.until(made.path(f"{GROUND}/aws.sock").exists, BOOT_SECONDS, "the AWS CLI is not ready")
        _boot(boots)
        yield running


def _hardware_address(address: IPv4Address) -> str:
    """A locally administered one, as nobody else in the region has it."""
    return ":".join(f"{number:02x}" for number in (0x02, 0x00, *address.packed))


def _boot(machines: Sequence[NodeMachine]) -> None:
    problems = list[Exception]()

    def boot(machine: NodeMachine) -> None:
        try:
            machine.boot()
        except Exception as error:
            problems.append(error)

    threads = [threading.Thread(target=boot, args=(machine,)) for machine in machines]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if problems:
        raise problems[0]


@contextmanager
def _aws_calls(running: Region) -> Generator[None]:
    """Hold the AWS CLI ready while the block runs."""
    script = str(Path(aws.__file__).with_name("aws_server.py"))
    with running.world.path(f"{GROUND}/aws.log").open("ab") as log:
        process = subprocess.Popen(
            running.world.command(sys.executable, "-I", script, aws.SOCKET),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={"PATH": "/usr/sbin:/usr/bin", "HOME": "/nonexistent", "LANG": "C.UTF-8"},
        )
    try:
        yield
    finally:
        process.kill()
        process.wait()


@contextmanager
def _outside(running: Region) -> Generator[None]:
    """Serve what is outside of the region's nodes while the block runs."""
    settings, address = running.settings, str(running.address)
    email = settings.alerts.email
    slack_host = EXTERNAL_VALUES["slackWebhookUrl"].split("/")[2]
    names = running.names
    apis = [
        f"{service}.{names.region}.amazonaws.com" for service in ("autoscaling", "s3", "monitoring", "secretsmanager")
    ]
    buckets = [names.bucket_host(purpose) for purpose in (BUNDLES_BUCKET, BACKUPS_BUCKET)]
    outside = [running.facts.database_address, slack_host, email.smarthost, *apis, *buckets]
    running.hosts.update(dict.fromkeys(outside, running.address))
    balancer, _ = load_balancers(settings)
    public = PublicNames(settings.domain)
    assert balancer.address is not None
    for name in (*public.all_regional(names.region), *public.all_public()):
        running.hosts[name] = balancer.address
    # The first name is the subject's too, which has room for 64 characters.
    certificate = running.authority.issue((slack_host, *running.hosts), (running.address,))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    load(context, certificate.certificate, certificate.private_key)
    ports = (AWS_PORT, HTTPS_PORT, HTTP_PORT, SMTP_OUT.port)
    plain, secure, hooks, mail = listening(running.world.pid, [(address, port) for port in ports])
    with ExitStack() as stack:
        for opened, tls in ((plain, None), (secure, context)):
            stack.enter_context(_served_apis(running, opened, tls))
        doorkeeper = Doorkeeper()
        stack.callback(doorkeeper.close)
        doorkeeper.add(hooks, http(slack(running.slack)))
        password = next(iter(running.documents.values())).get("smtpPassword", EXTERNAL_VALUES["smtpPassword"])
        stack.enter_context(mail_server(mail, context, email.user, password, running.mail))
        yield


@contextmanager
def _served_apis(running: Region, opened: socket.socket, context: ssl.SSLContext | None) -> Generator[None]:
    server = make_server(
        str(running.address),
        opened.getsockname()[1],
        running.answer,
        threaded=True,
        request_handler=_Handler,
        ssl_context=context,
        fd=opened.fileno(),
    )
    thread = threading.Thread(target=server.serve_forever, args=(STOP_SECONDS,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        opened.close()
        thread.join()
