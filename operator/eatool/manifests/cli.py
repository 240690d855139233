"""``eatool apply``: record manifests without a cluster."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import click
from rich.console import Console

from eatool.manifests.apply import Result, apply_manifests, delete_manifests
from eatool.manifests.loader import ManifestsInvalid, load
from eatool.manifests.publish import Published, publish_until_caught_up
from eatool.manifests.report import as_json, by_phase, lines, summary, table
from eatool.publishing.assembly import assemble
from eatool.publishing.broker_url import BrokerUrlError, parse_broker_url
from eatool.publishing.destination import Destination
from eatool.publishing.problems import SpecProblem
from eatool.registry.command_line import (
    actor_option,
    declared,
    reason_option,
    settings,
    with_registry,
)
from eatool.registry.opening import OpenRegistry
from eatool.rollout.feed import InlineByPhase
from eatool.rollout.ledger_sql import SqlLedger
from eatool.rollout.taking_part import taking_part
from eatool.rollout.view import LateView
from eatool.settings import pod_identity
from eatool.store.command_line import store_option
from eatool.terminal import output_option, progress_bar, show_json, show_table

#: Key of the checkpoints of ``--broker``; an EventBroker of this name goes on where it ended.
DESTINATION = "default"


@click.command()
@click.option(
    "--filename",
    "-f",
    "paths",
    multiple=True,
    required=True,
    metavar="PATH",
    help="File, directory, or - for standard input; may be repeated.",
)
@click.option("--recursive", "-R", is_flag=True, help="Descend into directories.")
@store_option
@click.option(
    "--namespace", "-n", default="default", show_default=True, help="Where a manifest names none."
)
@click.option("--delete", "deleting", is_flag=True, help="Delete what the manifests name.")
@click.option("--dry-run", is_flag=True, help="Decide everything, record nothing.")
@actor_option
@reason_option
@click.option("--publish", is_flag=True, help="Wait until the broker has every event.")
@click.option(
    "--broker",
    envvar="EATOOL_BROKER_URL",
    metavar="URL",
    help="mqtt[s]:// or, for Solace, tcp[s]://user:password@host:port?topic=...; {env} of the "
    "topics is EATOOL_ENVIRONMENT.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(0, min_open=True),
    default=60.0,
    show_default=True,
    help="Seconds that --publish may take.",
)
@output_option
def apply(
    *,
    paths: tuple[str, ...],
    recursive: bool,
    url: str,
    namespace: str,
    deleting: bool,
    dry_run: bool,
    actor: str,
    reason: str | None,
    publish: bool,
    broker: str | None,
    timeout: float,
    output: str,
) -> None:
    """Record manifests in a store, in dependency order, without a cluster.

    Running it again records nothing, and neither does an operator that finds the same manifests
    in its cluster. Kinds under rollout are written as their phase says; what has to be queued is
    waited for while workers decide it.

    Exit code 0: everything is as desired; 1: something was refused or waits; 2: the input cannot
    be read, nothing was applied; 3: recorded, but not published in time.
    """
    destination = _destination(broker) if publish else None
    try:
        manifests = load(paths, namespace=namespace, recursive=recursive)
    except ManifestsInvalid as invalid:
        for error in invalid.errors:
            click.echo(str(error), err=True)
        raise SystemExit(2) from None
    told = declared(actor, reason)
    act = delete_manifests if deleting else apply_manifests

    standings, legacy_namespace = LateView(), settings().legacy_namespace

    async def run(opened: OpenRegistry) -> tuple[list[Result], Published | None]:
        with _bar(len(manifests)) as progress:
            if dry_run:
                results = await act(opened.registry, manifests, told, progress)
                phases = await asyncio.to_thread(SqlLedger(opened.store).standings)
                for note in by_phase(phases, manifests, legacy_namespace):
                    click.echo(note, err=True)
            else:
                async with taking_part(opened, standings, namespace=legacy_namespace) as registry:
                    results = await act(registry, manifests, told, progress)
        if destination is None or dry_run:
            return results, None
        return results, await publish_until_caught_up(
            opened.store, destination, owner=pod_identity(), patience=timeout
        )

    results, published = with_registry(
        url,
        run,
        dry_run=dry_run,
        inline=lambda _engine: [InlineByPhase(standings, legacy_namespace)],
    )
    _tell(results, output, dry_run=dry_run)
    if published is not None:
        click.echo(_words(published), err=True)
    if not all(result.accepted for result in results):
        raise SystemExit(1)
    if published is not None and (published.parked or not published.complete):
        raise SystemExit(3)


def _destination(url: str | None) -> Destination:
    if not url:
        raise click.UsageError("--publish needs --broker")
    # Certificates of the URL, as the connections need them, for as long as the command runs.
    material = click.get_current_context().with_resource(TemporaryDirectory(prefix="eatool-"))
    try:
        spec, secrets = parse_broker_url(url)
        return assemble(
            DESTINATION,
            spec,
            secrets,
            environment=settings().environment,
            material=Path(material),
        )
    except (BrokerUrlError, SpecProblem) as error:
        raise click.UsageError(f"--broker: {error}") from None


def _words(published: Published) -> str:
    if not published.complete:
        return f"not published in time: {published.why or 'the broker did not answer'}"
    parked = f", {published.parked} streams parked" if published.parked else ""
    return f"published up to position {published.position}{parked}"


@contextmanager
def _bar(total: int) -> Iterator[Callable[[Result], None]]:
    """Retried manifests count once."""
    seen = set()
    with progress_bar("applying", total) as move:

        def progress(result: Result) -> None:
            seen.add(result.manifest.ref)
            move(completed=len(seen))

        yield progress


def _tell(results: Sequence[Result], output: str, *, dry_run: bool) -> None:
    if output == "json":
        show_json([as_json(result, dry_run=dry_run) for result in results])
        return
    if Console().is_terminal:
        show_table(table(results, dry_run=dry_run))
    else:
        for result in results:
            for line in lines(result, dry_run=dry_run):
                click.echo(line)
    click.echo(summary(results, dry_run=dry_run))
