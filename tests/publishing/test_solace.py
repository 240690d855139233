"""What is particular to Solace: refusals, limits, what is on the wire, what is left behind."""

from __future__ import annotations

import asyncio
import gc
import threading
from pathlib import Path
from typing import TypeVar

import pytest
from tests.publishing.solace_support import message, options_of, session
from tests.publishing.support import until

from eatool.dev.smf import DeliveryMode, Limits, Nack, Outcome, Reply, SmfBroker
from eatool.dev.smf import replies as answers
from eatool.publishing.port import (
    Delivery,
    Fault,
    PermanentPublishError,
    PublishError,
    SessionLost,
    TransientPublishError,
)
from eatool.publishing.solace import SolacePublisher
from eatool.publishing.solace_loading import load_client
from eatool.publishing.solace_options import SolaceOptions
from eatool.publishing.tls import TlsOptions


@pytest.fixture
def broker(solace: SmfBroker) -> SmfBroker:
    return solace


T = TypeVar("T")
TASKS, DESCRIPTORS = Path("/proc/self/task"), Path("/proc/self/fd")


async def within(awaitable: asyncio.Future[T]) -> T:
    async with asyncio.timeout(10):
        return await awaitable


# -- on the wire -----------------------------------------------------------------------------


async def test_a_message_carries_identity_partition_key_and_attributes(broker: SmfBroker) -> None:
    delivery = Delivery(ttl=90, dmq_eligible=False, priority=7)
    async with session(broker) as publisher:
        await within(publisher.publish(message(3, payload=b'{"n": 3}', delivery=delivery)))
    (stored,) = broker.stored()
    assert stored.topic == "eatool/v1/dev/application/ApplicationCreated/app-3"
    assert (stored.payload, stored.content) == (b'{"n": 3}', b'{"n": 3}')
    assert stored.delivery_mode is DeliveryMode.PERSISTENT
    assert stored.application_message_id == "event-3"
    assert stored.correlation_id == "change-3"
    assert stored.headers["http_content_type"] == "application/json"
    assert stored.user_properties == {
        "id": "event-3",
        "type": "io.eatool.application.ApplicationCreated.v1",
        "JMSXGroupID": "application/shop/app-3",
    }
    assert (stored.time_to_live_ms, stored.dmq_eligible, stored.priority) == (90_000, False, 7)


async def test_what_one_message_asks_for_does_not_stick_to_the_next(broker: SmfBroker) -> None:
    async with session(broker) as publisher:
        asked = Delivery(ttl=90, dmq_eligible=False, priority=7)
        await within(publisher.publish(message(1, delivery=asked)))
        await within(publisher.publish(message(2)))
    second = broker.stored()[1]
    assert (second.time_to_live_ms, second.dmq_eligible, second.priority) == (0, True, 4)


async def test_messages_are_stored_in_the_order_of_publishing(broker: SmfBroker) -> None:
    broker.faults.ack_delay = 0.01
    async with session(broker, window=20) as publisher:
        answers = [publisher.publish(message(number)) for number in range(500)]
        await within(asyncio.gather(*answers))
    assert [stored.application_message_id for stored in broker.stored()] == [
        f"event-{number}" for number in range(500)
    ]


async def test_direct_messages_are_answered_without_the_broker(broker: SmfBroker) -> None:
    broker.faults.withhold_acks = True
    async with session(broker, delivery_mode="direct") as publisher:
        await within(asyncio.gather(*(publisher.publish(message(n)) for n in range(300))))
        assert await asyncio.to_thread(broker.wait_for_received, 300)
    assert {each.outcome for each in broker.messages()} == {Outcome.DIRECT}


async def test_no_more_than_the_window_is_unacknowledged(broker: SmfBroker) -> None:
    broker.faults.withhold_acks = True
    async with session(broker, window=30) as publisher:
        outstanding = [publisher.publish(message(number)) for number in range(50)]
        assert await asyncio.to_thread(broker.wait_for_received, 30)
        await asyncio.sleep(0.05)
        assert broker.received_count == 30
    assert all(isinstance(each.exception(), SessionLost) for each in outstanding)


