"""What the conformance suite asks of a broker: listeners, one user, limits, and ways to harm it."""

from __future__ import annotations

import shutil
from abc import ABC, abstractmethod
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import ClassVar, Final, NamedTuple

from tests.plugins.certificates import Certificates
from tests.plugins.mqtt_brokers.process import BrokerProcess

USER: Final = "relay"
PASSWORD: Final = "right"
#: Topics the user may publish to and subscribe to.
ALLOWED: Final = "eatool/#"
#: Topics the user may only subscribe to: who publishes there is refused, and it can be seen.
READ_ONLY: Final = "denied/#"
#: Bytes of one packet; of the payload alone where the broker counts that.
MAX_PACKET: Final = 128 * 1024
#: Unacknowledged messages, both ways, where the broker can be told.
RECEIVE_MAXIMUM: Final = 200


class Listener(StrEnum):
    """The ways in. All of them ask for user and password."""

    PLAIN = "plain"
    TLS = "tls"
    #: TLS that requires a client certificate of the test CA.
    MUTUAL = "mutual"


class Place(NamedTuple):
    """Where a listener is."""

    process: BrokerProcess
    port: int


class Broker(ABC):
    """Processes of one broker product, started when a listener of theirs is first used.

    Products differ in how many listeners one process can have; the suite need not know.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    #: It stores a message for a persistent subscriber before it acknowledges it.
    stores_first: ClassVar[bool] = True

    def __init__(self, folder: Path, certificates: Certificates) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.certificates = certificates
        self.places: Mapping[Listener, Place] = self.arrange()

    @classmethod
    @abstractmethod
    def missing(cls) -> str | None:
        """How to get what is not on this machine; ``None`` when all is there."""

    @property
    @abstractmethod
    def version(self) -> str:
        """As the product states it."""

    @abstractmethod
    def arrange(self) -> Mapping[Listener, Place]:
        """Write configurations; which process serves which listener, and on which port."""

    def port(self, listener: Listener = Listener.PLAIN) -> int:
        """The port of a listener that answers."""
        process, port = self.places[listener]
        if not process.running:
            process.start()
        return port

    def save(self) -> None:  # noqa: B027 - only those that store late have something to do
        """Have sessions and subscriptions written to disk now."""

    def kill(self) -> None:
        """``kill -9`` of the process behind the plain listener."""
        self.places[Listener.PLAIN].process.kill()

    def start(self) -> None:
        """Start it again, on the same port, with what is on its disk."""
        self.places[Listener.PLAIN].process.start()

    def close(self) -> None:
        """End every process."""
        for place in self.places.values():
            place.process.kill()


def find(*places: str) -> Path | None:
    """The first of some programs that exists; a bare name is looked up on the PATH."""
    for place in places:
        found = shutil.which(place)
        if found is not None:
            return Path(found)
    return None
