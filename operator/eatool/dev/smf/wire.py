"""SMF, the Solace Message Format: frames and the parameters of their header.

Everything on the connection, in both directions, is a frame. Integers are big-endian::

    byte 0      flags: 0x80 discard indication, 0x40 eliding eligible, 0x20 deliver to one,
                0x10 assured delivery, 0x08 DMQ eligible; the low 3 bits are the version, 3
    byte 1      high 2 bits: what a peer does with a frame it does not know ("UH");
                low 6 bits: the protocol, see Protocol
    byte 2      high 4 bits: priority of a direct message; 0x02 set on AssuredCtrl
    byte 3      hops left: a client sends 1 for control and 255 for data
    bytes 4-7   header length, which is also the offset of the payload
    bytes 8-11  frame length, header included
    bytes 12-   parameters up to the header length, then the payload

A parameter is a type-length-value of one of two shapes, told apart by bit 0x20 of its first
byte; a first byte of 0 is padding::

    standard     UH(2 bits) 0 type(5 bits), length byte, value. The length counts the whole
                 parameter; 0 means that four more bytes hold it, and those are counted too
    lightweight  UH(2 bits) 1 type(3 bits) length(2 bits), value of that many bytes
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final, NamedTuple

from eatool.dev.smf.replies import Reply

HEADER_BYTES: Final = 12
MAX_FRAME_BYTES: Final = 64 * 1024 * 1024

FLAG_ELIDING: Final = 0x40
FLAG_ASSURED: Final = 0x10
FLAG_DMQ_ELIGIBLE: Final = 0x08

_VERSION: Final = 3
_VERSION_MASK: Final = 0x07
_PROTOCOL_MASK: Final = 0x3F
_LIGHT: Final = 0x20
_REPORT_UNKNOWN: Final = 2  # UH: "ignore it and return an error"
_LONG_LENGTH_BYTES: Final = 4


class SmfError(ValueError):
    """The peer sent bytes that make no sense here; the message says which."""


class Protocol(IntEnum):
    """What a frame carries."""

    ASSURED_CTRL = 0x09
    """Guaranteed messaging: flows, windows, acknowledgements (assured.py)."""
    KEEP_ALIVE_V2 = 0x0B
    """No payload; the answer is the same empty frame."""
    CLIENT_CTRL = 0x0C
    """Login (login.py)."""
    MESSAGE = 0x0D
    """An application's message, direct or guaranteed (messages.py)."""
    SMP = 0x0F
    """Subscriptions (subscriptions.py)."""


class Standard(IntEnum):
    """Types of standard parameters."""

    PUBLISHER_ID = 0x01
    PRIORITY = 0x03
    USERNAME = 0x06
    PASSWORD = 0x07
    RESPONSE = 0x08
    DELIVERY_MODE = 0x10
    MESSAGE_ID = 0x11
    PREVIOUS_MESSAGE_ID = 0x12
    REDELIVERED = 0x13
    CONTENTS_SUMMARY = 0x16
    FLOW_ID = 0x17
    TOPIC = 0x18
    TIME_TO_LIVE = 0x1C
    EXTENDED = 0x1F


class Light(IntEnum):
    """Types of lightweight parameters."""

    CORRELATION_TAG = 0
    """Three bytes that a response repeats from its request."""
    TOPIC_OFFSET = 1
    QUEUE_OFFSET = 2
    ACK_IMMEDIATELY = 3


class Param(NamedTuple):
    """One parameter of a header; ``type`` need not be a known one."""

    type: int
    value: bytes = b""
    light: bool = False
    uh: int = 0

    def encode(self) -> bytes:
        """The bytes of this parameter."""
        if self.light:
            head = self.uh << 6 | _LIGHT | self.type << 2 | len(self.value)
            return bytes([head]) + self.value
        return encode_tlv(self.uh << 6 | self.type, self.value)


def encode_tlv(head: int, value: bytes) -> bytes:
    """``head``, a length of one byte or else of 0 and four bytes, and ``value``."""
    if len(value) + 2 <= 0xFF:  # noqa: PLR2004 - the greatest byte
        return bytes([head, len(value) + 2]) + value
    return bytes([head, 0]) + struct.pack(">I", len(value) + 2 + _LONG_LENGTH_BYTES) + value


