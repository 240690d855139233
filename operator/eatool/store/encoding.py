"""The stored form of an event: canonical JSON, limits, partition, hash chain.

The hash covers the bytes that are stored, so it can be checked without this program::

    hash = sha256(previous_hash + envelope + LF + data + LF + metadata)

``envelope`` is the JSON array ``[position, recorded_at, stream_id, version, event_id, type,
actor, correlation_id, causation_id, partition]`` without white space, UUIDs in their hyphenated
form and the time as ``2026-01-31T12:00:00.000000+00:00``. Canonical JSON never holds a raw line
feed, so the three parts cannot run into each other. Position and time come first because only
they are not known before the log is locked: the rest is encoded ahead (:class:`Payload`).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import sha256
from math import isfinite
from typing import Any, NamedTuple
from uuid import UUID
from zlib import crc32

import orjson

from eatool.domain.events import JsonObject
from eatool.domain.identity import EntityRef
from eatool.store.port import (
    PARTITIONS,
    Append,
    EventTooLarge,
    InvalidEvent,
    NewEvent,
    RecordedEvent,
)

DATA_LIMIT = 64 * 1024
METADATA_LIMIT = 8 * 1024
EVENTS_LIMIT = 100
STREAM_ID_LIMIT = 350
TYPE_LIMIT = 100
ACTOR_LIMIT = 255

#: Previous hash of the first event.
GENESIS = bytes(32)

#: Brings a stored ``(type, data)`` to the newest version; pure.
Upcast = Callable[[str, JsonObject], tuple[str, JsonObject]]


def newest(type_: str, data: JsonObject) -> tuple[str, JsonObject]:
    """The upcaster of a log whose events are all of the newest version."""
    return type_, data


class StoredEvent(NamedTuple):
    """One row of the log, columns in table order; JSON as the exact text."""

    position: int
    stream_id: str
    version: int
    event_id: UUID
    type: str
    data: str
    metadata: str
    actor: str
    correlation_id: UUID | None
    causation_id: UUID | None
    recorded_at: datetime
    partition: int
    previous_hash: bytes
    hash: bytes

    @property
    def ref(self) -> EntityRef:
        """The entity the event is about."""
        return EntityRef.parse(self.stream_id)

    def expected_hash(self, previous: bytes) -> bytes:
        """What ``hash`` must be after ``previous`` for the row to be as it was written."""
        rest = (
            self.stream_id,
            self.version,
            self.event_id,
            self.type,
            self.actor,
            self.correlation_id,
            self.causation_id,
            self.partition,
        )
        body = encode_body(rest, self.data.encode(), self.metadata.encode())
        return chain_hash(previous, self.position, time_text(self.recorded_at), body)

    def read(self, upcast: Upcast) -> RecordedEvent:
        """The event as readers see it."""
        type_, data = upcast(self.type, orjson.loads(self.data))
        return RecordedEvent(
            self.position,
            self.stream_id,
            self.version,
            self.event_id,
            type_,
            data,
            orjson.loads(self.metadata),
            self.actor,
            self.correlation_id,
            self.causation_id,
            self.recorded_at,
            self.partition,
            self.previous_hash,
            self.hash,
        )


class Payload(NamedTuple):
    """What of an event is known before any lock is taken, encoded.

    ``body`` is everything the hash covers after position and time.
    """

    event: NewEvent
    data: str
    metadata: str
    body: bytes
    partition: int


def partition_of(stream_id: str) -> int:
    """Partition 0 to 63; the same in every process and release."""
    return crc32(stream_id.encode()) % PARTITIONS


def category_of(stream_id: str) -> str:
    """``{aggregate_type}/{namespace}``: everything before the name."""
    return stream_id.rpartition("/")[0]


def encode_append(append: Append) -> list[Payload]:
    """Check one append and encode its events.

    Raises :class:`EventTooLarge` or :class:`InvalidEvent`.
    """
    if not append.events:
        raise InvalidEvent(f"{append.stream_id}: an append needs at least one event")
    if len(append.events) > EVENTS_LIMIT:
        raise EventTooLarge(
            f"{append.stream_id}: {len(append.events)} events at once, limit {EVENTS_LIMIT}"
        )
    stream_id, version = append.stream_id, append.expected_version
    _check_text("stream id", stream_id, STREAM_ID_LIMIT)
    partition = partition_of(stream_id)
    payloads: list[Payload] = []
    for event in append.events:
        version += 1
        type_, actor = event.type, event.actor
        _check_text("type", type_, TYPE_LIMIT)
        _check_text("actor", actor, ACTOR_LIMIT)
        data = _encode_json("data", event.data, DATA_LIMIT)
        metadata = _encode_json("metadata", event.metadata, METADATA_LIMIT)
        rest = (
            stream_id,
            version,
            event.event_id,
            type_,
            actor,
            event.correlation_id,
            event.causation_id,
            partition,
        )
        body = encode_body(rest, data, metadata)
        payloads.append(Payload(event, data.decode(), metadata.decode(), body, partition))
    return payloads


# Types, actors and the streams in use repeat; errors are not cached.
@lru_cache(maxsize=8192)
def _check_text(name: str, text: str, limit: int) -> None:
    if not text or len(text) > limit or "\0" in text or not text.isprintable():
        raise InvalidEvent(f"{name}: needs 1 to {limit} printable characters")


def _encode_json(name: str, value: JsonObject, limit: int) -> bytes:
    try:
        text = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except TypeError as error:  # orjson.JSONEncodeError is one
        raise InvalidEvent(f"{name}: {error}") from None
    if len(text) > limit:
        raise EventTooLarge(f"{name}: {len(text)} bytes, limit {limit}")
    if b"\\" in text and b"\\u0000" in text and not _exact(value):
        raise InvalidEvent(f"{name}: a NUL character")
    # orjson writes NaN as null; comparing what it reads back is the fast way to rule that out.
    if b"null" in text and orjson.loads(text) != value and not _exact(value):
        raise InvalidEvent(f"{name}: NaN or infinity")
    return text


def _exact(value: Any) -> bool:
    """Whether JSON text gives back this very value: no NaN, infinity or NUL in it."""
    if isinstance(value, str):
        return "\0" not in value
    if isinstance(value, float):
        return isfinite(value)
    if isinstance(value, dict):
        return all("\0" not in key and _exact(item) for key, item in value.items())
    if isinstance(value, list | tuple):
        return all(map(_exact, value))
    return True


def encode_body(rest: tuple[object, ...], data: bytes, metadata: bytes) -> bytes:
    """What the hash covers after position and time: ``rest`` of the envelope, and the JSON."""
    return b"%b\n%b\n%b" % (orjson.dumps(rest)[1:], data, metadata)


def chain_hash(previous: bytes, position: int, time: str, body: bytes) -> bytes:
    """SHA-256 over the previous hash and the stored form; see the module for the envelope."""
    return sha256(b'%b[%d,"%b",%b' % (previous, position, time.encode(), body)).digest()


@lru_cache(maxsize=16)  # all events of a commit share their time
def time_text(time: datetime) -> str:
    """Fixed-width UTC form used in the hash."""
    return time.astimezone(UTC).isoformat(timespec="microseconds")
