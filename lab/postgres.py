"""PostgreSQL for RDS: a primary, and a replica that streams from it, which take connections over TLS alone.

What RDS does besides is not here: no failover behind a name, no snapshots. Its user, who owns the database, is no
superuser but may read statistics, as on RDS.
"""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from pathlib import Path

from configs.database import NAME
from configs.tables import flows
from lab.documents import Authority, Issued
from toolchain import packages

ACCOUNT = "nobody"
"""Who PostgreSQL runs as when root starts it, because it refuses root. It may look into root's folders."""

REPLICATOR = "replicator"
"""User that a replica streams as."""

SUPERUSER = "postgres"

SECONDS = 60
"""Longest that a start, a stop or an answer takes: a second or two, but on a machine that does much else."""

_LOOK_SECONDS = 0.05
"""Between two looks whether a server answers: what a test waits too long on average is half of it."""


class PostgresProblem(Exception):
    """PostgreSQL does not do what it is told; the message is what it said."""


@dataclass(frozen=True)
class Server:
    """Where a server listens, and its first process."""

    address: str
    port: int
    process: int


@dataclass(frozen=True)
class Database:
    """A running database. ``authority`` is the file with the certificate of who issued the servers' own."""

    name: str
    user: str
    primary: Server
    replica: Server | None
    authority: Path
    password: str = field(repr=False)
    within: Sequence[str] = ()

    def ask(self, statement: str, *, server: Server | None = None, superuser: bool = False) -> str:
        """Return what a server answers, the primary unless another one is given: a line a row, ``|`` between fields.

        Raises:
            PostgresProblem: it refuses.
        """
        asked = server or self.primary
        options = {
            "host": asked.address,
            "port": str(asked.port),
            "dbname": self.name,
            "user": SUPERUSER if superuser else self.user,
            "sslmode": "verify-ca",
            "sslrootcert": str(self.authority),
        }
        words = " ".join(f"{key}='{value}'" for key, value in options.items())
        return _run(
            [*self.within, str(packages.find("psql")), "--no-psqlrc", "-qAt", words, "-c", statement],
            {"PGPASSWORD": self.password},
        ).strip()


@contextmanager
def postgres(
    folder: Path,
    address: str,
    *,
    replica: bool = False,
    password: str,
    name: str = NAME,
    user: str = NAME,
    port: int = flows.POSTGRESQL.port,
    replica_address: str | None = None,
    replica_port: int | None = None,
    maximum_connections: int = 100,
    names: tuple[str, ...] = ("localhost",),
    within: Sequence[str] = (),
) -> Generator[Database]:
    """Run a database until the block ends, or whoever runs it: the thread that entered must live as long.

    Args:
        folder: where its data goes: an empty folder, or one that is not there yet.
        address: what the primary listens on.
        replica: whether a replica streams from it.
        password: of every user.
        name: of the database.
        user: who owns the database.
        port: of the primary.
        replica_address: what the replica listens on; the primary's address by default.
        replica_port: of the replica; with an address of its own the primary's by default, the next one otherwise.
        maximum_connections: ``max_connections``.
        names: names in the servers' certificate, besides the addresses.
        within: a command that runs another one in the servers' network, without a process in between:
            ``("ip", "netns", "exec", "database")``.

    Raises:
        PostgresProblem: it does not start.
    """
    second = replica_address or address
    second_port = replica_port or (port + (second == address))
    folder.mkdir(parents=True, exist_ok=True)
    authority = Authority()
    addresses = tuple(IPv4Address(one) for one in {address, second})
    files = _files(folder, authority, authority.issue(names, addresses))
    own = _Own(folder, files, within, maximum_connections)
    own.take()
    with ExitStack() as running:
        own.make(password, name, user)
        primary = running.enter_context(own.serving("primary", address, port))
        other = None
        if replica:
            own.copy(primary, password)
            other = running.enter_context(own.serving("replica", second, second_port))
        yield Database(name, user, primary, other, files.authority, password, within)


@dataclass(frozen=True)
class _Files:
    authority: Path
    certificate: Path
    private_key: Path
    access: Path
    all: tuple[Path, ...]


def _files(folder: Path, authority: Authority, issued: Issued) -> _Files:
    texts = {
        "authority.pem": authority.certificate,
        "certificate.pem": issued.certificate,
        "private-key.pem": issued.private_key,
        # No line for connections without TLS: they are refused, as by rds.force_ssl.
        "pg_hba.conf": "hostssl all all all scram-sha-256\nhostssl replication all all scram-sha-256\n",
    }
    paths = [folder / name for name in texts]
    for path, text in zip(paths, texts.values(), strict=True):
        path.write_text(text)
        path.chmod(0o600)
    # Whoever connects reads it.
    paths[0].chmod(0o644)
    return _Files(*paths, all=tuple(paths))


