from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from eatool.publishing.window import Progress


@given(st.data())
def test_position_is_the_lowest_contiguous_finished_one(data: st.DataObject) -> None:
    positions = data.draw(st.lists(st.integers(1, 500), unique=True, min_size=1).map(sorted))
    order = data.draw(st.permutations(positions))
    progress = Progress(0)
    for position in positions:
        progress.begin(position)
    open_ = set(positions)
    for position in order:
        progress.finish(position)
        open_.remove(position)
        assert progress.position == (min(open_) - 1 if open_ else positions[-1])


def test_gaps_are_passed_when_nothing_is_open() -> None:
    progress = Progress(10)
    progress.advance(50)
    assert progress.position == 50
    progress.begin(60)
    progress.advance(90)
    assert (progress.position, progress.read) == (59, 90)
    progress.finish(60)
    assert progress.position == 90
