"""What the demo is made of, piece by piece."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from click.testing import CliRunner

from eatool.demo import broker as brokers
from eatool.demo.checking import compare, in_order
from eatool.demo.cli import demo
from eatool.demo.failing import DemoError
from eatool.demo.manifest_story import ManifestStory
from eatool.demo.operating import Metrics
from eatool.demo.parts import Parts
from eatool.demo.places import Home, Material
from eatool.demo.subscriber import Received
from eatool.demo.telling import Teller
from eatool.store.port import RecordedEvent


def message(stream: str, sequence: int, event_id: UUID | None = None) -> Received:
    return Received("topic", "type", stream, sequence, str(event_id or uuid4()), "ada")


def recorded(position: int, event_id: UUID | None = None) -> RecordedEvent:
    return RecordedEvent(
        position=position,
        stream_id=f"server/default/s{position}",
        version=1,
        event_id=event_id or uuid4(),
        type="ServerCreated.v1",
        data={},
        metadata={},
        actor="ada",
        correlation_id=None,
        causation_id=None,
        recorded_at=datetime(2026, 1, 1, tzinfo=UTC),
        hash=b"",
        previous_hash=b"",
        partition=0,
    )


def delivered(event: RecordedEvent) -> Received:
    return message(event.stream_id, event.version, event.event_id)


def test_order_is_per_stream_and_forgives_repetitions() -> None:
    first, second, other = message("a", 1), message("a", 2), message("b", 1)
    assert in_order([first, other, second])
    assert in_order([first, second, first, second])
    assert not in_order([second, first])
    assert not in_order([first, message("a", 3)])


def test_the_comparison_holds_only_when_all_arrived_once_recorded() -> None:
    log = [recorded(1), recorded(2)]
    arrived = [delivered(event) for event in log]
    assert all(verdict.held for verdict in compare(log, arrived, expected=2))
    for events, messages, expected in (
        (log, arrived[:1], 2),  # lost
        (log, [*arrived, message("x", 1)], 2),  # made up
        (log, arrived, 3),  # not recorded
        ([log[0], recorded(3, log[1].event_id)], arrived, 2),  # a gap
        (log, [dataclasses.replace(arrived[0], sequence=2), arrived[1]], 2),  # out of order
    ):
        assert not all(verdict.held for verdict in compare(events, messages, expected))


def test_metrics_are_summed_by_labels_and_counted_from_an_earlier_scrape() -> None:
    text = (
        "# TYPE a_total counter\n"
        'a_total{{result="good",kind="x"}} {good}\n'
        'a_total{{result="bad",kind="x"}} 1\n'
    )
    earlier, later = (Metrics.parse(text.format(good=good)) for good in (2, 5))
    assert later.total("a_total") == 6
    assert later.total("a_total", result="good") == 5
    assert later.since(earlier).total("a_total") == 3
    assert later.mean("nothing") == 0


def test_a_directory_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    for option in ("--directory", "--stop"):
        result = CliRunner().invoke(demo, [option, str(tmp_path)])
        assert result.exit_code == 1
        assert "demo" in result.output
    assert (tmp_path / "thesis.tex").exists()


def test_its_own_directory_is_used_anew(tmp_path: Path) -> None:
    home = Home(tmp_path / "demo")
    home.claim()
    (home.directory / "eatool.db").touch()
    home.claim()
    assert not (home.directory / "eatool.db").exists()


def test_without_mosquitto_a_broker_in_python_carries_the_story(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(brokers, "_mosquitto", lambda *_: None)
    home = Home(tmp_path / "demo")
    home.claim()
    with Parts(home) as parts:
        verdicts = ManifestStory(Teller(), parts, Material.find()).tell()
    assert [verdict.claim for verdict in verdicts if not verdict.held] == []
    assert "amqtt, a broker in Python" in capsys.readouterr().out


def test_without_any_broker_it_says_how_to_get_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(brokers, "_mosquitto", lambda *_: None)
    monkeypatch.setattr(brokers, "_amqtt", lambda *_: None)
    with pytest.raises(DemoError, match="apt-get install mosquitto"):
        brokers.Broker(tmp_path).start(die_with_parent=True)
