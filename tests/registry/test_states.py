"""The cache of folded states saves work and never decides anything."""

from __future__ import annotations

import asyncio

from tests.domain.memory_landscape import MemoryLandscape
from tests.registry.sites import SERVER, Counted, change, ref

from eatool.projections.landscape import SqlLandscape
from eatool.registry.folding import CachedStates
from eatool.registry.opening import open_registry
from eatool.registry.outcome import Recorded, Unchanged
from eatool.registry.service import Registry
from eatool.store.appender import LogAppender
from eatool.store.memory import MemoryEventStore
from eatool.store.port import Append, Appended

OBJECTS = 5_000


async def test_a_restart_with_unchanged_objects_reads_each_stream_once(sqlite_url: str) -> None:
    changes = [
        change("Server", f"s{index}", {**SERVER, "hostname": f"h{index}"}, generation=1)
        for index in range(OBJECTS)
    ]
    async with open_registry(sqlite_url) as opened:
        await asyncio.gather(*map(opened.registry.apply, changes))
        assert opened.store.head().position == OBJECTS
    async with open_registry(sqlite_url) as opened:
        counted = Counted(opened.store)
        appender = LogAppender(opened.store)
        registry = Registry(counted, appender, SqlLandscape(opened.store.engine))
        assert await registry.preload(opened.entities.pages) == OBJECTS
        assert counted.streams == 0
        outcomes = await asyncio.gather(*map(registry.apply, changes))
        registry.close()
        appender.close()
        assert all(isinstance(outcome, Unchanged) for outcome in outcomes)
        assert opened.store.head().position == OBJECTS
        assert (counted.streams, counted.rows, counted.heads) == (OBJECTS, OBJECTS, 0)


async def test_a_kept_state_follows_what_others_recorded(url: str) -> None:
    async with open_registry(url) as one, open_registry(url) as two:
        await one.registry.apply(change("Server", "db-1", SERVER))
        moved = {**SERVER, "region": "north"}
        await two.registry.apply(change("Server", "db-1", moved))
        await two.registry.delete(change("Server", "db-1"))
        await two.registry.apply(change("Server", "db-1", moved))
        assert isinstance(await one.registry.apply(change("Server", "db-1", moved)), Unchanged)
        assert isinstance(await one.registry.apply(change("Server", "db-1", SERVER)), Recorded)


async def test_a_preloaded_state_equals_the_folded_one(url: str) -> None:
    relation = {
        "sourceType": "application",
        "sourceId": "webshop",
        "targetType": "server",
        "targetId": "db-1",
        "relationType": "deployed_on",
        "confidence": 0.75,
        "effectiveFrom": "2026-01-01T00:00:00Z",
    }
    application = {
        "name": "Webshop",
        "owner": "shop-team",
        "lifecycle": "deprecated",
        "sunsetDate": "2027-01-31",
        "dataClassification": "internal",
        "tags": ["b", "a"],
    }
    interface = {
        "name": "Orders",
        "protocol": "https",
        "endpoint": "https://api.example/orders",
        "version": "2.0.1",
        "exposedByAppId": "webshop",
        "rateLimits": {"burst": 5, "quotas": {"per_day": 100}},
        "status": "active",
    }
    async with open_registry(url) as opened:
        for each in (
            change("Server", "db-1", SERVER),
            change("Application", "webshop", application),
            change("ApplicationInterface", "orders", interface),
            change("Relation", "webshop-on-db-1", relation),
        ):
            assert isinstance(await opened.registry.apply(each), Recorded)
        states = CachedStates(opened.store)
        for page in opened.entities.pages(size=1):
            for record in page:
                folded = states.fold(record.ref)
                assert folded.state.spec is not None
                assert folded.state.spec.model_validate(dict(record.fields), by_name=True) == (
                    folded.state.spec
                )
                assert record.version == folded.state.version


async def test_a_state_of_a_log_that_was_rewound_is_not_believed() -> None:
    """A database restored from a backup ends earlier, or with other events."""
    store = MemoryEventStore()
    states = CachedStates(store)

    class Direct:
        append = staticmethod(lambda *appends: asyncio.to_thread(store.append, *appends))

    registry = Registry(store, Direct(), MemoryLandscape())
    await registry.apply(change("Server", "db-1", SERVER))
    kept = states.fold(ref("Server", "db-1"))
    restored = MemoryEventStore()
    rewound = CachedStates(restored)
    rewound.put(kept)
    assert rewound.fold(ref("Server", "db-1")).state.version == 0
    registry.close()


async def test_preloading_stops_when_the_cache_is_full(sqlite_url: str) -> None:
    async with open_registry(sqlite_url) as opened:
        for index in range(6):
            spec = {**SERVER, "hostname": f"h{index}"}
            await opened.registry.apply(change("Server", f"s{index}", spec))
        small = Registry(opened.store, Unused(), SqlLandscape(opened.store.engine), cached_states=4)
        assert await small.preload(lambda: opened.entities.pages(size=2)) == 4
        small.close()


class Unused:
    async def append(self, *_: Append) -> Appended:
        raise AssertionError("nothing is appended here")


async def test_the_cache_is_bounded() -> None:
    store = MemoryEventStore()
    states = CachedStates(store, capacity=2)

    class Direct:
        append = staticmethod(lambda *appends: asyncio.to_thread(store.append, *appends))

    registry = Registry(store, Direct(), MemoryLandscape())
    for name in ("a", "b", "c"):
        await registry.apply(change("Server", name, {**SERVER, "hostname": name}))
        states.fold(ref("Server", name))
    registry.close()
    assert len(states) == 2
