"""Whatever a manifest holds, it is refused with a reason or the log can hold it."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.domain.strategies import NAMES, Raw, kinds, raw_specs

from eatool.domain.changes import created
from eatool.domain.decision import EntityState
from eatool.domain.errors import SpecInvalid
from eatool.domain.kind import EntityKind
from eatool.domain.parsing import parse
from eatool.registry.change import Change, Provenance
from eatool.registry.envelope import new_events
from eatool.store.encoding import encode_append
from eatool.store.port import Append

#: Control characters, halves of surrogate pairs, what JSON and SQL have trouble with.
odd = st.one_of(
    st.text(st.characters(max_codepoint=0xFFFF), max_size=4),
    st.sampled_from(["\x00", "a\x00b", "\ud800", "\x7f", "\u2028", "a" * 70_000]),
    st.just(float("nan")),
    st.just(float("inf")),
    st.just(2**70),
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths to everything below ``value`` that is no container."""
    items = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else None
    )
    if items is None:
        yield path
    else:
        for key, item in items:
            yield from places(item, (*path, key))


@st.composite
def spoiled(draw: st.DrawFn) -> tuple[EntityKind, Raw]:
    """A spec with something odd in one place, as a value or as a name."""
    kind = draw(kinds)
    raw = deepcopy(draw(raw_specs(kind)))
    *way, last = draw(st.sampled_from(list(places(raw))))
    holder: Any = raw
    for step in way:
        holder = holder[step]
    what = draw(odd)
    if isinstance(holder, dict) and isinstance(what, str) and draw(st.booleans()):
        holder[what] = holder.pop(last)
    else:
        holder[last] = what
    return kind, raw


@settings(max_examples=400, deadline=None)
@given(case=spoiled(), odd_words=st.lists(st.text(max_size=8), min_size=3, max_size=3))
def test_what_is_accepted_can_be_recorded(
    case: tuple[EntityKind, Raw], odd_words: list[str]
) -> None:
    kind, raw = case
    try:
        spec = parse(kind, raw)
    except SpecInvalid:
        return
    ref = kind.ref("default", NAMES[kind.aggregate_type][0])
    actor, correlation, traceparent = odd_words
    told = Provenance(actor=actor, correlation=correlation, traceparent=traceparent)
    change = Change(ref=ref, uid="u", generation=1, provenance=told)
    events = new_events(change, [created(kind, spec)], EntityState(ref), None)
    assert encode_append(Append(ref.stream_id, 0, events))