def decode_tlv(data: bytes, at: int, end: int) -> tuple[bytes, int]:
    """The value of the type-length-value at ``at``, and the offset after it."""
    start, length = at + 2, data[at + 1]
    if length == 0:
        start, length = start + _LONG_LENGTH_BYTES, struct.unpack_from(">I", data, at + 2)[0]
    if not start <= at + length <= end:
        raise SmfError(f"parameter {data[at]:#04x} of impossible length {length}")
    return data[start : at + length], at + length


def c_string(text: str) -> bytes:
    """``text`` as SMF writes strings: UTF-8 and a NUL."""
    return text.encode() + b"\0"


def from_c_string(value: bytes | None) -> str:
    """The text up to the NUL, empty for a parameter that is not there."""
    return (value or b"").split(b"\0", 1)[0].decode(errors="replace")


def response(reply: Reply) -> Param:
    """The parameter that makes a frame a response: a 4-byte code, then ASCII text."""
    return Param(Standard.RESPONSE, struct.pack(">I", reply.code) + reply.text.encode("ascii"))


@dataclass(slots=True)
class Frame:
    """One frame, its parameters in the order of the wire."""

    protocol: int
    params: list[Param] = field(default_factory=list)
    payload: bytes = b""
    flags: int = 0
    byte2: int = 0
    hops: int = 1

    def find(self, kind: Standard | Light) -> bytes | None:
        """The value of the first parameter of a type."""
        light = isinstance(kind, Light)
        return next((p.value for p in self.params if p.type == kind and p.light is light), None)

    def number(self, kind: Standard | Light) -> int:
        """The same as an unsigned integer, 0 if absent."""
        return int.from_bytes(self.find(kind) or b"", "big")

    def encode(self) -> bytes:
        """The bytes of this frame."""
        params = b"".join(param.encode() for param in self.params)
        header_length = HEADER_BYTES + len(params)
        head = struct.pack(
            ">BBBBII",
            self.flags | _VERSION,
            _REPORT_UNKNOWN << 6 | self.protocol,
            self.byte2,
            self.hops,
            header_length,
            header_length + len(self.payload),
        )
        return head + params + self.payload

    @classmethod
    def decode(cls, data: bytes) -> Frame:
        """The frame in ``data``, which holds exactly one; :class:`SmfError` if it is damaged."""
        header_length = struct.unpack_from(">I", data, 4)[0]
        return cls(
            protocol=data[1] & _PROTOCOL_MASK,
            params=list(_decode_params(data, header_length)),
            payload=data[header_length:],
            flags=data[0] & ~_VERSION_MASK,
            byte2=data[2],
            hops=data[3],
        )


def _decode_params(data: bytes, end: int) -> Iterator[Param]:
    at = HEADER_BYTES
    while at < end:
        head = data[at]
        if head == 0:
            at += 1
        elif head & _LIGHT:
            after = at + 1 + (head & 0x03)
            yield Param((head & 0x1C) >> 2, data[at + 1 : after], light=True, uh=head >> 6)
            at = after
        else:
            value, at = decode_tlv(data, at, end)
            yield Param(head & 0x1F, value, uh=head >> 6)


def take_frames(buffer: bytearray) -> Iterator[Frame]:
    """Take the whole frames off the front of ``buffer``; what is left is the start of one.

    A frame counts as taken when it has been yielded, also if the caller stops there.
    """
    while len(buffer) >= HEADER_BYTES:
        if buffer[0] & _VERSION_MASK != _VERSION:
            raise SmfError(f"not SMF version {_VERSION}: {buffer[:HEADER_BYTES].hex(' ')}")
        header_length, length = struct.unpack_from(">II", buffer, 4)
        if not HEADER_BYTES <= header_length <= length <= MAX_FRAME_BYTES:
            raise SmfError(f"impossible lengths: header {header_length}, frame {length}")
        if len(buffer) < length:
            return
        data = bytes(buffer[:length])
        del buffer[:length]
        yield Frame.decode(data)
