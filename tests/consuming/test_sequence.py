"""The rule, on every kind of delivery that a broker may make of a log."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eatool.consuming import Duplicate, Gap, Late, New, Progress, Subscription, Verdict, judge
from eatool.consuming.sequence import GAPS_REMEMBERED

LATEST = Subscription(from_beginning=False)
FILTERED = Subscription(filtered=True)


def consume(
    delivery: list[int], subscription: Subscription | None = None, *, wait_at_gaps: bool = False
) -> tuple[list[Verdict], Progress | None]:
    """Verdicts on a delivery of one stream; progress is stored as text in between."""
    stored: str | None = None
    verdicts: list[Verdict] = []
    for sequence in delivery:
        before = None if stored is None else Progress.parse(stored)
        verdict = judge(before, sequence, subscription or Subscription())
        verdicts.append(verdict)
        if isinstance(verdict, Duplicate) or (wait_at_gaps and isinstance(verdict, Gap)):
            continue
        stored = str(verdict.after)
    return verdicts, None if stored is None else Progress.parse(stored)


def processed(delivery: list[int], verdicts: list[Verdict]) -> list[int]:
    pairs = zip(delivery, verdicts, strict=True)
    return [sequence for sequence, verdict in pairs if not isinstance(verdict, Duplicate)]


@st.composite
def with_resends(draw: st.DrawFn, first_times: list[int]) -> list[int]:
    """First times in this order; before and after any of them, events sent before once more."""
    delivery: list[int] = []
    for number, sequence in enumerate(first_times):
        if number:
            delivery += draw(st.lists(st.sampled_from(first_times[:number]), max_size=3))
        delivery.append(sequence)
    return delivery + draw(st.lists(st.sampled_from(first_times), max_size=3))


LENGTHS = st.integers(1, 12)


@given(st.data(), LENGTHS)
def test_resends_change_nothing(data: st.DataObject, length: int) -> None:
    log = list(range(1, length + 1))
    delivery = data.draw(with_resends(log))
    verdicts, progress = consume(delivery)
    assert processed(delivery, verdicts) == log
    assert all(isinstance(verdict, New | Duplicate) for verdict in verdicts)
    assert progress == Progress(length)


@given(st.data(), LENGTHS)
def test_every_missing_event_is_reported(data: st.DataObject, length: int) -> None:
    log = list(range(1, length + 1))
    arrived = sorted(data.draw(st.sets(st.sampled_from(log), min_size=1)))
    delivery = data.draw(with_resends(arrived))
    verdicts, _ = consume(delivery)
    reported = [
        sequence
        for verdict in verdicts
        if isinstance(verdict, Gap)
        for sequence in range(verdict.expected, verdict.got)
    ]
    # What is missing at the end shows with the next event, as on any stream.
    assert reported == [number for number in range(1, arrived[-1]) if number not in arrived]
    assert processed(delivery, verdicts) == arrived


@given(st.data(), LENGTHS)
def test_any_order_processes_every_event_once(data: st.DataObject, length: int) -> None:
    order = data.draw(st.permutations(range(1, length + 1)))
    delivery = data.draw(with_resends(order))
    verdicts, progress = consume(delivery)
    assert processed(delivery, verdicts) == order
    assert progress == Progress(length)
    highest = 0
    for sequence, verdict in zip(delivery, verdicts, strict=True):
        if isinstance(verdict, Late):
            assert sequence < highest
        highest = max(highest, sequence)


@given(st.data(), LENGTHS)
def test_who_waits_at_gaps_gets_the_log_in_order(data: st.DataObject, length: int) -> None:
    log = list(range(1, length + 1))
    order = data.draw(st.permutations(log))
    # Unacknowledged messages come again, in whatever order, until they are.
    delivery = order * length
    verdicts, progress = consume(delivery, wait_at_gaps=True)
    pairs = zip(delivery, verdicts, strict=True)
    assert [sequence for sequence, verdict in pairs if isinstance(verdict, New)] == log
    assert progress == Progress(length)


@given(st.data(), LENGTHS)
def test_a_filtered_destination_has_no_gaps(data: st.DataObject, length: int) -> None:
    arrived = sorted(data.draw(st.sets(st.integers(1, 3 * length), min_size=1)))
    delivery = data.draw(with_resends(arrived))
    verdicts, progress = consume(delivery, FILTERED)
    assert processed(delivery, verdicts) == arrived
    assert all(isinstance(verdict, New | Duplicate) for verdict in verdicts)
    assert progress == Progress(arrived[-1])


@given(st.data(), LENGTHS, st.integers(1, 50))
def test_a_start_in_mid_life_is_no_gap(data: st.DataObject, length: int, first: int) -> None:
    arrived = list(range(first, first + length))
    delivery = data.draw(with_resends(arrived))
    verdicts, _ = consume(delivery, LATEST)
    assert processed(delivery, verdicts) == arrived
    assert all(isinstance(verdict, New | Duplicate) for verdict in verdicts)


def test_what_was_before_the_start_is_late_when_it_comes() -> None:
    assert consume([5, 4, 4, 6], LATEST) == (
        [
            New(Progress(5, ((1, 4),))),
            Late(Progress(5, ((1, 3),))),
            Duplicate(),
            New(Progress(6, ((1, 3),))),
        ],
        Progress(6, ((1, 3),)),
    )


def test_a_gap_names_what_was_expected_and_what_came() -> None:
    assert judge(Progress(5), 8) == Gap(6, 8, Progress(8, ((6, 7),)))
    assert judge(None, 3) == Gap(1, 3, Progress(3, ((1, 2),)))
    assert judge(Progress(0), 3) == judge(None, 3)
    assert isinstance(judge(Progress(5), 8, LATEST), Gap)  # only the start is free


@given(st.lists(st.integers(1, 500), max_size=300))
def test_the_state_of_a_stream_stays_small(delivery: list[int]) -> None:
    _, progress = consume(delivery)
    assert progress is None or len(progress.missing) <= GAPS_REMEMBERED


def test_the_oldest_gaps_are_forgotten_first() -> None:
    every_other = list(range(2, 2 * GAPS_REMEMBERED + 4, 2))
    verdicts, progress = consume(every_other)
    assert len(verdicts) == GAPS_REMEMBERED + 1
    assert progress is not None
    assert progress.missing[0] == (3, 3)
    assert judge(progress, 1) == Duplicate()  # was reported when it was missing
    assert isinstance(judge(progress, 3), Late)


def test_a_late_event_in_the_middle_of_a_gap_makes_two() -> None:
    gaps = tuple((10 * number, 10 * number + 4) for number in range(1, GAPS_REMEMBERED + 1))
    verdict = judge(Progress(10_000, gaps), 22)
    assert isinstance(verdict, Late)
    assert verdict.after.missing == ((20, 21), (23, 24), *gaps[2:])


@given(
    st.builds(
        Progress,
        st.integers(0, 10**12),
        st.lists(st.tuples(st.integers(1, 10**12), st.integers(1, 10**12))).map(tuple),
    )
)
def test_progress_is_read_as_it_was_written(progress: Progress) -> None:
    assert Progress.parse(str(progress)) == progress


@pytest.mark.parametrize("sequence", [0, -1])
def test_sequences_start_at_one(sequence: int) -> None:
    with pytest.raises(ValueError, match="start at 1"):
        judge(None, sequence)
