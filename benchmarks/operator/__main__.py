"""``python -m benchmarks.operator``: our operator beside a no-op operator on kopf.

Both run against the same real API server, each behind a counting proxy, in alternating rounds:
create, edit and delete N objects. Ours records an event for each change in a SQLite log
(``synchronous=FULL``). After each round the log must hold exactly one event per change, and every
change must have cost exactly the requests of the target, otherwise the exit code is 1.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Mapping
from contextlib import AbstractContextManager
from http import HTTPStatus
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from benchmarks.operator.load import Load
from benchmarks.operator.sides import Side, eatool, noop
from benchmarks.store.conditions import machine
from eatool.dev.binaries import BinariesMissingError
from eatool.dev.controlplane import ControlPlane
from eatool.domain.kinds import by_kind, upcast
from eatool.kube.schema.crd import custom_resource_definition
from eatool.store.sql.engine import open_engine
from eatool.store.sql.log import SqlEventStore

#: Writing requests of ours per object.
TARGETS = {
    "create": {"PATCH": 1, "PATCH/status": 1},
    "update": {"PATCH/status": 1},
    "delete": {"PATCH": 1},
}
#: Seconds until a new kind is served.
_PATIENCE = 30.0
_CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


@click.command()
@click.option("--quick", is_flag=True, help="100 objects, one round: about a minute.")
@click.option("--output", type=click.Choice(["table", "json"]), default="table")
def main(*, quick: bool, output: str) -> None:
    """Measure, check, print; exit code 1 when an event or a target was missed."""
    objects, rounds = (100, 1) if quick else (500, 3)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        conditions = {
            **machine(folder),
            "objects": objects,
            "rounds": rounds,
            "API server": "kube-apiserver and etcd without fsync on the same machine",
        }
        try:
            with ControlPlane(folder / "plane", fast=True, die_with_parent=True) as plane:
                result = _measure(plane, folder, objects, rounds)
        except BinariesMissingError as error:
            raise click.ClickException(str(error)) from error
    result = {"conditions": conditions, **result}
    if output == "json":
        click.echo(json.dumps(result))
    else:
        _print(result)
    sys.exit(1 if result["failures"] else 0)


def _measure(plane: ControlPlane, folder: Path, objects: int, rounds: int) -> dict[str, Any]:
    kind = by_kind("Server")
    client = plane.client()
    client.call("POST", _CRDS, custom_resource_definition(kind))
    path = f"/apis/{kind.api_group}/{kind.api_version}/{kind.plural}"
    deadline = time.monotonic() + _PATIENCE
    while (status := client.request("GET", path).status) != HTTPStatus.OK:
        if time.monotonic() > deadline:
            raise RuntimeError(f"the API server does not serve the new kind: HTTP {status}")
        time.sleep(0.05)
    samples: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    failures: list[str] = []
    for number in range(rounds):
        for side in ("eatool", "no-op"):
            load = Load(plane, objects)
            home = folder / f"{side}-{number}"
            url = f"sqlite:///{folder / f'{number}.db'}"
            running: AbstractContextManager[Side] = (
                eatool(plane, home, load.namespace, url)
                if side == "eatool"
                else noop(plane, home, load.namespace)
            )
            with running as process:
                for step, act in (
                    ("create", load.create),
                    ("update", load.update),
                    ("delete", load.delete),
                ):
                    process.proxy.log.clear()
                    cpu = process.cpu()
                    seconds = act()
                    per_object = {name: count / objects for name, count in process.writes().items()}
                    samples[side, step].append(
                        {
                            "objects_per_second": objects / seconds,
                            "cpu_ms_per_object": (process.cpu() - cpu) * 1000 / objects,
                            "requests_per_object": per_object,
                        }
                    )
                    if side == "eatool" and per_object != TARGETS[step]:
                        failures.append(f"{step}: {per_object}, target {TARGETS[step]}")
            if side == "eatool":
                failures += _check_log(url, objects)
    return {
        "samples": {f"{a} {b}": found for (a, b), found in samples.items()},
        "failures": failures,
    }


def _check_log(url: str, objects: int) -> list[str]:
    """One event per object and step, in order, and nothing else."""
    store = SqlEventStore(open_engine(url), upcast=upcast)
    events = store.read_all(limit=10 * objects)
    store.close()
    streams = Counter(event.stream_id for event in events)
    types = Counter((event.type, event.version) for event in events)
    expected = {
        ("ServerCreated.v1", 1): objects,
        ("ServerUpdated.v1", 2): objects,
        ("ServerDeleted.v1", 3): objects,
    }
    if types == expected and len(streams) == objects:
        return []
    return [f"the log holds {dict(types)} of {len(streams)} streams, expected {expected}"]


def _print(result: dict[str, Any]) -> None:
    console = Console()
    for name, value in result["conditions"].items():
        console.print(f"{name}: {value}")
    table = Table("step", "side", "objects/s", "CPU ms/object", "requests/object", "target")
    for step, target in TARGETS.items():
        for side in ("eatool", "no-op"):
            found = result["samples"][f"{side} {step}"]
            requests = found[-1]["requests_per_object"]
            table.add_row(
                step,
                side,
                f"{statistics.median(item['objects_per_second'] for item in found):.0f}",
                f"{statistics.median(item['cpu_ms_per_object'] for item in found):.1f}",
                _told(requests),
                _told(target) if side == "eatool" else "",
            )
    console.print(table)
    for failure in result["failures"]:
        console.print(f"[red]FAILED[/red] {failure}")
    if not result["failures"]:
        console.print("every change recorded exactly once, every target met")


def _told(requests: Mapping[str, float]) -> str:
    return " + ".join(f"{count:g} {name}" for name, count in sorted(requests.items())) or "none"


if __name__ == "__main__":
    main()
