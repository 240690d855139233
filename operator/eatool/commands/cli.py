"""``eatool commands``: look at queued changes, and decide about those that are stuck."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import click
import orjson
from rich.console import Console
from rich.table import Column, Table

from eatool.commands.port import CommandState, StoredCommand
from eatool.commands.results import Awaiting, Recorded, Refused, Result, Unchanged
from eatool.commands.sql import SqlCommandQueue
from eatool.store.port import StoreError
from eatool.store.sql.engine import open_engine
from eatool.store.sql.errors import Errors

_STATES = [state.value for state in CommandState]

_store = click.option(
    "--store",
    "url",
    envvar="EATOOL_STORE_URL",
    show_envvar=True,
    required=True,
    metavar="URL",
    help="sqlite:///path or postgresql://user@host/database.",
)
_output = click.option("--output", "-o", type=click.Choice(["table", "json"]), default="table")
_id = click.argument("command_id", metavar="ID", type=click.UUID)


@click.group()
def commands() -> None:
    """Changes that were acknowledged and wait to be decided."""


@commands.command("list")
@_store
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice(_STATES, case_sensitive=False),
    help="Only these; more than one may be given.  [default: all that are not done]",
)
@click.option("--all", "everything", is_flag=True, help="Those that are done, too.")
@click.option("--stream", metavar="STREAM", help="Only of this type/namespace/name.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True)
@_output
def list_(
    url: str,
    states: tuple[str, ...],
    *,
    everything: bool,
    stream: str | None,
    limit: int,
    output: str,
) -> None:
    """List the newest commands, and how the queue stands."""
    wanted: set[CommandState] | None = {CommandState(each) for each in states}
    if not states:
        done = {CommandState.FINISHED, CommandState.SUPERSEDED, CommandState.DISCARDED}
        wanted = None if everything else set(CommandState) - done
    with _opened(url) as queue:
        found = queue.find(states=wanted, stream_id=stream, limit=limit)
        figures = queue.figures()
    if output == "json":
        _print_json({"figures": _plain(asdict(figures)), "commands": list(map(_facts, found))})
        return
    latencies = ", ".join(
        f"p{100 * quantile:g} {seconds:.1f} s" for quantile, seconds in figures.latencies.items()
    )
    click.echo(
        f"{figures.queued} queued, {figures.running} running, {figures.waiting} waiting, "
        f"{figures.dead} dead; oldest {figures.oldest:.0f} s; "
        f"{figures.finished} finished in the last hour{latencies and ': ' + latencies}"
    )
    if not found:
        return
    table = Table(
        Column("id", no_wrap=True),
        "stream",
        "operation",
        "generation",
        "state",
        "attempts",
        "enqueued",
        "why",
    )
    for each in found:
        wish = each.command
        table.add_row(
            str(wish.id), wish.stream_id, wish.operation, _text(wish.generation), each.state,
            str(each.attempts), _text(each.enqueued_at), _why(each),
        )  # fmt: skip
    _console().print(table)


@commands.command()
@_id
@_store
@_output
def show(command_id: UUID, url: str, output: str) -> None:
    """Show one command: what was asked for, and what has become of it."""
    with _opened(url) as queue:
        found = queue.get(command_id)
    if found is None:
        raise click.ClickException(f"there is no command {command_id}, or it was pruned")
    facts = _facts(found)
    if output == "json":
        _print_json(facts)
        return
    table = Table(show_header=False, box=None)
    for name, value in facts.items():
        if value is not None:
            table.add_row(name.replace("_", " "), _cell(value))
    _console().print(table)


@commands.command()
@_id
@_store
def retry(command_id: UUID, url: str) -> None:
    """Try a dead, waiting or refused command again now, with all its attempts."""
    _decide(url, command_id, "will be tried again", lambda queue: queue.release(command_id))


@commands.command()
@_id
@_store
@click.confirmation_option("--yes", prompt="The change will not be made. Discard it?")
def discard(command_id: UUID, url: str) -> None:
    """Give up a command that is not running; what waits behind it goes on."""
    _decide(url, command_id, "discarded", lambda queue: queue.discard(command_id))


def _decide(
    url: str, command_id: UUID, done: str, decide: Callable[[SqlCommandQueue], bool]
) -> None:
    with _opened(url) as queue:
        accepted = decide(queue)
        found = queue.get(command_id)
    if found is None:
        raise click.ClickException(f"there is no command {command_id}, or it was pruned")
    if not accepted:
        raise click.ClickException(f"{command_id} is {found.state}: too late for that")
    click.echo(f"{command_id} of {found.command.stream_id}: {done}")


@contextmanager
def _opened(url: str) -> Iterator[SqlCommandQueue]:
    """The queue at a URL; database trouble ends the command with one line."""
    try:
        engine = open_engine(url)
    except Exception as error:
        raise click.UsageError(f"--store: {error}") from error
    file = engine.url.database
    if engine.dialect.name == "sqlite" and file and not Path(file).exists():
        raise click.ClickException(f"--store: there is no file {file}")
    errors = Errors(engine)
    try:
        yield SqlCommandQueue(engine)
    except StoreError as error:
        raise click.ClickException(str(error)) from error
    except errors.types as error:
        raise click.ClickException(str(errors.translate(error))) from error
    finally:
        engine.dispose()


def _facts(stored: StoredCommand) -> dict[str, Any]:
    """A command as JSON, with plain names."""
    facts = asdict(stored)
    facts = {**facts.pop("command"), **facts}
    facts["result"] = None if stored.result is None else stored.result.model_dump(mode="json")
    return facts


def _plain(figures: dict[str, Any]) -> dict[str, Any]:
    latencies = {str(quantile): seconds for quantile, seconds in figures["latencies"].items()}
    return {**figures, "latencies": latencies}


def _why(stored: StoredCommand) -> str:
    if stored.superseded_by is not None:
        return f"by {stored.superseded_by}"
    return stored.error or _said(stored.result)


def _said(result: Result | None) -> str:
    match result:
        case Recorded(version=version):
            return f"version {version}"
        case Unchanged():
            return "nothing to change"
        case Refused(errors=errors) | Awaiting(errors=errors):
            return "; ".join(f"{each.field}: {each.message}" for each in errors)
        case None:
            return ""
        case _:
            return "a newer change was recorded first"


def _cell(value: object) -> str:
    if isinstance(value, dict):
        return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()
    return _text(value)


def _text(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds").replace("+00:00", "Z")
    return str(value)


def _console() -> Console:
    """Texts of users are shown as they are: brackets are no markup."""
    return Console(markup=False, highlight=False)


def _print_json(value: object) -> None:
    sys.stdout.buffer.write(orjson.dumps(value, option=orjson.OPT_INDENT_2) + b"\n")
