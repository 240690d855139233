"""What can be imported first."""

from __future__ import annotations

from eatool.domain.kinds import KINDS
from eatool.legacy.order import in_order, levels


def test_no_kind_names_a_later_one() -> None:
    ordered = [kind.aggregate_type for kind in in_order(KINDS.values())]
    assert sorted(ordered) == sorted(KINDS)
    for kind in KINDS.values():
        for mark in kind.references.values():
            named = KINDS if mark.aggregate_type is None else [mark.aggregate_type]
            later = ordered[ordered.index(kind.aggregate_type) + 1 :]
            assert not set(named) & set(later)


def test_some_kinds_keep_the_order() -> None:
    wanted = [KINDS["relation"], KINDS["organization"]]
    assert in_order(wanted) == wanted[::-1]


def test_parents_come_before_children_and_circles_last() -> None:
    parents = {
        "leaf": "branch",
        "branch": "root",
        "root": None,
        "other": None,
        "a": "b",
        "b": "a",
        "below": "a",
        "orphan": "gone",
    }
    assert levels(parents) == [
        ["other", "root"],
        ["branch"],
        ["leaf"],
        ["a", "b", "below", "orphan"],
    ]


def test_a_chain_may_be_as_long_as_the_table() -> None:
    parents = {f"{index:05}": f"{index - 1:05}" if index else None for index in range(20_000)}
    assert len(levels(parents)) == 20_000
