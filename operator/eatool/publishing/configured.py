"""The relay that the settings describe: one broker, one destination."""

from __future__ import annotations

from eatool.domain.kinds import upcast
from eatool.publishing.checkpoints_sql import SqlCheckpoints
from eatool.publishing.cloudevents import CloudEventsEncoder, ContentMode
from eatool.publishing.mqtt import MqttPublisher
from eatool.publishing.mqtt_options import MqttOptions
from eatool.publishing.observer import Observer
from eatool.publishing.relay import Relay
from eatool.publishing.topics import TopicTemplate
from eatool.settings import Settings, pod_identity
from eatool.store.sql.log import SqlEventStore

#: The one destination that settings can name: whichever process publishes an event for it, all
#: others skip it.
DESTINATION = "default"


def configured_relay(
    settings: Settings,
    broker: MqttOptions,
    store: SqlEventStore,
    observer: Observer | None = None,
) -> Relay:
    """Make a relay from the log to ``broker``; call it in the event loop it will run in."""
    template = TopicTemplate(settings.topic_template, settings.environment)
    return Relay(
        store,
        lambda: MqttPublisher(broker),
        SqlCheckpoints(store.engine),
        destination=DESTINATION,
        encoder=CloudEventsEncoder(template, ContentMode(settings.content_mode), upcast=upcast),
        owner=pod_identity(),
        window=settings.relay_window,
        observer=observer,
    )
