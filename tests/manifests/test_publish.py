"""``eatool apply --publish`` ends when the broker has every event."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from tests.plugins.mosquitto import Mosquitto
from tests.publishing.subscriber import Subscriber

from eatool.manifests.cli import apply
from eatool.store.sql.engine import open_engine
from eatool.store.sql.log import SqlEventStore

LANDSCAPE = Path(__file__).parents[2] / "examples" / "landscape"


@pytest.fixture
def store(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'registry.db'}"


def run(store: str, *arguments: str) -> Result:
    return CliRunner().invoke(apply, ["-f", str(LANDSCAPE), "--store", store, *arguments])


def test_every_event_is_at_the_broker(store: str, mosquitto: Mosquitto) -> None:
    subscriber = Subscriber(mosquitto.port)
    try:
        result = run(store, "--publish", "--broker", f"mqtt://127.0.0.1:{mosquitto.port}")
        assert result.exit_code == 0, result.output
        assert "published up to position 31" in result.output
        deadline = time.monotonic() + 10
        while len(subscriber.seen) < 31 and time.monotonic() < deadline:
            time.sleep(0.05)
        log = SqlEventStore(open_engine(store))
        recorded = {str(event.event_id) for event in log.read_all()}
        log.close()
        assert {event_id for _, _, event_id in subscriber.seen} == recorded

        again = run(store, "--publish", "--broker", f"mqtt://127.0.0.1:{mosquitto.port}")
        assert again.exit_code == 0
        assert len(subscriber.seen) == 31
    finally:
        subscriber.close()


def test_a_broker_that_is_away_does_not_undo_the_record(store: str) -> None:
    result = run(store, "--publish", "--broker", "mqtt://127.0.0.1:1", "--timeout", "0.5")
    assert result.exit_code == 3
    assert "31 recorded" in result.output
    assert "not published in time" in result.output


def test_publishing_needs_a_broker_that_can_be(store: str) -> None:
    assert "--publish needs --broker" in run(store, "--publish", "--broker", "").output
    result = run(store, "--publish", "--broker", "http://127.0.0.1")
    assert result.exit_code == 2
    assert "--broker" in result.output
