"""What a client published: the frame as it came, what it means, and what became of it.

A MESSAGE frame is guaranteed if its assured-delivery flag is set. It then has the header
parameters delivery mode (1 byte), flow id, message id and previous message id (8 bytes each),
and REDELIVERED, without a value, if the client says that it has sent it before. Time to live
(8 bytes, milliseconds) and priority (1 byte) are further parameters.

The parameter CONTENTS_SUMMARY cuts the payload into parts: for each ``kind(4 bits)
length(4 bits)``, that length counting the whole entry, then the size of the part. Kind 2 is the
body, kind 4 the binary metadata. Without a summary all of the payload is body.

Binary metadata is a count of blocks, then for each ``type(8 bits) size(24 bits)``, then the
blocks. Block type 0 is an SDT stream of a marker, which says what the body is, and a map with
the headers ``h`` and the application's properties ``p``.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from functools import cached_property
from typing import Any, Final, NamedTuple

from eatool.dev.smf.replies import OK, Reply
from eatool.dev.smf.sdt import SdtValue, decode_sdt
from eatool.dev.smf.wire import (
    FLAG_ASSURED,
    FLAG_DMQ_ELIGIBLE,
    FLAG_ELIDING,
    Frame,
    Light,
    SmfError,
    Standard,
    from_c_string,
)

_BODY: Final = 2
_METADATA: Final = 4
_STRUCTURED: Final = frozenset({0x07, 0x0A, 0x0B})  # text, map, stream; 0x80 is plain bytes
#: Keys of the headers on the wire, and what they are called here.
HEADERS: Final = {
    "mi": "application_message_id",
    "mt": "application_message_type",
    "ci": "correlation_id",
    "si": "sender_id",
    "sn": "sequence_number",
    "ts": "sender_timestamp",
    "ex": "expiration",
    "ct": "http_content_type",
    "ce": "http_content_encoding",
    "rt": "reply_to",
}


class DeliveryMode(IntEnum):
    """How a message was published. On the wire a direct message carries no mode at all."""

    NON_PERSISTENT = 0
    PERSISTENT = 1
    DIRECT = 2


class Outcome(StrEnum):
    """What became of a message."""

    DIRECT = "direct"
    """Passed on and forgotten; nothing acknowledges a direct message."""
    STORED = "stored"
    """Accepted, and acknowledged with the next acknowledgement."""
    WITHHELD = "withheld"
    """Accepted, but a fault keeps the acknowledgement back."""
    NACKED = "nacked"
    """Rejected with :attr:`ReceivedMessage.reply`."""
    DUPLICATE = "duplicate"
    """Its id had been accepted before: acknowledged again, not stored again."""
    OUT_OF_ORDER = "out-of-order"
    """Ids before it are missing: ignored until they have come."""
    LOST = "lost"
    """Accepted, then forgotten by a fault before it was acknowledged."""


class _Meaning(NamedTuple):
    marker: int
    headers: dict[str, Any]
    properties: dict[str, Any]


@dataclass
class ReceivedMessage:
    """One sending of a message; decoded when asked, :class:`SmfError` if it is damaged."""

    frame: Frame
    outcome: Outcome
    client_name: str
    connection: int
    """Number of the client's connection, counted from 1."""
    flow: str = ""
    """Name of the publisher flow; empty for a direct message."""
    reply: Reply = OK
    received_at: float = 0.0
    """Seconds since the epoch."""

    @property
    def topic(self) -> str:
        """Topic."""
        return from_c_string(self.frame.find(Standard.TOPIC))

    @property
    def payload(self) -> bytes:
        """Body as bytes, SDT not decoded."""
        return self._parts[0]

    @property
    def content(self) -> SdtValue:
        """Body as the publisher gave it: bytes, text, a map or a list."""
        if self._meaning.marker in _STRUCTURED and self.payload:
            return decode_sdt(self.payload)[0]
        return self.payload

    @property
    def headers(self) -> dict[str, Any]:
        """Headers that the application or the client library set, by the names of HEADERS."""
        return {HEADERS.get(key, key): value for key, value in self._meaning.headers.items()}

    @property
    def user_properties(self) -> dict[str, Any]:
        """The application's properties."""
        return self._meaning.properties

    @property
    def application_message_id(self) -> str | None:
        """Message id given by the application."""
        return self.headers.get("application_message_id")

    @property
    def correlation_id(self) -> str | None:
        """Correlation id given by the application."""
        return self.headers.get("correlation_id")

    @property
    def expiration(self) -> int | None:
        """Expiration header, milliseconds since the epoch."""
        return self.headers.get("expiration")

    @property
    def delivery_mode(self) -> DeliveryMode:
        """Delivery mode."""
        if not self.frame.flags & FLAG_ASSURED:
            return DeliveryMode.DIRECT
        return DeliveryMode(self.frame.number(Standard.DELIVERY_MODE))

    @property
    def message_id(self) -> int:
        """Number of the message on its flow, 0 for a direct message."""
        return self.frame.number(Standard.MESSAGE_ID)

    @property
    def previous_message_id(self) -> int:
        """Number of the message before it on its flow."""
        return self.frame.number(Standard.PREVIOUS_MESSAGE_ID)

    @property
    def redelivered(self) -> bool:
        """Whether the client says that it has sent this before."""
        return self.frame.find(Standard.REDELIVERED) is not None

    @property
    def priority(self) -> int | None:
        """Priority, 0 to 255."""
        value = self.frame.find(Standard.PRIORITY)
        return None if value is None else int.from_bytes(value, "big")

    @property
    def time_to_live_ms(self) -> int:
        """Time to live in milliseconds, 0 for ever."""
        return self.frame.number(Standard.TIME_TO_LIVE)

    @property
    def dmq_eligible(self) -> bool:
        """Whether it goes to a dead message queue when it expires."""
        return bool(self.frame.flags & FLAG_DMQ_ELIGIBLE)

    @property
    def eliding_eligible(self) -> bool:
        """Whether a newer one of its topic may replace it."""
        return bool(self.frame.flags & FLAG_ELIDING)

    @property
    def ack_immediately(self) -> bool:
        """Whether the publisher does not want to wait for an acknowledgement of several."""
        return self.frame.find(Light.ACK_IMMEDIATELY) is not None

    @property
    def stored(self) -> bool:
        """Whether the broker has it: a message counts once, however often it was sent."""
        return self.outcome in (Outcome.STORED, Outcome.WITHHELD)

    @cached_property
    def _meaning(self) -> _Meaning:
        return _Meaning(*_decode_metadata(self._parts[1]))

    @cached_property
    def _parts(self) -> tuple[bytes, bytes]:
        return _cut(self.frame)

    def record(self) -> dict[str, Any]:
        """Everything as plain JSON; :meth:`from_record` reverses it."""
        return {
            "frame": base64.b64encode(self.frame.encode()).decode("ascii"),
            "outcome": self.outcome.value,
            "client_name": self.client_name,
            "connection": self.connection,
            "flow": self.flow,
            "reply": str(self.reply),
            "received_at": self.received_at,
        }

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> ReceivedMessage:
        """What :meth:`record` made a record of."""
        return cls(
            frame=Frame.decode(base64.b64decode(record["frame"])),
            outcome=Outcome(record["outcome"]),
            client_name=record["client_name"],
            connection=record["connection"],
            flow=record["flow"],
            reply=Reply.parse(record["reply"]),
            received_at=record["received_at"],
        )


