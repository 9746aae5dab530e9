"""Makes a machine what its bundle says: one file, Python 3.9, the standard library, and the AWS CLI beside it.

It learns its name from the machine's own tags, fetches its bundle from S3, and brings the node to what stands there:
packages, disks, accounts, files, secrets, programs, services in their order, and on servers the region's access
control. It goes by what is there, not by what it did: it looks again and again, and does what is missing. A file is
replaced as a whole, so that an agent that is killed at any moment starts again as if nothing had been; systemd starts
it whenever it ends (docs/adr/0022).

Three threads stand beside that, because AWS keeps a call waiting for a minute when a region is in trouble: one looks
whether the failover switch keeps users away, one keeps snapshots of the services that this node leads
(docs/adr/0017), one looks whether Auto Scaling takes the machine away. The main thread reports how the node is,
however long the rest takes.
"""

from __future__ import annotations

import gzip
import hashlib
import http.client
import json
import os
import secrets
import shutil
import socket
import ssl
import string
import subprocess
import sys
import tarfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
import zlib
from collections.abc import Callable, Generator, Iterable
from concurrent import futures
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

FORMAT = 2
"""The format of bundles that this agent understands."""

SHARED = "worker"
"""All workers go by this name and share a bundle; their reports go by the instance too."""

METADATA = os.environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://169.254.169.254").rstrip("/")
"""Where the machine learns who it is; the variable is the AWS CLI's own."""

ROOT = os.environ.get("BOOT_AGENT_ROOT", "")
"""Put before every path that is written: a folder in tests."""

REPORT_SECONDS = 10
"""Between two reports: whoever waits for a node sees it after so long."""

LOOK_SECONDS = 30
"""Between two looks for another bundle or agent: each starts the AWS CLI three times, a second of one core."""

RENEW_SECONDS = 3600
"""Between two readings of the secrets: a renewed certificate arrives within the hour, weeks before it is needed."""

AGAIN_SECONDS = 1
"""Until what is under way on this node is looked at again: that costs no call of AWS."""

CALL_SECONDS = 60
"""Longest that one call may take: the AWS CLI's own retries have ended by then."""

WORK_SECONDS = 600
"""Longest that a package, an image or a file system may take to come: the largest image has 500 MB."""

STOP_SECONDS = 1200
"""Longest that systemctl may take: a worker's Nomad drains for a quarter of an hour."""

VOLUME_SECONDS = 300
"""Longest that a volume may take to be attached: AWS names no bound; whoever waits for a node waits longer."""

PROBE_SECONDS = 4
"""Longest that a service may take to say that it is well: a report comes every ten seconds."""

SERVICE_SECONDS = 120
"""Longest that a service takes to be well after a start: Grafana's first one makes its tables, Prometheus reads two
hours of figures again. It is told as failed then, and looked at further."""

ENDS = 3
"""How often a service may end by itself after a start and before it is well, until it is told as failed: what it
needs has had its RestartSec as often, a quarter of a minute, to be there."""

SETTLE_SECONDS = 5
"""For how long a group must have been whole since a service was last restarted. Autopilot of Consul and Nomad looks
every 2 seconds (its ServerHealthInterval), so what it says before may be from before the restart."""

HEARTBEAT_SECONDS = 60
"""Between two words to Auto Scaling that a drain goes on: its hook waits at least 16 minutes for one."""

ACCESS_TRIES = 3
"""How often a call of access control is tried at once: the other servers make the same at the same time."""

END_SECONDS = 5
"""Between two looks whether the machine is to go; a Spot instance has two minutes
(https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html says to look every 5)."""

LOOK_TIMEOUT_SECONDS = 4
"""Longest that a look at the primary region takes, and that the switch may keep silent: what a health checker of
Route 53 gives a connection
(https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/dns-failover-determining-health-of-endpoints.html)."""

SILENCE_SECONDS = 10
"""Longest that a service on this node may keep silent: it writes a snapshot while it is asked for one."""

STATE = "/var/lib/mlops-ha"
"""What outlives the machine's next start: the unit's StateDirectory."""

KEPT_BUNDLE = f"{STATE}/bundle.json"
"""The bundle that lies on this node: what it is made of when S3 is silent."""

KEPT_IMAGES = f"{STATE}/images.json"
"""The list of images that was last read."""

WRITTEN = f"{STATE}/written.json"
"""Which files and services are the agent's: what a later bundle no longer has is taken away."""

FORMED = f"{STATE}/formed"
"""There once the node's group has been whole."""

KEPT_FENCE = f"{STATE}/fence"
"""What was last known of the fence, and where to ask: after a start it is there before the bundle is."""

MEMORY = "/run/mlops-ha"
"""What is gone with the machine's next start: secrets, and what belongs to the services that run now."""

OWN = f"{MEMORY}/boot-agent"
"""The agent's own folder in there."""

STARTED = f"{OWN}/started.json"
"""By service, what it was started with, when, how often it had ended then, and whether it has been well since."""

NODE_ENVIRONMENT = f"{MEMORY}/node.env"
FIGURES = f"{MEMORY}/metrics/boot-agent.prom"
PROGRAMS = "/opt/mlops-ha/bin"
UNITS = "/etc/systemd/system"
ACCOUNTS = "/etc/sysusers.d/mlops-ha.conf"

NODE_API = {
    "address": "127.0.0.1",
    "ca": f"{OWN}/ca.pem",
    "certificate": f"{OWN}/certificate.pem",
    "private_key": f"{OWN}/private-key.pem",
}
"""How a service of this node is asked: over TLS with the certificate of the node's role."""

ENVIRONMENT = {"DOCKER_CONFIG": f"{ROOT}{OWN}/docker"}
"""Added for programs: Docker keeps the registry's password in memory, not on the disk."""

FENCED, OPEN = "fenced", "open"

SERVED = 200
"""What a health check and an object that is there answer."""

NO_SUCH_OBJECT = (403, 404)
"""What S3 answers when there is no such object: 403 to whoever may not list the bucket, and nobody may."""


class Problem(Exception):
    """Something outside is not as it should be; the message says what."""

    again = REPORT_SECONDS


class Waits(Problem):
    """Something is under way; the message says what."""

    again = AGAIN_SECONDS


class NotYet(Problem):
    """It is another server's turn, or nobody's."""


def say(line: str) -> None:
    """Write a line into the journal."""
    sys.stderr.write(line + "\n")


# Programs.


def outcome(*command: str, stdin: bytes | None = None, seconds: float = CALL_SECONDS) -> tuple[int, str, str]:
    """Return what a program ended with, printed, and last said of its trouble.

    Raises:
        Problem: there is no such program, or it took too long.
    """
    environment = {**os.environ, **ENVIRONMENT}
    try:
        done = subprocess.run(
            command, input=stdin, capture_output=True, timeout=seconds, check=False, env=environment
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Problem(f"{command[0]}: {error}") from error
    said = done.stderr.decode(errors="replace").strip().splitlines() or ["no message"]
    return done.returncode, done.stdout.decode(errors="replace"), said[-1]


def run(*command: str, stdin: bytes | None = None, seconds: float = CALL_SECONDS) -> str:
    """Return what a program printed.

    Raises:
        Problem: it failed, or took too long.
    """
    code, printed, said = outcome(*command, stdin=stdin, seconds=seconds)
    if code:
        raise Problem(f"{' '.join(command[:3])}: {said}")
    return printed


def metadata(path: str) -> str:
    """Return what the machine's metadata service (IMDSv2) says.

    Raises:
        Problem: it does not answer, or knows no such thing.
    """
    found = known(path)
    if found is None:
        raise Problem(f"metadata {path}: HTTP Error 404: Not Found")
    return found


def known(path: str) -> str | None:
    """Return what the machine's metadata service says; None when it knows no such thing.

    Raises:
        Problem: it does not answer.
    """
    # Never through a proxy: the address is the machine's own.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def asked(method: str, where: str, header: str, value: str) -> str:
        call = urllib.request.Request(f"{METADATA}/latest/{where}", method=method, headers={header: value})  # noqa: S310  (only HTTP)
        with opener.open(call, timeout=5) as answer:
            return answer.read().decode()

    try:
        token = asked("PUT", "api/token", "X-aws-ec2-metadata-token-ttl-seconds", "60")
        return asked("GET", f"meta-data/{path}", "X-aws-ec2-metadata-token", token)
    except OSError as error:
        if isinstance(error, urllib.error.HTTPError) and error.code == http.HTTPStatus.NOT_FOUND:
            return None
        raise Problem(f"metadata {path}: {error}") from error


# Files.


def begin(place: Path) -> int:
    """Begin a file that root alone reads, and return its descriptor; what a killed agent left there goes."""
    place.parent.mkdir(parents=True, exist_ok=True)
    if os.path.lexists(place):
        place.unlink()
    return os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400)


