"""Builders for tests of the log."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID, uuid4

from eatool.domain.identity import EntityRef
from eatool.domain.landscape import Constraints
from eatool.store.port import Append, NewEvent


def event(type_: str = "ApplicationUpdated.v1", event_id: UUID | None = None) -> NewEvent:
    return NewEvent(
        event_id=event_id or uuid4(),
        type=type_,
        data={"entity": {"name": 'Wébshop \\ \t "x"', "owner": None}, "changes": {}},
        metadata={"reason": "test", "tags": ["a", 1, 2.5, True]},
        actor="jane@example.org",
        correlation_id=uuid4(),
    )


def append(stream: str, version: int, count: int = 1, **constraints: object) -> Append:
    """``count`` events for ``application/shop/{stream}``, or the stream id given."""
    decided_at = constraints.pop("decided_at", 0)
    type_ = constraints.pop("type_", "ApplicationUpdated.v1")
    assert isinstance(decided_at, int)
    assert isinstance(type_, str)
    return Append(
        stream if "/" in stream else f"application/shop/{stream}",
        version,
        tuple(event(type_) for _ in range(count)),
        Constraints(**constraints),  # type: ignore[arg-type]  # names checked by the dataclass
        decided_at,
    )


def ref(name: str) -> EntityRef:
    return EntityRef("application", "shop", name)


def refs(*names: str) -> frozenset[EntityRef]:
    return frozenset(map(ref, names))


def naming(*names: str, hard: bool = True) -> frozenset[tuple[str, EntityRef, bool]]:
    """References from field ``uses``."""
    return frozenset(("uses", ref(name), hard) for name in names)


def keys(*names: str) -> frozenset[str]:
    return frozenset(names)


def ids(events: Iterable[NewEvent]) -> list[UUID]:
    return [each.event_id for each in events]
