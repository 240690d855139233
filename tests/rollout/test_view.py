from __future__ import annotations

import threading
import time as wall
from collections.abc import Callable

import pytest
from tests.rollout.conftest import Open, Time

from eatool.rollout.ledger import Cause, Standing, Trigger
from eatool.rollout.ledger_sql import SqlLedger
from eatool.rollout.phases import Phase
from eatool.rollout.view import PhaseView
from eatool.store.port import StoreUnavailable
from eatool.store.sql.log import SqlEventStore

CAUSE = Cause(Trigger.AUTO, "test")


def eventually(condition: Callable[[], bool]) -> None:
    deadline = wall.monotonic() + 30
    while not condition():
        assert wall.monotonic() < deadline
        wall.sleep(0.01)


@pytest.fixture
def view(ledger: SqlLedger) -> PhaseView:
    return PhaseView(ledger, "pod-1", interval=0.05)


def begin(ledger: SqlLedger, to: Phase = Phase.DUAL_WRITE) -> int:
    standing = ledger.begin("application", to, CAUSE)
    assert standing.preparation is not None
    return standing.preparation.epoch


def test_a_kind_that_is_not_under_rollout(view: PhaseView) -> None:
    view.refresh()
    assert view.of("application") is None
    assert view.all() == {}


def test_a_refresh_sees_and_is_a_sign_of_life(view: PhaseView, ledger: SqlLedger) -> None:
    standing = ledger.enroll("application", CAUSE)
    assert view.of("application") is None
    view.refresh()
    assert view.of("application") == standing
    (replica,) = ledger.replicas("application")
    assert (replica.name, replica.acked_epoch, replica.alive) == ("pod-1", 0, True)


def test_steps_of_others_are_seen_while_running(ledger: SqlLedger, open_store: Open) -> None:
    seen: list[tuple[str, Standing | None]] = []
    other = SqlLedger(open_store())
    ledger.enroll("application", CAUSE)
    with PhaseView(ledger, "pod-1", interval=0.05) as view:
        unsubscribe = view.on_change(lambda kind, standing: seen.append((kind, standing)))
        assert seen == [("application", view.of("application"))]
        epoch = begin(other)
        eventually(lambda: len(seen) == 2)
        assert seen[-1][1] is not None
        assert seen[-1][1].preparing is Phase.DUAL_WRITE
        view.acknowledge("application", epoch)
        eventually(lambda: ledger.replicas("application")[0].acked_epoch == epoch)
        other.commit("application", epoch)
        eventually(lambda: (now := view.of("application")) is not None and now.epoch == epoch)
        unsubscribe()
        begin(other, Phase.LEGACY)
        eventually(lambda: (now := view.of("application")) is not None and bool(now.preparing))
        assert len(seen) == 3
    assert ledger.replicas("application") == []


def test_an_acknowledgement_does_not_go_back(view: PhaseView, ledger: SqlLedger) -> None:
    ledger.enroll("application", CAUSE)
    view.acknowledge("application", 5)
    view.acknowledge("application", 3)
    view.refresh()
    assert ledger.replicas("application")[0].acked_epoch == 5


def test_it_outlives_a_database_that_goes_away_and_a_broken_listener(
    ledger: SqlLedger, time: Time, caplog: pytest.LogCaptureFixture
) -> None:
    down = threading.Event()
    real = ledger.standings

    def standings() -> dict[str, Standing]:
        if down.is_set():
            raise StoreUnavailable("gone")
        return real()

    def broken(_kind: str, _standing: Standing | None) -> None:
        raise RuntimeError("defect")

    ledger.standings = standings  # type: ignore[method-assign]  # a database that goes away
    heard: list[str] = []
    with PhaseView(ledger, "pod-1", interval=0.02) as view:
        view.on_change(broken)
        view.on_change(lambda kind, _standing: heard.append(kind))
        down.set()
        eventually(lambda: "could not be refreshed: gone" in caplog.text)
        ledger.enroll("application", CAUSE)
        down.clear()
        eventually(lambda: view.of("application") is not None)
        eventually(lambda: heard == ["application"])
    assert "A listener failed on the standing of application" in caplog.text


def test_without_a_database_it_does_not_start(view: PhaseView, store: SqlEventStore) -> None:
    with store.engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE rollout")
    with pytest.raises(StoreUnavailable):
        view.start()
