"""The SQL landscape answers like the plain one that the domain is tested with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hypothesis import given, settings
from tests.domain.memory_landscape import MemoryLandscape
from tests.domain.strategies import NAMES
from tests.projections.databases import emptied, opened, sqlite
from tests.projections.histories import History, histories
from tests.projections.test_read_models import PROPERTY, record

from eatool.domain.identity import EntityRef
from eatool.domain.kinds import KINDS
from eatool.domain.landscape import Landscape, Sharer
from eatool.projections.landscape import SqlLandscape
from eatool.store.sql.log import SqlEventStore

REFS = [EntityRef(each, "default", name) for each, names in NAMES.items() for name in names]


def answers(landscape: Landscape, expected: MemoryLandscape) -> dict[str, Any]:
    """Everything a decision could ask about the names in use."""
    keys = {key for held in expected.constraints.values() for key in held.keys}
    shared = {hold.key for held in expected.constraints.values() for hold in held.shared}
    return {
        "alive": landscape.alive(REFS),
        "specs": {ref: _model(ref, landscape.spec(ref)) for ref in REFS},
        "parents": {ref: landscape.parent(ref) for ref in REFS},
        "referrers": {ref: list(landscape.referrers(ref)) for ref in REFS},
        "holders": {key: landscape.holder(key) for key in keys},
        "sharers": {key: _models(landscape.sharers(key)) for key in shared},
    }


def _models(sharers: Sequence[Sharer]) -> list[tuple[EntityRef, int, object]]:
    found = [(each.ref, each.version, _model(each.ref, each.spec)) for each in sharers]
    return sorted(found, key=lambda each: each[0])


def _model(ref: EntityRef, spec: Mapping[str, object] | None) -> object:
    """The spec as a model: databases give text where models have enums."""
    model = KINDS[ref.aggregate_type].spec
    return None if spec is None else model.model_validate(dict(spec), by_name=True)


def check(store: SqlEventStore, history: History) -> None:
    record(store, history.appends)
    landscape = SqlLandscape(store.engine)
    assert answers(landscape, history.landscape) == answers(history.landscape, history.landscape)


@PROPERTY
@given(histories())
def test_answers_like_the_plain_landscape(history: History) -> None:
    with sqlite() as store:
        check(store, history)


def test_answers_like_the_plain_landscape_on_postgresql(postgres_url: str) -> None:
    with opened(postgres_url) as store:

        @settings(PROPERTY, max_examples=12)
        @given(histories())
        def holds(history: History) -> None:
            emptied(store)
            check(store, history)

        holds()


def test_unknown_entities_are_nothing() -> None:
    with sqlite() as store:
        landscape = SqlLandscape(store.engine)
        application = KINDS["application"].ref("default", "a")
        assert landscape.alive([]) == set()
        assert landscape.alive([application]) == set()
        assert landscape.spec(application) is None
        assert landscape.parent(application) is None
        assert landscape.parent(KINDS["organization"].ref("default", "o")) is None
        assert landscape.referrers(application) == []
        assert landscape.holder("key") is None
        assert landscape.sharers("server/default/host:prod/db") == []
