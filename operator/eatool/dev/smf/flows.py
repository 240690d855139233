"""Publisher flows: which sending of a message counts, and how it is acknowledged.

A flow belongs to a client and outlives its connection. The client numbers the messages of a
flow from 1 on, without gaps, and says with each what the number before was. It may send as many
unacknowledged ones as the window allows, repeats them when nothing comes back for 2 s, and
repeats what is unacknowledged when it reopens the flow by name on a new connection. The broker
stores each number once.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final

from eatool.dev.smf.assured import (
    MAX_WINDOW,
    AssuredParam,
    AssuredType,
    encode_assured,
    u32,
    u64,
)
from eatool.dev.smf.login import ROUTER_NAME
from eatool.dev.smf.messages import ReceivedMessage
from eatool.dev.smf.replies import OK, Reply
from eatool.dev.smf.wire import Frame, Protocol, response

_INSTANT: Final = 1e-6  # seconds between two acknowledgements that wait: timers keep no order


class Arrival(Enum):
    """What the number of a message says."""

    NEXT = auto()
    KNOWN = auto()
    AHEAD = auto()


@dataclass(slots=True)
class PublisherFlow:
    """The state of a flow on the broker."""

    name: str
    client_name: str
    publisher_id: int
    last_id: int = 0
    """Newest message that was stored or rejected."""
    acked_id: int = 0
    """Newest message the client was told about."""
    rejections: dict[int, Reply] = field(default_factory=dict)
    """Rejections the client was not told about yet."""

    def judge(self, message: ReceivedMessage) -> Arrival:
        """Whether a message is the next one."""
        if message.message_id <= self.last_id:
            return Arrival.KNOWN
        return Arrival.NEXT if message.previous_message_id == self.last_id else Arrival.AHEAD

    def take(self, message_id: int, reply: Reply) -> None:
        """Go on to a message that was stored, or else rejected with ``reply``."""
        self.last_id = message_id
        if reply != OK:
            self.rejections[message_id] = reply

    def reopen(self) -> None:
        """The client is told of everything up to here, by the answer to its opening.

        Unless there are rejections it has not heard of: these ids it has to repeat, because
        nothing in that answer could tell it.
        """
        if not self.rejections:
            self.acked_id = self.last_id

    def told(self, message_id: int) -> None:
        """The client was told about the messages up to this one."""
        self.acked_id = max(self.acked_id, message_id)
        for known in [number for number in self.rejections if number <= message_id]:
            del self.rejections[known]

    def rewind(self) -> None:
        """Forget what the client was not told about."""
        self.last_id = self.acked_id
        self.rejections.clear()


class FlowTable:
    """The flows of a broker by name."""

    def __init__(self) -> None:
        self._flows: dict[str, PublisherFlow] = {}
        self._numbers = itertools.count(1)

    def get(self, name: str) -> PublisherFlow | None:
        """A flow that was opened before."""
        return self._flows.get(name)

    def create(self, client_name: str) -> PublisherFlow:
        """A flow for a client that has none."""
        number = next(self._numbers)
        return self.restore(f"{ROUTER_NAME}/flow/{number}", client_name, number)

    def restore(self, name: str, client_name: str, publisher_id: int) -> PublisherFlow:
        """A flow under a name it already had; new ones get higher numbers."""
        flow = self._flows[name] = PublisherFlow(name, client_name, publisher_id)
        self._numbers = itertools.count(max(flow.publisher_id for flow in self._flows.values()) + 1)
        return flow

    def forget(self, name: str) -> None:
        """Answer the reopening of this one with "Unknown Flow Name"."""
        self._flows.pop(name, None)

    def names(self) -> list[str]:
        """Names of the flows that can be reopened."""
        return list(self._flows)


class Acknowledger:
    """Acknowledges the messages of a flow on one connection, in order.

    Acceptances are collected until :meth:`flush`, because one acknowledgement covers all
    numbers up to its own. Rejections are not collected.
    """

    def __init__(
        self,
        flow: PublisherFlow,
        *,
        flow_id: int,
        version: int,
        send: Callable[[Frame], None],
        told: Callable[[PublisherFlow, int], None],
    ) -> None:
        """``told(flow, message_id)`` is called when an acknowledgement has been sent."""
        self._flow = flow
        self._flow_id = flow_id
        self._version = version
        self._send = send
        self._told = told
        self._due: int | None = None
        self._rejected: set[int] = set()
        self._free_at = 0.0
        self._timers: set[asyncio.TimerHandle] = set()

    def accept(self, message_id: int) -> None:
        """Acknowledge up to this message with the next flush.

        But never past a rejection that was kept back: the client repeats that one, and then
        hears of it.
        """
        kept_back = (number - 1 for number in self._flow.rejections.keys() - self._rejected)
        self._due = min((message_id, *kept_back))

    def reject(self, message_id: int, reply: Reply, delay: float) -> None:
        """Reject one message, after acknowledging those before it."""
        self.flush(delay)
        self._rejected.add(message_id)
        self._later(message_id, reply, delay)

    def flush(self, delay: float) -> None:
        """Send what is due, after ``delay`` seconds."""
        if self._due is not None:
            self._later(self._due, OK, delay)
            self._due = None

    def close(self) -> None:
        """Send nothing more."""
        self._due = None
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()

    def _later(self, message_id: int, reply: Reply, delay: float) -> None:
        loop = asyncio.get_running_loop()
        # Never overtake one that waits, even if the delay has been shortened since.
        due = max(loop.time() + delay, self._free_at)
        if due <= loop.time():
            self._now(message_id, reply)
            return
        self._free_at = due + _INSTANT

        def send() -> None:
            self._timers.discard(timer)
            self._now(message_id, reply)

        timer = loop.call_at(due, send)
        self._timers.add(timer)

    def _now(self, message_id: int, reply: Reply) -> None:
        self._told(self._flow, message_id)
        payload = encode_assured(
            self._version,
            AssuredType.CLIENT_ACK,
            [
                (AssuredParam.FLOW_ID, u32(self._flow_id)),
                (AssuredParam.LAST_ID_ACKED, u64(message_id)),
                (AssuredParam.WINDOW_SIZE, bytes([MAX_WINDOW])),
            ],
        )
        self._send(Frame(Protocol.ASSURED_CTRL, [response(reply)], payload))
