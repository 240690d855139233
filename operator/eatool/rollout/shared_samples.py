"""Observations of all processes together: neither a restart nor another leader loses them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final
from uuid import uuid4

import orjson
from sqlalchemy import delete, select

from eatool.rollout.declared import LONGEST_WINDOW
from eatool.rollout.samples import READ_AS, SLOT, Observed, Place, Reading, Samples, Slot, figure
from eatool.rollout.tables import rollout_sample
from eatool.store.clock import Clock, utc_now
from eatool.store.sql.database import Database
from eatool.store.sql.log import SqlEventStore

#: Between two looks for what is too old to be asked for.
_TIDY: Final = timedelta(hours=1)


class SharedSamples:
    """Keeps what this process observes, and reads what all do; methods block, thread-safe.

    A row is one minute of one process, of one metric of one kind; a day of them is kept. The
    clocks of the hosts only have to agree to the minute.
    """

    def __init__(self, store: SqlEventStore, samples: Samples, *, clock: Clock = utc_now) -> None:
        self._store = store
        self._database = Database(store.engine)
        self._samples = samples
        self._clock = clock
        #: Not the replica's name, which a restarted process may have again.
        self._process = uuid4().hex
        self._tidied: datetime | None = None

    def supply(self) -> None:
        """Answer for the observed metrics from now on."""
        for metric in READ_AS:
            self._samples.supply(metric, partial(self.read, metric))

    def keep(self) -> None:
        """Write what has been observed since the last time; raises ``StoreError``.

        What could not be written is tried again with what comes next.
        """
        slots = self._samples.changed()
        if not slots:
            return
        table = rollout_sample
        keys = [column.name for column in table.primary_key]
        row = self._database.insert(table)
        row = row.on_conflict_do_update(
            index_elements=keys,
            set_={each.name: row.excluded[each.name] for each in table.c if each.name not in keys},
        )
        with self._store.transaction() as connection:
            connection.execute(row, [self._row(place, slot) for place, slot in slots.items()])
            now = self._clock()
            if self._tidied is None or now - self._tidied >= _TIDY:
                self._tidied = now
                kinds = {place.aggregate_type for place in slots}
                connection.execute(_too_old(kinds, now - LONGEST_WINDOW - SLOT))
        self._samples.kept(slots)

    def read(self, metric: Observed, aggregate_type: str, window: timedelta) -> Reading | None:
        """The figure over the last ``window``; raises ``StoreUnavailable``."""
        table = rollout_sample
        query = select(
            table.c.count.label("n"), table.c.total, table.c.highest, table.c.buckets
        ).where(
            table.c.metric == metric,
            table.c.aggregate_type == aggregate_type,
            table.c.start > self._clock() - window - SLOT,
        )
        rows = self._database.query(lambda connection: connection.execute(query).all())
        slots = (Slot(row.n, row.total, row.highest, _read(row.buckets)) for row in rows)
        return figure(metric, slots)

    def _row(self, place: Place, slot: Slot) -> dict[str, Any]:
        return {
            **place._asdict(),
            "process": self._process,
            "count": slot.count,
            "total": slot.total,
            "highest": slot.highest,
            "buckets": orjson.dumps(slot.buckets, option=orjson.OPT_NON_STR_KEYS).decode(),
        }


def _read(buckets: str) -> dict[int, int]:
    return {int(power): number for power, number in orjson.loads(buckets).items()}


def _too_old(kinds: Iterable[str], before: datetime) -> Any:
    table = rollout_sample
    return delete(table).where(
        table.c.metric.in_(READ_AS),
        table.c.aggregate_type.in_(sorted(kinds)),
        table.c.start < before,
    )
