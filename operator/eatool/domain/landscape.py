"""What one decision may know about the rest of the registry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple, Protocol

from eatool.domain.identity import EntityRef


@dataclass(frozen=True, slots=True)
class Referrer:
    """A live entity that names another one in a field."""

    source: EntityRef
    #: snake_case field that holds the reference.
    field: str
    hard: bool = True


@dataclass(frozen=True, slots=True)
class Sharer:
    """A live entity that holds a shared key: its recorded fields at a version of its stream."""

    ref: EntityRef
    version: int
    spec: Mapping[str, object]


class Fact(NamedTuple):
    """One snake_case field of an entity, on which what is shown of another one depends."""

    entity: EntityRef
    field: str


class Landscape(Protocol):
    """Read access to accepted, live entities; implemented by the projections.

    A decision may read slightly old data. What must not be broken by a race (a unique key, a
    deleted target, a closed loop) is checked again by the store inside the append transaction,
    from the :class:`Constraints` that the decision returns.
    """

    def alive(self, refs: Sequence[EntityRef]) -> set[EntityRef]:
        """Those of ``refs`` that are recorded and not deleted."""
        ...

    def spec(self, ref: EntityRef) -> Mapping[str, object] | None:
        """Accepted spec of a live entity by snake_case field; ``None`` when there is none."""
        ...

    def parent(self, ref: EntityRef) -> EntityRef | None:
        """Recorded parent in the kind's hierarchy; ``None`` for a root or an unknown entity."""
        ...

    def referrers(self, ref: EntityRef, limit: int = 10) -> Sequence[Referrer]:
        """Live entities that name ``ref``, hard and soft references alike."""
        ...

    def holder(self, key: str) -> EntityRef | None:
        """Who holds a unique key now."""
        ...

    def sharers(self, key: str) -> Sequence[Sharer]:
        """Everybody who holds a shared key now."""
        ...


@dataclass(frozen=True, slots=True)
class Request:
    """What came with the desired spec but is not part of it (annotations, admission, clock).

    ``spent`` names those of ``reason``, ``approval_id`` and ``override`` that are still there to
    be seen, but counted for an earlier change.
    """

    actor: str = "system"
    reason: str | None = None
    approval_id: str | None = None
    override: str | None = None
    spent: frozenset[str] = frozenset()
    now: datetime = field(default_factory=lambda: datetime.now(UTC))


@dataclass(frozen=True, slots=True)
class Pending:
    """Desired state of objects that are not accepted yet.

    Two new organizations that name each other must fail as a cycle instead of waiting for ever,
    so the cycle check walks pending parents too. ``terminating`` referrers do not block a
    deletion, and a terminating target cannot be newly referenced. Both may be live views: they
    are looked up in, never iterated over.
    """

    parents: Mapping[EntityRef, EntityRef | None] = field(default_factory=dict)
    terminating: Set[EntityRef] = frozenset()


@dataclass(frozen=True, slots=True)
class SharedHold:
    """A shared key that the entity holds after the change.

    ``beside``: the other holders, each with the stream version that the decision knew. The append
    is refused when there is any other holder by then, or one of these at another version.
    ``None``: whoever they are.
    """

    key: str
    beside: frozenset[tuple[EntityRef, int]] | None = None


@dataclass(frozen=True, slots=True)
class Constraints:
    """What the store must still find true, under its write lock, when it appends.

    Attributes:
        keys: every unique key the entity holds after the change (its old keys are released).
        shared: every shared key it holds after the change (its old ones are released).
        requires_alive: hard references; each must be recorded and not deleted.
        references: all references after the change, by field, hard or soft, recorded so that a
            later deletion of a target can be refused.
        no_referrers: the change is a deletion: no live entity other than ``ignoring`` names it.
        ignoring: referrers that are themselves terminating.
        no_events_since: ``(category, event type prefix)`` pairs: none of those events may have
            been recorded after the position the decision was based on (a DCB append condition).
            Moves in a hierarchy use it: two moves, each valid alone, can close a loop.

    """

    keys: frozenset[str] = frozenset()
    shared: frozenset[SharedHold] = frozenset()
    requires_alive: frozenset[EntityRef] = frozenset()
    references: frozenset[tuple[str, EntityRef, bool]] = frozenset()
    no_referrers: bool = False
    ignoring: frozenset[EntityRef] = frozenset()
    no_events_since: frozenset[tuple[str, str]] = frozenset()
