"""The two brokers of a proof: what each can be made to suffer, and what it can tell afterwards."""

from __future__ import annotations

import random
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Final

from tests.plugins.mosquitto import Mosquitto
from tests.proofs.relays import ACK_TIMEOUT
from tests.publishing.solace_support import arrivals
from tests.publishing.subscriber import Subscriber

from eatool.dev.smf import Faults, Nack
from eatool.dev.smf import replies as answers
from eatool.dev.smf.process import BrokerProcess

#: ``(stream, version, event id)``.
Arrival = tuple[str, int, str]

_SETTLING: Final = 30.0
_SILENCE: Final = 1.5 * ACK_TIMEOUT
#: Access rules of Mosquitto while nothing is refused.
# A "topic" rule would not do: Mosquitto 2.0.11 applies those to sessions that it restored only
# after their client has come back, and drops what comes for them before.
OPEN: Final = "pattern readwrite #\n"


def await_true(condition: Callable[[], bool], what: str, seconds: float) -> None:
    """Wait for a condition, failing loudly."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not in {seconds:.0f} s: {what}"
        time.sleep(0.05)


class Tormented(ABC):
    """One broker and its faults: ``killed`` to ``refusing``, each as long as a block."""

    name: str

    def __init__(self, broker: Mosquitto | BrokerProcess, chance: random.Random) -> None:
        self.broker = broker
        self.chance = chance
        #: Streams whose events were refused for good at some time.
        self.refused: set[str] = set()

    @property
    def interruptions(self) -> Sequence[Callable[[], AbstractContextManager[None]]]:
        """The faults in which it acknowledges nothing at all."""
        return (self.killed, self.restarted, self.blackholed)

    @contextmanager
    def killed(self) -> Iterator[None]:
        """``kill -9``; comes back on the same port."""
        self.broker.kill()
        try:
            yield
        finally:
            self.broker.start()

    @contextmanager
    def restarted(self) -> Iterator[None]:
        """A polite stop."""
        self.broker.stop()
        try:
            yield
        finally:
            self.broker.start()

    @contextmanager
    def blackholed(self) -> Iterator[None]:
        """Connected and silent: connections and bytes are taken, nothing is answered."""
        until = time.monotonic() + _SILENCE
        self.broker.silence()
        try:
            yield
            time.sleep(max(0.0, until - time.monotonic()))
        finally:
            self.broker.resume()

    @contextmanager
    def slowed(self) -> Iterator[None]:
        """Answers in short fits only."""
        over = threading.Event()
        pauses = random.Random(self.chance.random())  # of its own: the other thread draws, too

        def stutter() -> None:
            while not over.is_set():
                self.broker.silence()
                over.wait(pauses.uniform(0.05, 0.3))
                self.broker.resume()
                over.wait(0.05)

        thread = threading.Thread(target=stutter)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    @contextmanager
    @abstractmethod
    def refusing(self, stream: str) -> Iterator[None]:
        """Events of one stream are refused for good, others perhaps for now."""

    @abstractmethod
    def settle(self, taken: Callable[[], int]) -> None:
        """Return when it may be killed; ``taken``: how many events it has acknowledged."""

    @abstractmethod
    def brace(self) -> None:
        """The events that come now are to be in flight when it is killed."""

    @abstractmethod
    def has(self, events: int) -> bool:
        """Whether so many different events arrived."""

    @abstractmethod
    def arrivals(self) -> list[Arrival]:
        """Everything that arrived, in order, repetitions included."""


class TormentedMosquitto(Tormented):
    """With a subscriber whose session outlasts every death of the broker.

    Mosquitto acknowledges an event that waits for its subscriber in memory, and saves that later.
    What a ``kill -9`` takes then nobody can send again. So the subscriber first has everything
    that was acknowledged, then the broker stops, and what it is sent from there on it neither
    acknowledges nor delivers before it is killed. (``test_delivery_proof`` kills it in full flow.)
    """

    name = "mqtt"

    def __init__(self, broker: Mosquitto, chance: random.Random) -> None:
        """``broker`` runs, with access rules."""
        super().__init__(broker, chance)
        self.mosquitto = broker
        self.subscriber = Subscriber(broker.port, acknowledge_later=True)
        broker.save()

    @contextmanager
    def refusing(self, stream: str) -> Iterator[None]:
        self.refused.add(stream)
        name = stream.rpartition("/")[2]
        self.mosquitto.set_acl(f"{OPEN}topic deny eatool/v1/dev/application/+/{name}\n")
        try:
            yield
        finally:
            self.mosquitto.set_acl(OPEN)

    def settle(self, taken: Callable[[], int]) -> None:
        await_true(
            lambda: self.subscriber.connected and self.has(taken()),
            "the subscriber keeps up",
            _SETTLING,
        )
        self.subscriber.acknowledge()

    def brace(self) -> None:
        self.broker.silence()

    def has(self, events: int) -> bool:
        return self.subscriber.distinct >= events

    def arrivals(self) -> list[Arrival]:
        return self.subscriber.seen


class TormentedSolace(Tormented):
    """The stand-in, which has on disk what it acknowledged."""

    name = "solace"

    def __init__(self, broker: BrokerProcess, chance: random.Random) -> None:
        super().__init__(broker, chance)
        self.stand_in = broker

    @contextmanager
    def refusing(self, stream: str) -> Iterator[None]:
        """Also its spool is full for a while, and the connection is cut, the flow forgotten."""
        self.refused.add(stream)
        topic = f"eatool/v1/dev/application/*/{stream.rpartition('/')[2]}"
        self.stand_in.set_faults(
            Faults(
                nacks=[
                    Nack(answers.PUBLISH_ACL_DENIED, topic),
                    Nack(answers.SPOOL_OVER_QUOTA, times=self.chance.randrange(5, 50)),
                ],
                cut_after=self.chance.randrange(5, 200),
                forget_flows=True,
            )
        )
        try:
            yield
        finally:
            self.stand_in.set_faults(Faults())

    def settle(self, taken: Callable[[], int]) -> None:
        """It may be killed at any time."""

    def brace(self) -> None:
        """It is killed in full flow."""

    def has(self, events: int) -> bool:
        return len(self._ids()) >= events

    def arrivals(self) -> list[Arrival]:
        return arrivals(self.stand_in.stored())

    def _ids(self) -> set[str | None]:
        return {each.application_message_id for each in self.stand_in.stored()}
