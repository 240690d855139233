"""The example subscribers as programs, killed and sent everything twice: each event counts once."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import orjson
import pytest
from tests.plugins.mosquitto import BrokerFactory, Mosquitto
from tests.plugins.solace import MakeSolaceProcess
from tests.publishing.support import Writer, make_relay, running, stream, until

from eatool.dev.smf.process import BrokerProcess
from eatool.publishing.checkpoints_memory import MemoryCheckpoints
from eatool.publishing.cloudevents import CloudEventsEncoder, ContentMode
from eatool.publishing.mqtt import MqttPublisher
from eatool.publishing.mqtt_options import MqttOptions
from eatool.publishing.port import PublisherFactory
from eatool.publishing.topics import TopicTemplate
from eatool.store.memory import MemoryEventStore

ROOT: Final = Path(__file__).parents[2]
STREAMS: Final = [stream(number) for number in range(30)]
ROUNDS: Final = 10
EVENTS: Final = len(STREAMS) * ROUNDS


class Subscriber:
    """One of the examples, in a process that can be killed and started again."""

    def __init__(self, folder: Path, script: str, *arguments: str) -> None:
        self.database = folder / "mirror.db"
        self._output = folder / "output"
        program = str(ROOT / "examples" / "subscribers" / script)
        self._command = [sys.executable, program, "--database", str(self.database), *arguments]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._output.open("ab") as output:
            self._process = subprocess.Popen(
                self._command,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={
                    **os.environ,
                    "PYTHONPATH": str(ROOT / "operator"),
                    "SOLACE_PASSWORD": "eatool",
                    "MQTT_PASSWORD": "secret",
                },
            )

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        return self._end(signal.SIGTERM)

    def interrupt(self) -> int:
        """Ctrl-C."""
        return self._end(signal.SIGINT)

    def wait(self) -> int:
        assert self._process is not None
        return self._process.wait(timeout=20)

    def _end(self, how: signal.Signals) -> int:
        assert self._process is not None
        self._process.send_signal(how)
        return self.wait()

    def close(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self.kill()

    def said(self, word: str) -> int:
        """Lines of its output that begin with ``word``."""
        return sum(line.startswith(word) for line in self.output.splitlines())

    @property
    def output(self) -> str:
        return self._output.read_text() if self._output.exists() else ""

    def rows(self, query: str) -> list[tuple[object, ...]]:
        connection = sqlite3.connect(self.database)
        try:
            return connection.execute(query).fetchall()
        finally:
            connection.close()

    @contextmanager
    def unable_to_commit(self) -> Iterator[None]:
        """Its transactions wait while the block runs."""
        connection = sqlite3.connect(self.database)
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            connection.close()

    def has(self, count: int) -> Callable[[], bool]:
        """Whether ``count`` events have taken effect."""
        return lambda: len(self.rows("SELECT 1 FROM changes")) >= count


MakeSubscriber = Callable[..., Subscriber]


@pytest.fixture
def make_subscriber(tmp_path: Path) -> Iterator[MakeSubscriber]:
    made: list[Subscriber] = []

    def make(script: str, *arguments: str) -> Subscriber:
        made.append(Subscriber(tmp_path, script, *arguments))
        return made[-1]

    yield make
    for subscriber in made:
        subscriber.close()


async def survive(subscriber: Subscriber, publisher: PublisherFactory, mode: ContentMode) -> None:
    """Publish a log, twice, to a running subscriber that is killed in between."""
    store = MemoryEventStore()
    Writer(store).write(STREAMS, rounds=ROUNDS)
    encoder = CloudEventsEncoder(TopicTemplate(), mode)
    relay = make_relay(store, publisher, MemoryCheckpoints(), encoder=encoder)
    async with running(relay):
        with subscriber.unable_to_commit():
            await until(lambda: relay.status().position == EVENTS, 20)
            await asyncio.sleep(0.2)  # time to acknowledge what must not be acknowledged
            subscriber.kill()
        for enough in (1, EVENTS // 3):
            subscriber.start()
            await until(subscriber.has(enough), 20)
            subscriber.kill()
        subscriber.start()
        await until(subscriber.has(EVENTS), 20)
    before = subscriber.said("Duplicate")
    # Another relay that knows of no checkpoint sends the whole log again.
    async with running(make_relay(store, publisher, MemoryCheckpoints(), encoder=encoder)):
        await until(lambda: subscriber.said("Duplicate") >= before + EVENTS, 20)
    assert subscriber.stop() == 0, subscriber.output

    changes = subscriber.rows("SELECT stream, sequence FROM changes ORDER BY rowid")
    for name in STREAMS:
        assert [n for of, n in changes if of == name] == list(range(1, ROUNDS + 1))
    assert len(changes) == EVENTS
    assert subscriber.rows("SELECT * FROM gaps") == []
    mirrored = {
        str(name): orjson.loads(str(entity))
        for name, entity in subscriber.rows("SELECT * FROM entities")
    }
    assert mirrored == {
        name: orjson.loads(store.read_stored_stream(name)[-1].data)["entity"] for name in STREAMS
    }


@pytest.mark.parametrize("mode", ContentMode)
async def test_mqtt_subscriber(
    mosquitto: Mosquitto, make_subscriber: MakeSubscriber, mode: ContentMode
) -> None:
    subscriber = make_subscriber("mqtt_subscriber.py", "--port", str(mosquitto.port))
    subscriber.start()
    await until(lambda: subscriber.said("subscribed") == 1, 20)
    await survive(subscriber, lambda: MqttPublisher(MqttOptions("127.0.0.1", mosquitto.port)), mode)


async def test_mqtt_subscriber_ends_when_it_is_refused(
    make_mosquitto: BrokerFactory, make_subscriber: MakeSubscriber
) -> None:
    broker = make_mosquitto(users={"someone": "else"})
    broker.start()
    subscriber = make_subscriber(
        "mqtt_subscriber.py", "--port", str(broker.port), "--username", "nobody"
    )
    subscriber.start()
    assert subscriber.wait() == 1
    assert subscriber.output == "refused: Not authorized\n"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--port", "{closed}"], "127.0.0.1:{closed}: Connection refused\n"),
        (["--database", "{folder}/no/x.db"], "{folder}/no/x.db: unable to open database file\n"),
    ],
)
def test_mqtt_subscriber_says_in_one_line_why_it_cannot_start(
    make_mosquitto: BrokerFactory,
    make_subscriber: MakeSubscriber,
    tmp_path: Path,
    arguments: list[str],
    says: str,
) -> None:
    names = {"closed": make_mosquitto().port, "folder": tmp_path}  # it is not started
    subscriber = make_subscriber("mqtt_subscriber.py", *(a.format(**names) for a in arguments))
    subscriber.start()
    assert subscriber.wait() == 1
    assert subscriber.output == says.format(**names)


async def test_mqtt_subscriber_waits_for_a_lost_broker_until_ctrl_c(
    make_mosquitto: BrokerFactory, make_subscriber: MakeSubscriber
) -> None:
    broker = make_mosquitto()
    broker.start()
    subscriber = make_subscriber("mqtt_subscriber.py", "--port", str(broker.port))
    subscriber.start()
    await until(lambda: subscriber.said("subscribed") == 1, 20)
    broker.kill()
    await until(lambda: subscriber.said("connection lost") == 1, 20)
    assert subscriber.interrupt() == 0
    assert "Traceback" not in subscriber.output


def solace_started(
    make_solace_process: MakeSolaceProcess, make_subscriber: MakeSubscriber
) -> tuple[BrokerProcess, Subscriber]:
    """The example for Solace at a broker with its queue."""
    broker = make_solace_process()
    broker.add_queue("eatool-mirror", "eatool/>")
    subscriber = make_subscriber(
        "solace_subscriber.py", "--host", broker.url, "--username", "eatool"
    )
    subscriber.start()
    return broker, subscriber


@pytest.mark.parametrize("mode", ContentMode)
async def test_solace_subscriber(
    make_solace_process: MakeSolaceProcess, make_subscriber: MakeSubscriber, mode: ContentMode
) -> None:
    from eatool.publishing.solace import SolacePublisher
    from eatool.publishing.solace_options import SolaceOptions

    broker, subscriber = solace_started(make_solace_process, make_subscriber)
    await until(lambda: subscriber.said("receiving") == 1, 20)
    options = SolaceOptions("127.0.0.1", broker.port, username="eatool", password="eatool")
    await survive(subscriber, lambda: SolacePublisher(options), mode)


async def test_solace_subscriber_ends_when_it_loses_the_broker(
    make_solace_process: MakeSolaceProcess, make_subscriber: MakeSubscriber
) -> None:
    broker, subscriber = solace_started(make_solace_process, make_subscriber)
    await until(lambda: bool(broker.status().clients), 20)
    broker.kill()
    assert subscriber.wait() == 1
    # The library may tell of the loss before it calls the listener, in its own words.
    assert subscriber.output.splitlines()[-1].startswith(f"{broker.url}: ")
    assert "Traceback" not in subscriber.output


async def test_solace_subscriber_ends_at_ctrl_c(
    make_solace_process: MakeSolaceProcess, make_subscriber: MakeSubscriber
) -> None:
    _, subscriber = solace_started(make_solace_process, make_subscriber)
    await until(lambda: subscriber.said("receiving") == 1, 20)
    assert subscriber.interrupt() == 0
    assert subscriber.output == "receiving from eatool-mirror\n"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--username", "nobody"], "Unauthorized"),
        (["--username", "eatool", "--queue", "other"], "Unknown Queue"),
        (["--username", "eatool", "--vpn", "other"], "Message VPN Not Allowed"),
    ],
)
def test_solace_subscriber_says_in_one_line_what_the_broker_refused(
    make_solace_process: MakeSolaceProcess,
    make_subscriber: MakeSubscriber,
    arguments: list[str],
    says: str,
) -> None:
    broker = make_solace_process()
    subscriber = make_subscriber("solace_subscriber.py", "--host", broker.url, *arguments)
    subscriber.start()
    assert subscriber.wait() == 1
    assert subscriber.output == f"{broker.url}: {says}\n"


def test_solace_subscriber_says_in_one_line_that_there_is_no_broker(
    make_solace_process: MakeSolaceProcess, make_subscriber: MakeSubscriber
) -> None:
    broker = make_solace_process()
    broker.kill()
    subscriber = make_subscriber(
        "solace_subscriber.py", "--host", broker.url, "--username", "eatool"
    )
    subscriber.start()
    assert subscriber.wait() == 1
    (line,) = subscriber.output.splitlines()
    assert line.startswith(f"{broker.url}: ")
    assert "Connection refused" in line
