"""Which kinds the follower of the log projects: those whose phase says so."""

from __future__ import annotations

import asyncio

from eatool.projections import checkpoints
from eatool.projections.following import Follower
from eatool.projections.tables import PROJECTION
from eatool.rollout.feed import DEFERRED
from eatool.rollout.ledger import Standing
from eatool.rollout.view import PhaseView
from eatool.store.sql.database import Database
from eatool.store.sql.errors import Errors
from eatool.store.sql.log import SqlEventStore


class FollowedKinds:
    """Begins and ends following, as phases change; any process may, and all come to the same."""

    def __init__(self, store: SqlEventStore, view: PhaseView, follower: Follower) -> None:
        self._store = store
        self._view = view
        self._follower = follower
        self._read = Database(store.engine).query
        self._errors = Errors(store.engine)

    def once(self) -> None:
        """Bring checkpoints in line with the phases. Blocks; raises ``StoreError``."""
        followed = self._read(lambda connection: checkpoints.positions(connection, PROJECTION))
        standings = self._view.all()
        for aggregate_type, standing in standings.items():
            if standing.phase in DEFERRED and aggregate_type not in followed:
                self._begin(aggregate_type)
        done = [
            aggregate_type
            for aggregate_type in followed
            if aggregate_type not in standings or standings[aggregate_type].phase not in DEFERRED
        ]
        if done:
            lag = self._follower.lag()
            done = [each for each in done if each in lag and lag[each].events == 0]
        if done:
            with self._store.transaction() as connection:
                checkpoints.end(connection, PROJECTION, done)

    async def settled(self, standing: Standing) -> bool:
        """Whether the tables have caught up; asked before appends project the kind again."""
        to = standing.preparing
        if standing.phase not in DEFERRED or to is None or to in DEFERRED:
            return True
        lag = await asyncio.to_thread(self._follower.lag)
        mine = lag.get(standing.aggregate_type)
        return mine is not None and mine.events == 0

    def _begin(self, aggregate_type: str) -> None:
        """From the event that took the appends' projection away: all before it is there."""
        entered = next(
            each
            for each in self._view.ledger.history(aggregate_type)
            if each.target in DEFERRED and each.source not in DEFERRED and each.position
        )
        with self._store.transaction() as connection:
            checkpoints.begin(connection, PROJECTION, [aggregate_type], entered.position or 0)
