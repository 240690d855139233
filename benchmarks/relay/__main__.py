"""``python -m benchmarks.relay``: the relay beside the broker's client library alone.

Both sides send the same messages, at the same window, to the same broker process, in alternating
rounds. The relay reads them from a SQLite log, encodes, keeps order per stream and writes
checkpoints; the raw side has them encoded and in memory. Every round is checked: nothing lost,
nothing repeated, nothing out of order, otherwise the exit code is 1. With ``--soak`` the relay
alone sends very many, and its memory must not grow any more in the second half.
"""

from __future__ import annotations

import asyncio
import gc
import statistics
import sys
import tempfile
from collections.abc import Mapping
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any
from uuid import UUID

import click
import orjson
from rich.console import Console
from rich.table import Table

from benchmarks.relay.peers import Cpu, Peer, Round
from benchmarks.relay.sides import encoder, relay
from benchmarks.relay.soak import LIMIT, growth, soak
from benchmarks.store.conditions import machine
from eatool.publishing.port import Message
from eatool.store.port import Append, NewEvent
from eatool.store.sql import migrate
from eatool.store.sql.engine import open_engine
from eatool.store.sql.log import SqlEventStore

TARGET = 0.70
#: Adapter -> class of its peer, window, events and rounds, quick and in full.
ADAPTERS: Mapping[str, tuple[str, int, tuple[int, int], tuple[int, int]]] = {
    "mqtt": ("benchmarks.relay.mqtt:MqttPeer", 256, (10_000, 3), (40_000, 5)),
    "solace": ("benchmarks.relay.solace:SolacePeer", 200, (5_000, 3), (20_000, 5)),
}


@click.command()
@click.option("--adapter", type=click.Choice(list(ADAPTERS)), help="Only this one.")
@click.option("--quick", is_flag=True, help="Fewer events and rounds: about 20 seconds each.")
@click.option("--window", type=int, help="Events in flight on both sides.  [default: adapter's]")
@click.option("--streams", default=1000, show_default=True, help="Entities the events spread over.")
@click.option("--soak", "soaked", type=int, metavar="EVENTS", help="Watch memory instead.")
@click.option("--output", type=click.Choice(["table", "json"]), default="table")
def main(
    *,
    adapter: str | None,
    quick: bool,
    window: int | None,
    streams: int,
    soaked: int | None,
    output: str,
) -> None:
    """Measure, check, print; exit code 1 when an event was lost or out of order, or memory grew."""
    results = {}
    for name in [adapter] if adapter else ADAPTERS:
        peer_class, usual, short, full = ADAPTERS[name]
        with tempfile.TemporaryDirectory() as folder:
            compare = partial(
                _compare, Path(folder), peer_class, window=window or usual, streams=streams
            )
            results[name] = (
                compare(events=soaked, rounds=0) if soaked else compare(*(short if quick else full))
            )
        if output == "table":
            _show(results[name])
    if output == "json":
        sys.stdout.buffer.write(orjson.dumps(results, option=orjson.OPT_INDENT_2) + b"\n")
    grew = any(result.get("growth", 0) > LIMIT for result in results.values())
    sys.exit(1 if grew else 0)


def _compare(
    folder: Path, peer_class: str, events: int, rounds: int, *, window: int, streams: int
) -> dict[str, Any]:
    conditions = machine(folder)
    url = f"sqlite:///{folder / 'log.db'}"
    _fill(url, events, streams)
    module, _, name = peer_class.partition(":")
    peer: Peer = getattr(import_module(module), name)(folder)
    result = {
        "conditions": {
            **conditions,
            "broker": peer.settings,
            "events": events,
            "rounds": rounds,
            "window": window,
            "streams": streams,
        },
        "lost": 0,
        "reordered": 0,
    }
    try:
        if not rounds:
            sizes = asyncio.run(soak(url, peer, events, window))
            return result | {"memory": sizes, "growth": growth(sizes)}
        messages = _encoded(url)
        gc.collect()
        gc.freeze()  # the prepared messages are nobody's cost: keep both sides from walking them
        found = asyncio.run(_measure(url, peer, messages, rounds, window))
    finally:
        peer.stop()
    medians = {side: statistics.median(each.rate for each in found[side]) for side in found}
    return result | {
        "acked_per_second": {side: [each.rate for each in found[side]] for side in found},
        "cpu_us_per_event": {
            side: {
                part: statistics.median(getattr(each.cpu, part) for each in found[side])
                / events
                * 1e6
                for part in Cpu._fields
            }
            for side in found
        },
        "broker_busy": {
            side: statistics.median(each.cpu.broker * each.rate / events for each in found[side])
            for side in found
        },
        "ratio": round(medians["relay"] / medians[peer.raw], 3),
        "target": TARGET,
    }


