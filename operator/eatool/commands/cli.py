"""``eatool commands``: look at queued changes, and decide about those that are stuck."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any
from uuid import UUID

import click
from rich.table import Table

from eatool.commands.port import CommandState, StoredCommand
from eatool.commands.results import Awaiting, Recorded, Refused, Result, Unchanged
from eatool.commands.sql import SqlCommandQueue
from eatool.store.command_line import opened_engine, store_option
from eatool.terminal import cell, output_option, show_facts, show_json, show_table

_STATES = [state.value for state in CommandState]

_id = click.argument("command_id", metavar="ID", type=click.UUID)


@click.group()
def commands() -> None:
    """Changes that were acknowledged and wait to be decided."""


@commands.command("list")
@store_option
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
@output_option
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
        show_json({"figures": figures, "commands": list(map(_facts, found))})
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
    table = Table("Id", "Stream", "Operation", "Generation", "State", "Attempts", "Enqueued", "Why")
    for each in found:
        wish = each.command
        table.add_row(
            str(wish.id), wish.stream_id, wish.operation, cell(wish.generation), each.state,
            str(each.attempts), cell(each.enqueued_at), _why(each),
        )  # fmt: skip
    show_table(table)


@commands.command()
@_id
@store_option
@output_option
def show(command_id: UUID, url: str, output: str) -> None:
    """Show one command: what was asked for, and what has become of it."""
    with _opened(url) as queue:
        found = queue.get(command_id)
    if found is None:
        raise click.ClickException(f"there is no command {command_id}, or it was pruned")
    facts = _facts(found)
    if output == "json":
        show_json(facts)
    else:
        show_facts({name: value for name, value in facts.items() if value is not None})


@commands.command()
@_id
@store_option
def retry(command_id: UUID, url: str) -> None:
    """Try a dead, waiting or refused command again now, with all its attempts."""
    _decide(url, command_id, "will be tried again", lambda queue: queue.release(command_id))


@commands.command()
@_id
@store_option
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
    with opened_engine(url) as engine:
        yield SqlCommandQueue(engine)


def _facts(stored: StoredCommand) -> dict[str, Any]:
    """A command as JSON, with plain names."""
    facts = asdict(stored)
    facts = {**facts.pop("command"), **facts}
    facts["result"] = None if stored.result is None else stored.result.model_dump(mode="json")
    return facts


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
