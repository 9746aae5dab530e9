"""PgBouncer from the rendered files, with the distribution's program, in front of a real database."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from configs.bundle import services
from configs.database import NAME
from configs.pgbouncer.service import CONFIGURATION, connections
from configs.tables import flows
from configs.tables.flows import Role
from lab.namespaces import WITH_PARENT, World
from lab.postgres import Database, postgres
from lab.tree import Entry, command, entries, write
from tests.nodes.world import FACTS, NODES, bundle_of, context_of, documents_of
from toolchain import packages

VALIDATED = ("/etc/mlops-ha/pgbouncer/pgbouncer.ini", "/etc/pgbouncer/pgbouncer.ini")

SECONDS = 60
"""Longest that a wait takes: a second or ten, and half of this was seen on a machine that does much else."""

CONTROL_PLANE = [(stack, node) for stack, node in NODES if node.startswith("control-plane")]

ENVIRONMENT = {"PATH": os.environ["PATH"], "LC_ALL": "C"}


@dataclass
class Pooler:
    """A PgBouncer that runs, and how to be where it is."""

    within: list[str]
    databases: list[Database]
    password: str
    process: subprocess.Popen[str]
    log: Path

    def psql(self, password: str | None = None, database: str = NAME) -> subprocess.Popen[str]:
        """A client that takes statements, one a line, until its input ends."""
        words = f"host=127.0.0.1 port={flows.PGBOUNCER.port} user={NAME} dbname={database} sslmode=disable"
        return subprocess.Popen(
            [*self.within, str(packages.find("psql")), "--no-psqlrc", "-qAt", "-v", "ON_ERROR_STOP=1", words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**ENVIRONMENT, "PGPASSWORD": self.password if password is None else password},
        )

    def ask(self, statement: str, password: str | None = None, database: str = NAME) -> str:
        with ended(self.psql(password, database)) as client:
            return client.communicate(f"{statement};\n", timeout=SECONDS)[0].strip()


@contextmanager
def ended(process: subprocess.Popen[str]) -> Generator[subprocess.Popen[str]]:
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            process.communicate(timeout=SECONDS)


@contextmanager
def network() -> Generator[list[str]]:
    """An empty network that lasts as long as the block; gives how to enter it."""
    holder = ["unshare", "--net", "sh", "-c", "ip link set lo up && echo up && exec cat"]
    with subprocess.Popen(holder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        yield ["nsenter", f"--net=/proc/{process.pid}/ns/net", "--"]
        # Without input, cat ends.
        process.communicate(timeout=SECONDS)


def told(process: subprocess.Popen[str], statement: str) -> str:
    """What a client that goes on says to one statement, a single line."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{statement};\n")
    process.stdin.flush()
    return process.stdout.readline().strip()


def awaited(ready: Callable[[], bool], log: Path) -> None:
    deadline = time.monotonic() + SECONDS
    while not ready():
        assert time.monotonic() < deadline, log.read_text()


@contextmanager
def running(folder: Path, password: str, address: str, within: list[str]) -> Generator[Database]:
    """A database on an address, with as many connections as the smallest that the pool was made for."""
    with postgres(folder, address, password=password, maximum_connections=200, within=within) as database:
        yield database


