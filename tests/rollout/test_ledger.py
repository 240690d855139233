"""The ledger on both databases: one step at a time, and fence, phase and event move together."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from tests.rollout.conftest import Open, Time
from tests.store.support import append

from eatool.domain.kinds import upcast
from eatool.projections.rows import fold_rows
from eatool.projections.tables import READ_TABLES
from eatool.publishing.cloudevents import CloudEventsEncoder
from eatool.publishing.topics import TopicTemplate
from eatool.rollout.ledger import (
    HISTORY_LIMIT,
    Cause,
    NoSuchStep,
    NotAnnounced,
    NotUnderRollout,
    Standing,
    TransitionResult,
    TransitionUnderWay,
    Trigger,
    stream_of,
)
from eatool.rollout.ledger_sql import SqlLedger
from eatool.rollout.phases import Phase
from eatool.store.port import StaleEpoch, StoreUnavailable
from eatool.store.sql.log import SqlEventStore
from eatool.store.verify import verify_chain

KIND = "application"
CAUSE = Cause(
    Trigger.AUTO,
    "all criteria passed",
    actor="jane@example.org",
    ticket="CHG-1",
    evidence=({"name": "parity", "result": "Pass", "value": "0"},),
    gates=({"name": "board", "state": "Approved"},),
)


def enrolled(ledger: SqlLedger) -> Standing:
    return ledger.enroll(KIND, Cause(Trigger.ENROLLED, "created"))


def promoted(ledger: SqlLedger, to: Phase) -> Standing:
    standing = ledger.begin(KIND, to, CAUSE)
    assert standing.preparation is not None
    return ledger.commit(KIND, standing.preparation.epoch)


def begun(ledger: SqlLedger, to: Phase) -> int:
    preparation = ledger.begin(KIND, to, CAUSE).preparation
    assert preparation is not None
    return preparation.epoch


def test_nothing_is_under_rollout_at_first(ledger: SqlLedger) -> None:
    assert ledger.standings() == {}
    steps: list[Callable[[], Standing]] = [
        lambda: ledger.begin(KIND, Phase.DUAL_WRITE, CAUSE),
        lambda: ledger.commit(KIND, 1),
        lambda: ledger.abort(KIND, 1, "no"),
    ]
    for step in steps:
        with pytest.raises(NotUnderRollout, match="application is not under rollout"):
            step()


def test_enrolling_fences_out_who_knows_of_no_rollout(
    ledger: SqlLedger, store: SqlEventStore, time: Time
) -> None:
    standing = enrolled(ledger)
    assert standing == Standing(KIND, Phase.LEGACY, 1, time.now)
    assert ledger.standings() == {KIND: standing}
    with pytest.raises(StaleEpoch):
        store.append(replace(append("a", 0), fence=replace(standing.fence, epoch=0)))
    store.append(replace(append("a", 0), fence=standing.fence))
    assert enrolled(ledger) == standing
    assert len(store.read_stream(stream_of(KIND))) == 1


def test_a_promotion_moves_phase_fence_and_log_together(
    ledger: SqlLedger, store: SqlEventStore, time: Time
) -> None:
    before = enrolled(ledger)
    time.advance(minutes=5)
    prepared = ledger.begin(KIND, Phase.DUAL_WRITE, CAUSE)
    assert prepared.phase is Phase.LEGACY
    assert prepared.preparing is Phase.DUAL_WRITE
    assert prepared.preparation is not None
    assert prepared.preparation.cause == CAUSE
    store.append(replace(append("a", 0), fence=before.fence))  # nothing has changed yet
    started = time.now
    time.advance(seconds=3)
    after = ledger.commit(KIND, prepared.preparation.epoch)
    assert (after.phase, after.since, after.preparation) == (Phase.DUAL_WRITE, time.now, None)
    assert after.epoch > before.epoch
    with pytest.raises(StaleEpoch):
        store.append(replace(append("a", 1), fence=before.fence))
    store.append(replace(append("a", 1), fence=after.fence))

    event = store.read_stream(stream_of(KIND))[-1]
    assert event.type == "RolloutPhaseChanged.v1"
    assert event.actor == "jane@example.org"
    assert event.data == {
        "from": "Legacy",
        "to": "DualWrite",
        "epoch": after.epoch,
        "trigger": "Auto",
        "reason": "all criteria passed",
        "ticket": "CHG-1",
        "evidence": [{"name": "parity", "result": "Pass", "value": "0"}],
        "gates": [{"name": "board", "state": "Approved"}],
    }
    newest = ledger.history(KIND)[0]
    assert newest.result is TransitionResult.PROMOTED
    assert (newest.source, newest.target) == (Phase.LEGACY, Phase.DUAL_WRITE)
    assert (newest.started_at, newest.finished_at) == (started, time.now)
    assert (newest.position, newest.cause) == (event.position, CAUSE)
    assert verify_chain(store).sound


def test_a_phase_is_not_skipped(ledger: SqlLedger) -> None:
    enrolled(ledger)
    with pytest.raises(NoSuchStep, match="between Legacy and AsyncCommands comes DualWrite"):
        ledger.begin(KIND, Phase.ASYNC_COMMANDS, CAUSE)


def test_retired_is_final(ledger: SqlLedger) -> None:
    enrolled(ledger)
    for phase in list(Phase)[1:]:
        promoted(ledger, phase)
    for phase in Phase:
        with pytest.raises(NoSuchStep):
            ledger.begin(KIND, phase, CAUSE)


def test_a_rollback_has_an_epoch_of_its_own(ledger: SqlLedger) -> None:
    enrolled(ledger)
    epochs = [
        promoted(ledger, to).epoch
        for to in (Phase.DUAL_WRITE, Phase.PROJECTION_ONLY, Phase.DUAL_WRITE, Phase.LEGACY)
    ]
    assert epochs == sorted(set(epochs))
    results = [record.result.value for record in ledger.history(KIND)]
    assert results == ["RolledBack", "RolledBack", "Promoted", "Promoted", "Enrolled"]


def test_one_transition_at_a_time(ledger: SqlLedger) -> None:
    enrolled(ledger)
    promoted(ledger, Phase.DUAL_WRITE)
    prepared = ledger.begin(KIND, Phase.PROJECTION_ONLY, CAUSE)
    assert ledger.begin(KIND, Phase.PROJECTION_ONLY, CAUSE) == prepared
    with pytest.raises(TransitionUnderWay, match="to ProjectionOnly has not ended"):
        ledger.begin(KIND, Phase.LEGACY, CAUSE)


def test_an_aborted_epoch_is_never_announced_again(ledger: SqlLedger) -> None:
    before = enrolled(ledger)
    first = ledger.begin(KIND, Phase.DUAL_WRITE, CAUSE).preparation
    assert first is not None
    assert ledger.abort(KIND, first.epoch, "nobody answered") == before
    assert ledger.abort(KIND, first.epoch, "nobody answered") == before
    second = ledger.begin(KIND, Phase.DUAL_WRITE, CAUSE).preparation
    assert second is not None
    assert second.epoch > first.epoch
    with pytest.raises(NotAnnounced):
        ledger.commit(KIND, first.epoch)
    (record, _) = ledger.history(KIND)
    assert record.result is TransitionResult.ABORTED
    assert record.cause == replace(CAUSE, reason="nobody answered"), "with its evidence"
    assert record.position is None


def test_of_commit_and_abort_one_wins(ledger: SqlLedger, open_store: Open) -> None:
    enrolled(ledger)
    prepared = ledger.begin(KIND, Phase.DUAL_WRITE, CAUSE).preparation
    assert prepared is not None
    other = SqlLedger(open_store())

    def attempt(number: int) -> str:
        try:
            if number == 0:
                return ledger.commit(KIND, prepared.epoch).phase
            return other.abort(KIND, prepared.epoch, "too late").phase
        except NotAnnounced:
            return "refused"

    with ThreadPoolExecutor(2) as pool:
        outcomes = set(pool.map(attempt, range(2)))
    phase = ledger.standings()[KIND].phase
    assert outcomes == {phase.value, "refused"}
    with pytest.raises(NotAnnounced):
        ledger.commit(KIND, 99)


def test_committing_again_changes_nothing(ledger: SqlLedger, store: SqlEventStore) -> None:
    enrolled(ledger)
    standing = promoted(ledger, Phase.DUAL_WRITE)
    assert ledger.commit(KIND, standing.epoch) == standing
    assert len(store.read_stream(stream_of(KIND))) == 2
    with pytest.raises(NotAnnounced):
        ledger.abort(KIND, standing.epoch, "too late")


def test_history_is_bounded_and_the_log_is_not(ledger: SqlLedger, store: SqlEventStore) -> None:
    enrolled(ledger)
    for _ in range(HISTORY_LIMIT // 2 + 1):
        promoted(ledger, Phase.DUAL_WRITE)
        newest = promoted(ledger, Phase.LEGACY)
    history = ledger.history(KIND, limit=1000)
    assert len(history) == HISTORY_LIMIT
    assert history[0].epoch == newest.epoch
    assert len(store.read_stream(stream_of(KIND))) == HISTORY_LIMIT + 3


def test_of_attempts_in_a_row_the_last_is_kept(ledger: SqlLedger) -> None:
    enrolled(ledger)
    for _ in range(3):
        epoch = begun(ledger, Phase.DUAL_WRITE)
        ledger.abort(KIND, epoch, "nobody answered")
    promoted(ledger, Phase.DUAL_WRITE)
    ledger.abort(KIND, begun(ledger, Phase.PROJECTION_ONLY), "nobody answered")
    results = [(record.result.value, record.epoch) for record in ledger.history(KIND)]
    assert results == [("Aborted", 6), ("Promoted", 5), ("Aborted", 4), ("Enrolled", 1)]


def test_an_actor_is_recorded_whatever_the_name(ledger: SqlLedger, store: SqlEventStore) -> None:
    ledger.enroll(KIND, replace(CAUSE, actor="a\u202eb" + "c" * 300))
    (event,) = store.read_stream(stream_of(KIND))
    assert event.actor.startswith("a\\u202ebc")
    assert len(event.actor) == 255


def test_replicas_are_alive_for_ten_seconds(ledger: SqlLedger, time: Time) -> None:
    ledger.heartbeat("b", {KIND: 0})
    ledger.heartbeat("a", {KIND: 3, "server": 1})
    time.advance(seconds=9)
    ledger.heartbeat("b", {KIND: 4})
    time.advance(seconds=2)
    found = [(each.name, each.acked_epoch, each.alive) for each in ledger.replicas(KIND)]
    assert found == [("a", 3, False), ("b", 4, True)]
    ledger.leave("b")
    assert [each.name for each in ledger.replicas(KIND)] == ["a"]
    time.advance(hours=2)
    assert ledger.replicas(KIND) == []


def test_no_kind_under_rollout_means_no_write(ledger: SqlLedger) -> None:
    ledger.heartbeat("a", {})
    assert ledger.replicas(KIND) == []


def test_readers_of_entities_pass_over_the_event(ledger: SqlLedger, store: SqlEventStore) -> None:
    enrolled(ledger)
    (stored,) = store.read_stored()
    assert fold_rows([stored.read(upcast)], READ_TABLES) == {}
    message = CloudEventsEncoder(TopicTemplate(), upcast=upcast)(stored)
    assert message.topic.endswith("/rollout/RolloutPhaseChanged/application")


def test_a_database_that_is_away_is_reported_as_by_the_log(
    ledger: SqlLedger, store: SqlEventStore
) -> None:
    with store.engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE rollout")
    with pytest.raises(StoreUnavailable, match="eatool store migrate"):
        ledger.standings()
    with pytest.raises(StoreUnavailable):
        enrolled(ledger)
