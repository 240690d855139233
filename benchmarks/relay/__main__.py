"""``python -m benchmarks.relay``: the relay into Mosquitto beside paho alone.

Both sides send the same messages, at the same window, QoS 1, MQTT 5, to the same broker, in
alternating rounds. The relay reads them from a SQLite log, encodes, keeps order per stream and
writes checkpoints; the raw side has them encoded and in memory. A subscriber checks every round:
nothing lost, nothing out of order, otherwise the exit code is 1.
"""

from __future__ import annotations

import asyncio
import gc
import statistics
import sys
import tempfile
from pathlib import Path
from uuid import UUID

import click
import orjson
from rich.console import Console
from rich.table import Table
from tests.plugins.mosquitto import HINT, Mosquitto

from benchmarks.relay.sides import encoder, raw_paho, relay
from benchmarks.relay.witness import Witness
from benchmarks.store.conditions import machine
from eatool.demo.broker import find_mosquitto
from eatool.publishing.port import Message
from eatool.store.port import Append, NewEvent
from eatool.store.sql import migrate
from eatool.store.sql.engine import open_engine
from eatool.store.sql.log import SqlEventStore

TARGET = 0.70


@click.command()
@click.option("--quick", is_flag=True, help="Fewer events and rounds: about 20 seconds.")
@click.option("--window", default=256, show_default=True, help="Events in flight on both sides.")
@click.option("--streams", default=1000, show_default=True, help="Entities the events spread over.")
@click.option("--output", type=click.Choice(["table", "json"]), default="table")
def main(*, quick: bool, window: int, streams: int, output: str) -> None:
    """Measure, check, print; exit code 1 when an event was lost or out of order."""
    if find_mosquitto() is None:
        raise click.ClickException(HINT)
    events, rounds = (10_000, 3) if quick else (40_000, 5)
    with tempfile.TemporaryDirectory() as folder:
        conditions = {**machine(Path(folder)), "broker": "mosquitto, no persistence"}
        rates = asyncio.run(_measure(Path(folder), events, rounds, window, streams))
    medians = {side: statistics.median(values) for side, values in rates.items()}
    result = {
        "conditions": {
            **conditions,
            "events": events,
            "rounds": rounds,
            "window": window,
            "streams": streams,
        },
        "acked_per_second": rates,
        "ratio": round(medians["relay"] / medians["paho"], 3),
        "target": TARGET,
        "lost": 0,
        "reordered": 0,
    }
    if output == "json":
        sys.stdout.buffer.write(orjson.dumps(result, option=orjson.OPT_INDENT_2) + b"\n")
        return
    table = Table(title=f"{events} events, {streams} streams, window {window}, QoS 1, MQTT 5")
    for heading in ("side", "median acked/s", "lowest", "highest"):
        table.add_column(heading, justify="left" if heading == "side" else "right")
    for side, values in rates.items():
        table.add_row(side, f"{medians[side]:,.0f}", f"{min(values):,.0f}", f"{max(values):,.0f}")
    console = Console()
    console.print(table)
    console.print(f"relay / paho: {result['ratio']:.0%} (target {TARGET:.0%}), 0 lost, 0 reordered")


async def _measure(
    folder: Path, events: int, rounds: int, window: int, streams: int
) -> dict[str, list[float]]:
    url = f"sqlite:///{folder / 'log.db'}"
    messages = _fill(url, events, streams)
    gc.collect()
    gc.freeze()  # the prepared messages are nobody's cost: keep both sides from walking them
    broker = Mosquitto(folder / "broker", settings={"persistence": "false"})
    broker.start()
    rates: dict[str, list[float]] = {"paho": [], "relay": []}
    try:
        witness = Witness(broker.port)
        for number in range(rounds):
            rates["paho"].append(await asyncio.to_thread(raw_paho, broker.port, messages, window))
            await asyncio.to_thread(witness.collect, events)
            name = f"round-{number}"
            rates["relay"].append(await relay(url, broker.port, name, events=events, window=window))
            await asyncio.to_thread(witness.collect, events)
    finally:
        broker.kill()
    return rates


def _fill(url: str, events: int, streams: int) -> list[Message]:
    """A log of realistic events (about 1 KB on the wire), and the same as messages."""
    engine = open_engine(url)
    migrate.upgrade(engine)
    store = SqlEventStore(engine)
    for start in range(0, events, 500):
        store.append_batch([(_append(n, streams),) for n in range(start, min(events, start + 500))])
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
