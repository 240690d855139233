"""What became of a change.

``effective``, of every outcome with a state, is the accepted spec with all that follows from it
and from the entities it names; ``None`` while the entity does not exist.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from pydantic import BaseModel

from eatool.domain.decision import EntityState
from eatool.domain.errors import FieldError
from eatool.domain.identity import EntityRef
from eatool.domain.landscape import Fact
from eatool.registry.folding import LastEvent
from eatool.store.port import RecordedEvent


@dataclass(frozen=True, slots=True)
class Recorded:
    """The change is in the log; ``state`` is the entity after it.

    ``repeated``: an earlier attempt had recorded it already, its outcome was lost.
    """

    state: EntityState
    last: LastEvent
    events: tuple[RecordedEvent, ...]
    warnings: tuple[FieldError, ...] = ()
    repeated: bool = False
    effective: BaseModel | None = None
    #: What of other entities ``effective`` and ``warnings`` depend on.
    depends_on: frozenset[Fact] = frozenset()


@dataclass(frozen=True, slots=True)
class Unchanged:
    """The entity already is as desired. ``last`` is ``None`` when it was never recorded."""

    state: EntityState
    last: LastEvent | None
    warnings: tuple[FieldError, ...] = ()
    effective: BaseModel | None = None
    depends_on: frozenset[Fact] = frozenset()


@dataclass(frozen=True, slots=True)
class WaitingFor:
    """Hard references are not there yet; apply again when one of ``missing`` changes."""

    state: EntityState
    last: LastEvent | None
    errors: tuple[FieldError, ...]
    missing: frozenset[EntityRef]
    effective: BaseModel | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """The change breaks a rule; the log is untouched.

    Another spec heals it, or a change of one of ``blocked_by``.
    """

    state: EntityState
    last: LastEvent | None
    errors: tuple[FieldError, ...]
    blocked_by: frozenset[EntityRef] = frozenset()
    effective: BaseModel | None = None


@dataclass(frozen=True, slots=True)
class Unavailable:
    """Nothing could be decided; the same change may pass after ``retry_after`` seconds.

    ``why`` is for whoever made the change; ``detail`` may name hosts and is for operators' logs.
    """

    why: str
    retry_after: float
    detail: str = ""


@dataclass(frozen=True, slots=True)
class WrittenToLegacy:
    """The table of the registry that is migrated away from says it; the log does not.

    ``row_version`` is the row's afterwards, 0 when there was none to delete. ``pending`` says why
    the events are missing and still to come; ``None`` where the rollout wants none yet.
    """

    row_version: int
    pending: str | None = None


@dataclass(frozen=True, slots=True)
class Queued:
    """The change is durable and will be decided by a worker.

    ``problem``: what keeps it from being decided, if anything does.
    """

    command_id: UUID
    problem: str | None = None


Outcome = Recorded | Unchanged | WaitingFor | Refused | Unavailable

#: What a change may come to while its kind is being rolled out.
PhasedOutcome = Outcome | WrittenToLegacy | Queued
