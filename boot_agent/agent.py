"""Makes a machine what its bundle says: one file, Python 3.9, the standard library, and the AWS CLI beside it.

It learns its name from the machine's own tags, fetches its bundle from S3, writes the bundle's files and what its
secrets say, and reports how the node is. A file is replaced as a whole, so that an agent that is killed at any moment
starts again as if nothing had been. systemd starts it whenever it ends.

This release mounts nothing, starts no service, and takes no file away that a later bundle no longer has; its report
says that the node is not formed.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import ssl
import subprocess
import sys
import time
import urllib.request
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
        call = urllib.request.Request(f"{METADATA}/latest/{where}", method=method, headers={header: value})  # noqa: S310  (HTTP it is)
        with opener.open(call, timeout=5) as answer:
            return answer.read().decode()

    try:
        token = asked("PUT", "api/token", "X-aws-ec2-metadata-token-ttl-seconds", "60")
        return asked("GET", f"meta-data/{path}", "X-aws-ec2-metadata-token", token)
    except OSError as error:
        raise Problem(f"metadata {path}: {error}") from error


def write(path: str, text: str, mode: str, owner: str | None = None) -> None:
    """Put a file in its place as a whole; until then nobody but root reads it. ``mode`` is in octal digits."""
    place = Path(ROOT + path)
    place.parent.mkdir(parents=True, exist_ok=True)
    aside = place.with_name(f"{place.name}.new")
    if os.path.lexists(aside):  # Of an agent that was killed.
        aside.unlink()
    with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400), "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    if owner is not None:
        shutil.chown(aside, user=owner)
    aside.chmod(int(mode, 8))
    aside.replace(place)


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


class Agent:
    """One node's agent."""

    def __init__(self, bucket: str, node: str, instance: str, own_text: str) -> None:
        """Begin with nothing done: every duty is due."""
        self.bucket, self.node, self.instance, self.own_text = bucket, node, instance, own_text
        self.text = ""
        self.manifest: dict[str, Any] | None = None
        self.duties = ((self.follow_bundle, LOOK_SECONDS), (self.renew_secrets, RENEW_SECONDS))
        self.due: dict[Any, float] = {duty: 0 for duty, _ in self.duties}

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

    def step(self, now: float) -> None:
        """Do what is due, and report. What fails is tried again in the next step."""
        problems: list[str] = []
        for duty, seconds in self.duties:
            if now < self.due[duty]:
                continue
            try:
                duty()
                self.due[duty] = now + seconds
            except Exception as error:  # Whatever it is: it is told, and tried again.
                problems.append(f"{duty.__name__}: {type(error).__name__}: {error}")
        for problem in problems:
            say(problem)
        try:
            self.report("; ".join([*problems, REASON]))
        except Problem as error:
            say(f"report: {error}")

    def report(self, reason: str) -> None:
        """Say how the node is."""
        known = {"node": self.node, "instance": self.instance, "bundle": self.digest(), "reason": reason}
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
    while True:
        agent.step(time.monotonic())
        time.sleep(REPORT_SECONDS)


if __name__ == "__main__":
    main()
