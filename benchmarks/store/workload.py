"""The same bytes for every contender: events of about 300 B data and 140 B metadata."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from uuid import UUID, uuid4
from zlib import crc32

import orjson

from eatool.store.encoding import GENESIS, StoredEvent
from eatool.store.port import PARTITIONS, Append, NewEvent

DATA = {
    "entity": {
        "name": "Webshop",
        "description": "Sells things to people who look for things, around the clock",
        "owner": "team:checkout",
        "lifecycle": "active",
        "criticality": "high",
        "capability_id": "order-management",
        "technology": ["python", "postgresql"],
        "url": None,
        "pii_flag": True,
    },
    "changes": {"owner": {"old": "team:shop", "new": "team:checkout"}},
}
METADATA = {
    "uid": "3f2b0d0e-5f5c-4d0e-9d5b-0c8a7c0f1a2b",
    "generation": 7,
    "source": "gitops",
    "trust": "admission",
    "reason": "ownership moved",
    "schema_version": 1,
}
TYPE = "ApplicationUpdated.v1"
STREAMS_PER_CALLER = 8


def new_event() -> NewEvent:
    """One event, as the registry would make it."""
    return NewEvent(
        event_id=uuid4(),
        type=TYPE,
        data=DATA,
        metadata=METADATA,
        actor="system:serviceaccount:argocd:argocd-application-controller",
        correlation_id=uuid4(),
        causation_id=None,
    )


def appends(caller: int, count: int) -> Iterator[Append]:
    """``count`` one-event appends of one caller, over streams that only it writes to."""
    for number in range(count):
        stream = f"application/shop/app-{caller:04d}-{number % STREAMS_PER_CALLER}"
        yield Append(stream, number // STREAMS_PER_CALLER, (new_event(),))


def rows_by_hand(batch: Sequence[Append], position: int) -> list[StoredEvent]:
    """The rows as one would make them without a library: the same stored bytes, no hash chain.

    ``position`` is the end of the log so far. The hashes are constants of the same size.
    """
    now = datetime.now(UTC)
    rows: list[StoredEvent] = []
    for append in batch:
        partition = crc32(append.stream_id.encode()) % PARTITIONS
        for version, event in enumerate(append.events, append.expected_version + 1):
            position += 1
            rows.append(
                StoredEvent(
                    position,
                    append.stream_id,
                    version,
                    event.event_id,
                    event.type,
                    orjson.dumps(event.data, option=orjson.OPT_SORT_KEYS).decode(),
                    orjson.dumps(event.metadata, option=orjson.OPT_SORT_KEYS).decode(),
                    event.actor,
                    event.correlation_id,
                    event.causation_id,
                    now,
                    partition,
                    GENESIS,
                    GENESIS,
                )
            )
    return rows


def opaque_state() -> bytes:
    """What a store of opaque bytes keeps of an event: the same JSON."""
    return orjson.dumps({"data": DATA, "metadata": METADATA})


@contextmanager
def measured() -> Iterator[Callable[[], float]]:
    """Yields seconds since entry; the workload made before is none of the collector's business."""
    gc.collect()
    gc.freeze()
    started = time.perf_counter()
    try:
        yield lambda: time.perf_counter() - started
    finally:
        gc.unfreeze()


def uuids(count: int) -> list[UUID]:
    """Stream identities for a store that wants UUIDs."""
    return [uuid4() for _ in range(count)]
