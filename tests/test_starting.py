"""``eatool run`` as somebody who has set something wrong: one line, the setting, an exit status."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest

from eatool.kube import reaching
from eatool.store.sql import migrate
from eatool.store.sql.engine import open_engine

_KUBECONFIG = """
current-context: a
contexts: [{name: a, context: {cluster: c, user: u}}]
clusters: [{name: c, cluster: {server: "http://127.0.0.1:PORT"}}]
users: [{name: u, user: {token: a-token}}]
"""


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that is bound and does not listen: connecting is refused, and nobody can take it."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


@pytest.fixture
def settings(tmp_path: Path, closed_port: int) -> dict[str, str]:
    """Settings that only lack a Kubernetes API which answers."""
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(_KUBECONFIG.replace("PORT", str(closed_port)))
    return {
        "KUBECONFIG": str(kubeconfig),
        "HOME": str(tmp_path),
        "EATOOL_STORE_URL": f"sqlite:///{tmp_path}/eatool.db",
        "EATOOL_HTTP_HOST": "127.0.0.1",
        "EATOOL_HTTP_PORT": "0",
    }


@contextmanager
def started(settings: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("EATOOL_", "KUBE"))
    }
    command = [sys.executable, "-m", "eatool", "run"]
    with subprocess.Popen(
        command, env=inherited | settings, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def refusal(settings: dict[str, str]) -> str:
    """What ``eatool run`` says before it ends with status 2, in one line beside its log."""
    with started(settings) as process:
        _, said = process.communicate(timeout=60)
    assert process.returncode == 2, said
    assert "Traceback" not in said
    (line,) = (line for line in said.splitlines() if not line.startswith("{"))
    return line


def warning(settings: dict[str, str], message: str) -> dict[str, Any]:
    """The record with ``message``; the process goes on, and ends well when it is asked to."""
    with started(settings) as process:
        assert process.stderr is not None
        for line in process.stderr:
            record: dict[str, Any] = orjson.loads(line)
            if record["message"] == message:
                break
        else:
            pytest.fail(f"it ended with {process.wait()} and never said: {message}")
        process.send_signal(signal.SIGTERM)
        said = process.stderr.read()
        assert process.wait(60) == 0, said
        assert "Traceback" not in said
    return record


def test_a_port_that_is_taken(settings: dict[str, str], closed_port: int) -> None:
    said = refusal(settings | {"EATOOL_HTTP_PORT": str(closed_port)})
    assert said == (
        f"EATOOL_HTTP_PORT: {closed_port}: address already in use; 0 takes any free port"
    )


def test_an_address_that_is_not_here(settings: dict[str, str]) -> None:
    said = refusal(settings | {"EATOOL_HTTP_HOST": "192.0.2.1"})
    assert said == "EATOOL_HTTP_HOST: 192.0.2.1: Cannot assign requested address"


@pytest.mark.parametrize(
    "content", [None, "{}", "a: [", "a word", "current-context: gone\ncontexts: []"]
)
def test_a_kubeconfig_that_is_none(
    settings: dict[str, str], tmp_path: Path, content: str | None
) -> None:
    file = tmp_path / "other"
    if content is not None:
        file.write_text(content)
    said = refusal(settings | {"KUBECONFIG": str(file)})
    assert said.startswith(f"KUBECONFIG: {file} is no kubeconfig that works: ")
    assert not (tmp_path / "eatool.db").exists()


def test_no_kubeconfig_at_all(settings: dict[str, str]) -> None:
    del settings["KUBECONFIG"]
    said = refusal(settings)
    assert said.startswith("KUBECONFIG: not set, and ~/.kube/config is none that works: ")


def test_a_folder_that_is_not_there(settings: dict[str, str], tmp_path: Path) -> None:
    said = refusal(settings | {"EATOOL_STORE_URL": f"sqlite:///{tmp_path}/no/eatool.db"})
    assert said == f"EATOOL_STORE_URL: there is no folder {tmp_path}/no; create it"


def test_a_store_of_a_newer_release(settings: dict[str, str], tmp_path: Path) -> None:
    engine = open_engine(settings["EATOOL_STORE_URL"])
    migrate.upgrade(engine)
    engine.dispose()
    with sqlite3.connect(tmp_path / "eatool.db") as connection:
        connection.execute("INSERT INTO alembic_version VALUES ('of_tomorrow')")
    connection.close()
    said = refusal(settings)
    assert said == (
        "EATOOL_STORE_URL: the schema is of a newer release (of_tomorrow): run that release"
    )


def test_a_database_that_does_not_answer_is_waited_for(
    settings: dict[str, str], closed_port: int
) -> None:
    url = f"postgresql://me:secret@127.0.0.1:{closed_port}/eatool"
    told = warning(settings | {"EATOOL_STORE_URL": url}, "store not open yet")
    assert told["setting"] == "EATOOL_STORE_URL"
    assert "Connection refused" in told["why"]
    assert "secret" not in str(told)


def test_a_file_that_is_no_database(settings: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "eatool.db").write_text("something else")
    assert warning(settings, "store not open yet")["why"] == "file is not a database"


def test_a_kubernetes_api_that_does_not_answer_is_waited_for(
    settings: dict[str, str], closed_port: int
) -> None:
    told = warning(settings, "the Kubernetes API does not answer")
    assert told["setting"] == "KUBECONFIG"
    assert told["why"] == f"http://127.0.0.1:{closed_port}: connection refused"


async def test_an_api_that_refuses_is_an_api_that_answers(
    settings: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", settings["KUBECONFIG"])

    def write_kubeconfig(port: int) -> None:
        Path(settings["KUBECONFIG"]).write_text(_KUBECONFIG.replace("PORT", str(port)))

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        write_kubeconfig(port)
        assert await reaching.unreachable() is None
