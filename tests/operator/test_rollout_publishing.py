"""What leaves a kind under rollout, phase by phase: messages at a broker, words in a status."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import Connection, update
from tests.operator.operators import Operator, until
from tests.operator.platform_site import PlatformSite
from tests.operator.rollout_site import OldRegistry, RolloutSite, under_rollout
from tests.operator.site import SERVER, Log, Site
from tests.plugins.mosquitto import Mosquitto
from tests.publishing.subscriber import Subscriber

from eatool.commands.cli import commands
from eatool.commands.tables import command_stream

_AT_ONCE: list[dict[str, Any]] = [
    {"to": phase, "criteria": [], "soakTime": "0s", "autoPromote": True}
    for phase in ("DualWrite", "ProjectionOnly", "AsyncCommands")
]


@pytest.fixture(scope="module")
def settings(site: Site, directory: Path) -> dict[str, Any]:
    return under_rollout(site, directory, "Server")


@dataclass
class Moving:
    """Servers on their way, as seen from all sides."""

    site: Site
    rollouts: RolloutSite
    legacy: OldRegistry
    log: Log


@pytest.fixture
def moving(operator: Operator, site: Site, rollouts: RolloutSite, log: Log) -> Iterator[Moving]:
    legacy = OldRegistry(operator.store_url)
    yield Moving(site, rollouts, legacy, log)
    legacy.close()


def test_every_accepted_change_reaches_the_broker_in_order_in_every_phase(
    moving: Moving, platform: PlatformSite, broker: Mosquitto, subscriber: Subscriber
) -> None:
    site, rollouts, log = moving.site, moving.rollouts, moving.log
    platform.broker("one", broker.port)
    rollouts.declare("Server", "Legacy", transitions=_AT_ONCE)
    rollouts.await_status("Server", phase="Legacy", state="Complete")
    for name in ("first", "second"):
        site.create("Server", name, {**SERVER, "hostname": f"{name}.example"})
        site.await_reason("Server", name, "WrittenToLegacy")
    assert log.all(site.namespace) == [], "in Legacy there is nothing to publish"

    expected: dict[str, list[str]] = {"first": [], "second": []}
    for phase in ("DualWrite", "ProjectionOnly", "AsyncCommands", "ProjectionOnly", "DualWrite"):
        rollouts.change("Server", targetPhase=phase)
        rollouts.await_status("Server", phase=phase, state="Complete")
        for name, said in expected.items():
            for criticality in ("low", "critical"):
                site.change("Server", name, criticality=criticality)
                site.await_ready("Server", name)
                said.append(criticality)
    moving.legacy.run("UPDATE servers SET criticality = 'medium' WHERE id = 'first'")
    expected["first"].append("medium")
    until(
        lambda: _told(log, site, "first") == expected["first"],
        lambda: f"the log has {expected['first']}, not {_told(log, site, 'first')}",
    )
    assert _told(log, site, "second") == expected["second"]

    recorded = log.all()
    until(lambda: subscriber.distinct >= len(recorded), "everything is published", seconds=90)
    streams = {event.stream_id for event in recorded}
    assert streams == {
        "rollout/-/server",
        *(site.ref("Server", name).stream_id for name in expected),
    }
    for stream in streams:
        wanted = [
            (stream, event.version, str(event.event_id))
            for event in recorded
            if event.stream_id == stream
        ]
        # Sent again is allowed, with the same id; order is that of the first arrivals.
        first_arrivals = dict.fromkeys(each for each in subscriber.seen if each[0] == stream)
        assert list(first_arrivals) == wanted


def _told(log: Log, site: Site, name: str) -> list[str]:
    """Values of criticality as the log has them, but for that of the row when it began."""
    values = [event.data["entity"]["criticality"] for event in log.of(site.ref("Server", name))]
    return [value for value in values if value != SERVER["criticality"]]


def test_a_change_is_reconciling_until_its_command_was_decided(
    operator: Operator, moving: Moving
) -> None:
    """Goes on where the first left the kind: in DualWrite, whoever declares it again."""
    site, rollouts, legacy, log = moving.site, moving.rollouts, moving.legacy, moving.log
    rollouts.declare("Server", "AsyncCommands", transitions=_AT_ONCE)
    rollouts.await_status("Server", phase="AsyncCommands", state="Complete")
    site.change("Server", "first", criticality="low")
    site.await_ready("Server", "first")
    ref = site.ref("Server", "first")
    before = len(log.of(ref))

    with legacy.engine.begin() as connection:
        _hold(connection, ref.stream_id, datetime.now(UTC) + timedelta(hours=1), "paused")
    site.change("Server", "first", criticality="high")
    body = site.await_reason("Server", "first", "CommandQueued")
    assert site.condition("Server", "first") == ("False", "CommandQueued")
    assert site.condition("Server", "first", "Reconciling") == ("True", "CommandQueued")
    assert body["status"]["observedGeneration"] == body["metadata"]["generation"]
    command = body["status"]["commandId"]
    arguments = ["show", command, "--store", operator.store_url]
    assert '"queued"' in CliRunner().invoke(commands, [*arguments, "-o", "json"]).output.lower()
    assert len(log.of(ref)) == before
    site.change("Server", "second", criticality="high")
    site.await_ready("Server", "second")
    assert site.condition("Server", "first", "Reconciling") == ("True", "CommandQueued")

    with legacy.engine.begin() as connection:
        _hold(connection, ref.stream_id, datetime.now(UTC), "paused")
    site.await_ready("Server", "first")
    assert site.condition("Server", "first", "Reconciling") is None
    assert len(log.of(ref)) == before + 1
    assert '"finished"' in CliRunner().invoke(commands, [*arguments, "-o", "json"]).output.lower()


def _hold(connection: Connection, stream_id: str, until_: datetime, worker: str) -> None:
    """Leave the stream to a worker that does nothing until its lease ends."""
    held = update(command_stream).where(command_stream.c.stream_id == stream_id)
    values = {"owner": worker, "epoch": command_stream.c.epoch + 1, "claimable_at": until_}
    assert connection.execute(held.values(values)).rowcount == 1
