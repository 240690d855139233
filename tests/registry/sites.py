"""Registries to test: two real databases, and one that only imagines what it records."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

from tests.domain.memory_landscape import MemoryLandscape

from eatool.domain.identity import EntityRef
from eatool.domain.kinds import by_kind
from eatool.registry.change import Change, Provenance
from eatool.registry.folding import Log
from eatool.registry.opening import open_registry
from eatool.registry.outcome import Outcome, Recorded
from eatool.registry.rehearsal import Rehearsal
from eatool.registry.service import Appender, Registry
from eatool.store.memory import MemoryEventStore
from eatool.store.port import Append, Appended, Head, RecordedEvent

APPLICATION = {
    "name": "Webshop",
    "owner": "shop-team",
    "lifecycle": "active",
    "dataClassification": "internal",
}
SERVER = {"hostname": "db-1.example", "environment": "prod", "criticality": "high"}


def ref(kind: str, name: str) -> EntityRef:
    return by_kind(kind).ref("default", name)


def change(
    kind: str,
    name: str,
    spec: dict[str, Any] | None = None,
    *,
    uid: str | None = None,
    generation: int | None = None,
    **told: Any,
) -> Change:
    """A change of one entity in ``default``; the uid is its name unless given."""
    return Change(
        ref=ref(kind, name),
        uid=uid or f"uid-{name}",
        generation=generation,
        spec=spec or {},
        provenance=Provenance(**told),
    )


def types(outcome: Outcome) -> list[str]:
    assert isinstance(outcome, Recorded), outcome
    return [event.type for event in outcome.events]


@asynccontextmanager
async def imagined() -> AsyncIterator[tuple[Registry, Log]]:
    """A registry without a database."""
    rehearsal = Rehearsal(MemoryEventStore(), MemoryLandscape())
    registry = Registry(rehearsal, rehearsal, rehearsal)
    try:
        yield registry, rehearsal
    finally:
        registry.close()


@asynccontextmanager
async def site(url: str | None) -> AsyncIterator[tuple[Registry, Log]]:
    """A registry and the log under it; no URL means none but in memory."""
    if url is None:
        async with imagined() as parts:
            yield parts
    else:
        async with open_registry(url) as opened:
            yield opened.registry, opened.store


class Losing:
    """An appender that records and then loses the outcome, the first ``times`` times."""

    def __init__(self, inner: Appender, error: BaseException, times: int = 1) -> None:
        self._inner, self._error, self._left = inner, error, times

    async def append(self, *appends: Append) -> Appended:
        appended = await self._inner.append(*appends)
        if self._left:
            self._left -= 1
            raise self._error
        return appended


class Gated:
    """An appender that holds its first append back until somebody opens the gate."""

    def __init__(self, inner: Appender) -> None:
        self._inner = inner
        self.arrived = asyncio.Event()
        self.gate = asyncio.Event()

    async def append(self, *appends: Append) -> Appended:
        self.arrived.set()
        await self.gate.wait()
        return await self._inner.append(*appends)


class Counted:
    """A log that counts reads."""

    def __init__(self, inner: Log) -> None:
        self._inner = inner
        self.streams = 0
        self.heads = 0
        self.rows = 0

    def read_stream(
        self, stream_id: str, *, after_version: int = 0, until: datetime | None = None
    ) -> list[RecordedEvent]:
        self.streams += 1
        found = self._inner.read_stream(stream_id, after_version=after_version, until=until)
        self.rows += len(found)
        return found

    def head(self) -> Head:
        self.heads += 1
        return self._inner.head()


#: Wraps the appender of a registry.
Around = Callable[[Appender], Appender]
