"""Uses a kind called View in a process that found it by itself; prints what came of it as JSON.

Run as ``python use.py DATABASE FOLDER``: where to record, and where to put manifests.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from eatool.cli import main
from eatool.contract.events import event_schemas
from eatool.domain.identity import EntityRef
from eatool.domain.kinds import KINDS, by_kind
from eatool.kube.handlers import handlers
from eatool.kube.schema.artifacts import crd_files, reference_files
from eatool.publishing.topics import TopicTemplate
from eatool.store.sql import migrate
from eatool.store.sql.engine import open_engine
from eatool.store.sql.schema import metadata
from eatool.telemetry.labels import Labels

APPLICATION = {
    "name": "Shop",
    "owner": "team",
    "lifecycle": "active",
    "dataClassification": "internal",
}
VIEW = {"name": "Overview", "audience": "architects", "shows": ["shop"]}


def manifest(kind: str, name: str, spec: dict[str, Any]) -> str:
    body = {"apiVersion": "eatool.io/v1alpha1", "kind": kind, "metadata": {"name": name}}
    return json.dumps({**body, "spec": spec})


def eatool(*arguments: str) -> Any:
    result = CliRunner().invoke(main, [*arguments, "-o", "json"])
    return json.loads(result.stdout) if result.stdout else result.stderr


def commands(url: str, folder: Path) -> dict[str, Any]:
    def applied(kind: str, name: str, spec: dict[str, Any], *more: str) -> Any:
        file = folder / f"{kind}-{name}.json"
        file.write_text(manifest(kind, name, spec))
        (row,) = eatool("apply", "-f", str(file), "--store", url, *more)
        return row

    steps = {
        "early": applied("View", "overview", VIEW),
        "application": applied("Application", "shop", APPLICATION),
        "created": applied("View", "overview", VIEW),
        "again": applied("View", "overview", VIEW),
        "changed": applied("View", "overview", {**VIEW, "audience": "management"}),
        "clash": applied("View", "other", {**VIEW, "name": "OVERVIEW"}),
        "bad": applied("View", "bad", {**VIEW, "audience": "nobody"}),
        "row": eatool("get", "views", "--store", url),
        "blocked": applied("Application", "shop", APPLICATION, "--delete"),
        "deleted": applied("View", "overview", VIEW, "--delete"),
    }
    return {
        **steps,
        "history": eatool("history", "view", "overview", "--store", url),
        "verified": eatool("projections", "verify", "--kind", "view", "--store", url),
    }


class Watched:
    """Collects what the operator would watch."""

    clusterwide = True

    def sighted(self, *_: object) -> None:
        """Nothing comes."""

    async def start(self) -> None:
        """Nothing runs."""

    async def stop(self) -> None:
        """Nothing runs."""


def derived() -> dict[str, Any]:
    kinds, kind = tuple(KINDS.values()), by_kind("View")
    labels = Labels.of(kinds)
    watched = handlers(Watched())  # type: ignore[arg-type]  # stands in for a whole operator
    return {
        "kinds": list(KINDS),
        "crds": {str(path): text for path, text in crd_files(kinds).items() if "view" in text},
        "page": next(
            text for path, text in reference_files(kinds, {}).items() if "view" in path.name
        ),
        "schemas": sorted(name for name in event_schemas() if name.startswith("View")),
        "topic": TopicTemplate().topic(EntityRef("view", "shop", "overview"), "ViewCreated.v1"),
        "event_labels": sorted(labels.events["view"]),
        "reference_labels": sorted(labels.references["view"]),
        "watched": any(kind.plural in str(each.selector) for each in watched._watching._handlers),
    }


def run(url: str, folder: Path) -> dict[str, Any]:
    engine = open_engine(url)
    migrate.upgrade(engine)
    metadata.create_all(engine)  # a release brings a revision: tables of users are never guessed
    engine.dispose()
    return {**derived(), **commands(url, folder)}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(run(sys.argv[1], Path(sys.argv[2]))))
