"""AssuredCtrl, the control messages of guaranteed messaging.

The payload of a frame of that protocol is one message. The stand-in announces no range of
versions at login, so the client writes version 2; version 3 is understood as well::

    version 2   byte 0: version. Bytes 1-2: type(4 bits) and length(12 bits) in words of four
                bytes, so the message is padded with zeros
    version 3   byte 0: version. Byte 1: type. Bytes 2-5: length in bytes

Parameters follow: type-length-values as in a frame's header, with six bits of type. Of the
types of messages these matter here:

OPEN_FLOW
    A client opens its publisher flow. It sends the last id it has seen acknowledged, the last
    id it has sent, its window, and the name of the flow, which is empty the first time. The
    broker answers with a flow id (for this connection), the flow's name (for the next one),
    the last id it has, which acknowledges everything up to it, and the window.
CLIENT_ACK
    From the broker: acknowledges the messages of a flow up to an id. With a response other
    than 200 it rejects the message of that id and acknowledges those before. The 200 has to
    be spelled out: the client otherwise takes the code of the last frame that had one.
    From a client: acknowledges ranges of ids of a consumer flow and sets its window.
BIND, UNBIND, CREATE
    Attach to a queue, detach from it, make one.
CLOSE_FLOW
    Ends a publisher flow.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from enum import IntEnum
from typing import Final, NamedTuple

from eatool.dev.smf.wire import decode_tlv, encode_tlv

#: Greatest number of messages a client may have unacknowledged.
MAX_WINDOW: Final = 255

_LONG_LENGTHS_SINCE: Final = 3
_TYPE_MASK: Final = 0x3F


class AssuredType(IntEnum):
    """Types of AssuredCtrl messages."""

    OPEN_FLOW = 0x00
    CLIENT_ACK = 0x03
    BIND = 0x04
    UNBIND = 0x05
    CLOSE_FLOW = 0x07
    CREATE = 0x08


class AssuredParam(IntEnum):
    """Types of their parameters."""

    LAST_ID_SENT = 0x01
    LAST_ID_ACKED = 0x02
    WINDOW_SIZE = 0x03
    APPLICATION_ACK = 0x05
    """From a client: first and last message id of a range, 8 bytes each."""
    FLOW_ID = 0x06
    QUEUE_NAME = 0x07
    FLOW_NAME = 0x0A
    DURABILITY = 0x0B
    ACCESS_TYPE = 0x0C
    GRANTED_PERMISSIONS = 0x15
    ACTIVE_FLOW = 0x20
    PUBLISHER_ID = 0x23


class Assured(NamedTuple):
    """One AssuredCtrl message. A parameter may come more than once."""

    version: int
    type: int
    params: tuple[tuple[int, bytes], ...]

    def find(self, kind: AssuredParam) -> bytes | None:
        """The first value of a parameter."""
        return next((value for found, value in self.params if found == kind), None)

    def all(self, kind: AssuredParam) -> list[bytes]:
        """All values of a parameter."""
        return [value for found, value in self.params if found == kind]

    def number(self, kind: AssuredParam) -> int:
        """The first value as an unsigned integer, 0 if absent."""
        return int.from_bytes(self.find(kind) or b"", "big")

    @classmethod
    def decode(cls, payload: bytes) -> Assured:
        """The message in a payload; ``SmfError`` if it is damaged."""
        version = payload[0] & _TYPE_MASK
        if version >= _LONG_LENGTHS_SINCE:
            kind, at, end = payload[1], 6, struct.unpack_from(">I", payload, 2)[0]
        else:
            word = struct.unpack_from(">H", payload, 1)[0]
            kind, at, end = word >> 12, 3, (word & 0xFFF) * 4
        params = []
        while at < end:
            head = payload[at] & _TYPE_MASK
            if head == 0:
                at += 1
                continue
            value, at = decode_tlv(payload, at, end)
            params.append((head, value))
        return cls(version, kind, tuple(params))


def encode_assured(version: int, kind: AssuredType, params: Iterable[tuple[int, bytes]]) -> bytes:
    """A payload; answer in the version of the request."""
    body = b"".join(encode_tlv(head, value) for head, value in params)
    if version >= _LONG_LENGTHS_SINCE:
        return struct.pack(">BBI", version, kind, len(body) + 6) + body
    body += b"\0" * (-(3 + len(body)) % 4)
    return struct.pack(">BH", version, kind << 12 | (3 + len(body)) // 4) + body


def u32(number: int) -> bytes:
    """Four bytes, as flow ids are written."""
    return struct.pack(">I", number)


def u64(number: int) -> bytes:
    """Eight bytes, as message ids are written."""
    return struct.pack(">Q", number)