async def test_a_full_client_library_is_waited_for(
    broker: SmfBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own window is 255: with one beyond it the library refuses what does not fit."""
    monkeypatch.setattr("eatool.publishing.solace_options.CLIENT_WINDOW", 400)
    broker.faults.withhold_acks = True
    async with session(broker, window=400) as publisher:
        outstanding = [publisher.publish(message(number)) for number in range(400)]
        assert await asyncio.to_thread(broker.wait_for_received, 255)
        broker.faults.withhold_acks = False
        await within(asyncio.gather(*outstanding))
    assert [stored.application_message_id for stored in broker.stored()] == [
        f"event-{number}" for number in range(400)
    ]


class Told:
    """What a connection tells, in its threads."""

    def __init__(self) -> None:
        self.up, self.down = threading.Event(), threading.Event()
        self.answers: list[asyncio.Future[None]] = []

    def opened(self) -> None:
        self.up.set()

    def answered(self, answer: asyncio.Future[None], error: PublishError | None) -> None:
        assert error is None
        self.answers.append(answer)

    def room(self) -> None:
        pass

    def lost(self, error: SessionLost) -> None:
        raise AssertionError(error)

    def ended(self) -> None:
        self.down.set()


async def test_receipts_wait_for_the_end_of_a_burst(broker: SmfBroker) -> None:
    told, loop = Told(), asyncio.get_running_loop()
    connection = load_client().Connection(options_of(broker), told)
    connection.start()
    assert await asyncio.to_thread(told.up.wait, 10)
    sent = [loop.create_future() for _ in range(20)]
    with connection.burst:
        for number, answer in enumerate(sent):
            assert connection.publish(message(number), answer)
        assert await asyncio.to_thread(broker.wait_for_stored, len(sent))
        await asyncio.sleep(0.05)  # the acknowledgements are on their way
        assert told.answers == []
    await until(lambda: told.answers == sent)
    connection.end()
    assert await asyncio.to_thread(told.down.wait, 10)


# -- refused messages ------------------------------------------------------------------------


async def test_a_message_that_the_library_cannot_make_is_refused_alone(broker: SmfBroker) -> None:
    bad = message(1)
    bad.attributes = {"id": object()}  # type: ignore[dict-item]
    async with session(broker) as publisher:
        refused, taken = publisher.publish(bad), publisher.publish(message(2))
        with pytest.raises(PermanentPublishError, match="cannot be made a Solace message"):
            await within(refused)
        await within(taken)
    assert [stored.application_message_id for stored in broker.stored()] == ["event-2"]


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (answers.PUBLISH_ACL_DENIED, PermanentPublishError),
        (answers.MESSAGE_TOO_LARGE, PermanentPublishError),
        (answers.INVALID_TOPIC, PermanentPublishError),
        (answers.SPOOL_OVER_QUOTA, TransientPublishError),
        (answers.QUEUE_SHUTDOWN, TransientPublishError),
        (answers.REPLICATION_IS_STANDBY, TransientPublishError),
        (Reply(503, "Max Message Usage Exceeded"), TransientPublishError),
        (Reply(503, "Low Priority Msg Congestion"), TransientPublishError),
        (answers.NO_SUBSCRIPTION_MATCH, PublishError),
        (Reply(503, "Something New"), PublishError),
    ],
    ids=lambda value: getattr(value, "text", None),
)
async def test_rejections(broker: SmfBroker, reply: Reply, expected: type[PublishError]) -> None:
    broker.faults.nacks = [Nack(reply, "*/*/*/*/*/app-2")]
    async with session(broker) as publisher:
        answered = [publisher.publish(message(number)) for number in (1, 2, 3)]
        await asyncio.wait(answered, timeout=10)
        error = answered[1].exception()
    assert type(error) is expected
    assert reply.text in str(error)
    assert [each.exception() for each in (answered[0], answered[2])] == [None, None]


@pytest.mark.parametrize(
    ("topic", "complaint"),
    [
        ("a" * 251, "251 bytes"),
        ("é" * 126, "252 bytes"),
        ("/" * 128, "129 levels"),
        ("a/b\0c", "NUL"),
        ("", "empty"),
    ],
)
async def test_topics_that_the_client_library_mistakes_never_reach_it(
    broker: SmfBroker, topic: str, complaint: str
) -> None:
    bad = message()
    bad.topic = topic
    async with session(broker) as publisher:
        with pytest.raises(PermanentPublishError, match=complaint):
            await within(publisher.publish(bad))
        longest = "é" * 125
        await within(publisher.publish(message(topic=longest)))
    assert [stored.topic for stored in broker.stored()] == [longest]


async def test_messages_too_large_for_us_and_for_the_broker(broker: SmfBroker) -> None:
    broker.limits = Limits(message_bytes=1000)
    async with session(broker, max_message_size=2000) as publisher:
        with pytest.raises(PermanentPublishError, match="3000 bytes is too large"):
            await within(publisher.publish(message(1, payload=b"x" * 3000)))
        with pytest.raises(PermanentPublishError, match="MESSAGE_TOO_LARGE"):
            await within(publisher.publish(message(2, payload=b"x" * 1500)))
        await within(publisher.publish(message(3)))
    assert [stored.application_message_id for stored in broker.stored()] == ["event-3"]


async def test_a_closed_publisher_flow_ends_the_session(broker: SmfBroker) -> None:
    """The library reports nothing, keeps the connection, and refuses messages without a reason."""
    async with session(broker) as publisher:
        await within(publisher.publish(message(1)))
        broker.close_publisher_flows()
        lost = asyncio.ensure_future(publisher.lost())
        answers = []
        while not lost.done():  # what is published before the news has arrived has no answer
            answers.append(publisher.publish(message(2)))
            await asyncio.wait((lost,), timeout=0.01)
        assert "cannot publish" in str(lost.result())
        await asyncio.wait(answers, timeout=5)
        assert isinstance(answers[-1].exception(), SessionLost)


# -- refused sessions ------------------------------------------------------------------------


async def refusal(options: SolaceOptions, fault: Fault = Fault.CONNECTION) -> str:
    publisher = SolacePublisher(options)
    with pytest.raises(SessionLost) as caught:
        await publisher.connect()
    assert await publisher.lost() is caught.value
    with pytest.raises(SessionLost):
        await publisher.publish(message())
    await publisher.close()
    assert caught.value.fault is fault
    assert options.address in str(caught.value)
    assert not options.password or options.password not in str(caught.value)
    return str(caught.value)


async def test_wrong_password(broker: SmfBroker) -> None:
    told = await refusal(options_of(broker, password="geheim"), Fault.LOGIN)
    assert "refused user name or password: Unauthorized" in told


@pytest.mark.parametrize("vpn", ["other", "tls-prod", "user certificate"])
async def test_wrong_vpn(broker: SmfBroker, vpn: str) -> None:
    told = await refusal(options_of(broker, vpn=vpn), Fault.VPN)
    assert f"refused message VPN '{vpn}'" in told


@pytest.mark.parametrize(
    ("reply", "complaint", "fault"),
    [
        (answers.VPN_UNAVAILABLE, "message VPN 'default' is not available", Fault.VPN),
        (answers.CLIENT_USERNAME_SHUTDOWN, "shut down this user", Fault.LOGIN),
        (answers.CLIENT_ACL_DENIED, "ACL profile", Fault.LOGIN),
        (answers.CLIENT_NAME_IN_USE, "another client has this client name", Fault.CLIENT_NAME),
        (Reply(400, "Client Name Parse Error"), "refused the client name", Fault.CLIENT_NAME),
        (Reply(403, "No SSL for VPN tls-prod"), "No SSL for VPN tls-prod", Fault.CONNECTION),
        (
            Reply(403, "Max Num Of Clients Exceeded"),
            "Max Num Of Clients Exceeded",
            Fault.CONNECTION,
        ),
    ],
    ids=lambda value: getattr(value, "text", None),
)
async def test_refused_logins(
    broker: SmfBroker, reply: Reply, complaint: str, fault: Fault
) -> None:
    broker.faults.refuse_login = reply
    assert complaint in await refusal(options_of(broker), fault)


async def test_user_who_may_not_publish_guaranteed_messages(broker: SmfBroker) -> None:
    broker.faults.refuse_publisher_flow = answers.SERVICE_UNAVAILABLE
    assert "no guaranteed messaging" in await refusal(options_of(broker))


async def test_nobody_is_there(broker: SmfBroker) -> None:
    broker.stop()
    assert "no connection: TCP connection failure" in await refusal(options_of(broker))


async def test_unknown_host() -> None:
    assert "cannot be resolved" in await refusal(SolaceOptions("nowhere.invalid"), Fault.HOST)


async def test_silent_broker_is_given_up(broker: SmfBroker) -> None:
    broker.silence()
    assert "in time" in await refusal(options_of(broker, connect_timeout=1.0))


@pytest.mark.parametrize("changed", [{"window": 0}, {"window": 256}, {"oauth2_token": "geheim"}])
def test_options_that_cannot_work(changed: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"window|TLS") as caught:
        SolaceOptions("host", **changed)  # type: ignore[arg-type]
    assert "geheim" not in str(caught.value)


def test_options_show_no_secret() -> None:
    options = SolaceOptions("::1", 55443, TlsOptions(), oauth2_token="geheim", password="geheim")
    assert "geheim" not in repr(options)
    assert options.address == "tcps://[::1]:55443"


# -- the end of a session --------------------------------------------------------------------


async def test_cut_connection_says_why_and_ends_what_is_outstanding(broker: SmfBroker) -> None:
    broker.faults.withhold_acks = True
    async with session(broker) as publisher:
        outstanding = [publisher.publish(message(number)) for number in range(300)]
        await asyncio.to_thread(broker.wait_for_received, 200)
        broker.cut_connections()
        lost = await within(asyncio.ensure_future(publisher.lost()))
        assert "session lost: " in str(lost)
        await asyncio.wait(outstanding, timeout=5)
        assert {str(each.exception()) for each in outstanding} == {str(lost)}


async def test_vpn_shutdown_ends_the_session(broker: SmfBroker) -> None:
    async with session(broker) as publisher:
        broker.shut_down_vpn()
        await within(asyncio.ensure_future(publisher.lost()))
    told = await refusal(options_of(broker), Fault.VPN)
    assert "VPN 'default' is not available" in told


async def test_hanging_broker_is_noticed_without_messages(broker: SmfBroker) -> None:
    async with session(broker, keepalive=0.5) as publisher:
        broker.silence()
        lost = await within(asyncio.ensure_future(publisher.lost()))
        assert "session lost" in str(lost)


async def test_closing_does_not_wait_for_a_hanging_broker(broker: SmfBroker) -> None:
    async with session(broker, close_timeout=0.5) as publisher:
        broker.silence()
        answer = publisher.publish(message())
        async with asyncio.timeout(3):
            await publisher.close()
        assert isinstance(answer.exception(), SessionLost)


async def test_lost_and_refused_sessions_leave_no_thread_and_no_descriptor(
    broker: SmfBroker,
) -> None:
    """The client library alone keeps one thread and four descriptors of each, for ever."""

    async def lose_one() -> None:
        async with session(broker) as publisher:
            await within(publisher.publish(message()))
            broker.cut_connections()
            await within(asyncio.ensure_future(publisher.lost()))
        await refusal(options_of(broker, password="wrong"), Fault.LOGIN)

    def held() -> tuple[int, int]:
        gc.collect()
        return len(list(TASKS.iterdir())), len(list(DESCRIPTORS.iterdir()))

    await lose_one()  # threads that stay for the life of the process
    threads, descriptors = held()
    for _ in range(20):
        await lose_one()
    assert held()[0] < threads + 10
    assert held()[1] < descriptors + 20
