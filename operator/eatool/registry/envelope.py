"""Events as the log takes them: deterministic ids and the provenance of a change."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from datetime import UTC
from typing import Any
from uuid import UUID, uuid5

import orjson
from pydantic import BaseModel

from eatool.domain.decision import EntityState
from eatool.domain.events import EntityEvent, JsonObject
from eatool.domain.identity import ID_NAMESPACE, command_id, event_id
from eatool.registry.change import REASON_LENGTH, TOKEN_LENGTH, Change
from eatool.registry.folding import LastEvent
from eatool.registry.lifetimes import Counting, what_counts
from eatool.store.port import NewEvent

_ACTOR_LENGTH = 255
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


def new_events(
    change: Change,
    events: Sequence[EntityEvent[BaseModel]],
    state: EntityState,
    last: LastEvent | None,
) -> tuple[NewEvent, ...]:
    """Envelopes of one change set, decided on ``state``.

    A repeated attempt yields the same ids. The ids cover what is recorded, not only who asked
    for it at which generation: two writers who both count from the same base (two command lines,
    a restored cluster) must meet a version conflict, not pass for each other's repeats.
    """
    generation = generation_of(change, last)
    data = [event.to_data() for event in events]
    operation = f"{events[0].versioned_type()}:{_digest(data)}"
    command = command_id(change.uid, generation, operation, state.version)
    correlation = correlation_of(change.provenance.correlation, change.uid, generation)
    counting = what_counts(change.provenance, state, last)
    metadata = _metadata(change, counting, generation, last)
    return tuple(
        NewEvent(
            event_id=event_id(command, ordinal),
            type=event.versioned_type(),
            data=data[ordinal],
            metadata={**metadata, "schema_version": event.schema_version},
            actor=_readable(change.provenance.actor)[:_ACTOR_LENGTH] or "system",
            correlation_id=correlation,
            causation_id=command,
        )
        for ordinal, event in enumerate(events)
    )


def generation_of(change: Change, last: LastEvent | None) -> int:
    """The change's own generation, or one more than the last recorded for its uid."""
    if change.generation is not None:
        return change.generation
    return last.generation + 1 if last is not None and last.uid == change.uid else 1


def correlation_of(token: str | None, uid: str, generation: int) -> UUID:
    """What ties together all that belongs to a change, known before anything is decided.

    A client's token as a UUID; one that is not a UUID is hashed to one (uuid5). Without a token it
    stands for this revision of the object.
    """
    token = (token or "").strip()[:TOKEN_LENGTH]
    if not token:
        return uuid5(ID_NAMESPACE, f"{uid}/{generation}")
    try:
        return UUID(token)
    except ValueError:
        # Half a surrogate pair has no UTF-8 form to be hashed.
        return uuid5(ID_NAMESPACE, token.encode(errors="replace").decode())


def _readable(actor: str) -> str:
    """What cannot be printed as an escape: a change is not refused for somebody's name."""
    if actor.isprintable():
        return actor
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in actor)


def _metadata(
    change: Change, counting: Counting, generation: int, last: LastEvent | None
) -> JsonObject:
    """What an event carries besides data; absent facts are absent keys."""
    told = counting.told
    facts: dict[str, Any] = {
        "uid": change.uid,
        "generation": generation,
        # The previous record of this incarnation: generations in between were coalesced by the
        # API server's watch, or changed nothing.
        "previous_generation": last.generation if last and last.uid == change.uid else None,
        "actor_type": told.actor_type.value,
        "trust": told.trust.value,
        "source": told.source.value,
        "field_manager": told.field_manager and told.field_manager[:TOKEN_LENGTH],
        "reason": told.reason and told.reason[:REASON_LENGTH],
        "approval_id": told.approval_id and told.approval_id[:TOKEN_LENGTH],
        "override": told.override and told.override[:TOKEN_LENGTH],
        "corrects_event_id": told.corrects_event_id,
        "spent": dict(counting.spent) or None,
        "occurred_at": told.occurred_at
        and told.occurred_at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "traceparent": told.traceparent if _TRACEPARENT.fullmatch(told.traceparent or "") else None,
    }
    return {name: value for name, value in facts.items() if value is not None}


def _digest(data: Sequence[JsonObject]) -> str:
    encoded = orjson.dumps(data, option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(encoded).hexdigest()[:16]
