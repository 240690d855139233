"""What a broker's MQTT 5 reason code means for the message that got it."""

from __future__ import annotations

from typing import Final

from paho.mqtt.reasoncodes import ReasonCode

from eatool.publishing.port import (
    Fault,
    PermanentPublishError,
    PublishError,
    TransientPublishError,
)

#: Permanent, but as the reason for ending a session it may be about the client: its rights can be
#: withdrawn at any moment, whatever it has just sent.
_NOT_AUTHORIZED: Final = 0x87
#: The message itself is refused; sending it again changes nothing.
_PERMANENT: Final = frozenset({
    _NOT_AUTHORIZED,
    0x90,  # Topic Name invalid
    0x95,  # Packet too large
    0x99,  # Payload format invalid
    0x9A,  # Retain not supported
    0x9B,  # QoS not supported
})  # fmt: skip
#: The broker is short of something, or the two sides disagree on the session.
_TRANSIENT: Final = frozenset({
    0x88,  # Server unavailable
    0x89,  # Server busy
    0x8B,  # Server shutting down
    0x91,  # Packet identifier in use
    0x93,  # Receive Maximum exceeded
    0x96,  # Message rate too high
    0x97,  # Quota exceeded
})  # fmt: skip
_CLIENT_IDENTIFIER_NOT_VALID: Final = 0x85
#: Of a CONNACK or DISCONNECT; paho gives those of MQTT 3.1.1 the numbers of MQTT 5.
_LOGIN: Final = frozenset({
    0x86,  # Bad user name or password
    _NOT_AUTHORIZED,
    0x8C,  # Bad authentication method
})  # fmt: skip
_FIRST_FAILURE: Final = 0x80


def fault_of_session(reason: ReasonCode) -> Fault:
    """What a session failed at that the broker refused or ended for ``reason``."""
    if reason.value == _CLIENT_IDENTIFIER_NOT_VALID:
        return Fault.CLIENT_ID
    return Fault.LOGIN if reason.value in _LOGIN else Fault.CONNECTION


def refusal(reason: ReasonCode) -> PublishError | None:
    """The error for a PUBACK, PUBREC or PUBCOMP reason; ``None`` when the broker took it.

    "No matching subscribers" (0x10) is success: the broker accepted the message.
    """
    if reason.value < _FIRST_FAILURE:
        return None
    text = f"broker answered {reason.getName()} (0x{reason.value:02X})"
    if reason.value in _PERMANENT:
        return PermanentPublishError(text)
    if reason.value in _TRANSIENT:
        return TransientPublishError(text)
    return PublishError(text)


def ended_by(reason: ReasonCode) -> PermanentPublishError | None:
    """The error for the only message in flight when the broker ended the session for ``reason``.

    ``None`` when it need not be the message's fault.
    """
    error = refusal(reason)
    if isinstance(error, PermanentPublishError) and reason.value != _NOT_AUTHORIZED:
        return error
    return None
