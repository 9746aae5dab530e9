"""A name server on loopback: answers as a test says, for what looks names up itself instead of asking the system."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from typing import Any

import dnslib

# The library has no types.
_DNS: Any = dnslib

Addresses = Callable[[str], Iterable[str] | None]
"""The IPv4 addresses of a name, which is in lower case and without the last dot; None: there is no such name."""

LIFE_SECONDS = 0
"""How long an answer may be kept: not at all, because the next one may differ."""


STOP_SECONDS = 0.05
"""How often the server looks whether it is to stop: half a second, as is usual, every test would wait."""


@contextmanager
def name_server(addresses: Addresses) -> Generator[tuple[str, int]]:
    """Serve names over UDP while the block runs; gives the server's address and port.

    Only A records are there: a question for another type of a name that exists is answered with nothing.

    Args:
        addresses: what each name answers with. It is asked anew for every question, on another thread.
    """

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            packet, socket = self.request
            answer = _answer(packet, addresses)
            if answer is not None:
                socket.sendto(answer, self.client_address)

    class Server(socketserver.ThreadingUDPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(STOP_SECONDS,), daemon=True)
        thread.start()
        try:
            yield "127.0.0.1", int(server.server_address[1])
        finally:
            server.shutdown()
            thread.join()


def _answer(packet: bytes, addresses: Addresses) -> bytes | None:
    """Return the answer to a packet, None to one that asks nothing: name servers are silent then."""
    try:
        question = _DNS.DNSRecord.parse(packet)
        name = str(question.q.qname)
        kind = question.q.qtype
    except (_DNS.DNSError, IndexError):
        return None
    found = addresses(name.rstrip(".").lower())
    reply = question.reply()
    if found is None:
        reply.header.rcode = _DNS.RCODE.NXDOMAIN
    elif kind == _DNS.QTYPE.A:
        for address in found:
            reply.add_answer(_DNS.RR(question.q.qname, _DNS.QTYPE.A, rdata=_DNS.A(address), ttl=LIFE_SECONDS))
    return reply.pack()
