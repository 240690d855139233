"""Bursts of commands in shared commits."""

from __future__ import annotations

from eatool.commands.port import Command, CommandQueue, Known, Queued
from eatool.store.group_commit import GroupCommit


class CommandIntake:
    """Enqueues for any number of tasks; see :class:`~eatool.store.group_commit.GroupCommit`.

    A cancelled caller's command may still be enqueued: repeat it, its id will be recognised.
    """

    def __init__(self, queue: CommandQueue) -> None:
        self._commits: GroupCommit[Command, Queued | Known] = GroupCommit(
            queue.enqueue_batch, name="command intake"
        )

    async def enqueue(self, command: Command) -> Queued | Known:
        """Keep the command; raises ``StoreError``."""
        return await self._commits.request(command)

    def close(self) -> None:
        """Enqueue what has been handed in and stop; later ones raise ``StoreUnavailable``."""
        self._commits.close()
