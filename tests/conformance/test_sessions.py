"""Sessions: which versions, resuming, take-over, silence."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import pytest
from tests.conformance.capabilities import COLUMNS, DECLARED, Column, Feature
from tests.conformance.case import Case, Sheet, eventually, outcome
from tests.plugins.mqtt_brokers import PRODUCTS, Brokers
from tests.plugins.mqtt_brokers.tap import Tap

from eatool.publishing.mqtt import MqttPublisher
from eatool.publishing.port import SessionLost


@pytest.mark.parametrize("column", DECLARED, ids=lambda column: f"{column.broker}-{column.version}")
async def test_a_session_opens(column: Column, mqtt_brokers: Brokers, sheet: Sheet) -> None:
    broker = mqtt_brokers.get(PRODUCTS[column.broker])
    case = Case(broker, column, sheet, mqtt_brokers.certificates)
    fate = await case.fate(case.options())
    case.saw(Feature.SESSION, "yes" if fate == "acknowledged" else fate)


async def test_an_offline_subscriber_gets_everything_later(case: Case) -> None:
    subscriber = case.peer(f"{case.root}/#", persistent=True)
    subscriber.disconnect()
    messages = [case.message(f"{case.root}/{n}", b"%d" % n) for n in range(1500)]
    assert await case.fate(case.options(), *messages) == "acknowledged"
    subscriber.connect()
    assert subscriber.session_present
    complete = await eventually(lambda: subscriber.distinct == len(messages))
    in_order = [message.payload for message in subscriber.messages if not message.dup]
    assert in_order == sorted(in_order, key=int)
    case.saw(Feature.RESUMED, "yes" if complete else f"{subscriber.distinct} of {len(messages)}")


async def test_a_second_session_with_one_client_id_ends_the_first(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which ours never have: their suffixes differ, but for this test."""
    monkeypatch.setattr("eatool.publishing.mqtt.uuid4", lambda: UUID(int=0))
    options = case.options(client_id=case.root.replace("/", "-"))
    first, second = MqttPublisher(options), MqttPublisher(options)
    await first.connect()
    await second.connect()
    async with asyncio.timeout(10):
        lost = await first.lost()
        await second.publish(case.message(f"{case.root}/x"))
    await first.close()
    await second.close()
    case.saw(Feature.TAKEOVER, f"first {outcome(lost)}")


async def test_a_silent_connection_is_noticed(case: Case) -> None:
    async with Tap(case.broker.port()) as tap:
        publisher = MqttPublisher(case.options(port=tap.port, keepalive=1))
        await publisher.connect()
        async with asyncio.timeout(10):
            await publisher.publish(case.message(f"{case.root}/x"))
            tap.silence()
            answer = publisher.publish(case.message(f"{case.root}/x"))
            assert isinstance(await publisher.lost(), SessionLost)
            with pytest.raises(SessionLost):
                await answer
        await publisher.close()
    case.saw(Feature.SILENCE, "yes")


async def test_a_ping_is_never_later_than_brokers_wait(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They wait for 1.5 times the keep-alive; ours is looked at in between, however short."""
    loop = asyncio.get_running_loop()
    pauses: list[float] = []
    call_later = loop.call_later

    def recording(delay: float, callback: Any, *arguments: Any) -> asyncio.TimerHandle:
        if type(getattr(callback, "__self__", None)).__module__.startswith(
            "eatool.publishing.mqtt"
        ):
            pauses.append(delay)
        return call_later(delay, callback, *arguments)

    publisher = MqttPublisher(case.options(keepalive=1))
    monkeypatch.setattr(loop, "call_later", recording)
    await publisher.connect()
    await publisher.close()
    assert pauses
    assert 1 + max(pauses) < 1.5


async def test_idle_connections_stay(mqtt_brokers: Brokers, sheet: Sheet) -> None:
    """A broker ends a client it has not heard of for 1.5 times the keep-alive: ours is heard.

    All brokers at once, because it takes its time; those missing here are told of elsewhere.
    """
    publishers = []
    for column in COLUMNS:
        product = PRODUCTS[column.broker]
        if product.missing() is None:
            case = Case(mqtt_brokers.get(product), column, sheet, mqtt_brokers.certificates)
            publishers.append(MqttPublisher(case.options(keepalive=2)))
    await asyncio.gather(*(publisher.connect() for publisher in publishers))
    losses = [asyncio.ensure_future(publisher.lost()) for publisher in publishers]
    lost, _ = await asyncio.wait(losses, timeout=7, return_when=asyncio.FIRST_COMPLETED)
    for loss in losses:
        loss.cancel()
    for publisher in publishers:
        await publisher.close()
    assert [loss.result() for loss in lost] == []
