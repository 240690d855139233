"""One namespace of the API server, and the log that should say the same."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import UUID

import yaml
from tests.crds.server import APPLY, MERGE
from tests.kube.kstatus import kstatus
from tests.operator.operators import until

from eatool.dev.apiclient import ApiClient, Reply
from eatool.domain.identity import EntityRef
from eatool.domain.kinds import KINDS, by_kind, upcast
from eatool.registry.folding import fold_events
from eatool.store.port import RecordedEvent
from eatool.store.sql.engine import open_engine
from eatool.store.sql.log import SqlEventStore

Body = dict[str, Any]

LANDSCAPE = Path(__file__).parents[2] / "examples" / "landscape"
SERVER = {"hostname": "db-1.example", "environment": "prod", "criticality": "high"}
APPLICATION = {
    "name": "Webshop",
    "owner": "shop-team",
    "lifecycle": "active",
    "dataClassification": "internal",
}


def landscape() -> list[Body]:
    """The example landscape, in no helpful order."""
    documents = [yaml.safe_load(path.read_text()) for path in sorted(LANDSCAPE.glob("*.yaml"))]
    random.Random(7).shuffle(documents)
    return documents


class Site:
    """The objects of one namespace, as a user handles them."""

    def __init__(self, client: ApiClient, namespace: str) -> None:
        self.client = client
        self.namespace = namespace

    def path(self, kind: str, name: str = "") -> str:
        entity = by_kind(kind)
        base = f"/apis/{entity.api_group}/{entity.api_version}/namespaces/{self.namespace}"
        return f"{base}/{entity.plural}/{name}".rstrip("/")

    def create(self, kind: str, name: str, spec: Body, **metadata: Any) -> Body:
        body = {
            "apiVersion": f"{by_kind(kind).api_group}/{by_kind(kind).api_version}",
            "kind": kind,
            "metadata": {"name": name, **metadata},
            "spec": spec,
        }
        return self.client.call("POST", f"{self.path(kind)}?fieldManager=tests", body)

    def create_all(self, documents: Iterable[Mapping[str, Any]]) -> None:
        """As fast as the API server takes them, in order of arrival only."""
        with ThreadPoolExecutor(8) as pool:
            jobs = [
                pool.submit(self.create, item["kind"], item["metadata"]["name"], item["spec"])
                for item in documents
            ]
            for job in jobs:
                job.result()

    def patch(self, kind: str, name: str, patch: Body, *, subresource: str = "") -> Body:
        path = f"{self.path(kind, name)}{subresource and '/'}{subresource}?fieldManager=tests"
        return self.client.call("PATCH", path, patch, content_type=MERGE)

    def change(self, kind: str, name: str, /, **spec: Any) -> Body:
        return self.patch(kind, name, {"spec": spec})

    def annotate(self, kind: str, name: str, **annotations: str | None) -> Body:
        """Annotations of eatool.io, by their name with underscores; ``None`` removes one."""
        named = {f"eatool.io/{key.replace('_', '-')}": text for key, text in annotations.items()}
        return self.patch(kind, name, {"metadata": {"annotations": named}})

    def apply(
        self, kind: str, name: str, spec: Body, *, manager: str = "argocd-controller"
    ) -> Body:
        """Server-side apply."""
        body = {
            "apiVersion": f"{by_kind(kind).api_group}/{by_kind(kind).api_version}",
            "kind": kind,
            "metadata": {"name": name},
            "spec": spec,
        }
        path = f"{self.path(kind, name)}?fieldManager={manager}&force=true"
        return self.client.call("PATCH", path, body, content_type=APPLY)

    def delete(self, kind: str, name: str) -> None:
        self.client.call("DELETE", self.path(kind, name))

    def delete_all(self) -> None:
        """Every object of every kind, as the end of a namespace would."""
        for kind in KINDS.values():
            self.client.call("DELETE", self.path(kind.kind))

    def find(self, kind: str, name: str) -> Body | None:
        reply: Reply = self.client.request("GET", self.path(kind, name))
        return reply.body if reply.status == 200 else None

    def get(self, kind: str, name: str) -> Body:
        return self.client.call("GET", self.path(kind, name))

    def list(self) -> list[Body]:
        return [
            {**item, "kind": kind.kind}
            for kind in KINDS.values()
            for item in self.client.call("GET", self.path(kind.kind))["items"]
        ]

    def ref(self, kind: str, name: str) -> EntityRef:
        return by_kind(kind).ref(self.namespace, name)

    def condition(self, kind: str, name: str, which: str = "Ready") -> tuple[str, str] | None:
        """Status and reason of a condition that speaks of the present generation."""
        body = self.find(kind, name)
        for entry in (body or {}).get("status", {}).get("conditions", ()):
            if entry["type"] == which and body is not None:
                current = entry["observedGeneration"] == body["metadata"]["generation"]
                return (entry["status"], entry["reason"]) if current else None
        return None

    def message(self, kind: str, name: str) -> str:
        conditions = self.get(kind, name)["status"]["conditions"]
        return str(next(entry["message"] for entry in conditions if entry["type"] == "Ready"))

    def await_ready(self, kind: str, name: str, *, seconds: float = 30) -> Body:
        def ready() -> bool:
            return self.condition(kind, name) == ("True", "Recorded")

        until(ready, f"{kind} {name} is ready", seconds=seconds)
        return self.get(kind, name)

    def await_reason(self, kind: str, name: str, reason: str, *, seconds: float = 30) -> Body:
        def told() -> bool:
            condition = self.condition(kind, name)
            return condition is not None and condition[1] == reason

        until(told, f"{kind} {name} says {reason}", seconds=seconds)
        return self.get(kind, name)

    def await_gone(self, kind: str, name: str, *, seconds: float = 30) -> None:
        until(lambda: self.find(kind, name) is None, f"{kind} {name} is gone", seconds=seconds)

    def await_current(self, *, seconds: float = 60) -> None:
        """Everything is what kstatus calls current."""

        def settled() -> bool:
            return {kstatus(body) for body in self.list()} <= {"Current"}

        until(settled, "every object is current", seconds=seconds)

    def await_empty(self, *, seconds: float = 60) -> None:
        until(lambda: not self.list(), "every object is gone", seconds=seconds)


class Log:
    """The event log, read beside the operator."""

    def __init__(self, url: str) -> None:
        self._store = SqlEventStore(open_engine(url), upcast=upcast)

    def close(self) -> None:
        self._store.close()

    @property
    def events(self) -> int:
        """How many there are, without reading them: positions have no gaps."""
        return self._store.head().position

    def all(self, namespace: str | None = None) -> list[RecordedEvent]:
        found: list[RecordedEvent] = []
        while page := self._store.read_all(after=found[-1].position if found else 0, limit=5000):
            found += page
        return [event for event in found if namespace in (None, event.ref.namespace)]

    def of(self, ref: EntityRef) -> list[RecordedEvent]:
        return self._store.read_stream(ref.stream_id)

    def types(self, ref: EntityRef) -> list[str]:
        return [event.type for event in self.of(ref)]


def assert_log_is_what_is_declared(site: Site, log: Log) -> None:
    """Exactly the declared entities are recorded, each change at most once."""
    events = log.all(site.namespace)
    assert len({event.event_id for event in events}) == len(events)
    streams: dict[str, list[RecordedEvent]] = defaultdict(list)
    commands: dict[tuple[str, str, int, bool], set[UUID | None]] = defaultdict(set)
    for event in events:
        streams[event.stream_id].append(event)
        told = event.metadata
        # An object without finalizers is deleted without a generation of its own.
        deletion = event.type.endswith("Deleted.v1")
        key = (event.stream_id, told["uid"], told["generation"], deletion)
        commands[key].add(event.causation_id)
    repeated = {change: ids for change, ids in commands.items() if len(ids) > 1}
    assert not repeated, repeated
    declared = {site.ref(body["kind"], body["metadata"]["name"]): body for body in site.list()}
    for stream, found in streams.items():
        assert [event.version for event in found] == list(range(1, len(found) + 1)), stream
        ref = found[0].ref
        assert fold_events(ref, found).state.exists is (ref in declared), stream
    for ref, body in declared.items():
        wanted = KINDS[ref.aggregate_type].spec.model_validate(body["spec"])
        state = fold_events(ref, streams[ref.stream_id]).state
        assert state.spec == wanted, ref
        assert body["status"]["streamVersion"] == state.version, ref
