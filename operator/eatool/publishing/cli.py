"""``relay``: look at destinations and release parked streams, beside a running operator."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import Any

import click
import orjson
from rich.console import Console
from rich.table import Table

from eatool.publishing.checkpoints_sql import SqlCheckpoints
from eatool.publishing.configured import DESTINATION
from eatool.store.sql.engine import open_engine
from eatool.store.sql.log import SqlEventStore

_store = click.option(
    "--store", "url", envvar="EATOOL_STORE_URL", required=True, help="URL of the event store."
)
_destination = click.option("--destination", default=DESTINATION, show_default=True)
_output = click.option("--output", type=click.Choice(["table", "json"]), default="table")


@click.group()
def relay() -> None:
    """Destinations of events: progress and parked streams."""


@relay.command()
@_store
@_output
def status(url: str, output: str) -> None:
    """Show how far each destination has got."""
    store = SqlEventStore(open_engine(url))
    checkpoints = SqlCheckpoints(open_engine(url))
    head = store.head().position
    rows = []
    for name in checkpoints.destinations():
        cursors = checkpoints.cursors(name)
        position = min(cursor.position for cursor in cursors)
        rows.append(
            {
                "destination": name,
                "position": position,
                "head": head,
                "behind": head - position,
                "owners": sorted({cursor.owner for cursor in cursors if cursor.owner}),
                "parked": len(checkpoints.parked(name)),
            }
        )
    _show(rows, output, "destination", "position", "head", "behind", "owners", "parked")


@relay.command()
@_store
@_destination
@_output
def parked(url: str, destination: str, output: str) -> None:
    """List streams that are passed over, and why."""
    rows = [asdict(stream) for stream in SqlCheckpoints(open_engine(url)).parked(destination)]
    _show(
        rows, output, "stream_id", "first_position", "attempts", "parked_at", "resend_requested",
        "reason",
    )  # fmt: skip


@relay.command()
@click.argument("stream")
@_store
@_destination
def unpark(stream: str, url: str, destination: str) -> None:
    """Send what was passed over of STREAM (type/namespace/name), then go on with it."""
    if not SqlCheckpoints(open_engine(url)).request_resend(destination, stream):
        raise click.ClickException(f"{stream} is not parked for destination {destination}")
    click.echo(f"{stream}: the relay will send what was passed over within a few seconds")


def _show(rows: list[dict[str, Any]], output: str, *columns: str) -> None:
    if output == "json":
        sys.stdout.buffer.write(orjson.dumps(rows, option=orjson.OPT_INDENT_2) + b"\n")
        return
    table = Table(*(column.replace("_", " ") for column in columns))
    for row in rows:
        table.add_row(*(_text(row[column]) for column in columns))
    Console().print(table)


def _text(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
