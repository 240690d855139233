"""``eatool legacy``: take over an existing registry, table by table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click
from sqlalchemy import Engine

from eatool.domain.kind import EntityKind
from eatool.domain.kinds import KINDS
from eatool.legacy import adoption
from eatool.legacy.bookkeeping import Bookkeeping
from eatool.legacy.manifests import write_manifests
from eatool.legacy.rows import name_complaint
from eatool.legacy.source import RowSource
from eatool.registry.command_line import KindName
from eatool.store.command_line import opened_engine, store_option
from eatool.store.sql.migrate import upgrade
from eatool.terminal import output_option, progress_bar, show_rows


def _a_name(_context: click.Context, _option: click.Parameter, value: str) -> str:
    complaint = name_complaint(value)
    if complaint is not None or "." in value:
        raise click.BadParameter("must be the name of a namespace")
    return value


namespace_option = click.option(
    "--namespace",
    "-n",
    callback=_a_name,
    envvar="EATOOL_LEGACY_NAMESPACE",
    show_envvar=True,
    default="default",
    show_default=True,
    help="The namespace whose entities the registry holds.",
)
kinds_option = click.option(
    "--kind", "-k", "kinds", type=KindName(), multiple=True, help="Only these; may be repeated."
)


@click.group()
def legacy() -> None:
    """The tables of an existing registry, in the database of the event store."""
    # Its command `import` has to know of rollouts: eatool.rollout.import_cli adds it.


@legacy.command()
@store_option
@kinds_option
def adopt(url: str, kinds: tuple[EntityKind, ...]) -> None:
    """Add the columns and triggers that make its tables tell of their writes.

    No value is changed. Safe to repeat; without --kind, every table that is there.
    """
    with opened_engine(url) as engine:
        upgrade(engine)
        there = kinds_there(engine, kinds)
        problems = RowSource(engine).problems(there, adopted=False)
        if problems:
            raise click.ClickException("\n".join(problems))
        try:
            new = adoption.adopt(engine, there)
        except adoption.NotAdoptable as why:
            raise click.ClickException(str(why)) from None
    for kind in there:
        click.echo(f"{kind.table} {'adopted' if kind in new else 'is adopted already'}")


@legacy.command()
@store_option
@kinds_option
def release(url: str, kinds: tuple[EntityKind, ...]) -> None:
    """Take the triggers away again. The columns stay, they hold data."""
    with opened_engine(url) as engine:
        for kind in adoption.release(engine, kinds or KINDS.values()):
            click.echo(f"{kind.table} released")


@legacy.command()
@store_option
@namespace_option
@kinds_option
@click.option(
    "--out",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Directory for the files; made if need be.",
)
@click.option("--only-imported", is_flag=True, help="Leave out what no import has recorded.")
@output_option
def manifests(
    url: str,
    namespace: str,
    kinds: tuple[EntityKind, ...],
    out: Path,
    *,
    only_imported: bool,
    output: str,
) -> None:
    """Write a custom resource for every row, ready for kubectl apply or a GitOps repository."""
    with opened_engine(url) as engine:
        source, there = RowSource(engine), kinds_there(engine, kinds)
        problems = source.problems(there, adopted=False)
        if problems:
            raise click.UsageError("\n".join(problems))
        only = Bookkeeping(engine, namespace).of if only_imported else None
        with progress_bar("writing", sum(map(source.count, there))) as move:
            written = write_manifests(
                source,
                there,
                out,
                namespace=namespace,
                only=only,
                progress=lambda rows: move(advance=rows),
            )
            rows = [
                {
                    "directory": f"{out / each.directory}",
                    "files": each.files,
                    "with_corrected_values": each.canonicalised,
                    "rows_left_out": each.skipped,
                }
                for each in written
            ]
    show_rows(rows, output, "directory", "files", "with_corrected_values", "rows_left_out")
    if output == "table" and any(row["rows_left_out"] for row in rows):
        click.echo("`eatool legacy import --dry-run --report FILE.csv` says why rows are left out")


@legacy.command()
@store_option
@namespace_option
@output_option
def status(url: str, namespace: str, output: str) -> None:
    """Show how far each table has been taken over.

    Pending are the keys of rows that were written since they were last looked at.
    """
    with opened_engine(url) as engine:
        source = RowSource(engine)
        there = source.present(KINDS.values())
        adopted = adoption.adopted_kinds(engine, there)
        standings = Bookkeeping(engine, namespace).standings(KINDS.values())
        rows = [
            {
                "table": kind.table,
                "rows": source.count(kind) if kind in there else None,
                "adopted": kind in adopted if kind in there else None,
                "imported": standings[kind.aggregate_type].imported,
                "refused": standings[kind.aggregate_type].refused,
                "pending": standings[kind.aggregate_type].pending,
            }
            for kind in KINDS.values()
        ]
    show_rows(rows, output, "table", "rows", "adopted", "imported", "refused", "pending")


def kinds_there(engine: Engine, kinds: Sequence[EntityKind]) -> list[EntityKind]:
    """The kinds that are meant: the given ones, or all that have a table."""
    there = list(kinds) or RowSource(engine).present(KINDS.values())
    if not there:
        tables = ", ".join(kind.table for kind in KINDS.values())
        raise click.UsageError(f"--store: no table of a registry is there ({tables})")
    return there
