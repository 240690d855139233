"""``eatool legacy``: take over an existing registry, table by table."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column, Table
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from eatool.domain.kind import EntityKind
from eatool.domain.kinds import KINDS
from eatool.legacy import adoption
from eatool.legacy.applying import Applying
from eatool.legacy.bookkeeping import Bookkeeping, Rehearsed
from eatool.legacy.importing import Import
from eatool.legacy.manifests import write_manifests
from eatool.legacy.report import Report, counts, reasons, save
from eatool.legacy.rows import name_complaint
from eatool.legacy.source import RowSource
from eatool.registry.change import ActorType, Provenance, Source, Trust
from eatool.registry.cli import (
    KindName,
    os_user,
    output_option,
    plain_errors,
    store_option,
    to_json,
    with_registry,
)
from eatool.registry.opening import OpenRegistry, lacks_file
from eatool.store.sql.engine import open_engine
from eatool.store.sql.migrate import upgrade
from eatool.terminal import show


def _a_name(_context: click.Context, _option: click.Parameter, value: str) -> str:
    complaint = name_complaint(value)
    if complaint is not None or "." in value:
        raise click.BadParameter("must be the name of a namespace")
    return value


_namespace = click.option(
    "--namespace",
    "-n",
    callback=_a_name,
    envvar="EATOOL_LEGACY_NAMESPACE",
    default="default",
    show_default=True,
    help="The namespace whose entities the registry holds.",
)
_kinds = click.option(
    "--kind", "-k", "kinds", type=KindName(), multiple=True, help="Only these; may be repeated."
)


@click.group()
def legacy() -> None:
    """The tables of an existing registry, in the database of the event store."""


@legacy.command()
@store_option
@_kinds
def adopt(url: str, kinds: tuple[EntityKind, ...]) -> None:
    """Add the columns and triggers that make its tables tell of their writes.

    No value is changed. Safe to repeat; without --kind, every table that is there.
    """
    with _opened(url) as engine:
        upgrade(engine)
        there = _there(engine, kinds)
        problems = RowSource(engine).problems(there, adopted=False)
        if problems:
            raise click.ClickException("\n".join(problems))
        new = adoption.adopt(engine, there)
    for kind in there:
        click.echo(f"{kind.table} {'adopted' if kind in new else 'is adopted already'}")


@legacy.command()
@store_option
@_kinds
def release(url: str, kinds: tuple[EntityKind, ...]) -> None:
    """Take the triggers away again. The columns stay, they hold data."""
    with _opened(url) as engine:
        for kind in adoption.release(engine, kinds or KINDS.values()):
            click.echo(f"{kind.table} released")


@legacy.command("import")
@store_option
@_namespace
@_kinds
@click.option(
    "--report",
    "file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write every refused row to this .csv or .json file.",
)
@click.option("--dry-run", is_flag=True, help="Decide everything, record nothing, adopt nothing.")
@click.option("--actor", help="Who asks; default the user of the operating system.")
@click.option("--reason", help="Why; quoted in the events.")
@output_option
def import_(
    *,
    url: str,
    namespace: str,
    kinds: tuple[EntityKind, ...],
    file: Path | None,
    dry_run: bool,
    actor: str | None,
    reason: str | None,
    output: str,
) -> None:
    """Record the rows of adopted tables as events, referenced ones first.

    Run again after a crash it goes on, and later it records what has changed in the registry
    since. Exit code 0: every row is recorded; 1: some were refused; 2: nothing was tried.
    """
    if file is not None and file.suffix not in {".csv", ".json"}:
        raise click.UsageError("--report: must be a .csv or a .json file")
    told = Provenance(
        actor=actor or os_user(),
        actor_type=ActorType.USER,
        trust=Trust.DECLARED,
        source=Source.IMPORT,
        reason=reason,
    )
    with _opened(url) as engine:
        source, there = RowSource(engine), _there(engine, kinds)
        problems = source.problems(there, adopted=not dry_run)
        if problems:
            hint = (
                "" if dry_run else "\nrun `eatool legacy adopt` first, so that no write is missed"
            )
            raise click.UsageError("\n".join(problems) + hint)
        total = sum(map(source.count, there))

        async def run(opened: OpenRegistry) -> Report:
            notes = Bookkeeping(engine, namespace)
            with _bar("importing", total, shown=output == "text") as progress:
                run = Import(
                    Applying(opened.registry, opened.entities),
                    source,
                    Rehearsed(notes) if dry_run else notes,
                    namespace,
                    told,
                    progress,
                )
                return await run.run(there)

        report = with_registry(url, run, migrate=not dry_run, dry_run=dry_run)
    if file is not None:
        save(report, file)
    _tell(report, output, dry_run=dry_run, file=file)
    if report.complaints:
        raise SystemExit(1)


@legacy.command()
@store_option
@_namespace
@_kinds
@click.option(
    "--out",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Directory for the files; made if need be.",
)
@click.option("--only-imported", is_flag=True, help="Leave out what no import has recorded.")
def manifests(
    url: str, namespace: str, kinds: tuple[EntityKind, ...], out: Path, *, only_imported: bool
) -> None:
    """Write a custom resource for every row, ready for kubectl apply or a GitOps repository."""
    with _opened(url) as engine:
        source, there = RowSource(engine), _there(engine, kinds)
        problems = source.problems(there, adopted=False)
        if problems:
            raise click.UsageError("\n".join(problems))
        only = Bookkeeping(engine, namespace).of if only_imported else None
        shown = Table("Directory", *(Column(each, justify="right") for each in _WRITTEN))
        with _bar("writing", sum(map(source.count, there)), shown=True) as progress:
            for each in write_manifests(
                source, there, out, namespace=namespace, only=only, progress=progress
            ):
                numbers = (each.files, each.canonicalised, each.skipped)
                shown.add_row(f"{out / each.directory}", *map(str, numbers))
    show(shown)


_WRITTEN = ("Files", "With corrected values", "Rows left out")


@legacy.command()
@store_option
@_namespace
@output_option
def status(url: str, namespace: str, output: str) -> None:
    """Show how far each table has been taken over.

    Pending are the keys of rows that were written since they were last looked at.
    """
    with _opened(url) as engine:
        source = RowSource(engine)
        there = source.present(KINDS.values())
        adopted = adoption.adopted_kinds(engine, there)
        standings = Bookkeeping(engine, namespace).standings(KINDS.values())
        rows: list[dict[str, Any]] = []
        for kind in KINDS.values():
            standing = standings[kind.aggregate_type]
            rows.append(
                {
                    "table": kind.table,
                    "rows": source.count(kind) if kind in there else None,
                    "adopted": kind in adopted,
                    "imported": standing.imported,
                    "refused": standing.refused,
                    "pending": standing.pending,
                }
            )
    if output == "json":
        click.echo(to_json(rows))
        return
    headings = (Column(each, justify="right") for each in ("Imported", "Refused", "Pending"))
    shown = Table("Table", Column("Rows", justify="right"), "Adopted", *headings)
    for row in rows:
        there_ = row["rows"] is not None
        shown.add_row(
            row["table"],
            str(row["rows"]) if there_ else "no table",
            "yes" if row["adopted"] else "no",
            *(str(row[name]) for name in ("imported", "refused", "pending")),
        )
    show(shown)


@contextmanager
def _opened(url: str) -> Iterator[Engine]:
    """The database; trouble with it ends the command with one line."""
    try:
        engine = open_engine(url)
    except (ValueError, SQLAlchemyError) as error:
        raise click.UsageError(f"--store: {error}") from error
    if lacks_file(engine):
        raise click.UsageError(f"--store: there is no {engine.url.database}")
    try:
        with plain_errors():
            yield engine
    except adoption.NotAdoptable as why:
        raise click.ClickException(str(why)) from None
    finally:
        engine.dispose()


def _there(engine: Engine, kinds: Sequence[EntityKind]) -> list[EntityKind]:
    """The kinds that are meant: the given ones, or all that have a table."""
    there = list(kinds) or RowSource(engine).present(KINDS.values())
    if not there:
        tables = ", ".join(kind.table for kind in KINDS.values())
        raise click.UsageError(f"--store: no table of a registry is there ({tables})")
    return there


def _tell(report: Report, output: str, *, dry_run: bool, file: Path | None) -> None:
    if output == "json":
        click.echo(to_json(report.as_json()))
        return
    show(counts(report, dry_run=dry_run))
    if canonicalised := report.total("canonicalised"):
        click.echo(f"{canonicalised} rows are recorded in a tidier form than they are written in")
    if report.complaints:
        show(reasons(report))
        where = f"every refused row is in {file}" if file else "--report FILE lists every row"
        click.echo(f"{report.total('refused')} rows refused; {where}")


@contextmanager
def _bar(title: str, total: int, *, shown: bool) -> Iterator[Callable[[int], None]]:
    console = Console(stderr=True)
    columns = (TextColumn(title), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    hidden = not (shown and console.is_terminal)
    with Progress(*columns, console=console, transient=True, disable=hidden) as bar:
        task = bar.add_task(title, total=total)
        yield lambda rows: bar.advance(task, rows)
