"""One process on an adopted registry, at a phase of choice, with nothing running beside it."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from click.testing import CliRunner
from tests.legacy.clean import Clean
from tests.legacy.landscape import create_tables, insert, stored

from benchmarks.store.checks import check_equal
from eatool.domain.kinds import KINDS
from eatool.projections.inline import ReadModels
from eatool.registry.opening import OpenRegistry, open_registry
from eatool.rollout.feed import InlineByPhase
from eatool.rollout.import_cli import legacy
from eatool.rollout.ledger import Cause, Trigger
from eatool.rollout.phases import Phase
from eatool.rollout.process import Outset, RolloutProcess
from eatool.store.sql.engine import open_engine
from eatool.telemetry.labels import Labels
from eatool.telemetry.prometheus import PrometheusMetrics

KIND = KINDS["application"]
NAMESPACE = "default"
_CAUSE = Cause(Trigger.COMMAND, "benchmark")
_CAPABILITIES = 50


@dataclass(frozen=True, slots=True)
class Site:
    """``process`` is none where the kind is not under rollout."""

    opened: OpenRegistry
    process: RolloutProcess | None


def fill(url: str, rows: int) -> None:
    """The old registry: so many applications, adopted and imported."""
    tables = Clean(
        random.Random(1), {"business_capabilities": _CAPABILITIES, "applications": rows}
    ).rows
    engine = open_engine(url)
    with engine.begin() as connection:
        create_tables(connection)
        for table, found in tables.items():
            insert(connection, table, *(stored(row, connection.dialect.name) for row in found))
    engine.dispose()
    for command in ("adopt", "import"):
        result = CliRunner().invoke(legacy, [command, "--store", url], catch_exceptions=False)
        check_equal(f"legacy {command}: exit code", result.exit_code, 0)


@asynccontextmanager
async def at(url: str, phase: Phase | None) -> AsyncIterator[Site]:
    """Open it in that phase; ``None``: without a rollout."""
    if phase is None:
        async with open_registry(url, inline=lambda _engine: [ReadModels()]) as opened:
            yield Site(opened, None)
        return
    outset = Outset()
    opening = open_registry(
        url, inline=lambda _engine: [InlineByPhase(outset.standings, NAMESPACE)]
    )
    metrics = PrometheusMetrics(Labels.of(KINDS.values())).rollout
    async with opening as opened:
        process = RolloutProcess(opened, outset, metrics, replica="bench", namespace=NAMESPACE)
        standing = process.ledger.enroll(KIND.aggregate_type, _CAUSE)
        while standing.phase is not phase and (to := standing.phase.next) is not None:
            prepared = process.ledger.begin(KIND.aggregate_type, to, _CAUSE).preparation
            if prepared is not None:
                standing = process.ledger.commit(KIND.aggregate_type, prepared.epoch)
        process.start()
        try:
            yield Site(opened, process)
        finally:
            process.close()
