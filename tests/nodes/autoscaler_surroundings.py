"""What is around an autoscaler: a Nomad that gives it the lock, and an AWS that listens.

`python -I autoscaler_surroundings.py COMMAND...`, run where a node's files lie, runs the autoscaler's command until
it has asked AWS for its group, or until the deadline, and prints as JSON what was asked. The standard library alone.
"""

from __future__ import annotations

import json
import os
import re
import ssl
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SECONDS = 30
"""Longest that the autoscaler takes to start and to look at its group; it looks every ten seconds."""

LOCK = {
    "Namespace": "default",
    "Path": "nomad-autoscaler/lock",
    "Lock": {"ID": "1", "TTL": "30s", "LockDelay": "15s"},
}


class Asked:
    """What was asked, and when it is enough."""

    def __init__(self) -> None:
        self.nomad: set[str] = set()
        self.aws: list[dict[str, str]] = []
        self.enough = threading.Event()


def main() -> None:
    asked = Asked()

    class Nomad(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None: ...  # noqa: A002  (its name there)

        def do_PUT(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            asked.nomad.add(f"PUT {self.path} {self.headers.get('X-Nomad-Token')}")
            self.answer(LOCK)

        def do_GET(self) -> None:
            self.answer([])

        def answer(self, content: object) -> None:
            text = json.dumps(content).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

    class Aws(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None: ...  # noqa: A002  (its name there)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
            scope = re.findall(r"Credential=\w+/\d+/([\w-]+)/(\w+)/", self.headers["Authorization"])
            asked.aws.append({**dict(urllib.parse.parse_qsl(body)), "scope": "/".join(scope[0])})
            asked.enough.set()
            self.send_response(400)
            self.send_header("Content-Length", "0")
            self.end_headers()

    nomad, aws = ThreadingHTTPServer(("127.0.0.1", 4646), Nomad), ThreadingHTTPServer(("127.0.0.1", 4566), Aws)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain("/run/mlops-ha/nomad/certificate.pem", "/run/mlops-ha/nomad/private-key.pem")
    nomad.socket = context.wrap_socket(nomad.socket, server_side=True, do_handshake_on_connect=False)
    for server in (nomad, aws):
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    environment = {
        "PATH": os.environ["PATH"],
        "AWS_ENDPOINT_URL": "http://127.0.0.1:4566",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    process = subprocess.Popen(
        sys.argv[1:], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        deadline = time.monotonic() + SECONDS
        while not asked.enough.wait(0.1) and process.poll() is None and time.monotonic() < deadline:
            pass
        found = {
            "nomad": sorted(asked.nomad),
            "aws": asked.aws[:1],
            "health": _status("/v1/health"),
            "metrics": _status("/v1/metrics?format=prometheus"),
        }
    finally:
        process.kill()
        said, _ = process.communicate()
    sys.stdout.write(json.dumps({**found, "said": said}))


def _status(path: str) -> int:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:8080{path}", timeout=5) as answer:
            return answer.status
    except urllib.error.URLError:
        return 0


if __name__ == "__main__":
    main()
