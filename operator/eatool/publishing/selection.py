"""Which events of the log go to a destination."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from eatool.store.encoding import StoredEvent

#: Whether an event is for a destination; what is not is passed over as if it were published.
Selects = Callable[[StoredEvent], bool]


@dataclass(frozen=True, slots=True)
class Selection:
    """An event must pass every set that is not empty.

    Attributes:
        aggregate_types: ``application``, ``data_entity``, ...
        event_types: unversioned: ``ApplicationCreated``, ...
        namespaces: of the entities.
        streams: stream ids.

    """

    aggregate_types: frozenset[str] = frozenset()
    event_types: frozenset[str] = frozenset()
    namespaces: frozenset[str] = frozenset()
    streams: frozenset[str] = frozenset()

    def __call__(self, event: StoredEvent) -> bool:
        """Whether the event is selected."""
        if self.event_types and event.type.rpartition(".")[0] not in self.event_types:
            return False
        return self.concerns(event.stream_id)

    def concerns(self, stream_id: str) -> bool:
        """Whether events of this stream may be selected."""
        if self.streams and stream_id not in self.streams:
            return False
        if not (self.aggregate_types or self.namespaces):
            return True
        aggregate_type, namespace, _ = stream_id.split("/", 2)
        return (not self.aggregate_types or aggregate_type in self.aggregate_types) and (
            not self.namespaces or namespace in self.namespaces
        )


#: The whole log.
EVERYTHING = Selection()
