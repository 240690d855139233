from __future__ import annotations

import pytest
from tests.publishing.support import Writer, stream

from eatool.publishing.backlog import Backlog
from eatool.publishing.lineup import Lineup
from eatool.store.encoding import StoredEvent
from eatool.store.memory import MemoryEventStore


@pytest.fixture
def backlog(store: MemoryEventStore, writer: Writer) -> Backlog:
    backlog = Backlog(100)
    writer.write(map(stream, range(3)))
    for event in store.read_stored():
        backlog.add(event)
    return backlog


def order(lineup: Lineup) -> list[str]:
    lineup.renew()
    found: list[StoredEvent] = []
    while (event := lineup.next()) is not None:
        found.append(event)
    return [event.stream_id for event in found]


def test_by_position_then_by_setbacks_then_suspects(backlog: Backlog) -> None:
    suspects: set[str] = set()
    lineup = Lineup(backlog, (), suspects)
    first, second, third = map(stream, range(3))
    assert order(lineup) == [first, second, third]
    lineup.set_back(first)
    assert order(lineup) == [second, third, first]
    lineup.set_back(second)
    lineup.set_back(second)
    assert order(lineup) == [third, first, second]
    suspects.add(third)
    assert order(lineup) == [first, second, third]
    lineup.acknowledged(second)
    assert order(lineup) == [second, first, third]


def test_what_is_in_flight_blocked_or_held_back_has_no_turn(backlog: Backlog) -> None:
    flights: set[str] = set()
    lineup = Lineup(backlog, flights, ())
    first, second, third = map(stream, range(3))
    flights.add(first)
    lineup.block(second)
    assert order(lineup) == [third]
    lineup.release(second)
    assert order(lineup) == [second, third]
    event = backlog.head(third)
    assert event is not None
    assert not lineup.hold_back([event.partition])
    assert third not in order(lineup)
    assert lineup.hold_back([])
    assert third in order(lineup)
    lineup.append("application/shop/gone")
    assert lineup.next() is None
