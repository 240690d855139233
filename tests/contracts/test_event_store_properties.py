"""Any sequence of batches leaves a gapless, ordered, chained log that repeats do not change."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.store.stores import Opener
from tests.store.support import append

from eatool.store.encoding import GENESIS
from eatool.store.port import (
    Append,
    Appended,
    EventIdTaken,
    EventStore,
    Transaction,
    WrongExpectedVersion,
)

STREAMS = ("a", "b", "c")

#: (stream, error of the expected version, number of events)
appends = st.tuples(st.sampled_from(STREAMS), st.sampled_from([0, 0, 0, -1, 1]), st.integers(1, 3))
#: A transaction, or the repetition of an earlier one.
transactions = st.one_of(st.lists(appends, min_size=1, max_size=2), st.integers(0, 5))
batches = st.lists(st.lists(transactions, min_size=1, max_size=6), min_size=1, max_size=6)

Step = list[tuple[str, int, int]] | int


class Model:
    """What the log should hold, kept in the plainest way."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.versions: Counter[str] = Counter()
        self.accepted: list[Transaction] = []

    def transaction(self, step: Step, planned: Counter[str]) -> Transaction:
        if isinstance(step, int):
            if not self.accepted:
                return self.transaction([("a", 0, 1)], planned)
            return self.accepted[step % len(self.accepted)]
        made: list[Append] = []
        for stream, error, count in step:
            version = max(0, planned[stream] + error)
            made.append(append(f"application/{self.prefix}/{stream}", version, count))
            if not error:
                planned[stream] += count
        return tuple(made)


@pytest.fixture
def shared(open_store: Opener) -> EventStore:
    """One log for all examples; each has streams of its own."""
    return open_store()


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=batches)
def test_any_interleaving(shared: EventStore, steps: list[list[Step]]) -> None:
    store = shared
    start = store.head()
    model = Model(f"ns{start.position}")
    for step in steps:
        planned = model.versions.copy()
        batch = [model.transaction(each, planned) for each in step]
        for transaction, outcome in zip(batch, store.append_batch(batch), strict=True):
            if isinstance(outcome, Appended):
                if not outcome.repeated:
                    model.accepted.append(transaction)
                    for each in transaction:
                        assert each.expected_version == model.versions[each.stream_id.split("/")[2]]
                        model.versions[each.stream_id.split("/")[2]] += len(each.events)
            else:
                assert isinstance(outcome, WrongExpectedVersion | EventIdTaken)

    recorded = store.read_all(after=start.position, limit=10_000)
    expected = [
        event.event_id
        for transaction in model.accepted
        for each in transaction
        for event in each.events
    ]
    assert [each.event_id for each in recorded] == expected
    assert [each.position for each in recorded] == list(
        range(start.position + 1, start.position + 1 + len(recorded))
    )
    for stream in STREAMS:
        versions = [e.version for e in recorded if e.stream_id.endswith(f"/{stream}")]
        assert versions == list(range(1, model.versions[stream] + 1))
    previous = start.hash if start.position else GENESIS
    for found in recorded:
        assert found.previous_hash == previous
        previous = found.hash
    for transaction in model.accepted:
        assert store.append(*transaction).repeated
    assert store.head().position == start.position + len(recorded)
