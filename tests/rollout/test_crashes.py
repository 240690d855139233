"""Processes that are killed in a transition, and one that nobody told of it."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.rollout import processes
from tests.rollout.conftest import Open

from eatool.rollout.actions import Abort, Commit, carry_out
from eatool.rollout.ledger import Cause, Trigger, stream_of
from eatool.rollout.ledger_sql import SqlLedger
from eatool.rollout.phases import Phase
from eatool.store.sql.log import SqlEventStore
from eatool.store.verify import verify_chain

KIND = "application"
CAUSE = Cause(Trigger.AUTO, "test")


def started(target: Callable[..., None], *arguments: Any) -> multiprocessing.process.BaseProcess:
    process = multiprocessing.get_context("spawn").Process(target=target, args=arguments)
    process.start()
    return process


def test_who_was_not_told_is_refused_and_harms_nobody(
    url: str, store: SqlEventStore, tmp_path: Path
) -> None:
    """Two processes: the one with the older epoch writes until the very commit of the newer."""
    ledger = SqlLedger(store)
    old = ledger.enroll(KIND, CAUSE)
    journal = tmp_path / "journal"
    writer = started(processes.write_until_refused, url, old.fence, journal)
    try:
        deadline = time.monotonic() + 60
        while not journal.exists() or journal.read_text().count("\n") < 20:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        prepared = ledger.begin(KIND, Phase.DUAL_WRITE, CAUSE).preparation
        assert prepared is not None
        new = ledger.commit(KIND, prepared.epoch)
        writer.join(60)
    finally:
        writer.kill()
    assert writer.exitcode == 0
    notes = [line.split() for line in journal.read_text().splitlines()]
    assert [name for name, _, _ in notes] == ["Appended"] * (len(notes) - 1) + ["StaleEpoch"]
    moved = store.read_stream(stream_of(KIND))[-1].position
    assert all(int(position) < moved for name, position, _ in notes if name == "Appended")
    assert int(notes[-1][2]) > moved  # its neighbour was recorded
    assert ledger.standings()[KIND] == new
    assert verify_chain(store).sound


@pytest.mark.parametrize("where", ["begun", "before the event", "appended"])
@pytest.mark.parametrize("then", ["commit", "abort"])
def test_a_killed_transition_is_resumed_or_aborted(
    url: str, open_store: Open, where: str, then: str
) -> None:
    ledger = SqlLedger(open_store())
    ledger.enroll(KIND, CAUSE)
    victim = started(processes.die_in_transition, url, where)
    victim.join(60)
    assert victim.exitcode == -9
    standing = ledger.standings()[KIND]
    assert (standing.phase, standing.preparing) == (Phase.LEGACY, Phase.DUAL_WRITE)
    assert standing.preparation is not None
    epoch = standing.preparation.epoch
    after = carry_out(ledger, KIND, Commit(epoch) if then == "commit" else Abort(epoch, "crash"))
    assert after.preparation is None
    committed = then == "commit"
    assert after.phase is (Phase.DUAL_WRITE if committed else Phase.LEGACY)
    store = open_store()
    assert len(store.read_stream(stream_of(KIND))) == (2 if committed else 1)
    assert ledger.history(KIND)[0].result == ("Promoted" if committed else "Aborted")
    assert verify_chain(store).sound
