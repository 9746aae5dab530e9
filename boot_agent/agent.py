"""Makes a machine what its bundle says: one file, Python 3.9, the standard library, and the AWS CLI beside it.

It learns its name from the machine's own tags, fetches its bundle from S3, writes the bundle's files and what its
secrets say, and reports how the node is. Beside that, each in a thread of its own, because AWS keeps a call waiting
for a minute when a region is in trouble: it looks whether the failover switch keeps users away, and it keeps
snapshots of the services that this node leads (docs/adr/0017). A file is replaced as a whole, so that an agent that
is killed at any moment starts again as if nothing had been. systemd starts it whenever it ends.

This release mounts nothing, starts no service, and takes no file away that a later bundle no longer has; its report
says that the node is not formed.
"""

from __future__ import annotations

import gzip
import hashlib
import http.client
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import tarfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
import zlib
from collections.abc import Callable, Generator
from concurrent import futures
from contextlib import contextmanager
from pathlib import Path
from typing import Any

FORMAT = 1
"""The format of bundles that this agent understands."""

REASON = "this release starts no service"

SHARED = "worker"
"""All workers go by this name and share a bundle; their reports go by the instance too."""

METADATA = os.environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://169.254.169.254").rstrip("/")
"""Where the machine learns who it is; the variable is the AWS CLI's own."""

ROOT = os.environ.get("BOOT_AGENT_ROOT", "")
"""Put before every path that is written: a folder in tests."""

REPORT_SECONDS = 10
"""Between two reports: whoever waits for a node sees it after so long."""

LOOK_SECONDS = 30
"""Between two looks for another bundle or agent: each starts the AWS CLI twice, half a second of one core."""

RENEW_SECONDS = 3600
"""Between two readings of the secrets: a renewed certificate arrives within the hour, weeks before it is needed."""

CALL_SECONDS = 60
"""Longest that one call may take: the AWS CLI's own retries have ended by then."""

LOOK_TIMEOUT_SECONDS = 4
"""Longest that a look at the primary region takes, and that the switch may keep silent: what a health checker of
Route 53 gives a connection
(https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/dns-failover-determining-health-of-endpoints.html)."""

SILENCE_SECONDS = 10
"""Longest that a service on this node may keep silent: it writes a snapshot while it is asked for one."""

STATE = "/var/lib/mlops-ha"
"""What outlives the machine's next start: the unit's StateDirectory."""

KEPT_FENCE = f"{STATE}/fence"
"""What was last known of the fence, and where to ask: after a start it is there before the bundle is."""

FENCED, OPEN = "fenced", "open"

SERVED = 200
"""What a health check and an object that is there answer."""

NO_SUCH_OBJECT = (403, 404)
"""What S3 answers when there is no such object: 403 to whoever may not list the bucket, and nobody may."""


class Problem(Exception):
    """Something outside is not as it should be; the message says what."""


def say(line: str) -> None:
    """Write a line into the journal."""
    sys.stderr.write(line + "\n")


