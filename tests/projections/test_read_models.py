"""The read tables say what the streams say, after any history, in any batching."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import pytest
import sqlalchemy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.domain.memory_landscape import MemoryLandscape
from tests.projections.databases import emptied, opened, sqlite
from tests.projections.histories import History, histories
from tests.projections.samples import server_append

from eatool.domain.events import Created
from eatool.domain.evolve import fold
from eatool.domain.identity import EntityRef
from eatool.domain.kinds import KINDS, event_types
from eatool.projections.inline import ReadModels
from eatool.projections.queries import Entities, Record
from eatool.store.port import Append, Appended, RecordedEvent, StoreUnavailable
from eatool.store.sql.log import SqlEventStore

SERVER = KINDS["server"].ref("default", "db-1")

PROPERTY = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def record(store: SqlEventStore, appends: Sequence[Append], cuts: Sequence[int] = ()) -> None:
    """Append in batches that end at ``cuts``."""
    bounds = [0, *sorted(cut % (len(appends) + 1) for cut in cuts), len(appends)]
    for start, end in pairwise(bounds):
        for outcome in store.append_batch([(append,) for append in appends[start:end]]):
            assert isinstance(outcome, Appended), outcome


def check(store: SqlEventStore, refs: Sequence[EntityRef]) -> None:
    entities = Entities(store.engine)
    for ref in set(refs):
        found = entities.get(ref, include_deleted=True)
        assert found is not None
        compare(found, store.read_stream(ref.stream_id))
    rows = sum(len(page) for page in entities.pages(size=3))
    assert rows == len(set(refs))
    assert entities.position() == store.head().position, "each event is the newest of some row"


def compare(found: Record, stream: Sequence[RecordedEvent]) -> None:
    kind, last = KINDS[found.ref.aggregate_type], stream[-1]
    state = fold(kind, found.ref, ((event.type, event.data, event.version) for event in stream))
    created = [event for event in stream if issubclass(event_types()[event.type][1], Created)]
    assert found.version == state.version
    assert found.position == last.position
    assert found.event_id == last.event_id
    assert found.uid == last.metadata["uid"]
    assert found.updated_at == last.recorded_at
    assert found.created_at == created[-1].recorded_at
    assert found.deleted_at == (None if state.exists else last.recorded_at)
    spec = kind.spec.model_validate(dict(found.fields), by_name=True)
    assert spec.model_dump(mode="json") == last.data["entity"]


@PROPERTY
@given(histories(), st.lists(st.integers(0, 40), max_size=6))
def test_rows_equal_the_folded_streams(history: History, cuts: list[int]) -> None:
    with sqlite() as store:
        record(store, history.appends, cuts)
        check(store, history.refs)


@PROPERTY
@given(histories(), st.data())
def test_applying_events_again_changes_nothing(history: History, data: st.DataObject) -> None:
    """A projection that crashed starts again from an earlier position."""
    with sqlite() as store:
        record(store, history.appends)
        events = store.read_all(limit=1000)
        if events:
            start = data.draw(st.integers(0, len(events) - 1))
            end = data.draw(st.integers(start + 1, len(events)))
            with store.engine.begin() as connection:
                ReadModels().apply(connection, events[start:end])
        check(store, history.refs)


def test_rows_equal_the_folded_streams_on_postgresql(postgres_url: str) -> None:
    with opened(postgres_url) as store:

        @settings(PROPERTY, max_examples=12)
        @given(histories(), st.lists(st.integers(0, 40), max_size=6))
        def holds(history: History, cuts: list[int]) -> None:
            emptied(store)
            record(store, history.appends, cuts)
            check(store, history.refs)

        holds()


def test_a_projection_that_fails_takes_the_append_with_it() -> None:
    with sqlite() as store:
        with store.engine.begin() as connection:
            connection.exec_driver_sql("DROP TABLE read_servers")
        with pytest.raises(StoreUnavailable, match="eatool store migrate"):
            store.append(server_append(SERVER))
        assert store.head().position == 0


def test_deletion_keeps_the_row_and_creation_starts_over() -> None:
    with sqlite() as store:
        entities, landscape = Entities(store.engine), MemoryLandscape()
        for region in ("north", "south", None):
            store.append(server_append(SERVER, landscape, region=region))
        deleted = entities.get(SERVER, include_deleted=True)
        assert deleted is not None
        assert deleted.deleted_at == deleted.updated_at
        assert deleted.fields["region"] == "south"
        assert entities.get(SERVER) is None
        assert entities.list("server") == []

        store.append(server_append(SERVER, landscape, region="east"))
        again = entities.get(SERVER)
        assert again is not None
        assert again.deleted_at is None
        assert again.created_at == again.updated_at
        assert again.version == 4


def test_an_older_event_does_not_move_a_row_back() -> None:
    with sqlite() as store:
        landscape = MemoryLandscape()
        for region in ("north", "south"):
            store.append(server_append(SERVER, landscape, region=region))
        newest = Entities(store.engine).get(SERVER)
        with store.engine.begin() as connection:
            ReadModels().apply(connection, store.read_all(limit=1))
        assert Entities(store.engine).get(SERVER) == newest


def test_one_batch_costs_one_statement_a_table() -> None:
    with sqlite() as store:
        statements: list[str] = []

        @sqlalchemy.event.listens_for(store.engine, "before_cursor_execute")
        def count(_c: object, _cursor: object, statement: str, *_: object) -> None:
            statements.append(statement)

        refs = [KINDS["server"].ref("default", f"s{index}") for index in range(50)]
        store.append_batch([(server_append(ref),) for ref in refs])
        assert sum("INSERT INTO read_servers" in statement for statement in statements) == 1


def test_streams_of_other_kinds_are_passed_over() -> None:
    with sqlite() as store:
        append = replace(server_append(SERVER), stream_id="rollout/cluster/server")
        store.append(append)
        assert list(Entities(store.engine).pages()) == []
