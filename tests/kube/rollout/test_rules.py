"""When the rules of ``parity.ignored`` are known to the process that judges by them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from eatool.domain.kinds import KINDS, by_kind
from eatool.kube.rollout.deciding import Decider, declared_rules
from eatool.registry.opening import open_registry
from eatool.rollout.ignoring import Rule
from eatool.rollout.lease import SqlLease
from eatool.rollout.process import Outset, RolloutProcess
from eatool.store.port import StoreUnavailable
from eatool.telemetry.labels import Labels
from eatool.telemetry.prometheus import PrometheusMetrics

KIND = by_kind("Application")
NAME = KIND.aggregate_type
SHOUTING = {"name": "shouting", "fields": ["owner"], "when": "CaseDiffers"}
RULES = {"owner": [Rule("shouting", "CaseDiffers")]}


def declared(parity: Any = None, *, target: str = "DualWrite") -> dict[str, Any]:
    spec = {"entityKind": "Application", "targetPhase": target}
    metadata = {"name": "application", "generation": 1}
    return {"metadata": metadata, "spec": spec | ({} if parity is None else {"parity": parity})}


@pytest.mark.parametrize(
    ("body", "rules"),
    [
        (declared(), {}),
        (declared({}), {}),
        (declared({"ignored": [SHOUTING]}), RULES),
        (declared({"ignored": [SHOUTING], "sweepInterval": "soon"}), RULES),
        (declared({"ignored": [SHOUTING]}, target="Nowhere"), RULES),
        (declared({"ignored": [SHOUTING | {"when": "AsOfALaterRelease"}]}), None),
        (declared({"ignored": None}), {}),
        (declared({"ignored": "all"}), None),
    ],
)
def test_rules_are_read_whatever_else_is_wrong(body: dict[str, Any], rules: Any) -> None:
    assert declared_rules(KIND, body) == rules


async def test_rules_are_known_from_a_look_to_the_end_of_the_lease(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with leader(f"sqlite:///{tmp_path}/log.db") as (process, decider):
        assert process.ignored == {}
        await decider.look(KIND, declared({"ignored": [SHOUTING]}, target="Nowhere"))
        assert process.ignored == {NAME: RULES}
        decider.undeclared(KIND)
        assert process.ignored == {NAME: RULES}, "gone for a moment is no other mind"
        unreadable = declared({"ignored": [SHOUTING | {"when": "AsOfALaterRelease"}]})
        await decider.look(KIND, unreadable)
        assert process.ignored == {}
        decider.undeclared(KIND)
        assert process.ignored == {NAME: {}}
        with monkeypatch.context() as cut:
            cut.setattr(SqlLease, "hold", unreachable)
            await until(lambda: not process.leads and not process.ignored)
            await decider.look(KIND, declared({"ignored": [SHOUTING]}))
            decider.undeclared(KIND)
            assert process.ignored == {}
        await until(lambda: process.leads)
        assert process.ignored == {}


def unreachable(_lease: SqlLease) -> bool:
    raise StoreUnavailable("cut off")


@asynccontextmanager
async def leader(url: str) -> AsyncIterator[tuple[RolloutProcess, Decider]]:
    metrics = PrometheusMetrics(Labels.of(KINDS.values())).rollout
    async with open_registry(url) as opened:
        process = RolloutProcess(opened, Outset(), metrics, replica="one", namespace="default")
        decider = Decider(process, opened.store, metrics, stamped=False, interval=1.0)
        process.start()
        process.candidate.set()
        running = asyncio.create_task(process.run())
        try:
            await until(lambda: process.leads)
            yield process, decider
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            decider.close()
            process.close()


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not holds():
            await asyncio.sleep(0.05)
