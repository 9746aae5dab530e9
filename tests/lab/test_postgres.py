"""The laboratory's PostgreSQL: what it lets in, that a replica follows, and that nothing of it stays."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lab.postgres import Database, PostgresProblem, postgres

PASSWORD = "it's a password"
"""With a character that statements have to escape."""

SECONDS = 60
"""Longest that anything takes: a second or two, but on a machine that does much else."""

IN_NETWORK = """\
import sys
from pathlib import Path
from lab.postgres import postgres
with postgres(Path(sys.argv[1]), "127.0.0.1", password="p") as database:
    print(database.primary.process, flush=True)
    sys.stdin.read()
"""


def gone(process: int) -> bool:
    """Whether a process has ended, a dead one that nobody has asked about included."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def children(process: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def awaited_end(processes: list[int]) -> None:
    deadline = time.monotonic() + SECONDS
    while not all(map(gone, processes)):
        assert time.monotonic() < deadline, processes


def asked_without_tls(database: Database) -> str:
    words = (
        f"host={database.primary.address} port={database.primary.port} user={database.user} dbname={database.name}"
    )
    asked = ["psql", f"{words} sslmode=disable", "-c", "SELECT 1"]
    return subprocess.run(
        [*database.within, *asked],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
        env={"PATH": os.environ["PATH"], "PGPASSWORD": database.password},
    ).stderr


def test_a_replica_follows_and_nothing_stays(tmp_path: Path) -> None:
    """Guards against a laboratory whose database is easier to get at than RDS's, or that leaves servers behind."""
    holder = ["unshare", "--net", "sh", "-c", "ip link set lo up && echo up && exec cat"]
    with subprocess.Popen(holder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as network:
        assert network.stdout is not None
        assert network.stdout.readline() == "up\n"
        within = ["nsenter", f"--net=/proc/{network.pid}/ns/net", "--"]
        with postgres(tmp_path / "new" / "data", "127.0.0.1", replica=True, password=PASSWORD, within=within) as made:
            replica = made.replica
            assert replica is not None
            assert (made.name, made.primary.port, replica.port) == ("grafana", 5432, 5433)
            assert made.ask("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()") == "t"
            assert "no encryption" in asked_without_tls(made)
            assert made.ask("SELECT usesuper FROM pg_user WHERE usename = current_user") == "f"
            assert made.ask("SELECT pg_has_role('pg_monitor', 'member')") == "t"
            assert made.ask("SHOW max_connections", superuser=True) == "100"
            made.ask("CREATE TABLE one (two int); INSERT INTO one VALUES (3)")
            written = made.ask("SELECT pg_current_wal_lsn()", superuser=True)
            deadline = time.monotonic() + SECONDS
            while made.ask(f"SELECT pg_last_wal_replay_lsn() >= '{written}'", server=replica) != "t":
                assert time.monotonic() < deadline
            assert made.ask("SELECT two FROM one", server=replica) == "3"
            with pytest.raises(PostgresProblem, match="cannot execute INSERT in a read-only transaction"):
                made.ask("INSERT INTO one VALUES (4)", server=replica)
            # What a promotion on RDS comes to.
            assert made.ask("SELECT pg_promote()", server=replica, superuser=True) == "t"
            made.ask("INSERT INTO one VALUES (4)", server=replica)
            first = [made.primary.process, replica.process]
            processes = [*first, *(child for process in first for child in children(process))]
        awaited_end(processes)
        network.communicate(timeout=SECONDS)


def test_it_ends_with_whoever_runs_it(tmp_path: Path) -> None:
    """Guards against servers that go on when a test is killed."""
    program = ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
    program += [sys.executable, "-c", IN_NETWORK, str(tmp_path / "data")]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as runner:
        assert runner.stdout is not None
        server = int(runner.stdout.readline())
        processes = [server, *children(server)]
        assert len(processes) > 3
        assert not any(map(gone, processes))
        runner.send_signal(signal.SIGKILL)
        runner.communicate(timeout=SECONDS)
    awaited_end(processes)


def test_says_why_it_does_not_start(tmp_path: Path) -> None:
    """Guards against a wait for a server that ended long ago, and a message that leaves one guessing."""
    with (
        pytest.raises(
            PostgresProblem, match=r'(?s)at 192\.0\.2\.1:5432:.*could not bind IPv4 address "192\.0\.2\.1"'
        ),
        postgres(tmp_path / "data", "192.0.2.1", password=PASSWORD),
    ):
        pass
