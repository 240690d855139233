"""``eatool projections``: prove the read tables by the log, and put them right."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click

from eatool.domain.kinds import upcast
from eatool.projections import rebuild as rebuilding
from eatool.projections.comparison import Difference
from eatool.projections.rebuild import Report, TableReport
from eatool.projections.shadow import Progress
from eatool.projections.tables import READ_TABLES
from eatool.store.command_line import opened_store, store_option
from eatool.terminal import output_option, progress_bar, show_json, show_rows

#: Differing keys that are shown; all are counted.
_SHOWN = 100

_kind = click.option(
    "--kind",
    "kinds",
    multiple=True,
    type=click.Choice(sorted(READ_TABLES)),
    help="Only this one; may be given more than once.",
)


@click.group()
def projections() -> None:
    """The read tables, as the log says they should be."""


@projections.command()
@store_option
@_kind
@output_option
def verify(url: str, kinds: tuple[str, ...], output: str) -> None:
    """Rebuild from the first event on, beside the read tables, and compare; change nothing.

    Exit code 1 when they differ.
    """
    _run(rebuilding.verify, url, kinds, output)


@projections.command()
@store_option
@_kind
@output_option
def rebuild(url: str, kinds: tuple[str, ...], output: str) -> None:
    """Verify, and replace every row that differs, in one transaction; appends go on.

    Exit code 1 when something still differs in the end.
    """
    _run(rebuilding.rebuild, url, kinds, output)


def _run(work: Callable[..., Report], url: str, kinds: tuple[str, ...], output: str) -> None:
    with opened_store(url) as store, _bar() as progress:
        report = work(store, kinds or None, upcast=upcast, progress=progress)
    if output == "json":
        show_json(_facts(report))
    else:
        _print(report)
    if not report.sound:
        raise SystemExit(1)


@contextmanager
def _bar() -> Iterator[Progress]:
    with progress_bar() as move:
        yield lambda what, done, total: move(description=what, completed=done, total=total)


def _print(report: Report) -> None:
    tables = _facts(report)["tables"]
    show_rows(tables, "table", "table", "position", "rows", "chunks", "differing", "left")
    found = [(each, difference) for each in report.found for difference in each.differences]
    for each, difference in found[:_SHOWN]:
        click.echo(f"{_entity(each, difference)}: {_what(difference)}")
    if len(found) > _SHOWN:
        click.echo(f"... and {len(found) - _SHOWN} more")
    click.echo(
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
