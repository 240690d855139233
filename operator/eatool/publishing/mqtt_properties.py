"""MQTT 5 properties, packed once instead of through paho's generic objects.

paho builds two dictionaries and searches name lists for every property it sets, which costs more
than sending the message. It only ever calls ``pack()`` on what it is given to publish.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from paho.mqtt.properties import Properties

from eatool.publishing.port import Message

_UTF8_PAYLOAD = b"\x01\x01"  # Payload Format Indicator: the payload is UTF-8 text
_MESSAGE_EXPIRY = b"\x02"
_CONTENT_TYPE = b"\x03"
_USER_PROPERTY = b"\x26"
_SESSION_EXPIRY = b"\x11"


class PackedProperties(Properties):
    """Properties that are already bytes, length prefix included."""

    def __init__(self, packed: bytes) -> None:
        # The base class would build its tables and guard every attribute: not needed here.
        object.__setattr__(self, "packed", packed)

    packed: bytes

    def pack(self) -> bytes:
        """The bytes that go into the packet."""
        return self.packed

    def __str__(self) -> str:
        return f"<{len(self.packed)} packed bytes>"


def publish_properties(message: Message) -> PackedProperties:
    """Content type and expiry of a message, and one user property per attribute."""
    ttl = message.delivery.ttl
    if not message.attributes:
        return _same_for_many(message.content_type, ttl)
    parts = [_common(message.content_type, ttl)]
    for name, value in message.attributes.items():
        parts += (_USER_PROPERTY, _string(name), _string(value))
    return _packed(b"".join(parts))


def variable_byte_integer(value: int) -> bytes:
    """Seven bits a byte, lowest first, the high bit saying that more follow."""
    encoded = bytearray()
    while value >> 7:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*encoded, value))


@lru_cache(maxsize=256)
def _same_for_many(content_type: str, ttl: int | None) -> PackedProperties:
    return _packed(_common(content_type, ttl))


@lru_cache(maxsize=256)
def _common(content_type: str, ttl: int | None) -> bytes:
    expiry = b"" if ttl is None else _MESSAGE_EXPIRY + ttl.to_bytes(4, "big")
    return _UTF8_PAYLOAD + expiry + _CONTENT_TYPE + _string(content_type)


def _packed(body: bytes) -> PackedProperties:
    return PackedProperties(variable_byte_integer(len(body)) + body)


def _string(text: str) -> bytes:
    encoded = text.encode()
    return len(encoded).to_bytes(2, "big") + encoded


#: Of CONNECT: Session Expiry Interval 0, the session ends with its connection.
NO_SESSION_KEPT: Final = _packed(_SESSION_EXPIRY + bytes(4))
