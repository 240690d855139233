"""Login: ClientCtrl messages and credentials.

The payload of a ClientCtrl frame is one message::

    byte 0      0x80: the UH bit; the low 3 bits are the version, 1
    byte 1      type: 0 login, 1 change of the client's own description
    bytes 2-5   length of all of it
    bytes 6-    parameters: UH(1 bit) type(7 bits), a 4-byte length that counts the whole
                parameter, value

Credentials come as parameters of the frame: user name and password in base64, or the tokens of
OAuth 2 in an extended parameter. A client certificate comes with the TLS handshake, and the
message says only that it counts. The response must tell the capabilities of the router.
"""

from __future__ import annotations

import base64
import binascii
import ssl
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import Final, NamedTuple

from eatool.dev.smf.replies import OK, UNAUTHORIZED, VPN_NOT_ALLOWED, Reply
from eatool.dev.smf.wire import (
    MAX_FRAME_BYTES,
    Frame,
    SmfError,
    Standard,
    c_string,
    from_c_string,
)

LOGIN: Final = 0
ROUTER_NAME: Final = "stand-in"

_VERSION: Final = 1
_HEAD_BYTES: Final = 6
_PARAM_HEAD_BYTES: Final = 5
_FIXED_SIZES: Final = (0, 1, 2, 4, 8)
_OAUTH_TOKENS: Final = (0x31, 0x30)  # access token, OpenID Connect id token


class _Param(IntEnum):
    SOFTWARE_VERSION = 0x00
    SOFTWARE_DATE = 0x01
    PLATFORM = 0x02
    CLIENT_NAME = 0x05
    VPN_NAME = 0x06
    P2P_TOPIC = 0x08
    CAPABILITIES = 0x09
    VIRTUAL_ROUTER_NAME = 0x0A
    ROUTER_NAME = 0x0C
    AUTHENTICATION_SCHEME = 0x11


class _Scheme(IntEnum):
    BASIC = 0x00
    CLIENT_CERTIFICATE = 0x01
    OAUTH2 = 0x0A


@dataclass(slots=True)
class Access:
    """Who may log in; certificates that the TLS context accepts may as well."""

    vpn: str = "default"
    users: Mapping[str, str] = field(default_factory=lambda: {"eatool": "eatool"})
    """User name -> password."""
    tokens: frozenset[str] = frozenset()
    """OAuth 2 access tokens and OpenID Connect id tokens."""


class LoginAttempt(NamedTuple):
    """A client that asked to be let in, and the answer it got."""

    client_name: str
    reply: Reply


@dataclass(frozen=True, slots=True)
class Login:
    """A decoded login request."""

    client_name: str
    """Empty if the client leaves the choice to the broker."""
    vpn: str
    scheme: int
    user: tuple[str, str] | None
    tokens: tuple[str, ...]

    @classmethod
    def decode(cls, frame: Frame) -> Login:
        """The request in a frame; ``SmfError`` if it is damaged."""
        params = dict(_decode_params(frame.payload))
        extended = decode_extended(frame.find(Standard.EXTENDED) or b"")
        return cls(
            client_name=from_c_string(params.get(_Param.CLIENT_NAME)),
            vpn=from_c_string(params.get(_Param.VPN_NAME)),
            scheme=int.from_bytes(params.get(_Param.AUTHENTICATION_SCHEME, b"\0"), "big"),
            user=_basic(frame),
            tokens=tuple(from_c_string(extended[k]) for k in _OAUTH_TOKENS if k in extended),
        )

    def judge(self, access: Access, *, certificate: bool) -> Reply:
        """What a broker answers; ``certificate``: the TLS handshake verified one."""
        if self.scheme == _Scheme.CLIENT_CERTIFICATE:
            welcome = certificate
        elif self.scheme == _Scheme.OAUTH2:
            welcome = any(token in access.tokens for token in self.tokens)
        elif self.scheme == _Scheme.BASIC and self.user is not None:
            welcome = self.user in access.users.items()
        else:
            welcome = False
        if not welcome:
            return UNAUTHORIZED
        return OK if self.vpn == access.vpn else VPN_NOT_ALLOWED


def message_type(frame: Frame) -> int:
    """Type of a ClientCtrl message."""
    return frame.payload[1]


def refusal() -> bytes:
    """Payload of a response that lets nobody in; the reason is in the frame's header."""
    return _encode(())


