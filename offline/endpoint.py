"""The few AWS calls that the program itself makes while it deploys, answered from the offline cloud."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from xml.etree import ElementTree

from offline.cloud import Cloud, Resource

HEALTH_CHECK = "aws:route53/healthCheck:HealthCheck"
NAMESPACE = "https://route53.amazonaws.com/doc/2013-04-01/"
CHECKERS = {"us-east-1": "15.177.2.5", "us-west-2": "15.177.14.5", "eu-west-1": "15.177.10.5"}
"""Three of Route 53's checkers, each with an address of its published ranges."""


def _status(check: Resource | None) -> tuple[int, bytes]:
    """Answer GetHealthCheckStatus (API version 2013-04-01): nothing that is checked here answers."""
    if check is None:
        error = ElementTree.Element("ErrorResponse", xmlns=NAMESPACE)
        detail = ElementTree.SubElement(error, "Error")
        ElementTree.SubElement(detail, "Code").text = "NoSuchHealthCheck"
        return 404, ElementTree.tostring(error)
    response = ElementTree.Element("GetHealthCheckStatusResponse", xmlns=NAMESPACE)
    observations = ElementTree.SubElement(response, "HealthCheckObservations")
    for region, address in CHECKERS.items():
        observation = ElementTree.SubElement(observations, "HealthCheckObservation")
        ElementTree.SubElement(observation, "Region").text = region
        ElementTree.SubElement(observation, "IPAddress").text = address
        report = ElementTree.SubElement(observation, "StatusReport")
        ElementTree.SubElement(report, "Status").text = "Failure: HTTP Status Code 403, Forbidden"
    return 200, ElementTree.tostring(response)


@contextmanager
def aws_endpoint(cloud: Cloud) -> Generator[str, None, None]:
    """Serve the AWS calls while the block runs; gives the address, for ``AWS_ENDPOINT_URL``."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            # /2013-04-01/healthcheck/<id>/status
            steps = self.path.strip("/").split("/")
            status, body = 501, b""
            if len(steps) == 4 and steps[1] == "healthcheck" and steps[3] == "status":
                status, body = _status(cloud.find(HEALTH_CHECK, value=steps[2]))
            self.send_response(status)
            self.send_header("Content-Type", "text/xml")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            """Say nothing: the engine's output is what people read."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
