"""How often a status is written, and to which object."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from tests.kube.platform.looks import BROKER

from eatool.kube.platform.resources import EVENT_BROKER, Key
from eatool.kube.platform.sightings import Sightings
from eatool.kube.platform.writing import StatusWriter
from eatool.kube.requests import ApiConflict

KEY = Key(EVENT_BROKER.plural, "main")


class Api:
    """Takes every status, like the API server."""

    def __init__(self) -> None:
        self.writes: list[tuple[str, str | None, dict[str, Any]]] = []
        self.conflict = False

    async def set_status(
        self, key: Key, uid: str, status: dict[str, Any], *, version: str | None = None
    ) -> dict[str, Any] | None:
        if self.conflict:
            raise ApiConflict("patch")
        self.writes.append((uid, version, status))
        version = str(7 + len(self.writes))
        return {
            **BROKER,
            "metadata": {**BROKER["metadata"], "resourceVersion": version},
            "status": status,
        }


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def api() -> Api:
    return Api()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def writer(api: Api, clock: Clock, told: list[str]) -> StatusWriter:
    def announce(_before: dict[str, Any], after: dict[str, Any]) -> None:
        told.append(str(after["status"]))

    return StatusWriter(api, Sightings(), announce, interval=2.0, clock=clock)


def circuit(status: Mapping[str, Any]) -> object:
    return status.get("circuit")


async def test_figures_trickle_and_turns_are_told_at_once(
    api: Api, clock: Clock, writer: StatusWriter
) -> None:
    body: dict[str, Any] | None = BROKER
    for position in range(100):
        assert body is not None
        body = await writer.write(KEY, body, {"position": position}, essence=circuit)
        clock.now += 0.1
    assert len(api.writes) == 5, "ten seconds"
    assert body is not None
    await writer.write(KEY, body, {"position": 100, "circuit": "open"}, essence=circuit)
    assert len(api.writes) == 6


async def test_no_news_no_write(api: Api, writer: StatusWriter) -> None:
    body = {**BROKER, "status": {"position": 1}}
    assert await writer.write(KEY, body, {"position": 1}) is body
    assert api.writes == []


async def test_a_write_is_for_one_object_and_if_asked_for_one_version(
    api: Api, writer: StatusWriter, told: list[str]
) -> None:
    await writer.write(KEY, BROKER, {"position": 1})
    await writer.write(KEY, BROKER, {"position": 2}, only_if_current=True)
    assert [write[:2] for write in api.writes] == [("3f1c0a52-0000", None), ("3f1c0a52-0000", "7")]
    assert len(told) == 2


async def test_a_conflict_is_the_callers(api: Api, writer: StatusWriter, told: list[str]) -> None:
    api.conflict = True
    with pytest.raises(ApiConflict):
        await writer.write(KEY, BROKER, {"position": 1}, only_if_current=True)
    assert told == []
