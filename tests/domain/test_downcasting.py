"""Events for consumers that are pinned to an older version."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eatool.domain.kinds import downcast, event_types, versions
from eatool.domain.upcasting import (
    BrokenDowncasters,
    Downcaster,
    DowncasterChain,
    UnknownEventType,
    Upcaster,
    UpcasterChain,
    split,
)


def titled(data: dict[str, Any]) -> dict[str, Any]:
    return {"title": data["name"]}


def named(data: dict[str, Any]) -> dict[str, Any]:
    return {"name": data["title"]}


def counted(data: dict[str, Any]) -> dict[str, Any]:
    return {**data, "length": len(data["title"])}


def uncounted(data: dict[str, Any]) -> dict[str, Any]:
    return {"title": data["title"]}


UP = UpcasterChain([Upcaster("Named", 1, titled), Upcaster("Named", 2, counted)], {"Named": 3})
THIRD, SECOND = Downcaster("Named", 3, uncounted), Downcaster("Named", 2, named)
DOWN = DowncasterChain([SECOND, THIRD], {"Named": 3, "Other": 1})


@given(st.text(), st.integers(1, 3), st.integers(1, 3))
def test_what_was_upcast_comes_back(name: str, written: int, pin: int) -> None:
    forms: dict[int, dict[str, Any]] = {
        1: {"name": name},
        2: {"title": name},
        3: {"title": name, "length": len(name)},
    }
    type_, data = UP.upcast(f"Named.v{written}", forms[written])
    assert DOWN.downcast(type_, data, pin) == (f"Named.v{pin}", forms[pin])


def test_what_is_not_newer_stays_as_it_is() -> None:
    data = {"name": "Acme"}
    assert DOWN.downcast("Named.v1", data, 2) == ("Named.v1", data)
    assert DOWN.downcast("Other.v1", data, 1) == ("Other.v1", data)


def test_versions_reach_down_as_far_as_steps_are_declared() -> None:
    assert list(DOWN.versions("Named")) == [1, 2, 3]
    assert list(DOWN.versions("Other")) == [1]
    assert list(DowncasterChain([THIRD], {"Named": 3}).versions("Named")) == [2, 3]
    with pytest.raises(UnknownEventType, match="no event Gone"):
        DOWN.versions("Gone")


@pytest.mark.parametrize("versioned", ["Named.v3", "Named.v4"])
def test_out_of_reach_is_said(versioned: str) -> None:
    chain = DowncasterChain([THIRD], {"Named": 3})
    with pytest.raises(UnknownEventType, match=rf"{versioned}: no downcaster reaches Named\.v1"):
        chain.downcast(versioned, {"title": "", "length": 0}, 1)


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([THIRD, THIRD], "two steps read Named.v3"),
        ([SECOND], "no step reads Named.v3"),
        ([Downcaster("Named", 1, named)], "step from Named.v1 does not start at a known version"),
        ([Downcaster("Named", 4, named)], "step from Named.v4 does not start at a known version"),
        ([Downcaster("Gone", 2, named)], "step from Gone.v2 does not start at a known version"),
    ],
)
def test_broken_chains_do_not_load(steps: list[Downcaster], message: str) -> None:
    with pytest.raises(BrokenDowncasters, match=message):
        DowncasterChain(steps, {"Named": 3})


def test_every_type_of_this_release_can_be_published_as_it_is() -> None:
    for versioned in event_types():
        name, version = split(versioned)
        assert version in versions(name)
        assert downcast(versioned, {}, version) == (versioned, {})
