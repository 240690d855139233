"""Commands as rows."""

from __future__ import annotations

from typing import Any

import orjson
from sqlalchemy import RowMapping

from eatool.commands import results
from eatool.commands.port import Command, CommandState, Operation, StoredCommand
from eatool.store.port import InvalidEvent


def written(command: Command) -> dict[str, Any]:
    """Column values that never change; ``InvalidEvent`` for a payload that has no JSON form."""
    try:
        payload = orjson.dumps(command.payload).decode()
    except TypeError as error:
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
