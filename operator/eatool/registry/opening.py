"""A registry on a SQL event log, put together for a command that comes and goes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from eatool.domain.kinds import upcast
from eatool.domain.landscape import Landscape
from eatool.domain.policies import Policy
from eatool.projections.inline import ReadModels
from eatool.projections.landscape import SqlLandscape
from eatool.projections.queries import Entities
from eatool.registry.rehearsal import Rehearsal
from eatool.registry.service import Appender, Registry
from eatool.settings import Settings
from eatool.store.appender import GroupCommit, Grouped
from eatool.store.sql.engine import open_engine
from eatool.store.sql.errors import Errors
from eatool.store.sql.log import SqlEventStore
from eatool.store.sql.migrate import upgrade


def policy_of(settings: Settings) -> Policy:
    """The policy switches as the domain takes them."""
    return Policy(
        settings.policy_require_reason,
        settings.policy_require_approval,
        settings.policy_strict_lifecycle,
    )


@dataclass(frozen=True, slots=True)
class OpenRegistry:
    """The parts of an open registry."""

    registry: Registry
    store: SqlEventStore
    landscape: Landscape
    entities: Entities


@asynccontextmanager
async def open_registry(
    url: str,
    *,
    policy: Policy | None = None,
    migrate: bool = True,
    dry_run: bool = False,
    around: Callable[[Appender], Appender] = lambda appender: appender,
    committing: Callable[[Grouped], Grouped] = lambda store: store,
) -> AsyncIterator[OpenRegistry]:
    """Open the log at ``url`` and close it afterwards.

    Args:
        url: ``sqlite:///path`` or ``postgresql://...``.
        policy: governance switches; none on by default.
        migrate: create the schema, or bring it up to date, first.
        dry_run: record nothing (:class:`Rehearsal`).
        around: wraps the appender, to measure it.
        committing: wraps the store as the group commit sees it, to measure its batches.

    ``ValueError`` for a URL that is none or of another database; ``StoreError`` when the
    database cannot be opened or migrated now.

    """
    engine = open_engine(url)
    if migrate:
        errors = Errors(engine)
        try:
            await asyncio.to_thread(upgrade, engine)
        except errors.types as error:
            engine.dispose()
            raise errors.translate(error) from error
    store = SqlEventStore(engine, projections=[ReadModels()], upcast=upcast)
    landscape = SqlLandscape(engine)
    appender = GroupCommit(committing(store))
    if dry_run:
        rehearsal = Rehearsal(store, landscape)
        registry = Registry(rehearsal, rehearsal, rehearsal, policy=policy, readers=1)
    else:
        registry = Registry(store, around(appender), landscape, policy=policy)
    try:
        yield OpenRegistry(registry, store, landscape, Entities(engine))
    finally:
        registry.close()
        appender.close()
        store.close()