def write(path: str, text: str, mode: str = "0644", owner: str | None = None) -> None:
    """Put a file in its place as a whole; until then nobody but root reads it. ``mode`` is in octal digits."""
    place = Path(ROOT + path)
    aside = place.with_name(f"{place.name}.new")
    with os.fdopen(begin(aside), "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    if owner is not None:
        shutil.chown(aside, user=owner, group=owner)
    aside.chmod(int(mode, 8))
    aside.replace(place)


def read(path: str) -> str | None:
    """Return what is in a file; None when there is none that can be read."""
    try:
        return Path(ROOT + path).read_text(encoding="utf-8")
    except (OSError, ValueError):
        return None


def remembered(path: str) -> dict[str, Any]:
    """Return what a file of the agent's own says; nothing when it is not there, or broken."""
    return fields_in(read(path) or "")


def remove(path: str) -> None:
    """Take a file away if it is there."""
    place = Path(ROOT + path)
    if os.path.lexists(place):
        place.unlink()


def digest_of(text: str) -> str:
    """Return the SHA-256 of a text in hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class Wanted:
    """A file as it is to be. ``owner`` is None for the agent's own account, which is root."""

    text: str
    mode: str
    owner: str | None = None

    def lies(self, path: str) -> bool:
        """Return whether it lies there so."""
        if read(path) != self.text:
            return False
        place = Path(ROOT + path)
        try:
            if place.stat().st_mode & 0o7777 != int(self.mode, 8):
                return False
            return self.owner is None or place.owner() == self.owner
        except (OSError, KeyError):
            return False


@dataclass(frozen=True)
class Bundle:
    """A bundle, and the SHA-256 of its text."""

    text: str
    digest: str
    manifest: dict[str, Any]
    files: dict[str, Wanted]

    @classmethod
    def of(cls, text: str) -> Bundle:
        """Read a bundle.

        Raises:
            Problem: it has another format.
        """
        bundle = json.loads(text)
        manifest = bundle["manifest"]
        if manifest["format"] != FORMAT:
            raise Problem(f"the bundle has format {manifest['format']}, this agent knows {FORMAT}")
        files = {
            path: Wanted("".join(f"{line}\n" for line in file["lines"]), file["mode"])
            for path, file in bundle["files"].items()
        }
        return cls(text, digest_of(text), manifest, files)

    @property
    def services(self) -> list[dict[str, Any]]:
        """Its services in the order in which they start."""
        return self.manifest["services"]


# Secrets.


def fields_of(secret: dict[str, Any]) -> tuple[str, dict[str, str]]:
    """Return a secret as a text, and its fields; one that is no JSON has none.

    Raises:
        Problem: AWS does not give it.
    """
    if secret.get("kind") == "certificate":
        fields = exported_certificate(secret["id"])
        return json.dumps(fields), fields
    text = run(
        *("aws", "secretsmanager", "get-secret-value", "--secret-id", secret["id"]),
        *("--query", "SecretString", "--output", "text"),
    )
    return text, fields_in(text)


def fields_in(text: str) -> dict[str, Any]:
    """Return the fields of a JSON object; none of what is no such thing."""
    try:
        found: Any = json.loads(text)
        return dict(found.items())
    except (ValueError, AttributeError):
        return {}


def exported_certificate(arn: str) -> dict[str, str]:
    """Return a certificate of AWS Certificate Manager, with its chain, and the private key.

    ACM gives the key encrypted only (https://docs.aws.amazon.com/acm/latest/APIReference/API_ExportCertificate.html);
    the passphrase goes by a file that root alone reads, as what is in arguments everybody reads.
    """
    phrase = f"{OWN}/passphrase"
    write(phrase, secrets.token_hex(16), "0400")
    try:
        given = json.loads(
            run(
                *("aws", "acm", "export-certificate", "--certificate-arn", arn),
                *("--passphrase", f"fileb://{ROOT}{phrase}", "--output", "json"),
            )
        )
        key = run(
            *("openssl", "pkey", "-passin", f"file:{ROOT}{phrase}"),
            stdin=given["PrivateKey"].encode(),
        )
    finally:
        remove(phrase)
    return {
        "publicCertificate": given["Certificate"] + given["CertificateChain"],
        "publicPrivateKey": key,
    }


def filled(template: str, fields: dict[str, str], name: str) -> str:
    """Return a text with fields of a secret put in; errors tell nothing of what is in it.

    Raises:
        Problem: there is no such field.
    """
    try:
        return string.Template(template).substitute(fields)
    except KeyError as error:
        raise Problem(f"secret {name} has no {error.args[0]}") from None


def publish(metric: dict[str, Any], value: float) -> None:
    """Publish a figure to CloudWatch."""
    dimensions = ",".join(f"{name}={text}" for name, text in sorted(metric["dimensions"].items()))
    run(
        *("aws", "cloudwatch", "put-metric-data", "--namespace", metric["namespace"]),
        *("--metric-name", metric["name"], "--value", f"{value:.3f}", "--dimensions", dimensions),
    )


def certificate_end(path: str) -> int:
    """Return when a certificate ends, in seconds since 1970; of a chain the first one."""
    line = run("openssl", "x509", "-noout", "-enddate", "-in", ROOT + path)
    return ssl.cert_time_to_seconds(line.strip().partition("=")[2])


# Disks.


def is_mounted(path: str) -> bool:
    """Return whether something is mounted at a path."""
    return outcome("findmnt", "--mountpoint", ROOT + path)[0] == 0


def half_made(device: Path) -> bool:
    """Return whether a device has an XFS that nobody ever finished making: nothing can be in it yet.

    mkfs.xfs sets ``sb_inprogress``, byte 126, until its last write, and the kernel mounts no such file system
    (XFS Algorithms & Data Structures, "Superblocks").
    """
    with device.open("rb") as file:
        superblock = file.read(512)
    return superblock[:4] == b"XFSB" and superblock[126] != 0


def make_file_system(device: Path) -> None:
    """Make a file system on a device if there is nothing on it.

    Raises:
        Problem: what is on it cannot be told, or it could not be made.
    """
    # Of a device that it cannot read, blkid says the same as of a blank one.
    begun = half_made(device)
    code, found, said = outcome("blkid", "-p", str(device))
    if code not in (0, 2):
        raise Problem(f"blkid says {code} of {device}: {said}")
    if begun:
        run("mkfs.xfs", "-q", "-f", str(device), seconds=WORK_SECONDS)
    elif code and not found.strip():
        # Without -f: it looks for itself whether there is something.
        run("mkfs.xfs", "-q", str(device), seconds=WORK_SECONDS)


def mount(part: dict[str, Any], since: float) -> None:
    """Mount a disk unless it is mounted. ``since`` is when its device was first waited for, as a monotonic time.

    Raises:
        Waits: the device is not there yet.
        Problem: it did not come in time, or cannot be mounted.
    """
    if is_mounted(part["path"]):
        return
    place = ROOT + part["path"]
    Path(place).mkdir(parents=True, exist_ok=True)
    if part["kind"] == "efs":
        run("mount", "-t", "efs", "-o", "tls,iam", part["source"], place, seconds=WORK_SECONDS)
        return
    device = Path(ROOT + part["source"])
    if not device.exists():
        if time.monotonic() - since < VOLUME_SECONDS:
            raise Waits(f"waits for the volume {part['source']}")
        raise Problem(f"the volume {part['source']} did not come within {VOLUME_SECONDS} seconds")
    try:
        make_file_system(device)
    except OSError as error:
        raise Problem(f"the volume {part['source']} cannot be read: {error}") from error
    run("mount", "-o", "noatime", str(device), place)


def make_directory(part: dict[str, Any]) -> None:
    """Make a folder; one that belongs to somebody else is given to its service with all that is in it."""
    place, owner, mode = Path(ROOT + part["path"]), part["owner"], int(part["mode"], 8)
    place.mkdir(parents=True, exist_ok=True)
    try:
        right = place.owner() == place.group() == owner
    except KeyError:
        right = False
    if not right:
        # The folder last: a killed agent begins again. What is in root's folders, others put there.
        for found in sorted(place.rglob("*"), reverse=True):
            if owner != "root" and not found.is_symlink():
                shutil.chown(found, user=owner, group=owner)
        shutil.chown(place, user=owner, group=owner)
    if place.stat().st_mode & 0o7777 != mode:
        place.chmod(mode)


# Images.


def pull(registry: str, references: Iterable[str]) -> None:
    """Fetch images that are not here; the registry's password stays in memory, and no longer than that."""
    # A killed agent's.
    shutil.rmtree(ENVIRONMENT["DOCKER_CONFIG"], ignore_errors=True)
    missing = [one for one in references if outcome("docker", "image", "inspect", one)[0]]
    if not missing:
        return
    password = run("aws", "ecr", "get-login-password")
    try:
        run("docker", "login", "--username", "AWS", "--password-stdin", registry, stdin=password.encode())
        for reference in missing:
            run("docker", "pull", "--quiet", reference, seconds=WORK_SECONDS)
    finally:
        shutil.rmtree(ENVIRONMENT["DOCKER_CONFIG"], ignore_errors=True)


def take_program(reference: str, program: str) -> None:
    """Copy a program out of its image to where programs are."""
    container, place = "mlops-ha-program", Path(f"{ROOT}{PROGRAMS}/{program.rpartition('/')[2]}")
    place.parent.mkdir(parents=True, exist_ok=True)
    aside = place.with_name(f"{place.name}.new")
    # A killed agent's.
    outcome("docker", "rm", "--force", container)
    if os.path.lexists(aside):
        aside.unlink()
    run("docker", "create", "--name", container, reference)
    try:
        run("docker", "cp", f"{container}:{program}", str(aside), seconds=WORK_SECONDS)
    finally:
        outcome("docker", "rm", "--force", container)
    aside.chmod(0o755)
    aside.replace(place)


@dataclass(frozen=True)
class Program:
    """What a service runs: its image, the program in it (empty: the image itself), and the file that says so."""

    reference: str
    program: str
    marker: str
    wanted: Wanted

    def is_here(self) -> bool:
        """Return whether it is what runs at the next start."""
        return read(self.marker) == self.wanted.text


# What answers.


class NotMoved(urllib.request.HTTPRedirectHandler):
    """Follows nobody elsewhere: what answers there is not what was asked."""

    def redirect_request(self, req: Any, fp: Any, code: Any, msg: Any, headers: Any, newurl: Any) -> None:
        """Leave the answer as it is."""


def status_of(url: str) -> int:
    """Return the status of an answer.

    Raises:
        OSError: there is none.
        http.client.HTTPException: it is no HTTP.
    """
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), NotMoved())
    try:
        with opener.open(url, timeout=LOOK_TIMEOUT_SECONDS) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


