"""The few AWS calls that the program itself makes while it deploys, answered from the offline cloud."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree

from engine.tokens import HEALTH_CHECK
from offline.cloud import Cloud, Resource
from offline.objects import find_object

NAMESPACE = "https://route53.amazonaws.com/doc/2013-04-01/"
CHECKERS = {"us-east-1": "15.177.2.5", "us-west-2": "15.177.14.5", "eu-west-1": "15.177.10.5"}
"""Three of Route 53's checkers, each with an address of its published ranges."""


def health_check_status(check: Resource | None) -> tuple[int, bytes]:
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


def _object(cloud: Cloud, bucket: str, key: str) -> tuple[int, bytes, dict[str, str]]:
    """Answer GetObject, path style (https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html)."""
    now = datetime.now(UTC)
    try:
        found = find_object(cloud, bucket, key, now)
    except LookupError:
        return 501, b"", {}
    if found is None:
        error = ElementTree.Element("Error")
        ElementTree.SubElement(error, "Code").text = "NoSuchKey"
        return 404, ElementTree.tostring(error), {}
    return 200, found.text.encode(), {"Last-Modified": format_datetime(found.written, usegmt=True)}


@contextmanager
def aws_endpoint(cloud: Cloud) -> Generator[str, None, None]:
    """Serve the AWS calls while the block runs; gives the address, for ``AWS_ENDPOINT_URL``."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = unquote(urlsplit(self.path).path).strip("/")
            headers = dict[str, str]()
            match path.split("/"):
                case ["2013-04-01", "healthcheck", identity, "status"]:
                    status, body = health_check_status(cloud.find(HEALTH_CHECK, value=identity))
                case [bucket, _, *_]:
                    status, body, headers = _object(cloud, bucket, path.partition("/")[2])
                case _:
                    status, body = 501, b""
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
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
