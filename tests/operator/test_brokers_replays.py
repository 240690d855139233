"""Replays declared as resources: to a prefix, paused, killed, and never run twice."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from tests.operator.operators import Operator, until
from tests.operator.platform_site import PlatformSite
from tests.operator.site import SERVER, Site
from tests.plugins.mosquitto import BrokerFactory, Mosquitto
from tests.publishing.subscriber import Subscriber

from eatool.kube.platform.resources import EVENT_BROKER, EVENT_REPLAY

ENTITIES = 40
#: Slow enough to be caught on the way.
SLOWLY = {"eventsPerSecond": 8, "burst": 1}


@pytest.fixture(scope="module")
def settings(site: Site) -> dict[str, Any]:
    return {"namespace": site.namespace, "resync_interval": 3600}


@pytest.fixture
def broker(
    operator: Operator, site: Site, platform: PlatformSite, make_mosquitto: BrokerFactory
) -> Iterator[Mosquitto]:
    """A declared broker that has a history."""
    broker = make_mosquitto()
    broker.start()
    platform.broker("main", broker.port)
    for number in range(ENTITIES):
        if site.find("Server", f"s-{number}") is None:
            site.create("Server", f"s-{number}", SERVER)
    site.await_ready("Server", f"s-{ENTITIES - 1}")
    site.await_current()
    platform.await_reason(EVENT_BROKER, "main", "Publishing")
    platform.await_caught_up("main")
    yield broker
    platform.delete(EVENT_BROKER, "main")
    for body in platform.all(EVENT_REPLAY):
        platform.delete(EVENT_REPLAY, body["metadata"]["name"])


@pytest.fixture
def subscriber(broker: Mosquitto) -> Iterator[Subscriber]:
    subscriber = Subscriber(broker.port, "replay/#")
    yield subscriber
    subscriber.close()


def in_order(subscriber: Subscriber) -> bool:
    """Versions of each entity never go back, but for repeats."""
    newest: dict[str, int] = {}
    for stream, version, _ in subscriber.seen:
        if version < newest.get(stream, 0):
            return False
        newest[stream] = version
    return True


def test_a_replay_sends_its_range_under_its_prefix_and_ends(
    operator: Operator, site: Site, platform: PlatformSite, subscriber: Subscriber
) -> None:
    head = platform.await_caught_up("main")["head"]
    platform.replay(
        "part", "main", "replay/part", range={"afterPosition": 5, "toPosition": head - 5}
    )
    status = platform.await_state("part", "Completed")
    assert (status["startPosition"], status["endPosition"]) == (5, head - 5)
    assert (status["position"], status["progress"]) == (head - 5, "100%")
    assert platform.condition(EVENT_REPLAY, "part")["status"] == "True"
    assert subscriber.distinct == head - 10
    assert {each.topic.split("/", 2)[1] for each in subscriber.messages} == {"part"}
    assert in_order(subscriber)
    row = platform.kubectl("get", "eventreplays", "part").splitlines()[1].split()
    assert row[:6] == ["part", "main", "replay/part", "Completed", "100%", str(head - 10)]
    assert status["eventsSent"] == head - 10
    sent = len(subscriber.messages)
    site.change("Server", "s-0", region="later")
    site.await_ready("Server", "s-0")
    platform.change(EVENT_REPLAY, "part", rateLimit={"eventsPerSecond": 1})
    until(
        lambda: (
            platform.condition(EVENT_REPLAY, "part").get("reason") == "Completed"
            or platform.status(EVENT_REPLAY, "part")["observedGeneration"] == 2
        ),
        "the change was seen",
    )
    assert len(subscriber.messages) == sent, "ended means ended"


def test_a_paused_replay_goes_on_where_it_was_after_a_crash(
    operator: Operator, platform: PlatformSite, subscriber: Subscriber
) -> None:
    end = platform.await_caught_up("main")["head"]
    platform.replay("slow", "main", "replay/slow", rateLimit=SLOWLY)
    until(lambda: subscriber.distinct >= 5, "it is on its way")
    assert platform.status(EVENT_REPLAY, "slow")["endPosition"] == end

    platform.change(EVENT_REPLAY, "slow", suspended=True)
    platform.await_state("slow", "Paused")
    paused_at = subscriber.distinct
    assert paused_at < end
    until(lambda: sent("slow", platform) == paused_at, "all that was acknowledged is counted")

    operator.kill()
    operator.start_and_wait()
    until(lambda: platform.status(EVENT_BROKER, "main").get("circuit"), "it works again")
    platform.await_reason(EVENT_BROKER, "main", "Publishing", seconds=60)
    assert platform.status(EVENT_REPLAY, "slow")["state"] == "Paused"
    assert sent("slow", platform) == paused_at
    assert subscriber.distinct == paused_at, "paused stays paused"

    platform.change(EVENT_REPLAY, "slow", suspended=False)
    until(lambda: subscriber.distinct >= paused_at + 5, "it goes on", seconds=60)
    operator.kill()
    operator.start_and_wait()
    status = platform.await_state("slow", "Completed", seconds=90)
    assert status["endPosition"] == end, "decided once"
    assert subscriber.distinct == end
    repeats = len(subscriber.messages) - subscriber.distinct
    assert repeats < end / 2, "it did not begin anew"
    assert end <= status["eventsSent"] <= end + repeats
    assert in_order(subscriber)


def test_a_replay_waits_for_its_broker_and_runs_again_when_it_is_created_again(
    operator: Operator, platform: PlatformSite, subscriber: Subscriber
) -> None:
    platform.replay("early", "later", "replay/early", streams=[])
    platform.await_reason(EVENT_REPLAY, "early", "BrokerNotFound")
    assert platform.status(EVENT_REPLAY, "early")["state"] == "Pending"
    platform.delete(EVENT_REPLAY, "early")

    end = platform.await_caught_up("main")["head"]
    for _ in range(2):
        before = len(subscriber.messages)
        platform.replay("twice", "main", "replay/twice")
        platform.await_state("twice", "Completed")
        until(partial(has, subscriber, before + end), "all of it")
        platform.delete(EVENT_REPLAY, "twice")


def sent(replay: str, platform: PlatformSite) -> int:
    count = platform.status(EVENT_REPLAY, replay)["eventsSent"]
    assert isinstance(count, int)
    return count


def has(subscriber: Subscriber, messages: int) -> bool:
    return len(subscriber.messages) == messages


def test_a_range_beyond_the_log_is_told(
    operator: Operator, platform: PlatformSite, broker: Mosquitto
) -> None:
    platform.replay("odd", "main", "replay/odd", range={"afterPosition": 999_999})
    told = platform.await_reason(EVENT_REPLAY, "odd", "InvalidRange")
    assert told["message"].startswith("spec.range: ")
    assert platform.condition(EVENT_REPLAY, "odd", "Stalled")["status"] == "True"


def test_a_replay_of_an_entity_begins_once_that_is_recorded(
    operator: Operator, site: Site, platform: PlatformSite, subscriber: Subscriber
) -> None:
    late = f"server/{site.namespace}/s-late"
    platform.replay("one", "main", "replay/one", streams=[late])
    told = platform.await_reason(EVENT_REPLAY, "one", "UnknownStream")
    assert late in told["message"]
    assert platform.condition(EVENT_REPLAY, "one", "Stalled")["status"] == "True"
    site.create("Server", "s-late", SERVER)
    platform.await_state("one", "Completed")
    until(partial(has, subscriber, 1), "its event is sent")
