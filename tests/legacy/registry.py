"""An old registry in a database of its own, and the commands that take it over."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import Connection
from tests.legacy.landscape import Landscape, fill
from tests.store.stores import database_url

from eatool.domain.evolve import fold
from eatool.domain.identity import EntityRef
from eatool.domain.kind import EntitySpec
from eatool.domain.kinds import KINDS
from eatool.rollout.import_cli import legacy
from eatool.store.port import RecordedEvent
from eatool.store.sql.engine import open_engine
from eatool.store.sql.log import SqlEventStore


@dataclass(frozen=True)
class OldRegistry:
    """Its database at ``url``, filled; ``built`` says with what."""

    url: str
    built: Landscape

    def run(self, command: str, *arguments: object) -> Result:
        """One of the commands; an unexpected exception is raised."""
        result = CliRunner().invoke(
            legacy, [command, "--store", self.url, *map(str, arguments)], catch_exceptions=False
        )
        assert isinstance(result, Result)
        return result

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A direct write of the old application."""
        engine = open_engine(self.url)
        try:
            with engine.begin() as connection:
                yield connection
        finally:
            engine.dispose()

    def events(self) -> list[RecordedEvent]:
        """The whole log."""
        store = SqlEventStore(open_engine(self.url))
        try:
            return store.read_all(limit=100_000)
        finally:
            store.close()

    def entities(self) -> dict[EntityRef, EntitySpec]:
        """What the log says there is."""
        streams: dict[EntityRef, list[RecordedEvent]] = {}
        for event in self.events():
            streams.setdefault(event.ref, []).append(event)
        folded = {
            ref: fold(
                KINDS[ref.aggregate_type],
                ref,
                ((event.type, event.data, event.version) for event in events),
            ).spec
            for ref, events in streams.items()
        }
        return {ref: spec for ref, spec in folded.items() if isinstance(spec, EntitySpec)}


def old_registry(
    database: str, folder: Path, request: pytest.FixtureRequest, scale: float
) -> OldRegistry:
    """A new one, beside a migrated store."""
    return filled(database_url(database, folder, request), scale)


def filled(url: str, scale: float) -> OldRegistry:
    """A new one in an existing or, with SQLite, a new database."""
    engine = open_engine(url)
    try:
        return OldRegistry(url, fill(engine, scale=scale))
    finally:
        engine.dispose()
