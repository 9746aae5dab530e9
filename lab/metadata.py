"""A machine's metadata service, version 2 alone: what EC2 says to a machine about itself.

https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-categories.html
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler

ADDRESS, PORT = "169.254.169.254", 80
"""Where every machine asks."""

SERVED_PORT = 7180
"""Where it is served on the machine, and what is for ``PORT`` is sent on to: on EC2 the service is no process of the
machine, and port 80 of every address is the machine's own."""

SENT_ON = f"""\
table ip metadata {{
  chain output {{
    type nat hook output priority -100
    ip daddr {ADDRESS} tcp dport {PORT} dnat to {ADDRESS}:{SERVED_PORT}
  }}
}}
"""
"""What sends it on, as rules of nftables."""


@dataclass
class Machine:
    """What a machine is told. What a test changes is told from the next question on.

    ``spot_action`` is the notice that AWS takes a spot machine back; ``lifecycle`` answers with the state that Auto
    Scaling wants the machine to be in, None for one of no group.
    """

    instance: str
    node: str
    address: str
    region: str
    zone: str
    account: str
    role: str
    instance_type: str
    image: str
    hostname: str
    hardware_address: str
    spot_action: str | None = None
    lifecycle: Callable[[], str | None] = lambda: None
    tokens: set[str] = field(default_factory=set[str])

    def answers(self) -> Mapping[str, str]:
        """Return what is known, by path."""
        later = datetime.now(UTC) + timedelta(hours=6)
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        credentials = {
            "Code": "Success",
            "LastUpdated": now,
            "Type": "AWS-HMAC",
            # moto takes any; its own are of the default account.
            "AccessKeyId": "ASIALAB00000000000AB",
            "SecretAccessKey": "lab",
            "Token": f"lab-{self.instance}",
            "Expiration": later.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        identity = {
            "accountId": self.account,
            "architecture": "x86_64",
            "availabilityZone": self.zone,
            "imageId": self.image,
            "instanceId": self.instance,
            "instanceType": self.instance_type,
            "pendingTime": now,
            "privateIp": self.address,
            "region": self.region,
            "version": "2017-09-30",
        }
        known = {
            "ami-id": self.image,
            "hostname": self.hostname,
            "iam/security-credentials/": self.role,
            f"iam/security-credentials/{self.role}": json.dumps(credentials),
            "instance-id": self.instance,
            "instance-life-cycle": "spot" if self.spot_action else "on-demand",
            "instance-type": self.instance_type,
            "local-hostname": self.hostname,
            "local-ipv4": self.address,
            "mac": self.hardware_address,
            "placement/availability-zone": self.zone,
            "placement/region": self.region,
            "tags/instance/": "Node",
            "tags/instance/Node": self.node,
        }
        state = self.lifecycle()
        if state is not None:
            known["autoscaling/target-lifecycle-state"] = state
        if self.spot_action:
            known["spot/instance-action"] = self.spot_action
        answers = {f"/latest/meta-data/{path}": text for path, text in known.items()}
        answers["/latest/dynamic/instance-identity/document"] = json.dumps(identity)
        # Some ask without the slash, and AWS answers all the same.
        return answers | {path.rstrip("/"): text for path, text in answers.items()}


def handler(machine: Machine) -> type[BaseHTTPRequestHandler]:
    """Return what answers a machine's questions."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # One packet an answer: the second of two waits for the first to be acknowledged, 40 ms.
        wbufsize = -1

        def do_PUT(self) -> None:
            """Give a token."""
            self.rfile.read(int(self.headers["Content-Length"] or 0))
            seconds = self.headers["X-aws-ec2-metadata-token-ttl-seconds"]
            if self.path != "/latest/api/token" or seconds is None or "X-Forwarded-For" in self.headers:
                self._send(400, "")
                return
            token = secrets.token_urlsafe(32)
            machine.tokens.add(token)
            self._send(200, token, ("X-aws-ec2-metadata-token-ttl-seconds", seconds))

        def do_GET(self) -> None:
            """Answer, if there is a token: the first version is switched off."""
            if self.headers["X-aws-ec2-metadata-token"] not in machine.tokens:
                self._send(401, "")
                return
            text = machine.answers().get(self.path)
            self._send(404 if text is None else 200, text or "")

        def _send(self, status: int, text: str, *headers: tuple[str, str]) -> None:
            self.send_response(status)
            for name, value in (("Content-Type", "text/plain"), ("Content-Length", str(len(text))), *headers):
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the library's name)
            """Say nothing."""

    return Handler
