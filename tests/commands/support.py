"""Commands and a clock for tests of the queue."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4, uuid5

from eatool.commands.port import Command, Operation
from eatool.domain.events import JsonObject


class Clock:
    """Stands still until it is told otherwise."""

    now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def pass_(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


def command(
    stream_id: str = "application/shop/a",
    *,
    generation: int | None = 1,
    operation: Operation = Operation.APPLY,
    uid: str = "uid",
    payload: JsonObject | None = None,
) -> Command:
    """A new command with an id of its own."""
    return Command(
        id=uuid4(),
        stream_id=stream_id,
        operation=operation,
        uid=uid,
        generation=generation,
        payload=payload or {"spec": {}},
        actor="jane",
    )


def numbered(number: int, streams: int) -> Command:
    """One of many, the same each time; those of a stream do not replace each other."""
    made = command(f"application/shop/{number % streams}", generation=None, payload={"n": number})
    return replace(made, id=uuid5(UUID(int=0), str(number)))
