"""What the relay asks of a broker: take messages, answer each one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol, runtime_checkable


@dataclass(frozen=True, slots=True)
class Delivery:
    """How the broker should treat messages it has taken; adapters leave out what it cannot do.

    Attributes:
        ttl: seconds until the broker may drop the message; ``None`` = never.
        dmq_eligible: an expired message goes to the dead message queue (Solace).
        priority: 0 to 255; ``None`` = the broker's default (Solace).

    """

    ttl: int | None = None
    dmq_eligible: bool = True
    priority: int | None = None


#: Keep it for ever, treat it like any other.
DEFAULT_DELIVERY: Final = Delivery()


@dataclass(slots=True)
class Message:
    """One event on its way out, already encoded (CloudEvents structured or binary mode).

    Not frozen only because freezing triples the cost of making one; nobody changes it.

    Attributes:
        topic: full topic, every level sanitised.
        payload: bytes on the wire.
        content_type: media type of ``payload``.
        attributes: CloudEvents context attributes, sent as user properties in binary mode;
            empty in structured mode, where the payload holds them.
        event_id: de-duplication id, the same on every re-send.
        stream_id: ordering key.
        correlation_id: what ties the event to the change that caused it, if known.
        delivery: shared by all messages of one event type.

    """

    topic: str
    payload: bytes
    content_type: str
    attributes: Mapping[str, str]
    event_id: str
    stream_id: str
    correlation_id: str | None = None
    delivery: Delivery = DEFAULT_DELIVERY


class PublishError(Exception):
    """The broker refused this message and does not say for how long: counts as an attempt."""


class TransientPublishError(PublishError):
    """Connection, timeout, back-pressure: the broker's fault; never counts against the event."""


class Fault(StrEnum):
    """What a session failed at, as its adapter knows; the most telling first."""

    #: A certificate, ours or the broker's, is not accepted by the other side.
    CERTIFICATE = "certificate"
    #: No TLS session for any other reason.
    TLS = "tls"
    #: The message VPN is not there or not for us (Solace).
    VPN = "vpn"
    #: The name that the client gives itself is refused (Solace).
    CLIENT_NAME = "client-name"
    #: The client identifier is refused (MQTT).
    CLIENT_ID = "client-id"
    #: User, password, token or their rights are refused.
    LOGIN = "login"
    #: The host name cannot be resolved.
    HOST = "host"
    #: Nobody there, no answer, an end without a reason that has a name here.
    CONNECTION = "connection"


class SessionLost(TransientPublishError):
    """The session is gone or could not be opened; whatever was outstanding is unconfirmed.

    The text is for people; programs look at ``fault``.
    """

    def __init__(self, why: str, fault: Fault = Fault.CONNECTION) -> None:
        super().__init__(why)
        self.fault = fault


class SessionSilent(SessionLost):
    """The session answers nothing any more, although nobody has ended it."""


class PermanentPublishError(PublishError):
    """Too large, not authorised, refused topic: this event will not pass as it is."""


class Publisher(Protocol):
    """One connection to one broker. A failed connection is closed and opened anew."""

    async def connect(self) -> None:
        """Open the session; :class:`SessionLost` when the broker is not there or refuses us."""
        ...

    def publish(self, message: Message) -> asyncio.Future[None]:
        """Hand over one message without waiting.

        The future ends when the broker has acknowledged it, or with a :class:`PublishError`.
        Many may be outstanding; acknowledgements may arrive in any order.
        """
        ...

    async def lost(self) -> SessionLost:
        """Wait until the session ends by itself; the answer says why."""
        ...

    async def close(self) -> None:
        """Give up the session; outstanding futures end with :class:`SessionLost`."""
        ...


@runtime_checkable
class Addressed(Protocol):
    """A publisher that can tell which of several addresses its session goes to."""

    address: str | None


#: Makes a fresh, unconnected publisher; called once per connection.
PublisherFactory = Callable[[], Publisher]
