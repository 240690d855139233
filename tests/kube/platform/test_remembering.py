"""What the platform's operator keeps in memory, and when it looks again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.kube.platform.looks import BROKER

from eatool.kube.platform.resources import (
    EVENT_BROKER,
    PARKED_STREAM,
    Key,
    checkpoint_of,
    parked_name,
)
from eatool.kube.platform.secrets import Secrets
from eatool.kube.platform.sightings import Sightings

KEY = Key(EVENT_BROKER.plural, "main")


class Api:
    def __init__(self, **data: Mapping[str, bytes]) -> None:
        self.data = data
        self.reads: list[str] = []

    async def secret(self, name: str) -> Mapping[str, bytes] | None:
        self.reads.append(name)
        return self.data.get(name)


def version(number: int, uid: str = "3f1c0a52-0000") -> dict[str, Any]:
    metadata = {**BROKER["metadata"], "resourceVersion": str(number), "uid": uid}
    return {**BROKER, "metadata": metadata}


async def test_a_secret_is_read_once_until_it_changes() -> None:
    api = Api(login={"username": b"a"})
    secrets = Secrets(api)
    for _ in range(3):
        assert await secrets.of({"login", "absent"}) == {"login": {"username": b"a"}}
    assert api.reads == ["absent", "login"]

    api.data["absent"] = {"key": b"b"}
    assert secrets.changed("absent")
    assert await secrets.of({"absent"}) == {"absent": {"key": b"b"}}
    assert not secrets.changed("never-asked-for")
    secrets.distrust()
    await secrets.of({"login"})
    assert api.reads == ["absent", "login", "absent", "login"]


def test_only_newer_versions_are_news() -> None:
    sightings = Sightings()
    assert sightings.observe(KEY, version(5))
    assert not sightings.observe(KEY, version(4))
    assert not sightings.observe(KEY, version(5))
    assert sightings.observe(KEY, version(6))
    assert [body["metadata"]["name"] for body in sightings.of(EVENT_BROKER)] == ["main"]
    assert list(sightings.of(PARKED_STREAM)) == []


def test_the_end_of_a_predecessor_is_not_the_end_of_its_successor() -> None:
    sightings = Sightings()
    sightings.observe(KEY, version(9, uid="new"))
    sightings.vanished(KEY, version(8, uid="old"))
    assert sightings.get(KEY) is not None
    sightings.vanished(KEY, version(9, uid="new"))
    assert sightings.get(KEY) is None


def test_names_fit_and_differ() -> None:
    name = parked_name("n" * 48, "application/default/billing")
    assert len(name) <= PARKED_STREAM.name_max <= 63
    assert name != parked_name("n" * 48, "application/default/billing2")
    assert checkpoint_of(version(1)) == "main-3f1c0a52"
    assert checkpoint_of(version(1)) != checkpoint_of(version(1, uid="4f1c0a52-0000"))
