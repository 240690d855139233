"""Events and relays for the tests of publishing."""

from __future__ import annotations

import asyncio
import gc
import resource
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import orjson

from eatool.domain.identity import ID_NAMESPACE
from eatool.publishing.breaker import BreakerPolicy
from eatool.publishing.checkpoints import Checkpoints
from eatool.publishing.cloudevents import CloudEventsEncoder
from eatool.publishing.memory import Verdict
from eatool.publishing.options import RelayOptions
from eatool.publishing.port import Message, PublisherFactory, PublishError
from eatool.publishing.relay import Relay
from eatool.publishing.source import StoredLog
from eatool.publishing.topics import TopicTemplate
from eatool.store.port import Append, EventStore, NewEvent

#: Everything quick; what production waits seconds for, tests wait milliseconds for.
QUICK = RelayOptions(
    lease=3.0,
    flush_interval=0.02,
    poll_min=0.02,
    poll_max=0.1,
    ack_timeout=2.0,
    grace=1.0,
    retry_base=0.001,
    retry_cap=0.01,
    breaker=BreakerPolicy(base=0.02, cap=0.2),
)


def stream(number: int) -> str:
    """A stream id of application ``number``."""
    return f"application/shop/app-{number}"


def event(stream_id: str, version: int, **metadata: Any) -> NewEvent:
    """The same event for the same stream and version, always."""
    return NewEvent(
        event_id=uuid5(ID_NAMESPACE, f"{stream_id}@{version}"),
        type="ApplicationUpdated.v1" if version > 1 else "ApplicationCreated.v1",
        data={
            "entity": {"name": stream_id, "owner": "team:shop", "lifecycle": "active"},
            "changes": {"owner": {"old": None, "new": f"owner-{version}"}},
        },
        metadata={"generation": version, **metadata},
        actor="jane@example.com",
        correlation_id=UUID(int=version),
    )


class Writer:
    """Appends the next events of streams, remembering versions."""

    def __init__(self, store: EventStore) -> None:
        self._store = store
        self.versions: dict[str, int] = defaultdict(int)

    def write(self, streams: Iterable[str], *, rounds: int = 1) -> None:
        """One event for every stream, ``rounds`` times, in one group commit per round."""
        names = list(streams)
        for _ in range(rounds):
            appends = []
            for name in names:
                version = self.versions[name]
                appends.append((Append(name, version, (event(name, version + 1),)),))
                self.versions[name] = version + 1
            for start in range(0, len(appends), 500):
                self._store.append_batch(appends[start : start + 500])

    @property
    def total(self) -> int:
        """Events written so far."""
        return sum(self.versions.values())


def make_relay(
    store: StoredLog,
    factory: PublisherFactory,
    checkpoints: Checkpoints,
    **overrides: Any,
) -> Relay:
    """A relay to destination ``test`` with quick timings."""
    arguments: dict[str, Any] = {
        "destination": "test",
        "encoder": CloudEventsEncoder(TopicTemplate(env="dev")),
        "options": QUICK,
        **overrides,
    }
    return Relay(store, factory, checkpoints, **arguments)


@asynccontextmanager
async def running(*relays: Relay) -> AsyncIterator[tuple[Relay, ...]]:
    """Run relays for the length of a block; an error of one of them fails the test."""
    tasks = [asyncio.create_task(relay.run()) for relay in relays]
    try:
        yield relays
    finally:
        for relay in relays:
            await relay.stop()
        await asyncio.gather(*tasks)


async def crash(task: asyncio.Task[None]) -> None:
    """End a relay without its farewell as far as one process can: cancel and forget."""
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait for a condition, failing loudly."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


def assert_complete_and_ordered(
    delivered: Sequence[tuple[str, int, str]], expected: dict[str, int]
) -> int:
    """Check ``(stream, version, event id)`` in order of arrival; returns the re-sends.

    Every version of every stream arrived, first occurrences in order, and a repeated version
    always carried the same id.
    """
    highest: dict[str, int] = defaultdict(int)
    ids: dict[tuple[str, int], str] = {}
    repeats = 0
    for stream_id, version, event_id in delivered:
        known = ids.setdefault((stream_id, version), event_id)
        assert known == event_id, f"{stream_id}@{version} came with two ids"
        if version <= highest[stream_id]:
            repeats += 1
            continue
        assert version == highest[stream_id] + 1, (
            f"{stream_id}: {version} after {highest[stream_id]}"
        )
        highest[stream_id] = version
    missing = {
        name: (highest[name], version)
        for name, version in expected.items()
        if highest[name] != version
    }
    assert not missing, f"incomplete streams (seen, expected): {missing}"
    return repeats


def arrivals(messages: Iterable[Message]) -> list[tuple[str, int, str]]:
    """``(stream, version, event id)`` of structured messages in order."""
    return [
        (body["partitionkey"], int(body["sequence"]), body["id"])
        for body in (orjson.loads(message.payload) for message in messages)
    ]


def resident() -> int:
    """Bytes of memory that the process occupies, native memory included."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def lowest_position(checkpoints: Checkpoints) -> int:
    """What is written down for certain."""
    return min(cursor.position for cursor in checkpoints.cursors("test"))


def refuse(stream_id: str, error: PublishError) -> Verdict:
    """A verdict on one stream."""
    return lambda message: error if message.stream_id == stream_id else None
