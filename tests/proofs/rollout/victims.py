"""Operators that are killed in the middle of a transition, while people go on declaring."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import time
from pathlib import Path

from sqlalchemy import Connection
from tests.proofs.rollout.live import Live
from tests.proofs.rollout.operators import Operator, Rollout, operator

from eatool.rollout.ledger import Cause, Standing
from eatool.rollout.phases import Phase
from eatool.store.port import Append, Appended

#: Where in a transition: everybody is told; the commit has begun; its event is written.
ANNOUNCED, BEFORE, APPENDED = "announced", "before the event", "appended"


def killed_on_the_way(url: str, to: Phase, where: str, journal: Path) -> int | None:
    """Have an operator lead the rollout to ``to`` and die there; its exit code."""
    context = multiprocessing.get_context("spawn")
    victim = context.Process(target=_be_killed, args=(url, to, where, journal))
    victim.start()
    victim.join(90)
    if victim.exitcode is None:
        victim.kill()
        victim.join()
        raise AssertionError(f"no transition to {to} in 90 s")
    return victim.exitcode


def _be_killed(url: str, to: Phase, where: str, journal: Path) -> None:
    asyncio.run(_lead(url, to, where, journal))


async def _lead(url: str, to: Phase, where: str, journal: Path) -> None:
    rollout = Rollout(to.previous or Phase.LEGACY)
    async with operator(url, f"victim-{to.number}", rollout) as mine:
        live = Live(f"victim-{to.number}", journal)
        async with live.on(mine):
            await live.some(15)
            _arm(mine, where)
            rollout.edit(to)
            await asyncio.sleep(60)
            print(mine.seen, rollout.status)


def _arm(mine: Operator, where: str) -> None:
    ledger, store = mine.process.ledger, mine.opened.store
    begin, commit, append_in = ledger.begin, ledger.commit, store.append_in

    def begin_and_die(aggregate_type: str, to: Phase, cause: Cause) -> Standing:
        begin(aggregate_type, to, cause)
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("unreachable")

    def commit_and_die(aggregate_type: str, epoch: int) -> Standing:
        store.append_in = append_and_die  # type: ignore[method-assign]  # in the commit only
        return commit(aggregate_type, epoch)

    def append_and_die(connection: Connection, *appends: Append) -> Appended:
        if where == APPENDED:
            append_in(connection, *appends)
        os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(60)
        raise AssertionError("unreachable")

    if where == ANNOUNCED:
        ledger.begin = begin_and_die  # type: ignore[method-assign]  # the moment to die
    else:
        ledger.commit = commit_and_die  # type: ignore[method-assign]  # the moment to die
