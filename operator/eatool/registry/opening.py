"""A registry on a SQL event log, put together for a command that comes and goes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy import Engine

from eatool.domain.kinds import upcast
from eatool.domain.landscape import Landscape
from eatool.domain.policies import Policy
from eatool.projections.inline import ReadModels
from eatool.projections.landscape import SqlLandscape
from eatool.projections.queries import Entities
from eatool.registry.rehearsal import Rehearsal
from eatool.registry.service import Appender, Registry, Retried, unnoticed
from eatool.settings import Settings
from eatool.store.appender import Grouped, LogAppender
from eatool.store.port import StoreUnavailable
from eatool.store.projection_port import InlineProjection
from eatool.store.sql.engine import lacks_file, open_engine
from eatool.store.sql.errors import Errors
from eatool.store.sql.log import SqlEventStore
from eatool.store.sql.migrate import current, head, upgrade

#: The projections that every append transaction updates, for a database.
Inline = Callable[[Engine], Sequence[InlineProjection]]


def read_models(_engine: Engine) -> Sequence[InlineProjection]:
    """The read tables of all kinds."""
    return [ReadModels()]


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
    #: What the registry appends through.
    appender: Appender
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
    inline: Inline = read_models,
    retried: Retried = unnoticed,
) -> AsyncIterator[OpenRegistry]:
    """Open the log at ``url`` and close it afterwards.

    Args:
        url: ``sqlite:///path`` or ``postgresql://...``.
        policy: governance switches; none on by default.
        migrate: create the schema, or bring it up to date, first.
        dry_run: record and migrate nothing (:class:`Rehearsal`); a database without a schema
            counts as an empty log.
        around: wraps the appender, to measure it.
        committing: wraps the store as the group commit sees it, to measure its batches.
        inline: the projections that every append transaction updates.
        retried: told of changes that are decided anew, see :class:`Registry`.

    ``ValueError`` for a URL that is none or of another database; ``StoreError`` when the
    database cannot be opened or migrated now.

    """
    with ExitStack() as scratch:
        engine = await asyncio.to_thread(
            _prepared, open_engine(url), scratch, migrate=migrate, dry_run=dry_run
        )
        store = SqlEventStore(engine, projections=inline(engine), upcast=upcast)
        opening = _opened(
            store,
            policy=policy,
            dry_run=dry_run,
            around=around,
            committing=committing,
            retried=retried,
        )
        async with opening as opened:
            yield opened


def _prepared(engine: Engine, scratch: ExitStack, *, migrate: bool, dry_run: bool) -> Engine:
    """The engine, its schema as asked for, or one of an empty log that ends with ``scratch``."""
    errors = Errors(engine)
    try:
        if not dry_run:
            if migrate:
                upgrade(engine)
            return engine
        found = frozenset() if lacks_file(engine) else current(engine)
        if found == head():
            return engine
        engine.dispose()
        if found:
            raise StoreUnavailable("the schema is of another release, run `eatool store migrate`")
    except errors.types as error:
        engine.dispose()
        raise errors.translate(error) from error
    folder = scratch.enter_context(TemporaryDirectory(prefix="eatool-"))
    empty = open_engine(f"sqlite:///{Path(folder) / 'empty.db'}")
    upgrade(empty)
    return empty


@asynccontextmanager
async def _opened(
    store: SqlEventStore,
    *,
    policy: Policy | None,
    dry_run: bool,
    around: Callable[[Appender], Appender],
    committing: Callable[[Grouped], Grouped],
    retried: Retried,
) -> AsyncIterator[OpenRegistry]:
    landscape = SqlLandscape(store.engine)
    commits = LogAppender(committing(store))
    appender: Appender
    if dry_run:
        appender = rehearsal = Rehearsal(store, landscape)
        registry = Registry(rehearsal, rehearsal, rehearsal, policy=policy, readers=1)
    else:
        appender = around(commits)
        registry = Registry(store, appender, landscape, policy=policy, retried=retried)
    try:
        yield OpenRegistry(registry, appender, store, landscape, Entities(store.engine))
    finally:
        registry.close()
        commits.close()
        store.close()
