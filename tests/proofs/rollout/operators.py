"""An operator as production puts it together, but for the API server: the rollout is a dict."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from eatool.domain.kinds import KINDS
from eatool.kube.rollout.deciding import Decider
from eatool.registry.opening import OpenRegistry, open_registry
from eatool.rollout.feed import InlineByPhase
from eatool.rollout.ledger import Standing
from eatool.rollout.measuring import SampledAppender
from eatool.rollout.phases import Phase
from eatool.rollout.process import Outset, RolloutProcess
from eatool.store.port import StoreUnavailable
from eatool.telemetry.labels import Labels
from eatool.telemetry.prometheus import PrometheusMetrics
from eatool.telemetry.rollout_metrics import RolloutMetrics

KIND = KINDS["application"]
NAMESPACE = "default"

_PARITY = {"name": "parity", "metric": "ParityMismatches", "op": "==", "threshold": "0"}
_SOON = {**_PARITY, "window": "3s"}
_NO_ERRORS = {"name": "errors", "metric": "ParityErrors", "op": "==", "threshold": "0"}
_COVERED = {"name": "coverage", "metric": "ParityCoverage", "op": ">=", "threshold": "1"}
_REBUILT = {"name": "rebuild", "metric": "RebuildDifferences", "op": "==", "threshold": "0"}
_CRITERIA: dict[str, list[dict[str, str]]] = {
    "DualWrite": [],
    "ProjectionOnly": [_SOON, _NO_ERRORS, _COVERED],
    "AsyncCommands": [_SOON, _COVERED],
    "Retired": [_SOON, _COVERED, _REBUILT],
}


class Rollout:
    """An ``EventSourcingRollout`` as people edit it and the operator writes its status."""

    def __init__(self, target: Phase, *, falls_back: bool = False) -> None:
        self.body: dict[str, Any] = {
            "metadata": {"name": KIND.kind.lower(), "generation": 1},
            "spec": {"entityKind": KIND.kind, "transitions": _transitions()},
        }
        self.edit(target, falls_back=falls_back)

    def edit(self, target: Phase, *, falls_back: bool = False, **more: Any) -> None:
        """Declare the target; ``falls_back``: whether a mismatch leads back."""
        self.body["metadata"]["generation"] += 1
        self.body["spec"] |= {
            "targetPhase": target.value,
            "rollback": {
                "auto": falls_back,
                "criteria": [_SOON],
                "cooldown": "1s",
                "maxDemotions": 9,
            },
            **more,
        }

    @property
    def status(self) -> dict[str, Any]:
        status: dict[str, Any] = self.body.get("status") or {}
        return status


def _transitions() -> list[dict[str, Any]]:
    return [
        {"to": to, "criteria": criteria, "soakTime": "1s", "autoPromote": to != "Retired"}
        for to, criteria in _CRITERIA.items()
    ]


@dataclass
class Operator:
    """A running one. ``seen``: state and failing criteria of each look, as they changed."""

    opened: OpenRegistry
    process: RolloutProcess
    rollout: Rollout
    seen: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)

    @property
    def standing(self) -> Standing:
        found = self.process.view.of(KIND.aggregate_type)
        assert found is not None
        return found

    async def reach(self, phase: Phase, *, seconds: float = 60, **edit: Any) -> None:
        """Declare the phase as the target, and wait until it holds."""
        self.rollout.edit(phase, **edit)
        await self.arrive(phase, seconds=seconds)

    async def arrive(self, phase: Phase, *, seconds: float = 60) -> None:
        await until(
            lambda: self._is_at(phase),
            lambda: f"{phase}: {self.rollout.status} {self.seen[-9:]}",
            seconds,
        )

    def _is_at(self, phase: Phase) -> bool:
        found = self.process.view.of(KIND.aggregate_type)
        return found is not None and found.phase is phase and found.preparation is None

    async def decide(self, decider: Decider) -> None:
        while True:
            looked = await decider.look(KIND, self.rollout.body)
            if looked.status is not None:
                self.rollout.body["status"] = looked.status
                failing = _failing(looked.status.get("criteria", ()))
                if [now := (looked.status["state"], failing)] != self.seen[-1:]:
                    self.seen.append(now)
            await asyncio.sleep(looked.again)


def _failing(criteria: Sequence[dict[str, Any]]) -> tuple[str, ...]:
    return tuple(each["name"] for each in criteria if each["result"] == "Fail")


@asynccontextmanager
async def operator(url: str, replica: str, rollout: Rollout) -> AsyncIterator[Operator]:
    """Run one on the database at ``url``."""
    async with _process(url, replica) as (opened, process, metrics):
        process.candidate.set()
        decider = Decider(process, opened.store, metrics, stamped=False, interval=0.2)
        mine = Operator(opened, process, rollout)
        tasks = [asyncio.create_task(process.run()), asyncio.create_task(mine.decide(decider))]
        try:
            yield mine
            for task in tasks:
                assert not task.done(), task
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def cut_off(url: str, replica: str) -> AsyncIterator[RolloutProcess]:
    """One that saw the phases once and hears nothing of them any more; its peers gave it up."""

    def unheard() -> dict[str, Standing]:
        raise StoreUnavailable("cut off")

    async with _process(url, replica) as (_, process, _metrics):
        process.ledger.leave(replica)
        process.ledger.standings = unheard  # type: ignore[method-assign]  # the cut
        yield process


@asynccontextmanager
async def _process(
    url: str, replica: str
) -> AsyncIterator[tuple[OpenRegistry, RolloutProcess, RolloutMetrics]]:
    metrics = PrometheusMetrics(Labels.of(KINDS.values())).rollout
    outset = Outset()
    opening = open_registry(
        url,
        around=lambda appender: SampledAppender(appender, outset.samples, outset.standings.of),
        inline=lambda _engine: [InlineByPhase(outset.standings, NAMESPACE)],
    )
    async with opening as opened:
        process = RolloutProcess(opened, outset, metrics, replica=replica, namespace=NAMESPACE)
        process.start()
        try:
            yield opened, process, metrics
        finally:
            process.close()


async def until(
    holds: Callable[[], bool], what: str | Callable[[], str], seconds: float = 60
) -> None:
    """Wait until it holds; what it asks for may block."""
    deadline = time.monotonic() + seconds
    while not await asyncio.to_thread(holds):
        if time.monotonic() > deadline:
            raise AssertionError(what if isinstance(what, str) else what())
        await asyncio.sleep(0.1)
