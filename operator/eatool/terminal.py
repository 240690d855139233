"""What commands that print data share: one option for the format, tables, JSON, progress."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from types import NoneType
from typing import Any

import click
import orjson
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

_FIGURES = (int, float, NoneType)

output_option = click.option(
    "--output",
    "-o",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="For people or for programs.",
)


def show_table(table: Table) -> None:
    """Print a table: fitted to a terminal, unfolded lines for a pipe.

    Names are copied from there into the next command: folded where they do not fit, never cut.
    What users wrote is shown as it is: brackets are no markup.
    """
    console = Console(markup=False, highlight=False, emoji=False)
    for column in table.columns:
        column.overflow = "fold"
    if not console.is_terminal:
        console.width = 10_000
        table.box = None
        table.pad_edge = False
    console.print(table)


def show_rows(rows: Sequence[Mapping[str, Any]], output: str, *columns: str) -> None:
    """Print ``rows``: as a table of those ``columns``, or whole as a JSON list."""
    if output == "json":
        show_json(rows)
        return
    table = Table()
    for column in columns:
        figures = all(type(row[column]) in _FIGURES for row in rows)
        table.add_column(_title(column), justify="right" if figures else "left")
    for row in rows:
        table.add_row(*(cell(row[column]) for column in columns))
    show_table(table)


def show_facts(facts: Mapping[str, Any]) -> None:
    """Print what is known about one thing, a line each."""
    table = Table(show_header=False, box=None)
    for name, value in facts.items():
        table.add_row(_title(name), cell(value))
    show_table(table)


def show_json(value: object) -> None:
    """Print for programs; times end in ``Z``, and what JSON has no type for is text."""
    options = orjson.OPT_INDENT_2 | orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS
    click.echo(orjson.dumps(value, default=str, option=options))


def cell(value: object) -> str:
    """A value as tables show it: ``-`` for nothing, times in UTC to the second."""
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case datetime():
            return f"{value.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
        case dict():
            return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()
        case list() | tuple():
            return ", ".join(map(str, value)) or "-"
        case _:
            return str(value)


def _title(name: str) -> str:
    return name.replace("_", " ").capitalize()


@contextmanager
def progress_bar(title: str = "", total: int | None = None) -> Iterator[Callable[..., None]]:
    """A bar on standard error, on a terminal, for the length of the block.

    Yields what moves it: ``Progress.update`` of ``rich``, such as ``(advance=1)`` or
    ``(completed=3, total=8, description="sorting")``.
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        yield partial(bar.update, bar.add_task(title, total=total))