def unverified() -> ssl.SSLContext:
    """Return a client's TLS that takes any certificate; reading the machine's authorities would cost 28 ms."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def status_at(address: tuple[str, int], url: urllib.parse.SplitResult) -> int:
    """Return the status that one address answers over TLS; whose certificate it shows does not matter.

    Raises:
        OSError: it does not answer.
        http.client.HTTPException: it answers no HTTP.
    """
    context = unverified()
    with socket.create_connection(address, LOOK_TIMEOUT_SECONDS) as plain:
        link = http.client.HTTPConnection(url.netloc)
        link.sock = context.wrap_socket(plain, server_hostname=url.hostname)
        try:
            link.request("GET", url.path)
            return link.getresponse().status
        finally:
            link.close()


def answers(url: str) -> bool | None:
    """Return whether any address of a name serves; None when the name has none, which is not the other's silence.

    All are asked at once: the first may be of a zone that is lost.
    """
    parts = urllib.parse.urlsplit(url)
    ends = time.monotonic() + LOOK_TIMEOUT_SECONDS
    pool = futures.ThreadPoolExecutor()
    try:
        named = pool.submit(socket.getaddrinfo, parts.hostname, parts.port or 443, socket.AF_INET, socket.SOCK_STREAM)
        try:
            addresses = sorted({found[4][:2] for found in named.result(LOOK_TIMEOUT_SECONDS)})
        except (OSError, futures.TimeoutError):
            return None
        asked = [pool.submit(status_at, (str(host), int(port)), parts) for host, port in addresses]
        for done in futures.as_completed(asked, ends - time.monotonic()):
            if done.exception() is None and done.result() == SERVED:
                return True
    except futures.TimeoutError:
        pass
    finally:
        pool.shutdown(wait=False)
    return False


def trouble_of(service: dict[str, Any]) -> str | None:
    """Ask a service whether it is well; return what is wrong, or None."""
    probe = service["probe"]
    address = ("127.0.0.1", probe["port"])
    try:
        if probe["kind"] == "tcp":
            socket.create_connection(address, PROBE_SECONDS).close()
            return None
        if probe["kind"] == "https":
            # It is this node that answers: whose certificate it shows does not matter.
            context = unverified()
            context.load_cert_chain(ROOT + NODE_API["certificate"], ROOT + NODE_API["private_key"])
            link: http.client.HTTPConnection = http.client.HTTPSConnection(
                *address, timeout=PROBE_SECONDS, context=context
            )
        else:
            link = http.client.HTTPConnection(*address, timeout=PROBE_SECONDS)
        try:
            link.request("GET", probe["path"])
            status = link.getresponse().status
        finally:
            link.close()
    except (OSError, http.client.HTTPException) as error:
        return f"{type(error).__name__}: {error}"
    return None if status == SERVED else f"{probe['path']} answers {status}"


@contextmanager
def service_answer(
    part: dict[str, Any], path: str, method: str = "GET", body: str | None = None
) -> Generator[http.client.HTTPResponse]:
    """Ask a service on this node, as a member of the region with the token that administers it; whatever it answers.

    Raises:
        OSError: it does not answer.
        Waits: the token is not here yet.
    """
    part = {**NODE_API, **part}
    token = read(part["token"])
    if token is None:
        raise Waits("waits for the secrets")
    context = ssl.create_default_context(cafile=ROOT + part["ca"])
    context.load_cert_chain(ROOT + part["certificate"], ROOT + part["private_key"])
    link = http.client.HTTPSConnection(part["address"], part["port"], timeout=SILENCE_SECONDS, context=context)
    try:
        link.request(method, path, body=body, headers={part["header"]: token.strip()})
        yield link.getresponse()
    finally:
        link.close()


def wanted_status(path: str, answer: http.client.HTTPResponse, *statuses: int) -> None:
    """Refuse an answer with another status.

    Raises:
        Problem: it has another one.
    """
    if answer.status not in statuses:
        raise Problem(f"{path.partition('?')[0]} answers {answer.status}")


# Snapshots.


def leads(snapshot: dict[str, Any]) -> bool:
    """Return whether the service on this node leads; one that does not run leads nothing."""
    path = snapshot["self_path"]
    try:
        with service_answer(snapshot, path) as answer:
            wanted_status(path, answer, SERVED)
            said = json.load(answer)
    except ConnectionRefusedError:
        return False
    for name in snapshot["leader"]:
        said = said[name]
    return said == "true"


def check_archive(place: Path) -> None:
    """Read a snapshot to its end, where the sum of it stands.

    Raises:
        Problem: it is empty, or no whole archive.
    """
    if not place.stat().st_size:
        raise Problem("the snapshot is empty")
    try:
        with gzip.open(place) as unpacked:
            with tarfile.open(fileobj=unpacked, mode="r|") as archive:
                names = archive.getnames()
            # The archive ends before its packing does.
            while unpacked.read(1 << 20):
                pass
    except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
        raise Problem(f"the snapshot is no archive: {error}") from error
    if not names:
        raise Problem("there is nothing in the snapshot")


def take_snapshot(snapshot: dict[str, Any]) -> None:
    """Copy a service's snapshot into S3.

    Raises:
        OSError: the service does not answer.
        Problem: the service refuses, what it gave is no snapshot, or S3 did not take it.
    """
    place = Path(f"{ROOT}{STATE}/{snapshot['service']}.snap")
    path = snapshot["path"]
    ends = time.monotonic() + CALL_SECONDS
    try:
        with service_answer(snapshot, path) as answer, os.fdopen(begin(place), "wb") as file:
            wanted_status(path, answer, SERVED)
            while True:
                block = answer.read(1 << 20)
                if not block:
                    break
                file.write(block)
                if time.monotonic() > ends:
                    raise Problem(f"the snapshot took longer than {CALL_SECONDS} seconds")
        check_archive(place)
        run("aws", "s3", "cp", "--only-show-errors", str(place), f"s3://{snapshot['bucket']}/{snapshot['key']}")
    finally:
        # Tokens are in it.
        if os.path.lexists(place):
            place.unlink()


# The group.


@dataclass(frozen=True)
class Group:
    """What autopilot says of a group of servers. ``trouble`` is empty when the group is whole.

    ``led`` says whether anybody leads, ``counted`` whether this server is healthy in the group's eyes.
    """

    trouble: str
    led: bool = False
    counted: bool = False


def group_of(quorum: dict[str, Any], manifest: dict[str, Any]) -> Group:
    """Ask a scheduler how its group is."""
    name, path = quorum["service"], quorum["path"]
    try:
        with service_answer(quorum, path) as answer:
            # 429: there is a group, and something about it is not well.
            wanted_status(path, answer, SERVED, http.HTTPStatus.TOO_MANY_REQUESTS)
            said = json.load(answer)
        members: list[dict[str, Any]] = said["Servers"] or []
        well = [one for one in members if one["Healthy"] and one["Voter"]]
        led = any(one["Leader"] for one in members)
        # Nomad adds its region to a name.
        counted = any(one["Name"].partition(".")[0] == manifest["node"] for one in well)
        whole = said["Healthy"] and len(well) == len(members) == len(manifest["servers"])
    except (OSError, http.client.HTTPException, LookupError, TypeError, ValueError, Problem) as error:
        return Group(f"{name}: {type(error).__name__}: {error}")
    if whole and led:
        return Group("", led, counted)
    return Group(f"{name} has {len(well)} of {len(manifest['servers'])} servers", led, counted)


def is_led(quorum: dict[str, Any]) -> bool:
    """Say whether a scheduler has a leader. Unlike for the rest, no token must be known for that."""
    try:
        with service_answer(quorum, "/v1/status/leader") as answer:
            return answer.status == SERVED and bool(json.load(answer))
    except (OSError, http.client.HTTPException, ValueError):
        return False


class Turn:
    """The lock of S3 that a server holds while it restarts something. Who holds it by name keeps it."""

    def __init__(self, part: dict[str, Any], node: str, instance: str) -> None:
        """Begin without knowing whether an earlier agent of this node holds it."""
        self.part, self.node, self.instance = part, node, instance
        self.mine: bool | None = None
        self.told = ""

    def holder(self) -> dict[str, Any] | None:
        """Return what the holder wrote; None when there is none."""
        code, printed, said = outcome(
            "aws", "s3", "cp", "--only-show-errors", f"s3://{self.part['bucket']}/{self.part['key']}", "-"
        )
        # 403 to whoever may not list the bucket, and nobody may.
        if code and any(f"({status})" in said for status in NO_SUCH_OBJECT):
            return None
        if code:
            raise Problem(f"aws s3 cp: {said}")
        return json.loads(printed)

    def is_mine(self) -> bool:
        """Return whether this node holds it."""
        if self.mine is None:
            holder = self.holder()
            self.mine = holder is not None and holder["node"] == self.node
        return bool(self.mine)

    def _put(self, digest: str, says: str, *condition: str) -> tuple[int, str]:
        body = f"{OWN}/turn.json"
        write(body, json.dumps({"node": self.node, "instance": self.instance, "bundle": digest, "says": says}))
        code, _, said = outcome(
            *("aws", "s3api", "put-object", "--bucket", self.part["bucket"], "--key", self.part["key"]),
            *("--body", ROOT + body, *condition),
        )
        return code, said

    def take(self, digest: str) -> None:
        """Take it.

        Raises:
            NotYet: another server has it.
            Problem: S3 does not say.
        """
        if self.is_mine():
            return
        says = f"applies bundle {digest[:12]}"
        code, said = self._put(digest, says, "--if-none-match", "*")
        if not code:
            self.mine, self.told = True, says
            return
        # https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
        if "PreconditionFailed" not in said and "ConditionalRequestConflict" not in said and "412" not in said:
            raise Problem(f"aws s3api put-object: {said}")
        holder = self.holder()
        if holder is not None and holder["node"] == self.node:
            # The answer to an earlier try was lost.
            self.mine = True
            return
        raise NotYet(self.told_of(holder) if holder else "waits for another server, which has just ended")

    @staticmethod
    def told_of(holder: dict[str, Any]) -> str:
        """Return for whom this server waits."""
        return f"waits for {holder['node']}, which {holder['says']}"

    def tell(self, digest: str, says: str) -> None:
        """Leave word for those who wait."""
        if self.mine and says != self.told and not self._put(digest, says)[0]:
            self.told = says

    def give_back(self) -> None:
        """Let the next server begin."""
        run("aws", "s3api", "delete-object", "--bucket", self.part["bucket"], "--key", self.part["key"])
        self.mine = False


# Access control.


def agrees(wanted: Any, found: Any) -> bool:
    """Return whether what is there is what is wanted; what it has besides is its service's own affair."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        return all(agrees(value, found.get(name)) for name, value in wanted.items())  # pyright: ignore
    if isinstance(wanted, list) and isinstance(found, list):
        return len(wanted) == len(found) and all(map(agrees, wanted, found))  # pyright: ignore
    # What is empty, a service leaves out.
    return wanted == found or not (wanted or found)


