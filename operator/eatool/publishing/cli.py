"""``relay``: look at destinations and release parked streams, beside a running operator."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import click

from eatool.publishing.checkpoints import CursorState
from eatool.publishing.checkpoints_sql import SqlCheckpoints
from eatool.publishing.destination import REPLAY_PREFIX
from eatool.publishing.lag import LagReader
from eatool.store.command_line import opened_store, store_option
from eatool.store.sql.log import SqlEventStore
from eatool.terminal import output_option, show_rows

_NAMES = "EventBroker, replay/NAME, or default for `eatool apply`; "
_destination = click.option(
    "--destination", metavar="NAME", help=f"{_NAMES}needed when there are several."
)
_any_destination = click.option(
    "--destination", metavar="NAME", help=f"{_NAMES}all when not given."
)


@click.group()
def relay() -> None:
    """Destinations of events: progress and parked streams."""


@relay.command()
@store_option
@output_option
def status(url: str, output: str) -> None:
    """Show how far each destination has got.

    Behind is the age in seconds of the oldest event that is still to be published; replays have
    an end of their own and show neither. Owners are the processes that serve a destination now.
    """
    with _opened(url) as (store, checkpoints):
        reader = LagReader(store, checkpoints)
        rows = [_standing(reader, checkpoints, name) for name in checkpoints.destinations()]
    if not rows and output == "table":
        click.echo("no destinations yet")
        return
    show_rows(
        rows, output,
        "destination", "position", "head", "lag_events", "behind_seconds", "owners", "parked",
    )  # fmt: skip
    if output == "table":
        for row in rows:
            if not row["owners"] and not row["destination"].startswith(REPLAY_PREFIX):
                click.echo(_unserved(row["destination"]))


@relay.command()
@store_option
@_any_destination
@output_option
def parked(url: str, destination: str | None, output: str) -> None:
    """List streams that are passed over, and why."""
    with _opened(url) as (_, checkpoints):
        names = checkpoints.destinations()
        if destination is not None:
            names = [_known(checkpoints, destination)]
        rows = [
            {"destination": name, **asdict(stream)}
            for name in names
            for stream in checkpoints.parked(name)
        ]
    if not rows and output == "table":
        where = f" for destination {destination}" if destination else ""
        click.echo(f"nothing is parked{where}" if names else "no destinations yet")
        return
    show_rows(
        rows, output, "destination", "stream_id", "first_position", "attempts", "parked_at",
        "resend_requested", "reason",
    )  # fmt: skip


@relay.command()
@click.argument("stream")
@store_option
@_destination
def unpark(stream: str, url: str, destination: str | None) -> None:
    """Send what was passed over of STREAM (type/namespace/name), then go on with it."""
    with _opened(url) as (_, checkpoints):
        name = _known(checkpoints, destination)
        if not checkpoints.request_resend(name, stream):
            raise click.ClickException(f"{stream} is not parked for destination {name}")
    click.echo(f"{stream}: the relay will send what was passed over within a few seconds")


@relay.command()
@click.argument("name")
@store_option
@click.option("--yes", is_flag=True, help="Do not ask.")
def forget(name: str, url: str, *, yes: bool) -> None:
    """Remove the checkpoint and the parked streams of destination NAME.

    Refused while a process serves it: delete its EventBroker first.
    """
    with _opened(url) as (_, checkpoints):
        _known(checkpoints, name)
        if not yes:
            click.confirm("A destination of this name will start anew. Forget it?", abort=True)
        if not checkpoints.forget(name):
            raise click.ClickException(
                f"a process serves destination {name}: delete its EventBroker and wait until the "
                "lease has ended"
            )
    click.echo(f"{name}: forgotten")


@contextmanager
def _opened(url: str) -> Iterator[tuple[SqlEventStore, SqlCheckpoints]]:
    with opened_store(url) as store:
        yield store, SqlCheckpoints(store.engine)


def _known(checkpoints: SqlCheckpoints, destination: str | None) -> str:
    """The destination that was meant."""
    names = checkpoints.destinations()
    if not names:
        raise click.ClickException("no destinations yet")
    if destination is None and len(names) == 1:
        return names[0]
    if destination is None:
        raise click.UsageError(f"--destination must be one of {', '.join(names)}")
    if destination not in names:
        raise click.ClickException(
            f"there is no destination {destination}; there are {', '.join(names)}"
        )
    return destination


def _unserved(name: str) -> str:
    # Who declared it is not known here: checkpoints outlive their EventBroker on purpose.
    return (
        f"{name}: no process serves it. Its EventBroker is suspended or not declared, or no "
        f"operator runs; if it will not come back: eatool relay forget {name}"
    )


def _living(cursors: Iterable[CursorState]) -> list[str]:
    """Owners whose leases have not ended: a process that was killed leaves its name behind."""
    now = datetime.now(UTC)
    return sorted({
        each.owner
        for each in cursors
        if each.owner is not None and each.lease_until is not None and each.lease_until > now
    })  # fmt: skip


def _standing(reader: LagReader, checkpoints: SqlCheckpoints, name: str) -> dict[str, Any]:
    lag = reader.lag(name)
    # What lies behind the end of a replay does not wait for it; where that is, only it knows.
    endless = not name.startswith(REPLAY_PREFIX)
    return {
        "destination": name,
        "position": lag.position,
        "head": lag.head,
        "lag_events": lag.events if endless else None,
        "behind_seconds": _age(lag.oldest) if endless else None,
        "owners": _living(checkpoints.cursors(name)),
        "parked": len(lag.parked),
    }


def _age(time: datetime | None) -> float:
    return 0.0 if time is None else round(max(0.0, (datetime.now(UTC) - time).total_seconds()), 1)
