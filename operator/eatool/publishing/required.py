"""Which brokers must have an entity's newest event before it counts as published."""

from __future__ import annotations

import threading
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
        #: Set when the brokers that are declared are known: before that, nobody can say which of
        #: them an entity must reach. Other threads wait for it.
        self.listed = threading.Event()

    def replace(self, brokers: Mapping[str, Selection]) -> None:
        """From now on these, by destination name."""
        self._brokers = MappingProxyType(dict(brokers))

    def of(self, stream_id: str) -> tuple[str, ...]:
        """Names of the required brokers that are sent events of this stream, sorted."""
        return tuple(
            sorted(name for name, each in self._brokers.items() if each.concerns(stream_id))
        )

    def of_kind(self, aggregate_type: str) -> Mapping[str, Selection]:
        """Those that are sent events of some entity of the kind."""
        return {
            name: each
            for name, each in self._brokers.items()
            if not each.aggregate_types or aggregate_type in each.aggregate_types
        }


def no_brokers() -> RequiredBrokers:
    """None is required, for certain."""
    none = RequiredBrokers()
    none.listed.set()
    return none