def find_collisions(
    messages: list[ReceivedMessage],
) -> list[tuple[ReceivedMessage, ReceivedMessage]]:
    """Pairs of a stored message and another, not stored, that came under its number."""
    stored = {(m.flow, m.message_id): m for m in messages if m.stored}
    return [
        (first, message)
        for message in messages
        if message.outcome in (Outcome.DUPLICATE, Outcome.OUT_OF_ORDER)
        and (first := stored.get((message.flow, message.message_id))) is not None
        and not _same(first, message)
    ]


def _same(one: ReceivedMessage, other: ReceivedMessage) -> bool:
    return one.topic == other.topic and one.frame.payload == other.frame.payload


def _cut(frame: Frame) -> tuple[bytes, bytes]:
    summary = frame.find(Standard.CONTENTS_SUMMARY)
    if summary is None:
        return frame.payload, b""
    parts: dict[int, bytes] = {}
    at = offset = 0
    while at < len(summary):
        kind, length = summary[at] >> 4, summary[at] & 0x0F
        if length <= 1:
            raise SmfError("entry of a contents summary without a size")
        size = int.from_bytes(summary[at + 1 : at + length], "big")
        parts[kind] = frame.payload[offset : offset + size]
        offset += size
        at += length
    return parts.get(_BODY, b""), parts.get(_METADATA, b"")


def _decode_metadata(metadata: bytes) -> tuple[int, dict[str, Any], dict[str, Any]]:
    count = metadata[0] if metadata else 0
    at = 1 + 4 * count
    for block in range(count):
        kind, size = metadata[1 + 4 * block], int.from_bytes(metadata[2 + 4 * block :][:3], "big")
        if kind == 0:
            return _decode_properties(metadata[at : at + size])
        at += size
    return 0, {}, {}


def _decode_properties(block: bytes) -> tuple[int, dict[str, Any], dict[str, Any]]:
    (elements,) = decode_sdt(block)
    if not isinstance(elements, list):
        raise SmfError("binary metadata that is not an SDT stream")
    marker = next((element for element in elements if isinstance(element, bytes)), b"\0")
    fields = next((element for element in elements if isinstance(element, dict)), {})
    return marker[0], fields.get("h", {}), fields.get("p", {})
