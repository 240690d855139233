"""A real, private PostgreSQL: one cluster per test run, a fresh database per test.

The server runs as an unprivileged user, listens on a random port of 127.0.0.1 with fsync on, and
dies with the test run, however that ends. Without binaries the tests say loudly that they did
not run; with ``EATOOL_REQUIRE_POSTGRES=1`` they fail.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from eatool.dev.ports import free_port

HINT = "PostgreSQL server binaries not found: apt-get install postgresql"


@dataclass(frozen=True)
class Cluster:
    """A running server; ``superuser`` connects without a password."""

    port: int
    directory: Path
    bin: Path
    superuser: str = "postgres"

    def url(self, database: str) -> str:
        """SQLAlchemy URL of one database."""
        return f"postgresql+psycopg://{self.superuser}@127.0.0.1:{self.port}/{database}"

    def admin(self) -> psycopg.Connection:
        """Connection to the maintenance database, autocommit."""
        return psycopg.connect(
            host="127.0.0.1",
            port=self.port,
            user=self.superuser,
            dbname="postgres",
            autocommit=True,
        )

    def create_database(self) -> str:
        """A new, empty database; its URL."""
        name = f"t{uuid4().hex[:12]}"
        with self.admin() as connection:
            connection.execute(f'CREATE DATABASE "{name}"')
        return self.url(name)

    def drop_database(self, url: str) -> None:
        """Remove it, connected clients or not."""
        name = url.rpartition("/")[2]
        with self.admin() as connection:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def find_binaries() -> Path | None:
    """Directory of ``initdb`` and ``postgres``: the newest Debian one, else that on the PATH."""
    versions = Path("/usr/lib/postgresql").glob("*/bin/postgres")
    newest = max(versions, key=lambda path: float(path.parts[-3]), default=None)
    found = newest or (Path(which) if (which := shutil.which("postgres")) else None)
    return found.parent if found else None


def _unprivileged() -> pwd.struct_passwd | None:
    """Who runs the server when we are root, which postgres refuses to be."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise RuntimeError("running as root without a postgres or nobody user to run the server as")


def _dying_with_us() -> list[str]:
    """Prefix of a command that must not survive this process (SIGQUIT: immediate shutdown)."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "QUIT", "--"] if setpriv else []


class PostgresServer:
    """Start, restart and stop one cluster in a directory of its own."""

    def __init__(self, binaries: Path) -> None:
        user = _unprivileged()
        self._home = Path(tempfile.mkdtemp(prefix="eatool-pg-"))
        self._identity: dict[str, Any] = {}
        if user is not None:
            os.chown(self._home, user.pw_uid, user.pw_gid)
            self._identity = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        self.cluster = Cluster(free_port(None), self._home, binaries)
        self._process: subprocess.Popen[bytes] | None = None
        self._run(
            "initdb",
            "--pgdata=data",
            "--auth=trust",
            "--username=postgres",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
            "--no-sync",
        )

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [self.cluster.bin / program, *arguments],
            cwd=self._home,
            capture_output=True,
            check=False,
            **self._identity,
        )
        if done.returncode:
            raise RuntimeError(f"{program} failed: {done.stderr.decode()}")

    def start(self) -> None:
        """Start and wait until it accepts connections."""
        with (self._home / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *_dying_with_us(),
                    self.cluster.bin / "postgres",
                    "-D",
                    "data",
                    "-p",
                    str(self.cluster.port),
                    "-h",
                    "127.0.0.1",
                    "-k",
                    str(self._home),
                    "-c",
                    "fsync=on",
                    "-c",
                    "synchronous_commit=on",
                    "-c",
                    "max_connections=60",
                ],
                cwd=self._home,
                stdout=log,
                stderr=log,
                **self._identity,
            )
        deadline = time.monotonic() + 30
        while True:
            try:
                self.cluster.admin().close()
            except psycopg.OperationalError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError((self._home / "log").read_text()) from None
                time.sleep(0.05)
            else:
                return

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop it: SIGINT is a fast shutdown, SIGQUIT an immediate one (a crash)."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(timeout=30)
            self._process = None

    def remove(self) -> None:
        """Stop for good and delete the data."""
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self._home, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A running server of its own for this test run."""
    binaries = find_binaries()
    if binaries is None:
        if os.environ.get("EATOOL_REQUIRE_POSTGRES") == "1":
            pytest.fail(HINT)
        pytest.skip(f"NOT RUN: {HINT}")
    server = PostgresServer(binaries)
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """URL of an empty database for one test."""
    url = postgres_server.cluster.create_database()
    yield url
    postgres_server.cluster.drop_database(url)
