"""What one adapter's comparison consists of: a broker, its raw client, and a look at what came."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from eatool.publishing.port import Message, PublisherFactory


class Peer(Protocol):
    """A broker in a process of its own, and both ways to it. Made started."""

    raw: str
    """What the raw side is called."""
    settings: str
    """Broker and protocol settings, for people."""
    pid: int | None
    """Process of the broker, if its processor time is to be shown."""

    def publish_raw(self, messages: Sequence[Message], window: int) -> float:
        """Acked messages per second of the client library alone."""
        ...

    def factory(self) -> PublisherFactory:
        """The product's publisher."""
        ...

    def collect(self, expected: int) -> None:
        """AssertionError unless exactly these arrived since the last call, streams in order."""
        ...

    def stop(self) -> None:
        """End it."""
        ...


class Cpu(NamedTuple):
    """Processor seconds, user and system."""

    client: float
    broker: float

    @classmethod
    def now(cls, broker: int | None) -> Cpu:
        """What this process and the broker's have used so far."""
        return cls(_seconds(os.getpid()), 0.0 if broker is None else _seconds(broker))

    def since(self, earlier: Cpu) -> Cpu:
        """What was used in between."""
        return Cpu(self.client - earlier.client, self.broker - earlier.broker)


class Round(NamedTuple):
    """One side, once."""

    rate: float
    cpu: Cpu


def _seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
