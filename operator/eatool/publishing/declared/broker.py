"""``EventBroker``: where events go, and how."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, Strict

from eatool.domain.fields import Flag, Timestamp
from eatool.domain.kind import SpecObject
from eatool.domain.text import Text
from eatool.publishing.declared.fields import Seconds, SecretRef, TlsSecretRef
from eatool.publishing.declared.selection import EventTypeName, SelectionSpec
from eatool.publishing.topics import DEFAULT_TEMPLATE

BrokerType = Literal["solace", "mqtt"]
ContentModeName = Literal["Structured", "Binary", "JSON"]

Address = Annotated[
    str,
    Text(
        512,
        pattern=r"(?:mqtts?|tcps?)://(?:\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(?::[0-9]{1,5})?",
        legal="mqtt[s]://host[:port] for MQTT or tcp[s]://host[:port] for Solace; credentials "
        "belong into a Secret",
    ),
]
Template = Annotated[
    str,
    Text(
        1024,
        pattern=r"[^/+#*>$\s](?:[^+#*>\s]*[^/+#*>\s])?",
        legal="topic levels without wildcards and blanks; placeholders are {env}, {namespace}, "
        "{entity_type}, {event_type}, {event_version} and {entity_id}",
    ),
]


class TlsSpec(SpecObject):
    """TLS of the connection; certificates are always verified."""

    ca: SecretRef | None = Field(
        None, description="PEM certificates of the CAs to trust; none = those of the image."
    )
    client_certificate: TlsSecretRef | None = Field(
        None, description="Certificate and key to present to the broker."
    )
    server_name: Annotated[str, Text(253)] | None = Field(
        None, description="Name expected in the broker's certificate; none = the host."
    )
    minimum_version: Literal["TLSv1.2", "TLSv1.3"] | None = Field(
        None, description="Oldest protocol version; TLSv1.2 when not given."
    )


class BasicCredentials(SpecObject):
    """User name and password from one Secret (type kubernetes.io/basic-auth fits)."""

    name: Annotated[str, Text(253)] = Field(
        description="Name of the Secret, with the keys username and password."
    )


class CredentialsSpec(SpecObject):
    """How to log in; without any of these, as nobody or by the client certificate."""

    basic: BasicCredentials | None = Field(None, description="User name and password.")
    oauth2: SecretRef | None = Field(
        None, description="OAuth 2.0 access token; Solace over TLS only."
    )


class SolaceSpec(SpecObject):
    """What only Solace PubSub+ has."""

    message_vpn: Annotated[str, Text(32)] | None = Field(
        None, description="Message VPN; default when not given."
    )
    client_name: Annotated[str, Text(100)] | None = Field(
        None, description="Start of the client name; every connection adds its own suffix."
    )
    delivery_mode: Literal["Persistent", "Direct"] | None = Field(
        None,
        description="Persistent (default) waits for the broker to store; Direct may lose events.",
    )


class MqttSpec(SpecObject):
    """What only MQTT has."""

    version: Literal["5", "3.1.1"] | None = Field(None, description="Protocol version; default 5.")
    client_id: Annotated[str, Text(100)] | None = Field(
        None, description="Start of the client identifier; every connection adds its own suffix."
    )
    keep_alive_seconds: Annotated[int, Strict(), Field(ge=1, le=65_535)] | None = Field(
        None, description="Longest silence of the client; default 15."
    )
    qos: Annotated[int, Strict(), Field(ge=0, le=2)] | None = Field(
        None, description="Quality of service; default 1. With 0 events may be lost."
    )
    retain: Flag | None = Field(
        None, description="Let the broker keep the newest event of each topic; default false."
    )
    encode_dots: Flag | None = Field(
        None,
        description="Write dots in names as %2E in topics, for brokers that separate levels with "
        "dots inside, such as RabbitMQ and NATS; default false.",
    )
    max_packet_size: Annotated[int, Strict(), Field(ge=256, le=268_435_460)] | None = Field(
        None, description="Own limit in bytes, for MQTT 3.1.1 brokers that do not tell theirs."
    )


class DeliverySpec(SpecObject):
    """How the broker should treat a message it has taken; what it has no notion of is left out."""

    ttl_seconds: Seconds | None = Field(
        None, description="Time to live at the broker; none = for ever. MQTT: message expiry (5)."
    )
    dmq_eligible: Flag | None = Field(
        None, description="Solace: an expired message goes to the dead message queue; default true."
    )
    priority: Annotated[int, Strict(), Field(ge=0, le=255)] | None = Field(
        None, description="Solace: 0 (lowest) to 9 have an effect in priority queues; default 4."
    )


class EventDeliverySpec(DeliverySpec):
    """Exceptions for one event type."""

    event_type: EventTypeName = Field(description="Event type, such as ApplicationDeleted.")


class PinnedVersion(SpecObject):
    """The version of one event type that the consumers of this broker can read."""

    event_type: EventTypeName = Field(description="Event type, such as ApplicationCreated.")
    version: Annotated[int, Strict(), Field(ge=1, le=1000)] = Field(
        description="Schema version to publish it in; a newer event is downcast."
    )


class RateLimitSpec(SpecObject):
    """Most events that leave for this broker."""

    events_per_second: Annotated[int, Strict(), Field(ge=1, le=1_000_000)] = Field(
        description="Events per second, averaged."
    )
    burst: Annotated[int, Strict(), Field(ge=1, le=1_000_000)] | None = Field(
        None, description="Events at once after a pause; default one second's worth."
    )


class StartSpec(SpecObject):
    """Where a broker without a checkpoint begins; no effect once it has one."""

    position: Literal["Earliest", "Latest", "Timestamp"] = Field(
        description="Earliest: the whole log. Latest: what is recorded from now on. Timestamp: "
        "what was recorded after it."
    )
    timestamp: Timestamp | None = Field(None, description="UTC, only with position Timestamp.")


class EventBrokerSpec(SpecObject):
    """A message broker that is sent the events of the registry, at least once and in order."""

    type: BrokerType = Field(description="solace (SMF) or mqtt; fixed at creation.")
    addresses: Annotated[tuple[Address, ...], Field(min_length=1, max_length=16)] = Field(
        description="Where the broker listens; tried in turn at every connect."
    )
    tls: TlsSpec | None = Field(None, description="TLS; needs mqtts:// or tcps:// addresses.")
    credentials: CredentialsSpec | None = Field(None, description="How to log in.")
    solace: SolaceSpec | None = Field(None, description="Only with type solace.")
    mqtt: MqttSpec | None = Field(None, description="Only with type mqtt.")
    topic_template: Template | None = Field(
        None, description=f"Topic of each event; default {DEFAULT_TEMPLATE}."
    )
    content_mode: ContentModeName | None = Field(
        None,
        description="CloudEvents in the payload (default) or as properties with the bare data, or "
        "plain JSON. Binary needs MQTT 5 or Solace.",
    )
    select: SelectionSpec | None = Field(
        None, description="Which events; all of them when not given."
    )
    accepted_versions: tuple[PinnedVersion, ...] = Field(
        (), max_length=100, description="Event types whose consumers are pinned to a version."
    )
    delivery: DeliverySpec | None = Field(None, description="For all events.")
    event_delivery: tuple[EventDeliverySpec, ...] = Field(
        (), max_length=100, description="For single event types, over what delivery says."
    )
    rate_limit: RateLimitSpec | None = Field(None, description="None = as fast as it goes.")
    window: Annotated[int, Strict(), Field(ge=1, le=10_000)] | None = Field(
        None, description="Events in flight, at most one of an entity; default 512, Solace 200."
    )
    required: Flag | None = Field(
        None,
        description="Entities are Published only when this broker has their newest event; "
        "default true.",
    )
    suspended: Flag | None = Field(
        None, description="Send nothing; events wait in the log. Default false."
    )
    start: StartSpec | None = Field(None, description="Default Earliest.")
