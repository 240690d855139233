"""What the relay's encoder writes, the consumer's decoder reads, in every content mode."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import pytest
from tests.publishing.support import Writer

from eatool.consuming import Event, NotAnEvent, decode
from eatool.publishing.cloudevents import CloudEventsEncoder, ContentMode
from eatool.publishing.topics import TopicTemplate
from eatool.store.memory import MemoryEventStore

STREAM = "application/shop/app-0"


@pytest.mark.parametrize("mode", ContentMode)
def test_every_mode_gives_the_same_event(mode: ContentMode) -> None:
    store = MemoryEventStore()
    Writer(store).write([STREAM], rounds=2)
    stored = store.read_stored()[1]
    message = CloudEventsEncoder(TopicTemplate(), mode)(stored)
    event = decode(message.payload, message.attributes)
    recorded = stored.recorded_at.isoformat().replace("+00:00", "Z")
    read = json.loads(stored.data)
    expected = Event(
        id=str(stored.event_id),
        stream=STREAM,
        sequence=2,
        position=2,
        type="ApplicationUpdated",
        version=1,
        time=recorded,
        recorded_time=recorded,
        actor="jane@example.com",
        data={**read, "metadata": json.loads(stored.metadata)},
    )
    assert event == expected


PLAIN: Mapping[str, Any] = {
    "id": "6d3f758e-e5b0-5005-a4f3-695d4be0d02f",
    "type": "ApplicationUpdated.v2",
    "stream": STREAM,
    "sequence": 7,
    "position": 31,
    "time": "2026-11-23T14:15:15Z",
    "recordedTime": "2026-11-23T14:15:16Z",
    "actor": "jane@example.com",
    "data": {"entity": {}, "changes": {}},
}


def test_plain_json_is_read() -> None:
    event = decode(bytearray(json.dumps(PLAIN).encode()))
    assert (event.stream, event.sequence, event.position) == (STREAM, 7, 31)
    assert (event.type, event.version, event.recorded_time) == (
        "ApplicationUpdated",
        2,
        "2026-11-23T14:15:16Z",
    )


@pytest.mark.parametrize(
    ("payload", "complaint"),
    [
        (b"\xff\xfe", "not JSON"),
        (b"hello", "not JSON"),
        (b"[1]", "not a JSON object"),
        (b"{}", "no actor, id, position"),
        (json.dumps({**PLAIN, "stream": None}), "no stream"),
        (json.dumps({**PLAIN, "data": "text"}), "data is not"),
        (json.dumps({**PLAIN, "type": "ApplicationUpdated"}), "Type.vN"),
        (json.dumps({**PLAIN, "sequence": "-1"}), "must be numbers"),
        (json.dumps({**PLAIN, "sequence": True}), "must be numbers"),
        (json.dumps({**PLAIN, "sequence": 0}), "start at 1"),
    ],
)
def test_anything_else_is_no_event(payload: bytes | str, complaint: str) -> None:
    with pytest.raises(NotAnEvent, match=complaint):
        decode(payload, {"other": "property"})


def test_consumers_need_nothing_but_python() -> None:
    program = (
        "import sys; before = set(sys.modules); import eatool.consuming\n"
        "tops = {name.partition('.')[0] for name in set(sys.modules) - before}\n"
        "print(sorted(tops - set(sys.stdlib_module_names)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "['eatool']"