def welcome(login: Login, client_name: str, connection: int, guaranteed_bytes: int) -> bytes:
    """Payload of the response to a client that is let in."""
    return _encode(
        [
            (_Param.SOFTWARE_VERSION, c_string("10.0.0.0")),
            (_Param.SOFTWARE_DATE, c_string("Jan 01 2024 00:00:00")),
            (_Param.PLATFORM, c_string("SMF stand-in")),
            (_Param.P2P_TOPIC, c_string(f"#P2P/v:{ROUTER_NAME}/{connection}/{client_name}")),
            (_Param.CAPABILITIES, _capabilities(guaranteed_bytes)),
            (_Param.VIRTUAL_ROUTER_NAME, c_string(ROUTER_NAME)),
            (_Param.ROUTER_NAME, c_string(ROUTER_NAME)),
            (_Param.VPN_NAME, c_string(login.vpn)),
            (_Param.CLIENT_NAME, c_string(client_name)),
        ]
    )


def server_context(certificate: Path, key: Path, client_ca: Path | None = None) -> ssl.SSLContext:
    """TLS of the server side; with ``client_ca`` it asks for certificates, but insists on none."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=client_ca)
    context.load_cert_chain(certificate, key)
    if client_ca is not None:
        context.verify_mode = ssl.CERT_OPTIONAL
    return context


def decode_extended(value: bytes) -> dict[int, bytes]:
    """The elements of an extended parameter by their type.

    Each is ``0(1 bit) format(3 bits) type(12 bits)`` and a value. Formats 0 to 4 are values of
    0, 1, 2, 4 and 8 bytes; with 5 and 6 one or two bytes of total length come first.
    """
    elements: dict[int, bytes] = {}
    at = 0
    while at + 2 <= len(value):
        word = struct.unpack_from(">H", value, at)[0]
        shape, start = word >> 12 & 0x7, at + 2
        if shape < len(_FIXED_SIZES):
            end = start + _FIXED_SIZES[shape]
        else:
            width = shape - len(_FIXED_SIZES) + 1
            end = at + int.from_bytes(value[start : start + width], "big")
            start += width
        if not start <= end <= len(value):
            raise SmfError(f"extended parameter {word & 0xFFF:#x} of impossible length")
        elements[word & 0xFFF] = value[start:end]
        at = end
    return elements


def _basic(frame: Frame) -> tuple[str, str] | None:
    try:
        name, password = (
            base64.b64decode(frame.find(kind) or b"", validate=True).decode()
            for kind in (Standard.USERNAME, Standard.PASSWORD)
        )
    except (binascii.Error, UnicodeDecodeError):
        return None
    return name, password


def _decode_params(payload: bytes) -> Iterable[tuple[int, bytes]]:
    at, end = _HEAD_BYTES, struct.unpack_from(">I", payload, 2)[0]
    while at < end:
        kind, length = struct.unpack_from(">BI", payload, at)
        if not _PARAM_HEAD_BYTES <= length <= end - at:
            raise SmfError(f"ClientCtrl parameter {kind:#04x} of impossible length {length}")
        yield kind & 0x7F, payload[at + _PARAM_HEAD_BYTES : at + length]
        at += length


def _encode(params: Iterable[tuple[int, bytes]]) -> bytes:
    body = b"".join(
        struct.pack(">BI", kind, len(value) + _PARAM_HEAD_BYTES) + value for kind, value in params
    )
    return struct.pack(">BBI", _VERSION, LOGIN, len(body) + _HEAD_BYTES) + body


# What a client may ask this router for, by position: 2 consume guaranteed messages, 3 temporary
# endpoints, 4 publish guaranteed messages, 5 browse queues, 6 create and delete endpoints,
# 8 time to live, 9 subscriptions of queues, 12 eliding, 14 no-local, 15 active flow updates,
# 17 discard behaviour of endpoints.
_FLAGS: Final = (2, 3, 4, 5, 6, 8, 9, 12, 14, 15, 17)
_FLAG_COUNT: Final = 27


def _capabilities(guaranteed_bytes: int) -> bytes:
    """A count of flags, the flags from the high bit down, then ``type, 4-byte length, size``."""
    packed = bytearray((_FLAG_COUNT + 7) // 8)
    for flag in _FLAGS:
        packed[flag // 8] |= 0x80 >> flag % 8
    # port speed in Mb/s, port type, largest guaranteed message, largest direct message
    sizes = ((0, 4, 1000), (1, 1, 0), (2, 4, guaranteed_bytes), (3, 4, MAX_FRAME_BYTES))
    return bytes([_FLAG_COUNT, *packed]) + b"".join(
        struct.pack(">BI", kind, _PARAM_HEAD_BYTES + width) + size.to_bytes(width, "big")
        for kind, width, size in sizes
    )
