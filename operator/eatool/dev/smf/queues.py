"""Queues: what they attract and hold, and how a consumer gets it.

A consumer binds to a queue and is sent guaranteed messages, each with the number the queue gave
it, as many unacknowledged ones as its window allows. It acknowledges ranges of numbers; what it
has not acknowledged when it goes is sent to the next one, marked as redelivered.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Final

from eatool.dev.smf.assured import u32, u64
from eatool.dev.smf.messages import DeliveryMode, ReceivedMessage
from eatool.dev.smf.topics import matches
from eatool.dev.smf.wire import FLAG_ASSURED, Frame, Light, Param, Standard

# Parameters that belong to the publisher's leg of the way.
_PUBLISHER_LEG: Final = frozenset(
    {
        (Standard.PUBLISHER_ID, False),
        (Standard.DELIVERY_MODE, False),
        (Standard.MESSAGE_ID, False),
        (Standard.PREVIOUS_MESSAGE_ID, False),
        (Standard.REDELIVERED, False),
        (Standard.FLOW_ID, False),
        (Standard.TIME_TO_LIVE, False),
        (Light.ACK_IMMEDIATELY, True),
    }
)
_DROP_UNKNOWN: Final = 2  # UH of the parameters of a guaranteed message


def as_direct(frame: Frame) -> Frame:
    """``frame`` as the subscriber of a topic gets it: without anything to acknowledge."""
    params = [p for p in frame.params if (p.type, p.light) not in _PUBLISHER_LEG]
    return replace(frame, params=params, flags=frame.flags & ~FLAG_ASSURED)


@dataclass(slots=True)
class Spooled:
    """A message on a queue."""

    number: int
    message: ReceivedMessage
    delivered: bool = False


@dataclass(slots=True, eq=False)
class Consumer:
    """A client bound to a queue."""

    flow_id: int
    send: Callable[[Frame], None]
    window: int
    last_number: int = 0
    unacked: dict[int, Spooled] = field(default_factory=dict)

    @property
    def has_room(self) -> bool:
        """Whether the window allows another message."""
        return len(self.unacked) < self.window

    def deliver(self, spooled: Spooled) -> None:
        """Send one message."""
        frame = as_direct(spooled.message.frame)
        frame.flags |= FLAG_ASSURED
        mode = spooled.message.delivery_mode
        if mode is DeliveryMode.DIRECT:  # a queue that attracts one promotes it
            mode = DeliveryMode.NON_PERSISTENT
        frame.params += [
            Param(Standard.DELIVERY_MODE, bytes([mode]), uh=_DROP_UNKNOWN),
            Param(Standard.FLOW_ID, u32(self.flow_id)),
            Param(Standard.PREVIOUS_MESSAGE_ID, u64(self.last_number), uh=_DROP_UNKNOWN),
            Param(Standard.MESSAGE_ID, u64(spooled.number), uh=_DROP_UNKNOWN),
        ]
        if spooled.delivered:
            frame.params.append(Param(Standard.REDELIVERED, uh=_DROP_UNKNOWN))
        spooled.delivered = True
        self.last_number = spooled.number
        self.unacked[spooled.number] = spooled
        self.send(frame)


@dataclass(slots=True)
class Queue:
    """A durable, exclusive queue: of its consumers only the first gets messages."""

    name: str
    subscriptions: set[str] = field(default_factory=set)
    max_messages: int | None = None
    """Quota: beyond it messages are rejected with ``503 Spool Over Quota``."""
    spool: deque[Spooled] = field(default_factory=deque)
    """What it holds, except what a consumer has not acknowledged yet."""
    consumers: list[Consumer] = field(default_factory=list)
    last_number: int = 0

    def attracts(self, topic: str) -> bool:
        """Whether one of its subscriptions matches."""
        return any(matches(subscription, topic) for subscription in self.subscriptions)

    @property
    def depth(self) -> int:
        """Messages it holds, those included that a consumer has not acknowledged."""
        return len(self.spool) + sum(len(consumer.unacked) for consumer in self.consumers)

    @property
    def is_full(self) -> bool:
        """Whether the quota is used up."""
        return self.max_messages is not None and self.depth >= self.max_messages

    def put(self, message: ReceivedMessage) -> None:
        """Add a message at the end."""
        self.last_number += 1
        self.spool.append(Spooled(self.last_number, message))
        self.deliver()

    def deliver(self) -> None:
        """Send the first consumer as much as its window allows."""
        while self.spool and self.consumers and self.consumers[0].has_room:
            self.consumers[0].deliver(self.spool.popleft())

    def bind(self, consumer: Consumer) -> bool:
        """Add a consumer; whether it is the active one. Call :meth:`deliver` when it knows."""
        self.consumers.append(consumer)
        return self.consumers[0] is consumer

    def unbind(self, consumer: Consumer) -> None:
        """Take a consumer away; the next one gets what it had not acknowledged."""
        self.consumers.remove(consumer)
        self.spool.extendleft(reversed(consumer.unacked.values()))
        self.deliver()

    def consumed(self, numbers: Iterable[int]) -> None:
        """Drop messages that an earlier consumer has acknowledged."""
        gone = set(numbers)
        self.spool = deque(spooled for spooled in self.spool if spooled.number not in gone)

    def drop(self, condition: Callable[[ReceivedMessage], bool]) -> None:
        """Drop messages that no consumer has yet."""
        self.spool = deque(spooled for spooled in self.spool if not condition(spooled.message))
