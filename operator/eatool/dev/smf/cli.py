"""``eatool dev solace``: the stand-in in the foreground."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import Callable
from pathlib import Path

import click

from eatool.dev.smf.broker import SmfBroker
from eatool.dev.smf.login import Access, server_context

_port = click.IntRange(0, 65_535)
_file = click.Path(dir_okay=False, exists=True, path_type=Path)


def _pair(separator: str) -> Callable[[str], tuple[str, str]]:
    def convert(value: str) -> tuple[str, str]:
        left, found, right = value.partition(separator)
        if not left or not found:
            raise click.BadParameter(f"{value!r} has no {separator!r} after a name")
        return left, right

    return convert


@click.command()
@click.option("--port", type=_port, default=55555, show_default=True, help="0 is a free one.")
@click.option(
    "--control-port", type=_port, default=0, help="HTTP to inspect it and to inject faults."
)
@click.option("--vpn", default="default", show_default=True, help="The message VPN.")
@click.option(
    "--user",
    "users",
    type=_pair(":"),
    metavar="NAME:PASSWORD",
    multiple=True,
    help="Who may log in, repeatable; eatool:eatool if nobody is named.",
)
@click.option("--token", "tokens", multiple=True, help="OAuth 2 token to accept, repeatable.")
@click.option(
    "--queue",
    "queues",
    type=_pair("="),
    metavar="NAME=TOPIC,TOPIC",
    multiple=True,
    help="A queue and what it subscribes to, repeatable.",
)
@click.option("--reject-unmatched", is_flag=True, help="Reject what no queue attracts.")
@click.option(
    "--spool",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for what is to survive this process; nothing does without one.",
)
@click.option(
    "--keep", type=click.IntRange(0), help="Keep only this many of the newest messages in memory."
)
@click.option("--tls-certificate", type=_file, help="PEM chain; turns TLS on.")
@click.option("--tls-key", type=_file, help="PEM private key.")
@click.option("--tls-client-ca", type=_file, help="PEM; clients may log in by certificate.")
def solace(
    *,
    port: int,
    control_port: int,
    vpn: str,
    users: tuple[tuple[str, str], ...],
    tokens: tuple[str, ...],
    queues: tuple[tuple[str, str], ...],
    reject_unmatched: bool,
    spool: Path | None,
    keep: int | None,
    tls_certificate: Path | None,
    tls_key: Path | None,
    tls_client_ca: Path | None,
) -> None:
    """Stand in for a Solace broker, until Ctrl-C: for tests and demos, not a broker."""
    if (tls_certificate is None) != (tls_key is None):
        raise click.UsageError("--tls-certificate and --tls-key go together")
    access = Access(vpn=vpn, tokens=frozenset(tokens))
    if users:
        access.users = dict(users)
    broker = SmfBroker(
        port=port,
        access=access,
        tls=server_context(tls_certificate, tls_key, tls_client_ca)
        if tls_certificate and tls_key
        else None,
        reject_unmatched=reject_unmatched,
        spool=spool,
        keep=keep,
    )
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    try:
        asyncio.run(_run(broker, control_port, queues))
    except OSError as error:
        raise click.ClickException(str(error)) from error


async def _run(broker: SmfBroker, control_port: int, queues: tuple[tuple[str, str], ...]) -> None:
    # Loads a web server, which no other command of this group needs.
    from eatool.dev.smf.control import serve  # noqa: PLC0415

    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with broker, contextlib.AsyncExitStack() as stack:
        for name, topics in queues:
            broker.add_queue(name, *filter(None, topics.split(",")))
        runner, control = await serve(broker, control_port)
        stack.push_async_callback(runner.cleanup)
        click.echo(f"{broker.url}  control {control}")
        await stop.wait()
