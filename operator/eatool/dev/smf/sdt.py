"""Structured data (SDT): how Solace writes maps, lists and scalars of different types.

An element is ``type(6 bits) width(2 bits)``, a total length of ``width + 1`` bytes and a
value. A map alternates keys, which are strings, and values; strings end in NUL.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Any

from eatool.dev.smf.wire import SmfError, from_c_string

SdtValue = None | bool | int | float | str | bytes | dict[str, Any] | list[Any]


def decode_sdt(data: bytes) -> list[SdtValue]:
    """The elements that follow each other in ``data``; what is of another type stays bytes."""
    values: list[SdtValue] = []
    at = 0
    while at < len(data):
        start = at + 2 + (data[at] & 0x03)
        length = int.from_bytes(data[at + 1 : start], "big")
        if not start <= at + length <= len(data):
            raise SmfError(f"SDT element of impossible length {length}")
        values.append(_value(data[at] >> 2, data[start : at + length]))
        at += length
    return values


def _value(kind: int, raw: bytes) -> SdtValue:
    return _DECODERS[kind](raw) if kind in _DECODERS else raw


def _floating(raw: bytes) -> float:
    number: float = struct.unpack(">d" if len(raw) == struct.calcsize("d") else ">f", raw)[0]
    return number


def _map(raw: bytes) -> dict[str, Any]:
    elements = decode_sdt(raw)
    if len(elements) % 2:
        raise SmfError("SDT map with a key that has no value")
    return dict(zip(map(str, elements[0::2]), elements[1::2], strict=True))


_DECODERS: Mapping[int, Callable[[bytes], SdtValue]] = {
    0: lambda _: None,
    1: lambda raw: raw != b"\0",
    2: lambda raw: int.from_bytes(raw, "big", signed=True),
    3: lambda raw: int.from_bytes(raw, "big"),
    4: _floating,
    5: lambda raw: chr(int.from_bytes(raw, "big")),
    7: from_c_string,
    8: lambda raw: from_c_string(raw[1:]),  # a destination: the first byte says of which kind
    10: _map,
    11: decode_sdt,
}
