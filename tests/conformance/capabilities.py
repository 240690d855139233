"""What each broker does, declared: the suite fails when one behaves differently from this table.

``yes`` is the default. Everything else is a :class:`Capability` of its own, asserted like any
other outcome: a broker that learns something is as much a failure here as one that forgets it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

from eatool.publishing.mqtt_options import Version


class Feature(StrEnum):
    """One row of the documented table; the value is its text."""

    SESSION = "a session opens"
    QOS_0 = "QoS 0: all delivered"
    QOS_1 = "QoS 1, 300 in flight: all acknowledged and delivered"
    QOS_2 = "QoS 2, 300 in flight: all acknowledged and delivered"
    QOS_2_FEW = "QoS 2, 10 in flight: all acknowledged and delivered"
    ORDER = "order per stream, 256 in flight"
    KILLED = "`kill -9` while events flow: all of them reach a subscriber that keeps up"
    KILLED_OFFLINE = "`kill -9`: what waits for an offline subscriber is kept"
    RESUMED = "an offline subscriber with a session gets everything later"
    RETAINED = "retained messages"
    WILDCARDS = "wildcards `#` and `+`"
    DOT = "a dot within a topic level"
    TOPIC_255 = "topic of 255 bytes"
    TOPIC_256 = "topic of 256 bytes"
    TOPIC_5000 = "topic of 5,000 bytes"
    TOPIC_LONGEST = "topic of 65,535 bytes, MQTT's limit"
    TOO_LARGE = "message over the broker's limit"
    TOO_LARGE_SENT = "the same, sent by a client that ignores the announced limit"
    TLS = "TLS, the certificate checked against a CA"
    CLIENT_CERTIFICATE = "client certificate required and verified"
    PASSWORD = "wrong password"
    FORBIDDEN = "topic forbidden by an access rule"
    PROPERTIES = "user properties and content type"
    EXPIRY = "message expiry"
    RECEIVE_MAXIMUM = "Receive Maximum"
    SILENCE = "silent connection noticed by keep-alive"
    TAKEOVER = "a second session with the same client id"


#: MQTT 3.1.1 has no such thing.
ONLY_5: Final = frozenset({
    Feature.TOO_LARGE_SENT, Feature.PROPERTIES, Feature.EXPIRY, Feature.RECEIVE_MAXIMUM,
})  # fmt: skip


class Column(NamedTuple):
    """A broker, by the name of its product, and a version of MQTT."""

    broker: str
    version: Version


@dataclass(frozen=True, slots=True)
class Capability:
    """``observed`` is the whole outcome; ``reason`` says why it is so, where that is known.

    ``harmful``: the broker is not to be trusted afterwards, so the test uses one of its own.
    """

    supported: bool
    observed: str
    reason: str = ""
    harmful: bool = False


YES: Final = Capability(supported=True, observed="yes")

MOSQUITTO_5: Final = Column("mosquitto", "5")
MOSQUITTO_311: Final = Column("mosquitto", "3.1.1")
HIVEMQ_5: Final = Column("hivemq", "5")
HIVEMQ_311: Final = Column("hivemq", "3.1.1")
RABBITMQ_5: Final = Column("rabbitmq", "5")
RABBITMQ_311: Final = Column("rabbitmq", "3.1.1")
NATS_5: Final = Column("nats", "5")
NATS_311: Final = Column("nats", "3.1.1")

_NOT_SENT: Final = Capability(
    supported=True,
    observed="not sent: over the announced limit",
    reason="MQTT 5 announces the limit; our adapter refuses the event itself, "
    "and its stream parks.",
)
_CLOSED_OVER: Final = Capability(
    supported=False,
    observed="connection closed",
    reason="MQTT 3.1.1 cannot say why: the stream parks after three tries. Set `max_packet_size`.",
)
_NOT_AUTHORIZED: Final = Capability(
    supported=True, observed="broker refused the connection: Not authorized"
)
_BAD_PASSWORD: Final = Capability(
    supported=True, observed="broker refused the connection: Bad user name or password"
)
_FIRST_CLOSED: Final = Capability(
    supported=True,
    observed="first connection closed",
    reason="No reason is given, so two relays with one `client_id` look like a flapping broker.",
)
_LATE: Final = Capability(
    supported=False,
    observed="no",
    reason="Mosquitto saves every 30 minutes (`autosave_interval`), not before it acknowledges.",
)
_QOS_1_INSTEAD: Final = Capability(
    supported=False, observed="delivered with QoS 1", reason="RabbitMQ treats QoS 2 as QoS 1."
)
_NO_QOS_2: Final = Capability(
    supported=False, observed="connection closed", reason="QoS 2 came with NATS 2.10."
)
_CLOSED_FORBIDDEN: Final = Capability(
    supported=False,
    observed="connection closed",
    reason="MQTT 3.1.1 cannot say why: the stream parks after three tries.",
)
_RESPECTED: Final = Capability(supported=True, observed="200 announced, respected")
_REFUSED_AND_CLOSED: Final = Capability(
    supported=True,
    observed="refused: Not authorized (0x87), then connection closed",
    reason="The stream parks at once; what was in flight beside it is sent again.",
)

DECLARED: Final[dict[Column, dict[Feature, Capability]]] = {
    MOSQUITTO_5: {
        Feature.KILLED_OFFLINE: _LATE,
        Feature.TOO_LARGE: _NOT_SENT,
        Feature.TOO_LARGE_SENT: Capability(
            supported=True, observed="connection closed: Packet too large"
        ),
        Feature.PASSWORD: _NOT_AUTHORIZED,
        Feature.FORBIDDEN: _REFUSED_AND_CLOSED,
        Feature.RECEIVE_MAXIMUM: _RESPECTED,
        Feature.TAKEOVER: _FIRST_CLOSED,
    },
    MOSQUITTO_311: {
        Feature.QOS_2: Capability(
            supported=False,
            observed="connection closed",
            reason="Mosquitto takes `max_inflight_messages` (200 here, 20 by default) QoS 2 "
            "messages at once, and MQTT 3.1.1 has no way to announce it. Use QoS 1 or MQTT 5.",
        ),
        Feature.KILLED_OFFLINE: _LATE,
        Feature.TOO_LARGE: _CLOSED_OVER,
        Feature.PASSWORD: _NOT_AUTHORIZED,
        Feature.FORBIDDEN: Capability(
            supported=False,
            observed="acknowledged, dropped, then connection closed",
            reason="The event is lost to subscribers and nobody is told: use MQTT 5 where access "
            "rules matter.",
        ),
        Feature.TAKEOVER: _FIRST_CLOSED,
    },
    HIVEMQ_5: {
        Feature.TOO_LARGE: _NOT_SENT,
        Feature.TOO_LARGE_SENT: Capability(
            supported=True, observed="connection closed: Packet too large"
        ),
        Feature.PASSWORD: _BAD_PASSWORD,
        Feature.FORBIDDEN: _REFUSED_AND_CLOSED,
        Feature.RECEIVE_MAXIMUM: _RESPECTED,
        Feature.TAKEOVER: Capability(
            supported=True, observed="first connection closed: Session taken over"
        ),
    },
    HIVEMQ_311: {
        Feature.TOO_LARGE: _CLOSED_OVER,
        Feature.PASSWORD: _BAD_PASSWORD,
        Feature.FORBIDDEN: _CLOSED_FORBIDDEN,
        Feature.TAKEOVER: _FIRST_CLOSED,
    },
    RABBITMQ_5: {
        Feature.SESSION: Capability(
            supported=False, observed="connection closed", reason="MQTT 5 came with RabbitMQ 3.13."
        )
    },
    RABBITMQ_311: {
        Feature.QOS_2: _QOS_1_INSTEAD,
        Feature.QOS_2_FEW: _QOS_1_INSTEAD,
        Feature.DOT: Capability(
            supported=False,
            observed="delivered to web/shop/x",
            reason="RabbitMQ separates levels with dots inside and makes slashes of all of them "
            "on the way out: an entity named `web.shop` arrives one level deeper. Set "
            "`encodeDots`.",
        ),
        Feature.TOO_LARGE: Capability(
            supported=False,
            observed="no answer",
            reason="Over `max_message_size` (128 MiB by default) it neither acknowledges nor "
            "refuses, and answers nothing on that connection any more. The relay opens a new one "
            "and begins with other events; the stream parks after three tries of 30 seconds. Set "
            "`max_packet_size`.",
        ),
        Feature.PASSWORD: _BAD_PASSWORD,
        Feature.FORBIDDEN: _CLOSED_FORBIDDEN,
        Feature.TAKEOVER: _FIRST_CLOSED,
    },
    NATS_5: {
        Feature.SESSION: Capability(
            supported=False,
            observed="broker refused the connection: Unsupported protocol version",
            reason="NATS server speaks MQTT 3.1.1 only.",
        )
    },
    NATS_311: {
        Feature.QOS_2: _NO_QOS_2,
        Feature.QOS_2_FEW: _NO_QOS_2,
        Feature.DOT: Capability(
            supported=False,
            observed="connection closed",
            reason="NATS 2.9 takes no dots and spaces in topics, its own separators: entities with "
            "dots in their names park. Set `encodeDots`.",
        ),
        Feature.TOPIC_LONGEST: Capability(
            supported=False,
            observed="acknowledged, dropped",
            reason="With NATS's own prefix the subject is longer than its file format can say "
            "(from 65,525 bytes on). Reading that file later made 2.9.10 panic more than once "
            "(`filestore.go`, slice bounds out of range).",
            harmful=True,
        ),
        Feature.TOO_LARGE: Capability(
            supported=False,
            observed="delivered all the same",
            reason="`max_payload` does not apply to MQTT publishers.",
        ),
        Feature.PASSWORD: _NOT_AUTHORIZED,
        Feature.FORBIDDEN: Capability(
            supported=False,
            observed="acknowledged, dropped",
            reason="The event is lost to subscribers and nobody is told: check the rules of the "
            "relay's user before events flow.",
        ),
        Feature.TAKEOVER: _FIRST_CLOSED,
    },
}


def declared(column: Column, feature: Feature) -> Capability:
    """What is expected of a broker."""
    return DECLARED[column].get(feature, YES)


def features(column: Column) -> list[Feature]:
    """The rows that say something about a column."""
    if not declared(column, Feature.SESSION).supported:
        return [Feature.SESSION]
    return [each for each in Feature if column.version == "5" or each not in ONLY_5]


#: Where there is a session to test.
COLUMNS: Final = [column for column in DECLARED if len(features(column)) > 1]