class AccessControl:
    """What the region's servers make together: policies and tokens of Consul and Nomad."""

    def __init__(self, manifest: dict[str, Any], fields: dict[str, str]) -> None:
        """Begin for a manifest, with the fields of the role's secret."""
        self.access = manifest["access"]
        self.apis = {quorum["service"]: quorum for quorum in manifest["quorum"]}
        self.fields = {name: json.dumps(value)[1:-1] for name, value in fields.items()}

    def ask(self, service: str, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Ask a service; return the status and what it answered: what JSON says, or else the text."""
        text = None if body is None else json.dumps(body)
        with service_answer(self.apis[service], path, method, text) as answer:
            status, said = answer.status, answer.read().decode(errors="replace")
        try:
            return status, json.loads(said)
        except ValueError:
            return status, said.strip()

    def must(self, service: str, method: str, path: str, body: Any = None) -> Any:
        """Ask a service, and return what it answered.

        Raises:
            Problem: it refuses.
        """
        status, said = self.ask(service, method, path, body)
        if status != SERVED:
            # Of what it says nothing is told: it may repeat what it was given.
            raise Problem(f"{service} answers {status} to {method} {path.partition('?')[0]}")
        return said

    def make(self) -> None:
        """Make all that is not there yet."""
        for call in self.access["consul"]:
            self.call(call)
        self.make_management_token_valid()
        for call in self.access["nomad"]:
            self.call(call)
        for token in self.access["nomad_tokens"]:
            self.make_token(token)

    def call(self, call: dict[str, Any]) -> None:
        """Make one thing unless it is there as it is to be; what another server made meanwhile is looked at again.

        Raises:
            Problem: it could not be made.
        """
        for left in reversed(range(ACCESS_TRIES)):
            try:
                self.try_call(call)
            except Problem:
                if not left:
                    raise
            else:
                return

    def try_call(self, call: dict[str, Any]) -> None:
        """Do as ``configs.manifest.Call`` says, once."""
        service, write_path = call["service"], call["write"]
        wanted = json.loads(filled(call["body"], self.fields, "of the role"))
        found = self.found(call, wanted)
        path = write_path
        if found is not None:
            different = [name for name in call["compared"] if not agrees(wanted.get(name), found.get(name))]
            if not different:
                return
            if service == "consul":
                path = f"{write_path}/{self.id_of(found)}"
                if "SecretID" in different:
                    self.must(service, "DELETE", path)
                    path = write_path
        self.must(service, "PUT" if service == "consul" else "POST", path, wanted)
        say(f"access control: {service} {call['name']} is written")
        if found is None:
            # Another server may have made one too.
            self.found(call, wanted)

    def found(self, call: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any] | None:
        """Return what is there of a thing; of several the oldest, and the others go."""
        service = call["service"]
        status, said = self.ask(service, "GET", call["read"])
        if status == http.HTTPStatus.NOT_FOUND or (
            service == "consul" and status == http.HTTPStatus.FORBIDDEN and "ACL not found" in str(said)
        ):
            return None
        if status != SERVED:
            raise Problem(f"{service} answers {status} to GET {call['read']}")
        if not isinstance(said, list):
            return said
        listed = cast("list[dict[str, Any]]", said)
        same = [one for one in listed if one.get("Description") == wanted["Description"]]
        same.sort(key=lambda one: one["CreateIndex"])
        for other in same[1:]:
            self.must(service, "DELETE", f"{call['write']}/{self.id_of(other)}")
        return same[0] if same else None

    @staticmethod
    def id_of(found: dict[str, Any]) -> str:
        """Return by which id Consul knows a thing."""
        return next(found[name] for name in ("AccessorID", "ID", "Name") if name in found)

    def make_management_token_valid(self) -> None:
        """Give Nomad its first token, which is known already."""
        if self.ask("nomad", "GET", "/v1/acl/token/self")[0] == SERVED:
            return
        secret = (read(self.apis["nomad"]["token"]) or "").strip()
        status, _ = self.ask("nomad", "POST", "/v1/acl/bootstrap", {"BootstrapSecret": secret})
        if status == SERVED:
            say("access control: nomad has its first token")
        # Another server may have been first; with another token nobody can go on.
        self.must("nomad", "GET", "/v1/acl/token/self")

    def make_token(self, token: dict[str, Any]) -> None:
        """Leave the secret of a token of Nomad; the oldest of its name counts, whichever server made it."""
        named = self._named(token)
        if not named:
            body = {"Name": token["name"], "Type": "client", "Policies": list(token["policies"])}
            self.must("nomad", "POST", "/v1/acl/token", body)
            say(f"access control: nomad token {token['name']} is made")
            # Another server may have been first.
            named = self._named(token)
        first, *others = named
        for other in others:
            self.ask("nomad", "DELETE", f"/v1/acl/token/{other['AccessorID']}")
        path = f"/v1/acl/token/{first['AccessorID']}"
        found = self.must("nomad", "GET", path)
        if sorted(found["Policies"] or []) != sorted(token["policies"]):
            body = {"AccessorID": first["AccessorID"], "Name": token["name"], "Type": "client"}
            self.must("nomad", "POST", path, {**body, "Policies": list(token["policies"])})
        text = filled(token["text"], {"secret": found["SecretID"]}, f"of the token {token['name']}")
        wanted = Wanted(text, token["mode"], token["owner"])
        if not wanted.lies(token["path"]):
            write(token["path"], wanted.text, wanted.mode, wanted.owner)

    def _named(self, token: dict[str, Any]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.must("nomad", "GET", "/v1/acl/tokens")
        named = [one for one in found if one["Name"] == token["name"]]
        return sorted(named, key=lambda one: one["CreateIndex"])


# The fence.


def kept_fence() -> tuple[dict[str, Any] | None, str]:
    """Return the fence as it was last known: where to ask, and the answer. One that was never known is open."""
    try:
        kept = json.loads(read(KEPT_FENCE) or "")
        return dict(kept["fence"]), FENCED if kept["state"] == FENCED else OPEN
    except (LookupError, TypeError, ValueError):
        return None, OPEN


def set_fence(path: str, state: str) -> None:
    """Let the load balancer see whether users are let in."""
    if state == FENCED:
        remove(path)
    elif read(path) is None:
        write(path, "", "0644")


class Agent:
    """One node's agent."""

    def __init__(self, bucket: str, node: str, instance: str, address: str, own_text: str) -> None:
        """Begin with nothing done: every duty is due."""
        self.bucket, self.node, self.instance, self.own_text = bucket, node, instance, own_text
        self.address = address
        self.name = f"{node}-{instance}" if node == SHARED else node
        self.began = time.monotonic()
        self.ended = threading.Event()
        """Set when another agent is to take over."""
        self.news = threading.Event()
        """Set when the next report should not wait."""
        self.fetched: Bundle | None = None
        """What stands in S3."""
        self.kept: Bundle | None = self._kept_bundle()
        """What lies on this node, whole or not."""
        self.complete = False
        """Whether all of that is so."""
        self.images: dict[str, Any] = remembered(KEPT_IMAGES)
        self.documents: dict[str, tuple[str, dict[str, str]]] = {}
        """The secrets by id: text and fields."""
        self.prepared: set[str] = set()
        """Bundles, with their images, whose needs are met."""
        self.acted = time.monotonic()
        """When a service was last started, restarted or reloaded."""
        self.turn: Turn | None = None
        self.ending = self.drained = self.let_go = False
        self.certificate_ends: dict[str, int] = {}
        self.duties = (
            (self.follow_agent, LOOK_SECONDS),
            (self.follow_bundle, LOOK_SECONDS),
            (self.renew_secrets, RENEW_SECONDS),
            (self.converge, REPORT_SECONDS),
            (self.keep_access, RENEW_SECONDS),
            (self.publish_certificates, RENEW_SECONDS),
        )
        self.due: dict[str, float] = {duty.__name__: 0 for duty, _ in self.duties}
        self.fence, self.fence_state = kept_fence()
        self.snapshot_due: dict[str, float] = {}
        self.snapshot_taken: dict[str, float] = {}
        self.problems: dict[str, Exception] = {}
        """By duty, what went wrong when it was last tried; those of other threads are in it."""

    # What there is to know.

    @staticmethod
    def _kept_bundle() -> Bundle | None:
        try:
            return Bundle.of(read(KEPT_BUNDLE) or "")
        except (Problem, LookupError, TypeError, ValueError, AttributeError):
            return None

    @property
    def manifest(self) -> dict[str, Any]:
        """What lies on this node; empty when nothing does."""
        return {} if self.kept is None else self.kept.manifest

    @property
    def digest(self) -> str:
        """The SHA-256 of the bundle that is applied; empty when there is none."""
        return "" if self.kept is None else self.kept.digest

    def fetch(self, url: str) -> str:
        """Return an object of S3."""
        return run("aws", "s3", "cp", "--only-show-errors", url, "-")

    def follow_agent(self) -> None:
        """End if there is another agent: systemd starts it."""
        if self.fetch(f"s3://{self.bucket}/boot-agent/agent.py") != self.own_text:
            self.ended.set()
            self.news.set()

    def follow_bundle(self) -> None:
        """Learn what the node is to be."""
        bundle = Bundle.of(self.fetch(f"s3://{self.bucket}/bundles/{self.node}.json"))
        images = self.fetch(bundle.manifest["images"])
        if json.loads(images) != self.images:
            self.images = json.loads(images)
            write(KEPT_IMAGES, images)
        if self.fetched is None or self.fetched.digest != bundle.digest:
            self.fetched = bundle
            self.due.update({"renew_secrets": 0, "keep_access": 0, "publish_certificates": 0})

    def renew_secrets(self) -> None:
        """Read the secrets; who applies the bundle writes them."""
        bundle = self.fetched or self.kept
        if bundle is None:
            raise Problem("there is no bundle yet that names the secrets")
        read_now = {secret["id"]: fields_of(secret) for secret in bundle.manifest["secrets"]}
        if read_now != self.documents:
            self.documents = read_now
            self.due["keep_access"] = 0

    def secret_files(self, bundle: Bundle) -> dict[str, Wanted]:
        """Return the files that secrets make; those of one that AWS does not give must be there from before.

        Raises:
            Problem: they are not.
        """
        found: dict[str, Wanted] = {}
        for secret in bundle.manifest["secrets"]:
            name = secret["id"]
            if name not in self.documents:
                if all(read(file["path"]) is not None for file in secret["files"]):
                    continue
                raise Problem(f"secret {name} could not be read yet")
            text, fields = self.documents[name]
            for file in secret["files"]:
                content = text if file["text"] is None else filled(file["text"], fields, name)
                found[file["path"]] = Wanted(content, file["mode"], file["owner"])
        return found

    def programs(self, bundle: Bundle) -> dict[str, Program]:
        """Return, by service, what it runs; as before while the list of images has another version of it.

        Raises:
            Problem: the list has no such version, and there is none from before.
        """
        found: dict[str, Program] = {}
        for service in bundle.services:
            name, binary = service["name"], service["kind"] == "binary"
            own = service["program"].rpartition("/")[2]
            marker = f"{PROGRAMS}/{own}.image" if binary else f"{MEMORY}/{name}.image.env"
            prefix = "" if binary else "IMAGE="
            image = self.images.get(service["software"])
            if image is not None and service["version"] in image["tag"]:
                reference = f"{bundle.manifest['registry']}/{image['repository']}@{image['digest']}"
            else:
                before = read(marker)
                if before is None:
                    raise Problem(f"the list of images has no {service['software']} {service['version']}")
                reference = before[len(prefix) :].strip()
            found[name] = Program(reference, service["program"], marker, Wanted(f"{prefix}{reference}\n", "0444"))
        return found

    def wanted_files(self, bundle: Bundle) -> dict[str, Wanted]:
        """Return every file of the node but programs and their markers."""
        environment = f"NODE_NAME={self.name}\nNODE_ADDRESS={self.address}\nINSTANCE_ID={self.instance}\n"
        return {
            **bundle.files,
            **self.secret_files(bundle),
            NODE_ENVIRONMENT: Wanted(environment, "0444"),
        }

    # What runs.

    def running(self, services: Iterable[str]) -> set[str]:
        """Return which services systemd runs, or tries to."""
        names = list(services)
        if not names:
            return set()
        _, printed, _ = outcome("systemctl", "is-active", *(f"mlops-ha-{name}.service" for name in names))
        return {
            name
            for name, state in zip(names, printed.split())  # noqa: B905  (Python 3.9 has no strict)
            if state in ("active", "activating", "reloading", "deactivating")
        }

    @staticmethod
    def ends(name: str) -> int:
        """Return how often systemd found that a service had ended by itself; some starts count anew, some do not."""
        _, printed, _ = outcome("systemctl", "show", "--property", "NRestarts", "--value", f"mlops-ha-{name}.service")
        # Nothing hangs on it but what is told how soon.
        return int(printed) if printed.strip().isdigit() else 0

    @staticmethod
    def fingerprint(service: dict[str, Any], marker: str, content: Callable[[str], str | None]) -> dict[str, str]:
        """Return what a service runs by: for each file that it reads the SHA-256 of what is in it."""
        unit = f"{UNITS}/mlops-ha-{service['name']}.service"
        paths = [*service["restarts"], *service["reloads"], unit, marker]
        return {path: digest_of(content(path) or "") for path in paths}

    @staticmethod
    def changed(before: dict[str, str], now: dict[str, str]) -> set[str]:
        """Return which files differ."""
        return {path for path in {*before, *now} if before.get(path) != now.get(path)}

    def disturbs(self, bundle: Bundle) -> bool:
        """Return whether applying a bundle restarts or reloads something that runs."""
        files, programs, started = self.wanted_files(bundle), self.programs(bundle), remembered(STARTED)
        contents = {path: file.text for path, file in files.items()}
        contents.update({program.marker: program.wanted.text for program in programs.values()})
        names = {service["name"]: service for service in bundle.services}

        def differs(name: str) -> bool:
            if name not in names or name not in started:
                return True
            now = self.fingerprint(names[name], programs[name].marker, lambda path: contents.get(path, read(path)))
            return bool(self.changed(started[name]["files"], now))

        # systemd is asked only when there is something to ask about: this is looked at all the time.
        return bool(self.running(filter(differs, sorted({*names, *remembered(WRITTEN).get("services", ())}))))

    # The turn.

    @property
    def formed(self) -> bool:
        """Whether the node's group has ever been whole."""
        return read(FORMED) is not None

    def group_trouble(self, manifest: dict[str, Any]) -> str:
        """Return why the node's group is not whole; empty when it is, or when there is none."""
        return "; ".join(trouble for quorum in manifest["quorum"] if (trouble := group_of(quorum, manifest).trouble))

    def begin_turn(self, bundle: Bundle) -> None:
        """Take the turn if what is to be done may cost the group a server.

        Raises:
            NotYet: it is another server's, or the group is not whole.
        """
        part = bundle.manifest["turn"]
        if part is None:
            self.turn = None
            return
        if self.turn is None or self.turn.part != part:
            self.turn = Turn(part, self.node, self.instance)
        if self.turn.mine or not self.formed or self.kept is None:
            return
        if self.kept.digest == bundle.digest and not self.disturbs(bundle):
            return
        if not self.running(service["name"] for service in self.kept.services):
            # Nothing to lose here; but what another server failed with is not tried on a second one.
            holder = None if self.kept.digest == bundle.digest else self.turn.holder()
            if holder is not None and holder["node"] != self.node:
                raise NotYet(self.turn.told_of(holder))
            return
        if not self.turn.is_mine():
            self._must_be_whole(bundle, self.turn)
            self.turn.take(bundle.digest)
            try:
                # The one before may have ended only now.
                self._must_be_whole(bundle, self.turn)
            except NotYet:
                self.turn.give_back()
                raise

    def _must_be_whole(self, bundle: Bundle, turn: Turn) -> None:
        trouble = self.group_trouble(bundle.manifest)
        if trouble:
            holder = None if turn.mine else turn.holder()
            raise NotYet(turn.told_of(holder) if holder else f"waits until the group is whole: {trouble}")

    def end_turn(self, bundle: Bundle) -> None:
        """Give the turn back when the group is whole again.

        Raises:
            Waits: it is not yet.
            Problem: it should be by now.
        """
        if self.turn is None or not self.turn.is_mine():
            return
        since = time.monotonic() - self.acted
        silent = [f"{name}: {trouble}" for name, trouble in self.troubles().items() if trouble is not None]
        trouble = "; ".join([*silent, *filter(None, [self.group_trouble(bundle.manifest)])])
        if trouble and since > SERVICE_SECONDS:
            raise Problem(f"failed: the group is not whole again: {trouble}")
        if trouble or since < SETTLE_SECONDS:
            raise Waits(f"waits until the group is whole again: {trouble}")
        self.turn.give_back()
        say("the turn is given back")

    # Making it so.

    def converge(self) -> None:
        """Bring the node to what the bundle says, as far as it goes now."""
        if self.is_ending():
            return
        bundle = self.fetched or self.kept
        if bundle is None:
            raise Problem("there is no bundle yet")
        try:
            # Before the turn: images take their time.
            self.prepare(bundle)
            self.begin_turn(bundle)
        except Problem:
            # What ran goes on, and starts again after the machine's start.
            if self.kept is not None:
                self.apply(self.kept, may_change=False)
            raise
        try:
            self.apply(bundle, may_change=True)
            self.end_turn(bundle)
        except Problem as error:
            if self.turn is not None and not isinstance(error, Waits):
                self.turn.tell(bundle.digest, str(error))
            raise

    def apply(self, bundle: Bundle, may_change: bool) -> None:
        """Make what a bundle says: all of it, or only what is missing without touching what runs."""
        files, programs = self.wanted_files(bundle), self.programs(bundle)
        self.prepare(bundle)
        if may_change:
            self.begin_change(bundle, files, programs)
        for path in sorted(files):
            file = files[path]
            if not file.lies(path) if may_change else read(path) is None:
                self.complete = False
                write(path, file.text, file.mode, file.owner)
        self.put_programs(bundle, programs, may_change)
        if may_change:
            self.end_change(files, programs, bundle)
        self.run_services(bundle, programs, may_change)
        if not self.complete:
            say(f"bundle {bundle.digest} is applied")
            self.news.set()
        self.complete = True

    def prepare(self, bundle: Bundle) -> None:
        """Make what files and services need: packages, disks, accounts, folders, images."""
        manifest = bundle.manifest
        programs = self.programs(bundle).values()
        wanted = f"{bundle.digest} {sorted(program.reference for program in programs)}"
        if wanted in self.prepared:
            return
        for package in manifest["packages"]:
            if outcome("rpm", "-q", package)[0]:
                run("dnf", "install", "-y", package, seconds=WORK_SECONDS)
        if "docker" in manifest["packages"]:
            run("systemctl", "start", "docker")
        for part in manifest["mounts"]:
            mount(part, self.began)
        accounts = bundle.files.get(ACCOUNTS)
        if accounts is not None:
            write(ACCOUNTS, accounts.text, accounts.mode)
            run("systemd-sysusers", ROOT + ACCOUNTS)
        for directory in manifest["directories"]:
            make_directory(directory)
        # A container needs its image always, a binary only once.
        needed = {one.reference for one in programs if not (one.program and one.is_here())}
        pull(manifest["registry"], sorted(needed))
        self.prepared.add(wanted)

    def begin_change(self, bundle: Bundle, files: dict[str, Wanted], programs: dict[str, Program]) -> None:
        """Note what will be the agent's before it is, and stop what is no more."""
        if self.kept is None or self.kept.digest != bundle.digest:
            self.complete = False
            written = remembered(WRITTEN)
            mine = {*written.get("files", ()), *files, *(program.marker for program in programs.values())}
            services = {*written.get("services", ()), *(service["name"] for service in bundle.services)}
            write(WRITTEN, json.dumps({"files": sorted(mine), "services": sorted(services)}))
            write(KEPT_BUNDLE, bundle.text)
            self.kept = bundle
        gone = set(remembered(WRITTEN).get("services", ())) - {service["name"] for service in bundle.services}
        for name in sorted(self.running(gone)):
            run("systemctl", "stop", f"mlops-ha-{name}.service", seconds=STOP_SECONDS)
            say(f"{name} is stopped: the bundle has it no more")

    def end_change(self, files: dict[str, Wanted], programs: dict[str, Program], bundle: Bundle) -> None:
        """Take away what the bundle has no more."""
        wanted = {
            "files": sorted({*files, *(program.marker for program in programs.values()), *self.others(bundle)}),
            "services": sorted(service["name"] for service in bundle.services),
        }
        written = remembered(WRITTEN)
        if written == wanted:
            return
        for path in sorted(set(written.get("files", ())) - set(wanted["files"])):
            remove(path)
            if path.endswith(".image"):
                remove(path[: -len(".image")])
        write(WRITTEN, json.dumps(wanted))

    @staticmethod
    def others(bundle: Bundle) -> list[str]:
        """Return files that are the agent's, and that neither the bundle nor a secret has the text of."""
        access: dict[str, Any] = bundle.manifest["access"] or {}
        secret_paths = [file["path"] for secret in bundle.manifest["secrets"] for file in secret["files"]]
        return [*secret_paths, *(token["path"] for token in access.get("nomad_tokens", ()))]

    def put_programs(self, bundle: Bundle, programs: dict[str, Program], may_change: bool) -> None:
        """Take programs out of their images, and say which images services run."""
        for program in programs.values():
            if program.is_here() or (read(program.marker) is not None and not may_change):
                continue
            pull(bundle.manifest["registry"], [program.reference])
            if program.program:
                take_program(program.reference, program.program)
            write(program.marker, program.wanted.text, program.wanted.mode)

    def run_services(self, bundle: Bundle, programs: dict[str, Program], may_change: bool) -> None:
        """Start what does not run, take in what changed, one after the other.

        Raises:
            Waits: a service is not well yet, or something that it needs is not there.
            Problem: a service failed.
        """
        running, started = self.running(service["name"] for service in bundle.services), remembered(STARTED)
        reloaded, waits = False, ""
        for service in bundle.services:
            name = service["name"]
            absent = [path for path in (*service["restarts"], *service["reloads"]) if read(path) is None]
            if absent:
                waits = f"{name} waits for {absent[0]}"
                continue
            now = self.fingerprint(service, programs[name].marker, read)
            before = started.get(name)
            verb = self.verb(service, name in running, before, now)
            if verb and (may_change or verb == "start"):
                if not reloaded:
                    run("systemctl", "daemon-reload")
                    reloaded = True
                self.act(verb, name, started, now)
            record = started.get(name)
            if record is None or record["well"]:
                continue
            trouble = trouble_of(service)
            if trouble is None:
                record["well"] = True
                write(STARTED, json.dumps(started), "0400")
                say(f"{name} is well")
            elif time.time() - record["since"] > SERVICE_SECONDS:
                raise Problem(f"failed: {name} is not well: {trouble}")
            elif self.ends(name) - record.get("ends", 0) >= ENDS:
                raise Problem(f"failed: {name} ends again and again: {trouble}")
            else:
                raise Waits(f"waits for {name}: {trouble}")
        if waits:
            raise Waits(waits)

    def verb(
        self, service: dict[str, Any], runs: bool, before: dict[str, Any] | None, now: dict[str, str]
    ) -> str | None:
        """Return what to do about a service: start, restart, reload or nothing."""
        if not runs:
            return "start"
        changed = set(now) if before is None else self.changed(before["files"], now)
        if not changed:
            return None
        return "reload" if changed <= set(service["reloads"]) else "restart"

    def act(self, verb: str, name: str, started: dict[str, Any], now: dict[str, str]) -> None:
        """Start, restart or reload a service, and remember with what."""
        run("systemctl", verb, f"mlops-ha-{name}.service", seconds=STOP_SECONDS)
        say(f"systemctl {verb} {name}")
        self.acted = time.monotonic()
        # After: who is killed in between does it again.
        started[name] = {"files": now, "since": time.time(), "well": False, "ends": self.ends(name)}
        write(STARTED, json.dumps(started), "0400")

    def keep_access(self) -> None:
        """Make the region's access control what it is to be, once somebody leads."""
        manifest = self.manifest
        if not manifest or manifest["access"] is None:
            return
        for quorum in manifest["quorum"]:
            if not is_led(quorum):
                raise Waits(f"access control waits for a leader of {quorum['service']}")
        fields = {name: text for _, known in self.documents.values() for name, text in known.items()}
        AccessControl(manifest, fields).make()

    def publish_certificates(self) -> None:
        """Publish when the certificates on the node end."""
        for certificate in self.manifest.get("certificates", ()):
            path, metric = certificate["path"], certificate["metric"]
            if read(path) is None:
                raise Waits(f"waits for {path}")
            (label,) = metric["dimensions"].values()
            self.certificate_ends[label] = certificate_end(path)
            publish(metric, (self.certificate_ends[label] - time.time()) / 86400)

    # Beside it.

    def look_at_fence(self) -> None:
        """Ask for the failover switch and let the load balancer see whether users are kept away."""
        if self.kept is not None:
            self.fence = self.manifest.get("fence")
        if self.fence is None:
            return
        if read(KEPT_FENCE) is not None:
            # What is known counts until there is an answer.
            set_fence(self.fence["path"], self.fence_state)
        try:
            heard: object = status_of(self.fence["url"])
        except (OSError, http.client.HTTPException) as error:
            heard = error
        if heard == SERVED:
            self.fence_state = FENCED
        elif heard in NO_SUCH_OBJECT:
            self.fence_state = OPEN
        kept = json.dumps({"fence": self.fence, "state": self.fence_state})
        # The load balancer's first: users are kept away although the disk is full.
        set_fence(self.fence["path"], self.fence_state)
        if read(KEPT_FENCE) != kept:
            write(KEPT_FENCE, kept)
        if heard != SERVED and heard not in NO_SUCH_OBJECT:
            raise Problem(f"the failover switch says {heard}: {self.fence_state} as before")

    def keep_snapshots(self) -> None:
        """Take a snapshot of each service that this node leads, when the one it took before is old enough.

        A node that does not lead asks again in the next round: when the lead changes, the next snapshot is not late.
        """
        problems: list[str] = []
        for snapshot in self.manifest.get("snapshots", ()):
            service, now = snapshot["service"], time.monotonic()
            # Without a token the secrets are not here yet: who writes them tells why.
            if now < self.snapshot_due.get(service, 0) or read(snapshot["token"]) is None:
                continue
            try:
                if leads(snapshot):
                    take_snapshot(snapshot)
                    self.snapshot_due[service] = now + snapshot["seconds"]
                    self.snapshot_taken[service] = time.time()
            except Exception as error:  # One service's fault is not the other's.
                problems.append(f"{service}: {type(error).__name__}: {error}")
        if problems:
            raise Problem("; ".join(problems))

    @property
    def drain(self) -> dict[str, Any] | None:
        """How this machine ends; None when nobody takes it away."""
        bundle = self.kept or self.fetched
        return None if bundle is None else bundle.manifest["drain"]

    def is_ending(self) -> bool:
        """Return whether this machine is to go, and its bundle says how: from then on nothing is started."""
        if self.drain is None:
            return False
        if not self.ending:
            self.ending = self._terminated() or known("spot/instance-action") is not None
        return self.ending

    @staticmethod
    def _terminated() -> bool:
        # https://docs.aws.amazon.com/autoscaling/ec2/userguide/retrieving-target-lifecycle-state-through-imds.html
        return known("autoscaling/target-lifecycle-state") == "Terminated"

    def follow_lifecycle(self) -> None:
        """Drain a machine that is to go, and let Auto Scaling have it then."""
        if not self.is_ending():
            return
        drain = self.drain or {}
        if not self.drained:
            self.stop_for_good(drain)
            self.drained = True
        if not self.let_go and self._terminated():
            self.lifecycle(drain, "complete-lifecycle-action", "--lifecycle-action-result", "CONTINUE")
            self.let_go = True

    def lifecycle(self, drain: dict[str, Any], call: str, *more: str) -> None:
        """Say something about this machine's end to Auto Scaling."""
        run(
            *("aws", "autoscaling", call, "--lifecycle-hook-name", drain["hook"]),
            *("--auto-scaling-group-name", drain["group"], "--instance-id", self.instance, *more),
        )

    def stop_for_good(self, drain: dict[str, Any]) -> None:
        """Stop the unit whose end drains the node, and keep Auto Scaling waiting meanwhile.

        Raises:
            Problem: it could not be stopped.
        """
        say(f"this machine is to go: {drain['unit']} drains it")
        with subprocess.Popen(["systemctl", "stop", drain["unit"]], stdin=subprocess.DEVNULL) as stopping:  # noqa: S607  (found on PATH, as every program here)
            while True:
                try:
                    code = stopping.wait(HEARTBEAT_SECONDS)
                    break
                except subprocess.TimeoutExpired:
                    pass
                try:
                    if self._terminated():
                        self.lifecycle(drain, "record-lifecycle-action-heartbeat")
                except Problem as error:
                    say(f"heartbeat: {error}")
        if code:
            raise Problem(f"systemctl stop {drain['unit']} ended with {code}")

    def look_at_primary(self) -> bool | None:
        """Return whether the primary region serves, as seen from here; None where nobody looks."""
        watch = self.manifest.get("watch")
        return None if watch is None else answers(watch["url"])

    # Rounds.

    def attempt(self, duty: Callable[[], None]) -> bool:
        """Do a duty and return whether it went well; if not, journal and report tell why."""
        name = duty.__name__
        try:
            duty()
        except Exception as error:  # Whatever it is: it is told, and tried again.
            if str(self.problems.get(name)) != str(error):
                say(self.told(name, error))
            self.problems[name] = error
            return False
        self.problems.pop(name, None)
        return True

    @staticmethod
    def told(name: str, error: Exception) -> str:
        """Return what is said of a duty that went wrong; faults of the outside need no name of an error."""
        return f"{name}: {error}" if isinstance(error, Problem) else f"{name}: {type(error).__name__}: {error}"

    def keep_at(self, duty: Callable[[], None], seconds: float) -> None:
        """Do a duty every so many seconds, for ever."""
        while True:
            self.attempt(duty)
            time.sleep(seconds)

    def step(self, now: float) -> float:
        """Do what is due, and return the seconds until the next step. What fails is tried again then."""
        for duty, seconds in self.duties:
            name = duty.__name__
            if now >= self.due[name]:
                well = self.attempt(duty)
                self.due[name] = now + (seconds if well else getattr(self.problems[name], "again", REPORT_SECONDS))
        return max(AGAIN_SECONDS, min(self.due.values()) - now)

    def work(self) -> None:
        """Step after step, until another agent takes over."""
        while not self.ended.wait(self.step(time.monotonic())):
            pass

    # What it says.

    def troubles(self) -> dict[str, str | None]:
        """Return, by service, what is wrong with it, or None; all are asked at once."""
        services = self.manifest.get("services", ())
        if not services:
            return {}
        with futures.ThreadPoolExecutor(len(services)) as pool:
            found = list(pool.map(trouble_of, services))
        return {service["name"]: trouble for service, trouble in zip(services, found)}  # noqa: B905  (as above)

    def judge(self, troubles: dict[str, str | None]) -> list[str]:
        """Return why the node is not healthy; nothing when it is."""
        manifest = self.manifest
        if not manifest:
            return ["there is no bundle yet"]
        reasons = [f"{name} is not well: {trouble}" for name, trouble in troubles.items() if trouble is not None]
        groups = [group_of(quorum, manifest) for quorum in manifest["quorum"]]
        reasons += [group.trouble for group in groups if not (group.led and group.counted)]
        if not self.complete:
            reasons.append("the bundle is not applied as a whole")
        if self.ending:
            reasons.append("this machine is to go")
        whole = not any(group.trouble for group in groups) if groups else not reasons
        if whole and not self.formed:
            write(FORMED, "")
        return reasons

    def report(self) -> None:
        """Say how the node is, to those who wait for it and to Prometheus."""
        troubles = self.troubles()
        reasons = self.judge(troubles)
        healthy = not reasons
        self.write_figures(healthy, troubles)
        problems = [self.told(name, error) for name, error in dict(self.problems).items()]
        report = {
            "node": self.node,
            "instance": self.instance,
            "bundle": self.digest,
            "formed": self.formed,
            "healthy": healthy,
            "reason": "; ".join([*problems, *reasons]),
            "fenced": None if self.fence is None else self.fence_state == FENCED,
            "primary_answers": self.look_at_primary(),
        }
        key = f"s3://{self.bucket}/reports/{self.name}.json"
        run("aws", "s3", "cp", "--only-show-errors", "-", key, stdin=json.dumps(report).encode())

    def write_figures(self, healthy: bool, troubles: dict[str, str | None]) -> None:
        """Leave the agent's own figures for Prometheus."""
        figures = [
            ("mlops_ha_node_healthy", "", "", float(healthy)),
            ("mlops_ha_report_timestamp_seconds", "", "", time.time()),
            *(
                ("mlops_ha_certificate_expiry_timestamp_seconds", "certificate", label, float(end))
                for label, end in sorted(self.certificate_ends.items())
            ),
            *(
                ("mlops_ha_service_healthy", "service", name, float(trouble is None))
                for name, trouble in troubles.items()
            ),
            *(
                ("mlops_ha_snapshot_timestamp_seconds", "service", name, taken)
                for name, taken in sorted(self.snapshot_taken.items())
            ),
        ]
        lines: list[str] = []
        for name, label, value, figure in figures:
            if f"# TYPE {name} gauge" not in lines:
                lines.append(f"# TYPE {name} gauge")
            labels = f'{{{label}="{value}"}}' if label else ""
            lines.append(f"{name}{labels} {figure:.3f}")
        write(FIGURES, "".join(f"{line}\n" for line in lines))


def main() -> None:
    """Run until there is another agent."""
    # Folders of secrets are entered by those who own a file in them.
    os.umask(0o022)
    own_text = Path(__file__).read_text(encoding="utf-8")
    try:
        node, instance = metadata("tags/instance/Node"), metadata("instance-id")
        agent = Agent(os.environ["BUNDLES_BUCKET"], node, instance, metadata("local-ipv4"), own_text)
    except (Problem, LookupError) as error:
        raise SystemExit(f"cannot begin: {error}") from error
    beside = (
        (agent.look_at_fence, REPORT_SECONDS),
        (agent.keep_snapshots, REPORT_SECONDS),
        (agent.follow_lifecycle, END_SECONDS),
    )
    for duty, seconds in beside:
        threading.Thread(target=agent.keep_at, args=(duty, seconds), daemon=True).start()
    threading.Thread(target=agent.work, daemon=True).start()
    while True:
        agent.news.clear()
        agent.attempt(agent.report)
        agent.news.wait(REPORT_SECONDS)
        if agent.ended.is_set():
            raise SystemExit("there is another boot agent: it takes over")


if __name__ == "__main__":
    main()
