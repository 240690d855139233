"""Messages as events, whatever content mode the registry publishes in."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

_TYPE: Final = re.compile(r"(?:.*\.)?(?P<name>\w+)\.v(?P<version>[1-9][0-9]*)")


class NotAnEvent(ValueError):
    """The message is not one of the registry's; the text says why, never what it holds.

    Delivering it again will not help: acknowledge it and set it aside.
    """


@dataclass(frozen=True, slots=True)
class Event:
    """One event.

    Attributes:
        id: the same on every re-send.
        stream: ``application/shop/webshop``: entity type, namespace, name.
        sequence: 1, 2, 3, ... without gaps in the stream.
        position: place in the whole log; compare it between streams.
        type, version: ``ApplicationCreated`` and ``1``.
        time, recorded_time: RFC 3339, UTC: when it happened, when it was recorded.
        actor: who changed the entity.
        data: ``entity`` (after the change), ``changes`` and ``metadata``; a step of a rollout has
            no entity.

    """

    id: str
    stream: str
    sequence: int
    position: int
    type: str
    version: int
    time: str
    recorded_time: str
    actor: str
    data: Mapping[str, Any]


#: Names of the attributes in CloudEvents, and in plain JSON.
_CLOUDEVENTS: Final = {
    "id": "id", "stream": "partitionkey", "sequence": "sequence", "position": "position",
    "type": "type", "time": "time", "recorded_time": "recordedtime", "actor": "authid",
}  # fmt: skip
_PLAIN: Final = {
    "id": "id", "stream": "stream", "sequence": "sequence", "position": "position",
    "type": "type", "time": "time", "recorded_time": "recordedTime", "actor": "actor",
}  # fmt: skip


def decode(payload: bytes | bytearray | str, headers: Mapping[str, object] | None = None) -> Event:
    """Read a message; the content mode shows by itself.

    ``headers`` are the user properties of MQTT 5 or Solace: with ``specversion`` among them the
    message is CloudEvents in binary mode. A payload with ``specversion`` is structured mode, one
    with ``stream`` plain JSON. Raises :class:`NotAnEvent`.
    """
    try:
        body = json.loads(payload)
    except ValueError:  # not UTF-8, or not JSON
        raise NotAnEvent("the payload is not JSON") from None
    if not isinstance(body, dict):
        raise NotAnEvent("the payload is not a JSON object")
    if headers and "specversion" in headers:
        return _event(headers, _CLOUDEVENTS, body)
    return _event(body, _CLOUDEVENTS if "specversion" in body else _PLAIN, body.get("data"))


def _event(source: Mapping[str, object], names: Mapping[str, str], data: object) -> Event:
    if missing := sorted(name for name in names.values() if source.get(name) is None):
        raise NotAnEvent(f"no {', '.join(missing)}")
    if not isinstance(data, dict):
        raise NotAnEvent("data is not a JSON object")
    texts = {field: str(source[name]) for field, name in names.items()}
    type_ = _TYPE.fullmatch(texts["type"])
    if type_ is None:
        raise NotAnEvent("the type is not written Type.vN")
    if not (texts["sequence"].isdecimal() and texts["position"].isdecimal()):
        raise NotAnEvent("sequence and position must be numbers")
    sequence = int(texts["sequence"])
    if sequence < 1:
        raise NotAnEvent("sequences start at 1")
    return Event(
        id=texts["id"],
        stream=texts["stream"],
        sequence=sequence,
        position=int(texts["position"]),
        type=type_["name"],
        version=int(type_["version"]),
        time=texts["time"],
        recorded_time=texts["recorded_time"],
        actor=texts["actor"],
        data=data,
    )