@dataclass(frozen=True)
class _Own:
    """The servers of one folder."""

    folder: Path
    files: _Files
    within: Sequence[str]
    maximum_connections: int

    def take(self) -> None:
        """Give the folder to the account."""
        if os.geteuid() == 0:
            account = pwd.getpwnam(ACCOUNT)
            for path in (self.folder, *self.files.all):
                os.chown(path, account.pw_uid, account.pw_gid)

    def command(self, program: str, *arguments: str) -> list[str]:
        """Return a command as the account, which is told to quit when whoever starts it is gone."""
        words = ["setpriv", "--pdeathsig", "QUIT"]
        if os.geteuid() == 0:
            account = pwd.getpwnam(ACCOUNT)
            words += ["--reuid", str(account.pw_uid), "--regid", str(account.pw_gid), "--clear-groups"]
            # Tests' folders are in one that only root may enter.
            words += ["--inh-caps", "-all,+dac_read_search", "--ambient-caps", "-all,+dac_read_search"]
        return [*self.within, *words, "--", str(packages.find(program)), *arguments]

    def make(self, password: str, name: str, user: str) -> None:
        """Make the primary's files: users and the database."""
        data = str(self.folder / "primary")
        _run(
            self.command(
                "initdb", "-D", data, "-U", SUPERUSER, "-E", "UTF8", "--locale=C", "--no-sync", "-A", "reject"
            )
        )
        secret = password.replace("'", "''")
        statements = [
            f"ALTER USER {SUPERUSER} PASSWORD '{secret}'",
            f"CREATE USER {REPLICATOR} REPLICATION PASSWORD '{secret}'",
            f"CREATE USER \"{user}\" CREATEDB CREATEROLE PASSWORD '{secret}' IN ROLE pg_monitor",
            f'CREATE DATABASE "{name}" OWNER "{user}"',
        ]
        # A statement a line: without a server there is no other way in that needs no password.
        _run(self.command("postgres", "--single", "-D", data, "postgres"), given="\n".join(statements) + "\n")

    def copy(self, primary: Server, password: str) -> None:
        """Make the replica's files: a copy of the primary, and from where it goes on."""
        source = f"host={primary.address} port={primary.port} user={REPLICATOR} sslmode=require"
        arguments = ("-D", str(self.folder / "replica"), "-d", source, "-R", "-X", "stream", "--checkpoint=fast")
        # As RDS's replicas have: the primary keeps what one of them has not had.
        arguments += ("--create-slot", "--slot=replica")
        # It keeps the password among what it writes for the replica.
        _run(self.command("pg_basebackup", *arguments, "--no-sync"), {"PGPASSWORD": password})

    @contextmanager
    def serving(self, label: str, address: str, port: int) -> Generator[Server]:
        """Run a server."""
        settings = {
            "listen_addresses": address,
            "port": str(port),
            "unix_socket_directories": "",
            "max_connections": str(self.maximum_connections),
            "ssl": "on",
            "ssl_cert_file": str(self.files.certificate),
            "ssl_key_file": str(self.files.private_key),
            "hba_file": str(self.files.access),
            # The data lives as long as the test.
            "fsync": "off",
            "shared_buffers": "16MB",
        }
        options = [word for key, value in settings.items() for word in ("-c", f"{key}={value}")]
        log = self.folder / f"{label}.log"
        with log.open("w") as output:
            process = subprocess.Popen(
                self.command("postgres", "-D", str(self.folder / label), *options),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=_environment(),
            )
        try:
            self._await(process, address, port, log)
            yield Server(address, port, process.pid)
        finally:
            _stop(process)

    def _await(self, process: subprocess.Popen[bytes], address: str, port: int, log: Path) -> None:
        look = [*self.within, str(packages.find("pg_isready")), "-q", "-h", address, "-p", str(port)]
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            if subprocess.run(look, check=False, env=_environment()).returncode == 0:
                return
            try:
                process.wait(_LOOK_SECONDS)
            except subprocess.TimeoutExpired:
                continue
            break
        raise PostgresProblem(f"PostgreSQL does not serve at {address}:{port}:\n{log.read_text()}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Stop a server: at once but in order, and if it does not, without order."""
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
        process.send_signal(number)
        try:
            process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            continue
        return


def _environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return a clean environment: PGHOST and the like of whoever runs a test are no business of it."""
    return {"PATH": os.environ["PATH"], "LC_ALL": "C", **(more or {})}


def _run(command: Sequence[str], environment: Mapping[str, str] | None = None, given: str = "") -> str:
    try:
        return subprocess.run(
            command,
            input=given,
            env=_environment(environment),
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=True,
            cwd="/",
        ).stdout
    except subprocess.CalledProcessError as problem:
        raise PostgresProblem(f"{problem.stderr}{problem.stdout}".strip()) from None
