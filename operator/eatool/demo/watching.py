"""Objects on their way to Ready, as the API server shows them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from eatool.demo.failing import DemoError
from eatool.demo.telling import Teller
from eatool.dev.apiclient import ApiClient
from eatool.domain.kinds import KINDS

_PATIENCE = 60.0
_POLL = 0.15
_GROUP = "/apis/eatool.io/v1alpha1"
_PLATFORM = "/apis/platform.eatool.io/v1alpha1"


@dataclass(frozen=True, slots=True)
class Seen:
    """One object."""

    kind: str
    name: str
    generation: int
    status: Mapping[str, Any]

    def condition(self, which: str) -> Mapping[str, Any]:
        """A condition of the current generation, empty when there is none."""
        for condition in self.status.get("conditions") or ():
            if (
                condition["type"] == which
                and condition.get("observedGeneration") == self.generation
            ):
                return dict(condition)
        return {}

    @property
    def ready(self) -> bool:
        """Its current spec is recorded."""
        return self.condition("Ready").get("status") == "True"

    @property
    def published(self) -> bool:
        """Every required broker has its newest event."""
        return self.condition("Published").get("status") == "True"


class Objects:
    """The nine kinds of one namespace."""

    def __init__(self, client: ApiClient, namespace: str = "default") -> None:
        self._client = client
        self._namespace = namespace

    def all(self) -> list[Seen]:
        """Every object, a request per kind."""
        found = []
        for kind in KINDS.values():
            path = f"{_GROUP}/namespaces/{self._namespace}/{kind.plural}"
            for item in self._client.call("GET", path)["items"]:
                metadata = item["metadata"]
                found.append(
                    Seen(kind.kind, metadata["name"], metadata["generation"], item["status"])
                )
        return found

    def await_published(self, count: int) -> None:
        """Return when so many objects say that every broker has their newest event."""
        deadline = time.monotonic() + _PATIENCE
        while sum(each.published for each in self.all()) < count:
            if time.monotonic() > deadline:
                raise DemoError(f"not all of {count} objects are Published")
            time.sleep(_POLL)

    def wait(self, kind: str, name: str, until: Callable[[Seen | None], bool]) -> Seen | None:
        """One object, once it is as wanted; ``None`` when it is gone, and wanted so."""
        plural = next(entity.plural for entity in KINDS.values() if entity.kind == kind)
        path = f"{_GROUP}/namespaces/{self._namespace}/{plural}/{name}"
        return _wait(self._client, path, kind, until)


class EventBrokers:
    """Declared brokers of one namespace."""

    def __init__(self, client: ApiClient, namespace: str = "default") -> None:
        self._client = client
        self._path = f"{_PLATFORM}/namespaces/{namespace}/eventbrokers"

    def wait(self, name: str, until: Callable[[Seen], bool]) -> None:
        """Return when one is as wanted."""
        path = f"{self._path}/{name}"
        _wait(self._client, path, "EventBroker", lambda seen: seen is not None and until(seen))


def _wait(
    client: ApiClient, path: str, kind: str, until: Callable[[Seen | None], bool]
) -> Seen | None:
    deadline = time.monotonic() + _PATIENCE
    while True:
        reply = client.request("GET", path)
        seen = None
        if "metadata" in reply.body and reply.body.get("kind") == kind:
            metadata = reply.body["metadata"]
            status = reply.body.get("status") or {}
            seen = Seen(kind, metadata["name"], metadata["generation"], status)
        if until(seen):
            return seen
        if time.monotonic() > deadline:
            raise DemoError(f"{path.rpartition('/')[2]} is not as expected: {seen}")
        time.sleep(_POLL)


def watch_until_ready(tell: Teller, objects: Objects, expected: int) -> float:
    """Show progress until so many objects are Ready; the seconds it took."""
    started = time.monotonic()
    said = (-1, -1)
    view = Live(console=tell.console, auto_refresh=False, transient=True) if tell.live else None
    with view or nullcontext():
        while True:
            seen = objects.all()
            ready, waiting = _counts(seen)
            if view is not None:
                view.update(_progress(seen), refresh=True)
            elif (ready, waiting) != said:
                tell.say(f"  {ready} of {expected} Ready, {waiting} wait for a reference")
                said = (ready, waiting)
            if ready == expected:
                return time.monotonic() - started
            if time.monotonic() - started > _PATIENCE:
                raise DemoError(_complaint(seen, expected))
            time.sleep(_POLL)


def _counts(seen: Sequence[Seen]) -> tuple[int, int]:
    waiting = sum(bool(each.status.get("waitingFor")) for each in seen)
    return sum(each.ready for each in seen), waiting


def _complaint(seen: Sequence[Seen], expected: int) -> str:
    late = [each for each in seen if not each.ready]
    lines = [f"only {len(seen) - len(late)} of {expected} objects are Ready; for example"]
    for each in late[:3]:
        ready = each.condition("Ready")
        why = f"{ready['reason']}: {ready['message']}" if ready else "no status yet"
        lines.append(f"  {each.kind} {each.name}: {why}")
    return "\n".join(lines)


def _progress(seen: Sequence[Seen]) -> Table:
    table = Table(box=None, header_style="dim", expand=True)
    for heading, width in (("Kind", 20), ("Ready", 6), ("", 20)):
        table.add_column(heading, width=width)
    table.add_column("Waiting for", ratio=1, no_wrap=True)
    for kind in KINDS.values():
        these = [each for each in seen if each.kind == kind.kind]
        ready, _ = _counts(these)
        waited = sorted({ref for each in these for ref in each.status.get("waitingFor") or ()})
        names = [ref.partition("/")[2] for ref in waited]
        bar = ProgressBar(total=max(len(these), 1), completed=ready, width=20)
        table.add_row(kind.kind, f"{ready}/{len(these)}", bar, ", ".join(names))
    return table
