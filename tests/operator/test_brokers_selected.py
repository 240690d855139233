"""What is sent to a broker that is declared for a part of the landscape only."""

from __future__ import annotations

from collections import defaultdict
from contextlib import closing
from typing import Any
from uuid import uuid4

import pytest
from paho.mqtt import publish
from tests.operator.conftest import new_site
from tests.operator.operators import Operator, until
from tests.operator.platform_site import PlatformSite
from tests.operator.site import APPLICATION, SERVER, Log, Site
from tests.plugins.mosquitto import Mosquitto
from tests.publishing.subscriber import Subscriber

from eatool.dev.apiclient import ApiClient
from eatool.kube.platform.resources import EVENT_BROKER

#: Where the levels say all that can be selected.
TEMPLATE = "{namespace}/{event_type}/{entity_id}"
#: Namespace, event type, entity.
Sent = tuple[str, str, str]
#: Two namespaces of one landscape.
Sites = tuple[Site, Site]


@pytest.fixture(scope="module")
def sites(site: Site, admin: ApiClient) -> Sites:
    return site, new_site(admin)


@pytest.fixture(scope="module")
def settings(site: Site, sites: Sites) -> dict[str, Any]:
    namespaces = ",".join(each.namespace for each in sites)
    return {"namespace": site.namespace, "namespaces": namespaces, "resync_interval": 3600}


def by_prefix(subscriber: Subscriber) -> dict[str, list[Sent]]:
    """What came, by the levels of the topic before those of the template."""
    found: dict[str, set[Sent]] = defaultdict(set)
    for message in subscriber.messages:
        prefix, namespace, event_type, entity = message.topic.rsplit("/", 3)
        found[prefix].add((namespace, event_type, entity))
    return {prefix: sorted(events) for prefix, events in found.items()}


def await_everything_so_far(broker: Mosquitto, subscriber: Subscriber) -> None:
    """What the broker has acknowledged has reached the subscriber: it keeps the order."""
    mark = f"end/of/the/{uuid4().hex}"
    publish.single(mark, qos=1, port=broker.port)
    until(lambda: subscriber.messages[-1].topic == mark, "the subscriber has all of it")
    subscriber.messages.pop()


def test_kinds_namespaces_and_event_types_that_are_not_selected_are_not_sent(
    operator: Operator,
    sites: Sites,
    platform: PlatformSite,
    broker: Mosquitto,
    subscriber: Subscriber,
) -> None:
    site, tenant = sites
    selections: dict[str, dict[str, list[str]]] = {
        "all": {},
        "kinds": {"kinds": ["Server"]},
        "namespaces": {"namespaces": [tenant.namespace]},
        "types": {"eventTypes": ["ApplicationUpdated", "ServerCreated"]},
        "both": {"kinds": ["Application"], "namespaces": [site.namespace]},
    }
    for name, select in selections.items():
        platform.broker(name, broker.port, topicTemplate=f"{name}/{TEMPLATE}", select=select)
        platform.await_reason(EVENT_BROKER, name, "Publishing")
    for each in sites:
        each.create("Server", "db", SERVER)
        each.create("Application", "web", APPLICATION)
        each.await_ready("Server", "db")
        each.await_ready("Application", "web")
        each.change("Server", "db", region="north")
        each.change("Application", "web", description="Sells.")
        each.await_ready("Server", "db")
        each.await_ready("Application", "web")

    with closing(Log(operator.store_url)) as log:
        recorded = sorted(
            (event.ref.namespace, event.type.partition(".")[0], event.ref.name)
            for event in log.all()
        )
    assert len(recorded) == 8
    for name in selections:
        platform.await_position(name, len(recorded))
    expected = {
        "all": recorded,
        "kinds": [each for each in recorded if each[1].startswith("Server")],
        "namespaces": [each for each in recorded if each[0] == tenant.namespace],
        "types": [each for each in recorded if each[1] in selections["types"]["eventTypes"]],
        "both": [each for each in recorded if each[2] == "web" and each[0] == site.namespace],
    }
    assert all(expected.values())
    await_everything_so_far(broker, subscriber)
    assert by_prefix(subscriber) == expected

    select = {"kinds": ["Server"], "namespaces": [site.namespace]}
    platform.replay("part", "all", "replay", select=select)
    platform.await_state("part", "Completed")
    await_everything_so_far(broker, subscriber)
    again = [each for each in expected["kinds"] if each[0] == site.namespace]
    assert by_prefix(subscriber) == {**expected, "replay/all": again}
