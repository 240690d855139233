"""What one more message of a stream is: new, a re-send, after a gap, or late.

Pure: the state of a stream goes in as the consumer stored it, and comes out as it is to be stored
together with the effect. Nothing is kept in memory, so a rolled-back transaction forgets both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

#: Gaps remembered per stream. Beyond that the lowest is forgotten: it was reported when it
#: appeared, but an event that fills it later counts as a duplicate.
GAPS_REMEMBERED: Final = 32


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a consumer has come in one stream; ``str()`` and :meth:`parse` for storing it.

    Attributes:
        last: highest sequence processed.
        missing: ascending ranges ``(first, last)`` below it that were not; both ends included.

    """

    last: int
    missing: tuple[tuple[int, int], ...] = ()

    @classmethod
    def parse(cls, text: str) -> Progress:
        """Read what ``str()`` wrote; ``ValueError`` for anything else."""
        last, _, gaps = text.partition(";")
        ranges = (gap.partition("-") for gap in gaps.split(",") if gap)
        return cls(int(last), tuple((int(first), int(end)) for first, _, end in ranges))

    def __str__(self) -> str:
        gaps = ",".join(f"{first}-{end}" for first, end in self.missing)
        return f"{self.last};{gaps}" if gaps else str(self.last)


@dataclass(frozen=True, slots=True)
class New:
    """The next event of its stream: process it, store ``after`` in the same transaction."""

    after: Progress


@dataclass(frozen=True, slots=True)
class Duplicate:
    """Processed before: acknowledge it, do nothing else."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Events are missing before this one: ``expected`` to ``got - 1``.

    Either leave it unacknowledged until they have come, or go on: every event holds the whole
    entity, so a mirror loses nothing. Who goes on stores ``after``, which remembers the gap.
    """

    expected: int
    got: int
    after: Progress


@dataclass(frozen=True, slots=True)
class Late:
    """An event that was missing, after newer ones: it adds to a history, not to a mirror.

    Store ``after`` with what you make of it.
    """

    after: Progress


Verdict: TypeAlias = New | Duplicate | Gap | Late


@dataclass(frozen=True, slots=True)
class Subscription:
    """What a consumer may expect to see.

    Attributes:
        from_beginning: streams are seen from their first event on. Without it the first event
            seen of a stream is accepted whatever its number; earlier ones would be late.
        filtered: the destination carries only some event types, or the subscription asks for
            some only, so that missing numbers mean nothing. Re-sends are still recognised.

    """

    from_beginning: bool = True
    filtered: bool = False


_EVERYTHING: Final = Subscription()


def judge(
    progress: Progress | None, sequence: int, subscription: Subscription = _EVERYTHING
) -> Verdict:
    """Verdict on the event with number ``sequence`` of a stream.

    ``progress`` is what was stored for the stream, ``None`` if nothing was. ``ValueError`` for a
    sequence below 1.
    """
    if sequence < 1:
        raise ValueError(f"sequences start at 1, not {sequence}")
    last, missing = (0, ()) if progress is None else (progress.last, progress.missing)
    if sequence <= last:
        for first, end in missing:
            if first <= sequence <= end:
                return Late(Progress(last, _without(missing, sequence)))
        return Duplicate()
    if subscription.filtered or sequence == last + 1:
        return New(Progress(sequence, missing))
    after = Progress(sequence, _bounded((*missing, (last + 1, sequence - 1))))
    if not (last or subscription.from_beginning):
        return New(after)
    return Gap(last + 1, sequence, after)


def _without(missing: tuple[tuple[int, int], ...], sequence: int) -> tuple[tuple[int, int], ...]:
    parts = (
        part
        for first, end in missing
        for part in (
            ((first, sequence - 1), (sequence + 1, end))
            if first <= sequence <= end
            else ((first, end),)
        )
    )
    return _bounded(tuple((first, end) for first, end in parts if first <= end))


def _bounded(missing: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], ...]:
    return missing[-GAPS_REMEMBERED:]
