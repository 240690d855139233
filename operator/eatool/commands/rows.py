"""Commands as rows."""

from __future__ import annotations

from typing import Any, Final

import orjson
from sqlalchemy import RowMapping

from eatool.commands import results
from eatool.commands.port import Command, CommandState, Operation, StoredCommand
from eatool.store.port import InvalidEvent


def written(command: Command) -> dict[str, Any]:
    """Column values that never change; ``InvalidEvent`` for what has no JSON or UTF-8 form."""
    try:
        payload = orjson.dumps(command.payload).decode()
        for text in (command.stream_id, command.uid, command.actor):
            text.encode()
    except (TypeError, UnicodeEncodeError) as error:
        raise InvalidEvent(f"the change cannot be stored: {error}") from error
    return {
        "id": command.id,
        "stream_id": command.stream_id,
        "aggregate_type": command.aggregate_type,
        "operation": command.operation.value,
        "uid": command.uid,
        "generation": command.generation,
        "payload": payload,
        "actor": command.actor,
    }


def read(row: RowMapping) -> StoredCommand:
    """The whole row."""
    return StoredCommand(
        command=Command(
            id=row["id"],
            stream_id=row["stream_id"],
            operation=Operation(row["operation"]),
            uid=row["uid"],
            generation=row["generation"],
            payload=orjson.loads(row["payload"]),
            actor=row["actor"],
        ),
        sequence=row["sequence"],
        state=CommandState(row["state"]),
        enqueued_at=row["enqueued_at"],
        due_at=row["due_at"],
        attempts=row["attempts"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
        result=None if row["result"] is None else results.load(row["result"]),
        error=row["error"],
        superseded_by=row["superseded_by"],
    )


#: Columns that tell what has become of a command.
CHANGING: Final = (
    "state", "due_at", "attempts", "finished_at", "latency", "result", "error", "superseded_by",
)  # fmt: skip


def changing(stored: StoredCommand) -> dict[str, Any]:
    """Their values."""
    finished = stored.finished_at if stored.state is CommandState.FINISHED else None
    return {
        "state": stored.state,
        "due_at": stored.due_at,
        "attempts": stored.attempts,
        "finished_at": stored.finished_at,
        "latency": None if finished is None else (finished - stored.enqueued_at).total_seconds(),
        "result": None if stored.result is None else results.dump(stored.result),
        "error": stored.error,
        "superseded_by": stored.superseded_by,
    }
