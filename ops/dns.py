"""What DNS answers, asked of the resolvers themselves: Python's own look-up takes no deadline."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Any, NamedTuple

import dnslib
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt

from ops.problems import Unknown

# The library has no types.
_DNS: Any = dnslib

RESOLV_CONF = Path("/etc/resolv.conf")
"""Where a machine says whom it asks (https://man7.org/linux/man-pages/man5/resolv.conf.5.html)."""

DNS_PORT = 53
"""RFC 1035, 4.2."""

ANSWER_SECONDS = 2.0
"""Time for one answer: a resolver that must ask around the world needs less than one second."""

ROUNDS = 2
"""How often all resolvers are asked: UDP loses packets, and two in a row are no accident."""

LARGEST_ANSWER = 65_535
"""Largest UDP message: whatever a resolver sends is read whole."""


class NameServer(NamedTuple):
    """One resolver: its address, IPv4 or IPv6, and its UDP port."""

    address: str
    port: int = DNS_PORT


class _NoAnswer(Exception):
    """A resolver did not answer, or answered something else."""


def configured(text: str) -> tuple[NameServer, ...]:
    """Return the resolvers that the text of a resolv.conf lists, in its order."""
    words = [line.split() for line in text.splitlines()]
    return tuple(NameServer(line[1]) for line in words if len(line) > 1 and line[0] == "nameserver")


class Resolvers:
    """The resolvers to ask, in their order: the first that answers is believed."""

    def __init__(self, servers: Sequence[NameServer] | None = None) -> None:
        """Take the resolvers, or those that this machine is set up with."""
        self._servers = servers

    def addresses(self, name: str) -> frozenset[str]:
        """Return the IPv4 addresses of a name; none where the name, or an address of it, does not exist.

        Raises:
            Unknown: no resolver answered, or this machine has none.
        """
        servers = self._configured() if self._servers is None else tuple(self._servers)
        if not servers:
            raise Unknown(f"what DNS answers for {name}: no resolver is set up on this machine")
        again = Retrying(stop=stop_after_attempt(ROUNDS), retry=retry_if_exception_type(_NoAnswer), reraise=True)
        try:
            return again(_first_answer, servers, name)
        except _NoAnswer as error:
            raise Unknown(f"what DNS answers for {name}: {error}") from error

    def _configured(self) -> tuple[NameServer, ...]:
        try:
            return configured(RESOLV_CONF.read_text())
        except OSError as error:
            raise Unknown(f"which resolvers this machine asks: {error}") from error


def _first_answer(servers: tuple[NameServer, ...], name: str) -> frozenset[str]:
    problems: list[str] = []
    for server in servers:
        try:
            return _answer(server, name)
        except (_NoAnswer, OSError, dnslib.DNSError, ValueError) as error:
            problems.append(f"{server.address}: {error or type(error).__name__}")
    raise _NoAnswer("; ".join(problems))


def _answer(server: NameServer, name: str) -> frozenset[str]:
    question = _DNS.DNSRecord.question(name, "A")
    # A zone (fe80::1%eth0) is the system's business, not the address's.
    version = ip_address(server.address.partition("%")[0]).version
    with socket.socket(socket.AF_INET6 if version == 6 else socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.settimeout(ANSWER_SECONDS)
        # Connected: what comes from another address or port is no answer.
        udp.connect((server.address, server.port))
        udp.send(question.pack())
        message = udp.recv(LARGEST_ANSWER)
    answer = _DNS.DNSRecord.parse(message)
    if answer.header.id != question.header.id or answer.q.qname != question.q.qname:
        raise _NoAnswer("answered another question")
    if answer.header.tc:
        # The names asked for here have three addresses, a tenth of what fits: it is no answer to wait for over TCP.
        raise _NoAnswer("the answer is cut off")
    code = int(answer.header.rcode)
    if code not in (_DNS.RCODE.NOERROR, _DNS.RCODE.NXDOMAIN):
        raise _NoAnswer(f"refused ({_DNS.RCODE.get(code)})")
    return frozenset(str(record.rdata) for record in answer.rr if record.rtype == _DNS.QTYPE.A)
