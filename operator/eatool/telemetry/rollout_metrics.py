"""What rollouts report about themselves, as the code that reports it sees it.

``entity`` is always an aggregate type. Series of a kind exist while it is under rollout.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol, get_args

from eatool.commands.observing import CommandMetrics
from eatool.commands.port import Figures
from eatool.rollout.criteria import Outcome
from eatool.rollout.findings import Parity
from eatool.rollout.ledger import Standing, TransitionRecord
from eatool.rollout.status import State

#: Values of ``state``, as in the status of an EventSourcingRollout.
ROLLOUT_STATES: Final[tuple[str, ...]] = get_args(State)
CRITERION_RESULTS: Final = tuple(outcome.lower() for outcome in Outcome)
PARITY_FINDINGS: Final = ("mismatch", "ignored", "error")
COMMAND_STATES: Final = ("queued", "running", "waiting", "dead")


@dataclass(frozen=True, slots=True)
class Judged:
    """One criterion as last evaluated; ``value`` NaN = no data, ``result`` in lower case."""

    criterion: str
    value: float
    threshold: float
    result: str


class RolloutMetrics(CommandMetrics, Protocol):
    """Phases, decisions, parity and commands."""

    def leading(self, *, leads: bool) -> None:
        """Whether this process decides for all."""

    def standing(self, entity: str, standing: Standing | None) -> None:
        """Where a kind stands in this process; ``None``: it left its rollout."""

    def deciding(self, entity: str, state: str | None) -> None:
        """What the rollout is doing; ``None``: another replica decides."""

    def judged(self, entity: str, criteria: Sequence[Judged], at: float) -> None:
        """All criteria of a kind were evaluated at Unix time ``at``."""

    def transition(self, record: TransitionRecord) -> None:
        """A transition ended."""

    def parity(self, entity: str, found: Parity) -> None:
        """What comparisons of a kind have found until now."""

    def command_queue(self, entity: str, found: Figures) -> None:
        """Commands of a kind that have not ended."""
