"""State kept between commits is used only while nobody else has moved the log."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import event as listen
from sqlalchemy import text
from tests.store.support import append, keys, naming, refs

from eatool.store.arbiter import LogState, StreamHead
from eatool.store.port import (
    NEVER_MOVED,
    Append,
    Appended,
    Fence,
    Head,
    KeyTaken,
    StaleEpoch,
    StillReferenced,
    StoreError,
    WrongExpectedVersion,
)
from eatool.store.sql import remembered
from eatool.store.sql.engine import open_engine
from eatool.store.sql.log import SqlEventStore
from eatool.store.sql.postgresql import PostgresqlBackend
from eatool.store.sql.remembered import Remembered
from eatool.store.sql.sqlite import SqliteBackend
from eatool.store.verify import verify_chain


@pytest.fixture
def other(url: str, log: SqlEventStore) -> Iterator[SqlEventStore]:
    """Another process's store on the same log, as far as this one can tell."""
    assert log.head().position == 0
    store = SqlEventStore(open_engine(url))
    yield store
    store.close()


def head(number: int) -> Head:
    return Head(number, bytes([number]) * 32, None)


def test_what_others_appended_is_seen(log: SqlEventStore, other: SqlEventStore) -> None:
    for version in range(3):
        log.append(append("a", version, keys=keys("k")))
    other.append(append("a", 3))
    other.append(append("b", 0, keys=keys("k"), references=naming("a")))
    for new, error in (
        (append("a", 3), WrongExpectedVersion),
        (append("a", 4, keys=keys("k")), KeyTaken),
        (append("a", 4, no_referrers=True), StillReferenced),
    ):
        with pytest.raises(error):
            log.append(new)
    log.append(append("a", 4))
    assert verify_chain(log).sound


@pytest.mark.parametrize("asked", [{}, {"no_events_since": frozenset({("server/shop", "X")})}])
def test_what_is_named_is_loaded_when_only_the_writer_is_known(
    log: SqlEventStore, other: SqlEventStore, asked: dict[str, Any]
) -> None:
    for name in ("z", "i"):
        log.append(append(name, 0))
    other.append(append("r", 0, requires_alive=refs("i")))
    other.append(append("i", 1, requires_alive=refs("z"), decided_at=3, **asked))


def test_two_writers_taking_turns(log: SqlEventStore, other: SqlEventStore) -> None:
    for version in range(12):
        (log, other)[version // 2 % 2].append(append("a", version, keys=keys(f"k{version % 3}")))
    for store in (log, other):
        with pytest.raises(WrongExpectedVersion):
            store.append(append("a", 11))
    assert verify_chain(log).sound


def test_a_joined_append_is_noticed(log: SqlEventStore) -> None:
    log.append(append("a", 0))
    log.append(append("a", 1))
    with log.engine.begin() as connection:
        log.append_in(connection, append("a", 2))
    with pytest.raises(WrongExpectedVersion):
        log.append(append("a", 2))
    log.append(append("a", 3))


def test_a_failed_commit_is_forgotten(log: SqlEventStore) -> None:
    log.append(append("a", 0, keys=keys("k")))
    log.append(append("a", 1, keys=keys("k")))
    with log.engine.begin() as connection:
        connection.execute(text("ALTER TABLE stream RENAME TO elsewhere"))
    with pytest.raises(StoreError):
        log.append(append("b", 0, keys=keys("l")))
    with log.engine.begin() as connection:
        connection.execute(text("ALTER TABLE elsewhere RENAME TO stream"))
    log.append(append("b", 0, keys=keys("l")))
    with pytest.raises(KeyTaken):
        log.append(append("c", 0, keys=keys("l")))


def test_a_lone_writer_does_not_read_its_streams_again(log: SqlEventStore) -> None:
    for version in range(3):
        log.append(append("a", version))
    with log.engine.begin() as connection:  # nobody does this; it shows who reads the table
        connection.execute(text("DELETE FROM stream"))
    log.append(append("a", 3))


def test_a_lone_writer_does_not_read_its_fences_again(log: SqlEventStore) -> None:
    log.append(replace(append("a", 0), fence=Fence("phase", NEVER_MOVED)))
    with log.engine.begin() as connection:  # nobody does this; it shows who reads the table
        connection.execute(text("ALTER TABLE fence RENAME TO elsewhere"))
    log.append(replace(append("a", 1), fence=Fence("phase", NEVER_MOVED)))


def test_a_fence_that_others_moved_is_seen(log: SqlEventStore, other: SqlEventStore) -> None:
    def fenced(version: int, epoch: int, moves_to: int | None = None) -> Append:
        return replace(append("a", version), fence=Fence("phase", epoch, moves_to))

    log.append(fenced(0, NEVER_MOVED))
    log.append(fenced(1, NEVER_MOVED))
    other.append(fenced(2, NEVER_MOVED, moves_to=1))
    with pytest.raises(StaleEpoch):
        log.append(fenced(3, NEVER_MOVED))
    log.append(fenced(3, 1))


def test_a_lone_writer_decides_ahead_of_the_lock(
    log: SqlEventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.append(append("a", 0, keys=keys("k")))

    def no_lock(*_: object, **__: object) -> Head:
        raise AssertionError("locked")

    for backend in (SqliteBackend, PostgresqlBackend):
        monkeypatch.setattr(backend, "lock", no_lock)
    log.append(append("a", 1, keys=keys("k")))
    log.append_batch([(append("a", version),) for version in range(2, 20)])
    with pytest.raises(AssertionError, match="locked"):  # only the lock's owner may refuse
        log.append(append("a", 3))
    monkeypatch.undo()
    assert [event.version for event in log.read_all()] == list(range(1, 21))
    assert verify_chain(log).sound


def test_nothing_accepted_leaves_no_transaction_behind(log: SqlEventStore) -> None:
    log.append(append("a", 0))
    returned: list[bool] = []

    @listen.listens_for(log.engine, "checkin")
    def checkin(connection: Any, _record: object) -> None:
        returned.append(
            connection.in_transaction
            if log.engine.dialect.name == "sqlite"
            else connection.info.transaction_status.name != "IDLE"
        )

    for new in (append("a", 0), append("a", 7), append("b", 3)):
        with suppress(StoreError):
            log.append(new)
    assert returned
    assert not any(returned)
    assert isinstance(log.append(append("a", 1)), Appended)


def test_state_goes_with_its_own_hash() -> None:
    memory = Remembered()
    assert memory.take()[1] is None
    mine = LogState()
    memory.put(mine, head(0), head(1))
    assert memory.take() == (mine, head(1))
    assert memory.take()[1] is None


def test_nothing_is_remembered_beside_other_writers() -> None:
    memory = Remembered()
    memory.put(LogState(), head(0), head(1))
    memory.put(LogState(), head(5), head(6))
    assert memory.take()[1] is None
    memory.put(LogState(), head(6), head(7))
    assert memory.take()[1] == head(7)


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembered, "LIMIT", 2)
    memory, state = Remembered(), LogState()
    for name in "abc":
        state.streams[name] = StreamHead(1, alive=True)
    memory.put(state, head(0), head(1))
    assert memory.take()[1] is None
