"""What the demo is made of, piece by piece."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import orjson
import pytest
import yaml
from click.testing import CliRunner
from paho.mqtt import publish

from eatool.demo import broker as brokers
from eatool.demo import solace
from eatool.demo.checking import compare, in_order
from eatool.demo.cli import demo
from eatool.demo.declaring import write_manifests
from eatool.demo.failing import DemoError
from eatool.demo.listening import Listeners, listen
from eatool.demo.manifest_story import ManifestStory
from eatool.demo.operating import Metrics
from eatool.demo.parts import Parts
from eatool.demo.places import Home, Material
from eatool.demo.subscriber import Received, Subscriber
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


def arrival(event: RecordedEvent) -> Received:
    return message(event.stream_id, event.version, event.event_id)


class Silent(Subscriber):
    """Got what a test says."""

    def __init__(self, received: Sequence[Received]) -> None:
        super().__init__("eatool/#")
        self._received = list(received)

    def close(self) -> None:
        pass


def compared(
    log: Sequence[RecordedEvent],
    received: Sequence[Received],
    expected: int,
    applications: Sequence[Received] = (),
) -> bool:
    broker = brokers.MqttBroker(Path())
    listeners = Listeners(broker, Silent(received), Silent(applications))
    return all(verdict.held for verdict in compare(log, [listeners], expected))


def test_order_is_per_stream_and_forgives_repetitions() -> None:
    first, second, other = message("a", 1), message("a", 2), message("b", 1)
    assert in_order([first, other, second])
    assert in_order([first, second, first, second])
    assert not in_order([second, first])
    assert not in_order([first, message("a", 3)])


def test_the_comparison_holds_only_when_all_arrived_once_recorded() -> None:
    log = [recorded(1), recorded(2)]
    arrived = [arrival(event) for event in log]
    application = message("application/default/a", 1)
    assert compared(log, arrived, expected=2)
    for events, messages, expected, applications in (
        (log, arrived[:1], 2, ()),  # lost
        (log, [*arrived, message("x", 1)], 2, ()),  # made up
        (log, arrived, 3, ()),  # not recorded
        ([log[0], recorded(3, log[1].event_id)], arrived, 2, ()),  # a gap
        (log, [dataclasses.replace(arrived[0], sequence=2), arrived[1]], 2, ()),  # out of order
        (log, arrived, 2, [application]),  # a topic that was not subscribed to
    ):
        assert not compared(events, messages, expected, applications)


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
    monkeypatch.setattr(brokers, "find_mosquitto", lambda: None)
    home = Home(tmp_path / "demo")
    home.claim()
    with Parts(home) as parts:
        verdicts = ManifestStory(Teller(), parts, Material.find()).tell()
    assert [verdict.claim for verdict in verdicts if not verdict.held] == []
    assert "amqtt, a broker in Python" in capsys.readouterr().out


def test_without_the_solace_library_another_mosquitto_is_killed_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mosquitto: object
) -> None:
    monkeypatch.setattr(solace, "find_spec", lambda _name: None)
    home = Home(tmp_path / "demo")
    home.claim()
    with Parts(home) as parts:
        second = parts.second
        assert isinstance(second, brokers.MqttBroker)
        parts.start_broker(second)
        with closing(listen(second)) as listeners:
            second.kill()
            parts.start_broker(second)
            body = {"type": "t", "partitionkey": "s", "sequence": "1", "id": "1", "authid": "ada"}
            publish.single(
                "eatool/v1/dev/server/ServerCreated/a", orjson.dumps(body), 1, port=second.port
            )
            listeners.everything.wait(1)
            assert listeners.applications.count == 0


def test_the_declared_brokers_are_the_examples_with_other_addresses(tmp_path: Path) -> None:
    parts = Parts(Home(tmp_path))
    write_manifests(parts.brokers, Material.find().brokers, tmp_path / "brokers")
    written = {
        path.name: list(yaml.safe_load_all(path.read_text()))
        for path in (tmp_path / "brokers").iterdir()
    }
    for broker in parts.brokers:
        example = yaml.safe_load_all((Material.find().brokers / broker.manifest).read_text())
        for document, original in zip(written[f"{broker.name}.yaml"], example, strict=True):
            if document["kind"] == "EventBroker":
                assert document["spec"].pop("addresses") == [broker.address]
                del original["spec"]["addresses"]
            assert document == original


def test_without_any_broker_it_says_how_to_get_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(brokers, "find_mosquitto", lambda: None)
    monkeypatch.setattr(brokers, "_amqtt", lambda *_: None)
    with pytest.raises(DemoError, match="apt-get install mosquitto"):
        brokers.MqttBroker(tmp_path).start(die_with_parent=True)
