"""Processes of the proof that no event is skipped: writers that misbehave, readers that tail."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from tests.store.support import append

from eatool.store.port import Append, AppendRefused, StoreUnavailable, Transaction
from eatool.store.sql.engine import open_engine
from eatool.store.sql.log import SqlEventStore

STREAMS = tuple(f"application/shop/s{number}" for number in range(6))


class Gone(Exception):
    """The caller of a joined append changes its mind."""


def _change_mind() -> None:
    raise Gone


def write(url: str, seed: int, halt: Path, journal: Path) -> None:
    """Append at random until ``halt`` exists.

    The journal gets ``+ id`` for each acknowledged event, ``- id`` for each rolled back one.
    """
    chance = random.Random(seed)
    store = SqlEventStore(open_engine(url))
    with journal.open("a", buffering=1) as book:
        while not halt.exists():
            action = chance.choice((_single, _batch, _joined))
            with suppress(AppendRefused, StoreUnavailable):
                for sign, transaction in action(store, chance):
                    for each in transaction:
                        for event in each.events:
                            book.write(f"{sign} {event.event_id}\n")
            if chance.random() < 0.3:
                time.sleep(chance.random() * 0.02)


def _next(store: SqlEventStore, chance: random.Random) -> Append:
    stream = chance.choice(STREAMS)
    known = store.read_stream(stream)
    return append(stream, known[-1].version if known else 0, chance.randint(1, 3))


def _single(store: SqlEventStore, chance: random.Random) -> Iterator[tuple[str, Transaction]]:
    new = _next(store, chance)
    time.sleep(chance.random() * 0.005)  # time for others to get in between: conflicts
    store.append(new)
    yield "+", (new,)


def _batch(store: SqlEventStore, chance: random.Random) -> Iterator[tuple[str, Transaction]]:
    batch = [(_next(store, chance),) for _ in range(chance.randint(2, 12))]
    for transaction, outcome in zip(batch, store.append_batch(batch), strict=True):
        if not isinstance(outcome, Exception):
            yield "+", transaction


def _joined(store: SqlEventStore, chance: random.Random) -> Iterator[tuple[str, Transaction]]:
    new = _next(store, chance)
    try:
        with store.engine.begin() as connection:
            store.append_in(connection, new)
            time.sleep(chance.random() * 0.03)  # the log is locked, and nothing is visible yet
            if chance.random() < 0.4:
                _change_mind()
    except Gone:
        yield "-", (new,)
    else:
        yield "+", (new,)


def tail(url: str, stop: Path, journal: Path) -> None:
    """Follow the log as a relay would, until ``stop`` exists and the end is reached."""
    store = SqlEventStore(open_engine(url))
    after = 0
    with journal.open("w", buffering=1) as book:
        while True:
            stopping = stop.exists()
            page = store.read_all(after=after, limit=100)
            for each in page:
                book.write(f"{each.position} {each.stream_id} {each.version} {each.event_id}\n")
            if page:
                after = page[-1].position
            elif stopping:
                return
