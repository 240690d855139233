"""How far a destination has got, who may say so, and what had to be left behind.

The log is cut into :data:`~eatool.store.port.PARTITIONS` partitions. For each destination and
partition there is one cursor, leased to one relay process. Taking a cursor over raises its epoch,
and every write carries the epoch: a process that was paused past its lease cannot move a cursor
or park a stream any more.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from eatool.store.port import PARTITIONS


@dataclass(frozen=True, slots=True)
class Cursor:
    """A leased partition: everything up to ``position`` is published, or parked.

    ``sent``: acknowledgements so far, those of repeats after a crash included.
    """

    partition: int
    position: int
    epoch: int
    sent: int = 0


@dataclass(frozen=True, slots=True)
class CursorState:
    """A cursor as an onlooker sees it; ``owner`` is ``None`` when nobody holds it."""

    partition: int
    position: int
    epoch: int
    owner: str | None
    lease_until: datetime | None
    sent: int = 0


@dataclass(frozen=True, slots=True)
class Claim:
    """The partitions a process holds now, and how many of them are more than its fair share."""

    held: tuple[Cursor, ...]
    excess: int


@dataclass(frozen=True, slots=True)
class ParkedStream:
    """A stream that is passed over from one event on; the log keeps its events.

    ``first_*`` is the first event that was not published. ``resend_requested``: somebody asked
    to send what was passed over and to go on; the owner of the partition does it.
    """

    stream_id: str
    partition: int
    first_position: int
    first_version: int
    reason: str
    attempts: int
    parked_at: datetime
    resend_requested: bool = False


class Checkpoints(Protocol):
    """Storage of cursors and parked streams. Methods block; call them from a worker thread.

    Every method raises :class:`~eatool.store.port.StoreUnavailable` when the database is away.
    """

    def claim(self, destination: str, owner: str, *, lease: float, start: int = 0) -> Claim:
        """Announce ``owner``, renew its leases for ``lease`` seconds, take free partitions.

        Takes as many as the fair share among live owners allows. The first claim of a new
        destination makes its cursors, all at position ``start``.
        """
        ...

    def begin(self, destination: str, start: int) -> None:
        """Make the cursors of a new destination, all at ``start``, without claiming any.

        Nothing happens when it has cursors. Keeps the place of a destination that is suspended
        from the beginning.
        """
        ...

    def save(self, destination: str, owner: str, cursors: Sequence[Cursor]) -> frozenset[int]:
        """Move cursors forward; returns the partitions that ``owner`` no longer holds.

        A cursor that does not move keeps its ``sent`` as well.
        """
        ...

    def release(self, destination: str, owner: str, partitions: Collection[int]) -> None:
        """Give partitions back, free for anybody."""
        ...

    def leave(self, destination: str, owner: str) -> None:
        """Give back everything and stop counting in the fair share."""
        ...

    def cursors(self, destination: str) -> list[CursorState]:
        """All cursors by partition; empty for an unknown destination."""
        ...

    def destinations(self) -> list[str]:
        """Names of all destinations that have cursors, sorted."""
        ...

    def forget(self, destination: str) -> bool:
        """Remove cursors and parked streams of a destination; False while a process serves it.

        It starts anew when it is served again.
        """
        ...

    def park(self, destination: str, owner: str, epoch: int, stream: ParkedStream) -> bool:
        """Write or replace a parked stream; False when the partition is no longer held."""
        ...

    def parked(
        self, destination: str, partitions: Collection[int] | None = None
    ) -> list[ParkedStream]:
        """Parked streams, oldest first, optionally only of some partitions."""
        ...

    def request_resend(self, destination: str, stream_id: str) -> bool:
        """Ask the owner to send what was passed over; False when the stream is not parked."""
        ...

    def unpark(self, destination: str, owner: str, epoch: int, stream: ParkedStream) -> bool:
        """Forget a parked stream that has caught up; False when no longer the owner."""
        ...


def fair_share(owner: str, members: Iterable[str]) -> int:
    """How many partitions ``owner`` should hold; the shares of all members make up the whole."""
    everyone = sorted({owner, *members})
    share, rest = divmod(PARTITIONS, len(everyone))
    return share + (everyone.index(owner) < rest)


@dataclass(frozen=True, slots=True)
class Plan:
    """What one claim does to the cursors, decided before anything is written."""

    renew: tuple[CursorState, ...]
    take: tuple[CursorState, ...]
    excess: int

    @classmethod
    def of(
        cls, cursors: Sequence[CursorState], members: Iterable[str], owner: str, now: datetime
    ) -> Plan:
        """Renew what is still ours; take free or expired cursors up to the fair share."""
        leased = [each for each in cursors if each.lease_until and each.lease_until > now]
        mine = tuple(each for each in leased if each.owner == owner)
        free = tuple(each for each in cursors if each not in leased)
        share = fair_share(owner, members)
        return cls(mine, free[: max(0, share - len(mine))], max(0, len(mine) - share))

    @property
    def claim(self) -> Claim:
        """The answer to the claimant; taken cursors have the next epoch."""
        renewed = (_cursor(each, each.epoch) for each in self.renew)
        taken = (_cursor(each, each.epoch + 1) for each in self.take)
        return Claim((*renewed, *taken), self.excess)


def _cursor(state: CursorState, epoch: int) -> Cursor:
    return Cursor(state.partition, state.position, epoch, state.sent)
