"""Take part in rollouts for as long as a command runs."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from eatool.commands.intake import CommandIntake
from eatool.commands.sql import SqlCommandQueue
from eatool.registry.opening import OpenRegistry
from eatool.rollout.appending import LegacyWriter
from eatool.rollout.gate import Gate
from eatool.rollout.ledger_sql import SqlLedger
from eatool.rollout.registry import PhasedRegistry
from eatool.rollout.view import LateView, PhaseView
from eatool.settings import pod_identity


@asynccontextmanager
async def taking_part(
    opened: OpenRegistry, standings: LateView, *, namespace: str
) -> AsyncIterator[PhasedRegistry]:
    """Write as an operator does, phase by phase, and let phase changes wait for what is written.

    Decides no transitions and works on no queue: that is left to the operators.

    Args:
        opened: with :class:`~eatool.rollout.feed.InlineByPhase` on ``standings`` as projection.
        standings: told of the phases from now on.
        namespace: the one whose entities have legacy rows.

    Raises ``StoreError`` when the phases cannot be read.

    """
    view = PhaseView(SqlLedger(opened.store), replica_name())
    legacy = LegacyWriter(opened.store)
    queue = SqlCommandQueue(opened.store.engine)
    intake = CommandIntake(queue)
    registry = PhasedRegistry(
        opened.registry,
        opened.appender,
        view=view,
        gate=Gate(view),
        legacy=legacy,
        queue=queue,
        intake=intake,
        namespace=namespace,
    )
    standings.bind(view)
    try:
        await asyncio.to_thread(view.start)
        running = asyncio.create_task(registry.run())
        try:
            yield registry
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await asyncio.to_thread(view.close)
    finally:
        await asyncio.to_thread(intake.close)
        legacy.close()


def replica_name() -> str:
    """Unlike that of an operator, in whose pod the command may run."""
    return f"{pod_identity()}/{os.getpid()}"
