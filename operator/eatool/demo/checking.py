"""What must hold at the end, looked up in the log and compared with what a subscriber got."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from eatool.demo.listening import Listeners
from eatool.demo.subscriber import Received
from eatool.domain.kinds import upcast
from eatool.store.port import RecordedEvent
from eatool.store.sql.engine import open_engine
from eatool.store.sql.log import SqlEventStore


@dataclass(frozen=True, slots=True)
class Verdict:
    """One expectation: did it hold, and what it says."""

    held: bool
    claim: str


def read_log(store_url: str) -> list[RecordedEvent]:
    """Every event, by position."""
    log = SqlEventStore(open_engine(store_url), upcast=upcast)
    try:
        events: list[RecordedEvent] = []
        while page := log.read_all(after=events[-1].position if events else 0):
            events.extend(page)
    finally:
        log.close()
    return events


def compare(
    recorded: Sequence[RecordedEvent], brokers: Iterable[Listeners], expected: int
) -> Iterator[Verdict]:
    """The log beside what arrived; ``expected`` is the number of events the story calls for."""
    yield Verdict(
        len(recorded) == expected,
        f"the log holds {len(recorded)} events, {expected} were called for",
    )
    positions = [event.position for event in recorded]
    yield Verdict(
        positions == list(range(1, len(positions) + 1)), "positions in the log have no gap"
    )
    for each in brokers:
        yield from delivered(recorded, each.everything.received, each.broker.name)
        yield only_applications(each)


def delivered(
    recorded: Sequence[RecordedEvent], received: Sequence[Received], broker: str
) -> Iterator[Verdict]:
    """All of the log, nothing else, in order."""
    ids = {str(event.event_id) for event in recorded}
    arrived = {message.event_id for message in received}
    told = f"{broker}: {len(arrived & ids)} of {len(ids)} were delivered"
    if unknown := arrived - ids:
        told += f", and {len(unknown)} that are not in the log"
    yield Verdict(arrived == ids, told)
    repeats = len(received) - len(arrived)
    yield Verdict(
        in_order(received),
        f"{broker}: each entity's events arrived in order ({repeats} repeated deliveries)",
    )


def only_applications(listeners: Listeners) -> Verdict:
    """A subscription to one type of entity brings exactly its events."""
    found = {each.event_id for each in listeners.applications.received}
    name = listeners.broker.name
    told = f"{name}: the subscriber of applications got their {len(found)} events, no others"
    return Verdict(found == listeners.ids_of_applications, told)


def in_order(received: Iterable[Received]) -> bool:
    """Leaving out repetitions, every stream counts 1, 2, 3, ..."""
    last: dict[str, int] = defaultdict(int)
    seen = set()
    for message in received:
        if message.event_id in seen:
            continue
        seen.add(message.event_id)
        if message.sequence != last[message.stream] + 1:
            return False
        last[message.stream] = message.sequence
    return True


def by_whom(recorded: Sequence[RecordedEvent], stream: str) -> list[tuple[str, str | None]]:
    """Actor and trust level of each event of a stream."""
    return [
        (event.actor, event.metadata.get("trust"))
        for event in recorded
        if event.stream_id == stream
    ]
