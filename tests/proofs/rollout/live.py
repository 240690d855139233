"""People who go on declaring, whatever phase there is; and what they were told was accepted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.proofs.rollout.operators import KIND, NAMESPACE, Operator

from eatool.registry.change import Change
from eatool.registry.outcome import (
    PhasedOutcome,
    Queued,
    Recorded,
    Unavailable,
    Unchanged,
    WrittenToLegacy,
)

_ENTITIES = 12
#: Every so many changes of an entity one ends it.
_LIVES = 7
_PAUSE = 0.04


def spec_of(name: str, number: int) -> dict[str, Any]:
    """What a person writes; it tells the change it belongs to."""
    return {
        "name": f"Live {name}",
        "description": f"change {number}",
        "owner": "Checkout",
        "lifecycle": "active",
        "dataClassification": "internal",
    }


class Live:
    """Changes entities ``<prefix>-0`` and so on in turn: creates, edits, ends, creates again.

    ``accepted``: description by entity, ``None`` of one that was ended. ``outcomes``: by name of
    their type, what was answered.
    """

    def __init__(self, prefix: str, journal: Path | None = None) -> None:
        self.accepted: dict[str, str | None] = {}
        self.outcomes: dict[str, int] = {}
        self._prefix = prefix
        self._journal = journal
        self._number = 0
        self._between = asyncio.Lock()

    @asynccontextmanager
    async def on(self, operator: Operator) -> AsyncIterator[None]:
        """Declare to this operator meanwhile."""
        task = asyncio.create_task(self.run(operator))
        try:
            yield
            assert not task.done(), task
        finally:
            async with self._between:  # a change under way is answered first
                task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    @asynccontextmanager
    async def quiet(self) -> AsyncIterator[Mapping[str, str | None]]:
        """Nobody declares anything meanwhile; all that was accepted until now."""
        async with self._between:
            yield dict(self.accepted)

    async def some(self, count: int) -> None:
        """Wait for so many more accepted changes."""
        wanted = self._number + count
        while self._number < wanted:
            await asyncio.sleep(_PAUSE)

    async def run(self, operator: Operator) -> None:
        while True:
            async with self._between:
                await self._one(operator)
            await asyncio.sleep(_PAUSE)

    async def _one(self, operator: Operator) -> None:
        turn, entity = divmod(self._number, _ENTITIES)
        name = f"{self._prefix}-{entity}"
        life, generation = divmod(turn, _LIVES)
        spec = spec_of(name, self._number)
        change = Change(
            ref=KIND.ref(NAMESPACE, name),
            uid=f"uid-{name}-{life}",
            generation=generation + 1,
            spec=spec,
        )
        ends = generation == _LIVES - 1
        self._note(name, "?")
        outcome = await self._answer(operator, change, ends=ends)
        kind = type(outcome).__name__
        assert isinstance(outcome, Recorded | Unchanged | WrittenToLegacy | Queued), outcome
        self.outcomes[kind] = self.outcomes.get(kind, 0) + 1
        self._accept(name, None if ends else spec["description"])
        self._number += 1

    @staticmethod
    async def _answer(operator: Operator, change: Change, *, ends: bool) -> PhasedOutcome:
        registry = operator.process.registry
        while True:
            outcome = await (registry.delete(change) if ends else registry.apply(change))
            if not isinstance(outcome, Unavailable):
                return outcome
            await asyncio.sleep(0.1)

    def _accept(self, name: str, description: str | None) -> None:
        self.accepted[name] = description
        self._note(name, description or "-")

    def _note(self, name: str, what: str) -> None:
        if self._journal is not None:
            with self._journal.open("a") as notes:
                print(name, what, sep="\t", file=notes)


def journalled(path: Path) -> dict[str, str | None]:
    """What a process that was killed had accepted; without what it had not answered yet."""
    told = dict(line.split("\t") for line in path.read_text().splitlines())
    return {name: None if what == "-" else what for name, what in told.items() if what != "?"}
