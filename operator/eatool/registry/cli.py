"""``eatool get`` and ``eatool history``: what is recorded, and how it came to be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import click
from rich.table import Column, Table

from eatool.domain.fields import parse_timestamp
from eatool.domain.identity import EntityRef
from eatool.domain.kind import EntityKind
from eatool.domain.kinds import KINDS
from eatool.projections.queries import Entities, Record
from eatool.registry.command_line import KindName
from eatool.registry.folding import Folded
from eatool.registry.history import Entry, history_of, state_at
from eatool.store.command_line import opened_engine, opened_store, store_option
from eatool.terminal import cell, output_option, show_json, show_table

_namespace_option = click.option("--namespace", "-n", default="default", show_default=True)


class Moment(click.ParamType[datetime]):
    """A UTC time, ISO 8601 ending in ``Z``."""

    name = "time"

    def convert(
        self, value: str | datetime, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        """Parse; fails with an example."""
        try:
            return parse_timestamp(value)
        except ValueError:
            self.fail("must be a UTC timestamp such as 2026-01-31T08:30:00Z", param, ctx)


@click.command()
@click.argument("kind", type=KindName())
@click.argument("name", required=False)
@store_option
@_namespace_option
@click.option("--all-namespaces", "-A", is_flag=True)
@click.option("--include-deleted", is_flag=True)
@output_option
def get(
    *,
    kind: EntityKind,
    name: str | None,
    url: str,
    namespace: str,
    all_namespaces: bool,
    include_deleted: bool,
    output: str,
) -> None:
    """Show recorded entities of KIND, or the one called NAME."""
    with opened_engine(url) as engine:
        entities = Entities(engine)
        if name is not None:
            record = entities.get(kind.ref(namespace, name), include_deleted=include_deleted)
            records = [record] if record else []
        else:
            within = None if all_namespaces else namespace
            records = _all(entities, kind, within, include_deleted=include_deleted)
    if name is not None and not records:
        raise click.ClickException(f"{kind.kind} {namespace}/{name} is not recorded")
    if output == "json":
        shown = [_record_json(record) for record in records]
        show_json(shown[0] if name is not None else shown)
        return
    columns = [column for column in kind.columns if column.priority == 0]
    table = Table("Namespace", "Name", *(column.title for column in columns), "Version", "Updated")
    for record in records:
        fields = (cell(record.fields[column.field]) for column in columns)
        updated = "deleted " if record.deleted_at else ""
        table.add_row(
            record.ref.namespace,
            record.ref.name,
            *fields,
            str(record.version),
            updated + cell(record.updated_at),
        )
    show_table(table)


@click.command()
@click.argument("kind", type=KindName())
@click.argument("name")
@store_option
@_namespace_option
@click.option("--as-of", type=Moment(), help="The entity as recorded at a UTC time instead.")
@output_option
def history(
    *, kind: EntityKind, name: str, url: str, namespace: str, as_of: datetime | None, output: str
) -> None:
    """Show who changed what about an entity, when, and why."""
    ref = kind.ref(namespace, name)
    with opened_store(url) as store:
        if as_of is not None:
            _show_state(kind, ref, state_at(store, ref, as_of), output)
            return
        entries = history_of(store, ref)
    if not entries:
        raise click.ClickException(f"{kind.kind} {namespace}/{name} was never recorded")
    if output == "json":
        show_json(entries)
        return
    table = Table("Version", Column("When", no_wrap=True), "Who", Column("What", ratio=1))
    for entry in entries:
        table.add_row(
            str(entry.version),
            cell(entry.recorded_at),
            f"{entry.actor} ({entry.trust or 'unknown'}, {entry.source or 'unknown'})",
            "\n".join((entry.type, *_told(entry))),
        )
    show_table(table)


def _all(
    entities: Entities, kind: EntityKind, namespace: str | None, *, include_deleted: bool
) -> list[Record]:
    found: list[Record] = []
    while page := entities.list(
        kind.aggregate_type,
        namespace=namespace,
        include_deleted=include_deleted,
        after=found[-1].ref if found else None,
    ):
        found.extend(page)
    return found


def _told(entry: Entry) -> Iterator[str]:
    """What an entry says, a line each: changes, then why."""
    for field, change in entry.changes.items():
        before = "" if change.old in (None, [], {}) else f"{cell(change.old)} → "
        yield f"  {field}: {before}{cell(change.new)}"
    if entry.reason:
        yield f"  because: {entry.reason}"
    if entry.approval_id:
        yield f"  approved by: {entry.approval_id}"


def _show_state(kind: EntityKind, ref: EntityRef, folded: Folded, output: str) -> None:
    spec = folded.state.spec
    if spec is None:
        raise click.ClickException(f"{kind.kind} {ref.namespace}/{ref.name} did not exist then")
    values = spec.model_dump(mode="json")
    if output == "json":
        show_json({"version": folded.state.version, "spec": values})
        return
    table = Table("Field", "Value", title=f"{ref} at version {folded.state.version}")
    for field, value in values.items():
        table.add_row(field, cell(value))
    show_table(table)


def _record_json(record: Record) -> Mapping[str, Any]:
    return {
        "kind": KINDS[record.ref.aggregate_type].kind,
        "namespace": record.ref.namespace,
        "id": record.ref.name,
        "uid": record.uid,
        "version": record.version,
        "created_at": record.created_at,
        "updated_at": record.updated_at,
        "deleted_at": record.deleted_at,
        "spec": dict(record.fields),
    }
