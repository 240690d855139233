"""``python -m benchmarks.rollout``: what parity and writing in each phase cost.

Phases alternate round by round, in another order each, on fresh databases. The exit code is 1
when a change is lost or both sides do not agree.
"""

from __future__ import annotations

import random
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from statistics import median

import click
from rich.console import Console
from rich.table import Table
from tests.legacy.landscape import create_tables
from tests.plugins.postgres import HINT, PostgresServer, find_binaries

from benchmarks.rollout import bursts, sweeping, writing
from benchmarks.rollout.bursts import Burst
from benchmarks.rollout.process import KIND, fill
from benchmarks.rollout.writing import ANSWERS, Writes
from benchmarks.store.__main__ import Databases
from benchmarks.store.checks import BenchmarkFailed
from benchmarks.store.conditions import durability, machine
from eatool.legacy.adoption import adopt
from eatool.rollout.phases import Phase
from eatool.store.sql.engine import open_engine

_Key = tuple[str, Phase | None]


@click.command()
@click.option("--quick", is_flag=True, help="Fewer rows, changes and rounds: about a minute.")
@click.option("--rounds", type=click.IntRange(1), help="Default 5, or 3 with --quick.")
def main(*, quick: bool, rounds: int | None) -> None:
    """Measure sweeps and writes by phase; exit code 1 when something is lost or differs."""
    console = Console()
    binaries = find_binaries()
    if binaries is None:
        console.print(f"[red]PostgreSQL not measured. {HINT}[/]")
    server = PostgresServer(binaries) if binaries else None
    try:
        if server is not None:
            server.start()
        with tempfile.TemporaryDirectory(prefix="eatool-bench-") as folder:
            databases = Databases(Path(folder), server)
            _measure(console, databases, quick=quick, rounds=rounds or (3 if quick else 5))
    except BenchmarkFailed as failure:
        console.print(f"[bold red]FAILED[/] {failure}")
        sys.exit(1)
    finally:
        if server is not None:
            server.remove()


def _measure(console: Console, databases: Databases, *, quick: bool, rounds: int) -> None:
    rows, changes = (5_000, 160) if quick else (20_000, 640)
    conditions = machine(databases.folder)
    for kind in databases.kinds:
        with databases.fresh(kind) as url:
            conditions[kind] = durability(url)
            fill(url, rows)
            rates = [sweeping.measure(url, rows) for _ in range(rounds)]
        console.print(f"{kind}: a sweep compares {median(rates):,.0f} rows/s, of {rows:,}")
    figures: defaultdict[_Key, list[Writes]] = defaultdict(list)
    plan = [(kind, phase) for kind in databases.kinds for phase in ANSWERS]
    for number in range(rounds):
        for kind, phase in random.Random(number).sample(plan, len(plan)):
            title = f"round {number + 1}/{rounds}: {kind} {phase or 'no rollout'}"
            with console.status(title), databases.fresh(kind) as url:
                _prepare(url)
                figures[kind, phase].append(writing.measure(url, phase, changes))
    _show(console, figures)
    _show_bursts(console, _bursts(console, databases, rounds, 1_280 if quick else 5_120))
    for name, value in {**conditions, "rounds": str(rounds)}.items():
        console.print(f"  {name}: {value}", highlight=False)


def _bursts(
    console: Console, databases: Databases, rounds: int, changes: int
) -> dict[tuple[str, int], list[Burst]]:
    found: defaultdict[tuple[str, int], list[Burst]] = defaultdict(list)
    plan = [(kind, in_flight) for kind in databases.kinds for in_flight in bursts.IN_FLIGHT]
    for number in range(rounds):
        for kind, in_flight in random.Random(number).sample(plan, len(plan)):
            title = f"round {number + 1}/{rounds}: {kind}, {in_flight} in flight"
            with console.status(title), databases.fresh(kind) as url:
                found[kind, in_flight].append(bursts.measure(url, in_flight, changes))
    return found


def _prepare(url: str) -> None:
    engine = open_engine(url)
    with engine.begin() as connection:
        create_tables(connection)
    adopt(engine, [KIND])
    engine.dispose()


def _show(console: Console, figures: dict[_Key, list[Writes]]) -> None:
    table = Table(
        "Database", "Phase", "Latency ms", "vs plain", "Changes/s, 64 at once", "vs plain"
    )
    for (kind, phase), rounds in sorted(figures.items(), key=_order):
        latency, rate = _medians(rounds)
        plain_latency, plain_rate = _medians(figures[kind, None])
        table.add_row(
            kind,
            phase or "no rollout",
            f"{latency * 1_000:.2f}",
            f"{latency / plain_latency:.2f}x",
            f"{rate:,.0f}",
            f"{rate / plain_rate:.2f}x",
        )
    console.print(table)


def _show_bursts(console: Console, found: dict[tuple[str, int], list[Burst]]) -> None:
    table = Table("Database", "In flight", "", "Changes/s", "vs plain", "p50 ms", "p99 ms")
    for (kind, in_flight), rounds in sorted(found.items()):
        paces = {
            "plain append": [each.plain for each in rounds],
            "command acknowledged": [each.acknowledged for each in rounds],
            "command completed": [each.completed for each in rounds],
        }
        for name, pace in paces.items():
            # Of each round by itself: what else the machine does changes from round to round.
            ratio = median(
                one.rate / burst.plain.rate for one, burst in zip(pace, rounds, strict=True)
            )
            table.add_row(
                kind,
                str(in_flight),
                name,
                f"{median(each.rate for each in pace):,.0f}",
                f"{ratio:.2f}x",
                f"{median(each.p50 for each in pace) * 1_000:.1f}",
                f"{median(each.p99 for each in pace) * 1_000:.1f}",
            )
    console.print(table)
    console.print("bursts: 0 lost, 0 duplicated, 0 out of order")


def _order(item: tuple[_Key, list[Writes]]) -> tuple[str, int]:
    (kind, phase), _ = item
    return kind, -1 if phase is None else phase.number


def _medians(rounds: list[Writes]) -> tuple[float, float]:
    return median(each.latency for each in rounds), median(each.rate for each in rounds)


if __name__ == "__main__":
    main()
