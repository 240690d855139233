"""Messages as the Solace client library wants them; docs/solace.md has the mapping."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

from solace.messaging.config.solace_properties import message_properties
from solace.messaging.resources.topic import Topic

from eatool.publishing.port import Delivery, Message

#: What the broker spreads the messages of a partitioned queue by.
PARTITION_KEY: Final = "JMSXGroupID"


class Outbound:
    """Makes the library's messages for one service."""

    def __init__(self, service: Any) -> None:
        # What is set on a builder stays set for all its messages, and costs nothing for each.
        self._builder = lru_cache(maxsize=256)(
            lambda content_type, delivery: service.message_builder().from_properties(
                {message_properties.HTTP_CONTENT_TYPE: content_type, **_properties(delivery)}
            )
        )

    def message(self, message: Message) -> Any:
        """The library's message; raises what the library raises."""
        properties = {
            **message.attributes,
            PARTITION_KEY: message.stream_id,
            message_properties.APPLICATION_MESSAGE_ID: message.event_id,
        }
        if message.correlation_id is not None:
            properties[message_properties.CORRELATION_ID] = message.correlation_id
        return self._builder(message.content_type, message.delivery).build(
            bytearray(message.payload), additional_message_properties=properties
        )


@lru_cache(maxsize=8192)
def topic_of(topic: str) -> Any:
    """The library's destination."""
    return Topic.of(topic)


def _properties(delivery: Delivery) -> dict[str, int | bool]:
    properties: dict[str, int | bool] = {}
    if delivery.ttl is not None:
        properties[message_properties.PERSISTENT_TIME_TO_LIVE] = delivery.ttl * 1000
    if not delivery.dmq_eligible:
        properties[message_properties.PERSISTENT_DMQ_ELIGIBLE] = False
    if delivery.priority is not None:
        properties[message_properties.PRIORITY] = delivery.priority
    return properties
