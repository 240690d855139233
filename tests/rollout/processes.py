"""What other processes do in tests of the ledger."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import replace
from pathlib import Path

from sqlalchemy import Connection
from tests.store.support import append

from eatool.rollout.ledger import Cause, Trigger
from eatool.rollout.ledger_sql import SqlLedger
from eatool.rollout.phases import Phase
from eatool.store.port import Append, Appended, Fence
from eatool.store.sql.engine import open_engine
from eatool.store.sql.log import SqlEventStore


def write_until_refused(url: str, fence: Fence, journal: Path) -> None:
    """Append under one fence for ever; note each append, and the refusal that ends it."""
    store = SqlEventStore(open_engine(url))
    with journal.open("w") as notes:
        for version in range(1_000_000):
            mine = replace(append("mine", version), fence=fence)
            neighbour = append(f"beside-{os.getpid()}", version)
            outcome, beside = store.append_batch([(mine,), (neighbour,)])
            assert isinstance(beside, Appended)
            name = type(outcome).__name__
            position = outcome.events[0].position if isinstance(outcome, Appended) else 0
            print(name, position, beside.events[0].position, file=notes, flush=True)
            if not isinstance(outcome, Appended):
                return


def die_in_transition(url: str, where: str) -> None:
    """Take one step of a transition and be killed there."""
    store = SqlEventStore(open_engine(url))
    ledger = SqlLedger(store)
    standing = ledger.begin("application", Phase.DUAL_WRITE, Cause(Trigger.AUTO, "test"))
    if where == "begun":
        os.kill(os.getpid(), signal.SIGKILL)
    real = store.append_in

    def die(connection: Connection, *appends: Append) -> Appended:
        if where == "appended":
            real(connection, *appends)
        os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(60)
        raise AssertionError("unreachable")

    store.append_in = die  # type: ignore[method-assign]  # the moment in the middle of a commit
    assert standing.preparation is not None
    ledger.commit("application", standing.preparation.epoch)
