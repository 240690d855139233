"""``eatool store`` and ``eatool verify``: look after a log, and prove it sound."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click

from eatool.store.command_line import opened_engine, opened_store, store_option
from eatool.store.sql import migrate as migrations
from eatool.store.sql.heads import disagreements
from eatool.store.verify import Report, verify_chain, verify_ordering
from eatool.terminal import output_option, progress_bar, show_facts, show_json

_Command = Callable[..., Any]


def _range_options(command: _Command) -> _Command:
    first = click.option(
        "--from", "first", type=click.IntRange(1), default=1, show_default=True, help="Position."
    )
    last = click.option("--to", "last", type=click.IntRange(1), help="Position; default the head.")
    return first(last(command))


@click.group()
def store() -> None:
    """The event log's database."""


@store.command()
@store_option
def migrate(url: str) -> None:
    """Create or upgrade the schema; safe to run from several places at once."""
    with opened_engine(url, missing_ok=True) as engine:
        migrations.upgrade(engine)
        click.echo(f"schema at {', '.join(sorted(migrations.current(engine)))}")


@store.command()
@store_option
@output_option
def info(url: str, output: str) -> None:
    """Schema revision and the end of the log."""
    with opened_store(url) as log:
        current = migrations.current(log.engine)
        head = log.head() if current else None
    facts = {
        "database": log.engine.dialect.name,
        "schema": sorted(current),
        "at_head": current == migrations.head(),
        "position": head.position if head else None,
        "recorded_at": head.recorded_at if head else None,
        "hash": head.hash.hex() if head else None,
    }
    (show_json if output == "json" else show_facts)(facts)


@click.group()
def verify() -> None:
    """Prove that the log is complete, ordered and unchanged. Exit code 1 when it is not."""


@verify.command()
@store_option
@_range_options
@output_option
def chain(url: str, first: int, last: int | None, output: str) -> None:
    """Recompute the hash of every event."""
    with opened_store(url) as log, _bar("verifying the chain") as progress:
        report = verify_chain(log, first=first, last=last, progress=progress)
    _tell(report, output)


@verify.command()
@store_option
@_range_options
@click.option(
    "--follow",
    type=click.FloatRange(0),
    default=0.0,
    metavar="SECONDS",
    help="Then tail the log beside its writers for so long.",
)
@output_option
def ordering(url: str, first: int, last: int | None, follow: float, output: str) -> None:
    """Check that positions, versions and times have no gap and no step back."""
    if follow and last is not None:
        raise click.UsageError("--follow starts at the head: leave out --to")
    with opened_store(url) as log, _bar("verifying the order") as progress:
        report = verify_ordering(log, first=first, last=last, follow=follow, progress=progress)
    _tell(report, output)


@verify.command()
@store_option
@output_option
def heads(url: str, output: str) -> None:
    """Compare streams, unique keys and references with the log and with each other."""
    with opened_store(url) as log:
        position = log.head().position
        found = disagreements(log)
    if output == "json":
        broken = {rule: {"count": count, "first": names} for rule, (count, names) in found.items()}
        show_json({"sound": not found, "position": position, "broken": broken})
    else:
        click.echo(f"streams, keys and references at position {position}")
        for rule, (count, names) in found.items():
            click.echo(f"BROKEN {count} times: {rule}: {', '.join(names)}")
    if found:
        raise SystemExit(1)


@contextmanager
def _bar(title: str) -> Iterator[Callable[[int, int], None]]:
    with progress_bar(title) as move:
        yield lambda done, total: move(completed=done, total=total)


def _tell(report: Report, output: str) -> None:
    if output == "json":
        show_json({"sound": report.sound, **dataclasses.asdict(report)})
    else:
        click.echo(
            f"{report.events} events of {report.streams} streams, positions {report.first} to "
            f"{report.last}, in {report.seconds:.1f} s"
        )
        click.echo(f"last hash {report.hash}")
        if report.fault is not None:
            fault = report.fault
            click.echo(
                f"BROKEN at position {fault.position} ({fault.check}): "
                f"expected {fault.expected}, found {fault.actual}"
            )
    if not report.sound:
        raise SystemExit(1)
