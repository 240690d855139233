"""``eatool projections``: prove the read tables by the log, and put them right."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import orjson
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
from rich.progress import Progress as Bar
from rich.table import Table

from eatool.projections import rebuild as rebuilding
from eatool.projections.comparison import Difference
from eatool.projections.rebuild import Report, TableReport
from eatool.projections.shadow import Progress
from eatool.projections.tables import READ_TABLES
from eatool.store.port import StoreError
from eatool.store.sql.engine import open_engine
from eatool.store.sql.errors import Errors
from eatool.store.sql.log import SqlEventStore

#: Differing keys that are shown; all are counted.
_SHOWN = 100

_store = click.option(
    "--store",
    "url",
    envvar="EATOOL_STORE_URL",
    show_envvar=True,
    required=True,
    metavar="URL",
    help="sqlite:///path or postgresql://user@host/database.",
)
_kind = click.option(
    "--kind",
    "kinds",
    multiple=True,
    type=click.Choice(sorted(READ_TABLES)),
    help="Only this one; may be given more than once.",
)
_output = click.option("--output", "-o", type=click.Choice(["table", "json"]), default="table")

_Work = Callable[[SqlEventStore, Collection[str] | None, Progress], Report]


@click.group()
def projections() -> None:
    """The read tables, as the log says they should be."""


@projections.command()
@_store
@_kind
@_output
def verify(url: str, kinds: tuple[str, ...], output: str) -> None:
    """Rebuild from the first event on, beside the read tables, and compare; change nothing.

    Exit code 1 when they differ.
    """
    report = _run(url, kinds, lambda log, which, told: rebuilding.verify(log, which, progress=told))
    _tell(report, output)


@projections.command()
@_store
@_kind
@_output
def rebuild(url: str, kinds: tuple[str, ...], output: str) -> None:
    """Verify, and replace every row that differs, in one transaction; appends go on.

    Exit code 1 when something still differs in the end.
    """
    report = _run(
        url, kinds, lambda log, which, told: rebuilding.rebuild(log, which, progress=told)
    )
    _tell(report, output)


def _run(url: str, kinds: tuple[str, ...], work: _Work) -> Report:
    with _opened(url) as store, _bar() as progress:
        return work(store, kinds or None, progress)


@contextmanager
def _opened(url: str) -> Iterator[SqlEventStore]:
    """The store at a URL; database trouble ends the command with one line."""
    try:
        engine = open_engine(url)
    except Exception as error:
        raise click.UsageError(f"--store: {error}") from error
    file = engine.url.database
    if engine.dialect.name == "sqlite" and file and not Path(file).exists():
        raise click.ClickException(f"--store: there is no file {file}")
    store = SqlEventStore(engine)
    errors = Errors(engine)
    try:
        yield store
    except StoreError as error:
        raise click.ClickException(str(error)) from error
    except errors.types as error:
        raise click.ClickException(str(errors.translate(error))) from error
    finally:
        store.close()


@contextmanager
def _bar() -> Iterator[Progress]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda what, done, total: bar.update(
            task, description=what, completed=done, total=total
        )


def _tell(report: Report, output: str) -> None:
    if output == "json":
        sys.stdout.buffer.write(
            orjson.dumps(_facts(report), option=orjson.OPT_INDENT_2, default=str) + b"\n"
        )
    else:
        _print(report)
    if not report.sound:
        raise SystemExit(1)


def _print(report: Report) -> None:
    console = Console(markup=False, highlight=False)
    left = {table.aggregate_type: len(table.differences) for table in report.tables}
    table = Table("table", "position", "rows", "chunks", "differing", "left")
    for each in report.found:
        table.add_row(
            each.table, str(each.position), str(each.counts.rows), str(each.counts.chunks),
            str(len(each.differences)), str(left[each.aggregate_type]),
        )  # fmt: skip
    console.print(table)
    found = [(each, difference) for each in report.found for difference in each.differences]
    for each, difference in found[:_SHOWN]:
        console.print(f"{_entity(each, difference)}: {_what(difference)}", soft_wrap=True)
    if len(found) > _SHOWN:
        console.print(f"... and {len(found) - _SHOWN} more")
    console.print(
        f"{report.events} events in {report.seconds:.1f} s, of which comparing "
        f"{report.comparing:.1f} s; {report.healed} rows healed"
    )


def _facts(report: Report) -> dict[str, Any]:
    left = {table.aggregate_type: len(table.differences) for table in report.tables}
    return {
        "sound": report.sound,
        "healed": report.healed,
        "events": report.events,
        "seconds": round(report.seconds, 3),
        "comparing_seconds": round(report.comparing, 3),
        "tables": [
            {
                "aggregate_type": each.aggregate_type,
                "table": each.table,
                "position": each.position,
                "rows": each.counts.rows,
                "chunks": each.counts.chunks,
                "differing_chunks": each.counts.differing_chunks,
                "differing": len(each.differences),
                "left": left[each.aggregate_type],
                "found": [
                    {
                        "entity": _entity(each, difference),
                        "what": difference.what,
                        "fields": {
                            one.column: {"live": one.live, "rebuilt": one.rebuilt}
                            for one in difference.fields
                        },
                    }
                    for difference in each.differences[:_SHOWN]
                ],
            }
            for each in report.found
        ],
    }


def _entity(table: TableReport, difference: Difference) -> str:
    return "/".join((table.aggregate_type, *difference.key))


def _what(difference: Difference) -> str:
    if not difference.fields:
        return difference.what
    return "; ".join(
        f"{each.column} is {each.live!r}, should be {each.rebuilt!r}" for each in difference.fields
    )
