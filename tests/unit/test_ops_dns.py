"""What DNS answers, asked over UDP of servers that answer, refuse, lie or say nothing."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dnslib
import pytest

from lab.names import name_server
from ops import dns
from ops.dns import NameServer, Resolvers, configured
from ops.problems import Unknown

NAME = "origin.mlops.example.com"
DNS: Any = dnslib


@contextmanager
def resolver(reply: Callable[[Any], Any | None]) -> Generator[tuple[NameServer, list[str]]]:
    """Answer each question with what ``reply`` makes of it, and write down what was asked."""
    asked: list[str] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))

        def serve() -> None:
            while (received := udp.recvfrom(512))[0] != b"end":
                question = DNS.DNSRecord.parse(received[0])
                asked.append(str(question.q.qname))
                if (message := reply(question)) is not None:
                    udp.sendto(message.pack(), received[1])

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield NameServer(*udp.getsockname()), asked
        finally:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as end:
                end.sendto(b"end", udp.getsockname())
            thread.join()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait half a second for an answer of this machine: it comes in a hundredth of that, if it comes."""
    monkeypatch.setattr(dns, "ANSWER_SECONDS", 0.5)


def refusing(code: str) -> Callable[[Any], Any]:
    def reply(question: Any) -> Any:
        answer = question.reply()
        answer.header.rcode = getattr(DNS.RCODE, code)
        return answer

    return reply


def answering(*addresses: str) -> Callable[[Any], Any]:
    def reply(question: Any) -> Any:
        answer = question.reply()
        for address in addresses:
            answer.add_answer(DNS.RR(question.q.qname, DNS.QTYPE.A, rdata=DNS.A(address)))
        return answer

    return reply


def test_every_address_behind_an_alias_is_seen() -> None:
    """A failover name of which only the first address is compared, or the name it points at taken for one."""

    def reply(question: Any) -> Any:
        answer = question.reply()
        target = "lb.example.com"
        answer.add_answer(DNS.RR(question.q.qname, DNS.QTYPE.CNAME, rdata=DNS.CNAME(target)))
        for address in ("192.0.2.1", "192.0.2.2"):
            answer.add_answer(DNS.RR(target, DNS.QTYPE.A, rdata=DNS.A(address)))
        return answer

    with resolver(reply) as (server, asked):
        assert Resolvers([server]).addresses(NAME) == {"192.0.2.1", "192.0.2.2"}
    assert asked == [f"{NAME}."]


def test_a_name_that_is_not_there_has_no_address() -> None:
    """A name that does not exist, taken for a resolver that does not answer."""
    with name_server({NAME: ("192.0.2.1",), "empty.example.com": ()}.get) as address:
        resolvers = Resolvers([NameServer(*address)])
        assert resolvers.addresses(NAME) == {"192.0.2.1"}
        assert resolvers.addresses("empty.example.com") == frozenset()
        assert resolvers.addresses("gone.example.com") == frozenset()


@pytest.mark.usefixtures("impatient")
def test_a_lost_packet_is_no_verdict() -> None:
    """A failover that stops because one question got lost."""
    lost = iter([True])

    def reply(question: Any) -> Any | None:
        return None if next(lost, False) else answering("192.0.2.1")(question)

    with resolver(reply) as (server, asked):
        assert Resolvers([server]).addresses(NAME) == {"192.0.2.1"}
    assert len(asked) == 2


@pytest.mark.parametrize("code", ["SERVFAIL", "REFUSED"])
def test_the_next_resolver_is_asked(code: str) -> None:
    """A resolver that refuses to look, taken for one that found no address."""
    with resolver(refusing(code)) as (first, _), resolver(answering("192.0.2.9")) as (second, asked):
        assert Resolvers([first, second]).addresses(NAME) == {"192.0.2.9"}
    assert len(asked) == 1


@pytest.mark.usefixtures("impatient")
def test_silence_and_refusals_are_unknown() -> None:
    """Silence, taken for a name without addresses; or resolvers that are asked for ever."""
    with (
        resolver(lambda _: None) as (silent, asked),
        resolver(refusing("SERVFAIL")) as (refuses, _),
        pytest.raises(Unknown) as unknown,
    ):
        Resolvers([silent, refuses]).addresses(NAME)
    assert str(unknown.value) == (f"what DNS answers for {NAME}: 127.0.0.1: timed out; 127.0.0.1: refused (SERVFAIL)")
    assert len(asked) == 2


def another_id(question: Any) -> Any:
    answer = answering("203.0.113.66")(question)
    answer.header.id = question.header.id ^ 1
    return answer


def another_name(question: Any) -> Any:
    return answering("203.0.113.66")(DNS.DNSRecord(question.header, q=DNS.DNSQuestion("other.example.com")))


def cut_off(question: Any) -> Any:
    answer = answering("203.0.113.66")(question)
    answer.header.tc = 1
    return answer


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (another_id, "answered another question"),
        (another_name, "answered another question"),
        (cut_off, "the answer is cut off"),
    ],
)
def test_a_wrong_answer_is_none(reply: Callable[[Any], Any], why: str) -> None:
    """A failover decided by an answer to another question, or by half an answer."""
    with resolver(reply) as (server, _), pytest.raises(Unknown) as unknown:
        Resolvers([server]).addresses(NAME)
    assert str(unknown.value) == f"what DNS answers for {NAME}: 127.0.0.1: {why}"


def test_the_machines_own_resolvers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A comment or an option taken for a resolver, and a machine without resolvers that raises something else."""
    text = (
        "# nameserver 192.0.2.99\nsearch example.com\nnameserver 192.0.2.53\n\tnameserver fe80::1%eth0 \nnameserver\n"
    )
    assert configured(text) == (NameServer("192.0.2.53", 53), NameServer("fe80::1%eth0", 53))
    monkeypatch.setattr(dns, "RESOLV_CONF", tmp_path / "resolv.conf")
    with pytest.raises(Unknown, match="which resolvers this machine asks: "):
        Resolvers().addresses(NAME)
    (tmp_path / "resolv.conf").write_text("search example.com\n")
    with pytest.raises(Unknown, match="no resolver is set up on this machine"):
        Resolvers().addresses(NAME)
