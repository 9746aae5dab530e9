"""The name server, asked in DNS's own words."""

from __future__ import annotations

import socket
from typing import Any

import dnslib
import pytest

from lab.names import name_server

DNS: Any = dnslib


def ask(server: tuple[str, int], name: str, kind: str = "A") -> tuple[str, list[str]]:
    """Return the answer's code and addresses; a lost answer is an error after five seconds."""
    question = DNS.DNSRecord.question(name, kind)
    reply = DNS.DNSRecord.parse(question.send(*server, timeout=5))
    assert reply.header.id == question.header.id
    return DNS.RCODE[reply.header.rcode], [str(record.rdata) for record in reply.rr]


def test_it_answers_what_the_function_says_now() -> None:
    """A failover that is not seen, because the first answer is kept."""
    known = {"origin.example.com": ["192.0.2.1", "192.0.2.2"]}
    with name_server(known.get) as server:
        assert ask(server, "Origin.Example.com") == ("NOERROR", ["192.0.2.1", "192.0.2.2"])
        assert ask(server, "other.example.com") == ("NXDOMAIN", [])
        known["origin.example.com"] = ["198.51.100.1"]
        assert ask(server, "origin.example.com") == ("NOERROR", ["198.51.100.1"])


def test_a_name_has_no_other_records() -> None:
    """An IPv4 address as the answer to a question for IPv6."""
    with name_server(lambda _: ["192.0.2.1"]) as server:
        assert ask(server, "origin.example.com", "AAAA") == ("NOERROR", [])


def test_what_is_no_question_is_not_answered_and_does_no_harm() -> None:
    """A server that dies of the first stray packet."""
    with name_server(lambda _: ["192.0.2.1"]) as server, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stray:
        stray.sendto(b"\x00", server)
        assert ask(server, "origin.example.com") == ("NOERROR", ["192.0.2.1"])
        stray.setblocking(False)
        with pytest.raises(BlockingIOError):
            stray.recv(512)
