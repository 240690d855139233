"""``eatool parity``: where the legacy tables and the registry differ, for whom may see values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click
from rich.table import Table

from eatool.domain.kind import EntityKind
from eatool.domain.kinds import KINDS
from eatool.legacy.adoption import exists
from eatool.legacy.cli import namespace_option
from eatool.registry.command_line import KindName
from eatool.rollout.comparison import EXISTENCE, Comparison, compare, plain, snapshot
from eatool.rollout.findings import Finding, Findings, Parity
from eatool.rollout.ledger import Standing
from eatool.rollout.ledger_sql import SqlLedger
from eatool.rollout.phases import Phase
from eatool.store.command_line import opened_engine, opened_store, store_option
from eatool.terminal import cell, output_option, show_json, show_table

_SHOWN = 200
#: Of the machine-readable status; null for a kind whose legacy table is out of service.
_FIGURES = (
    "rows", "coverage", "dirty", "mismatches", "confirmed", "ignored", "errors", "swept_at",
)  # fmt: skip


@click.group()
def parity() -> None:
    """Legacy tables against the registry, as the last looks found them."""


@parity.command()
@store_option
@output_option
def status(*, url: str, output: str) -> None:
    """How far each kind is compared, and what was found.

    Exit code 1 while a mismatch or an error is open.
    """
    with opened_store(url) as store:
        findings = Findings(store.engine)
        found = [
            (standing, _figures(findings, standing))
            for _, standing in sorted(SqlLedger(store).standings().items())
        ]
    if output == "json":
        show_json([_status_json(standing, figures) for standing, figures in found])
    elif not found:
        click.echo("No kind is under rollout.")
    else:
        show_table(_status_table(found))
    if any(figures.mismatches or figures.errors for _, figures in found if figures):
        raise SystemExit(1)


@parity.command(name="show")
@click.argument("kind", type=KindName())
@click.argument("key", required=False)
@store_option
@namespace_option
@output_option
def show_(*, kind: EntityKind, key: str | None, url: str, namespace: str, output: str) -> None:
    """Show open findings of KIND; with KEY, both sides of that entity as they are now.

    Exit code 1 when something differs.
    """
    if key is not None:
        _show_key(kind, key, url, namespace, output)
        return

    with opened_engine(url) as engine:
        found = Findings(engine).open(kind.aggregate_type, limit=_SHOWN)
    if output == "json":
        show_json([_finding_json(finding) for finding in found])
    elif not found:
        click.echo(f"{kind.kind}: nothing found.")
    else:
        table = Table("Name", "Verdict", "What", "First seen", "Confirmed")
        for finding in found:
            what = "\n".join(finding.fields) + (f" ({finding.rule})" if finding.rule else "")
            first, confirmed = finding.first_seen, finding.confirmed_at
            table.add_row(finding.id, finding.verdict, what, cell(first), cell(confirmed))
        show_table(table)
    if found:
        raise SystemExit(1)


def _show_key(kind: EntityKind, key: str, url: str, namespace: str, output: str) -> None:
    with opened_engine(url) as engine, snapshot(engine) as connection:
        if not exists(connection, kind):
            raise click.ClickException(
                f"{kind.kind} has no legacy table {kind.table} to compare with (any more)"
            )
        compared = compare(connection, kind, namespace, [key], {})[key]
    sides = _sides(compared)
    if output == "json":
        errors = [str(error) for error in compared.errors]
        told = {"id": key, "same": compared.same, "differing": sides, "errors": errors}
        show_json({**told, "behind": compared.behind})
    elif compared.same:
        there = "both sides agree" if compared.legacy is not None else "on neither side"
        click.echo(f"{kind.kind} {key}: {there}.")
    else:
        for error in compared.errors:
            click.echo(f"The legacy row cannot be read: {error}")
        table = Table("Field", "Legacy", "Registry")
        for name, values in sides.items():
            table.add_row(name, str(values["legacy"]), str(values["registry"]))
        if sides:
            show_table(table)
        if compared.behind:
            click.echo("The tables have yet to follow the log.")
    if not compared.same:
        raise SystemExit(1)


def _sides(compared: Comparison) -> dict[str, dict[str, Any]]:
    if compared.differing == (EXISTENCE,):
        there = {"legacy": compared.legacy is not None, "registry": compared.read is not None}
        return {EXISTENCE: {side: "there" if yes else "-" for side, yes in there.items()}}
    legacy: Mapping[str, Any] = {} if compared.legacy is None else plain(compared.legacy)
    read = compared.read or {}
    return {
        name: {"legacy": legacy.get(name), "registry": read.get(name)}
        for name in compared.differing
    }


def _figures(findings: Findings, standing: Standing) -> Parity | None:
    """``None`` where no legacy table is left to be compared."""
    if standing.phase is Phase.RETIRED:
        return None
    return findings.of(standing.aggregate_type, epoch=standing.epoch, since=standing.since)


def _status_table(found: list[tuple[Standing, Parity | None]]) -> Table:
    table = Table(
        "Kind", "Phase", "Rows", "Compared", "Waiting", "Mismatches", "In this phase", "Ignored",
        "Errors", "Last sweep",
    )  # fmt: skip
    for standing, figures in found:
        kind = KINDS[standing.aggregate_type].kind
        if figures is None:
            table.add_row(kind, standing.phase, *["-"] * (len(table.columns) - 2))
            continue
        table.add_row(
            kind,
            standing.phase,
            str(figures.keys),
            f"{figures.coverage:.1%}",
            str(figures.dirty),
            str(figures.mismatches),
            str(figures.confirmed),
            str(figures.ignored),
            str(figures.errors),
            cell(figures.swept_at),
        )
    return table


def _status_json(standing: Standing, figures: Parity | None) -> dict[str, Any]:
    told = {
        "kind": KINDS[standing.aggregate_type].kind,
        "phase": standing.phase.value,
        "epoch": standing.epoch,
    }
    if figures is None:
        return told | dict.fromkeys(_FIGURES)
    return told | {
        "rows": figures.keys,
        "coverage": figures.coverage,
        "dirty": figures.dirty,
        "mismatches": figures.mismatches,
        "confirmed": figures.confirmed,
        "ignored": figures.ignored,
        "errors": figures.errors,
        "swept_at": figures.swept_at,
    }


def _finding_json(finding: Finding) -> dict[str, Any]:
    return {
        "id": finding.id,
        "verdict": finding.verdict.value,
        "fields": list(finding.fields),
        "rule": finding.rule,
        "first_seen": finding.first_seen,
        "last_seen": finding.last_seen,
        "confirmed_at": finding.confirmed_at,
    }
