"""Stands in for Grafana, whose binary cannot be had: it takes the same connections and gives the least of answers.

It reads of its configuration what it needs to listen: certificate, port, user of its metrics, address of its gossip.
"""

from __future__ import annotations

import base64
import configparser
import os
import re
import socket
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

COOKIE = "grafana_session=lab; Path=/; HttpOnly; Secure; SameSite=Strict"


def value(text: str) -> str:
    """Return a setting's value: ``$__file{...}`` is what is in the file."""
    found = re.fullmatch(r"\$__file\{(.+)\}", text)
    return Path(found[1]).read_text().strip() if found else text


def main() -> None:
    """Serve until killed."""
    settings = configparser.ConfigParser(interpolation=None)
    # As the image's entry point, which makes an option of the variable
    # (https://github.com/grafana/grafana/blob/main/packaging/docker/run.sh).
    path = os.environ.get("GF_PATHS_CONFIG", "/etc/grafana/grafana.ini")
    settings.read_string(Path(path).read_text())
    server = settings["server"]
    user, password = (
        value(settings.get("metrics", f"basic_auth_{name}", fallback="")) for name in ("username", "password")
    )
    login = f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1

        def do_GET(self) -> None:
            """Answer."""
            path = self.path.partition("?")[0]
            if path == "/api/health":
                self._send(200, "application/json", '{"database": "ok", "version": "lab"}')
            elif path == "/metrics":
                if user and self.headers["Authorization"] != login:
                    self._send(401, "text/plain", "Unauthorized\n")
                else:
                    self._send(200, "text/plain; version=0.0.4", 'grafana_build_info{version="lab"} 1\n')
            elif path == "/":
                self._send(302, "text/html", "", ("Location", "/login"))
            else:
                self._send(
                    200, "text/html", f"<title>Grafana</title>{socket.gethostname()}\n", ("Set-Cookie", COOKIE)
                )

        do_HEAD = do_POST = do_GET  # noqa: N815  (the library's names)

        def _send(self, status: int, kind: str, text: str, *headers: tuple[str, str]) -> None:
            if length := int(self.headers["Content-Length"] or 0):
                self.rfile.read(length)
            self.send_response(status)
            for name, content in (("Content-Type", kind), ("Content-Length", str(len(text.encode()))), *headers):
                self.send_header(name, content)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(text.encode())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the library's name)
            """Say nothing."""

    gossip = settings.get("unified_alerting", "ha_listen_address", fallback="")
    if gossip:
        address, _, port = gossip.rpartition(":")
        place = (address.strip("[]") or "0.0.0.0", int(port))  # noqa: S104  (its configuration says so)
        datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        datagrams.bind(place)
        connections = socket.create_server(place)
        threading.Thread(target=_listen, args=(connections,), daemon=True).start()
    http = ThreadingHTTPServer((server.get("http_addr", "") or "0.0.0.0", server.getint("http_port", 3000)), Handler)  # noqa: S104
    if server.get("protocol", "http") != "http":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(server["cert_file"], server["cert_key"])
        http.socket = context.wrap_socket(http.socket, server_side=True, do_handshake_on_connect=False)
    http.serve_forever(poll_interval=60)


def _listen(listening: socket.socket) -> None:
    while True:
        listening.accept()[0].close()
