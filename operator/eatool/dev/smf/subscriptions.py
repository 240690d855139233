"""SMP messages: subscriptions of a client or of a queue.

The payload of an SMP frame::

    byte 0      UH(1 bit), type(7 bits): 0 add, 1 remove, both for the client itself;
                2 add to, 3 remove from a queue
    bytes 1-4   length of all of it
    byte 5      flags: 0x08 response required, 0x04 it is a topic, 0x10 deliver always
    bytes 6-    the topic, ending in NUL; for a queue: length, queue name, length, topic
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from eatool.dev.smf.wire import SmfError, from_c_string

_RESPONSE_REQUIRED: Final = 0x08
_ADD, _REMOVE, _ADD_TO_QUEUE, _REMOVE_FROM_QUEUE = range(4)


class SubscriptionRequest(NamedTuple):
    """A decoded SMP message."""

    topic: str
    add: bool
    queue: str | None
    """None: the client's own subscription."""
    wants_response: bool

    @classmethod
    def decode(cls, payload: bytes) -> SubscriptionRequest:
        """The message in a payload; ``SmfError`` if it is damaged."""
        kind, length = payload[0] & 0x7F, struct.unpack_from(">I", payload, 1)[0]
        if kind > _REMOVE_FROM_QUEUE:
            raise SmfError(f"unknown SMP message {kind:#04x}")
        body = payload[6:length]
        queue = None
        if kind in (_ADD_TO_QUEUE, _REMOVE_FROM_QUEUE):
            size = body[0]
            queue, body = from_c_string(body[1 : 1 + size]), body[2 + size :]
        return cls(
            topic=from_c_string(body),
            add=kind in (_ADD, _ADD_TO_QUEUE),
            queue=queue,
            wants_response=bool(payload[5] & _RESPONSE_REQUIRED),
        )
