"""The three answers to "this is what somebody wants": accepted, not yet, no."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import BaseModel

from eatool.domain.errors import FieldError
from eatool.domain.events import EntityEvent
from eatool.domain.identity import EntityRef
from eatool.domain.landscape import Constraints, Fact


@dataclass(frozen=True, slots=True)
class EntityState:
    """One entity folded from its stream.

    ``version`` is the stream's version (0 = never recorded) and goes on over deletions;
    ``spec`` is the canonical accepted spec, ``None`` while the entity does not exist.
    """

    ref: EntityRef
    version: int = 0
    spec: BaseModel | None = None

    @property
    def exists(self) -> bool:
        """Recorded and not deleted."""
        return self.spec is not None


@dataclass(frozen=True, slots=True)
class Accepted:
    """Events to append (none = already as desired), with what must hold while appending."""

    events: tuple[EntityEvent[BaseModel], ...]
    constraints: Constraints
    #: Advice that does not stop the change: ``pii_flag`` below ``confidential`` and the like.
    warnings: tuple[FieldError, ...] = ()
    #: What of other entities the warnings and the effective values depend on.
    depends_on: frozenset[Fact] = frozenset()


@dataclass(frozen=True, slots=True)
class Waiting:
    """Hard references that are not there yet; the change is retried when one of them arrives."""

    errors: tuple[FieldError, ...]
    missing: frozenset[EntityRef]


@dataclass(frozen=True, slots=True)
class Rejected:
    """The spec (or the deletion) is refused until somebody changes something.

    ``blocked_by``: entities whose change could heal it (holders of a key, referrers).
    """

    errors: tuple[FieldError, ...]
    blocked_by: frozenset[EntityRef] = frozenset()


Decision = Accepted | Waiting | Rejected
