"""A figure counts only when the log behind it is sound."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from uuid import UUID

from eatool.store.sql.log import SqlEventStore
from eatool.store.verify import verify_chain


class BenchmarkFailed(Exception):
    """An event was lost, skipped or out of order, or the conditions are not what they claim."""


def check_equal(what: str, found: object, expected: object) -> None:
    """Raise unless equal."""
    if found != expected:
        raise BenchmarkFailed(f"{what}: {found}, expected {expected}")


def check_log(store: SqlEventStore, sent: AbstractSet[UUID]) -> None:
    """Every acknowledged event is recorded once, in order, in an unbroken chain.

    Reads as a tailing consumer does, page by page from position 0.
    """
    report = verify_chain(store)
    if report.fault is not None:
        raise BenchmarkFailed(f"the chain is broken: {report.fault}")
    seen: list[UUID] = []
    after = 0
    while page := store.read_stored(after=after, limit=5000):
        check_equal("next position", page[0].position, after + 1)
        after = page[-1].position
        seen += [row.event_id for row in page]
    check_equal("events read", len(seen), len(sent))
    check_equal("acknowledged events", set(seen) == sent, expected=True)
