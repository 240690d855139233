"""Rollouts of the cluster, and the old registry beside the log, as people handle them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, text
from tests.crds.server import MERGE, Kubectl
from tests.legacy.landscape import create_tables
from tests.operator.operators import until
from tests.operator.site import Site

from eatool.dev.apiclient import ApiClient
from eatool.domain.kinds import by_kind
from eatool.kube.rollout.resource import APPROVE, EVENT_SOURCING_ROLLOUT
from eatool.legacy.adoption import adopt
from eatool.publishing.declared import API_GROUP, API_VERSION
from eatool.store.sql import migrate
from eatool.store.sql.engine import open_engine

Body = dict[str, Any]

PATH = f"/apis/{API_GROUP}/{API_VERSION}/{EVENT_SOURCING_ROLLOUT.plural}"


def old_registry(url: str, *kinds: str) -> None:
    """A database with the migrated log and the tables of the old registry, some adopted."""
    engine = open_engine(url)
    migrate.upgrade(engine)
    with engine.begin() as connection:
        create_tables(connection)
    adopt(engine, [by_kind(kind) for kind in kinds])
    engine.dispose()


def under_rollout(site: Site, directory: Path, *kinds: str) -> dict[str, Any]:
    """Settings of an operator beside an old registry in its own database, that looks often."""
    old_registry(f"sqlite:///{directory / 'eatool.db'}", *kinds)
    return {
        "namespace": site.namespace,
        "legacy_namespace": site.namespace,
        "resync_interval": 3600,
        "rollout_interval": 0.3,
    }


class OldRegistry:
    """The legacy application."""

    def __init__(self, url: str) -> None:
        self.engine: Engine = open_engine(url)

    def run(self, statement: str, **values: Any) -> None:
        with self.engine.begin() as connection:
            connection.execute(text(statement), values)

    def rows(self, statement: str, **values: Any) -> list[Any]:
        with self.engine.connect() as connection:
            return list(connection.execute(text(statement), values).all())

    def close(self) -> None:
        self.engine.dispose()


class RolloutSite:
    """EventSourcingRollouts, which belong to no namespace."""

    def __init__(self, client: ApiClient, kubectl: Path, kubeconfig: Path) -> None:
        self.client = client
        self.kubectl = Kubectl(kubectl, kubeconfig, "default")

    def declare(self, kind: str, target: str, **spec: Any) -> Body:
        body = {
            "apiVersion": EVENT_SOURCING_ROLLOUT.api_version,
            "kind": EVENT_SOURCING_ROLLOUT.kind,
            "metadata": {"name": kind.lower()},
            "spec": {"entityKind": kind, "targetPhase": target, **spec},
        }
        return self.client.call("POST", f"{PATH}?fieldValidation=Strict", body)

    def change(self, kind: str, **spec: Any) -> Body:
        path = f"{PATH}/{kind.lower()}"
        return self.client.call("PATCH", path, {"spec": spec}, content_type=MERGE)

    def approve(self, kind: str, value: str) -> None:
        self.kubectl("annotate", "esr", kind.lower(), f"{APPROVE}={value}", "--overwrite")

    def find(self, kind: str) -> Body:
        return self.client.call("GET", f"{PATH}/{kind.lower()}")

    def status(self, kind: str) -> Body:
        status: Body = self.find(kind).get("status") or {}
        return status

    def condition(self, kind: str, which: str = "Ready") -> Body:
        body = self.find(kind)
        for entry in (body.get("status") or {}).get("conditions", ()):
            current = entry["observedGeneration"] == body["metadata"]["generation"]
            if entry["type"] == which and current:
                return dict(entry)
        return {}

    def await_status(self, kind: str, *, seconds: float = 60, **wanted: Any) -> Body:
        """Wait for values of members of the status; returns it."""
        until(
            lambda: wanted.items() <= self.status(kind).items(),
            f"{kind} is at {wanted}",
            seconds=seconds,
            pause=0.2,
        )
        return self.status(kind)

    def row(self, kind: str) -> dict[str, str]:
        """What ``kubectl get esr`` prints for a kind, by column."""
        return self.rows()[kind.lower()]

    def rows(self) -> dict[str, dict[str, str]]:
        """What ``kubectl get esr`` prints, by name and column."""
        header, *lines = self.kubectl("get", "esr").splitlines()
        columns = list(re.finditer(r"\S+\s*", header))[:-1]
        return {
            line.split()[0]: {
                cell.group().strip(): line[cell.start() : cell.end()].strip() for cell in columns
            }
            for line in lines
        }

    def clear(self) -> None:
        self.client.call("DELETE", PATH)