def run(*command: str, stdin: bytes | None = None) -> str:
    """Return what a program printed.

    Raises:
        Problem: it failed, or took too long.
    """
    try:
        done = subprocess.run(command, input=stdin, capture_output=True, timeout=CALL_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Problem(f"{command[0]}: {error}") from error
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines() or ["no message"]
        raise Problem(f"{' '.join(command[:3])}: {said[-1]}")
    return done.stdout.decode()


def metadata(path: str) -> str:
    """Return what the machine's metadata service (IMDSv2) says.

    Raises:
        Problem: it does not answer, or knows no such thing.
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
        raise Problem(f"metadata {path}: {error}") from error


def begin(place: Path) -> int:
    """Begin a file that root alone reads, and return its descriptor; what a killed agent left there goes."""
    place.parent.mkdir(parents=True, exist_ok=True)
    if os.path.lexists(place):
        place.unlink()
    return os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400)


def write(path: str, text: str, mode: str, owner: str | None = None) -> None:
    """Put a file in its place as a whole; until then nobody but root reads it. ``mode`` is in octal digits."""
    place = Path(ROOT + path)
    aside = place.with_name(f"{place.name}.new")
    with os.fdopen(begin(aside), "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    if owner is not None:
        shutil.chown(aside, user=owner)
    aside.chmod(int(mode, 8))
    aside.replace(place)


def read(path: str) -> str | None:
    """Return what is in a file; None when there is none that can be read."""
    try:
        return Path(ROOT + path).read_text(encoding="utf-8")
    except (OSError, ValueError):
        return None


def field_of(secret: str, field: str | None, name: str) -> str:
    """Return a field of a secret, which is JSON, or all of it; errors tell nothing of what is in it.

    Raises:
        Problem: there is no such field.
    """
    if field is None:
        return secret
    try:
        return json.loads(secret)[field]
    except (LookupError, TypeError, ValueError):
        raise Problem(f"secret {name} has no {field}") from None


def publish(metric: dict[str, Any], value: float) -> None:
    """Publish a figure to CloudWatch."""
    dimensions = ",".join(f"{name}={text}" for name, text in sorted(metric["dimensions"].items()))
    run(
        *("aws", "cloudwatch", "put-metric-data", "--namespace", metric["namespace"]),
        *("--metric-name", metric["name"], "--value", f"{value:.3f}", "--dimensions", dimensions),
    )


def days_left(path: str) -> float:
    """Return the days until a certificate ends, of a chain the first one's; negative afterwards."""
    line = run("openssl", "x509", "-noout", "-enddate", "-in", ROOT + path)
    return (ssl.cert_time_to_seconds(line.strip().partition("=")[2]) - time.time()) / 86400


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


def status_at(address: tuple[str, int], url: urllib.parse.SplitResult) -> int:
    """Return the status that one address answers over TLS; whose certificate it shows does not matter.

    Raises:
        OSError: it does not answer.
        http.client.HTTPException: it answers no HTTP.
    """
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
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


@contextmanager
def service_answer(snapshot: dict[str, Any], path: str) -> Generator[http.client.HTTPResponse]:
    """Ask a service on this node, as a server of the region with the token that administers it.

    Raises:
        OSError: it does not answer.
        Problem: it refuses.
    """
    context = ssl.create_default_context(cafile=ROOT + snapshot["ca"])
    context.load_cert_chain(ROOT + snapshot["certificate"], ROOT + snapshot["private_key"])
    link = http.client.HTTPSConnection(
        snapshot["address"], snapshot["port"], timeout=SILENCE_SECONDS, context=context
    )
    try:
        link.request("GET", path, headers={snapshot["header"]: (read(snapshot["token"]) or "").strip()})
        answer = link.getresponse()
        if answer.status != SERVED:
            raise Problem(f"{path} answers {answer.status}")
        yield answer
    finally:
        link.close()


def leads(snapshot: dict[str, Any]) -> bool:
    """Return whether the service on this node leads; one that does not run leads nothing."""
    try:
        with service_answer(snapshot, snapshot["self_path"]) as answer:
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
    ends = time.monotonic() + CALL_SECONDS
    try:
        with service_answer(snapshot, snapshot["path"]) as answer, os.fdopen(begin(place), "wb") as file:
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


def kept_fence() -> tuple[dict[str, Any] | None, str]:
    """Return the fence as it was last known: where to ask, and the answer. One that was never known is open."""
    try:
        kept = json.loads(read(KEPT_FENCE) or "")
        return dict(kept["fence"]), FENCED if kept["state"] == FENCED else OPEN
    except (LookupError, TypeError, ValueError):
        return None, OPEN


class Agent:
    """One node's agent."""

    def __init__(self, bucket: str, node: str, instance: str, own_text: str) -> None:
        """Begin with nothing done: every duty is due."""
        self.bucket, self.node, self.instance, self.own_text = bucket, node, instance, own_text
        self.text = ""
        self.manifest: dict[str, Any] | None = None
        self.duties = ((self.follow_bundle, LOOK_SECONDS), (self.renew_secrets, RENEW_SECONDS))
        self.due: dict[Any, float] = {duty: 0 for duty, _ in self.duties}
        self.fence, self.fence_state = kept_fence()
        self.snapshot_due: dict[str, float] = {}
        self.problems: dict[str, str] = {}
        """By duty, what went wrong when it was last tried; those of other threads are in it."""

    def fetch(self, key: str) -> str:
        """Return an object of the bundles bucket."""
        return run("aws", "s3", "cp", "--only-show-errors", f"s3://{self.bucket}/{key}", "-")

    def follow_bundle(self) -> None:
        """Apply the bundle if it is another one than before, and end if there is another agent: systemd starts it."""
        if self.fetch("boot-agent/agent.py") != self.own_text:
            raise SystemExit("there is another boot agent: it takes over")
        text = self.fetch(f"bundles/{self.node}.json")
        if text == self.text:
            return
        bundle = json.loads(text)
        manifest = bundle["manifest"]
        if manifest["format"] != FORMAT:
            raise Problem(f"the bundle has format {manifest['format']}, this agent knows {FORMAT}")
        for path, file in sorted(bundle["files"].items()):
            write(path, "".join(f"{line}\n" for line in file["lines"]), file["mode"])
        self.text, self.manifest = text, manifest
        self.due[self.renew_secrets] = 0
        say(f"bundle {self.digest()} is applied")

    def renew_secrets(self) -> None:
        """Write what the secrets say into memory, and publish when the certificates among it end."""
        if self.manifest is None:
            raise Problem("there is no bundle yet that names the secrets")
        for secret in self.manifest["secrets"]:
            text = run(
                *("aws", "secretsmanager", "get-secret-value", "--secret-id", secret["id"]),
                *("--query", "SecretString", "--output", "text"),
            )
            for file in secret["files"]:
                write(file["path"], field_of(text, file["field"], secret["id"]), file["mode"], file["owner"])
        for certificate in self.manifest["certificates"]:
            publish(certificate["metric"], days_left(certificate["path"]))

    def digest(self) -> str:
        """Return the SHA-256 of the bundle that is applied; empty when there is none."""
        return hashlib.sha256(self.text.encode()).hexdigest() if self.text else ""

    def look_at_fence(self) -> None:
        """Ask for the failover switch and write down for the load balancer whether users are kept away."""
        if self.manifest is not None:
            self.fence = self.manifest.get("fence")
        if self.fence is None:
            return
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
        for path, text in ((self.fence["path"], self.fence_state), (KEPT_FENCE, kept)):
            if read(path) != text:
                write(path, text, "0644")
        if heard != SERVED and heard not in NO_SUCH_OBJECT:
            raise Problem(f"the failover switch says {heard}: {self.fence_state} as before")

    def keep_snapshots(self) -> None:
        """Take a snapshot of each service that this node leads, when the one it took before is old enough.

        A node that does not lead asks again in the next round: when the lead changes, the next snapshot is not late.
        """
        problems: list[str] = []
        for snapshot in (self.manifest or {}).get("snapshots", ()):
            service, now = snapshot["service"], time.monotonic()
            # Without a token the secrets are not here yet: who writes them tells why.
            if now < self.snapshot_due.get(service, 0) or read(snapshot["token"]) is None:
                continue
            try:
                if leads(snapshot):
                    take_snapshot(snapshot)
                    self.snapshot_due[service] = now + snapshot["seconds"]
            except Exception as error:  # One service's fault is not the other's.
                problems.append(f"{service}: {type(error).__name__}: {error}")
        if problems:
            raise Problem("; ".join(problems))

    def look_at_primary(self) -> bool | None:
        """Return whether the primary region serves, as seen from here; None where nobody looks."""
        watch = (self.manifest or {}).get("watch")
        return None if watch is None else answers(watch["url"])

    def attempt(self, duty: Callable[[], None]) -> bool:
        """Do a duty and return whether it went well; if not, journal and report tell why."""
        try:
            duty()
        except Exception as error:  # Whatever it is: it is told, and tried again.
            self.problems[duty.__name__] = f"{duty.__name__}: {type(error).__name__}: {error}"
            say(self.problems[duty.__name__])
            return False
        self.problems.pop(duty.__name__, None)
        return True

    def keep_at(self, duty: Callable[[], None]) -> None:
        """Do a duty as often as the node reports, for ever."""
        while True:
            self.attempt(duty)
            time.sleep(REPORT_SECONDS)

    def step(self, now: float) -> None:
        """Do what is due, and report. What fails is tried again in the next step."""
        for duty, seconds in self.duties:
            if now >= self.due[duty] and self.attempt(duty):
                self.due[duty] = now + seconds
        try:
            self.report("; ".join([*self.problems.values(), REASON]))
        except Problem as error:
            say(f"report: {error}")

    def report(self, reason: str) -> None:
        """Say how the node is."""
        known = {
            "node": self.node,
            "instance": self.instance,
            "bundle": self.digest(),
            "reason": reason,
            "fenced": None if self.fence is None else self.fence_state == FENCED,
            "primary_answers": self.look_at_primary(),
        }
        text = json.dumps({**known, "formed": False, "healthy": False})
        name = f"{self.node}-{self.instance}" if self.node == SHARED else self.node
        key = f"s3://{self.bucket}/reports/{name}.json"
        run("aws", "s3", "cp", "--only-show-errors", "-", key, stdin=text.encode())


def main() -> None:
    """Run until there is another agent."""
    own_text = Path(__file__).read_text(encoding="utf-8")
    try:
        node, instance = metadata("tags/instance/Node"), metadata("instance-id")
        agent = Agent(os.environ["BUNDLES_BUCKET"], node, instance, own_text)
    except (Problem, LookupError) as error:
        raise SystemExit(f"cannot begin: {error}") from error
    for duty in (agent.look_at_fence, agent.keep_snapshots):
        threading.Thread(target=agent.keep_at, args=(duty,), daemon=True).start()
    while True:
        agent.step(time.monotonic())
        time.sleep(REPORT_SECONDS)


if __name__ == "__main__":
    main()
