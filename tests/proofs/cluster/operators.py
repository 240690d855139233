"""Operators as processes of their own, with a fate."""

from __future__ import annotations

from pathlib import Path

from tests.operator.operators import Operator, until
from tests.proofs.cluster.mortal import VARIABLE, Fate

_ROOT = Path(__file__).parents[3]


class MortalOperator(Operator):
    """``eatool run``, but for one moment in which it dies, or for its ears."""

    program = ("-m", "tests.proofs.cluster.mortal")

    def begin(self, fate: Fate | str | None = None) -> None:
        """Start with a fate, or with none, and wait until it is ready."""
        self.meet(fate)
        until(self.ready, "the operator is ready")

    def meet(self, fate: Fate | str | None) -> None:
        """Start with a fate that may be quicker than any wait."""
        self.environment[VARIABLE] = "" if fate is None else str(fate)
        self.environment["PYTHONPATH"] = f"{_ROOT / 'operator'}:{_ROOT}"
        self.start()
