"""What the registry tells those who measure it."""

from __future__ import annotations

from typing import Protocol

from eatool.registry.outcome import Outcome
from eatool.store.port import AppendRefused


class RegistryObserver(Protocol):
    """Called on the event loop; must not block or raise."""

    def decided(self, aggregate_type: str, outcome: Outcome, seconds: float) -> None:
        """One change is through, ``seconds`` after it was handed in."""
        ...

    def retried(self, aggregate_type: str, refusal: AppendRefused) -> None:
        """An append met another writer's; the change is decided anew."""
        ...


class NullObserver:
    """Measures nothing."""

    def decided(self, aggregate_type: str, outcome: Outcome, seconds: float) -> None:
        """Forget it."""

    def retried(self, aggregate_type: str, refusal: AppendRefused) -> None:
        """Forget it."""
