"""What a decision orders, and carrying it out."""

from __future__ import annotations

from dataclasses import dataclass

from eatool.rollout.ledger import CannotRetire, Cause, Ledger, Standing
from eatool.rollout.phases import Phase


@dataclass(frozen=True, slots=True)
class Prepare:
    """Announce a transition to the next or the previous phase."""

    to: Phase
    cause: Cause


@dataclass(frozen=True, slots=True)
class Commit:
    """Enter the phase that was announced with this epoch.

    ``late``: its time is up, so a table that cannot be closed now ends the attempt.
    """

    epoch: int
    late: bool = False


@dataclass(frozen=True, slots=True)
class Abort:
    """Stay; the epoch is void."""

    epoch: int
    reason: str


@dataclass(frozen=True, slots=True)
class DropLegacyTable:
    """Remove the retired table for good: its time is over and a person, ``actor``, approved."""

    table: str
    actor: str


#: An order to the ledger.
Step = Prepare | Commit | Abort
Action = Step | DropLegacyTable


def carry_out(ledger: Ledger, aggregate_type: str, step: Step) -> Standing:
    """Do it; repeating it is harmless.

    Raises :class:`~eatool.rollout.ledger.LedgerRefused` when others were quicker, or the legacy
    table cannot be closed yet: look again.
    """
    match step:
        case Prepare(to, cause):
            return ledger.begin(aggregate_type, to, cause)
        case Commit(epoch, late):
            try:
                return ledger.commit(aggregate_type, epoch)
            except CannotRetire as refused:
                if not late:
                    raise
                # Changes of the kind wait as long as the step is announced.
                return ledger.abort(aggregate_type, epoch, f"gave up: {refused}")
        case Abort(epoch, reason):
            return ledger.abort(aggregate_type, epoch, reason)
