"""Medians, ratios, targets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from rich.console import Console
from rich.table import Table

#: (database, contender, in flight)
Key = tuple[str, str, int]

OURS, RAW, CORE, PEER = "eatool", "raw driver", "SQLAlchemy Core", "eventsourcing 9.5"
BATCHES = f"{OURS}, batches"


@dataclass(frozen=True, slots=True)
class Target:
    """``ratio`` must reach ``goal``."""

    what: str
    ratio: float
    goal: float

    @property
    def met(self) -> bool:
        """Reached."""
        return self.ratio >= self.goal


def medians(figures: Mapping[Key, Sequence[float]]) -> dict[Key, float]:
    """Median of the rounds."""
    return {key: median(values) for key, values in figures.items()}


def targets(rate: Mapping[Key, float]) -> Iterator[Target]:
    """What the log has to reach, from this run's own figures."""
    for database in dict.fromkeys(key[0] for key in rate):
        yield Target(
            f"{database}: single append vs SQLAlchemy Core",
            rate[database, OURS, 0] / rate[database, CORE, 0],
            0.8,
        )
        peer = max(value for key, value in rate.items() if key[0] == database and PEER in key[1])
        for in_flight in sorted({key[2] for key in rate if key[1] == OURS and key[2] > 1}):
            ours = rate[database, OURS, in_flight]
            yield Target(f"{database}: {in_flight} in flight vs best of {PEER}", ours / peer, 5.0)
            yield Target(
                f"{database}: batches of {in_flight} vs raw driver, same batch",
                rate[database, BATCHES, in_flight] / rate[database, RAW, in_flight],
                0.6,
            )


def show(
    console: Console, figures: Mapping[Key, Sequence[float]], conditions: Mapping[str, str]
) -> None:
    """One table of rates, one list of targets, and the conditions."""
    rate = medians(figures)
    table = Table(title="Durable one-event appends, events/s (median, range)")
    for heading in ("database", "contender", "in flight"):
        table.add_column(heading)
    for heading in ("events/s", "range", "of raw driver"):
        table.add_column(heading, justify="right")
    for (database, name, in_flight), values in figures.items():
        ceiling = rate.get((database, RAW, in_flight if in_flight > 1 else 0))
        value = rate[database, name, in_flight]
        table.add_row(
            database,
            name,
            "single" if in_flight == 0 else str(in_flight),
            f"{value:,.0f}",
            f"{min(values):,.0f}-{max(values):,.0f}",
            f"{value / ceiling:.0%}" if ceiling else "",
        )
    console.print(table)
    for target in targets(rate):
        mark = "[green]met[/]   " if target.met else "[red]missed[/]"
        console.print(f"{mark} {target.what}: {target.ratio:.2f} (target {target.goal:g})")
    for name, condition in conditions.items():
        console.print(f"{name}: {condition}", highlight=False)