@contextmanager
def pooling(folder: Path, file: str, addresses: tuple[str, ...]) -> Generator[Pooler]:
    """PgBouncer of a node as its unit starts it, without a container.

    Its databases listen on the addresses; the name that it knows means the first of them.
    """
    stack, node = CONTROL_PLANE[0]
    [service] = [one for one in services(context_of(stack, node)) if one.name == "pgbouncer"]
    program, configuration = service.arguments
    assert configuration == CONFIGURATION
    password = documents_of(stack)[f"mlops/{Role.CONTROL_PLANE}"]["databasePassword"]
    # Names are looked up in the file first, and the network has no server of names.
    hosts = Entry("/etc/hosts", f"{addresses[0]} {FACTS.database_address}\n", "0644", 0)
    write(folder / "node", [*entries(bundle_of(stack, node), documents_of(stack), {}), hosts])
    account = str(service.account.number)
    # Whoever becomes another account has to be told again whose end is its own.
    drop = ["setpriv", "--pdeathsig=KILL", "--reuid", account, "--regid", account]
    drop += ["--clear-groups", "--no-new-privs", "--"]
    log = folder / "pgbouncer.log"
    with ExitStack() as stacked:
        within = stacked.enter_context(network())
        databases = [
            stacked.enter_context(running(folder / address, password, address, within)) for address in addresses
        ]
        output = stacked.enter_context(log.open("w"))
        started = [*drop, str(packages.find(program)), file]
        process = subprocess.Popen(
            [*WITH_PARENT, *within, *command(folder / "node", started, network=False)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
            env=ENVIRONMENT,
        )
        stacked.enter_context(ended(process))
        pooler = Pooler(within, databases, password, process, log)
        awaited(lambda: process.poll() is None and pooler.ask("SELECT 1") == "1", log)
        yield pooler


@pytest.fixture(scope="module")
def pooler(tmp_path_factory: pytest.TempPathFactory) -> Generator[Pooler]:
    with pooling(tmp_path_factory.mktemp("pgbouncer"), CONFIGURATION, ("127.0.0.5",)) as found:
        yield found


def test_connects_over_tls_for_those_who_know_the_password(pooler: Pooler) -> None:
    """Guards against a password that goes to the database in the clear, a stranger who gets in, another listener."""
    assert pooler.ask("SELECT ssl, version FROM pg_stat_ssl WHERE pid = pg_backend_pid()") == "t|TLSv1.3"
    [server] = pooler.ask("SHOW SERVERS", database="pgbouncer").splitlines()
    assert "|127.0.0.5|5432|" in server
    assert "TLSv1.3/TLS_AES_256_GCM_SHA384" in server
    assert "FATAL:  SASL authentication failed" in pooler.ask("SELECT 1", password="another")
    assert pooler.ask("SHUTDOWN", database="pgbouncer") == "ERROR:  admin access needed"
    listening = subprocess.run(
        [*pooler.within, packages.find("ss"), "-Hltnp"], capture_output=True, text=True, timeout=SECONDS, check=True
    ).stdout
    found = [line.split()[3] for line in listening.splitlines() if f"pid={pooler.process.pid}," in line]
    assert found == [f"127.0.0.1:{flows.PGBOUNCER.port}"]


def test_a_session_keeps_its_lock(pooler: Pooler) -> None:
    """Guards against two Grafanas that migrate the database at once, and a lock that outlives who took it."""
    attempt = "SELECT pg_try_advisory_lock(7)"
    with ended(pooler.psql()) as first, ended(pooler.psql()) as second:
        assert told(first, attempt) == "t"
        assert told(second, attempt) == "f"
        # Between two statements, where another way of pooling would give the connection to someone else.
        assert told(first, "SELECT 1") == "1"
        assert told(second, attempt) == "f"
        first.communicate(timeout=SECONDS)
        awaited(lambda: told(second, attempt) == "t", pooler.log)


def test_never_more_connections_than_the_database_can_spare(pooler: Pooler, tmp_path: Path) -> None:
    """Guards against a Grafana that fills the database: who is too many waits, and is served when another leaves."""
    most = connections(context_of(*CONTROL_PLANE[0]))
    assert most == 100
    script = tmp_path / "script.sql"
    script.write_text("SELECT pg_advisory_lock_shared(8);\n")
    clients = ["-n", "-c", str(most + 4), "-t", "1", "-f", str(script)]
    bench = [*clients, "-h", "127.0.0.1", "-p", str(flows.PGBOUNCER.port), "-U", NAME, NAME]

    def served() -> int:
        mine = "usename = current_user AND pid != pg_backend_pid()"
        return int(pooler.databases[0].ask(f"SELECT count(*) FROM pg_stat_activity WHERE {mine}"))

    def waiting() -> int:
        [pool] = [line for line in pooler.ask("SHOW POOLS", database="pgbouncer").splitlines() if "|session" in line]
        # Columns: database, user, cl_active, cl_waiting, ...
        return int(pool.split("|")[3])

    # Who is served has a connection until this one gives the lock away.
    with ended(pooler.psql()) as holder:
        assert told(holder, "SELECT pg_try_advisory_lock(8)") == "t"
        with subprocess.Popen(
            [*pooler.within, str(packages.find("postgres").with_name("pgbench")), *bench],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**ENVIRONMENT, "PGPASSWORD": pooler.password},
        ) as client:
            try:
                awaited(lambda: waiting() == 5, pooler.log)
                assert served() == most
                assert told(holder, "SELECT pg_advisory_unlock(8)") == "t"
                # The other four are served when one after the other leaves.
                output, _ = client.communicate(timeout=SECONDS)
            finally:
                client.kill()
    assert f"number of transactions actually processed: {most + 4}/{most + 4}" in output, output


def test_follows_the_name_to_another_address(tmp_path: Path) -> None:
    """Guards against a failover of the database that Grafana sits out, waiting for an address that is gone.

    Started by the file that the image's entry point looks for: it is there to be found, and leads to the same.
    """
    first, second = "127.0.0.5", "127.0.0.6"
    with pooling(tmp_path, "/etc/pgbouncer/pgbouncer.ini", (first, second)) as pooler:
        asked = "SELECT host(inet_server_addr())"
        assert pooler.ask(asked) == first
        # What is mounted there belongs to the process: nobody else sees the file.
        hosts = World(pooler.process.pid).path("/etc/hosts")
        hosts.write_text(f"{second} {FACTS.database_address}\n")
        os.kill(pooler.databases[0].primary.process, signal.SIGQUIT)
        # Names are kept for 5 seconds, a failed login is tried again after one: well within the time of `awaited`.
        awaited(lambda: pooler.ask(asked) == second, pooler.log)
