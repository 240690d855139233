"""Keep read tables and legacy tables in step with the log, as the phase of each kind asks for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Final, Protocol

from sqlalchemy import Connection, select

from eatool.legacy.writing import LegacyRows
from eatool.projections.inline import ReadModels
from eatool.projections.tables import READ_TABLES
from eatool.rollout.appending import hold, spec_after
from eatool.rollout.ledger import Standing
from eatool.rollout.phases import Phase
from eatool.store.clock import Clock, utc_now
from eatool.store.port import RecordedEvent

#: Phases whose read table does not follow in the append transaction.
DEFERRED: Final = frozenset({Phase.ASYNC_COMMANDS, Phase.RETIRED})

_CHUNK = 500


class Standings(Protocol):
    """Where kinds stand; :class:`~eatool.rollout.view.PhaseView`."""

    def of(self, aggregate_type: str) -> Standing | None:
        """``None`` when the kind is not under rollout."""
        ...

    def all(self) -> Mapping[str, Standing]:
        """Those under rollout."""
        ...


class LegacyFeed:
    """Writes to the legacy table what the newest events of its entities say.

    Runs behind :class:`~eatool.projections.inline.ReadModels` in the same transaction: a row of
    the read table that is further than an event makes the event old news. Feeding twice, or in
    any order, ends the same.

    Args:
        standings: of kinds under rollout.
        namespace: the one whose entities have legacy rows.
        phases: in which it feeds.

    """

    def __init__(
        self,
        standings: Standings,
        namespace: str,
        phases: Collection[Phase],
        *,
        clock: Clock = utc_now,
    ) -> None:
        self._standings = standings
        self._namespace = namespace
        self._phases = frozenset(phases)
        self._clock = clock

    def apply(self, connection: Connection, events: Sequence[RecordedEvent]) -> None:
        """Feed a batch in log order; ``StaleEpoch`` when a phase has changed meanwhile."""
        fed = {
            aggregate_type: standing
            for aggregate_type, standing in self._standings.all().items()
            if standing.phase in self._phases
        }
        if not fed:
            return
        newest: defaultdict[str, dict[str, RecordedEvent]] = defaultdict(dict)
        for event in events:
            aggregate_type, namespace, name = event.stream_id.split("/")
            if namespace == self._namespace and aggregate_type in fed:
                newest[aggregate_type][name] = event
        for aggregate_type, by_name in sorted(newest.items()):
            hold(connection, fed[aggregate_type].fence)
            self._feed(connection, aggregate_type, by_name)

    def _feed(
        self, connection: Connection, aggregate_type: str, newest: Mapping[str, RecordedEvent]
    ) -> None:
        positions = self._positions(connection, aggregate_type, sorted(newest))
        wanted = {
            name: spec_after(aggregate_type, event.type, event.data)
            for name, event in newest.items()
            if positions.get(name) == event.position
        }
        if wanted:
            LegacyRows(connection, clock=self._clock).write(aggregate_type, wanted)

    def _positions(
        self, connection: Connection, aggregate_type: str, names: Sequence[str]
    ) -> dict[str, int]:
        rows = READ_TABLES[aggregate_type].table
        found: dict[str, int] = {}
        for start in range(0, len(names), _CHUNK):
            query = select(rows.c.id, rows.c.position).where(
                rows.c.namespace == self._namespace, rows.c.id.in_(names[start : start + _CHUNK])
            )
            found.update(tuple(row) for row in connection.execute(query))
        return found


class InlineByPhase:
    """The projection of every append transaction: all but what follows later.

    Entities of other namespaces, and kinds that are not under rollout, are projected as ever.
    """

    def __init__(self, standings: Standings, namespace: str, *, clock: Clock = utc_now) -> None:
        self._standings = standings
        self._namespace = namespace
        self._models = ReadModels()
        self._feed = LegacyFeed(standings, namespace, {Phase.PROJECTION_ONLY}, clock=clock)

    def apply(self, connection: Connection, events: Sequence[RecordedEvent]) -> None:
        """See :class:`~eatool.store.projection_port.InlineProjection`."""
        later = {
            f"{aggregate_type}/{self._namespace}/"
            for aggregate_type, standing in self._standings.all().items()
            if standing.phase in DEFERRED
        }
        if later:
            prefixes = tuple(later)
            events = [event for event in events if not event.stream_id.startswith(prefixes)]
        self._models.apply(connection, events)
        self._feed.apply(connection, events)


class FollowedByPhase:
    """The projection of whoever follows the log: what the appends left for later.

    It takes events of all phases: an append may have left one behind just before its kind moved
    on, and the read table knows what it has.
    """

    def __init__(self, standings: Standings, namespace: str, *, clock: Clock = utc_now) -> None:
        self._standings = standings
        self._namespace = namespace
        self._models = ReadModels()
        self._feed = LegacyFeed(
            standings, namespace, {Phase.PROJECTION_ONLY, Phase.ASYNC_COMMANDS}, clock=clock
        )

    def apply(self, connection: Connection, events: Sequence[RecordedEvent]) -> None:
        """Project a batch in log order; ``StaleEpoch`` when a phase has changed meanwhile."""
        prefixes = tuple(
            f"{aggregate_type}/{self._namespace}/" for aggregate_type in self._standings.all()
        )
        mine = [event for event in events if event.stream_id.startswith(prefixes)]
        self._models.apply(connection, mine)
        self._feed.apply(connection, mine)
