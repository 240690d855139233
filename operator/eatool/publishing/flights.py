"""Events that were handed to the publisher and have no answer yet."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from eatool.store.encoding import StoredEvent
from eatool.store.port import PARTITIONS


class Flight:
    """One event between being handed over and being answered."""

    __slots__ = ("event", "sent_at")

    def __init__(self, event: StoredEvent, sent_at: float) -> None:
        self.event = event
        self.sent_at = sent_at


class Flights(Collection[str]):
    """At most one of a stream, in the order in which they left; a collection of stream ids."""

    def __init__(self) -> None:
        self._flights: dict[str, Flight] = {}
        self._of_partition = [0] * PARTITIONS

    def __len__(self) -> int:
        return len(self._flights)

    def __iter__(self) -> Iterator[str]:
        return iter(self._flights)

    def __contains__(self, stream_id: object) -> bool:
        return stream_id in self._flights

    def start(self, event: StoredEvent, sent_at: float) -> Flight:
        """One event leaves, ``sent_at`` by the clock of the caller."""
        flight = self._flights[event.stream_id] = Flight(event, sent_at)
        self._of_partition[event.partition] += 1
        return flight

    def land(self, flight: Flight) -> bool:
        """One answer came; False when the event was forgotten meanwhile."""
        event = flight.event
        if self._flights.get(event.stream_id) is not flight:
            return False
        del self._flights[event.stream_id]
        self._of_partition[event.partition] -= 1
        return True

    def forget(self, stream_id: str) -> None:
        """Its answer will mean nothing."""
        flight = self._flights.get(stream_id)
        if flight is not None:
            self.land(flight)

    def of(self, partition: int) -> int:
        """How many of one partition."""
        return self._of_partition[partition]

    @property
    def oldest(self) -> Flight | None:
        """The one that has waited longest."""
        return next(iter(self._flights.values()), None)
