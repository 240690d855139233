"""How the loop and the threads share an MQTT connection."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from paho.mqtt.client import Client

from eatool.publishing.blocking import in_own_thread
from eatool.publishing.mqtt import MqttPublisher
from eatool.publishing.mqtt_options import MqttOptions
from eatool.publishing.port import Message, PermanentPublishError, SessionLost, SessionSilent

CONNACK_5 = bytes([0x20, 3, 0, 0, 0])
MESSAGE = Message("eatool/x", b"{}", "application/json", {}, "id", "stream")


async def test_brokers_that_cannot_be_looked_up_leave_the_threads_to_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    released = threading.Event()

    def hangs(*_arguments: Any, **_keywords: Any) -> None:
        released.wait(10)
        raise OSError("no such name")

    monkeypatch.setattr(Client, "connect", hangs)
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(2))
    publishers = [MqttPublisher(MqttOptions("nowhere.example")) for _ in range(6)]
    connecting = [asyncio.create_task(each.connect()) for each in publishers]
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        assert await asyncio.to_thread(lambda: "database") == "database"
    assert not any(each.done() for each in connecting)
    released.set()
    answers = await asyncio.gather(*connecting, return_exceptions=True)
    assert [str(each) for each in answers] == ["mqtt://nowhere.example:1883: no such name"] * 6


async def test_own_thread_is_left_alone_when_nobody_waits() -> None:
    began, go_on, ended = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        began.set()
        go_on.wait(5)
        ended.set()

    future = in_own_thread(work)
    await asyncio.to_thread(began.wait, 5)
    future.cancel()
    go_on.set()
    assert await asyncio.to_thread(ended.wait, 5)
    await asyncio.sleep(0)
    assert future.cancelled()


async def test_own_thread_hands_on_what_was_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        await in_own_thread(lambda: 1 // 0)


async def test_broker_that_answers_no_ping_is_silent() -> None:
    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1024)
        writer.write(CONNACK_5)
        while await reader.read(1024):
            pass
        writer.close()

    server = await asyncio.start_server(mute, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    publisher = MqttPublisher(MqttOptions("127.0.0.1", port, keepalive=1))
    await publisher.connect()
    answer = publisher.publish(MESSAGE)
    async with asyncio.timeout(10):
        lost = await publisher.lost()
    assert isinstance(lost, SessionSilent)
    with pytest.raises(SessionSilent):
        await answer
    await publisher.close()
    server.close()


@pytest.mark.parametrize(
    ("reason", "expected"), [(0x95, PermanentPublishError), (0x87, SessionLost)]
)
async def test_ended_session_blames_the_message_only_for_what_it_can_be_to_blame_for(
    reason: int, expected: type[Exception]
) -> None:
    """Not authorized (0x87) may mean that the rights of the client were withdrawn."""

    async def ends(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1024)
        writer.write(CONNACK_5)
        await reader.read(1024)
        writer.write(bytes([0xE0, 2, reason, 0]))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(ends, "127.0.0.1", 0)
    publisher = MqttPublisher(MqttOptions("127.0.0.1", server.sockets[0].getsockname()[1]))
    await publisher.connect()
    with pytest.raises(expected):
        await publisher.publish(MESSAGE)
    await publisher.close()
    server.close()


async def test_broker_that_closes_the_connection_is_not_silent() -> None:
    async def ends(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1024)
        writer.write(CONNACK_5)
        await reader.read(1024)
        writer.close()

    server = await asyncio.start_server(ends, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    publisher = MqttPublisher(MqttOptions("127.0.0.1", port))
    await publisher.connect()
    with pytest.raises(SessionLost) as lost:
        await publisher.publish(MESSAGE)
    assert not isinstance(lost.value, SessionSilent)
    await publisher.close()
    server.close()