async def _measure(
    url: str, peer: Peer, messages: list[Message], rounds: int, window: int
) -> dict[str, list[Round]]:
    found: dict[str, list[Round]] = {peer.raw: [], "relay": []}
    events = len(messages)
    for number in range(rounds):
        before = Cpu.now(peer.pid)
        rate = await asyncio.to_thread(peer.publish_raw, messages, window)
        found[peer.raw].append(Round(rate, Cpu.now(peer.pid).since(before)))
        await asyncio.to_thread(peer.collect, events)
        before = Cpu.now(peer.pid)
        rate = await relay(url, peer.factory(), f"round-{number}", events=events, window=window)
        found["relay"].append(Round(rate, Cpu.now(peer.pid).since(before)))
        await asyncio.to_thread(peer.collect, events)
    return found


def _show(result: dict[str, Any]) -> None:
    conditions = result["conditions"]
    title = "{events} events, {streams} streams, window {window}; {broker}".format_map(conditions)
    console = Console()
    if "memory" in result:
        table = Table("events", "MiB of the relay's process", title=title)
        for events, size in result["memory"]:
            table.add_row(f"{events:,}", f"{size / 2**20:.1f}")
        console.print(table)
        told = f"{result['growth'] / 2**20:.1f} MiB (limit {LIMIT / 2**20:.0f})"
        console.print(f"growth in the second half: {told}, 0 lost, 0 reordered")
        return
    table = Table(title=title)
    for heading in ("side", "median acked/s", "lowest", "highest", "CPU us/event", "broker's"):
        table.add_column(heading, justify="left" if heading == "side" else "right")
    for side, values in result["acked_per_second"].items():
        cpu, busy = result["cpu_us_per_event"][side], result["broker_busy"][side]
        table.add_row(
            side,
            f"{statistics.median(values):,.0f}",
            f"{min(values):,.0f}",
            f"{max(values):,.0f}",
            f"{cpu['client']:.0f}",
            f"{cpu['broker']:.0f} ({busy:.0%} of a core)" if cpu["broker"] else "not shown",
        )
    console.print(table)
    raw = next(iter(result["acked_per_second"]))
    console.print(
        f"relay / {raw}: {result['ratio']:.0%} (target {TARGET:.0%}), 0 lost, 0 reordered"
    )


def _fill(url: str, events: int, streams: int) -> None:
    """A log of realistic events, about 1 KB each on the wire."""
    engine = open_engine(url)
    migrate.upgrade(engine)
    store = SqlEventStore(engine)
    for start in range(0, events, 500):
        store.append_batch([(_append(n, streams),) for n in range(start, min(events, start + 500))])
    store.close()


def _encoded(url: str) -> list[Message]:
    """The whole log as messages."""
    store = SqlEventStore(open_engine(url))
    encode = encoder()
    messages: list[Message] = []
    after = 0
    while page := store.read_stored(after=after, limit=1000):
        messages += map(encode, page)
        after = page[-1].position
    store.close()
    return messages


def _append(number: int, streams: int) -> Append:
    name = f"application/retail/webshop-{number % streams}"
    version = number // streams
    entity = {
        "name": f"Webshop {number % streams}",
        "description": "Sells goods to consumers in nine countries, around the clock.",
        "owner": "team:commerce",
        "lifecycle": "active",
        "criticality": "high",
        "hosting": "cloud",
        "technologies": ["python", "postgresql", "kubernetes"],
        "tags": ["customer-facing", "pci"],
        "tier": version % 4,
    }
    event = NewEvent(
        event_id=UUID(int=number + 1),
        type="ApplicationUpdated.v1",
        data={"entity": entity, "changes": {"tier": {"old": 3, "new": version % 4}}},
        metadata={"generation": version + 1, "uid": str(UUID(int=number % streams))},
        actor="jane@example.com",
        correlation_id=UUID(int=number + 1),
    )
    return Append(name, version, (event,))


if __name__ == "__main__":
    main()
