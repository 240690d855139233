"""Changes as commands, and what became of them as results: the forms that the queue stores."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any
from uuid import UUID, uuid5

import orjson

from eatool.commands import results
from eatool.commands.port import Command, Operation
from eatool.commands.results import Result, complaints
from eatool.commands.worker import TryLater
from eatool.domain.events import JsonObject
from eatool.domain.identity import ID_NAMESPACE, EntityRef
from eatool.registry.change import ActorType, Annotations, Change, Provenance, Source, Trust
from eatool.registry.outcome import (
    PhasedOutcome,
    Queued,
    Recorded,
    Refused,
    Unavailable,
    Unchanged,
    WaitingFor,
    WrittenToLegacy,
)


def command_of(change: Change, operation: Operation, base: str) -> Command:
    """The command that a change is, wished for on top of ``base``.

    The same wish on the same base is the same command, however often it is asked for. ``base``
    is part of it because somebody may want again what was undone in between.
    """
    wish = _wish(change, operation)
    return Command(
        id=_id(f"command/{change.ref.stream_id}/{wish}/{base}"),
        stream_id=change.ref.stream_id,
        operation=operation,
        uid=change.uid,
        generation=change.generation,
        payload={"spec": change.spec, "provenance": _told(change.provenance), "wish": wish},
        actor=change.provenance.actor,
    )


def same_wish(command: Command, change: Change, operation: Operation) -> bool:
    """Whether the command asks for nothing else than the change does."""
    wish: str = command.payload["wish"]
    return wish == _wish(change, operation)


def change_of(command: Command) -> Change:
    """The way back. Tentative: a deletion or a newer generation may have been recorded before."""
    return Change(
        ref=EntityRef.parse(command.stream_id),
        uid=command.uid,
        generation=command.generation,
        spec=command.payload["spec"],
        provenance=_provenance(command.payload["provenance"]),
        tentative=command.generation is not None,
    )


def result_of(outcome: PhasedOutcome) -> Result:
    """What the queue keeps of an outcome; raises ``TryLater`` when there is none yet."""
    match outcome:
        case Recorded(events=events, state=state):
            return results.Recorded(
                version=state.version,
                first_position=events[0].position,
                last_position=events[-1].position,
            )
        case Unchanged(state=state):
            return results.Unchanged(version=state.version)
        case WrittenToLegacy():
            # The rollout went back while the command waited: the row is what counts now, and
            # what is missing in the log is recorded from there.
            return results.Unchanged(version=0)
        case Refused(errors=errors, blocked_by=blocked_by):
            return results.Refused(errors=complaints(errors), blocked_by=_streams(blocked_by))
        case WaitingFor(errors=errors, missing=missing):
            return results.Awaiting(errors=complaints(errors), missing=_streams(missing))
        case Unavailable(why=why, retry_after=after):
            raise TryLater(why, after)
        case Queued():
            raise AssertionError("a command is not queued twice")


def _wish(change: Change, operation: Operation) -> str:
    wanted = orjson.dumps(change.spec, option=orjson.OPT_SORT_KEYS)
    if change.provenance.annotations != Annotations():
        # What was refused for its reason is wished for anew with another one.
        wanted += orjson.dumps(asdict(change.provenance.annotations))
    return f"{change.uid}/{change.generation}/{operation}:{hashlib.sha256(wanted).hexdigest()[:16]}"


def _id(name: str) -> UUID:
    # Half a surrogate pair has no UTF-8 form to be hashed.
    return uuid5(ID_NAMESPACE, name.encode(errors="replace").decode())


def _streams(refs: frozenset[EntityRef]) -> tuple[str, ...]:
    return tuple(sorted(ref.stream_id for ref in refs))


def _told(provenance: Provenance) -> JsonObject:
    told = {name: value for name, value in asdict(provenance).items() if value is not None}
    at = provenance.occurred_at
    return told if at is None else {**told, "occurred_at": at.isoformat()}


def _provenance(told: dict[str, Any]) -> Provenance:
    at = told.get("occurred_at")
    return replace(
        Provenance(**{name: value for name, value in told.items() if name not in _TYPED}),
        actor_type=ActorType(told["actor_type"]),
        trust=Trust(told["trust"]),
        source=Source(told["source"]),
        annotations=Annotations(**told.get("annotations", {})),
        occurred_at=None if at is None else datetime.fromisoformat(at),
    )


_TYPED = frozenset({"actor_type", "trust", "source", "annotations", "occurred_at"})
