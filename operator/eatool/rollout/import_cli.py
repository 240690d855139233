"""``eatool legacy import``: record the rows of a registry, as far as its rollout has not gone."""

from __future__ import annotations

from pathlib import Path

import click

from eatool.domain.kind import EntityKind
from eatool.legacy.applying import Applying
from eatool.legacy.bookkeeping import Bookkeeping, Rehearsed
from eatool.legacy.cli import kinds_option, kinds_there, legacy, namespace_option
from eatool.legacy.importing import Import
from eatool.legacy.report import Report, counts, reasons, save
from eatool.legacy.source import RowSource
from eatool.registry.command_line import actor_option, declared, reason_option, with_registry
from eatool.registry.opening import OpenRegistry
from eatool.rollout.importing import LogDecides, RowsAuthoritative
from eatool.rollout.ledger_sql import SqlLedger
from eatool.store.command_line import opened_engine, store_option
from eatool.terminal import output_option, progress_bar, show_json, show_table

__all__ = ["legacy"]


@legacy.command("import")
@store_option
@namespace_option
@kinds_option
@click.option(
    "--report",
    "file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write every refused row to this .csv or .json file.",
)
@click.option("--dry-run", is_flag=True, help="Decide everything, record nothing, adopt nothing.")
@actor_option
@reason_option
@output_option
def import_(
    *,
    url: str,
    namespace: str,
    kinds: tuple[EntityKind, ...],
    file: Path | None,
    dry_run: bool,
    actor: str,
    reason: str | None,
    output: str,
) -> None:
    """Record the rows of adopted tables as events, referenced ones first.

    Run again after a crash it goes on, and later it records what has changed in the registry
    since. Kinds whose rollout has come to ProjectionOnly are refused: their rows follow the log.
    Exit code 0: every row is recorded; 1: some were refused; 2: nothing was tried.
    """
    if file is not None and file.suffix not in {".csv", ".json"}:
        raise click.UsageError("--report: must be a .csv or a .json file")
    with opened_engine(url) as engine:
        source, there = RowSource(engine), kinds_there(engine, kinds)
        problems = source.problems(there, adopted=not dry_run)
        if problems:
            raise click.UsageError("\n".join(problems))
        total = sum(map(source.count, there))

        async def run(opened: OpenRegistry) -> Report:
            authoritative = RowsAuthoritative(
                opened.registry, opened.appender, SqlLedger(opened.store)
            )
            try:
                await authoritative.expect(there)
            except LogDecides as why:
                raise click.UsageError(str(why)) from None
            notes = Bookkeeping(engine, namespace)
            with progress_bar("importing", total) as move:
                run = Import(
                    Applying(authoritative, opened.entities),
                    source,
                    Rehearsed(notes) if dry_run else notes,
                    namespace,
                    declared(actor, reason),
                    lambda rows: move(advance=rows),
                )
                return await run.run(there)

        try:
            report = with_registry(url, run, dry_run=dry_run)
        except LogDecides as why:
            raise click.ClickException(f"the import has ended: {why}") from None
    if file is not None:
        save(report, file)
    _tell(report, output, dry_run=dry_run, file=file)
    if report.complaints:
        raise SystemExit(1)


def _tell(report: Report, output: str, *, dry_run: bool, file: Path | None) -> None:
    if output == "json":
        show_json(report.as_json())
        return
    show_table(counts(report, dry_run=dry_run))
    if canonicalised := report.total("canonicalised"):
        click.echo(f"{canonicalised} rows are recorded in a tidier form than they are written in")
    if report.complaints:
        show_table(reasons(report))
        where = f"every refused row is in {file}" if file else "--report FILE lists every row"
        click.echo(f"{report.total('refused')} rows refused; {where}")
