"""What is around an autoscaler: a Nomad that gives it the lock and has workers, a Prometheus, and moto as AWS.

`python -I autoscaler_surroundings.py WORKERS PERCENT REGION COMMAND...`, run where a node's files lie, runs the
autoscaler's command until it has scaled its group or says that it cannot, or until the deadline, and prints as JSON
what was asked and what came of it.
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
from io import BytesIO
from pathlib import Path
from typing import Any

# By itself (-I) it finds installed packages alone.
sys.path.insert(0, str(Path(__file__).parents[2]))

from moto.backends import get_backend
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from typing_extensions import override
from werkzeug.serving import make_server
from werkzeug.wrappers import Request

from configs.nomad_autoscaler.policy import NODE_CLASS
from configs.tables.flows import NOMAD_AUTOSCALER, NOMAD_HTTP, PROMETHEUS
from lab import autoscaling

SECONDS = 45
"""Longest that the autoscaler takes to start, to look, which it does after ten seconds, and to act: 13 seconds on an
idle machine. Less than a node's program may take here, so that what was said is told."""

GROUP = "mlops-workers"

LEAST, MOST = 0, 100
"""Bounds of the group that are wider than the policy's, which are to hold by themselves."""

AWS_PORT = 4566
"""Where AWS is: any free one would do."""

LOCK = {
    "Namespace": "default",
    "Path": "nomad-autoscaler/lock",
    "Lock": {"ID": "1", "TTL": "30s", "LockDelay": "15s"},
}

OUT, IN = "successfully performed and verified scaling out", "successfully purged Nomad node"
"""What the autoscaler says last when it has added workers, and of each that it has taken away."""

RESOURCES = {"Cpu": {"CpuShares": 8000}, "Memory": {"MemoryMB": 16384}}


class Aws:
    """moto's APIs, and what was asked of them."""

    def __init__(self, region: str, workers: int) -> None:
        autoscaling.extend()
        find: Any = get_backend
        backend = find("autoscaling")[DEFAULT_ACCOUNT_ID][region]
        self.group = autoscaling.make_group(backend, GROUP, workers, MOST)
        self.group.min_size = LEAST
        self.instances = [state.instance.id for state in self.group.instance_states]
        self.asked = list[dict[str, str]]()
        self._moto: Any = DomainDispatcherApplication(create_backend_app)
        # moto's backends are plain dictionaries: one request at a time.
        self._lock = threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        body = Request(environ).get_data()
        environ["wsgi.input"], environ["CONTENT_LENGTH"] = BytesIO(body), str(len(body))
        [(region, service)] = re.findall(r"Credential=\w+/\d+/([\w-]+)/(\w+)/", environ["HTTP_AUTHORIZATION"])
        with self._lock:
            self.asked.append({**dict(urllib.parse.parse_qsl(body.decode())), "scope": f"{region}/{service}"})
            return self._moto(environ, start_response)


class Quiet(MotoRequestHandler):
    """moto's own, but it says nothing."""

    @override
    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        pass


class Silent(BaseHTTPRequestHandler):
    """Answers JSON, and keeps no log."""

    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None: ...  # noqa: A002  (its name there)

    def body(self) -> str:
        return self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()

    def answer(self, content: object) -> None:
        text = json.dumps(content).encode()
        self.send_response(200)
        for name, value in {"Index": "1", "LastContact": "0", "KnownLeader": "true"}.items():
            self.send_header(f"X-Nomad-{name}", value)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


def nomad(instances: list[str], asked: list[str]) -> type[BaseHTTPRequestHandler]:
    """A Nomad whose nodes are these instances: idle, and drained as soon as they are told to."""
    nodes = {
        f"node-of-{instance}": {
            "ID": f"node-of-{instance}",
            "NodeClass": NODE_CLASS,
            "Status": "ready",
            "SchedulingEligibility": "eligible",
            "NodeResources": RESOURCES,
            "Attributes": {"unique.platform.aws.instance-id": instance},
        }
        for instance in instances
    }

    class Nomad(Silent):
        def do_PUT(self) -> None:
            self.body()
            asked.append(f"PUT {self.path} {self.headers.get('X-Nomad-Token')}")
            self.answer(LOCK if "/v1/var/" in self.path else {"EvalIDs": []})

        do_POST = do_PUT  # noqa: N815  (its name there)

        def do_GET(self) -> None:
            path = urllib.parse.urlsplit(self.path).path
            if path == "/v1/nodes":
                self.answer([*nodes.values()])
            elif path.startswith("/v1/node/") and path.endswith("/allocations"):
                self.answer([])
            elif path.startswith("/v1/node/"):
                self.answer(nodes[path.rpartition("/")[2]])
            else:
                self.answer({})

    return Nomad


def prometheus(percent: str) -> type[BaseHTTPRequestHandler]:
    """A Prometheus that answers every question with one number."""

    class Prometheus(Silent):
        def do_POST(self) -> None:
            self.body()
            result = [{"metric": dict[str, str](), "values": [[time.time(), percent]]}]
            self.answer({"status": "success", "data": {"resultType": "matrix", "result": result}})

    return Prometheus


def serve(server: Any) -> None:
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()


def main() -> None:
    workers, percent, region, *command = sys.argv[1:]
    aws, asked = Aws(region, int(workers)), list[str]()
    schedulers = ThreadingHTTPServer(("127.0.0.1", NOMAD_HTTP.port), nomad(aws.instances, asked))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain("/run/mlops-ha/nomad/certificate.pem", "/run/mlops-ha/nomad/private-key.pem")
    schedulers.socket = context.wrap_socket(schedulers.socket, server_side=True, do_handshake_on_connect=False)
    serve(schedulers)
    serve(ThreadingHTTPServer(("127.0.0.1", PROMETHEUS.port), prometheus(percent)))
    serve(make_server("127.0.0.1", AWS_PORT, aws, threaded=True, request_handler=Quiet))
    environment = {
        "PATH": os.environ["PATH"],
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{AWS_PORT}",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_EC2_METADATA_DISABLED": "true",
        # No machine's environment names another region: what is configured would win.
        "AWS_REGION": "eu-west-3",
    }
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, bufsize=1
    )
    said, done = list[str](), threading.Event()

    def listen() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            said.append(line)
            ended = sum(call["Action"] == "TerminateInstanceInAutoScalingGroup" for call in aws.asked)
            if "[ERROR]" in line or OUT in line or (IN in line and sum(IN in before for before in said) == ended):
                done.set()
        done.set()

    threading.Thread(target=listen, daemon=True).start()
    try:
        done.wait(SECONDS)
        found = {"health": status("/v1/health"), "metrics": status("/v1/metrics?format=prometheus")}
    finally:
        process.kill()
        process.wait()
    group = {"desired": aws.group.desired_capacity, "instances": len(aws.group.instance_states)}
    sys.stdout.write(json.dumps({**found, **group, "nomad": asked, "aws": aws.asked, "said": "".join(said)}))


def status(path: str) -> int:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{NOMAD_AUTOSCALER.port}{path}", timeout=5) as answer:
            return answer.status
    except urllib.error.URLError:
        return 0


if __name__ == "__main__":
    main()
