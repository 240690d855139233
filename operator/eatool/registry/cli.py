"""``eatool get`` and ``eatool history``: what is recorded, and how it came to be."""

from __future__ import annotations

import asyncio
import getpass
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, TypeVar

import click
import orjson
from rich.table import Column, Table
from sqlalchemy.exc import SQLAlchemyError

from eatool.domain.evolve import BrokenStream
from eatool.domain.fields import parse_timestamp
from eatool.domain.identity import EntityRef
from eatool.domain.kind import EntityKind
from eatool.domain.kinds import KINDS
from eatool.domain.upcasting import UnknownEventType
from eatool.projections.queries import Record
from eatool.registry.folding import Folded
from eatool.registry.history import Entry, history_of, state_at
from eatool.registry.opening import (
    Inline,
    OpenRegistry,
    lacks_file,
    open_registry,
    policy_of,
    read_models,
)
from eatool.settings import Settings
from eatool.store.port import StoreError
from eatool.store.sql.engine import open_engine
from eatool.terminal import show

_T = TypeVar("_T")

_KIND_NAMES = {
    name.lower(): kind
    for kind in KINDS.values()
    for name in (kind.kind, kind.plural, kind.aggregate_type, *kind.short_names)
}

store_option = click.option(
    "--store",
    "url",
    envvar="EATOOL_STORE_URL",
    required=True,
    metavar="URL",
    help="sqlite:///path or postgresql://user@host/database.",
)
output_option = click.option(
    "--output", "-o", type=click.Choice(["text", "json"]), default="text", show_default=True
)

_namespace_option = click.option("--namespace", "-n", default="default", show_default=True)


class KindName(click.ParamType[EntityKind]):
    """Any name of a kind: ``Application``, ``applications``, ``eaapp``, ``application``."""

    name = "kind"

    def convert(
        self, value: str | EntityKind, param: click.Parameter | None, ctx: click.Context | None
    ) -> EntityKind:
        """Find the kind; fails with the legal names."""
        kind = value if isinstance(value, EntityKind) else _KIND_NAMES.get(value.lower())
        if kind is None:
            legal = ", ".join(kind.plural for kind in KINDS.values())
            self.fail(f"must be one of {legal}", param, ctx)
        return kind


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


def os_user() -> str:
    """Who runs the command, for changes whose maker is not named."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        # A container may run as a number that no passwd file knows.
        raise click.UsageError("the operating system has no name for you: give --actor") from None


@contextmanager
def plain_errors() -> Iterator[None]:
    """Trouble with the database or its content ends a command with one line, no traceback."""
    try:
        yield
    except (StoreError, SQLAlchemyError, UnknownEventType, BrokenStream) as error:
        raise click.ClickException(str(error).splitlines()[0]) from error


def with_registry(
    url: str,
    act: Callable[[OpenRegistry], Awaitable[_T]],
    *,
    migrate: bool = False,
    dry_run: bool = False,
    inline: Inline = read_models,
) -> _T:
    """Run ``act`` on the registry at ``url``, under the operator's own policy switches."""
    try:
        engine = open_engine(url)
    except (ValueError, SQLAlchemyError) as error:
        raise click.UsageError(f"--store: {error}") from error
    if not (migrate or dry_run) and lacks_file(engine):
        raise click.UsageError(f"--store: there is no {engine.url.database}")

    async def run() -> _T:
        opening = open_registry(
            url,
            policy=policy_of(Settings()),
            migrate=migrate,
            dry_run=dry_run,
            inline=inline,
        )
        async with opening as opened:
            return await act(opened)

    with plain_errors():
        return asyncio.run(run())


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

    async def read(opened: OpenRegistry) -> Sequence[Record]:
        entities = opened.entities
        if name is not None:
            ref = kind.ref(namespace, name)
            record = entities.get(ref, include_deleted=include_deleted)
            return [record] if record else []
        within = None if all_namespaces else namespace
        found: list[Record] = []
        while page := entities.list(
            kind.aggregate_type,
            namespace=within,
            include_deleted=include_deleted,
            after=found[-1].ref if found else None,
        ):
            found.extend(page)
        return found

    records = with_registry(url, read)
    if name is not None and not records:
        raise click.ClickException(f"{kind.kind} {namespace}/{name} is not recorded")
    if output == "json":
        shown = [_record_json(record) for record in records]
        click.echo(to_json(shown[0] if name is not None else shown))
        return
    columns = [column for column in kind.columns if column.priority == 0]
    table = Table("Namespace", "Name", *(column.title for column in columns), "Version", "Updated")
    for record in records:
        fields = (_cell(record.fields[column.field]) for column in columns)
        updated = "deleted " if record.deleted_at else ""
        table.add_row(
            record.ref.namespace,
            record.ref.name,
            *fields,
            str(record.version),
            updated + _readable(record.updated_at),
        )
    show(table)


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

    if as_of is not None:
        at = as_of

        async def state(opened: OpenRegistry) -> Folded:
            return state_at(opened.store, ref, at)

        _show_state(kind, ref, with_registry(url, state), output)
        return

    async def read(opened: OpenRegistry) -> Sequence[Entry]:
        return history_of(opened.store, ref)

    entries = with_registry(url, read)
    if not entries:
        raise click.ClickException(f"{kind.kind} {namespace}/{name} was never recorded")
    if output == "json":
        click.echo(to_json([_entry_json(entry) for entry in entries]))
        return
    table = Table("Version", Column("When (UTC)", no_wrap=True), "Who", Column("What", ratio=1))
    for entry in entries:
        table.add_row(
            str(entry.version),
            _readable(entry.recorded_at),
            f"{entry.actor} ({entry.trust or 'unknown'}, {entry.source or 'unknown'})",
            "\n".join((entry.type, *_told(entry))),
        )
    show(table)


