"""Streams that a transaction holds: what is pending in them, and what it changes.

Every transaction that decides about a stream's commands holds the stream's row: on PostgreSQL by
its lock, on SQLite because there is one writer. All take these locks here, in the order of stream
ids, so that none waits in a circle.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, bindparam, func, insert, or_, select, update

from eatool.commands import rows, statements
from eatool.commands.ordering import next_due
from eatool.commands.port import Command, CommandState, Leased, StoredCommand
from eatool.commands.statements import PENDING_HERE, STREAM
from eatool.commands.tables import command, command_stream
from eatool.commands.transitions import admitted, arrived

_INSERT = insert(command).returning(command.c.sequence, sort_by_parameter_order=True)
_SAVE = (
    update(command)
    .where(command.c.sequence == bindparam("at"))
    .values({name: bindparam(name) for name in rows.CHANGING})
)


class HeldStreams:
    """Holds ``stream_ids`` until the transaction ends, making their rows first if need be.

    Changes are written by :meth:`write`.
    """

    def __init__(self, connection: Connection, stream_ids: Collection[str]) -> None:
        self._connection = connection
        self._streams = {row.stream_id: row for row in statements.lock(connection, stream_ids)}
        self._freed: set[str] = set()
        self._commands: dict[str, dict[UUID, StoredCommand]] = defaultdict(dict)
        self._by_id: dict[UUID, StoredCommand] = {}
        self._changed: dict[UUID, StoredCommand] = {}

    def load(self, *, last: bool = False, ranked: bool = False, ids: Collection[UUID] = ()) -> None:
        """Read what is pending.

        Also the ``last`` command of each stream, the highest ``ranked`` of each incarnation, and
        those with these ``ids``, of any stream.
        """
        here = command.c.stream_id.in_(self._streams)
        wanted: list[Any] = [here & PENDING_HERE]
        if last:
            ends = select(func.max(command.c.sequence)).where(here).group_by(command.c.stream_id)
            wanted.append(command.c.sequence.in_(ends))
        if ranked:
            wanted.append(command.c.sequence.in_(statements.highest(here)))
        if ids:
            wanted.append(command.c.id.in_(ids))
        query = select(command).where(or_(*wanted)).order_by(command.c.sequence)
        for row in self._connection.execute(query).mappings():
            self._keep(rows.read(row))

    def of(self, stream_id: str) -> list[StoredCommand]:
        """Its commands that were loaded or added, in order of arrival, as they are by now."""
        return list(self._commands[stream_id].values())

    def each(self) -> list[list[StoredCommand]]:
        """The same of every stream that is held."""
        return [self.of(stream_id) for stream_id in self._streams]

    def known(self, command_ids: Iterable[UUID]) -> dict[UUID, StoredCommand]:
        """Of these, the ones that were loaded or added."""
        return {each: self._by_id[each] for each in command_ids if each in self._by_id}

    def add(self, commands: Sequence[Command], now: datetime) -> None:
        """Insert commands, due at once, behind (and instead of) what is pending."""
        values = [
            rows.written(each)
            | {"state": CommandState.QUEUED, "enqueued_at": now, "due_at": now, "attempts": 0}
            for each in commands
        ]
        sequences = self._connection.scalars(_INSERT, values)
        for each, sequence in zip(commands, sequences, strict=True):
            new = arrived(each, sequence, now)
            changes = admitted(new, self.of(each.stream_id), now)
            self._keep(new)
            self.put(*changes)

    def put(self, *stored: StoredCommand) -> None:
        """Change commands."""
        for each in stored:
            self._keep(each)
            self._changed[each.command.id] = each

    def free(self, leased: Leased, now: datetime) -> bool:
        """End the worker's hold on the stream; False when it had ended before."""
        stream_id = leased.command.stream_id
        stream = self._streams[stream_id]
        held = (
            stream_id not in self._freed
            and (stream.owner, stream.epoch) == (leased.worker, leased.epoch)
            and stream.claimable_at is not None
            and stream.claimable_at > now
        )
        if held:
            self._freed.add(stream_id)
        return held

    def write(self) -> None:
        """Write the changes, and when each stream has work: while held by a worker, its lease."""
        if self._changed:
            self._connection.execute(
                _SAVE,
                [{"at": each.sequence} | rows.changing(each) for each in self._changed.values()],
            )
        due: dict[datetime | None, list[str]] = defaultdict(list)
        for stream_id, stream in self._streams.items():
            freed = stream_id in self._freed
            if freed or stream.owner is None:
                claimable_at = next_due(self.of(stream_id))
                if freed or claimable_at != stream.claimable_at:
                    due[claimable_at].append(stream_id)
        for claimable_at, stream_ids in due.items():
            self._connection.execute(
                update(command_stream)
                .where(STREAM.stream_id.in_(stream_ids))
                .values(owner=None, claimable_at=claimable_at)
            )

    def _keep(self, stored: StoredCommand) -> None:
        self._commands[stored.command.stream_id][stored.command.id] = stored
        self._by_id[stored.command.id] = stored
