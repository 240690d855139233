"""A changed, removed, added or swapped row is found, and named by its position."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy import text
from tests.store.support import append

from eatool.store.memory import MemoryEventStore
from eatool.store.sql.log import SqlEventStore
from eatool.store.verify import verify_chain, verify_ordering

EVENTS = 12
TOUCH_METADATA = (
    "UPDATE event SET metadata = replace(CAST(metadata AS text), 'test', 'tost') WHERE position = 3"
)


@pytest.fixture
def filled(log: SqlEventStore) -> SqlEventStore:
    for version in range(EVENTS // 3):
        log.append(append("a", version), append("b", version * 2, 2))
    return log


def tamper(log: SqlEventStore, *statements: str) -> None:
    """Do what only the owner of the database can: switch the guard off, then change rows."""
    with log.engine.begin() as connection:
        if log.engine.dialect.name == "sqlite":
            connection.execute(text("DROP TRIGGER IF EXISTS event_no_update"))
            connection.execute(text("DROP TRIGGER IF EXISTS event_no_delete"))
        else:
            connection.execute(text("ALTER TABLE event DISABLE TRIGGER ALL"))
        for statement in statements:
            connection.execute(text(statement))


def test_a_sound_log(filled: SqlEventStore) -> None:
    seen: list[tuple[int, int]] = []
    report = verify_chain(filled, progress=lambda done, total: seen.append((done, total)))
    assert report.sound
    assert (report.first, report.last, report.events, report.streams) == (1, EVENTS, EVENTS, 2)
    assert report.hash == filled.head().hash.hex()
    assert seen == [(EVENTS, EVENTS)]
    assert verify_ordering(filled).sound


def test_an_empty_log_is_sound(log: SqlEventStore) -> None:
    assert verify_chain(log).sound
    assert verify_ordering(log).sound


def test_a_range(filled: SqlEventStore) -> None:
    report = verify_chain(filled, first=5, last=8)
    assert report.sound
    assert (report.first, report.last, report.events) == (5, 8, 4)


def test_the_twin_can_be_verified() -> None:
    twin = MemoryEventStore()
    twin.append(append("a", 0, 3))
    assert verify_chain(twin).sound


@pytest.mark.parametrize(
    ("statements", "position", "check"),
    [
        (["UPDATE event SET data = '{}' WHERE position = 7"], 7, "hash"),
        (["UPDATE event SET actor = 'somebody' WHERE position = 1"], 1, "hash"),
        ([TOUCH_METADATA], 3, "hash"),
        (["DELETE FROM event WHERE position = 4"], 4, "position"),
        (["DELETE FROM event WHERE position = 12"], 12, "position"),
        (["DELETE FROM event WHERE position = 12",
          "UPDATE log SET position = 11"], 11, "head"),
        (["UPDATE event SET position = 99 WHERE position = 5",
          "UPDATE event SET position = 5 WHERE position = 6",
          "UPDATE event SET position = 6 WHERE position = 99"], 5, "version"),
        (["UPDATE event SET hash = previous_hash WHERE position = 9"], 9, "hash"),
        (["UPDATE event SET previous_hash = hash WHERE position = 9"], 9, "previous_hash"),
        (["UPDATE log SET hash = (SELECT hash FROM event WHERE position = 1)"], 12, "head"),
        (["UPDATE event SET recorded_at = '2001-01-01 00:00:00.000000' WHERE position = 10"],
         10, "recorded_at"),
    ],
)  # fmt: skip
def test_tampering_is_named(
    filled: SqlEventStore, statements: list[str], position: int, check: str
) -> None:
    if filled.engine.dialect.name == "postgresql":
        statements = [each.replace("'tost')", "'tost')::json") for each in statements]
    tamper(filled, *statements)
    fault = verify_chain(filled).fault
    assert fault is not None
    assert (fault.position, fault.check) == (position, check)


def test_an_inserted_row_is_named(filled: SqlEventStore) -> None:
    columns = "type, data, metadata, actor, recorded_at, partition, previous_hash, hash"
    new_id = "'" + "0" * 32 + "'"
    tamper(
        filled,
        f"INSERT INTO event (position, stream_id, version, event_id, {columns}) "
        f"SELECT 13, 'application/shop/c', 1, {new_id}, {columns} FROM event WHERE position = 12",
        "UPDATE log SET position = 13",
    )
    fault = verify_chain(filled).fault
    assert fault is not None
    assert (fault.position, fault.check) == (13, "previous_hash")


@pytest.mark.parametrize(
    ("statement", "check"),
    [
        ("DELETE FROM event WHERE position = 4", "position"),
        ("UPDATE event SET version = 99 WHERE position = 4", "version"),
    ],
)
def test_disorder_is_named(filled: SqlEventStore, statement: str, check: str) -> None:
    tamper(filled, statement)
    fault = verify_ordering(filled).fault
    assert fault is not None
    assert (fault.position, fault.check) == (4, check)


@pytest.mark.parametrize("change", ["UPDATE event SET actor = 'x'", "DELETE FROM event"])
def test_the_event_table_is_append_only(filled: SqlEventStore, change: str) -> None:
    driver_error = filled.engine.dialect.loaded_dbapi.Error
    raw = filled.engine.raw_connection()
    try:
        with pytest.raises(driver_error, match="append-only"):
            raw.cursor().execute(change)
    finally:
        raw.close()


def test_order_is_verified_beside_a_writer(filled: SqlEventStore) -> None:
    stop = threading.Event()

    def write() -> None:
        version = 0
        while not stop.is_set():
            filled.append(append("live", version))
            version += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        report = verify_ordering(filled, follow=0.5)
    finally:
        stop.set()
        writer.join()
    assert report.sound, report.fault
    assert report.events == report.last > EVENTS
