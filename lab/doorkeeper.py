"""Serves sockets that listen in other networks: one thread waits at all of them, each connection has its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import selectors
import socket
import ssl
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler
from typing import Any

Serve = Callable[[socket.socket, Any], None]
"""Serves one connection, given with the address of its other end, to its end."""


class Doorkeeper:
    """Waits at sockets and has each connection served."""

    def __init__(self) -> None:
        """Wait at none yet."""
        self._selector = selectors.DefaultSelector()
        self._lock = threading.Lock()
        self._woken, self._waking = socket.socketpair()
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._wait, daemon=True)
        self._thread.start()
        self._ends = False

    def add(self, listening: socket.socket, serve: Serve) -> None:
        """Serve a socket from now on."""
        listening.setblocking(False)
        with self._lock:
            self._selector.register(listening, selectors.EVENT_READ, serve)
        self._wake()

    def remove(self, listening: socket.socket) -> None:
        """Close a socket."""
        with self._lock, contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(listening)
        listening.close()

    def close(self) -> None:
        """Close all."""
        self._ends = True
        self._wake()
        self._thread.join()
        for key in list(self._selector.get_map().values()):
            if isinstance(key.fileobj, socket.socket):
                key.fileobj.close()
        self._selector.close()
        self._waking.close()

    def _wake(self) -> None:
        self._waking.send(b"x")

    def _wait(self) -> None:
        while True:
            ready = self._selector.select()
            if self._ends:
                return
            for key, _ in ready:
                if key.fileobj is self._woken:
                    self._woken.recv(64)
                    continue
                # Closed meanwhile, or gone again.
                with contextlib.suppress(OSError):
                    link: Any = key.fileobj
                    connection, address = link.accept()
                    threading.Thread(target=_served, args=(key.data, connection, address), daemon=True).start()


def _served(serve: Serve, connection: socket.socket, address: Any) -> None:
    connection.setblocking(True)
    # Whoever asked is gone: a machine that was killed, or cut off.
    with connection, contextlib.suppress(OSError):
        serve(connection, address)


def http(handler: type[BaseHTTPRequestHandler], context: ssl.SSLContext | None = None) -> Serve:
    """Return what serves HTTP with the library's handler, over TLS when there is a context."""

    def serve(connection: socket.socket, address: Any) -> None:
        link = context.wrap_socket(connection, server_side=True) if context else connection
        with link:
            handler(link, address, None)  # pyright: ignore[reportArgumentType]  (it keeps the server and never asks it)

    return serve


@dataclass(frozen=True)
class Message:
    """A message that Slack got: the path of the webhook, and what was posted."""

    path: str
    content: dict[str, Any]


def slack(received: list[Message]) -> type[BaseHTTPRequestHandler]:
    """Return what takes messages as Slack's webhooks do (https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks)."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # One packet an answer: the second of two waits for the first to be acknowledged, 40 ms.
        wbufsize = -1

        def do_POST(self) -> None:
            """Take a message."""
            received.append(Message(self.path, json.loads(self.rfile.read(int(self.headers["Content-Length"] or 0)))))
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the library's name)
            """Say nothing."""

    return Handler


@dataclass(frozen=True)
class Mail:
    """A mail that was taken: who logged in, the envelope, and the text with its headers."""

    user: str
    sender: str
    recipients: tuple[str, ...]
    subject: str
    text: str


@contextmanager
def mail_server(
    listening: socket.socket, context: ssl.SSLContext, user: str, password: str, received: list[Mail]
) -> Generator[None]:
    """Take mail while the block runs: over STARTTLS only, and from whom logs in (RFC 6409)."""
    from aiosmtpd.smtp import SMTP, AuthResult

    class Handler:
        async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: ARG002, N802
            message = message_from_bytes(envelope.content, policy=policy.default)
            body = message.get_body(("plain", "html"))
            received.append(
                Mail(
                    session.auth_data,
                    envelope.mail_from,
                    tuple(envelope.rcpt_tos),
                    str(message["Subject"]),
                    # Lines end otherwise on the way.
                    "" if body is None else body.get_content().replace("\r\n", "\n"),
                )
            )
            return "250 taken"

    def authenticate(server: Any, session: Any, envelope: Any, mechanism: str, given: Any) -> Any:  # noqa: ARG001
        right = (given.login.decode(), given.password.decode()) == (user, password)
        return AuthResult(success=right, auth_data=given.login.decode(), handled=False)

    def protocol() -> Any:
        return SMTP(
            Handler(),
            hostname="smtp.lab",
            tls_context=context,
            require_starttls=True,
            auth_required=True,
            authenticator=authenticate,
            # It asks for the name in words of its own, which Alertmanager does not know
            # (https://github.com/prometheus/alertmanager/blob/main/notify/email/email.go, loginAuth).
            auth_exclude_mechanism=["LOGIN"],
        )

    loop = asyncio.new_event_loop()
    listening.setblocking(False)
    server = loop.run_until_complete(loop.create_server(protocol, sock=listening))
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield
    finally:
        loop.call_soon_threadsafe(server.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        for task in asyncio.all_tasks(loop):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                loop.run_until_complete(task)
        loop.close()
