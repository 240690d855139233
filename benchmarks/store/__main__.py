"""``python -m benchmarks.store``: the event log beside the raw drivers and its alternative.

Contenders alternate round by round, in another order each, on fresh databases. After each of our
runs the log must be complete, ordered and unbroken, otherwise the exit code is 1.
"""

from __future__ import annotations

import os
import random
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import orjson
from rich.console import Console
from tests.plugins.postgres import HINT, PostgresServer, find_binaries

from benchmarks.store.checks import BenchmarkFailed
from benchmarks.store.conditions import durability, machine
from benchmarks.store.contenders import contenders
from benchmarks.store.report import Key, show, targets
from benchmarks.store.report import medians as medians_of
from benchmarks.store.tailed import tailed
from eatool.store.sql import migrate
from eatool.store.sql.engine import open_engine


class Databases:
    """Fresh databases of both kinds in one folder, and one PostgreSQL server."""

    def __init__(self, folder: Path, server: PostgresServer | None) -> None:
        self.folder = folder
        self._server = server
        self.kinds = ("sqlite", "postgresql") if server else ("sqlite",)

    @contextmanager
    def fresh(self, kind: str) -> Iterator[str]:
        """A migrated database, removed afterwards."""
        if self._server is not None and kind == "postgresql":
            url = self._server.cluster.create_database()
            self._migrate(url)
            yield url
            self._server.cluster.drop_database(url)
            return
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            url = f"sqlite:///{folder}/log.db"
            self._migrate(url)
            yield url

    @staticmethod
    def _migrate(url: str) -> None:
        engine = open_engine(url)
        migrate.upgrade(engine)
        engine.dispose()


@click.command()
@click.option("--quick", is_flag=True, help="Fewer events and rounds: about a minute.")
@click.option("--rounds", type=click.IntRange(1), help="Default 5, or 3 with --quick.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write figures here.")
def main(*, quick: bool, rounds: int | None, json_path: Path | None) -> None:
    """Measure durable appends; exit code 1 when an event is lost, skipped or out of order."""
    console = Console()
    binaries = find_binaries()
    if binaries is None:
        console.print(f"[red]PostgreSQL not measured. {HINT}[/]")
    server = PostgresServer(binaries) if binaries else None
    try:
        if server is not None:
            server.start()
        with tempfile.TemporaryDirectory(prefix="eatool-bench-") as folder:
            _measure(
                console,
                Databases(Path(folder), server),
                quick=quick,
                rounds=rounds or (3 if quick else 5),
                json_path=json_path,
            )
    except BenchmarkFailed as failure:
        console.print(f"[bold red]FAILED[/] {failure}")
        sys.exit(1)
    finally:
        if server is not None:
            server.remove()


def _measure(
    console: Console, databases: Databases, *, quick: bool, rounds: int, json_path: Path | None
) -> None:
    conditions = machine(databases.folder)
    for kind in databases.kinds:
        with databases.fresh(kind) as url:
            conditions[kind] = durability(url)
    plan = [each for each in contenders(quick=quick) if each.database in databases.kinds]
    figures: dict[Key, list[float]] = {
        (each.database, each.name, each.in_flight): [] for each in plan
    }
    for number in range(rounds):
        # In another order each time, and on a disk that is done with the one before: in a fixed
        # order one contender always pays for what its predecessor left to be written.
        for each in random.Random(number).sample(plan, len(plan)):
            os.sync()
            title = f"round {number + 1}/{rounds}: {each.database} {each.name} {each.in_flight}"
            with console.status(title), databases.fresh(each.database) as url:
                rate = each.run(url, each.events)
            figures[each.database, each.name, each.in_flight].append(rate)
    show(console, figures, {**conditions, "rounds": str(rounds)})
    for kind in databases.kinds:
        with databases.fresh(kind) as url:
            seen = tailed(url, 2_000 if quick else 20_000)
        console.print(f"{kind}: {seen} events beside a tailing reader: 0 skipped, 0 out of order")
    if json_path is not None:
        json_path.write_bytes(
            orjson.dumps(
                {
                    "conditions": conditions,
                    "figures": [
                        {"database": d, "contender": n, "in_flight": i, "rounds": values}
                        for (d, n, i), values in figures.items()
                    ],
                    "targets": [
                        {"what": t.what, "ratio": t.ratio, "goal": t.goal, "met": t.met}
                        for t in targets(medians_of(figures))
                    ],
                },
                option=orjson.OPT_INDENT_2,
            )
        )


if __name__ == "__main__":
    main()
