"""An entity that a broker refuses: seen as an object, released with an annotation."""

from __future__ import annotations

from typing import Any

import pytest
from tests.operator.operators import Operator, until
from tests.operator.platform_site import PlatformSite
from tests.operator.site import SERVER, Site
from tests.plugins.mosquitto import BrokerFactory, Mosquitto
from tests.publishing.subscriber import Subscriber

from eatool.kube.platform.resources import EVENT_BROKER, PARKED_STREAM, parked_name

REFUSED = "refused"
TEMPLATE = "{entity_id}/{event_type}"


@pytest.fixture(scope="module")
def settings(site: Site) -> dict[str, Any]:
    return {"namespace": site.namespace, "resync_interval": 3600}


@pytest.fixture
def broker(make_mosquitto: BrokerFactory) -> Mosquitto:
    """Takes everything but the events of one entity."""
    broker = make_mosquitto(acl=f"topic readwrite #\ntopic deny {REFUSED}/#\ntopic deny left/#\n")
    broker.start()
    return broker


def allow_everything(broker: Mosquitto) -> None:
    broker.set_acl("topic readwrite #\n")


def test_a_refused_entity_is_parked_shown_and_released_in_order(
    operator: Operator,
    site: Site,
    platform: PlatformSite,
    broker: Mosquitto,
    subscriber: Subscriber,
) -> None:
    platform.broker("choosy", broker.port, topicTemplate=TEMPLATE)
    site.create("Server", REFUSED, SERVER)
    site.create("Server", "fine", SERVER)
    stream = f"server/{site.namespace}/{REFUSED}"
    until(lambda: platform.parked("choosy", stream), "the entity is parked", seconds=60)

    def shown() -> Any:
        return (platform.parked("choosy", stream) or {}).get("status", {})

    until(lambda: shown().get("waitingEvents") == 1, "its status is written")
    parked = platform.parked("choosy", stream)
    assert parked is not None
    assert parked["spec"] == {"broker": "choosy", "stream": stream}
    assert parked["metadata"]["labels"] == {"platform.eatool.io/broker": "choosy"}
    owner = parked["metadata"]["ownerReferences"][0]
    assert (owner["kind"], owner["name"]) == ("EventBroker", "choosy")
    assert "Not authorized" in parked["status"]["reason"]
    assert (parked["status"]["state"], parked["status"]["firstVersion"]) == ("Parked", 1)
    until(lambda: platform.row("choosy")["PARKED"] == "1", "the broker counts it")
    # Mosquitto 2.0.11 ends the session after refusing a message, which is no lasting matter.
    told = platform.await_reason(EVENT_BROKER, "choosy", "Publishing")
    assert "1 entity is parked" in told["message"]
    until(lambda: ("Warning", "StreamParked") in platform.events("choosy"), "it is announced")
    site.await_ready("Server", REFUSED)

    (parking,) = (line for line in operator.records() if "parking" in line["message"])
    recorded = site.get("Server", REFUSED)["status"]["correlationId"]
    assert parking["correlation_id"] == recorded

    for region in ("a", "b", "c"):
        site.change("Server", REFUSED, region=region)
        site.await_ready("Server", REFUSED)
    until(lambda: shown().get("waitingEvents") == 4, "what waits is counted")

    platform.delete(PARKED_STREAM, parked_name("choosy", stream))
    until(lambda: shown().get("state") == "Parked", "it comes back while it is parked")

    platform.ask_for_resend("choosy", stream, "1")
    until(lambda: shown().get("lastHandledResend") == "1", "the request was seen")
    until(lambda: shown().get("state") == "Parked", "the broker refuses as before")
    fine = [f"server/{site.namespace}/fine"]
    until(lambda: [each for each, _, _ in subscriber.seen] == fine, "the other one is there")

    allow_everything(broker)
    platform.ask_for_resend("choosy", stream, "2")
    until(lambda: platform.parked("choosy", stream) is None, "it has caught up", seconds=60)
    until(lambda: subscriber.distinct == 5, "everything arrives")
    mine = [version for each, version, _ in subscriber.seen if each == stream]
    assert mine == [1, 2, 3, 4]
    until(lambda: platform.row("choosy")["PARKED"] == "0", "the broker counts none")

    site.change("Server", REFUSED, region="d")
    until(lambda: subscriber.distinct == 6, "it flows again")
    assert [version for each, version, _ in subscriber.seen if each == stream][-1] == 5
    assert operator.metric("eatool_dead_letters_total", broker="choosy", entity="server") >= 2


def test_what_a_broker_parked_goes_with_it(
    operator: Operator, site: Site, platform: PlatformSite, broker: Mosquitto
) -> None:
    platform.broker("leaving", broker.port, start={"position": "Latest"}, topicTemplate=TEMPLATE)
    platform.await_reason(EVENT_BROKER, "leaving", "Publishing")
    site.create("Server", "left", SERVER)
    stream = f"server/{site.namespace}/left"
    until(lambda: platform.parked("leaving", stream), "the entity is parked", seconds=60)
    platform.delete(EVENT_BROKER, "leaving")
    until(lambda: platform.parked("leaving", stream) is None, "its parked streams are gone")

    platform.broker("leaving", broker.port, topicTemplate=TEMPLATE)
    until(lambda: platform.parked("leaving", stream), "but they were not forgotten", seconds=60)