def _told(entry: Entry) -> Iterator[str]:
    """What an entry says, a line each: changes, then why."""
    for field, change in entry.changes.items():
        before = "" if change.old in (None, [], {}) else f"{_cell(change.old)} → "
        yield f"  {field}: {before}{_cell(change.new)}"
    if entry.reason:
        yield f"  because: {entry.reason}"
    if entry.approval_id:
        yield f"  approved by: {entry.approval_id}"


def to_json(value: Any) -> bytes:
    """Machine output; times end in ``Z``."""
    return orjson.dumps(value, option=orjson.OPT_UTC_Z)


def _show_state(kind: EntityKind, ref: EntityRef, folded: Folded, output: str) -> None:
    spec = folded.state.spec
    if spec is None:
        raise click.ClickException(f"{kind.kind} {ref.namespace}/{ref.name} did not exist then")
    values = spec.model_dump(mode="json")
    if output == "json":
        click.echo(to_json({"version": folded.state.version, "spec": values}))
        return
    table = Table("Field", "Value", title=f"{ref} at version {folded.state.version}")
    for field, value in values.items():
        table.add_row(field, _cell(value))
    show(table)


def _record_json(record: Record) -> Mapping[str, Any]:
    return {
        "kind": KINDS[record.ref.aggregate_type].kind,
        "namespace": record.ref.namespace,
        "id": record.ref.name,
        "uid": record.uid,
        "version": record.version,
        "created_at": record.created_at and _time(record.created_at),
        "updated_at": _time(record.updated_at),
        "deleted_at": record.deleted_at and _time(record.deleted_at),
        "spec": dict(record.fields),
    }


def _entry_json(entry: Entry) -> Mapping[str, Any]:
    return {
        "position": entry.position,
        "version": entry.version,
        "type": entry.type,
        "event_id": entry.event_id,
        "recorded_at": _time(entry.recorded_at),
        "actor": entry.actor,
        "actor_type": entry.actor_type,
        "trust": entry.trust,
        "source": entry.source,
        "reason": entry.reason,
        "approval_id": entry.approval_id,
        "correlation_id": entry.correlation_id,
        "generation": entry.generation,
        "changes": {
            name: {"old": change.old, "new": change.new} for name, change in entry.changes.items()
        },
    }


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "-"
    return str(value)


def _time(value: datetime) -> str:
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _readable(value: datetime) -> str:
    return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
