"""In an event loop, over HTTP, and from the command line."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from click.testing import CliRunner
from tests.dev.smf.conftest import Connect

from eatool.dev.cli import dev
from eatool.dev.smf import Faults, Limits, Nack, ReceivedMessage, SmfBroker, replies
from eatool.dev.smf.control import serve


@pytest.fixture
async def broker() -> AsyncIterator[SmfBroker]:
    async with SmfBroker() as broker:
        yield broker


@pytest.fixture
async def http(broker: SmfBroker) -> AsyncIterator[aiohttp.ClientSession]:
    runner, url = await serve(broker, 0)
    async with aiohttp.ClientSession(url) as session:
        yield session
    await runner.cleanup()


async def test_it_runs_in_the_event_loop_of_a_test(broker: SmfBroker, connect: Connect) -> None:
    client = await asyncio.to_thread(connect, broker)
    await asyncio.to_thread(client.publish, range(100))
    assert await asyncio.to_thread(broker.wait_for_stored, 100)
    assert await asyncio.to_thread(client.receipts.wait, 100)
    assert broker.clients == ["test"]
    broker.cut_connections()
    assert await asyncio.to_thread(client.events.wait, "reconnected")
    await asyncio.to_thread(client.close)


async def test_it_is_inspected_over_http(
    broker: SmfBroker, http: aiohttp.ClientSession, connect: Connect
) -> None:
    client = await asyncio.to_thread(connect, broker)
    await asyncio.to_thread(client.publish, range(3))
    async with http.get("/wait", params={"stored": 3, "timeout": 5}) as answer:
        assert await answer.json() == {"reached": True}
    async with http.get("/messages", params={"since": 1}) as answer:
        records = (await answer.json())["messages"]
    assert [ReceivedMessage.from_record(r).payload for r in records] == [b"1", b"2"]
    async with http.get("/status") as answer:
        status = await answer.json()
    assert status["clients"] == ["test"]
    assert status["logins"] == [["test", [200, "OK"]]]
    assert status["stored"] == 3
    await asyncio.to_thread(client.close)


async def test_faults_are_set_over_http(broker: SmfBroker, http: aiohttp.ClientSession) -> None:
    nack = {"reply": [503, "Spool Over Quota"], "topic": "a/>", "times": 2}
    async with http.put("/faults", json={"nacks": [nack], "ack_delay": 0.5}) as answer:
        assert answer.status == 204
    assert broker.faults.nacks == [Nack(replies.SPOOL_OVER_QUOTA, "a/>", 2)]
    async with http.get("/faults") as answer:
        assert (await answer.json())["nacks"] == [nack]
    async with http.put("/limits", json={"message_bytes": 7}) as answer:
        assert answer.status == 204
    assert broker.limits.message_bytes == 7
    for action, state in (("silence", True), ("resume", False)):
        async with http.post(f"/{action}") as answer:
            assert answer.status == 204
        assert broker.faults.silent is state


async def test_what_it_does_not_understand_is_told(http: aiohttp.ClientSession) -> None:
    async with http.put("/faults", json={"nacks": "all"}) as answer:
        assert answer.status == 400
        assert "nacks" in await answer.text()


@pytest.mark.parametrize(
    ("asked", "body", "complaint"),
    [
        ("PUT /faults", {"ack_dely": 1}, "ack_dely: there is no such field; legal: refuse_conn"),
        (
            "PUT /faults",
            {"nacks": [{"reply": [503, "Queue Shutdown"], "subject": "a"}]},
            "nacks.0.subject: there is no such field; legal: reply, topic, times",
        ),
        ("PUT /faults", {"ack_delay": -1}, "ack_delay: Input should be greater than or equal"),
        ("PUT /limits", {"bytes": 1}, "legal: message_bytes, announced_message_bytes"),
        ("PUT /queues/q", {"subscriptions": [], "max": 1}, "legal: subscriptions, max_messages"),
        ("PUT /queues/q", {}, "subscriptions: Field required"),
        ("GET /messages?sinc=1", None, "sinc: there is no such field; legal: since"),
        ("GET /messages?since=first", None, "since: Input should be a valid integer"),
        ("GET /wait", None, "stored: Field required"),
    ],
)
async def test_a_misspelt_control_is_refused_with_the_legal_ones(
    broker: SmfBroker,
    http: aiohttp.ClientSession,
    asked: str,
    body: object,
    complaint: str,
) -> None:
    async with http.request(*asked.split(), json=body) as answer:
        assert answer.status == 400
        assert complaint in await answer.text()
    assert broker.faults == Faults()
    assert broker.limits == Limits()
    assert not broker.queues


async def test_a_misspelt_action_is_refused_with_the_legal_ones(
    http: aiohttp.ClientSession,
) -> None:
    async with http.post("/cut_connection") as answer:
        assert answer.status == 404
        assert "POST /cut_connections, POST /close_publisher_flows" in await answer.text()


def test_the_command_runs_until_it_is_interrupted(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "eatool", "dev", "solace", "--port=0", "--queue=q=a/>,b"]
    with subprocess.Popen(
        [*command, f"--spool={tmp_path}"], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
    assert line.startswith("tcp://127.0.0.1:")
    assert '"subscriptions": ["a/>", "b"]' in (tmp_path / "journal.jsonl").read_text()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--user", "nobody"], "has no ':'"),
        (["--queue", "=a/b"], "has no '='"),
        (["--tls-certificate", __file__], "go together"),
    ],
)
def test_wrong_options_are_told(arguments: list[str], complaint: str) -> None:
    result = CliRunner().invoke(dev, ["solace", *arguments])
    assert result.exit_code == 2
    assert complaint in result.output
