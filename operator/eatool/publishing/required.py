"""Which brokers must have an entity's newest event before it counts as published."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from eatool.publishing.selection import Selection


class RequiredBrokers:
    """Name and selection of each required broker.

    Replaced as a whole by whoever watches EventBrokers, read from other threads: one reference,
    never changed in place.
    """

    def __init__(self) -> None:
        self._brokers: Mapping[str, Selection] = MappingProxyType({})

    def replace(self, brokers: Mapping[str, Selection]) -> None:
        """From now on these, by destination name."""
        self._brokers = MappingProxyType(dict(brokers))

    def of(self, stream_id: str) -> tuple[str, ...]:
        """Names of the required brokers that are sent events of this stream, sorted."""
        return tuple(
            sorted(name for name, each in self._brokers.items() if each.concerns(stream_id))
        )
