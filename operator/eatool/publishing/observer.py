"""What the relay tells whoever measures it; metrics hook in here, publishing knows none."""

from __future__ import annotations

from typing import Protocol

from eatool.publishing.breaker import CircuitState
from eatool.store.encoding import StoredEvent


class Observer(Protocol):
    """Called in the relay's event loop for every event: must be quick, must not raise."""

    def published(self, event: StoredEvent, since_recorded: float, call: float) -> None:
        """Acknowledged, seconds after it was recorded, seconds after it was handed over."""
        ...

    def failed(self, reason: str) -> None:
        """An attempt failed: ``session``, ``transient``, ``refused`` or ``permanent``."""
        ...

    def given_up(self, event: StoredEvent, reason: str) -> None:
        """Its stream is parked: ``permanent``, or ``refused`` as often as allowed."""
        ...

    def parked(self, streams: int) -> None:
        """So many streams of this process are parked now."""
        ...

    def connection(self, *, up: bool) -> None:
        """The session was opened or lost."""
        ...

    def circuit(self, state: CircuitState) -> None:
        """The circuit breaker changed to ``state``."""
        ...


class NullObserver:
    """Nobody listens."""

    def published(self, event: StoredEvent, since_recorded: float, call: float) -> None:
        """See :class:`Observer`."""

    def failed(self, reason: str) -> None:
        """See :class:`Observer`."""

    def given_up(self, event: StoredEvent, reason: str) -> None:
        """See :class:`Observer`."""

    def parked(self, streams: int) -> None:
        """See :class:`Observer`."""

    def connection(self, *, up: bool) -> None:
        """See :class:`Observer`."""

    def circuit(self, state: CircuitState) -> None:
        """See :class:`Observer`."""
