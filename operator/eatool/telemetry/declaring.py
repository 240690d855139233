"""Registering metrics, and keeping note of what was declared."""

from __future__ import annotations

from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_PREFIX = "eatool"


@dataclass(frozen=True, slots=True)
class Declaration:
    """One metric as users know it; ``type`` is counter, gauge or histogram."""

    name: str
    type: str
    labels: tuple[str, ...]
    help: str


class Declarations:
    """Makes metrics in one registry, all with the prefix ``eatool_``."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self.made: list[Declaration] = []

    def counter(self, name: str, text: str, *labels: str) -> Counter:
        """Only ever grows; ``name`` ends in ``_total``."""
        self._declare(name, "counter", labels, text)
        return Counter(name, text, labels, namespace=_PREFIX, registry=self._registry)

    def gauge(self, name: str, text: str, *labels: str) -> Gauge:
        """Goes up and down."""
        self._declare(name, "gauge", labels, text)
        return Gauge(name, text, labels, namespace=_PREFIX, registry=self._registry)

    def histogram(
        self, name: str, text: str, buckets: tuple[float, ...], *labels: str
    ) -> Histogram:
        """Counts observations by upper bound."""
        self._declare(name, "histogram", labels, text)
        return Histogram(
            name, text, labels, namespace=_PREFIX, registry=self._registry, buckets=buckets
        )

    def _declare(self, name: str, kind: str, labels: tuple[str, ...], text: str) -> None:
        self.made.append(Declaration(f"{_PREFIX}_{name}", kind, labels, text))
