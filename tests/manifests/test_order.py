"""What is named comes first, in whatever order it was written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from eatool.domain.identity import EntityRef
from eatool.domain.kinds import by_kind
from eatool.domain.parsing import parse
from eatool.domain.references import references_of
from eatool.manifests.loader import Manifest, load
from eatool.manifests.order import waves

LANDSCAPE = load([str(Path(__file__).parents[2] / "examples" / "landscape")])


def organization(name: str, parent: str | None = None) -> Manifest:
    kind = by_kind("Organization")
    spec = {"name": name, "parentId": parent}
    return Manifest(kind, kind.ref("default", name), spec, "")


def entity(name: str, *lineage: str) -> Manifest:
    kind = by_kind("DataEntity")
    spec: dict[str, Any] = {
        "name": name,
        "classification": "internal",
        "criticality": "low",
        "lineage": list(lineage),
    }
    return Manifest(kind, kind.ref("default", name), spec, "")


def names(ordered: list[list[Manifest]]) -> list[list[str]]:
    return [[manifest.ref.name for manifest in wave] for wave in ordered]


@given(st.permutations(LANDSCAPE))
def test_the_order_of_writing_does_not_matter(shuffled: list[Manifest]) -> None:
    ordered = waves(shuffled)
    assert ordered == waves(LANDSCAPE)
    done: set[EntityRef] = set()
    for wave in ordered:
        for manifest in wave:
            spec = parse(manifest.kind, manifest.spec)
            named = {each.target for each in references_of(manifest.kind, "default", spec)}
            assert named <= done
        done |= {manifest.ref for manifest in wave}
    assert len(done) == len(LANDSCAPE)


def test_the_example_files_do_not_happen_to_be_in_order() -> None:
    seen = set()
    for manifest in LANDSCAPE:
        spec = parse(manifest.kind, manifest.spec)
        if any(each.target not in seen for each in references_of(manifest.kind, "default", spec)):
            return
        seen.add(manifest.ref)
    raise AssertionError("alphabetical order is dependency order: the example shows nothing")


def test_members_of_a_loop_come_last() -> None:
    found = waves(
        [
            organization("below", "a"),
            organization("a", "b"),
            organization("b", "a"),
            organization("root"),
            organization("child", "root"),
        ]
    )
    assert names(found) == [["below", "root"], ["child"], ["a", "b"]]


def test_two_loops_are_both_taken_out() -> None:
    found = waves(
        [organization(*pair) for pair in (("a", "b"), ("b", "a"), ("c", "d"), ("d", "c"))]
    )
    assert names(found) == [["a", "b", "c", "d"]]


def test_soft_references_may_run_in_circles() -> None:
    assert names(waves([entity("a", "b"), entity("b", "a"), entity("c", "a")])) == [
        ["a", "b"],
        ["c"],
    ]


def test_circles_that_share_members_are_broken_at_once() -> None:
    found = names(
        waves(
            [
                entity("a", "b", "d"),
                entity("b", "c"),
                entity("c", "a", "b"),
                entity("d", "a"),
                entity("above"),
                entity("e", "c", "above"),
            ]
        )
    )
    assert found == [["a", "above", "b", "c", "d"], ["e"]]


def test_thousands_of_circles_and_long_chains_are_ordered() -> None:
    pairs = [
        each
        for index in range(3000)
        for each in (entity(f"a{index}", f"b{index}"), entity(f"b{index}", f"a{index}"))
    ]
    assert [len(wave) for wave in waves(pairs)] == [6000]
    chain = [organization(f"o{index}", f"o{index + 1}") for index in range(3000)]
    assert [len(wave) for wave in waves(chain)] == [1] * 3000


def test_what_cannot_be_parsed_or_is_elsewhere_needs_nothing() -> None:
    kind = by_kind("Organization")
    broken = Manifest(kind, kind.ref("default", "broken"), {"parentId": "root"}, "")
    assert names(waves([broken, organization("a", "elsewhere"), organization("a2", "a2")])) == [
        ["a", "a2", "broken"]
    ]
