"""Which label values may exist. Everything else becomes ``other``, so series stay bounded."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product, zip_longest
from typing import Generic, TypeVar

from prometheus_client.metrics import MetricWrapperBase

from eatool.domain.kind import EntityKind

#: Where a value outside the known set is counted.
OTHER = "other"

M = TypeVar("M", bound=MetricWrapperBase)


@dataclass(frozen=True, slots=True)
class Labels:
    """The open label sets of this process; the closed ones are enums in ``metrics.py``.

    Attributes:
        events: versioned event types by aggregate type; its keys are the ``entity`` values.
        references: aggregate types that each aggregate type may name.
        resources: plurals, and ``{plural}/status``, that the operator calls the API for.
        brokers: names known from the start; others may be added later.
        projections: names given in the configuration.
        routes: path templates of the HTTP API.

    """

    events: Mapping[str, Collection[str]]
    references: Mapping[str, Collection[str]] = field(default_factory=dict)
    resources: tuple[str, ...] = ()
    brokers: tuple[str, ...] = ()
    projections: tuple[str, ...] = ()
    routes: tuple[str, ...] = ()

    @property
    def entities(self) -> tuple[str, ...]:
        """Aggregate types, the values of ``entity``."""
        return tuple(self.events)

    @classmethod
    def of(
        cls,
        kinds: Iterable[EntityKind],
        *,
        resources: Iterable[str] = (),
        brokers: Iterable[str] = (),
        projections: Iterable[str] = (),
        routes: Iterable[str] = (),
    ) -> Labels:
        """Derive the sets from the declared kinds, so a tenth kind needs nothing here."""
        kinds = tuple(kinds)
        everything = {kind.aggregate_type for kind in kinds}
        return cls(
            events={
                kind.aggregate_type: tuple(event.versioned_type() for event in kind.events)
                for kind in kinds
            },
            references={
                kind.aggregate_type: {
                    target
                    for ref in kind.references.values()
                    for target in ([ref.aggregate_type] if ref.aggregate_type else everything)
                }
                for kind in kinds
            },
            resources=tuple(
                f"{plural}{subresource}"
                for plural in (*(kind.plural for kind in kinds), *resources)
                for subresource in ("", "/status")
            ),
            brokers=tuple(brokers),
            projections=tuple(projections),
            routes=tuple(routes),
        )


class Family(Generic[M]):
    """A metric whose children are known: present with zero at once, looked up without locks."""

    def __init__(
        self,
        metric: M,
        combinations: Iterable[tuple[str, ...]],
        *,
        rare: Sequence[Iterable[str]] = (),
    ) -> None:
        """Create ``combinations`` at once; allow ``rare`` values, by position, when they occur."""
        self.metric = metric
        self._children: dict[tuple[str, ...], M] = {
            values: metric.labels(*values) for values in combinations
        }
        seen = zip(*self._children, strict=True)
        self._allowed = [{*common, *more} for common, more in zip_longest(seen, rare, fillvalue=())]

    def include(self, combinations: Iterable[tuple[str, ...]]) -> None:
        """More known children, from now on at zero."""
        for values in combinations:
            self._children[values] = self.metric.labels(*values)
            self._allowed += [set() for _ in range(len(values) - len(self._allowed))]
            for allowed, value in zip(self._allowed, values, strict=True):
                allowed.add(value)

    def exclude(self, first: str) -> None:
        """Forget ``first`` as a value of the first label, and every series that has it."""
        if self._allowed:
            self._allowed[0].discard(first)
        for values in [values for values in self._children if values[0] == first]:
            del self._children[values]
            self.metric.remove(*values)

    def __call__(self, *values: str) -> M:
        """Child for these label values, in the order of the declaration."""
        child = self._children.get(values)
        return child if child is not None else self._guarded(values)

    def _guarded(self, values: tuple[str, ...]) -> M:
        masked = (
            value if value in allowed else OTHER
            for value, allowed in zip_longest(values, self._allowed, fillvalue=())
        )
        return self.metric.labels(*masked)


def cross(*dimensions: Iterable[str]) -> Iterable[tuple[str, ...]]:
    """All combinations of the label values."""
    return product(*dimensions)


def pairs(groups: Mapping[str, Iterable[str]]) -> Iterable[tuple[str, str]]:
    """Only the combinations that exist: ``{"a": ["x"]}`` -> ``("a", "x")``."""
    return ((group, value) for group, values in groups.items() for value in sorted(values))
